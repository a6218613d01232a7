//go:build integration

// Package gang runs jobs whose pods start together or not at all, with the real
// scheduler of Kubernetes.
package gang

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	schedulingv1beta1 "k8s.io/api/scheduling/v1beta1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/gang/schedulers"
	"github.com/jobkit/jobkit/internal/devenv"
)

// patience is how long a test waits for what must happen.
const patience = 3 * time.Minute

// cluster is what all tests share: four nodes, each with room for one pod.
var cluster client.WithWatch

// kubeconfig is the file that leads to it, and clusterConfig what it holds.
var (
	kubeconfig    string
	clusterConfig *rest.Config
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gang:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctrl.SetLogger(logr.Discard())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	env, err := devenv.Start(ctx, devenv.Options{
		CRDs: []string{"../../config/crd"}, Nodes: 4, NodeCPU: "1",
		FeatureGates:  map[string]bool{"GenericWorkload": true},
		RuntimeConfig: map[string]bool{"scheduling.k8s.io/v1beta1": true, "scheduling.k8s.io/v1alpha3": true},
	})
	if err != nil {
		return 1, err
	}
	defer func() { _ = env.Stop() }()
	kubeconfig = env.Kubeconfig()
	config, err := env.RESTConfig()
	if err != nil {
		return 1, err
	}
	clusterConfig = config
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, testv1.AddToScheme, kubeflowv1.AddToScheme} {
		if err := add(known); err != nil {
			return 1, err
		}
	}
	if cluster, err = client.NewWithWatch(config, client.Options{Scheme: known}); err != nil {
		return 1, err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: known, Metrics: server.Options{BindAddress: "0"},
		Cache: controller.CacheOptions(schedulers.ByName("kubernetes", schedulers.Options{}).Kinds()...),
	})
	if err != nil {
		return 1, err
	}
	jobs := &controller.JobController[*testv1.TestJob]{Controller: testjob.Controller{}}
	jobs.Config.GangScheduler = schedulers.ByName("kubernetes", schedulers.Options{})
	if err := jobs.SetupWithManager(mgr); err != nil {
		return 1, err
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	code := m.Run()
	cancel()
	return code, <-ended
}

// TestTheWholeGangOrNothing: with room for three of four pods none is bound, and the
// job says why; when room appears all are.
func TestTheWholeGangOrNothing(t *testing.T) {
	ns := namespace(t)
	filler := onePod(ns)
	create(t, filler)
	eventually(t, "the filler is bound", func() string { return expect(bound(t, ns, ""), 1) })
	job := newJob(ns, "whole", 4)
	create(t, job)
	eventually(t, "the job says why it waits", func() string {
		c := read(t, job).Status.Condition(commonv1.JobStalled)
		if c == nil || c.Reason != "TestJobWaitingForGang" || !strings.Contains(c.Message, "waits for 4 of 4 pods to fit: 0/4 nodes are available: 4 Insufficient cpu.") {
			return fmt.Sprint(job.Status.Conditions)
		}
		return ""
	})
	if n := bound(t, ns, "whole"); n > 0 {
		t.Fatalf("with room for three of four pods %d are bound", n)
	}
	quiet(t, job)
	if err := cluster.Delete(t.Context(), filler, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all are bound", func() string { return expect(bound(t, ns, "whole"), 4) })
	eventually(t, "the job no longer waits", func() string {
		if s := read(t, job).Status; !s.IsTrue(commonv1.JobRunning) || s.IsTrue(commonv1.JobStalled) {
			return fmt.Sprint(s.Conditions)
		}
		return ""
	})
	quiet(t, job)
	suspend(t, job, true)
	eventually(t, "nothing is left of a suspended job", func() string {
		return expect(bound(t, ns, "whole")+groups(t, ns), 0)
	})
	suspend(t, job, false)
	eventually(t, "a job that is resumed starts whole", func() string { return expect(bound(t, ns, "whole"), 4) })
}

// TestOneAfterTheOther: two jobs that each need more than half of the room run one
// after the other, and never in part.
func TestOneAfterTheOther(t *testing.T) {
	ns := namespace(t)
	first, second := newJob(ns, "first", 3, "run-for", "3s"), newJob(ns, "second", 3, "run-for", "3s")
	create(t, first)
	create(t, second)
	eventually(t, "both jobs succeed", func() string {
		if a, b := bound(t, ns, "first"), bound(t, ns, "second"); a > 0 && b > 0 {
			t.Fatalf("half and half: %d pods of the first and %d of the second job are bound", a, b)
		}
		if read(t, first).Status.State != commonv1.JobSucceeded || read(t, second).Status.State != commonv1.JobSucceeded {
			return fmt.Sprint(first.Status.Conditions, second.Status.Conditions)
		}
		return ""
	})
	eventually(t, "the groups of finished jobs go", func() string { return expect(groups(t, ns), 0) })
}

// TestRestartOfTheWholeGang: a gang that is restarted is scheduled as a gang again.
func TestRestartOfTheWholeGang(t *testing.T) {
	ns := namespace(t)
	job := newJob(ns, "again", 3, "run-for", "2s", "exit-code", "137", "fail-index", "1", "fail-until-attempt", "1")
	job.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	job.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
	create(t, job)
	eventually(t, "it is restarted whole and succeeds", func() string {
		if s := read(t, job).Status; s.State != commonv1.JobSucceeded || s.Restarts != 1 {
			return fmt.Sprint(s.Restarts, s.Conditions)
		}
		return ""
	})
}

// TestPreemptedGang: a gang that is preempted by one of higher priority is preempted as a whole, and
// starts again when there is room.
func TestPreemptedGang(t *testing.T) {
	ns := namespace(t)
	high := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{GenerateName: "gang-"}, Value: 1000}
	create(t, high)
	low := newJob(ns, "low", 3)
	low.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	// A preempted pod has failed by disruption: under Never, the default, that would end the job.
	low.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyOnFailure
	create(t, low)
	eventually(t, "the first job runs", func() string { return expect(bound(t, ns, "low"), 3) })
	job := newJob(ns, "high", 3, "run-for", "3s")
	job.Spec.RunPolicy.SchedulingPolicy = &commonv1.SchedulingPolicy{PriorityClass: high.Name}
	create(t, job)
	eventually(t, "the job of higher priority runs", func() string { return expect(bound(t, ns, "high"), 3) })
	if n := bound(t, ns, "low"); n > 0 {
		t.Errorf("%d pods of the preempted job are left", n)
	}
	eventually(t, "the preempted job starts whole again", func() string {
		return expect(bound(t, ns, "low"), 3) + expect(bound(t, ns, "high"), 0)
	})
}

