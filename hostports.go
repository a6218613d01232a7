package jobkit

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/hostports"
)

// portSlots say which port of its range each port of each replica gets. Replicas of one index
// have neighboring slots, whatever their type, so that a job can be scaled and no port changes.
type portSlots struct {
	first, size, start int64
	// each is how many ports the replicas of one index have together, and offset is where
	// those of a type begin.
	each   int64
	offset map[commonv1.ReplicaType]int64
}

// allocate is nil for a job whose replicas have the ports of their templates.
func allocate(kind *Kind, job types.UID, parts JobParts) *portSlots {
	p := parts.RunPolicy
	if p == nil || p.HostPorts == nil || *p.HostPorts != commonv1.HostPortsAllocate {
		return nil
	}
	first, last := hostports.Range(p)
	if first < 1 || last < first {
		return nil // The job is not valid.
	}
	s := &portSlots{first: int64(first), size: int64(last) - int64(first) + 1, offset: map[commonv1.ReplicaType]int64{}}
	for _, t := range kind.Types() {
		if spec := parts.ReplicaSpecs[t]; spec != nil && spec.Template.Spec.HostNetwork {
			s.offset[t] = s.each
			for i := range spec.Template.Spec.Containers {
				s.each += int64(len(spec.Template.Spec.Containers[i].Ports))
			}
		}
	}
	s.start = int64(hashOf(job)) % s.size
	return s
}

// hashOf is a number that differs from job to job, and never changes (FNV-1a).
func hashOf(job types.UID) uint32 {
	hash := uint32(2_166_136_261)
	for i := range len(job) {
		hash = (hash ^ uint32(job[i])) * 16_777_619
	}
	return hash
}

// number is the port that the n-th port of a replica gets.
func (s *portSlots) number(offset int64, index int32, n int) int32 {
	return int32(s.first + (s.start+int64(index)*s.each+offset+int64(n))%s.size) //nolint:gosec // in the range of ports
}

// HostPorts returns the ports of the containers of a replica, by the name of the container, if
// runPolicy.hostPorts allocates them; otherwise nil. They are in the order of the template. No
// two replicas of the job have one in common.
func (r Replica) HostPorts(t commonv1.ReplicaType, index int32) map[string][]corev1.ContainerPort {
	if r.job.ports == nil {
		return nil
	}
	offset, ok := r.job.ports.offset[t]
	if !ok {
		return nil
	}
	out, n := map[string][]corev1.ContainerPort{}, 0
	containers := r.job.specs[t].Template.Spec.Containers
	for i := range containers {
		list := slices.Clone(containers[i].Ports)
		for j := range list {
			list[j].ContainerPort = r.job.ports.number(offset, index, n)
			list[j].HostPort = list[j].ContainerPort
			n++
		}
		out[containers[i].Name] = list
	}
	return out
}

// PortOf is the number of the kind's port in one replica. Unless runPolicy.hostPorts allocates
// it, it is that of its type: see Port.
func (r Replica) PortOf(t commonv1.ReplicaType, index int32) int32 {
	for _, p := range r.HostPorts(t, index)[r.job.kind.ContainerName] {
		if p.Name == r.job.kind.PortName {
			return p.ContainerPort
		}
	}
	return r.declaredPort(t)
}
