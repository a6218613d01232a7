package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit/internal/plan"
)

// TestSteps says which actions are executed together, and which end a plan if they fail.
func TestSteps(t *testing.T) {
	for name, tc := range map[string]struct {
		reason           string
		action           plan.Action
		want             plan.Step
		creates, deletes bool
	}{
		"CreatePod":     {reason: "pods and services do not depend on each other", action: plan.CreatePod{}, want: plan.StepCreate, creates: true},
		"CreateService": {reason: "as pods", action: plan.CreateService{}, want: plan.StepCreate, creates: true},
		"UpdateService": {reason: "what exists is changed", action: plan.UpdateService{}, want: plan.StepUpdate},
		"UpdateObject":  {reason: "as services", action: plan.UpdateObject{}, want: plan.StepUpdate},
		"DeletePod":     {reason: "pods and services are deleted together", action: plan.DeletePod{}, want: plan.StepDelete, deletes: true},
		"DeleteService": {reason: "as pods", action: plan.DeleteService{}, want: plan.StepDelete, deletes: true},
		"CreateObject":  {reason: "pods may need it", action: plan.CreateObject{Kind: "ConfigMap"}, want: plan.StepCreateObject, creates: true},
		"CreateClaim":   {reason: "claims do not refer to each other", action: plan.CreateObject{Kind: plan.VolumeClaimKind}, want: plan.StepCreateVolumeClaim, creates: true},
		"DeleteObject":  {reason: "it is not the job itself", action: plan.DeleteObject{}, want: plan.StepDeleteObject, deletes: true},
		"DeleteJob":     {reason: "the last of all", action: plan.DeleteJob{}, want: plan.StepDeleteJob, deletes: true},
	} {
		step := plan.StepOf(tc.action)
		if step != tc.want || step.Creates() != tc.creates || step.Deletes() != tc.deletes {
			t.Errorf("%s: %s: got step %d, creates %t, deletes %t", name, tc.reason, step, step.Creates(), step.Deletes())
		}
	}
}

// TestObstaclesNameThePod: the event of an obstacle is about the pod of the action, as far as it is
// about a pod.
func TestObstaclesNameThePod(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		action plan.Action
		want   plan.PodRef
	}{
		"Create": {reason: "a pod that does not exist has no UID", action: plan.CreatePod{Name: "job-worker-1", Type: worker, Index: 1}, want: plan.PodRef{Name: "job-worker-1"}},
		"Delete": {reason: "this very pod", action: plan.DeletePod{Name: "job-worker-1", UID: "p-1"}, want: plan.PodRef{Name: "job-worker-1", UID: "p-1"}},
		"Other":  {reason: "a service is no pod", action: plan.DeleteService{Name: "job-worker-1", UID: "s-1"}},
	} {
		m := started(workers(1), nil)
		p := plan.Conclude(&m.in, plan.TallyOf(&m.in), m.decide(), plan.ExecutionResult{
			Obstructions: []plan.Obstruction{{Action: tc.action, Obstacle: plan.Refused, Message: "no."}},
		})
		var got []plan.PodRef
		for _, e := range p.Events {
			got = append(got, e.Pod)
		}
		if diff := cmp.Diff([]plan.PodRef{tc.want}, got); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, tc.reason, diff)
		}
	}
}

// TestNote: an event holds as much as the API server accepts.
func TestNote(t *testing.T) {
	for n, want := range map[int]int{1: 1, 1000: 1000, 1001: 1000} {
		if got := len(plan.Note(strings.Repeat("x", n))); got != want {
			t.Errorf("of %d bytes %d are left, want %d", n, got, want)
		}
	}
}
