package jobview_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/explain"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// TestNothingReachesTheTerminal: no text of a status, a name, a type or an event is more
// than text, wherever it is shown.
func TestNothingReachesTheTerminal(t *testing.T) {
	t.Parallel()
	const evil = "x\x1b[2Jy\u009b1m\u202ez\u2066\u200f\u2028\r\n\x07"
	condition := func(typ commonv1.JobConditionType) commonv1.JobCondition {
		return commonv1.JobCondition{Type: typ, Status: corev1.ConditionTrue, Reason: evil, Message: evil}
	}
	now := time.Unix(1_800_000_000, 0)
	typ := commonv1.ReplicaType(evil)
	base := jobview.Job{
		Kind: evil, Namespace: evil, Name: evil, StatusError: evil, Expect: evil, Replicas: map[commonv1.ReplicaType]int{typ: 2, "b": 1},
		Pods: []jobview.Pod{{Name: evil, Type: typ, Phase: corev1.PodPhase(evil), Problem: evil}, {Name: "b", Type: "b", Phase: corev1.PodRunning}},
	}
	failed, other, stalled, reported := base, base, base, base
	failed.Status = commonv1.JobStatus{Conditions: []commonv1.JobCondition{condition(commonv1.JobFailed)}}
	other.Status = commonv1.JobStatus{State: evil, Conditions: []commonv1.JobCondition{condition(evil)}}
	stalled.Status = commonv1.JobStatus{Conditions: []commonv1.JobCondition{condition(commonv1.JobStalled)}}
	reported.Pods, reported.Namespace = nil, "other"
	reported.Status = commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{typ: {Active: 1}, "b": {Failed: 1}}}
	jobs := []jobview.Job{failed, other, stalled, reported}
	events := []corev1.Event{{
		Type: evil, Reason: evil, Message: evil, InvolvedObject: corev1.ObjectReference{Kind: evil, Name: evil},
	}}
	shown := jobview.Lines(jobview.Snapshot{}, jobview.Snapshot{At: now, Jobs: jobs})
	for _, width := range []int{0, 20, 60, 200} {
		shown = append(shown, jobview.Table(jobview.Snapshot{At: now, Jobs: jobs}, jobview.TableOptions{Width: width})...)
	}
	for _, job := range jobs {
		shown = append(shown, explain.Report(job, slices.Clone(events), now)...)
	}
	for _, line := range shown {
		if i := strings.IndexFunc(line, func(r rune) bool {
			return unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)
		}); i >= 0 {
			t.Errorf("a line holds %q", line)
		}
	}
}
