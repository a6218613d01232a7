package controller_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// requests at the job whenever it asks for that, and four times a second
// besides, as if something happened to its pods all the time. It returns when each
// call of a kind was made.
func (b *bench) reconcileFor(d time.Duration, call string) []time.Duration {
	b.t.Helper()
	var at []time.Duration
	began := b.clock.Now()
	for b.clock.Now().Before(began.Add(d)) {
		calls, _, err := b.reconcile()
		if err != nil {
			b.t.Fatal(err)
		}
		for _, c := range calls {
			if strings.HasPrefix(c, call) {
				at = append(at, b.clock.Now().Sub(began))
			}
		}
		b.clock.SetTime(b.clock.Now().Add(250 * time.Millisecond))
	}
	return at
}

// TestRefusedWrites: what the API server refuses is tried again after 1 s to 1 min,
// whatever else happens to the job; the job says so in one condition and one event, and
// goes on when it is done.
func TestRefusedWrites(t *testing.T) {
	no := answer(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "HorizontalPodAutoscaler is invalid",
		metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: "spec.metrics"})
	cases := map[string]struct {
		call string
		fail error
		do   func(*bench, *keeper)
		want string
	}{
		"UpdateOfAnObject": {
			call: "update configmap", fail: no, do: func(_ *bench, k *keeper) { k.content = "2" },
			want: "TestJobOperatorError: TestJob ns/job cannot update ConfigMap job-config: HorizontalPodAutoscaler is invalid: the operator wrote that, not the job: please report it to the operator's author",
		},
		"UpdateOfAService": {
			call: "update service", fail: answer(http.StatusForbidden, metav1.StatusReasonForbidden, "not now"),
			do: func(b *bench, _ *keeper) {
				job := b.job()
				job.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "extra", ContainerPort: 99}}
				if err := b.client.Update(b.t.Context(), job); err != nil {
					b.t.Fatal(err)
				}
			},
			want: "TestJobUpdateRefused: TestJob ns/job cannot update service job: not now",
		},
		"UpdateThatAWebhookCallsAConflict": {
			call: "update configmap", fail: answer(http.StatusConflict, metav1.StatusReasonConflict, `admission webhook "w" denied the request: busy`),
			do:   func(_ *bench, k *keeper) { k.content = "2" },
			want: `TestJobUpdateRefused: TestJob ns/job cannot update ConfigMap job-config: admission webhook "w" denied the request: busy`,
		},
		"DeleteOfAnObject": {
			call: "delete partialobjectmetadata", fail: answer(http.StatusForbidden, metav1.StatusReasonForbidden, "protected"),
			do:   func(_ *bench, k *keeper) { k.content = "" },
			want: "TestJobDeleteRefused: TestJob ns/job cannot delete ConfigMap job-config: protected",
		},
		"DeleteOfAPod": {
			call: "delete pod", fail: answer(http.StatusForbidden, metav1.StatusReasonForbidden, "protected"),
			do: func(b *bench, _ *keeper) {
				job := b.job()
				job.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(1))
				if err := b.client.Update(b.t.Context(), job); err != nil {
					b.t.Fatal(err)
				}
			},
			want: "TestJobDeleteRefused: TestJob ns/job cannot delete pod job-worker-1: protected",
		},
		"Create": {
			call: "create pod", fail: answer(http.StatusForbidden, metav1.StatusReasonForbidden, "quota"),
			do: func(b *bench, _ *keeper) {
				if err := b.client.Delete(b.t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job-worker-1"}}); err != nil {
					b.t.Fatal(err)
				}
			},
			want: "TestJobCreateRefused: TestJob ns/job cannot create pod job-worker-1: quota",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			k := &keeper{content: "1"}
			b := newBench(t, k, testJob(2))
			mustReconcile(t, b)
			b.setPhase(corev1.PodRunning)
			b.clock.SetTime(b.clock.Now().Add(time.Minute)) // What the operator remembers of its writes is over.
			mustReconcile(t, b)
			b.recorder.events = nil
			tc.do(b, k)
			b.fail = func(call string) error {
				if strings.HasPrefix(call, tc.call) {
					return tc.fail
				}
				return nil
			}
			at := b.reconcileFor(2*time.Minute, tc.call)
			if len(at) < 5 || len(at) > 9 {
				t.Errorf("tried %d times in 2 minutes, at %v", len(at), at)
			}
			for i := 1; i < len(at); i++ {
				if gap := at[i] - at[i-1]; gap < time.Second || gap > 61*time.Second {
					t.Errorf("tries must be 1 s to 1 min apart, at %v", at)
				}
			}
			want := []string{"TestJobCreated: TestJob job is created.", "TestJobRunning: TestJob ns/job is running.", tc.want}
			if diff := cmp.Diff(want, b.conditions()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			recorded := 0
			for _, e := range b.recorder.events {
				if strings.HasPrefix(e, "Warning") {
					recorded++
				}
			}
			if recorded != 1 {
				t.Errorf("want one warning, got %q", b.recorder.events)
			}
			b.fail = nil
			b.clock.SetTime(b.clock.Now().Add(time.Minute))
			b.reconcileFor(time.Second, "")
			if diff := cmp.Diff(want[:2], b.conditions()); diff != "" {
				t.Errorf("when it is done the job no longer says so (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRefusedTimeToLive: a finished job whose deletion a webhook refuses, whatever code it
// answers with, says so once, and is deleted when that is over.
func TestRefusedTimeToLive(t *testing.T) {
	cases := map[string]error{
		"Denied":   answer(http.StatusForbidden, metav1.StatusReasonForbidden, `admission webhook "keep" denied the request: not yet`),
		"NotFound": answer(http.StatusNotFound, metav1.StatusReasonNotFound, `admission webhook "keep" denied the request: no such team`),
		"Conflict": answer(http.StatusConflict, metav1.StatusReasonConflict, `admission webhook "keep" denied the request: busy`),
	}
	for name, refusal := range cases {
		t.Run(name, func(t *testing.T) {
			job := testJob(1)
			job.Spec.RunPolicy.TTLSecondsAfterFinished = new(int32)
			b := newBench(t, testjob.Controller{}, job)
			mustReconcile(t, b)
			b.setPhase(corev1.PodSucceeded)
			b.fail = func(call string) error {
				if call == "delete testjob job" {
					return refusal
				}
				return nil
			}
			if at := b.reconcileFor(2*time.Minute, "delete testjob"); len(at) < 5 || len(at) > 9 {
				t.Errorf("tried %d times in 2 minutes, at %v", len(at), at)
			}
			recorded := 0
			for _, e := range b.recorder.events {
				if strings.HasPrefix(e, "Warning TestJobDeleteRefused: ") {
					recorded++
				}
			}
			if recorded != 1 {
				t.Errorf("want one warning, got %q", b.recorder.events)
			}
			b.fail = nil
			b.clock.SetTime(b.clock.Now().Add(time.Minute))
			mustReconcile(t, b)
			if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(job), job); !apierrors.IsNotFound(err) {
				t.Errorf("the job still exists: %v", err)
			}
		})
	}
}

// TestRefusedStatus: a status that is refused leaves the retry to the limiter of
// errors, and an event says what is wrong if that does not pass by itself.
func TestRefusedStatus(t *testing.T) {
	cases := map[string]struct {
		fail error
		want string
	}{
		"Busy":     {fail: apierrors.NewTimeoutError("busy", 1)},
		"Policy":   {answer(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "denied"), "Warning StatusRefused: The status cannot be written: denied"},
		"TooLarge": {apierrors.NewRequestEntityTooLargeError("limit is 3145728"), "Warning StatusRefused: The status cannot be written, because it is too large ("},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, testjob.Controller{}, testJob(1))
			b.fail = func(call string) error {
				switch call {
				case "write status of testjob job":
					return tc.fail
				case "create pod job-worker-0":
					return answer(http.StatusForbidden, metav1.StatusReasonForbidden, "no")
				}
				return nil
			}
			for range 3 {
				_, result, err := b.reconcile()
				if calls, _, err := b.reconcile(); tc.want != "" && (err != nil || slices.Contains(calls, "write status of testjob job")) {
					t.Errorf("what was refused a moment ago is not tried at the next event: %v", err)
				}
				b.clock.SetTime(b.clock.Now().Add(time.Minute))
				if err == nil || result.RequeueAfter > 0 && result.RequeueAfter < time.Second {
					t.Errorf("want an error, which is retried later and later, got %v and requeued after %s", err, result.RequeueAfter)
				}
			}
			recorded := ""
			for _, e := range b.recorder.events {
				if strings.Contains(e, "StatusRefused") {
					recorded = e
				}
			}
			if !strings.HasPrefix(recorded, tc.want) || (tc.want == "") != (recorded == "") {
				t.Errorf("want the event %q, got %q", tc.want, recorded)
			}
		})
	}
}

// TestChangedAgainAndAgain: a job that is never what it was seen to be, for example
// because its kind has no status to write, is reconciled later and later.
func TestChangedAgainAndAgain(t *testing.T) {
	b := newBench(t, testjob.Controller{}, testJob(20))
	b.fail = func(call string) error {
		if strings.HasPrefix(call, "write status") {
			return apierrors.NewConflict(corev1.Resource("testjobs"), "job", nil)
		}
		return nil
	}
	var waits []time.Duration
	for range 12 {
		_, result, err := b.reconcile()
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, result.RequeueAfter)
	}
	if waits[0] != 100*time.Millisecond || waits[1] != 200*time.Millisecond || waits[11] != time.Minute {
		t.Errorf("want 0.1 s, doubled up to a minute, got %v", waits)
	}
	b.fail = nil
	mustReconcile(t, b)
	if !b.job().Status.IsTrue(commonv1.JobCreated) {
		t.Error("the job goes on when it is")
	}
}
