package gangtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/gang/schedulers"
	"github.com/jobkit/jobkit/jobtest"
)

// inWorld runs a job of one Master and two Workers with the coscheduling plugin for a while.
func inWorld(t *testing.T, change func(*testv1.TestJob), others ...jobkit.Object) *jobtest.World {
	t.Helper()
	return inWorldOf(t, func(*corev1.Pod) jobtest.Fate { return jobtest.Fate{Start: time.Second, Run: time.Hour} }, change, others...)
}

// inWorldOf does so with pods of some fate.
func inWorldOf(t *testing.T, fate func(*corev1.Pod) jobtest.Fate, change func(*testv1.TestJob), others ...jobkit.Object) *jobtest.World {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, testv1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	w, err := jobtest.NewWorld[*testv1.TestJob](testjob.Controller{}, known, jobtest.Options{
		Gang: schedulers.ByName("coscheduling", schedulers.Options{}),
		Fate: fate,
	})
	if err != nil {
		t.Fatal(err)
	}
	spec := func(n int32, resource corev1.ResourceName) *commonv1.ReplicaSpec {
		c := corev1.Container{Name: testv1.ContainerName, Image: "test"}
		c.Resources.Requests = corev1.ResourceList{resource: one()}
		return &commonv1.ReplicaSpec{Replicas: &n, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}}
	}
	job := &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job"}, Spec: testv1.TestJobSpec{
		TestReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{testv1.Master: spec(1, "cpu"), testv1.Worker: spec(2, "memory")},
	}}
	change(job)
	for _, o := range append(others, job) {
		if err := w.Client().Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	runFor(t, w, 10*time.Second)
	return w
}

func one() resource.Quantity { return *resource.NewQuantity(1, resource.DecimalSI) }

func runFor(t *testing.T, w *jobtest.World, d time.Duration) {
	t.Helper()
	if err := w.RunFor(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// podGroup reads the group of the coscheduling plugin.
func podGroup(t *testing.T, w *jobtest.World) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schedulers.ByName("coscheduling", schedulers.Options{}).Kinds()[0].GetObjectKind().GroupVersionKind())
	if err := w.Client().Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "job-testjob"}, u); err != nil {
		t.Fatal(err)
	}
	return u
}

// TestRow63: priorities are those of the priority classes that there are.
func TestRow63(t *testing.T) {
	w := inWorld(t, func(job *testv1.TestJob) {
		job.Spec.RunPolicy.SchedulingPolicy = &commonv1.SchedulingPolicy{MinAvailable: new(int32(2))}
		job.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.PriorityClassName = "high"
		job.Spec.TestReplicaSpecs[testv1.Master].Template.Spec.PriorityClassName = "unknown"
	}, &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1000})
	spec, _ := podGroup(t, w).Object["spec"].(map[string]any)
	want := map[string]any{"minMember": int64(2), "minResources": map[string]any{"memory": "2"}}
	if diff := cmp.Diff(want, spec); diff != "" {
		t.Errorf("the two Workers count, whose priority is higher (-want +got):\n%s", diff)
	}
}

// TestRow64: what others set in a group stays, and nothing is written for it.
func TestRow64(t *testing.T) {
	w := inWorld(t, func(*testv1.TestJob) {})
	u := podGroup(t, w)
	spec, _ := u.Object["spec"].(map[string]any)
	spec["minTaskMember"] = map[string]any{"worker": int64(1)}
	spec["minResources"] = map[string]any{"cpu": "1000m", "memory": "2"}
	if err := w.Client().Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	version := u.GetResourceVersion()
	runFor(t, w, time.Minute)
	if got := podGroup(t, w); got.GetResourceVersion() != version {
		t.Errorf("it says all that is wanted, but was written: %v", got.Object["spec"])
	}
	spec, _ = u.Object["spec"].(map[string]any)
	spec["minMember"], spec["minResources"] = int64(1), map[string]any{"cpu": "1", "memory": "2", "nvidia.com/gpu": "8"}
	if err := w.Client().Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	runFor(t, w, time.Minute)
	want := map[string]any{
		"minMember": int64(3), "minTaskMember": map[string]any{"worker": int64(1)}, "minResources": map[string]any{"cpu": "1", "memory": "2"},
	}
	if diff := cmp.Diff(want, podGroup(t, w).Object["spec"]); diff != "" {
		t.Errorf("only what is ours is fixed (-want +got):\n%s", diff)
	}
}

