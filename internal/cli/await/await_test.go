package await_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/await"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// scripted shows one state after the other.
type scripted struct {
	states  [][]jobview.Job
	changes chan struct{}
	trouble error
}

func (s *scripted) Trouble() error { return s.trouble }

func (s *scripted) Changes() <-chan struct{} { return s.changes }

func (s *scripted) Snapshot(at time.Time) jobview.Snapshot {
	now := s.states[0]
	if len(s.states) > 1 {
		s.states = s.states[1:]
		s.changes <- struct{}{}
	}
	return jobview.Snapshot{At: at, Jobs: now}
}

func in(t commonv1.JobConditionType) jobview.Job {
	return jobview.Job{Status: commonv1.JobStatus{Conditions: []commonv1.JobCondition{{Type: t, Status: corev1.ConditionTrue}}}}
}

func TestFor(t *testing.T) {
	t.Parallel()
	running, succeeded, failed := in(commonv1.JobRunning), in(commonv1.JobSucceeded), in(commonv1.JobFailed)
	gone, deleted, removed := jobview.Job{Gone: true}, running, succeeded
	deleted.Gone, removed.Gone = true, true
	for _, c := range []struct {
		reason, goal string
		states       [][]jobview.Job
		want         error
	}{
		{"it comes", "running", [][]jobview.Job{{{}}, {running}}, nil},
		{"as kubectl writes it", "condition=Running", [][]jobview.Job{{running}}, nil},
		{"all must be there", "end", [][]jobview.Job{{running, succeeded}, {failed, succeeded}}, nil},
		{"a failure is an end", "end", [][]jobview.Job{{failed}}, nil},
		{"a job that failed does not succeed", "succeeded", [][]jobview.Job{{running}, {failed}}, await.ErrNever},
		{"a job that succeeded does not run", "running", [][]jobview.Job{{succeeded}}, await.ErrNever},
		{"a deleted job does not end", "end", [][]jobview.Job{{gone}}, await.ErrNever},
		{"a job that was deleted while it ran does not run", "running", [][]jobview.Job{{deleted}}, await.ErrNever},
		{"nor does it succeed", "succeeded", [][]jobview.Job{{deleted}}, await.ErrNever},
		{"but one that had succeeded has", "succeeded", [][]jobview.Job{{removed}}, nil},
		{"a deleted job is deleted", "deleted", [][]jobview.Job{{running}, {gone}}, nil},
		{"a job that is not yet there", "suspended", [][]jobview.Job{{running}}, await.ErrTimeout},
	} {
		goal, err := await.ReadGoal(c.goal)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		if errors.Is(c.want, await.ErrTimeout) {
			cancel(await.ErrTimeout)
		}
		err = await.For(ctx, &scripted{c.states, make(chan struct{}, 9), nil}, goal, func(string) {})
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: want %v, got %v", c.reason, c.want, err)
		}
		cancel(nil)
	}
	if _, err := await.ReadGoal("done"); err == nil || err.Error() != `--for is "done": it must be one of end, succeeded, failed, running, suspended, restarting, stalled, created, deleted` {
		t.Errorf("a goal that there is not: %v", err)
	}
}

// TestTrouble has a user who may read a job, but not watch it: without a word it would wait forever.
func TestTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var said []string
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, await.ErrTimeout)
		defer cancel()
		source := &scripted{[][]jobview.Job{{{}}}, make(chan struct{}), errors.New("jobs is forbidden")}
		err := await.For(ctx, source, await.End, func(text string) { said = append(said, text) })
		want := []string{"the cluster cannot be watched, trying again: jobs is forbidden"}
		if diff := cmp.Diff(want, said); diff != "" || !errors.Is(err, await.ErrTimeout) {
			t.Errorf("%v; said (-want +got):\n%s", err, diff)
		}
	})
}
