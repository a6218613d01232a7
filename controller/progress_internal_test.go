package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/event"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/progress/protocol"
	"github.com/jobkit/jobkit/progress"
)

// TestWithoutReports: a new report causes no reconcile, and everything else does.
func TestWithoutReports(t *testing.T) {
	at := func(second int) *metav1.MicroTime { return &metav1.MicroTime{Time: time.Unix(int64(second), 0)} }
	for name, tc := range map[string]struct {
		reason string
		change func(*gateJob)
		want   bool
	}{
		"Report": {"the reconciler looks at it when its time comes", func(j *gateJob) {
			j.ResourceVersion, j.Status.TrainerStatus = "2", &commonv1.TrainerStatus{ReceivedTime: at(5)}
			j.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: protocol.FieldOwner}}
		}, false},
		"ReportAndMore": {"someone else changed the status as well", func(j *gateJob) {
			j.ResourceVersion, j.Status.TrainerStatus, j.Status.Restarts = "2", &commonv1.TrainerStatus{ReceivedTime: at(5)}, 1
		}, true},
		"ReportAndLabel": {"so does a label", func(j *gateJob) {
			j.Status.TrainerStatus, j.Labels = &commonv1.TrainerStatus{ReceivedTime: at(5)}, map[string]string{"a": "b"}
		}, true},
		"Status": {"the status changed", func(j *gateJob) { j.ResourceVersion, j.Status.Restarts = "2", 1 }, true},
		"Resync": {"nothing changed: the cache shows it again", func(*gateJob) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			was := &gateJob{ObjectMeta: metav1.ObjectMeta{Name: "job", UID: "uid", ResourceVersion: "1"}}
			is := was.DeepCopyObject().(*gateJob)
			tc.change(is)
			c := &JobController[*gateJob]{set: &settings[*gateJob]{statusAt: []int{2}}}
			if got := c.withoutReports().Update(event.UpdateEvent{ObjectOld: was, ObjectNew: is}); got != tc.want {
				t.Errorf("%s: it causes a reconcile: %t", tc.reason, got)
			}
		})
	}
}

func TestResourceOf(t *testing.T) {
	gvk := schema.GroupVersionKind{Group: "kubeflow.org", Version: "v1", Kind: "PyTorchJob"}
	if got := resourceOf(gvk, nil).Resource; got != "pytorchjobs" {
		t.Errorf("without a mapper the resource of PyTorchJob is %q", got)
	}
}

// TestUnwrittenReports: a report that the server could not write is no silence.
func TestUnwrittenReports(t *testing.T) {
	start, report := time.Unix(100, 0), time.Unix(200, 0)
	for name, tc := range map[string]struct {
		reason        string
		up, unwritten time.Time
		want          time.Time
	}{
		"None":   {"all reports were written", start, time.Time{}, start},
		"Later":  {"the job has shown progress since", start, report, report},
		"Before": {"the server was away since", report, start, report},
		"Away":   {"the server is away", time.Time{}, report, time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &JobController[*gateJob]{set: &settings[*gateJob]{}, Progress: &progress.Server{
				UpSince: func() time.Time { return tc.up },
				Unwritten: func(job types.UID) time.Time {
					if job != "uid" {
						t.Errorf("it asks for job %q", job)
					}
					return tc.unwritten
				},
			}}
			got := c.progressOf(&gateJob{ObjectMeta: metav1.ObjectMeta{Name: "job", UID: "uid"}})
			if !got.UpSince.Equal(tc.want) {
				t.Errorf("%s: silence counts from %v, want %v", tc.reason, got.UpSince, tc.want)
			}
		})
	}
}