// TestRow69: a template that names another scheduler is left alone, and one event says
// so.
func TestRow69(t *testing.T) {
	w := inWorld(t, func(job *testv1.TestJob) {
		job.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.SchedulerName = "mine"
	})
	warned := 0
	for _, e := range w.Events() {
		if e.Reason == "SetPodTemplateSchedulerName" {
			warned++
			if !e.Warning || !strings.Contains(e.Message, "Worker names the scheduler mine") {
				t.Errorf("got %+v", e)
			}
		}
	}
	if warned != 1 {
		t.Errorf("want one event, got %d", warned)
	}
	var pods corev1.PodList
	if err := w.Client().List(t.Context(), &pods); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for i := range pods.Items {
		got[pods.Items[i].Name] = pods.Items[i].Spec.SchedulerName + " " + pods.Items[i].Labels[commonv1.PodGroupLabel]
	}
	want := map[string]string{"job-master-0": "scheduler-plugins-scheduler job-testjob", "job-worker-0": "mine ", "job-worker-1": "mine "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the others are scheduled together (-want +got):\n%s", diff)
	}
	if n, _, _ := unstructured.NestedInt64(podGroup(t, w).Object, "spec", "minMember"); n != 1 {
		t.Errorf("the group has one member, got %d", n)
	}
}

// TestTypeOfAnotherScheduler: pods that are left to another scheduler say nothing of the group of
// the others.
func TestTypeOfAnotherScheduler(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*testv1.TestJob)
		then   func(*testing.T, *jobtest.World, []corev1.Pod)
	}{
		"WorkersReplaced": {
			reason: "the Master alone runs while the Workers are replaced", change: func(*testv1.TestJob) {},
			then: func(t *testing.T, w *jobtest.World, pods []corev1.Pod) {
				t.Helper()
				for i := range pods {
					if pods[i].Labels[commonv1.ReplicaTypeLabel] != "worker" {
						continue
					}
					if err := w.Client().Delete(t.Context(), &pods[i], client.GracePeriodSeconds(0)); err != nil {
						t.Fatal(err)
					}
				}
			},
		},
		"MasterFirst": {
			reason: "the Workers start after the Master",
			change: func(job *testv1.TestJob) {
				job.Spec.TestReplicaSpecs[testv1.Worker].StartAfter = &commonv1.StartAfter{ReplicaType: testv1.Master, State: commonv1.StartAfterRunning}
			},
			then: func(*testing.T, *jobtest.World, []corev1.Pod) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := inWorld(t, func(job *testv1.TestJob) {
				job.Spec.TestReplicaSpecs[testv1.Master].Template.Spec.SchedulerName = "mine"
				tc.change(job)
			})
			var pods corev1.PodList
			if err := w.Client().List(t.Context(), &pods); err != nil {
				t.Fatal(err)
			}
			tc.then(t, w, pods.Items)
			runFor(t, w, time.Minute)
			if err := w.Client().List(t.Context(), &pods); err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for i := range pods.Items {
				got[pods.Items[i].Name] = pods.Items[i].Labels[commonv1.PodGroupLabel]
			}
			want := map[string]string{"job-master-0": "", "job-worker-0": "job-testjob", "job-worker-1": "job-testjob"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			podGroup(t, w)
		})
	}
}

// masterThenWorkers has the Workers start when the Master has succeeded, and then find no room.
func masterThenWorkers(t *testing.T, change func(*testv1.TestJob)) *jobtest.World {
	t.Helper()
	w := inWorldOf(t, func(p *corev1.Pod) jobtest.Fate {
		if p.Labels[commonv1.ReplicaTypeLabel] == "master" {
			return jobtest.Fate{Start: time.Second, Run: 5 * time.Second}
		}
		return jobtest.Fate{Unschedulable: true}
	}, func(job *testv1.TestJob) {
		job.Spec.TestReplicaSpecs[testv1.Worker].StartAfter = &commonv1.StartAfter{ReplicaType: testv1.Master, State: commonv1.StartAfterSucceeded}
		job.Spec.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{{ReplicaType: testv1.Worker, Count: new(int32(2))}}}
		change(job)
	})
	runFor(t, w, time.Minute)
	return w
}

// TestDoneOfAnotherScheduler: what was never in the group does not make it smaller.
func TestDoneOfAnotherScheduler(t *testing.T) {
	w := masterThenWorkers(t, func(job *testv1.TestJob) {
		job.Spec.TestReplicaSpecs[testv1.Master].Template.Spec.SchedulerName = "mine"
	})
	spec, _ := podGroup(t, w).Object["spec"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"minMember": int64(2), "minResources": map[string]any{"memory": "2"}}, spec); diff != "" {
		t.Errorf("both Workers wait for room (-want +got):\n%s", diff)
	}
}

// TestResourcesOfDone: what has succeeded has given its resources back. Another job may have them by
// now, and those that wait must not wait for them.
func TestResourcesOfDone(t *testing.T) {
	w := masterThenWorkers(t, func(*testv1.TestJob) {})
	spec, _ := podGroup(t, w).Object["spec"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"minMember": int64(2), "minResources": map[string]any{"memory": "2"}}, spec); diff != "" {
		t.Errorf("the Workers need no cpu (-want +got):\n%s", diff)
	}
}

