//go:build integration

package integration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// shape is a job whose pods fail, and its end, which must not depend on what happened to
// the operator meanwhile.
type shape struct {
	name    string
	policy  commonv1.RestartPolicy
	run     commonv1.RunPolicy
	workers int32
	// runFor is how long each run of a container lasts; 0 leaves it to the test.
	runFor time.Duration
	life   []string
	// failing are the workers that fail.
	failing []int32

	state commonv1.JobConditionType
	// restarts is how many the status counts.
	restarts int32
	// failures is how many failures of pods the status lists.
	failures int
	// inPlace is true when containers are restarted in place: the last end of each is listed,
	// so there are fewer failures where several come between two passes.
	inPlace bool
	// endless is true when containers restart until the operator sees it: there may be more
	// restarts than restarts says, but no more than the watch has shown.
	endless bool
	// attempts is the attempt of the last pod of each failing worker: it has
	// one pod of each attempt up to that. Under restart scope Job the others get
	// there too.
	attempts int
}

func shapes() []shape {
	wholeJob := new(commonv1.RestartScopeJob)
	return []shape{
		{
			name: "exit-code", policy: commonv1.RestartPolicyExitCode, workers: 3, failing: []int32{0, 2},
			life:  []string{"exit-code", "137", "fail-until-attempt", "1"},
			state: commonv1.JobSucceeded, restarts: 2, failures: 2, attempts: 1,
		},
		{
			name: "exit-code-twice", policy: commonv1.RestartPolicyExitCode, workers: 2, failing: []int32{1}, // the second after a delay
			life:  []string{"exit-code", "137", "fail-until-attempt", "2"},
			state: commonv1.JobSucceeded, restarts: 2, failures: 2, attempts: 2,
		},
		{
			name: "permanent", policy: commonv1.RestartPolicyExitCode, workers: 1, failing: []int32{0},
			life:  []string{"exit-code", "1"},
			state: commonv1.JobFailed, failures: 1,
		},
		{
			name: "evicted", policy: commonv1.RestartPolicyOnFailure, workers: 2, failing: []int32{0, 1},
			life:  []string{"fail-reason", "Evicted", "fail-until-attempt", "1"},
			state: commonv1.JobSucceeded, restarts: 2, failures: 2, attempts: 1,
		},
		{
			name: "in-place", policy: commonv1.RestartPolicyOnFailure, workers: 3, failing: []int32{0, 1},
			life:  []string{"exit-code", "1", "fail-until-attempt", "2"},
			state: commonv1.JobSucceeded, restarts: 4, failures: 4, inPlace: true,
		},
		{
			// The node does not ask whether it may restart: the restart that is one too
			// many is counted, and ends the job, with those that come before it is seen.
			name: "in-place-limit", policy: commonv1.RestartPolicyOnFailure, workers: 1, failing: []int32{0}, runFor: 10 * time.Second,
			run: commonv1.RunPolicy{BackoffLimit: new(int32(1))}, life: []string{"exit-code", "1"},
			state: commonv1.JobFailed, restarts: 2, failures: 2, inPlace: true, endless: true,
		},
		{
			name: "whole-job", policy: commonv1.RestartPolicyExitCode, workers: 3, failing: []int32{1},
			run: commonv1.RunPolicy{RestartScope: wholeJob}, life: []string{"exit-code", "137", "fail-until-attempt", "1"},
			state: commonv1.JobSucceeded, restarts: 1, failures: 1, attempts: 1,
		},
		{
			name: "whole-job-limit", policy: commonv1.RestartPolicyExitCode, workers: 3, failing: []int32{0},
			run: commonv1.RunPolicy{RestartScope: wholeJob, BackoffLimit: new(int32(1))}, life: []string{"exit-code", "137"},
			state: commonv1.JobFailed, restarts: 1, failures: 2, attempts: 1,
		},
		{
			name: "limit", policy: commonv1.RestartPolicyExitCode, workers: 2, failing: []int32{0},
			run: commonv1.RunPolicy{BackoffLimit: new(int32(2))}, life: []string{"exit-code", "137"},
			state: commonv1.JobFailed, restarts: 2, failures: 3, attempts: 2,
		},
		{
			name: "limit-0", policy: commonv1.RestartPolicyExitCode, workers: 1, failing: []int32{0},
			run: commonv1.RunPolicy{BackoffLimit: new(int32(0))}, life: []string{"exit-code", "137"},
			state: commonv1.JobFailed, failures: 1,
		},
	}
}

