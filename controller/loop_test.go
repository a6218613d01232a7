package controller_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/internal/fakeapi"
)

// deletedJobs is how many jobs the metrics count as deleted.
func deletedJobs(t *testing.T, registry *prometheus.Registry) int {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		if f.GetName() == "training_operator_jobs_deleted_total" {
			for _, m := range f.GetMetric() {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

// TestAuthorsLoopForgets: a loop of the author's own forgets deleted jobs, although it does
// not call ReconcileJobs for them.
func TestAuthorsLoopForgets(t *testing.T) {
	c := newCluster(t, fakeapi.New(append(fakeapi.Core(), testJobs)...), timedController{})
	b, err := c.test.Builder(c.mgr)
	if err != nil {
		t.Fatal(err)
	}
	err = b.Complete(reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
		job := &testv1.TestJob{}
		if err := c.test.Reader().Get(ctx, req.NamespacedName, job); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
		return c.test.ReconcileJobs(ctx, job)
	}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	c.stop = stop
	go func() { c.ended <- c.mgr.Start(ctx) }()
	t.Cleanup(c.mustStop)
	for i := range 3 {
		c.Put(testPath+fmt.Sprint("job", i), aTestJob("1", ranBefore))
		c.eventually("it has a pod", c.created(fmt.Sprint("job", i, "-worker-0")))
		c.Delete(testPath + fmt.Sprint("job", i))
		c.eventually("it is forgotten", func() bool { return deletedJobs(t, c.metrics) == i+1 })
	}
}

// newManager makes a manager of TestJobs on an API server.
func newManager(t *testing.T, api http.Handler) ctrl.Manager {
	t.Helper()
	served := httptest.NewServer(api)
	t.Cleanup(served.Close)
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), testv1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(&rest.Config{Host: served.URL, QPS: -1}, ctrl.Options{Scheme: scheme, Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0"})
	if err != nil {
		t.Fatal(err)
	}
	return mgr
}

// TestOneControllerOfAKind: a second controller of a kind in one process is refused, and so
// are kinds that are not namespaced.
func TestOneControllerOfAKind(t *testing.T) {
	api := fakeapi.New(append(fakeapi.Core(), testJobs)...)
	mgr := newManager(t, api)
	metrics := prometheus.NewRegistry()
	setUp := func(author jobkit.ControllerInterface[*testv1.TestJob]) string {
		err := (&controller.JobController[*testv1.TestJob]{Controller: author, Metrics: metrics}).SetupWithManager(mgr)
		return fmt.Sprint(err)
	}
	// The name of a controller can be given once in a process, and tests may be run again (-count).
	run := fmt.Sprint("-", time.Now().UnixNano())
	named := func(name string) mistaken {
		return mistaken{change: func(k *jobkit.Kind) { k.OperatorName = name + run }}
	}
	const twice = "the kind TestJob.kubeflow.org has a JobController in this process already, and each would undo what the other does: set up one for each kind"
	if got := setUp(named("one-controller-of-a-kind")); got != "<nil>" {
		t.Fatal(got)
	}
	if got := setUp(named("one-controller-of-a-kind")); got != twice {
		t.Errorf("want %q, got %q", twice, got)
	}
	if got := setUp(named("another-controller-of-a-kind")); got != twice {
		t.Errorf("another operator name changes nothing: want %q, got %q", twice, got)
	}
	if got := setUp(testjob.Controller{}); got != twice {
		t.Errorf("want %q, got %q", twice, got)
	}
}

// TestActionsAreLogged: the controller logs each action, with the reason and the result of
// it, at a higher verbosity.
func TestActionsAreLogged(t *testing.T) {
	logged := func(verbosity int, passes ...func(*bench)) []string {
		b := newBench(t, testjob.Controller{}, testJob(1))
		var mu sync.Mutex // Actions are executed, and logged, in parallel.
		var lines []string
		logger := funcr.New(func(_, args string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, args)
		}, funcr.Options{Verbosity: verbosity})
		for _, pass := range passes {
			pass(b)
			job := b.job()
			if _, err := b.controller.ReconcileJobs(log.IntoContext(t.Context(), logger), job); err != nil {
				t.Log(err)
			}
		}
		slices.Sort(lines)
		return slices.DeleteFunc(lines, func(s string) bool { return !strings.Contains(s, `"action"`) })
	}
	nothing := func(*bench) {}
	want := []string{
		`"level"=1 "msg"="Acted" "action"="create pod job-worker-0 (attempt 0): replica 0 of Worker is missing"`,
		`"level"=1 "msg"="Acted" "action"="create service job: the job has one"`,
	}
	if diff := cmp.Diff(want, logged(1, nothing)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := logged(0, nothing); len(got) > 0 {
		t.Errorf("without verbosity nothing is logged: %q", got)
	}
	refused := func(b *bench) {
		b.fail = func(call string) error {
			switch call {
			case "create pod job-worker-0":
				return apierrors.NewForbidden(corev1.Resource("pods"), "job-worker-0", errors.New("no"))
			case "create service job":
				return apierrors.NewTimeoutError("busy", 1)
			}
			return nil
		}
	}
	want = []string{
		`"level"=1 "msg"="Could not act" "action"="create pod job-worker-0 (attempt 0): replica 0 of Worker is missing" "obstacle"="Refused" "says"="pods \"job-worker-0\" is forbidden: no"`,
		`"level"=1 "msg"="Could not act; trying again" "action"="create service job: the job has one" "says"="cannot create service ns/job: Timeout: busy"`,
	}
	if diff := cmp.Diff(want, logged(1, refused)); diff != "" {
		t.Errorf("what fails is logged, too (-want +got):\n%s", diff)
	}
}

// TestForcedDeletionIsReported: an event says which pod was deleted by force, and why.
func TestForcedDeletionIsReported(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(1))
	mustReconcile(t, b)
	var pod corev1.Pod
	if err := b.client.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: "job-worker-0"}, &pod); err != nil {
		t.Fatal(err)
	}
	pod.Finalizers, pod.Spec.NodeName = []string{"test/keep"}, "node-1"
	if err := b.client.Update(t.Context(), &pod); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Delete(t.Context(), &pod); err != nil {
		t.Fatal(err)
	}
	b.clock.SetTime(time.Now().Add(time.Hour)) // The node does not exist.
	mustReconcile(t, b)
	const want = "Warning ForcedDeletePod: Deleted pod by force: job-worker-0: its node node-1 is gone or out of service"
	if !slices.Contains(b.recorder.events, want) {
		t.Errorf("want %q, got %q", want, b.recorder.events)
	}
}