// TestPodsWithoutAGroup: a job whose pods were made without a group goes on without, so
// that a pod which is replaced does not wait for those that will never join it.
func TestPodsWithoutAGroup(t *testing.T) {
	w := inWorld(t, func(*testv1.TestJob) {})
	var pods corev1.PodList
	if err := w.Client().List(t.Context(), &pods); err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		delete(pods.Items[i].Labels, commonv1.PodGroupLabel)
		if err := w.Client().Update(t.Context(), &pods.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Client().Delete(t.Context(), &pods.Items[0], client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	runFor(t, w, time.Minute)
	if err := w.Client().List(t.Context(), &pods); err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 3 {
		t.Fatalf("want 3 pods, got %d", len(pods.Items))
	}
	for i := range pods.Items {
		if name := pods.Items[i].Labels[commonv1.PodGroupLabel]; name != "" {
			t.Errorf("pod %s joined %s", pods.Items[i].Name, name)
		}
	}
}

// TestRemovedSetting: what a job's policy does not say any more goes from its group, and
// what others set there stays.
func TestRemovedSetting(t *testing.T) {
	edit := func(w *jobtest.World, p *commonv1.SchedulingPolicy) {
		job := &testv1.TestJob{}
		if err := w.Client().Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "job"}, job); err != nil {
			t.Fatal(err)
		}
		job.Spec.RunPolicy.SchedulingPolicy = p
		for _, spec := range job.Spec.TestReplicaSpecs {
			spec.Template.Spec.Containers[0].Resources.Requests = nil
		}
		if err := w.Client().Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		runFor(t, w, time.Minute)
	}
	w := inWorld(t, func(job *testv1.TestJob) {
		job.Spec.RunPolicy.SchedulingPolicy = &commonv1.SchedulingPolicy{ScheduleTimeoutSeconds: new(int32(30))}
	})
	check := func(reason string, want map[string]any) {
		t.Helper()
		if diff := cmp.Diff(want, podGroup(t, w).Object["spec"]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reason, diff)
		}
	}
	check("all exists", map[string]any{
		"minMember": int64(3), "minResources": map[string]any{"cpu": "1", "memory": "2"}, "scheduleTimeoutSeconds": int64(30),
	})
	edit(w, nil)
	check("what the job asked for and does not any more goes", map[string]any{"minMember": int64(3)})
	u := podGroup(t, w)
	spec, _ := u.Object["spec"].(map[string]any)
	spec["scheduleTimeoutSeconds"], spec["minResources"] = int64(60), map[string]any{"cpu": "5"}
	if err := w.Client().Update(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	edit(w, &commonv1.SchedulingPolicy{MinAvailable: new(int32(2))})
	check("what another client set stays", map[string]any{
		"minMember": int64(2), "minResources": map[string]any{"cpu": "5"}, "scheduleTimeoutSeconds": int64(60),
	})
	edit(w, &commonv1.SchedulingPolicy{ScheduleTimeoutSeconds: new(int32(90))})
	edit(w, nil)
	check("until the job says something of it", map[string]any{"minMember": int64(3), "minResources": map[string]any{"cpu": "5"}})
}

// TestScaledBelowMinAvailable is row 282: a job that runs may be scaled below the minimum of its gang. The
// gang is then all of its pods, and the minimum counts again when the job is scaled up.
func TestScaledBelowMinAvailable(t *testing.T) {
	w := inWorld(t, func(job *testv1.TestJob) {
		job.Spec.RunPolicy.SchedulingPolicy = &commonv1.SchedulingPolicy{MinAvailable: new(int32(3))}
	})
	for _, step := range []struct{ workers, pods, minMember int32 }{{2, 3, 3}, {1, 2, 2}, {0, 1, 1}, {4, 5, 3}} {
		job, pods := &testv1.TestJob{}, &corev1.PodList{}
		if err := w.Client().Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "job"}, job); err != nil {
			t.Fatal(err)
		}
		job.Spec.TestReplicaSpecs[testv1.Worker].Replicas = &step.workers
		if err := w.Client().Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		runFor(t, w, time.Minute)
		if err := w.Client().List(t.Context(), pods); err != nil {
			t.Fatal(err)
		}
		spec, _ := podGroup(t, w).Object["spec"].(map[string]any)
		if diff := cmp.Diff([]int64{int64(step.pods), int64(step.minMember)}, []int64{int64(len(pods.Items)), spec["minMember"].(int64)}); diff != "" {
			t.Errorf("pods, and those of them that must fit at the same time, with %d Workers (-want +got):\n%s", step.workers, diff)
		}
		if err := w.Client().Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil || job.Status.State != commonv1.JobRunning {
			t.Errorf("with %d Workers the job is %s, %v", step.workers, job.Status.State, err)
		}
	}
}
