package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

func TestReportEntry(t *testing.T) {
	at := func(seconds int) *metav1.Time {
		return &metav1.Time{Time: epoch.Add(time.Duration(seconds) * time.Second)}
	}
	fields := metav1.NewFieldsV1
	phase := `{"f:status":{"f:conditions":{},"f:phase":{}}}`
	cases := map[string]struct {
		reason string
		fields []metav1.ManagedFieldsEntry
		want   *metav1.Time
	}{
		"Kubelet": {
			reason: "who owns the phase wrote it",
			fields: []metav1.ManagedFieldsEntry{
				{Manager: "operator", Time: at(9), FieldsV1: fields(`{"f:spec":{}}`)},
				{Manager: "kubelet", Subresource: "status", Time: at(5), FieldsV1: fields(phase)},
			},
			want: at(5),
		},
		"Condition": {
			reason: "a condition is not the phase",
			fields: []metav1.ManagedFieldsEntry{
				{Manager: "kubelet", Subresource: "status", Time: at(5), FieldsV1: fields(phase)},
				{Manager: "kube-controller-manager", Subresource: "status", Time: at(8), FieldsV1: fields(`{"f:status":{"f:conditions":{}}}`)},
			},
			want: at(5),
		},
		"Newest": {
			reason: "the collector of pods on nodes that are gone writes it too",
			fields: []metav1.ManagedFieldsEntry{
				{Manager: "kube-controller-manager", Subresource: "status", Time: at(8), FieldsV1: fields(phase)},
				{Manager: "kubelet", Subresource: "status", Time: at(5), FieldsV1: fields(phase)},
			},
			want: at(8),
		},
		"NotTheStatus": {
			reason: "no other client sets the phase",
			fields: []metav1.ManagedFieldsEntry{{Manager: "someone", Time: at(8), FieldsV1: fields(phase)}},
		},
		"Kept": {
			reason: "a cache keeps the one entry, without its fields",
			fields: []metav1.ManagedFieldsEntry{{Subresource: "status", Time: at(5)}}, want: at(5),
		},
		"SeveralWithoutFields": {
			reason: "it is unknown which of several entries it is",
			fields: []metav1.ManagedFieldsEntry{{Subresource: "status", Time: at(5)}, {Subresource: "status", Time: at(6)}},
		},
		"KeptLastWriter": {
			reason: "a cache that keeps only when anyone last wrote knows of no report",
			fields: []metav1.ManagedFieldsEntry{{Manager: "training.kubeflow.org/last", Subresource: "status", Time: at(5)}},
		},
		"NoTime": {reason: "an entry need not have a time", fields: []metav1.ManagedFieldsEntry{{Subresource: "status", FieldsV1: fields(phase)}}},
		"None":   {reason: "an author's own cache may drop them all"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got *metav1.Time
			if e := plan.ReportEntry(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{ManagedFields: tc.fields}}); e != nil {
				got = e.Time
			}
			if !got.Equal(tc.want) {
				t.Errorf("%s: want %v, got %v", tc.reason, tc.want, got)
			}
		})
	}
}

// TestStoppedPodsHaveNotSucceeded: known-bugs row 94. Programs that handle SIGTERM and
// exit with 0 were taken for a success, and the job with them.
func TestStoppedPodsHaveNotSucceeded(t *testing.T) {
	suspend := func(m *model, v bool) { m.in.RunPolicy.Suspend = &v; m.in.Job.Generation++ }
	cases := map[string]struct {
		reason  string
		happens func(*model, *corev1.Pod)
	}{
		"DeletedByHand": {
			reason:  "a user deletes the pod",
			happens: func(m *model, p *corev1.Pod) { m.terminate(p) },
		},
		"SuspendedAndResumed": {
			reason: "the job is resumed while its pod still stops",
			happens: func(m *model, p *corev1.Pod) {
				suspend(m, true)
				m.reconcile()
				m.in.Pods = []*corev1.Pod{p} // it takes a while to stop
				m.terminate(p)
				suspend(m, false)
			},
		},
		"ScaledDownAndUp": {
			reason: "the replica is wanted again while its pod still stops",
			happens: func(m *model, p *corev1.Pod) {
				m.in.Replicas[worker].Replicas = new(int32(0))
				m.in.Replicas[master] = m.in.Replicas[worker].DeepCopy()
				m.in.Replicas[master].Replicas = new(int32(1))
				m.reconcile()
				delete(m.in.Replicas, master)
				m.in.Pods = []*corev1.Pod{p}
				m.terminate(p)
				m.in.Replicas[worker].Replicas = new(int32(1))
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), restartPolicy(commonv1.RestartPolicyOnFailure))
			m.in.Now = m.in.Now.Add(time.Minute)
			old := m.pod("worker-0")
			tc.happens(m, old)
			m.reconcileUntilStable()
			m.in.Now = m.in.Now.Add(2 * time.Second)
			m.end(old, 0)
			m.reconcileUntilStable()
			if s := &m.in.Status; s.Finished() || s.ReplicaStatuses[worker].Succeeded > 0 || s.Restarts > 0 {
				t.Fatalf("%s: it has neither succeeded nor failed: %s, %+v", tc.reason, s.State, s.ReplicaStatuses[worker])
			}
			m.drop(old)
			m.reconcileUntilStable()
			if now := m.pod("worker-0"); now == nil || now.UID == old.UID || m.in.Status.Finished() {
				t.Errorf("%s: the replica is to run again, got %v", tc.reason, now)
			}
		})
	}
}

