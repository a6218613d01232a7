package jobtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
)

// Render returns what the controller of a kind creates for a new job, without a
// cluster: its pods, in the order of their replicas, then its services, then its owned
// objects, both in the order in which they are created. Pods run at once, so that those are
// among them that start after others. It is made for golden tests. The job, which stays as it
// is, needs no defaults; without a namespace it is in "default".
//
// The error is that which the job's condition would name if the job is not valid or
// its objects cannot be made, or says what is wrong with the controller. A suspended job
// has no objects.
func Render[J client.Object](author jobkit.ControllerInterface[J], scheme *runtime.Scheme, job J) (objects []client.Object, err error) {
	defer func() {
		if p := recover(); p != nil {
			objects, err = nil, fmt.Errorf("cannot render: the controller's own code panicked: %v\n%s", p, debug.Stack())
		}
	}()
	if v := reflect.ValueOf(&job).Elem(); scheme == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, errors.New("Render needs a scheme and a job, and got nil")
	}
	p := &paper[J]{scheme: scheme, job: clone(job)}
	if p.job.GetNamespace() == "" {
		p.job.SetNamespace(metav1.NamespaceDefault)
	}
	jobs := &controller.JobController[J]{Controller: author, Client: p, Recorder: discardEvents{}}
	jobs.Config.MaxParallelWrites = 1
	if err := jobs.Init(scheme); err != nil {
		return nil, fmt.Errorf("cannot set up the controller: %w", err)
	}
	ctx := log.IntoContext(context.Background(), logr.Discard()) //nolint:forbidigo // it waits for nothing
	if err := p.fill(ctx, jobs); err != nil {
		return nil, fmt.Errorf("cannot render %s: %w", job.GetName(), err)
	}
	for _, c := range author.Parts(p.job).Status.Conditions {
		if c.Type == commonv1.JobFailed || c.Type == commonv1.JobStalled {
			return nil, errors.New(c.Message)
		}
	}
	for _, o := range p.created {
		o.SetUID("")
	}
	kind := author.Kind()
	slices.SortStableFunc(p.created, func(a, b client.Object) int { return cmp.Or(sheet(a)-sheet(b), role(&kind, a)-role(&kind, b)) })
	return p.created, nil
}

// fill passes over the job until nothing more is created. A pass creates what it can; the one
// after it the next, or says why it could not.
func (p *paper[J]) fill(ctx context.Context, jobs *controller.JobController[J]) error {
	for passes, before := 0, -1; passes < 2 || len(p.created) > before && passes < maxRenderPasses; passes++ {
		before = len(p.created)
		if _, err := jobs.ReconcileJobs(ctx, clone(p.job)); err != nil {
			return err
		}
	}
	return nil
}

// maxRenderPasses is how many reconciles a job Render takes at most.
const maxRenderPasses = 20

// role is the place of a pod's replica type among those of the kind.
func role(kind *jobkit.Kind, o client.Object) int {
	return slices.IndexFunc(kind.Roles, func(r jobkit.Role) bool {
		_, pod := o.(*corev1.Pod)
		return pod && strings.EqualFold(string(r.Type), o.GetLabels()[commonv1.ReplicaTypeLabel])
	})
}

// sheet sorts pods before services, and services before owned objects.
func sheet(o client.Object) int {
	switch o.(type) {
	case *corev1.Pod:
		return 0
	case *corev1.Service:
		return 1
	default:
		return 2
	}
}

// paper is a client without a cluster: it notes down what is created, and shows
// that and the job. What it shows is what was created first: to change or delete that is
// allowed, and has no effect. A call that Render has no use for panics.
type paper[J client.Object] struct {
	client.Client

	scheme  *runtime.Scheme
	job     J
	version int
	created []client.Object
}

// Get implements client.Reader. Only the job's metadata is ever asked for.
func (p *paper[J]) Get(_ context.Context, _ client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	into.SetUID(p.job.GetUID())
	into.SetResourceVersion(p.job.GetResourceVersion())
	return nil
}

// List implements client.Reader. What there is belongs to the job.
func (p *paper[J]) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	gvk, err := p.GroupVersionKindFor(list)
	if err != nil {
		return err
	}
	var items []runtime.Object
	for _, o := range p.created {
		if own := o.GetObjectKind().GroupVersionKind(); own.GroupVersion() == gvk.GroupVersion() && own.Kind+"List" == gvk.Kind {
			if pod, ok := o.(*corev1.Pod); ok {
				o = running(pod)
			}
			items = append(items, o)
		}
	}
	return meta.SetList(list, items) //nolint:wrapcheck // the caller says of what
}

// running is a pod that has started and is ready.
func running(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Spec.NodeName = "node"
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return pod
}

// Patch implements client.Writer. What a job has when it begins is to be shown, not what
// becomes of that.
func (p *paper[J]) Patch(context.Context, client.Object, client.Patch, ...client.PatchOption) error {
	return nil
}

// Create implements client.Writer.
func (p *paper[J]) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	gvk, err := p.GroupVersionKindFor(o)
	if err != nil {
		return err
	}
	o.SetUID(types.UID(strconv.Itoa(len(p.created) + 1)))
	noted := clone(o)
	noted.GetObjectKind().SetGroupVersionKind(gvk)
	p.created = append(p.created, noted)
	return nil
}

// Update implements client.Writer.
func (p *paper[J]) Update(context.Context, client.Object, ...client.UpdateOption) error { return nil }

// Delete implements client.Writer.
func (p *paper[J]) Delete(context.Context, client.Object, ...client.DeleteOption) error { return nil }

// Scheme implements client.Client.
func (p *paper[J]) Scheme() *runtime.Scheme { return p.scheme }

// GroupVersionKindFor implements client.Client.
func (p *paper[J]) GroupVersionKindFor(o runtime.Object) (schema.GroupVersionKind, error) {
	return apiutil.GVKForObject(o, p.scheme) //nolint:wrapcheck // it says which type
}

// Status implements client.Client.
func (p *paper[J]) Status() client.SubResourceWriter { return paperStatus[J]{p: p} }

// paperStatus writes the status of the job.
type paperStatus[J client.Object] struct {
	client.SubResourceWriter

	p *paper[J]
}

// Patch implements client.SubResourceWriter.
func (s paperStatus[J]) Patch(_ context.Context, o client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
	job, ok := o.(J)
	if !ok {
		return fmt.Errorf("the status of a %T is to be written, not of a %T", s.p.job, o)
	}
	s.p.version++
	job.SetResourceVersion(strconv.Itoa(s.p.version))
	s.p.job = clone(job)
	return nil
}

// discardEvents discards events.
type discardEvents struct{}

// Eventf implements events.EventRecorder.
func (discardEvents) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}
