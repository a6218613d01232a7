package controller

import (
	"context"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// ownerIndex is the name of the cache index of pods and services by the UID of
// their controller. It holds the operator's name because each operator of a
// manager has its own.
func ownerIndex(operator string) string { return "jobkit.controllerUID/" + operator }

// Kinds of children, as they are named in messages.
const (
	kindPod     = "pod"
	kindService = "service"
	// kindRole is that of the roles which bindings refer to.
	kindRole = "Role"
)

// observe collects all that the plan for a job depends on.
func (c *JobController[J]) observe(ctx context.Context, job J) (*plan.Input, error) {
	in := &plan.Input{}
	if c.set.defaulter != nil {
		c.callAuthor(ctx, in, "Default", func() { c.set.defaulter.Default(job) })
	}
	parts, operatorError := c.partsOf(ctx, job)
	if operatorError != "" {
		return c.haltedInput(job, plan.OperatorError, operatorError)
	}
	if parts.Status.Condition(commonv1.JobCreated) != nil {
		// An earlier version, or training-operator v1, may have accepted it as it is.
		plan.SpellTypes(&c.set.kind, parts.ReplicaSpecs)
		plan.DropControllersLabels(parts.ReplicaSpecs)
	}
	plan.SetDefaults(&c.set.kind, parts.RunPolicy, parts.ReplicaSpecs)
	*in = plan.Input{
		OperatorError: in.OperatorError,
		Kind:          c.set.kind,
		Job:           identify(job),
		RunPolicy:     *parts.RunPolicy,
		Replicas:      parts.ReplicaSpecs,
		Status:        plan.UnpackStatus(*parts.Status),
		Backoff:       plan.DefaultBackoff(),
		Now:           c.set.clock.Now(),
	}
	if in.RunPolicy.ProgressPolicy != nil {
		in.Progress = c.progressOf(job)
	}
	if in.Job.Deleted {
		c.set.departed.forget(client.ObjectKeyFromObject(job), job.GetUID())
		return in, nil
	}
	in.Job.Queued = plan.Queued(job, parts.ReplicaSpecs)
	in.Tried = c.set.pending.tried(job)
	c.callValidators(ctx, job, in)
	var err error
	requests := c.set.departed.requestsFor(job)
	if in.Pods, err = c.listPods(ctx, job); err == nil {
		in.Services, err = c.listServices(ctx, job)
	}
	if panicked, ok := errors.AsType[authorPanicError](err); ok {
		return c.haltedInput(job, plan.OperatorError, panicked.message)
	}
	if err != nil {
		return nil, err
	}
	c.set.delays.observe(client.ObjectKeyFromObject(job), len(in.Pods))
	c.noteAsked(in)
	pods, services := len(in.Pods), len(in.Services)
	in.Pods = withPendingWrites(c.set.pending, job, kindPod, in.Pods, in.Now)
	in.Services = withPendingWrites(c.set.pending, job, kindService, in.Services, in.Now)
	in.ForceDeleted, in.Departed = requests.putInto(in.Pods), c.set.departed.of(job, in.Pods)
	in.Uncached = len(in.Pods) > pods || len(in.Services) > services
	if err := c.observeVolumeClaims(ctx, job, in); err != nil {
		return nil, err
	}
	in.DeadNodes = c.deadNodes(ctx, in)
	return in, nil
}

// identify returns the identity of a job.
func identify(job client.Object) plan.Job {
	return plan.Job{
		Namespace: job.GetNamespace(), Name: job.GetName(), UID: job.GetUID(),
		Generation: job.GetGeneration(), Created: job.GetCreationTimestamp().Time, Deleted: job.GetDeletionTimestamp() != nil,
	}
}

// deadNodes finds the nodes that are deleted or tainted as out of service, among those of
// pods whose deletion is overdue. It reads no node as long as no pod is overdue.
func (c *JobController[J]) deadNodes(ctx context.Context, in *plan.Input) map[string]bool {
	var dead map[string]bool
	for _, name := range plan.SuspectNodes(in) {
		if !c.isNodeDead(ctx, name) {
			continue
		}
		if dead == nil {
			dead = map[string]bool{}
		}
		dead[name] = true
	}
	return dead
}

// isNodeDead reports whether a node is deleted or tainted as out of service. The answer is remembered for a
// moment: a zone that is cut off has many nodes, and each of their jobs many passes.
func (c *JobController[J]) isNodeDead(ctx context.Context, name string) bool {
	if known, ok := c.set.nodes.Get(name); ok {
		return known == true
	}
	var node corev1.Node
	err := c.set.live.Get(ctx, client.ObjectKey{Name: name}, &node)
	if err != nil && !apierrors.IsNotFound(err) {
		log.FromContext(ctx).Info("Cannot find out whether a node is dead; its pods stay", "node", name, "reason", err.Error())
	}
	dead := apierrors.IsNotFound(err) || err == nil &&
		slices.ContainsFunc(node.Spec.Taints, func(t corev1.Taint) bool { return t.Key == corev1.TaintNodeOutOfService })
	c.set.nodes.Add(name, dead, rememberedNode)
	return dead
}

// cacheLister finds pods and services in the cache by the UID of their controller.
type cacheLister[J client.Object] struct {
	reader client.Reader
	// foreign reads kinds whose Go type the scheme does not know, or is not to be used.
	foreign client.Reader
	// untyped are kinds whose Go type is not to be used.
	untyped []schema.GroupVersionKind
	scheme  *runtime.Scheme
	indexed bool
	kind    *jobkit.Kind
	// lent returns children as the cache holds them; nil if there is no such cache.
	lent func(ctx context.Context, kind string, job J) ([]any, bool, error)
}

// ListPods implements ChildLister.
func (l *cacheLister[J]) ListPods(ctx context.Context, job J) ([]*corev1.Pod, error) {
	if pods, ok, err := lentBy[*corev1.Pod](ctx, l, "Pod", job); ok || err != nil {
		return pods, err
	}
	var list corev1.PodList
	if err := l.list(ctx, job, &list); err != nil {
		return nil, err
	}
	pods := make([]*corev1.Pod, 0, len(list.Items))
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], job) {
			pods = append(pods, &list.Items[i])
		}
	}
	return pods, nil
}

// ListServices implements ChildLister.
func (l *cacheLister[J]) ListServices(ctx context.Context, job J) ([]*corev1.Service, error) {
	if services, ok, err := lentBy[*corev1.Service](ctx, l, "Service", job); ok || err != nil {
		return services, err
	}
	var list corev1.ServiceList
	if err := l.list(ctx, job, &list); err != nil {
		return nil, err
	}
	services := make([]*corev1.Service, 0, len(list.Items))
	for i := range list.Items {
		if metav1.IsControlledBy(&list.Items[i], job) {
			services = append(services, &list.Items[i])
		}
	}
	return services, nil
}

// list reads children without copying them: nothing below changes them.
func (l *cacheLister[J]) list(ctx context.Context, job J, list client.ObjectList) error {
	var by client.ListOption = client.MatchingLabels(l.kind.JobLabels(job.GetName()))
	if l.indexed {
		by = client.MatchingFields{ownerIndex(l.kind.OperatorName): string(job.GetUID())}
	}
	in := client.InNamespace(job.GetNamespace())
	reader := l.reader
	if _, ok := list.(*unstructured.UnstructuredList); ok {
		reader = l.foreign
	}
	return reader.List(ctx, list, in, by, client.UnsafeDisableDeepCopy) //nolint:wrapcheck // the caller says of which job
}