// TestNodeClocks: known-bugs row 97. A restart waits for its own delay and no longer,
// and what the status says of a failure is no time to come, whatever a clock says.
func TestNodeClocks(t *testing.T) {
	cases := map[string]struct {
		reason     string
		nodesAhead time.Duration
		known      bool // whether managed fields say when the pod failed
	}{
		"Ahead":            {"a node whose clock is half an hour ahead", 30 * time.Minute, true},
		"Behind":           {"a node whose clock is half an hour behind", -30 * time.Minute, true},
		"AheadAndUnknown":  {"the same, and the cache has no managed fields", 30 * time.Minute, false},
		"BehindAndUnknown": {"the same, and the cache has no managed fields", -30 * time.Minute, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.nodesAhead = tc.nodesAhead
			restartPolicy(commonv1.RestartPolicyExitCode)(m)
			m.reconcileUntilStable()
			for restart, delay := range []time.Duration{0, 10 * time.Second, 20 * time.Second} {
				m.run()
				m.reconcileUntilStable()
				m.in.Now = m.in.Now.Add(time.Second)
				p, failed := m.pod("worker-0"), m.in.Now
				m.end(p, 137)
				if !tc.known {
					p.ManagedFields = nil
				}
				m.reconcileUntilStable()
				if f := m.in.Status.Failures[restart]; f.Time.After(m.in.Now) || tc.known && !f.Time.Time.Equal(failed) {
					t.Errorf("%s: it failed at %s, the status says %s", tc.reason, failed, f.Time)
				}
				for waited := time.Duration(0); m.pod("worker-0") == p && waited < time.Hour; {
					after := m.decide().RequeueAfter
					waited += after
					if m.in.Now = m.in.Now.Add(after); waited > delay {
						t.Fatalf("%s: restart %d is to wait %s, waited %s", tc.reason, restart+1, delay, waited)
					}
					m.reconcileUntilStable()
				}
				if waited := m.in.Now.Sub(failed); waited < delay && (tc.known || tc.nodesAhead > 0) {
					t.Errorf("%s: restart %d is to wait %s, waited %s", tc.reason, restart+1, delay, waited)
				}
			}
		})
	}
}

// TestEnds: of which pods it matters when their end was reported.
func TestEnds(t *testing.T) {
	status := func(s corev1.ContainerStatus) corev1.PodStatus {
		return corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "first"}, s}}
	}
	terminated := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}
	for name, tc := range map[string]struct {
		reason string
		status corev1.PodStatus
		want   bool
	}{
		"Succeeded":  {"it has ended", corev1.PodStatus{Phase: corev1.PodSucceeded}, true},
		"Failed":     {"it has ended", corev1.PodStatus{Phase: corev1.PodFailed}, true},
		"Runs":       {"it has not", status(corev1.ContainerStatus{}), false},
		"Terminated": {"a container of it has", status(corev1.ContainerStatus{State: terminated}), true},
		"Restarted":  {"a container of it had", status(corev1.ContainerStatus{RestartCount: 1}), true},
		"Init":       {"so has one before the others", corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{{State: terminated}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := plan.Ends(&corev1.Pod{Status: tc.status}); got != tc.want {
				t.Errorf("%s: got %t", tc.reason, got)
			}
		})
	}
}

