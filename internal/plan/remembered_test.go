package plan_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestRememberedIndexes: which replicas a status says have succeeded.
func TestRememberedIndexes(t *testing.T) {
	cases := map[string]struct {
		reason, status string
		workers        int32
		want           int
	}{
		"Decimal":      {reason: "indexes are decimal numbers", status: "9-11", workers: 12, want: 3},
		"TwoDigits":    {reason: "on both sides", status: "10-11", workers: 12, want: 2},
		"Nine":         {reason: "all of them", status: "9", workers: 12, want: 1},
		"Letters":      {reason: "letters are nonsense", status: "a,3", workers: 12, want: 1},
		"TooLarge":     {reason: "so is an index that no job can have", status: "0-2147483648,3", workers: 4, want: 1},
		"NoEnd":        {reason: "a range without an end is nonsense", status: "0-x,3", workers: 4, want: 1},
		"EndlessEnd":   {reason: "so is one that no replica ends", status: "0-99999999999999999999,3", workers: 4, want: 1},
		"EndlessStart": {reason: "or begins", status: "99999999999999999999-3,3", workers: 4, want: 1},
		"Nothing":      {reason: "a job scaled to nothing has none, and that is found out at once", status: "0-2147483647", workers: 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: tc.workers})
			m.in.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {SucceededIndexes: tc.status}}
			if got := plan.TallyOf(&m.in).Count(jobkit.Succeeded); got != tc.want {
				t.Errorf("%s: want %d, got %d", tc.reason, tc.want, got)
			}
		})
	}
}

// TestCountsOfAJobThatHasEnded: a view that is old, or a job that was scaled since,
// takes nothing from the record, and adds nothing to it.
func TestCountsOfAJobThatHasEnded(t *testing.T) {
	failed := started(workers(3), nil)
	failed.end(failed.pod("worker-0"), 1)
	failed.end(failed.pod("worker-1"), 0)
	failed.settle()
	cases := map[string]struct {
		reason string
		change func(*model)
		want   commonv1.ReplicaStatus
	}{
		"OldView": {
			reason: "what failed does not run again",
			change: func(m *model) {
				for _, p := range m.in.Pods {
					p.Status = corev1.PodStatus{Phase: corev1.PodRunning}
				}
			},
			want: commonv1.ReplicaStatus{Active: 1, Succeeded: 1, Failed: 1},
		},
		"Scaled": {
			reason: "a number of replicas below what has ended makes no count negative",
			change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(1)) },
			want:   commonv1.ReplicaStatus{Succeeded: 1, Failed: 1},
		},
		"StatusOfAnEarlierVersion": {
			reason: "counts without indexes are counts",
			change: func(m *model) {
				m.in.Pods = nil
				m.in.Status.ReplicaStatuses[worker].SucceededIndexes = ""
			},
			want: commonv1.ReplicaStatus{Succeeded: 1, Failed: 1},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := model{in: failed.in}
			m.in.Status, m.in.Replicas, m.in.Pods = *failed.in.Status.DeepCopy(), map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}, nil
			m.in.Replicas[worker] = failed.in.Replicas[worker].DeepCopy()
			for _, p := range failed.in.Pods {
				m.in.Pods = append(m.in.Pods, p.DeepCopy())
			}
			tc.change(&m)
			p := m.decide()
			if rs := p.Status.ReplicaStatuses[worker]; rs.Active != tc.want.Active || rs.Succeeded != tc.want.Succeeded || rs.Failed != tc.want.Failed {
				t.Errorf("%s: got %d active, %d succeeded, %d failed", tc.reason, rs.Active, rs.Succeeded, rs.Failed)
			}
		})
	}
}

// TestAnyContainerDecides: where any name will do, the first container's exit code is
// the replica's.
func TestAnyContainerDecides(t *testing.T) {
	for name, containers := range map[string][]corev1.Container{
		"One": {{Name: "app"}}, "Two": {{Name: "app"}, {Name: "sidecar"}}, "Named": {{Name: "sidecar"}, {Name: "main"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.in.Kind.AnyContainer = true
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyExitCode
			m.in.Replicas[worker].Template.Spec.Containers = containers
			m.settle()
			m.run()
			m.settle()
			main := "app"
			if name == "Named" {
				main = "main"
			}
			m.pod("worker-0").Status = corev1.PodStatus{
				Phase:             corev1.PodFailed,
				ContainerStatuses: []corev1.ContainerStatus{terminated("sidecar", 1), terminated(main, 137)},
			}
			m.settle()
			if m.in.Status.State != commonv1.JobRestarting {
				t.Errorf("137 of %s is retried: %q", main, conditions(&m.in.Status))
			}
		})
	}
}
