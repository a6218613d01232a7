package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestUnreadable checks known-bugs row 93: what is done about a job of which nothing but
// its metadata and its status is known.
func TestUnreadable(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	condition := func(t commonv1.JobConditionType, s corev1.ConditionStatus) commonv1.JobCondition {
		return commonv1.JobCondition{Type: t, Status: s, Reason: "r", Message: "m"}
	}
	ran := commonv1.JobStatus{
		StartTime: &metav1.Time{Time: now.Add(-time.Hour)}, State: commonv1.JobRunning,
		Conditions:      []commonv1.JobCondition{condition(commonv1.JobCreated, corev1.ConditionTrue), condition(commonv1.JobRunning, corev1.ConditionTrue)},
		ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {Active: 3}},
	}
	suspended := commonv1.JobStatus{Conditions: []commonv1.JobCondition{
		condition(commonv1.JobCreated, corev1.ConditionTrue), condition(commonv1.JobRunning, corev1.ConditionFalse), condition(commonv1.JobSuspended, corev1.ConditionTrue),
	}}
	ended := commonv1.JobStatus{
		StartTime: ran.StartTime, State: commonv1.JobSucceeded, Conditions: []commonv1.JobCondition{condition(commonv1.JobSucceeded, corev1.ConditionTrue)},
	}
	tests := map[string]struct {
		reason  string
		status  commonv1.JobStatus
		pods    int
		service bool
		deleted bool
		manager *string
		want    commonv1.JobConditionType
		events  int
		writes  bool
	}{
		"New":       {reason: "it never ran: it fails", want: commonv1.JobFailed, events: 1, writes: true},
		"Running":   {reason: "it runs: it is stalled, and what it had stays", status: ran, want: commonv1.JobStalled, events: 1, writes: true},
		"Pods":      {reason: "it has pods, so it runs", pods: 1, want: commonv1.JobStalled, events: 1, writes: true},
		"Service":   {reason: "it never ran, and nothing of it is deleted before it can be read", service: true, want: commonv1.JobFailed, events: 1, writes: true},
		"Restarted": {reason: "one restart shows that it ran", status: commonv1.JobStatus{Restarts: 1}, want: commonv1.JobStalled, events: 1, writes: true},
		"Suspended": {reason: "it ran before it was suspended", status: suspended, want: commonv1.JobStalled, events: 1, writes: true},
		"Succeeded": {reason: "what has ended stays so", status: ended, want: commonv1.JobSucceeded},
		"Deleted":   {reason: "the garbage collector does the rest", status: ran, deleted: true, want: commonv1.JobRunning},
		"Foreign":   {reason: "another controller runs it", status: ran, manager: new("example.com/other"), want: commonv1.JobRunning},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			in := &plan.Input{
				Kind: jobkit.Kind{Name: "TestJob", Roles: []jobkit.Role{{Type: worker}}, ContainerName: "c"},
				Job:  plan.Job{Namespace: "ns", Name: "j", UID: "u", Deleted: tc.deleted}, Status: tc.status, Now: now,
				RunPolicy: commonv1.RunPolicy{ManagedBy: tc.manager}, Unreadable: "spec.every: the words",
			}
			for range tc.pods {
				in.Pods = append(in.Pods, &corev1.Pod{})
			}
			if tc.service {
				in.Services = []*corev1.Service{{}}
			}
			p := plan.Decide(in, plan.TallyOf(in), nil)
			if got := p.Status.State; got != tc.want || (p.StatusChange == plan.StatusNews) != tc.writes || len(p.Events) != tc.events || len(p.Actions) > 0 {
				t.Errorf("%s: state %s, write %t, events %v, actions %v", tc.reason, got, p.StatusChange != plan.StatusUnchanged, p.Events, p.Actions)
			}
			if diff := cmp.Diff(tc.status.ReplicaStatuses, p.Status.ReplicaStatuses); diff != "" {
				t.Errorf("%s: the replicas are not counted (-want +got):\n%s", tc.reason, diff)
			}
			if !tc.writes {
				return
			}
			c := p.Status.Condition(tc.want)
			if want := "TestJob ns/j cannot be read: spec.every: the words"; c.Message != want || c.Reason != "TestJobFailedValidation" {
				t.Errorf("%s: the condition is %s: %s", tc.reason, c.Reason, c.Message)
			}
			if p.Status.Condition(commonv1.JobCreated) == nil && !slices.Contains([]string{"Pods", "Restarted"}, name) {
				t.Errorf("%s: a job that was taken up says so", tc.reason)
			}
			in.Status = p.Status
			if p := plan.Decide(in, plan.TallyOf(in), nil); p.StatusChange != plan.StatusUnchanged || len(p.Events) > 0 {
				t.Errorf("%s: the next pass writes again: %+v", tc.reason, p)
			}
		})
	}
}
