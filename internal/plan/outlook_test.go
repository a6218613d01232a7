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

// TestStartDue: when a pod must have started is what the job acts on.
func TestStartDue(t *testing.T) {
	at := func(s int) metav1.Time { return metav1.NewTime(epoch.Add(time.Duration(s) * time.Second)) }
	onNode := func(p *corev1.Pod) {
		p.Spec.NodeName = "node"
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at(7)}}
	}
	for name, tc := range map[string]struct {
		reason   string
		heldBack bool
		policy   func(*commonv1.RunPolicy)
		pod      func(*corev1.Pod)
		want     int // seconds, 0 if it is not known
	}{
		"Pending":  {reason: "the time begins when the pod is created", want: 60},
		"NoLimit":  {reason: "no one asked for it", policy: func(p *commonv1.RunPolicy) { p.StartDeadlineSeconds = nil }},
		"NotThere": {reason: "the pod has no time yet", pod: func(p *corev1.Pod) { p.CreationTimestamp = metav1.Time{} }},
		"Running":  {reason: "it has started", pod: func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }},
		"Gated":    {reason: "a queue holds it back", pod: func(p *corev1.Pod) { p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "x"}} }},
		"Stuck":    {reason: "the time begins when it had to be gone", pod: func(p *corev1.Pod) { p.DeletionTimestamp = new(at(30)) }, want: 90},
		"Held":     {reason: "its gang waits for room", heldBack: true},
		"HeldToo":  {reason: "the time begins when it gets its node", heldBack: true, pod: onNode, want: 67},
		"Queue":    {reason: "so it does if a queue had gated the pod", want: 67, pod: func(p *corev1.Pod) { onNode(p); p.Labels = map[string]string{"kueue.x-k8s.io/managed": "true"} }},
		"NotHeld":  {reason: "no one holds it back", pod: onNode, want: 60},
		"Restarts": {
			reason: "a later attempt has as long as the delay between restarts, 160 seconds for the sixth", want: 160,
			policy: func(p *commonv1.RunPolicy) { p.OnStartDeadline = new(commonv1.StartDeadlineRestartJob) },
		},
		"Fails": {
			reason: "a job that does not restart does not wait", want: 60,
			policy: func(p *commonv1.RunPolicy) { p.OnStartDeadline = new(commonv1.StartDeadlineFailJob) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			policy := commonv1.RunPolicy{StartDeadlineSeconds: new(int64(60))}
			if tc.policy != nil {
				tc.policy(&policy)
			}
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(0)}, Status: corev1.PodStatus{Phase: corev1.PodPending}}
			if tc.pod != nil {
				tc.pod(pod)
			}
			status := commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {Attempts: map[string]int32{"1": 5}}}}
			got, want := plan.StartDue(&policy, &status, pod, worker, 1, tc.heldBack), time.Time{}
			if tc.want > 0 {
				want = at(tc.want).Time
			}
			if !got.Equal(want) {
				t.Errorf("%s: want %s, got %s", tc.reason, want, got)
			}
		})
	}
}

// TestAvoidedNodes: the nodes that are shown as avoided are those that new pods avoid.
func TestAvoidedNodes(t *testing.T) {
	var failed []commonv1.FailedNode
	for i, name := range []string{"a", "b", "c", "d"} {
		at := metav1.NewTime(epoch.Add(time.Duration(i) * time.Minute))
		failed = append(failed, commonv1.FailedNode{Name: name, Failures: int32(i), Time: at})
	}
	for name, tc := range map[string]struct {
		reason string
		policy *commonv1.AvoidNodes
		want   []string
	}{
		"None":    {"no one asked for it", nil, nil},
		"Default": {"one failure is enough", &commonv1.AvoidNodes{}, []string{"b", "c", "d"}},
		"After":   {"the others have failed less often", &commonv1.AvoidNodes{AfterFailures: new(int32(2))}, []string{"c", "d"}},
		"For":     {"the failure of b is five minutes old", &commonv1.AvoidNodes{ForSeconds: new(int64(300))}, []string{"c", "d"}},
		"Max":     {"those with the newest failures", &commonv1.AvoidNodes{MaxNodes: new(int32(1))}, []string{"d"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, n := range plan.AvoidedNodes(tc.policy, failed, epoch.Add(6*time.Minute)) {
				got = append(got, n.Name)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
