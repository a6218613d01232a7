//go:build integration

package devenv_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

type notes = map[string]string

// outcome is how a pod ended.
type outcome struct {
	Phase             corev1.PodPhase
	Reason            string // of the pod
	Exit              int32  // -1: no exit code
	ExitReason        string
	Message           string // of the pod if it has one, else of the container
	Restarts          int32
	Ready             string
	StartedBeforeDone bool
}

func outcomeOf(p *corev1.Pod) outcome {
	o := outcome{Phase: p.Status.Phase, Reason: p.Status.Reason, Exit: -1, Message: p.Status.Message}
	o.Ready = string(condition(p, corev1.PodReady).Status) + " " + condition(p, corev1.PodReady).Reason
	for _, s := range p.Status.ContainerStatuses {
		o.Restarts = s.RestartCount
		if t := s.State.Terminated; t != nil {
			o.Exit, o.ExitReason = t.ExitCode, t.Reason
			o.StartedBeforeDone = !t.StartedAt.IsZero() && !t.FinishedAt.Before(&t.StartedAt)
			if o.Message == "" {
				o.Message = t.Message
			}
		}
	}
	return o
}

func TestPodLife(t *testing.T) {
	_, client, ns := shared(t)
	for _, tt := range []struct {
		reason string
		policy corev1.RestartPolicy
		labels map[string]string
		notes  notes
		want   outcome
	}{
		{
			reason: "run-for alone ends well",
			policy: corev1.RestartPolicyNever, notes: notes{"run-for": "100ms"},
			want: outcome{Phase: corev1.PodSucceeded, ExitReason: "Completed", Ready: "False PodCompleted", StartedBeforeDone: true},
		},
		{
			reason: "an exit code other than 0 fails a pod that is never restarted",
			policy: corev1.RestartPolicyNever, notes: notes{"exit-code": "3"},
			want: outcome{Phase: corev1.PodFailed, Exit: 3, ExitReason: "Error", Ready: "False PodFailed", StartedBeforeDone: true},
		},
		{
			reason: "reason and message of the container can be set",
			policy: corev1.RestartPolicyNever,
			notes:  notes{"exit-code": "137", "exit-reason": "OOMKilled", "termination-message": `it "said": so`},
			want:   outcome{Phase: corev1.PodFailed, Exit: 137, ExitReason: "OOMKilled", Message: `it "said": so`, Ready: "False PodFailed", StartedBeforeDone: true},
		},
		{
			reason: "fail-reason fails the pod whatever its policy, without exit code",
			policy: corev1.RestartPolicyAlways, notes: notes{"fail-reason": "Evicted", "termination-message": "no room"},
			want: outcome{Phase: corev1.PodFailed, Exit: -1, Reason: "Evicted", Message: "no room", Ready: "False PodFailed"},
		},
		{
			reason: "OnFailure restarts in place until the run that succeeds",
			policy: corev1.RestartPolicyOnFailure, notes: notes{"exit-code": "1", "fail-until-attempt": "2", "restart-delay": "10ms"},
			want: outcome{Phase: corev1.PodSucceeded, ExitReason: "Completed", Restarts: 2, Ready: "False PodCompleted", StartedBeforeDone: true},
		},
		{
			reason: "the attempt label counts as runs before this pod: still failing",
			policy: corev1.RestartPolicyNever, labels: map[string]string{attempt: "9"},
			notes: notes{"exit-code": "1", "fail-until-attempt": "10"},
			want:  outcome{Phase: corev1.PodFailed, Exit: 1, ExitReason: "Error", Ready: "False PodFailed", StartedBeforeDone: true},
		},
		{
			reason: "the attempt label counts as runs before this pod: numbers, not strings, are compared",
			policy: corev1.RestartPolicyNever, labels: map[string]string{attempt: "10"},
			notes: notes{"exit-code": "1", "fail-until-attempt": "9"},
			want:  outcome{Phase: corev1.PodSucceeded, ExitReason: "Completed", Ready: "False PodCompleted", StartedBeforeDone: true},
		},
		{
			reason: "fail-index names the replica that fails",
			policy: corev1.RestartPolicyNever, labels: map[string]string{index: "3"},
			notes: notes{"exit-code": "1", "fail-index": "1, 3"},
			want:  outcome{Phase: corev1.PodFailed, Exit: 1, ExitReason: "Error", Ready: "False PodFailed", StartedBeforeDone: true},
		},
		{
			reason: "fail-index spares the others",
			policy: corev1.RestartPolicyNever, labels: map[string]string{index: "13"},
			notes: notes{"fail-reason": "Evicted", "fail-index": "1,3"},
			want:  outcome{Phase: corev1.PodSucceeded, ExitReason: "Completed", Ready: "False PodCompleted", StartedBeforeDone: true},
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Parallel()
			pod := in(ns, newPod("", tt.policy, tt.labels, tt.notes))
			pod.GenerateName = "p-"
			pod, err := await(t.Context(), client, createPod(t, client, pod), func(p *corev1.Pod) bool {
				return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, outcomeOf(pod)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPodRuns(t *testing.T) {
	_, client, ns := shared(t)
	pods := client.CoreV1().Pods(ns)

	t.Run("a pod without annotations runs forever and looks like a kubelet's", func(t *testing.T) {
		t.Parallel()
		p := in(ns, newPod("plain", corev1.RestartPolicyAlways, nil, nil))
		p.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "example/init"}}
		p, err := await(t.Context(), client, createPod(t, client, p), inPhase(corev1.PodRunning))
		if err != nil {
			t.Fatal(err)
		}
		s := p.Status
		if s.PodIP == "" || s.HostIP == "" || s.StartTime == nil || condition(p, corev1.PodReady).Status != corev1.ConditionTrue ||
			s.ContainerStatuses[0].State.Running == nil || !s.ContainerStatuses[0].Ready || s.InitContainerStatuses[0].State.Terminated == nil {
			t.Errorf("incomplete status: %+v", s)
		}
	})

	t.Run("start-delay keeps a pod pending", func(t *testing.T) {
		t.Parallel()
		begun := time.Now()
		p := createPod(t, client, in(ns, newPod("late", corev1.RestartPolicyNever, nil, notes{"start-delay": "1500ms"})))
		if _, err := await(t.Context(), client, p, inPhase(corev1.PodRunning)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 1500*time.Millisecond {
			t.Errorf("it ran after %s", took)
		}
	})

	t.Run("run-for is exact to well below a second, and other writes do not prolong it", func(t *testing.T) {
		t.Parallel()
		created := time.Now()
		p := createPod(t, client, in(ns, newPod("exact", corev1.RestartPolicyNever, nil, notes{"run-for": "2s"})))
		if _, err := await(t.Context(), client, p, inPhase(corev1.PodRunning)); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		patch := []byte(`{"metadata":{"labels":{"touched":"true"}}}`)
		if _, err := pods.Patch(t.Context(), p.Name, "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := await(t.Context(), client, p, inPhase(corev1.PodSucceeded)); err != nil {
			t.Fatal(err)
		}
		// It ran between its creation and this moment, and after it was seen to run.
		if most, least := time.Since(created), time.Since(begun); most < 2*time.Second || least > 3*time.Second {
			t.Errorf("it ran for %s to %s", least, most)
		}
	})
}

func TestPodRestartsAndStops(t *testing.T) {
	_, client, ns := shared(t)

	t.Run("Always restarts after exit code 0, and keeps the last state", func(t *testing.T) {
		t.Parallel()
		p := createPod(t, client, in(ns, newPod("again", corev1.RestartPolicyAlways, nil, notes{"run-for": "50ms", "restart-delay": "10ms", "termination-message": "bye"})))
		p, err := await(t.Context(), client, p, func(p *corev1.Pod) bool {
			return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].RestartCount == 3
		})
		if err != nil {
			t.Fatal(err)
		}
		last := p.Status.ContainerStatuses[0].LastTerminationState.Terminated
		if p.Status.Phase != corev1.PodRunning || last == nil || last.ExitCode != 0 || last.Message != "bye" {
			t.Errorf("phase %s, last state %+v", p.Status.Phase, last)
		}
	})

	t.Run("waiting-reason keeps a pod pending until it is deleted", func(t *testing.T) {
		t.Parallel()
		p := createPod(t, client, in(ns, newPod("stuck", corev1.RestartPolicyNever, nil, notes{"waiting-reason": "ImagePullBackOff"})))
		p, err := await(t.Context(), client, p, func(p *corev1.Pod) bool { return len(p.Status.ContainerStatuses) > 0 })
		if err != nil {
			t.Fatal(err)
		}
		if w := p.Status.ContainerStatuses[0].State.Waiting; p.Status.Phase != corev1.PodPending || w == nil || w.Reason != "ImagePullBackOff" {
			t.Errorf("status: %+v", p.Status)
		}
		deletePod(t, client, p)
	})

	for name, tt := range map[string]struct {
		notes notes
		want  outcome
	}{
		"deleted":        {nil, outcome{Phase: corev1.PodFailed, Exit: 143, ExitReason: "Error", Ready: "False PodFailed", StartedBeforeDone: true}},
		"deleted-calmly": {notes{"stop-exit-code": "0", "stop-delay": "200ms"}, outcome{Phase: corev1.PodSucceeded, ExitReason: "Completed", Ready: "False PodCompleted", StartedBeforeDone: true}},
	} {
		t.Run("a running pod reports its end before it goes: "+name, func(t *testing.T) {
			t.Parallel()
			p, err := await(t.Context(), client, createPod(t, client, in(ns, newPod(name, corev1.RestartPolicyNever, nil, tt.notes))), inPhase(corev1.PodRunning))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, outcomeOf(deletePod(t, client, p))); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

// TestNameReuse deletes and recreates pods of one name as fast as it can: what is
// done to one must not hit the next.
func TestNameReuse(t *testing.T) {
	_, client, ns := shared(t)
	for round := range 30 {
		p := createPod(t, client, in(ns, newPod("reused", corev1.RestartPolicyNever, nil, nil)))
		p, err := await(t.Context(), client, p, inPhase(corev1.PodRunning))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		deletePod(t, client, p)
	}
}

func createPod(t *testing.T, client kubernetes.Interface, p *corev1.Pod) *corev1.Pod {
	t.Helper()
	p, err := client.CoreV1().Pods(p.Namespace).Create(t.Context(), p, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// deletePod deletes gracefully and returns the last state of the pod.
func deletePod(t *testing.T, client kubernetes.Interface, p *corev1.Pod) *corev1.Pod {
	t.Helper()
	pods := client.CoreV1().Pods(p.Namespace)
	// The watch begins before the end.
	events, err := pods.Watch(t.Context(), metav1.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector("metadata.name", p.Name).String(),
		ResourceVersion: p.ResourceVersion,
		TimeoutSeconds:  new(int64(30)),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	begun := time.Now()
	if err := pods.Delete(t.Context(), p.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}}); err != nil {
		t.Fatal(err)
	}
	for e := range events.ResultChan() {
		if e.Type != watch.Deleted {
			continue
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("deleting took %s", took)
		}
		return e.Object.(*corev1.Pod)
	}
	t.Fatalf("pod %s is not gone after %s", p.Name, time.Since(begun))
	return nil
}
