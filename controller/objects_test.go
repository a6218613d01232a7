package controller_test

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// keeper is a TestJob operator that keeps a ConfigMap with the names of the
// replicas that run.
type keeper struct {
	testjob.Controller

	content string
	// as is what the author says of the ConfigMap.
	as jobkit.OwnedObject
}

func (*keeper) ObjectKinds() []jobkit.Object { return []jobkit.Object{&corev1.ConfigMap{}} }

func (k *keeper) Objects(job *testv1.TestJob, _ *jobkit.Tally) []jobkit.Object {
	if k.content == "" {
		return nil
	}
	owned := k.as
	owned.Object = &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: job.Name + "-config", Labels: map[string]string{"app": job.Name}},
		Data:       map[string]string{"k": k.content},
	}
	if k.as == (jobkit.OwnedObject{}) {
		return []jobkit.Object{owned.Object}
	}
	return []jobkit.Object{owned}
}

func TestOwnedObjects(t *testing.T) {
	k := &keeper{content: "1"}
	b := newBench(t, k, testJob(1))
	key := client.ObjectKey{Namespace: "ns", Name: "job-config"}
	read := func() *corev1.ConfigMap {
		var c corev1.ConfigMap
		if err := b.client.Get(t.Context(), key, &c); err != nil {
			if apierrors.IsNotFound(err) {
				return nil
			}
			t.Fatal(err)
		}
		return &c
	}
	mustReconcile(t, b)
	c := read()
	if c == nil {
		t.Fatal("the object was not created")
	}
	wantLabels := map[string]string{"app": "job", commonv1.JobNameLabel: "job", commonv1.OperatorNameLabel: "testjob-controller"}
	if diff := cmp.Diff(wantLabels, c.Labels); diff != "" {
		t.Errorf("its own labels and those of the job (-want +got):\n%s", diff)
	}
	if owner := metav1.GetControllerOf(c); owner == nil || owner.UID != "job-uid" {
		t.Errorf("the job owns it, got %+v", owner)
	}

	c.Data["other"] = "stays"
	if err := b.client.Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	k.content = "2"
	mustReconcile(t, b)
	if diff := cmp.Diff(map[string]string{"k": "2", "other": "stays"}, read().Data); diff != "" {
		t.Errorf("what differs is fixed, what others added stays (-want +got):\n%s", diff)
	}
	if calls, _, err := b.reconcile(); err != nil || len(calls) > 0 {
		t.Errorf("at rest nothing is written, got %q, %v", calls, err)
	}

	k.content = ""
	mustReconcile(t, b)
	if c := read(); c != nil {
		t.Errorf("what is no longer wanted goes, got %+v", c)
	}
}

// TestOwnedObjectsThatStay: what an author says of an object decides when it goes.
func TestOwnedObjectsThatStay(t *testing.T) {
	for name, tc := range map[string]struct {
		reason              string
		as                  jobkit.OwnedObject
		suspended, finished bool // whether it stays
	}{
		"Plain":         {reason: "it goes with the pods"},
		"KeepSuspended": {reason: "it stays while the job is suspended", as: jobkit.OwnedObject{KeepSuspended: true}, suspended: true},
		"KeepFinished":  {reason: "it stays when the job has finished", as: jobkit.OwnedObject{KeepFinished: true}, finished: true},
		"Both":          {reason: "it stays as long as the job", as: jobkit.OwnedObject{KeepSuspended: true, KeepFinished: true}, suspended: true, finished: true},
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range []struct {
				how    string
				change func(*bench)
				stays  bool
			}{
				{"suspended", func(b *bench) {
					job := b.job()
					job.Spec.RunPolicy.Suspend = new(true)
					if err := b.client.Update(t.Context(), job); err != nil {
						t.Fatal(err)
					}
				}, tc.suspended},
				{"finished", func(b *bench) { b.setPhase(corev1.PodSucceeded) }, tc.finished},
			} {
				b := newBench(t, &keeper{content: "1", as: tc.as}, testJob(1))
				for range 2 {
					mustReconcile(t, b)
				}
				end.change(b)
				for range 4 {
					mustReconcile(t, b)
				}
				err := b.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "job-config"}, &corev1.ConfigMap{})
				if err != nil && !apierrors.IsNotFound(err) || (err == nil) != end.stays {
					t.Errorf("%s: of a job that is %s it exists: %t, want %t", tc.reason, end.how, err == nil, end.stays)
				}
			}
		})
	}
}

