package controller

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// reportStatus asks the author's StatusReporter, if there is one, for the kind's own part of the
// status, and adds what is new to the plan. It returns true if that code failed: then the plan is
// to be made again.
func (c *JobController[J]) reportStatus(ctx context.Context, job J, in *plan.Input, tally *plan.Tally, p *plan.Plan) bool {
	if c.set.reporter == nil || !in.TakesKindStatus(p) {
		return false
	}
	shown, ok1 := job.DeepCopyObject().(J)
	changed, ok2 := job.DeepCopyObject().(J)
	if !ok1 || !ok2 {
		return false
	}
	*fieldAt[commonv1.JobStatus](shown, c.set.statusAt) = plan.UnpackStatus(*p.Status.DeepCopy())
	var events []jobkit.Event
	c.callAuthor(ctx, in, "ReportStatus", func() { events = c.set.reporter.ReportStatus(shown, copyTally(&tally.Tally)) })
	in.OperatorError = cmp.Or(in.OperatorError, plan.MistakeInEvents(events))
	if in.OperatorError != "" {
		return true
	}
	// What the author did to the rest of the job has no effect.
	c.set.statusField(changed).Set(c.set.statusField(shown))
	*fieldAt[commonv1.JobStatus](changed, c.set.statusAt) = *fieldAt[commonv1.JobStatus](job, c.set.statusAt)
	if equality.Semantic.DeepEqual(c.set.statusField(job).Interface(), c.set.statusField(changed).Interface()) {
		return false
	}
	in.KindStatus = changed
	p.ReportKindStatus(events)
	return false
}

// statusName is what JSON and the API server call the status of a job.
const statusName = "status"

// statusField is the field of a job that holds the library's status, and those of the kind's own
// beside it.
func (s *settings[J]) statusField(job J) reflect.Value {
	return reflect.ValueOf(job).Elem().FieldByIndex(s.statusRoot)
}

// rootOf is the path of the field that JSON calls status, above the library's part of it; nil if
// nothing else can be in that field.
func rootOf(job client.Object, statusAt []int) []int {
	t := reflect.TypeOf(job).Elem()
	for n := range max(len(statusAt)-1, 0) {
		f := t.FieldByIndex(statusAt[:n+1])
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name == statusName {
			return statusAt[:n+1]
		}
	}
	return nil
}

// checkReporter verifies that the kind's own fields of the status can be found.
func (s *settings[J]) checkReporter() error {
	if s.reporter == nil {
		return nil
	}
	job, err := newJob[J]()
	if err != nil {
		return err
	}
	if s.statusRoot = rootOf(job, s.statusAt); s.statusRoot == nil {
		return fmt.Errorf("ReportStatus() of %s has no field to set: have the job's status be a type of your own with commonv1.JobStatus in it, "+
			"in a field that JSON calls status, and Parts() point at that, as in Status: &job.Status.JobStatus", s.kind.Name)
	}
	if _, library := s.statusWriter.(*writer[J]); !library {
		return fmt.Errorf("the Controller of %s has both WriteStatus() and ReportStatus(), whose result the library writes itself: "+
			"leave ReportStatus out, and set your own fields in WriteStatus, or the other way round", s.kind.Name)
	}
	return nil
}

// copyTally returns a tally that the author's code may keep or change.
func copyTally(t *jobkit.Tally) *jobkit.Tally {
	out := &jobkit.Tally{Types: make([]jobkit.TypeTally, len(t.Types))}
	for i := range t.Types {
		tt := t.Types[i]
		tt.States, tt.Pods, tt.Ready = slices.Clone(tt.States), slices.Clone(tt.Pods), slices.Clone(tt.Ready)
		tt.Counts = *tt.Counts.DeepCopy()
		out.Types[i] = tt
	}
	return out
}
