package jobtest

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// withService is the controller of TestJobs whose Workers have an ordinary service, too, unless
// it is nil, and of which one type decides whether a job of both runs, if it is set. If optional is
// true, a job goes on without Workers that have failed for good.
type withService struct {
	withClaims

	service  *jobkit.RoleService
	runs     commonv1.ReplicaType
	optional bool
}

// Rules implements jobkit.ControllerInterface.
func (c withService) Rules(job *testv1.TestJob) jobkit.Rules {
	r := c.withClaims.Rules(job)
	if c.runs != "" && len(job.Spec.TestReplicaSpecs) > 1 {
		r.Running = []jobkit.ReplicaSelector{jobkit.All(c.runs)}
	}
	if c.optional {
		r.Optional = []jobkit.ReplicaSelector{jobkit.All(testv1.Worker)}
	}
	return r
}

// Kind implements jobkit.ControllerInterface.
func (c withService) Kind() jobkit.Kind {
	k := c.withClaims.Kind()
	k.Role(testv1.Worker).Service = c.service
	return k
}

// randomService chooses the ordinary service of the Workers, mostly none.
func randomService(c *Chance) *jobkit.RoleService {
	return []*jobkit.RoleService{
		nil, {}, {Type: corev1.ServiceTypeLoadBalancer}, {Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
	}[c.pick(4, 75)]
}

// retypeService has a user change the type of a service.
func retypeService(name string) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		s := &corev1.Service{}
		if err := c.Get(ctx, types.NamespacedName{Namespace: jobKey.Namespace, Name: name}, s); err != nil {
			return client.IgnoreNotFound(err)
		}
		s.Spec.Type = corev1.ServiceTypeExternalName
		return c.Update(ctx, s)
	}
}

// TestRoleService: the service of a role exists while the job has replicas of it that may
// run, and not otherwise.
func TestRoleService(t *testing.T) {
	const name = "j-worker-svc"
	balancer := &jobkit.RoleService{Type: corev1.ServiceTypeLoadBalancer}
	foreignOne := func(w *World) {
		w.At(0, "creates a service", func(ctx context.Context, c client.Client) error {
			return c.Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: jobKey.Namespace, Name: name}})
		})
	}
	for title, tc := range map[string]struct {
		reason  string
		service *jobkit.RoleService
		users   func(*World)
		after   time.Duration
		want    bool // whether the job has it
		stalled bool
	}{
		"while it runs":   {reason: "it is made with the role", service: &jobkit.RoleService{}, after: 5 * time.Second, want: true},
		"in the end":      {reason: "it goes with the last pod", service: &jobkit.RoleService{}, after: time.Hour},
		"none":            {reason: "a role without one has none", after: 5 * time.Second},
		"deleted by hand": {reason: "it is made again", service: balancer, users: func(w *World) { w.At(3*time.Second, "deletes it", deleteService(name)) }, after: 8 * time.Second, want: true},
		"changed by hand": {reason: "its type is put right", service: balancer, users: func(w *World) { w.At(3*time.Second, "changes it", retypeService(name)) }, after: 8 * time.Second, want: true},
		"suspended":       {reason: "it goes with the pods", service: balancer, users: func(w *World) { w.At(3*time.Second, "suspends", edit(suspend(true))) }, after: time.Hour},
		"scaled to 0":     {reason: "nothing is behind it", service: balancer, users: func(w *World) { w.At(3*time.Second, "scales", edit(scaleTo(0))) }, after: time.Hour},
		"resumed while its load balancer goes": {reason: "it is made again when the old one is gone", service: balancer, users: func(w *World) {
			w.At(3*time.Second, "suspends", edit(suspend(true)))
			w.At(3*time.Second, "resumes", edit(suspend(false)))
		}, after: 6 * time.Second, want: true},
		"of another": {reason: "a service of that name that is not the job's is left alone, and the job says so", service: balancer, users: foreignOne, after: 5 * time.Second, stalled: true},
	} {
		t.Run(title, func(t *testing.T) {
			w, err := NewWorld[*testv1.TestJob](withService{service: tc.service}, testScheme, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if tc.users != nil {
				tc.users(w)
			}
			w.At(time.Second, "creates the job", func(ctx context.Context, c client.Client) error { return c.Create(ctx, newJob(jobKey.Name, 2)) })
			pass(t, w, tc.after)
			job := read(t, w, jobKey.Name)
			s := &corev1.Service{}
			err = w.Client().Get(t.Context(), types.NamespacedName{Namespace: jobKey.Namespace, Name: name}, s)
			has := err == nil && metav1.IsControlledBy(s, job)
			if has != tc.want || has && tc.service.Type != "" && s.Spec.Type != tc.service.Type || client.IgnoreNotFound(err) != nil {
				t.Errorf("%s: the job has it: %t, want %t (%v)\n%s", tc.reason, has, tc.want, err, w.Transcript())
			}
			if tc.stalled != job.Status.IsTrue(commonv1.JobStalled) || tc.stalled && len(s.OwnerReferences)+len(s.Spec.Selector) > 0 {
				t.Errorf("%s: %+v, %+v", tc.reason, job.Status.Conditions, s)
			}
			rest(t, w)
		})
	}
}

// TestMonitorSeesRoleServices: the check of the services of roles can fail.
func TestMonitorSeesRoleServices(t *testing.T) {
	w, err := NewWorld[*testv1.TestJob](withService{service: &jobkit.RoleService{}}, testScheme, Options{Fate: forever})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Client().Create(t.Context(), newJob(jobKey.Name, 1)); err != nil {
		t.Fatal(err)
	}
	rest(t, w)
	i := slices.IndexFunc(w.serviceTable().all(), func(o client.Object) bool { return o.GetName() == "j-worker-svc" })
	s, ok := w.serviceTable().all()[i].(*corev1.Service)
	if !ok {
		t.Fatal("there is no such service")
	}
	s.Spec.PublishNotReadyAddresses = true
	w.monitor.checkServices(read(t, w, jobKey.Name), []client.Object{s})
	if w.broken == nil || w.broken.Promise != "role service" {
		t.Errorf("a service that leads to pods which are not ready: %v", w.broken)
	}
}
