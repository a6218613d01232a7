package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestExitsAreToldTogether: one event for one pod, as v1 words it, and one for a thousand;
// each names the pod, or the first.
func TestExitsAreToldTogether(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		fail   int32
		want   string
	}{
		"One":  {"as kubeflow.org/v1 words it", 1, "Pod: ns.job-worker-0 exited with code 130"},
		"Two":  {"both", 2, "2 pods exited with an error: job-worker-0 with code 130, job-worker-1 with code 131"},
		"Many": {"the first few", 1001, "1001 pods exited with an error: job-worker-0 with code 130, job-worker-1 with code 131, job-worker-2 with code 132 and 998 more"},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1001), restartPolicy(commonv1.RestartPolicyExitCode))
			for i := range tc.fail {
				m.end(m.pod("worker-"+itoa(int(i))), 130+i%3)
			}
			want := plan.Event{
				Warning: true, Reason: "ExitedWithCode", Message: tc.want,
				Pod: plan.PodRef{Name: "job-worker-0", UID: m.pod("worker-0").UID},
			}
			var got []plan.Event
			for _, e := range m.reconcile().Events {
				if e.Reason == "ExitedWithCode" {
					got = append(got, e)
				}
			}
			if diff := cmp.Diff([]plan.Event{want}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestRefusedPodIsNamed: the event that a pod could not be created is about that pod.
func TestRefusedPodIsNamed(t *testing.T) {
	m := newModel(workers(1))
	p := settleWith(m, plan.CreatePod{Name: "job-worker-0", Type: worker}, plan.Refused)
	if len(p.Events) != 1 || p.Events[0].Pod.Name != "job-worker-0" {
		t.Errorf("want one event about job-worker-0, got %+v", p.Events)
	}
}