// TestWhatACacheKeeps: of a pod that ended, or whose job must go on, the times by the API server's
// clock; of all others nothing. What is kept says the same as the whole.
func TestWhatACacheKeeps(t *testing.T) {
	at := func(seconds int) *metav1.Time {
		return &metav1.Time{Time: epoch.Add(time.Duration(seconds) * time.Second)}
	}
	phase := metav1.ManagedFieldsEntry{Manager: "kubelet", Subresource: "status", Time: at(5), FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:phase":{}}}`)}
	condition := metav1.ManagedFieldsEntry{Manager: "kcm", Subresource: "status", Time: at(8), FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:conditions":{}}}`)}
	spec := metav1.ManagedFieldsEntry{Manager: "operator", Time: at(9), FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)}
	untimed := metav1.ManagedFieldsEntry{Manager: "x", Subresource: "status", FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:conditions":{}}}`)}
	reported := metav1.ManagedFieldsEntry{Subresource: "status", Time: at(5)}
	last := metav1.ManagedFieldsEntry{Manager: "training.kubeflow.org/last", Subresource: "status", Time: at(8)}
	all := []metav1.ManagedFieldsEntry{phase, condition, spec, untimed}
	for name, tc := range map[string]struct {
		reason  string
		phase   corev1.PodPhase
		watched bool
		fields  []metav1.ManagedFieldsEntry
		want    []metav1.ManagedFieldsEntry
	}{
		"Runs":       {"nothing asks for it", corev1.PodRunning, false, all, nil},
		"Ended":      {"when that was reported", corev1.PodFailed, false, all, []metav1.ManagedFieldsEntry{reported}},
		"Watched":    {"when anyone wrote last", corev1.PodRunning, true, all, []metav1.ManagedFieldsEntry{last}},
		"Both":       {"both", corev1.PodFailed, true, all, []metav1.ManagedFieldsEntry{reported, last}},
		"Unreported": {"no one knows when", corev1.PodFailed, false, []metav1.ManagedFieldsEntry{spec}, nil},
		"Unwritten":  {"no one wrote a status", corev1.PodRunning, true, []metav1.ManagedFieldsEntry{spec, untimed}, nil},
		"Again":      {"what is kept is kept", corev1.PodFailed, true, []metav1.ManagedFieldsEntry{reported, last}, []metav1.ManagedFieldsEntry{reported, last}},
		"AgainEnded": {"one entry is that of the end, not of who wrote last", corev1.PodFailed, true, []metav1.ManagedFieldsEntry{reported}, []metav1.ManagedFieldsEntry{reported}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{ManagedFields: tc.fields}, Status: corev1.PodStatus{Phase: tc.phase}}
			if tc.watched {
				pod.Annotations = map[string]string{commonv1.ProgressAnnotation: "Report"}
			}
			if diff := cmp.Diff(tc.want, plan.KeptEntries(pod)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestEndedBeforeItsDeletion: a pod that ended before it was to be deleted ended by itself; in
// doubt it was stopped.
func TestEndedBeforeItsDeletion(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		request int    // when the deletion was requested, in seconds after the end was reported
		grace   *int64 // of the pod, whose deletion timestamp is so much later
		known   bool   // when the end was reported
		failed  bool
	}{
		"Before":    {"it ended before", 1, new(int64(30)), true, true},
		"Together":  {"it may have been stopped in that second", 0, new(int64(30)), true, false},
		"After":     {"it was stopped", -1, new(int64(30)), true, false},
		"OwnBefore": {"our own request, which the cache does not show yet", 1, nil, true, true},
		"OwnAfter":  {"our own request", -1, nil, true, false},
		"Removed":   {"what removes the pod wrote another time", 60, new(int64(0)), true, false},
		"Unknown":   {"no one says when it ended", 60, new(int64(30)), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
			p := m.pod("worker-0")
			m.after(10 * time.Second)
			m.end(p, 137)
			if !tc.known {
				p.ManagedFields = nil
			}
			at := m.in.Now.Add(time.Duration(tc.request) * time.Second)
			if p.DeletionGracePeriodSeconds = tc.grace; tc.grace != nil {
				at = at.Add(time.Duration(*tc.grace) * time.Second)
			}
			p.DeletionTimestamp = &metav1.Time{Time: at}
			m.after(10 * time.Second)
			if got := m.decide().Status.Restarts == 1; got != tc.failed {
				t.Errorf("%s: it counts as a failure: %t", tc.reason, got)
			}
		})
	}
}