// job makes the nth job of a shape. Those of one shape differ in how long their
// pods run, so that something happens all the time.
func (s *shape) job(ns string, n int) *testv1.TestJob {
	runFor := s.runFor
	if runFor == 0 {
		runFor = time.Second + time.Duration(n/10%10)*300*time.Millisecond
	}
	failing := make([]string, len(s.failing))
	for i, index := range s.failing {
		failing[i] = strconv.Itoa(int(index))
	}
	worker := replicas(s.workers, append(slices.Clone(s.life), "run-for", runFor.String(), "fail-index", strings.Join(failing, ","))...)
	worker.RestartPolicy = s.policy
	job := newJob(ns, fmt.Sprintf("%s-%d", s.name, n), nil, worker)
	job.Spec.RunPolicy = *s.run.DeepCopy()
	return job
}

// wrongWith says what is wrong with a job of the shape, or "".
func (s *shape) wrongWith(job *testv1.TestJob) string {
	restarts, failures := s.restarts, s.failures
	if more := job.Status.Restarts - s.restarts; s.endless && more > 0 {
		restarts += more
		failures += int(more)
	}
	listed := len(job.Status.Failures)
	if s.inPlace && listed >= len(s.failing) && listed < failures {
		listed = failures
	}
	if got := job.Status; got.State != s.state || got.Restarts != restarts || listed != failures {
		return fmt.Sprintf("%s is %s with %d restarts and %d failures, want %s with %d and %d; %s", job.Name, got.State, got.Restarts,
			len(got.Failures), s.state, restarts, failures, conditions(job))
	}
	return ""
}

// wrongWithPods says what is wrong with the pods that a job has had, or "".
func (s *shape) wrongWithPods(job *testv1.TestJob, h *history) string {
	wholeJob := s.run.RestartScope != nil && *s.run.RestartScope == commonv1.RestartScopeJob
	for i := range s.workers {
		last := 0
		if wholeJob || slices.Contains(s.failing, i) {
			last = s.attempts
		}
		var want []string
		for attempt := range last + 1 {
			want = append(want, strconv.Itoa(attempt))
		}
		name := fmt.Sprintf("%s-worker-%d", job.Name, i)
		got := h.attempts(name)
		right := slices.Equal(got, want)
		if !slices.Contains(s.failing, i) {
			// If the operator is dead for long, another worker's attempt may have failed
			// before this one gets a pod for it. A job that succeeded has had the last attempt.
			right = slices.IsSorted(got) && len(slices.Compact(slices.Clone(got))) == len(got) &&
				!slices.ContainsFunc(got, func(a string) bool { return !slices.Contains(want, a) }) &&
				(s.state == commonv1.JobFailed || slices.Contains(got, want[last]))
		}
		if !right {
			return fmt.Sprintf("there were pods %s of the attempts %v, want %v", name, got, want)
		}
	}
	return ""
}

// trial is a number of jobs of all shapes.
type trial struct {
	ns      string
	shapes  map[string]*shape // by job
	history *history
}

// startTrial creates the jobs.
func startTrial(t *testing.T, jobs int) *trial {
	t.Helper()
	ns := namespace(t)
	trial := &trial{ns: ns, shapes: map[string]*shape{}, history: watchHistory(t, ns)}
	all := shapes()
	for i := range jobs {
		s := &all[i%len(all)]
		job := s.job(ns, i)
		trial.shapes[job.Name] = s
		create(t, job)
	}
	return trial
}

// unfinished counts the jobs that have not finished.
func (tr *trial) unfinished(t *testing.T) int {
	t.Helper()
	n := 0
	for _, job := range tr.jobs(t) {
		if !job.Status.Finished() {
			n++
		}
	}
	return n
}

// waitForAll waits until all jobs have finished: for as long as it takes, while one of them does so
// within patience.
func (tr *trial) waitForAll(t *testing.T) {
	t.Helper()
	for left := tr.unfinished(t); left > 0; {
		before := left
		eventually(t, "another job finishes", func(context.Context) string {
			if left = tr.unfinished(t); left == before {
				return fmt.Sprintf("%d have not", left)
			}
			return ""
		})
	}
}

