package launcherjob_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/launcherjob"
	launcherv1 "github.com/jobkit/jobkit/examples/launcherjob/v1"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/jobtest/conformance"
)

// launcherJob is a job with a Launcher and two Workers.
func launcherJob() *launcherv1.LauncherJob {
	spec := func(n int32) *commonv1.ReplicaSpec {
		return &commonv1.ReplicaSpec{Replicas: &n, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: launcherv1.ContainerName, Image: "program"}},
		}}}
	}
	job := &launcherv1.LauncherJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job"}}
	job.Spec.ReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{launcherv1.Launcher: spec(1), launcherv1.Worker: spec(2)}
	return job
}

func TestConformance(t *testing.T) {
	conformance.Run(t, launcherjob.Controller{}, launcherJob())
}

// world runs the job; its Workers run forever, and its Launcher for a minute.
func world(t *testing.T, job *launcherv1.LauncherJob) *jobtest.World {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, launcherv1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	w, err := jobtest.NewWorld[*launcherv1.LauncherJob](launcherjob.Controller{}, known, jobtest.Options{Fate: func(pod *corev1.Pod) jobtest.Fate {
		return jobtest.Fate{Start: 5 * time.Second, Run: time.Minute, Forever: pod.Labels[commonv1.ReplicaTypeLabel] == "worker"}
	}})
	if err == nil {
		err = w.Client().Create(t.Context(), job)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// TestLife: the file exists before the pods and follows the number of Workers; the Launcher
// starts last, and when it has ended only its own pod stays.
func TestLife(t *testing.T) {
	job := launcherJob()
	w := world(t, job)
	check := func(pods, file string) {
		t.Helper()
		var list corev1.PodList
		if err := w.Client().List(t.Context(), &list); err != nil {
			t.Fatal(err)
		}
		var names []string
		for i := range list.Items {
			names = append(names, list.Items[i].Name)
		}
		config := &corev1.ConfigMap{}
		err := w.Client().Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "job-hosts"}, config)
		if client.IgnoreNotFound(err) != nil || apierrors.IsNotFound(err) != (file == "") {
			t.Errorf("the ConfigMap: %v", err)
		}
		if diff := cmp.Diff([]string{pods, file}, []string{strings.Join(names, " "), config.Data["hostfile"]}); diff != "" {
			t.Errorf("pods and file (-want +got):\n%s", diff)
		}
	}
	runFor := func(d time.Duration) {
		t.Helper()
		if err := w.RunFor(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	runFor(2 * time.Second)
	check("job-worker-0 job-worker-1", "job-worker-0.job slots=1\njob-worker-1.job slots=1\n")
	runFor(8 * time.Second)
	check("job-launcher job-worker-0 job-worker-1", "job-worker-0.job slots=1\njob-worker-1.job slots=1\n")
	if err := w.Client().Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
	job.Spec.SlotsPerWorker, job.Spec.ReplicaSpecs[launcherv1.Worker].Replicas = 4, new(int32(1))
	if err := w.Client().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	runFor(20 * time.Second)
	check("job-launcher job-worker-0", "job-worker-0.job slots=4\n")
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("job-launcher", "")
	if err := w.Client().Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil || job.Status.State != commonv1.JobSucceeded {
		t.Errorf("%v, %+v", err, job.Status)
	}
}

// TestOtherServices: the names in the file are those of the service of the job.
func TestOtherServices(t *testing.T) {
	job := launcherJob()
	job.Spec.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica)
	w := world(t, job)
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Client().Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
	if c := job.Status.Condition(commonv1.JobFailed); c == nil || !strings.Contains(c.Message, `spec.runPolicy.serviceMode: Unsupported value: "PerReplica"`) {
		t.Errorf("got %+v", job.Status)
	}
}
