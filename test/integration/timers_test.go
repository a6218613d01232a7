//go:build integration

package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestTimers checks that deadlines and times to live take effect on time:
// nothing else happens to these jobs. It does not run beside the other tests, which
// make the API server slow.
//
// The times in a status are whole seconds, cut off. A deadline is computed from
// such a time, so it is a whole second too, and completionTime - startTime is the
// deadline and the whole seconds that it was late: less than 2 s late is 0 or 1.
//
// A machine that is busy with something else makes everything late: pace says how much.
func TestTimers(t *testing.T) {
	pace := startPace(t)
	ns := namespace(t)
	seen := watchTimes(t, ns)
	forever, short := replicas(1), replicas(1, "run-for", "500ms")
	cases := []timer{
		{name: "deadline-1", worker: forever, deadline: new(int64(1))},
		{name: "deadline-2", worker: forever, deadline: new(int64(2))},
		{name: "deadline-3", worker: forever, deadline: new(int64(3))},
		{name: "deadline-5", worker: forever, deadline: new(int64(5))},
		{name: "deadline-8", worker: forever, deadline: new(int64(8))},
		{name: "deadline-of-pending-pods", worker: replicas(2, "waiting-reason", "ImagePullBackOff"), deadline: new(int64(4))},
		{name: "deadline-of-many-pods", worker: replicas(8), deadline: new(int64(6))},
		{name: "ttl-0", worker: short, ttl: new(int32(0))},
		{name: "ttl-1", worker: short, ttl: new(int32(1))},
		{name: "ttl-3", worker: short, ttl: new(int32(3))},
		{name: "ttl-6", worker: short, ttl: new(int32(6))},
		{name: "ttl-of-many-pods", worker: replicas(8, "run-for", "500ms"), ttl: new(int32(2))},
		{name: "both", worker: forever, deadline: new(int64(3)), ttl: new(int32(3))},
		{name: "both-ttl-0", worker: forever, deadline: new(int64(2)), ttl: new(int32(0))},
		{name: "resumed", worker: forever, deadline: new(int64(3)), suspend: true},
		{name: "resumed-ttl-0", worker: forever, deadline: new(int64(3)), ttl: new(int32(0)), suspend: true},
	}
	var suspended []*testv1.TestJob
	for _, tc := range cases {
		job := newJob(ns, tc.name, nil, tc.worker)
		job.Spec.RunPolicy = commonv1.RunPolicy{ActiveDeadlineSeconds: tc.deadline, TTLSecondsAfterFinished: tc.ttl, Suspend: &tc.suspend}
		create(t, job)
		if tc.suspend {
			suspended = append(suspended, job)
		}
	}
	// Time that a job is suspended does not count: these have been suspended for longer
	// than their deadline.
	seen.await(t, "deadline-5", (*times).failed)
	for _, job := range suspended {
		waitFor(t, job, commonv1.JobSuspended)
		update(t, job, func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = new(false) })
	}
	for i := range cases {
		cases[i].check(t, seen, pace)
	}
}

// TestDeadlineDespiteErrors checks that a job whose pods the API server fails to
// create is not late because the next try, after longer and longer pauses, is not due.
func TestDeadlineDespiteErrors(t *testing.T) {
	pace, ns := startPace(t), namespace(t)
	seen := watchTimes(t, ns)
	create(t, brokenWebhook(t, ns))
	// Tries come 0.2, 0.6, 1.4, 3, 6.2 and 12.6 s after the first.
	tc := timer{name: "job", deadline: new(int64(8))}
	job := newJob(ns, tc.name, nil, replicas(1))
	job.Spec.RunPolicy.ActiveDeadlineSeconds = tc.deadline
	create(t, job)
	tc.check(t, seen, pace)
	waitForNames(t, ns, nil, nil)
}