func (tr *trial) jobs(t *testing.T) []testv1.TestJob {
	t.Helper()
	var list testv1.TestJobList
	if err := cluster.client.List(t.Context(), &list, client.InNamespace(tr.ns)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// check asserts exactly how each job ended.
func (tr *trial) check(t *testing.T) {
	t.Helper()
	jobs := tr.jobs(t)
	if len(jobs) != len(tr.shapes) {
		t.Errorf("there are %d jobs, want %d", len(jobs), len(tr.shapes))
	}
	for i := range jobs {
		job := &jobs[i]
		shape := tr.shapes[job.Name]
		if shape.endless {
			eventually(t, "the watch has shown all restarts of "+job.Name, func(context.Context) string {
				if shown := tr.history.restarts(job.Name); shown < job.Status.Restarts {
					return fmt.Sprintf("%d are counted, and containers have restarted %d times", job.Status.Restarts, shown)
				}
				return ""
			})
		}
		if wrong := shape.wrongWith(job); wrong != "" {
			t.Errorf("%s; its pods: %s", wrong, describe(pods(t.Context(), t, tr.ns), job.Name))
		}
		eventually(t, "the watch has shown all pods of "+job.Name, func(context.Context) string {
			return shape.wrongWithPods(job, tr.history)
		})
	}
	for _, wrong := range tr.history.wrong() {
		t.Error(wrong)
	}
}

// history is all that ever happened to the jobs and pods of a namespace.
type history struct {
	mu sync.Mutex
	// made holds the attempt of each pod, in the order in which they were created.
	made map[string][]string
	seen map[types.UID]bool
	// restarted holds how often the containers of each pod of a job have restarted in place.
	restarted map[string]map[types.UID]int32
	// managers counts the pods by the program that created them.
	managers map[string]int
	jobs     map[string]commonv1.JobStatus
	problems []string
	// writes has something in it when the operator has written a status since it
	// was emptied.
	writes chan struct{}
}

// watchHistory begins to record the history of a namespace.
func watchHistory(t *testing.T, ns string) *history {
	t.Helper()
	h := &history{
		made: map[string][]string{}, seen: map[types.UID]bool{}, managers: map[string]int{},
		jobs: map[string]commonv1.JobStatus{}, writes: make(chan struct{}, 1), restarted: map[string]map[types.UID]int32{},
	}
	for _, list := range []client.ObjectList{&corev1.PodList{}, &testv1.TestJobList{}} {
		events := watchEvents(t, list, ns)
		go func() {
			for e := range events {
				h.add(e.Event)
			}
		}()
	}
	return h
}

// add records an event.
func (h *history) add(e watch.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch o := e.Object.(type) {
	case *corev1.Pod:
		h.addRestarts(o)
		if h.seen[o.UID] {
			return
		}
		h.seen[o.UID] = true
		h.made[o.Name] = append(h.made[o.Name], o.Labels[commonv1.AttemptLabel])
		for _, m := range o.ManagedFields {
			if m.Subresource == "" {
				h.managers[m.Manager]++
				break
			}
		}
	case *testv1.TestJob:
		before, now := h.jobs[o.Name], o.Status
		if now.Restarts < before.Restarts || before.Finished() && now.State != before.State {
			h.problems = append(h.problems, fmt.Sprintf("%s went from %s with %d restarts to %s with %d",
				o.Name, before.State, before.Restarts, now.State, now.Restarts))
		}
		h.jobs[o.Name] = now
		if e.Type == watch.Modified {
			select {
			case h.writes <- struct{}{}:
			default:
			}
		}
	default:
		h.problems = append(h.problems, fmt.Sprintf("the watch was interrupted: %s %v", e.Type, e.Object))
	}
}

// addRestarts records how often the containers of a pod have restarted.
func (h *history) addRestarts(pod *corev1.Pod) {
	job := pod.Labels[commonv1.JobNameLabel]
	if h.restarted[job] == nil {
		h.restarted[job] = map[types.UID]int32{}
	}
	restarts := int32(0)
	for _, c := range pod.Status.ContainerStatuses {
		restarts += c.RestartCount
	}
	h.restarted[job][pod.UID] = max(h.restarted[job][pod.UID], restarts)
}

// restarts is how often the containers of a job have restarted in place.
func (h *history) restarts(job string) int32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	total := int32(0)
	for _, n := range h.restarted[job] {
		total += n
	}
	return total
}

// waitForWrite waits until the operator has written a status from now on.
func (h *history) waitForWrite(t *testing.T) {
	t.Helper()
	select {
	case <-h.writes: // An earlier one.
	default:
	}
	select {
	case <-h.writes:
	case <-time.After(15 * time.Second):
		t.Log("the operator wrote nothing for 15 s")
	}
}

// managed counts the pods by the program that created them.
func (h *history) managed() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.managers)
}

// attempts lists the attempts of the pods that have had a name.
func (h *history) attempts(pod string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.made[pod])
}

// wrong lists what must never happen.
func (h *history) wrong() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.problems)
}

// describe writes the pods of a job in one line.
func describe(all map[string]corev1.Pod, job string) string {
	var out []string
	for name, p := range all {
		if p.Labels[commonv1.JobNameLabel] == job {
			out = append(out, fmt.Sprintf("%s attempt %s %s deleted %v", name, p.Labels[commonv1.AttemptLabel], p.Status.Phase, p.DeletionTimestamp))
		}
	}
	return strings.Join(out, "; ")
}
