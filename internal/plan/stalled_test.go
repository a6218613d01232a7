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

// TestHalt: a job on which the kind's own code fails is stalled, unless it is none of this
// operator's business; and all else stays as it is.
func TestHalt(t *testing.T) {
	says := []string{"Stalled=True TestJobOperatorError: TestJob ns/job cannot continue: panic: x"}
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		want   []string
		again  time.Duration
		news   plan.StatusChange
	}{
		"Stalled": {"the author must fix it", func(*model) {}, says, time.Second, plan.StatusNews},
		"Known": {"it was said before, and the next try is as far away as the first is long ago", func(m *model) {
			m.in.Status = plan.Halt(&m.in).Status
			m.after(30 * time.Second)
		}, says, 30 * time.Second, plan.StatusUnchanged},
		"Deleted": {"the garbage collector's", func(m *model) { m.in.Job.Deleted = true }, []string{}, 0, plan.StatusUnchanged},
		"Managed": {"another controller's", func(m *model) { m.in.RunPolicy.ManagedBy = new("example.com/other") }, []string{}, 0, plan.StatusUnchanged},
		"Finished": {"nothing is left to do", func(m *model) {
			m.in.Status.Conditions = []commonv1.JobCondition{{Type: commonv1.JobFailed, Status: corev1.ConditionTrue, Reason: "x"}}
		}, []string{"Failed=True x: "}, 0, plan.StatusUnchanged},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.in.Halted, m.in.HaltedWhy = plan.OperatorError, "panic: x"
			tc.change(m)
			p := plan.Halt(&m.in)
			if diff := cmp.Diff(tc.want, conditions(&p.Status)); diff != "" || p.RequeueAfter != tc.again || p.StatusChange != tc.news || len(p.Actions) > 0 {
				t.Errorf("%s: again after %s, status change %v, %v; conditions (-want +got):\n%s", tc.reason, p.RequeueAfter, p.StatusChange, p.Actions, diff)
			}
			if len(tc.want) > 0 && tc.want[0] == says[0] && p.Status.State != commonv1.JobStalled {
				t.Errorf("%s: the state is %q", tc.reason, p.Status.State)
			}
		})
	}
}

// TestOperatorErrors: what the kind's own code says is not known, so the job is stalled; but its
// deadline holds.
func TestOperatorErrors(t *testing.T) {
	m := started(workers(1), nil)
	m.in.RunPolicy.ActiveDeadlineSeconds = new(int64(60))
	m.in.OperatorError = "panic: x"
	m.reconcileUntilStable()
	if m.in.Status.State != commonv1.JobStalled || m.decide().RequeueAfter != time.Second {
		t.Errorf("the job is %s, and is tried again after %s", m.in.Status.State, m.decide().RequeueAfter)
	}
	m.after(time.Minute)
	m.reconcileUntilStable()
	if m.in.Status.State != commonv1.JobFailed {
		t.Errorf("past its deadline the job is %s", m.in.Status.State)
	}
}

// TestStalledEnds: the condition ends once nothing is left to do of which it is known that it was
// done.
func TestStalledEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		stays  bool
		open   bool
	}{
		"Done":     {"nothing is in the way any longer", func(*model) {}, false, false},
		"Uncached": {"the cache may show another state", func(m *model) { m.in.Uncached = true }, true, false},
		"ToDo":     {"the result decides", func(m *model) { m.in.Pods = nil }, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), nil)
			m.in.Status.Conditions = append(m.in.Status.Conditions, commonv1.JobCondition{
				Type: commonv1.JobStalled, Status: corev1.ConditionTrue, Reason: "TestJobCreateRefused", LastTransitionTime: metav1.NewTime(m.in.Now),
			})
			tc.change(m)
			p := m.decide()
			if stays := p.Status.Condition(commonv1.JobStalled) != nil; stays != tc.stays || p.Open != tc.open {
				t.Errorf("%s: the condition stays: %t, the plan is open: %t", tc.reason, stays, p.Open)
			}
		})
	}
}
