package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/progress"
)

// TestProgressJob checks which jobs take reports.
func TestProgressJob(t *testing.T) {
	reports := &commonv1.ProgressPolicy{}
	for name, tc := range map[string]struct {
		reason string
		policy *commonv1.ProgressPolicy
		change func(*gateJob)
		closed string
		broken bool
	}{
		"Default":   {reason: "reports are the default source", policy: reports},
		"Report":    {reason: "and can be named", policy: &commonv1.ProgressPolicy{Source: commonv1.ProgressSourceReport}},
		"NoPolicy":  {reason: "a job that does not ask for it", closed: "runPolicy.progressPolicy is not set"},
		"Readiness": {reason: "another source", policy: &commonv1.ProgressPolicy{Source: commonv1.ProgressSourceReadiness}, closed: "runPolicy.progressPolicy.source is Readiness: use Report"},
		"Finished": {reason: "nothing is written after the end", policy: reports, closed: "the job has ended", change: func(j *gateJob) {
			j.Status.Conditions = []commonv1.JobCondition{{Type: commonv1.JobSucceeded, Status: "True"}}
		}},
		"Deleted": {reason: "nor on the way out", policy: reports, closed: "the job is being deleted", change: func(j *gateJob) {
			j.DeletionTimestamp = &metav1.Time{}
		}},
		"Broken": {reason: "the author's code fails", policy: reports, closed: "runPolicy.progressPolicy is not set", broken: true},
	} {
		t.Run(name, func(t *testing.T) {
			job := &gateJob{ObjectMeta: metav1.ObjectMeta{Name: "job", UID: "uid", ResourceVersion: "7"}}
			if tc.change != nil {
				tc.change(job)
			}
			c := &JobController[*gateJob]{set: &settings[*gateJob]{parts: func(j *gateJob) jobkit.JobParts {
				if tc.broken {
					panic("the author's mistake")
				}
				return jobkit.JobParts{RunPolicy: &commonv1.RunPolicy{ProgressPolicy: tc.policy}, Status: &j.Status}
			}}}
			want := progress.Job{UID: "uid", ResourceVersion: "7", Closed: tc.closed}
			if diff := cmp.Diff(want, c.progressJob(job)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
