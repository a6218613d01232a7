package jobkit

import (
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// JobParts are the parts of a job that the library reads and writes.
type JobParts struct {
	// RunPolicy points into the job. Required.
	RunPolicy *commonv1.RunPolicy
	// ReplicaSpecs is the job's own map. A job without replicas is a mistake of its user.
	ReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec
	// Status points into the job, not to a copy. Required.
	Status *commonv1.JobStatus
}

// Replica is one replica of a job, in one reconcile. It answers what its pod must know
// about itself and the others. [Shared] computes once what is the same for several.
type Replica struct {
	typ     commonv1.ReplicaType
	index   int32
	attempt int32
	job     *replicas
}

// replicas are those of a job in one reconcile.
type replicas struct {
	kind   Kind
	name   string // of the job
	policy *commonv1.RunPolicy
	specs  map[commonv1.ReplicaType]*commonv1.ReplicaSpec
	ports  *portSlots

	mu     sync.Mutex
	shared map[any]any
}

// Replicas returns a function that makes the replicas of the job that has these parts. [Shared]
// values are shared by the replicas that one such function has made. The library calls it for each
// reconcile; call it in tests, or where an operator needs another replica than the
// one that it was given. Of job it reads the name and the UID: the UID decides which ports the
// replicas get on the network of their nodes (runPolicy.hostPorts).
func (p JobParts) Replicas(kind Kind, job metav1.Object) func(t commonv1.ReplicaType, index, attempt int32) Replica {
	all := &replicas{kind: kind, name: job.GetName(), policy: p.RunPolicy, specs: p.ReplicaSpecs, shared: map[any]any{}}
	all.ports = allocate(&kind, job.GetUID(), p)
	return func(t commonv1.ReplicaType, index, attempt int32) Replica {
		return Replica{typ: t, index: index, attempt: attempt, job: all}
	}
}

// Type is the replica's type.
func (r Replica) Type() commonv1.ReplicaType { return r.typ }

// Index is the replica's index among those of its type, from 0.
func (r Replica) Index() int32 { return r.index }

// Attempt is how often the replica was restarted, from 0.
func (r Replica) Attempt() int32 { return r.attempt }

// Name is the name of the replica's pod.
func (r Replica) Name() string { return r.job.kind.PodName(r.job.name, r.typ, r.index) }

// Host is the host name at which a replica of the job is reached from the job's namespace:
// <pod> where each replica has a service (or none has), <pod>.<job> where the job has one.
// With the suffix ".<namespace>.svc" it is reached from everywhere in the cluster.
func (r Replica) Host(t commonv1.ReplicaType, index int32) string {
	pod := r.job.kind.PodName(r.job.name, t, index)
	if p := r.job.policy; p != nil && p.ServiceMode != nil && *p.ServiceMode != commonv1.ServiceModePerJob {
		return pod
	}
	return pod + "." + r.job.name
}

// Port is the number of the kind's port in the replicas of a type: the one that the
// container named [Kind].ContainerName declares, or else the default of the kind. If
// runPolicy.hostPorts allocates it, each replica has another, and it is that of the first:
// use PortOf for the others.
func (r Replica) Port(t commonv1.ReplicaType) int32 { return r.PortOf(t, 0) }

// declaredPort is the number of the kind's port by the template of a type.
func (r Replica) declaredPort(t commonv1.ReplicaType) int32 {
	if spec := r.job.specs[t]; spec != nil {
		for i := range spec.Template.Spec.Containers {
			c := &spec.Template.Spec.Containers[i]
			if c.Name != r.job.kind.ContainerName {
				continue
			}
			for j := range c.Ports {
				if c.Ports[j].Name == r.job.kind.PortName {
					return c.Ports[j].ContainerPort
				}
			}
			break
		}
	}
	return r.job.kind.PortNumber
}

// Count is the number of replicas of the given types; of all types if none is given.
func (r Replica) Count(types ...commonv1.ReplicaType) int32 { return Count(r.job.specs, types...) }

// sharedKey keeps values of different types apart.
type sharedKey[T any] struct{ name string }

// Shared returns the result of compute, which it calls once for all replicas of a job in a
// reconcile. Use it for what is the same for all of them and grows with their number, such as
// a list of hosts. The value must not be changed, and must not depend on which replica asks
// for it. The name distinguishes values of the same type. Shared may be called from several
// goroutines at once; compute is called from one.
func Shared[T any](r Replica, name string, compute func() T) T {
	key := sharedKey[T]{name}
	r.job.mu.Lock()
	once, ok := r.job.shared[key].(func() T)
	if !ok {
		once = sync.OnceValue(compute)
		r.job.shared[key] = once
	}
	r.job.mu.Unlock()
	return once()
}

// MaxReplicas is the highest number of replicas that a job may have in total, the same as
// for an indexed batch/v1 Job. A mistyped number must not exhaust the operator's memory.
const MaxReplicas = 100_000

// Count is how many replicas of the given types the replica specs ask for; of all types
// if none is given.
func Count(specs map[commonv1.ReplicaType]*commonv1.ReplicaSpec, types ...commonv1.ReplicaType) int32 {
	total := int32(0)
	for t, spec := range specs {
		switch {
		case spec == nil || len(types) > 0 && !slices.Contains(types, t):
		case spec.Replicas == nil:
			total++
		default:
			total += min(max(*spec.Replicas, 0), MaxReplicas)
		}
	}
	return total
}
