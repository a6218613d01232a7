package jobtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// byHand is a World in which nothing happens but what a test says: no cache takes
// in anything, and no operator reconciles a job, until the test wants it.
type byHand struct {
	*World
	t *testing.T
}

func newByHand(t *testing.T, operators int, job *testv1.TestJob) *byHand {
	t.Helper()
	w, err := NewWorld[*testv1.TestJob](testjob.Controller{}, testScheme, Options{Operators: operators})
	if err != nil {
		t.Fatal(err)
	}
	w.ctx = log.IntoContext(t.Context(), logr.Discard())
	h := &byHand{World: w, t: t}
	h.must(w.Client().Create(w.ctx, job))
	for i := range operators {
		w.startProcess(i)
	}
	return h
}

func (h *byHand) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// user has a user do something.
func (h *byHand) user(do func(context.Context, client.Client) error) {
	h.t.Helper()
	h.must(do(h.ctx, h.Client()))
}

// show brings the caches of an operator up to date for a kind.
func (h *byHand) show(operator int, t *table) {
	for _, v := range h.processes[operator].views {
		for v.table == t && v.behind() > 0 {
			h.processes[operator].deliver(v)
		}
	}
}

// showAll brings the caches of an operator up to date.
func (h *byHand) showAll(operator int) {
	for _, t := range h.server.tables {
		h.show(operator, t)
	}
}

// happens lets happen to pods what comes next in their lives.
func (h *byHand) happens(pods ...string) {
	for _, l := range h.kubelet.lives {
		if slices.Contains(pods, l.key.Name) {
			h.logf("node: pod %s %s", l.key.Name, h.kubelet.act(l))
		}
	}
}

// reconcile has an operator reconcile the job.
func (h *byHand) reconcile(operator int) {
	h.t.Helper()
	h.processes[operator].reconcile(h.ctx, jobKey)
	if h.broken != nil {
		h.t.Fatal(h.broken)
	}
}

// job is the job as it is.
func (h *byHand) job() *testv1.TestJob {
	h.t.Helper()
	job := &testv1.TestJob{}
	h.must(h.Client().Get(h.ctx, jobKey, job))
	return job
}

// TestP8PodDisownedBeforeTheCacheShowsIt: an operator that remembers having created
// a pod, and whose cache never showed it, must not delete it once it is no longer the
// job's.
func TestP8PodDisownedBeforeTheCacheShowsIt(t *testing.T) {
	h := newByHand(t, 1, newJob("j", 1))
	h.reconcile(0)
	h.user(disown)
	h.user(edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = new(true) }))
	h.show(0, h.jobs)
	for range 3 {
		h.reconcile(0)
	}
	var pod corev1.Pod
	if err := h.Client().Get(h.ctx, types.NamespacedName{Namespace: "default", Name: "j-worker-0"}, &pod); err != nil || pod.DeletionTimestamp != nil {
		t.Errorf("the pod that someone took away from the job was deleted (%v):\n%s", err, h.Transcript())
	}
}

// TestPodDeletedBeforeTheCacheShowsIt: a pod that no one took away is deleted, once,
// although the cache shows neither it nor its end.
func TestPodDeletedBeforeTheCacheShowsIt(t *testing.T) {
	h := newByHand(t, 1, newJob("j", 1))
	h.reconcile(0)
	h.user(edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = new(true) }))
	h.show(0, h.jobs)
	calls := h.calls
	for range 3 {
		h.reconcile(0)
	}
	// The status, a pod and a service.
	if got := h.calls - calls; got != 3 {
		t.Errorf("%d calls, want 3:\n%s", got, h.Transcript())
	}
}

// TestDeletedJobIsLeftAlone: an operator that remembers having created the pods of a
// job which is being deleted does not reconcile again and again.
func TestDeletedJobIsLeftAlone(t *testing.T) {
	h := newByHand(t, 1, newJob("j", 1))
	h.reconcile(0)
	h.user(deleteJob(metav1.DeletePropagationForeground))
	h.show(0, h.jobs)
	h.now = h.now.Add(time.Minute)
	h.reconcile(0)
	if it := h.processes[0].item(jobKey); it.queued {
		t.Errorf("the job is to be reconciled again after %v", it.at.Sub(h.now))
	}
}

// TestStalledDoesNotFlap: of two operators one remembers having created a pod that
// the caches do not show, because it is not the job's any more; the other does not.
func TestStalledDoesNotFlap(t *testing.T) {
	h := newByHand(t, 2, newJob("j", 1))
	h.reconcile(0)
	h.user(disown)
	var turns int
	var was metav1.Time
	for range 6 {
		for i := range h.processes {
			h.showAll(i)
			h.reconcile(i)
			h.now = h.now.Add(1100 * time.Millisecond)
			if c := h.job().Status.Condition(commonv1.JobStalled); c != nil && !c.LastTransitionTime.Equal(&was) {
				turns++
				was = c.LastTransitionTime
			}
		}
	}
	if turns != 1 {
		t.Errorf("condition Stalled became True %d times, want once:\n%s", turns, h.Transcript())
	}
}

// TestPodsThatRunAreNotLost: a cache that is older than the status shows the pods which
// the status counts as pending. What is missing beside them was never created; it is not
// lost, and the gang goes on.
func TestPodsThatRunAreNotLost(t *testing.T) {
	gang := func(j *testv1.TestJob) { j.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob) }
	cases := map[string]struct {
		reason string
		// runs are the pods that run when the first operator writes the status; lost is one
		// of them that is gone after that.
		runs    []string
		lost    string
		attempt int32
	}{
		"NeverCreated": {reason: "the job grew, and the cache of the new leader is old", runs: []string{"j-worker-0", "j-worker-1"}},
		"Lost": {
			reason: "an old cache hides no loss either",
			runs:   []string{"j-worker-0", "j-worker-2"}, lost: "j-worker-2", attempt: 1,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			h := newByHand(t, 2, newJob("j", 2, gang))
			h.reconcile(0)
			h.happens("j-worker-0", "j-worker-1") // They are bound.
			h.showAll(1)
			grow := edit(func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(3)) })
			if tc.lost != "" {
				h.user(grow)
				h.showAll(0)
				h.reconcile(0)
				h.happens(tc.lost)
			}
			h.happens(tc.runs...) // They run.
			h.now = h.now.Add(10 * time.Second)
			h.showAll(0)
			h.reconcile(0)
			if active := h.job().Status.ReplicaStatuses[testv1.Worker].Active; active != 2 {
				t.Fatalf("%d pods are active:\n%s", active, h.Transcript())
			}
			if tc.lost != "" {
				h.user(deletePodByForce(tc.lost))
			} else {
				h.user(grow)
			}
			h.show(1, h.jobs)
			h.reconcile(1)
			if s := h.job().Status; s.Attempt != tc.attempt || s.Restarts != 0 {
				t.Errorf("%s: want attempt %d, got %d:\n%s", tc.reason, tc.attempt, s.Attempt, h.Transcript())
			}
		})
	}
}
