package describe_test

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
)

// pass has the controller of a kind reconcile a job at a time, on paper. It returns what the
// job's status would be, and when the controller would come back; zero is never.
type pass func(ctx context.Context, p *paper, at time.Time) (*commonv1.JobStatus, time.Duration, error)

// passOf makes a pass from the controller of a kind. empty is an empty job.
func passOf[J client.Object](author jobkit.ControllerInterface[J], empty J) pass {
	return func(ctx context.Context, p *paper, at time.Time) (*commonv1.JobStatus, time.Duration, error) {
		job, ok := empty.DeepCopyObject().(J)
		if !ok {
			return nil, 0, fmt.Errorf("a copy of a %T is none", empty)
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(p.job.Object, job); err != nil {
			return nil, 0, fmt.Errorf("cannot read the job: %w", err)
		}
		jobs := &controller.JobController[J]{
			Controller: author, Client: p, APIReader: p, Recorder: silent{}, Clock: stopped{at},
		}
		jobs.Config.MaxParallelWrites = 1
		if err := jobs.Init(p.scheme); err != nil {
			return nil, 0, fmt.Errorf("cannot set up the controller: %w", err)
		}
		p.written = nil
		result, err := jobs.ReconcileJobs(ctx, job)
		if err != nil {
			return nil, 0, fmt.Errorf("cannot plan: %w", err)
		}
		if written, ok := p.written.(J); ok {
			return author.Parts(written).Status, result.RequeueAfter, nil
		}
		return author.Parts(job).Status, result.RequeueAfter, nil
	}
}

// stopped is a clock that shows one time.
type stopped struct{ at time.Time }

var _ clock.PassiveClock = stopped{}

// Now implements clock.PassiveClock.
func (s stopped) Now() time.Time { return s.at }

// Since implements clock.PassiveClock.
func (s stopped) Since(t time.Time) time.Duration { return s.at.Sub(t) }

// silent discards events.
type silent struct{}

// Eventf implements events.EventRecorder.
func (silent) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}