// brokenWebhook is an admission webhook for the pods of a namespace whose server does not
// answer.
func brokenWebhook(t *testing.T, ns string) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	hook := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: ns}}
	hook.Webhooks = []admissionregistrationv1.ValidatingWebhook{{
		Name:                    "broken.jobkit.dev",
		ClientConfig:            admissionregistrationv1.WebhookClientConfig{URL: new("https://127.0.0.1:1/")},
		NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}},
		SideEffects:             new(admissionregistrationv1.SideEffectClassNone),
		AdmissionReviewVersions: []string{"v1"},
		Rules: []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}},
	}}
	t.Cleanup(func() { _ = cluster.client.Delete(context.Background(), hook) })
	return hook
}

// timer is a job with timers.
type timer struct {
	name     string
	worker   *commonv1.ReplicaSpec
	deadline *int64
	ttl      *int32
	suspend  bool
}

// check waits for the timers of the job to pass, not too early and not late.
func (tc *timer) check(t *testing.T, seen *watchedTimes, pace *pace) {
	t.Helper()
	if tc.deadline != nil {
		got := seen.await(t, tc.name, (*times).failed)
		limit := time.Duration(*tc.deadline) * time.Second
		if took := got.completed.Sub(got.started); took < limit || took >= limit+pace.late() {
			t.Errorf("%s: the deadline of %s passed after %s, and %s more is late", tc.name, limit, took, pace.late())
		}
	}
	if tc.ttl != nil {
		got := seen.await(t, tc.name, (*times).gone)
		limit := time.Duration(*tc.ttl) * time.Second
		due := got.completed.Add(limit)
		if due.Before(got.finished) {
			due = got.finished // A second is over soon; then the status is late, not the deletion.
		}
		after := got.deleted.Sub(due)
		t.Logf("%s: deleted %.2f s after its time (%s is late)", tc.name, after.Seconds(), pace.late())
		if after < 0 || after >= pace.late() {
			t.Errorf("%s: the time to live of %s passed %s after its time, and %s is late", tc.name, limit, after, pace.late())
		}
	}
}

// times are those of one job.
type times struct {
	// started and completed are what the status says, at last.
	started, completed time.Time
	// finished and deleted are when the watch said so.
	finished, deleted time.Time
	state             commonv1.JobConditionType
}

func (ti *times) failed() bool { return ti.state == commonv1.JobFailed }

func (ti *times) gone() bool { return !ti.deleted.IsZero() }

// watchedTimes are the times of the jobs of a namespace. One goroutine uses it.
type watchedTimes struct {
	events <-chan timedEvent
	jobs   map[string]*times
}

// watchTimes begins to note the times of the jobs in a namespace.
func watchTimes(t *testing.T, ns string) *watchedTimes {
	t.Helper()
	return &watchedTimes{events: watchEvents(t, &testv1.TestJobList{}, ns), jobs: map[string]*times{}}
}

// await reads events until those of a job fulfil a condition.
func (w *watchedTimes) await(t *testing.T, job string, reached func(*times) bool) times {
	t.Helper()
	limit := time.After(patience)
	for w.jobs[job] == nil || !reached(w.jobs[job]) {
		select {
		case e, ok := <-w.events:
			if !ok {
				t.Fatal("the watch has ended")
			}
			w.note(t, e)
		case <-limit:
			t.Fatalf("job %s does not get there: %s", job, fmt.Sprintf("%+v", w.jobs[job]))
		}
	}
	return *w.jobs[job]
}

// note records an event.
func (w *watchedTimes) note(t *testing.T, e timedEvent) {
	t.Helper()
	job, ok := e.Object.(*testv1.TestJob)
	if !ok {
		t.Fatalf("the watch was interrupted: %s %v", e.Type, e.Object)
	}
	ti := w.jobs[job.Name]
	if ti == nil {
		ti = &times{}
		w.jobs[job.Name] = ti
	}
	if s := job.Status.StartTime; s != nil {
		ti.started = s.Time
	}
	if c := job.Status.CompletionTime; c != nil {
		ti.completed = c.Time
	}
	ti.state = job.Status.State
	if job.Status.Finished() && ti.finished.IsZero() {
		ti.finished = e.at
	}
	if e.Type == watch.Deleted {
		ti.deleted = e.at
	}
}