// TestScaledGang: the size of the group follows the size of the job.
func TestScaledGang(t *testing.T) {
	ns := namespace(t)
	job := newJob(ns, "scaled", 2)
	create(t, job)
	eventually(t, "two are bound", func() string { return expect(bound(t, ns, "scaled"), 2) })
	change(t, job, func() { job.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(4)) })
	eventually(t, "four are bound", func() string { return expect(bound(t, ns, "scaled"), 4) })
	var list schedulingv1beta1.PodGroupList
	if err := cluster.List(t.Context(), &list, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		if n := list.Items[i].Spec.SchedulingPolicy.Gang.MinCount; n != 4 {
			t.Errorf("minCount is %d", n)
		}
	}
	quiet(t, job)
}

// newJob is a job of workers that take a node each.
func newJob(ns, name string, workers int32, life ...string) *testv1.TestJob {
	template := corev1.PodTemplateSpec{Spec: onePod(ns).Spec, ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{}}}
	for i := 0; i+1 < len(life); i += 2 {
		template.Annotations["devcluster.jobkit.dev/"+life[i]] = life[i+1]
	}
	return &testv1.TestJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec:       testv1.TestJobSpec{TestReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{testv1.Worker: {Replicas: &workers, Template: template}}},
	}
}

// onePod is a pod that takes a node.
func onePod(ns string) *corev1.Pod {
	c := corev1.Container{Name: testv1.ContainerName, Image: "busybox"}
	c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("600m")}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "filler"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{c}},
	}
}

// namespace makes a namespace for a test. The room that its pods take is free again
// when the test is over.
func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "gang-"}}
	create(t, ns)
	t.Cleanup(func() {
		ctx := context.Background()
		_ = cluster.DeleteAllOf(ctx, &testv1.TestJob{}, client.InNamespace(ns.Name))
		_ = cluster.Delete(ctx, ns)
		_ = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
			var pods corev1.PodList
			err := cluster.List(ctx, &pods, client.InNamespace(ns.Name))
			return err == nil && len(pods.Items) == 0, nil
		})
	})
	return ns.Name
}

func create(t *testing.T, o client.Object) {
	t.Helper()
	if err := cluster.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, job *testv1.TestJob) *testv1.TestJob {
	t.Helper()
	if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
	return job
}

func suspend(t *testing.T, job *testv1.TestJob, yes bool) {
	t.Helper()
	change(t, job, func() { job.Spec.RunPolicy.Suspend = &yes })
}

// change changes a job, again if the operator wrote its status meanwhile.
func change(t *testing.T, job *testv1.TestJob, f func()) {
	t.Helper()
	eventually(t, "the job can be changed", func() string {
		read(t, job)
		f()
		if err := cluster.Update(t.Context(), job); err != nil {
			return err.Error()
		}
		return ""
	})
}

// bound is how many pods of a job, or of all, have a node and have not ended.
func bound(t *testing.T, ns, job string) int {
	t.Helper()
	var pods corev1.PodList
	if err := cluster.List(t.Context(), &pods, client.InNamespace(ns)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Spec.NodeName != "" && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed &&
			(job == "" || p.Labels[commonv1.JobNameLabel] == job) {
			n++
		}
	}
	return n
}

// groups is how many objects of groups there are.
func groups(t *testing.T, ns string) int {
	t.Helper()
	var groups schedulingv1beta1.PodGroupList
	var workloads schedulingv1beta1.WorkloadList
	for _, list := range []client.ObjectList{&groups, &workloads} {
		if err := cluster.List(t.Context(), list, client.InNamespace(ns)); err != nil {
			t.Fatal(err)
		}
	}
	return len(groups.Items) + len(workloads.Items)
}

// quiet checks that the job at rest is not written: its resource version stays for a
// while in which the scheduler tries again.
func quiet(t *testing.T, job *testv1.TestJob) {
	t.Helper()
	const rest = 3 * time.Second // a status that only counts is written a second later
	version, since := read(t, job).ResourceVersion, time.Now()
	eventually(t, "the job is quiet", func() string {
		if now := read(t, job).ResourceVersion; now != version {
			version, since = now, time.Now()
		}
		if time.Since(since) < rest {
			return "it was written " + time.Since(since).String() + " ago"
		}
		return ""
	})
}

func expect(got, want int) string {
	if got != want {
		return fmt.Sprintf("want %d, got %d", want, got)
	}
	return ""
}

func eventually(t *testing.T, what string, check func() string) {
	t.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		last = check()
		return last == "", nil
	})
	if err != nil {
		t.Fatalf("%s: %s", what, last)
	}
}
