package controller

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestRivals checks known-bugs row 111: another controller that writes the status of the
// same jobs is found by the API server's records of who wrote when, and no other client is.
func TestRivals(t *testing.T) {
	const ours, v1 = "job-controller", "training-operator.v1"
	type write struct {
		by string
		at int // seconds
	}
	tests := map[string]struct {
		reason string
		writes []write
		before []write // of the same job, before this process had written
		spec   bool    // the writes of others are to the spec
		forged bool    // others write only that they have written
		want   []sighting
		alarm  bool
	}{
		"Rival": {
			reason: "a client that overwrites the status repeatedly is another controller",
			writes: []write{{ours, 1}, {v1, 2}, {ours, 3}, {v1, 4}, {ours, 5}, {v1, 6}},
			want: []sighting{
				{manager: v1},
				{manager: v1, rival: true, fresh: true, emit: true},
				{manager: v1, rival: true},
			},
			alarm: true,
		},
		"Before": {
			reason: "the controller that ran the job before is none, however long its record stays",
			before: []write{{v1, 1}, {v1, 2}},
			writes: []write{{ours, 3}, {ours, 4}, {ours, 5}},
		},
		"BackAndForth": {
			reason: "nor is one that ran the job while this process did not",
			before: []write{{ours, 1}, {v1, 2}},
			writes: []write{{ours, 3}, {ours, 9}},
		},
		"Once": {reason: "one write fixes something", writes: []write{{ours, 1}, {"script", 2}, {ours, 3}, {ours, 4}}, want: []sighting{{manager: "script"}}},
		"ByHand": {
			reason: "kubectl edit --subresource=status is a person's",
			writes: []write{{ours, 1}, {"kubectl-edit", 2}, {ours, 3}, {"kubectl-patch", 4}, {ours, 5}, {"kubectl", 6}},
		},
		"Standby": {reason: "another process of the same operator has its name", writes: []write{{ours, 1}, {ours, 2}, {ours, 3}, {ours, 4}}},
		"Spec":    {reason: "a queue writes the specification", spec: true, writes: []write{{ours, 1}, {"kueue", 2}, {ours, 3}, {"kueue", 4}}},
		"Forged": {
			reason: "whoever may edit a job can write into the managed fields that another has written its status",
			forged: true, writes: []write{{ours, 1}, {v1, 2}, {ours, 3}, {v1, 4}, {ours, 5}, {v1, 60}},
		},
		"SameSecond": {reason: "times have seconds: what comes in the same one is not after it", writes: []write{{ours, 1}, {v1, 1}, {ours, 2}, {v1, 2}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRivals(ours)
			job := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job", UID: "1"}}
			status := &commonv1.JobStatus{}
			now := time.Unix(1_900_000_000, 0) // Of this process; it must not matter.
			note := func(w write) {
				if w.by == ours || !tc.forged {
					status.Restarts = int32(w.at)
				} else { // A report of progress comes in between.
					status.TrainerStatus = &commonv1.TrainerStatus{LastUpdatedTime: new(metav1.Unix(1_800_000_000+int64(w.at), 0))}
				}
				subresource := "status"
				if tc.spec && w.by != ours {
					subresource = ""
				}
				at := metav1.NewTime(time.Unix(1_800_000_000+int64(w.at), 0))
				for i := range job.ManagedFields {
					if f := &job.ManagedFields[i]; f.Manager == w.by {
						f.Time = &at
						return
					}
				}
				job.ManagedFields = append(job.ManagedFields, metav1.ManagedFieldsEntry{Manager: w.by, Time: &at, Subresource: subresource})
			}
			for _, w := range tc.before {
				note(w)
			}
			var got []sighting
			for _, w := range tc.writes {
				note(w)
				if w.by == ours {
					r.recordWrite(job, status)
				}
				for range 2 { // The same write is seen in many passes.
					if s := r.observe(job, status, now); s != nil {
						got = append(got, *s)
					}
				}
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(sighting{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if why := r.reason(now); (why != nil) != tc.alarm {
				t.Errorf("%s: the probe has %v", tc.reason, why)
			}
			if why := r.reason(now.Add(rivalRemembered)); why != nil {
				t.Errorf("a controller that no longer writes is reported forever: %v", why)
			}
			job.UID = "2"
			if s := r.observe(job, status, now); s != nil {
				t.Errorf("a job of the same name that was never written is another one: %+v", s)
			}
			if r.forget(types.NamespacedName{Namespace: "ns", Name: "job"}); len(r.jobs) != 0 {
				t.Errorf("jobs that are gone are remembered: %v", r.jobs)
			}
		})
	}
}

// TestReadinessOfRivals checks that the probe says that another controller runs the same
// jobs, and that a CRD is older than the operator, each with a reason of its own, until
// that has passed.
func TestReadinessOfRivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		ready, err := NewReadiness(registry, "test")
		if err != nil {
			t.Fatal(err)
		}
		reasons := func() []string {
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, f := range families {
				for _, m := range f.GetMetric() {
					for _, l := range m.GetLabel() {
						if l.GetName() == "reason" {
							out = append(out, l.GetValue())
						}
					}
				}
			}
			return out
		}
		ready.Waits("start", nil)
		r := newRivals("ours")
		r.report = func(why error) { ready.Waits(waitsForRival, why) }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- rivalWatch{rivals: r, clock: clock.RealClock{}}.Start(ctx) }()
		synctest.Wait()
		if err := ready.Check(nil); err != nil {
			t.Errorf("no other controller runs the jobs, and the probe says %v", err)
		}

		r.mu.Lock()
		r.manager, r.job, r.until = "manager", "ns/job", time.Now().Add(rivalRemembered)
		r.mu.Unlock()
		r.report(r.reason(time.Now()))
		want := `status: two controllers run the same jobs: another controller, "manager", writes the status of the same jobs`
		if err := ready.Check(nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("the probe says %v, want %s", err, want)
		}
		ready.Waits(waitsForSchema, outdatedError("the CRD is older"))
		if err := ready.Check(nil); err == nil || !strings.HasPrefix(err.Error(), "jobs of this kind are not run: schema: the CRD is older; status: ") {
			t.Errorf("the probe says %v", err)
		}
		if diff := cmp.Diff([]string{reasonCRDOutdated, reasonRival}, reasons()); diff != "" {
			t.Errorf("the reasons of the metric (-want +got):\n%s", diff)
		}
		ready.Waits(waitsForSchema, nil)
		time.Sleep(rivalRemembered + time.Minute)
		synctest.Wait()
		if err := ready.Check(nil); err != nil {
			t.Errorf("the other controller has stopped, and the probe says %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the end of the manager is an error: %v", err)
		}
	})
}

// TestStatusManagersAreKept checks that of the managed fields a cache keeps who wrote a
// status and when, which is small, and nothing else.
func TestStatusManagersAreKept(t *testing.T) {
	at := metav1.Unix(1_800_000_000, 0)
	job := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{
		{Manager: "kubectl", Operation: metav1.ManagedFieldsOperationUpdate, Time: &at, FieldsV1: metav1.NewFieldsV1("{}")},
		{Manager: "a", Operation: metav1.ManagedFieldsOperationUpdate, Time: &at, APIVersion: "v1", FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1("{}"), Subresource: "status"},
	}}}
	got, err := keepStatusManagers(job)
	if err != nil {
		t.Fatal(err)
	}
	o, ok := got.(client.Object)
	if !ok {
		t.Fatalf("the job has become a %T", got)
	}
	want := []metav1.ManagedFieldsEntry{{Manager: "a", Operation: metav1.ManagedFieldsOperationUpdate, Time: &at, Subresource: "status"}}
	if diff := cmp.Diff(want, o.GetManagedFields()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err := keepStatusManagers("a tombstone"); got != "a tombstone" || err != nil {
		t.Errorf("what is not an object stays: %v, %v", got, err)
	}
}