// TestExistingObjectIsUsed: an object that another client has made is used as it is.
func TestExistingObjectIsUsed(t *testing.T) {
	foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job-config"}}
	b := newBench(t, &keeper{content: "1", as: jobkit.OwnedObject{UseExisting: true}}, testJob(1), foreign)
	calls, _, err := b.reconcile()
	slices.Sort(calls[min(1, len(calls)):]) // services and pods are created side by side
	if diff := cmp.Diff([]string{"create configmap job-config", "create pod job-worker-0", "create service job"}, calls); diff != "" || err != nil {
		t.Errorf("it is in no one's way, %v (-want +got):\n%s", err, diff)
	}
	if calls, _, err := b.reconcile(); err != nil || len(calls) > 0 {
		t.Errorf("at rest nothing is written, got %q, %v", calls, err)
	}
	var after corev1.ConfigMap
	if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(foreign), &after); err != nil || len(after.Data) > 0 || len(after.OwnerReferences) > 0 {
		t.Errorf("it is not touched, got %+v, %v", after, err)
	}
}

// TestObjectOfSomeoneElse: no pod is created before an object exists that others make, and nothing is done to it.
func TestObjectOfSomeoneElse(t *testing.T) {
	const missing = "TestJobObjectMissing: TestJob ns/job cannot use ConfigMap job-config: " +
		"there is no ConfigMap of that name in the namespace ns: create it, or have the job name another one"
	there := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job-config"}}
	goes := there.DeepCopy()
	goes.DeletionTimestamp, goes.Finalizers = new(metav1.Unix(1_800_000_000, 0)), []string{"example.com/stays"}
	for name, tc := range map[string]struct {
		reason  string
		objects []client.Object
		err     error
		creates bool
	}{
		"Missing": {reason: "the job says so"},
		"Goes":    {reason: "it is deleted at the moment", objects: []client.Object{goes}},
		"There":   {reason: "the job uses it", objects: []client.Object{there}, creates: true},
		"Forbidden": {
			reason: "an operator that may not read it goes on, as before", err: apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "job-config", nil),
			creates: true,
		},
	} {
		b := newBench(t, &keeper{content: "1", as: jobkit.OwnedObject{MustExist: true}}, append(tc.objects, testJob(1))...)
		if tc.err != nil {
			b.intercept(interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
				if o.GetObjectKind().GroupVersionKind().Kind == "ConfigMap" {
					return tc.err
				}
				return c.Get(ctx, key, o, opts...)
			}})
		}
		calls, _, err := b.reconcile()
		if slices.Contains(calls, "create pod job-worker-0") != tc.creates || slices.Contains(calls, "create configmap job-config") || err != nil {
			t.Errorf("%s: %s: got %q, %v", name, tc.reason, calls, err)
		}
		mustReconcile(t, b)
		if got := b.conditions(); slices.Contains(got, missing) == tc.creates {
			t.Errorf("%s: %s: got %q", name, tc.reason, got)
		}
	}
}

func TestOwnedObjectOfAnotherOwner(t *testing.T) {
	foreign := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job-config"}}
	b := newBench(t, &keeper{content: "1"}, testJob(1), foreign)
	if _, _, err := b.reconcile(); err != nil {
		t.Fatal(err)
	}
	mustReconcile(t, b)
	want := []string{
		"TestJobCreated: TestJob job is created.",
		"TestJobNameConflict: TestJob ns/job cannot create ConfigMap job-config: a ConfigMap of that name exists and belongs to no job: delete or rename it, or give the job another name",
	}
	if diff := cmp.Diff(want, b.conditions()); diff != "" {
		t.Errorf("the job says what is in the way (-want +got):\n%s", diff)
	}
	var after corev1.ConfigMap
	if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(foreign), &after); err != nil || len(after.Data) > 0 || len(after.OwnerReferences) > 0 {
		t.Errorf("an object of another client is not touched, got %+v, %v", after, err)
	}
}

func TestServiceFollowsTheJob(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(1))
	mustReconcile(t, b)
	job := b.job()
	c := &job.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Containers[0]
	c.Ports = []corev1.ContainerPort{{Name: "extra", ContainerPort: 99, Protocol: corev1.ProtocolUDP}}
	if err := b.client.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		mustReconcile(t, b)
	}
	var service corev1.Service
	if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "job"}, &service); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range service.Spec.Ports {
		got = append(got, p.Name+" "+string(p.Protocol))
	}
	if diff := cmp.Diff([]string{"extra UDP", "job-port TCP"}, got); diff != "" {
		t.Errorf("the ports of the service are those of the job (-want +got):\n%s", diff)
	}
}

// warner is a TestJob operator that has something to say of every job.
type warner struct{ testjob.Controller }

func (warner) Warn(*testv1.TestJob) []jobkit.Warning {
	return []jobkit.Warning{{Reason: "Careful", Message: "this is unusual"}}
}

func TestWarningsAreReportedOnce(t *testing.T) {
	b := newBench(t, warner{}, testJob(1))
	for range 3 {
		mustReconcile(t, b)
	}
	n := 0
	for _, e := range b.recorder.events {
		if e == "Warning Careful: this is unusual" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("want the warning once, got it %d times in %q", n, b.recorder.events)
	}
}

var (
	_ jobkit.OwnedObjects[*testv1.TestJob] = &keeper{}
	_ jobkit.Warner[*testv1.TestJob]       = warner{}
)
