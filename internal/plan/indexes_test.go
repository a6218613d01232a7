package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestSucceededIndexes: what the status says of replicas whose pods are gone is
// taken up, and written again in its shortest form.
func TestSucceededIndexes(t *testing.T) {
	tests := map[string]struct {
		reason  string
		status  string
		ended   []string
		running []string
		want    string
		created int
	}{
		"None":         {reason: "nothing has succeeded", want: "", created: 6},
		"Pods":         {reason: "pods that succeeded are recorded", ended: []string{"worker-0", "worker-1", "worker-3"}, want: "0-1,3"},
		"Gone":         {reason: "replicas whose pods are gone stay succeeded", status: "0-2,5", want: "0-2,5", created: 2},
		"Beyond":       {reason: "indexes that the job does not have are left out", status: "4-2147483647,9,4294967296", want: "4-5", created: 4},
		"Nonsense":     {reason: "what is not valid is left out", status: "x,-1,2-,-,3-1,1,", want: "1", created: 5},
		"RunningAgain": {reason: "what has succeeded does not run again in its attempt: the view is old", status: "0-5", running: []string{"worker-2"}, want: "0-5"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := started(workers(6), nil)
			all := m.in.Pods
			if len(tc.ended) == 0 {
				m.in.Pods = nil
			}
			for _, p := range all {
				for _, n := range tc.running {
					if p.Name == "job-"+n {
						m.in.Pods = append(m.in.Pods, p)
					}
				}
			}
			for _, n := range tc.ended {
				m.end(m.pod(n), 0)
			}
			m.in.Status.ReplicaStatuses[worker].SucceededIndexes = tc.status
			p := m.decide()
			created := 0
			for _, a := range p.Actions {
				if _, ok := a.(plan.CreatePod); ok {
					created++
				}
			}
			if diff := cmp.Diff(tc.want, p.Status.ReplicaStatuses[worker].SucceededIndexes); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if created != tc.created {
				t.Errorf("%s: %d pods are created, want %d", tc.reason, created, tc.created)
			}
		})
	}
}

// TestSucceededReplicaWithoutPodCounts: the counts of a replica do not fall when
// its pod is deleted, and the job ends when the others have ended too.
func TestSucceededReplicaWithoutPodCounts(t *testing.T) {
	m := started(workers(2), nil)
	m.end(m.pod("worker-0"), 0)
	m.reconcileUntilStable()
	m.in.Now = m.in.Now.Add(2e9)
	m.reconcileUntilStable()
	m.drop(m.pod("worker-0"))
	m.reconcileUntilStable()
	if got := m.in.Status.ReplicaStatuses[worker]; got.Succeeded != 1 || got.Active != 1 {
		t.Errorf("want one succeeded and one active, got %+v", got)
	}
	m.end(m.pod("worker-1"), 0)
	m.reconcileUntilStable()
	if !m.in.Status.IsTrue("Succeeded") || m.in.Status.ReplicaStatuses[worker].Succeeded != 2 {
		t.Errorf("want the job to succeed with two replicas, got %q, %+v", conditions(&m.in.Status), m.in.Status.ReplicaStatuses[worker])
	}
}

// TestSucceededBefore: which replicas a status says have succeeded.
func TestSucceededBefore(t *testing.T) {
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

// TestInvalidEditForgetsNoSuccess: while an edit is invalid, and when it is undone, what has succeeded stays so
// although its pod is gone.
func TestInvalidEditForgetsNoSuccess(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		edit   func(*model)
		// meanwhile is what happens while the edit is invalid.
		meanwhile func(*model)
		want      string
	}{
		"Smaller": {"fewer than the policy needs", func(m *model) { m.in.Replicas[worker].Replicas = new(int32(2)) }, nil, "3"},
		"None":    {"none at all", func(m *model) { m.in.Replicas[worker].Replicas = new(int32(0)) }, nil, "3"},
		"NoType":  {"the type is gone", func(m *model) { delete(m.in.Replicas, worker) }, nil, "3"},
		"Another": {"another mistake", func(m *model) { m.in.Problem = "a mistake" }, nil, "3"},
		"Succeeds": {
			"another replica succeeds meanwhile", func(m *model) { m.in.Replicas[worker].Replicas = new(int32(2)) },
			func(m *model) { m.end(m.pod("worker-0"), 0); m.reconcileUntilStable(); m.drop(m.pod("worker-0")) }, "0,3",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 4}, func(m *model) {
				m.in.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{{ReplicaType: worker, Indexes: new("0-3")}}}
			})
			m.bind()
			m.end(m.pod("worker-3"), 0)
			m.reconcileUntilStable()
			m.drop(m.pod("worker-3"))
			m.reconcileUntilStable()
			valid := m.in.Replicas[worker].DeepCopy()
			tc.edit(m)
			m.in.Job.Generation++
			m.reconcileUntilStable()
			if s := &m.in.Status; !s.IsTrue(commonv1.JobStalled) {
				t.Fatalf("%s: the edit is invalid: %q", tc.reason, conditions(s))
			}
			if tc.meanwhile != nil {
				tc.meanwhile(m)
				m.reconcileUntilStable()
			}
			m.in.Replicas[worker], m.in.Problem = valid, ""
			m.in.Job.Generation++
			m.reconcileUntilStable()
			if got := m.in.Status.ReplicaStatuses[worker].SucceededIndexes; got != tc.want || m.pod("worker-3") != nil {
				t.Errorf("%s: succeeded: want %q, got %q; worker-3 runs again: %t", tc.reason, tc.want, got, m.pod("worker-3") != nil)
			}
		})
	}
}
