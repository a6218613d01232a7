// Package await waits until a job is in a state.
package await

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/watch"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// Errors of For, to be distinguished with errors.Is.
var (
	// ErrNever means that what was waited for can no longer happen.
	ErrNever = errors.New("that will not happen any more")
	// ErrTimeout means that it did not happen in time.
	ErrTimeout = errors.New("the time was up")
)

// Goal is what is waited for.
type Goal string

// The goals beside the names of conditions.
const (
	// End is the end of the job, however it ends.
	End Goal = "End"
	// Deleted is that the job no longer exists.
	Deleted Goal = "Deleted"
)

// goals are all of them.
func goals() []string {
	return []string{
		string(End), string(commonv1.JobSucceeded), string(commonv1.JobFailed), string(commonv1.JobRunning),
		string(commonv1.JobSuspended), string(commonv1.JobRestarting), string(commonv1.JobStalled), string(commonv1.JobCreated), string(Deleted),
	}
}

// Goals are the words that ReadGoal takes, in lower case.
func Goals() []string {
	var out []string
	for _, g := range goals() {
		out = append(out, strings.ToLower(g))
	}
	return out
}

// ReadGoal reads the value of --for; as kubectl writes it too: "condition=Running".
func ReadGoal(text string) (Goal, error) {
	word := strings.TrimPrefix(strings.ToLower(text), "condition=")
	if word == "delete" {
		return Deleted, nil
	}
	i := slices.IndexFunc(goals(), func(g string) bool { return strings.EqualFold(g, word) })
	if i < 0 {
		return "", fmt.Errorf("--for is %q: it must be one of %s", text, strings.Join(Goals(), ", "))
	}
	return Goal(goals()[i]), nil
}

// Reached reports whether a job is where it is to be. The error is ErrNever if it can no longer
// come there.
func (g Goal) Reached(job *jobview.Job) (bool, error) {
	outcome := job.Outcome()
	switch {
	case g == Deleted:
		return job.Gone, nil
	case g == End && outcome != jobview.Unfinished:
		return outcome != jobview.Lost, never(outcome == jobview.Lost, job)
	case g == End:
		return false, nil
	case job.Gone && g != Goal(commonv1.JobSucceeded) && g != Goal(commonv1.JobFailed):
		return false, never(true, job) // its conditions are those of before
	case job.Status.IsTrue(commonv1.JobConditionType(g)):
		return true, nil
	}
	return false, never(outcome != jobview.Unfinished, job)
}

// never is ErrNever with the state of the job, if it is so.
func never(is bool, job *jobview.Job) error {
	if !is {
		return nil
	}
	return fmt.Errorf("%s %s/%s is %s: %w", job.Kind, job.Namespace, job.Name, job.State(), ErrNever)
}

// Source is where snapshots come from; a watch.Watcher is one.
type Source interface {
	// Changes receives when something may have changed.
	Changes() <-chan struct{}
	// Snapshot is what is known at the given moment.
	Snapshot(at time.Time) jobview.Snapshot
	// Trouble says why the cluster cannot be watched, or is nil.
	Trouble() error
}

// checkPeriod is how often For checks whether the cluster can be watched.
const checkPeriod = time.Second

// For waits until all jobs have reached the goal. It ends with the first that cannot. It says if the
// cluster cannot be watched meanwhile.
func For(ctx context.Context, source Source, g Goal, say func(string)) error {
	ticker := time.NewTicker(checkPeriod)
	defer ticker.Stop()
	var complaint watch.Complaint
	for {
		if text := complaint.About(source.Trouble(), time.Now()); text != "" {
			say(text)
		}
		left := 0
		for _, job := range source.Snapshot(time.Now()).Jobs {
			reached, err := g.Reached(&job)
			if err != nil {
				return err
			}
			if !reached {
				left++
			}
		}
		if left == 0 {
			return nil
		}
		select {
		case <-source.Changes():
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
