package demo

import (
	"fmt"
	"time"

	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// Result says whether a job ended as its example says.
type Result string

// The results.
const (
	// Waiting is the result while the job can still end as its example says.
	Waiting Result = "waiting"
	// AsExpected is the result when it has.
	AsExpected Result = "as expected"
	// Otherwise is the result when it has ended in another way.
	Otherwise Result = "otherwise"
)

// allSeen is how long after the end of a job all its pods have been seen for certain.
const allSeen = 15 * time.Second

// Check compares a job with its example, and says why unless it ended as expected.
// steps is how many of its steps were done, and now when the job was seen.
func (e Example) Check(job jobview.Job, steps int, now time.Time) (Result, string) {
	outcome := job.Outcome()
	switch {
	case outcome == jobview.Unfinished:
		return Waiting, fmt.Sprintf("it is %s, expected %s", job.State(), e.Outcome)
	case outcome != e.Outcome:
		return Otherwise, fmt.Sprintf("it ended %s, expected %s", job.State(), e.Outcome)
	case e.Restarts != nil && *e.Restarts != job.Restarts():
		return Otherwise, fmt.Sprintf("it ended %s with %d restarts, expected %d", outcome, job.Restarts(), *e.Restarts)
	case e.Ignored != nil && *e.Ignored != job.Ignored():
		return Otherwise, fmt.Sprintf("it ended %s with %s ignored, expected %d", outcome, jobview.Plural(job.Ignored(), "failure"), *e.Ignored)
	case steps < len(e.Steps):
		return Otherwise, fmt.Sprintf("it ended %s before this could be done to it: %s", outcome, e.Steps[steps].Action)
	case e.Pods != nil && *e.Pods > len(job.Pods) && job.Status.CompletionTime != nil && now.After(job.Status.CompletionTime.Add(allSeen)):
		// A finished job gets no new pods.
		return Otherwise, fmt.Sprintf("it ended %s, but only %d of its pods are left, expected %d", outcome, len(job.Pods), *e.Pods)
	case e.Pods != nil && *e.Pods != len(job.Pods):
		// Pods are deleted after the job has finished, which takes time.
		return Waiting, fmt.Sprintf("it ended %s, but %d of its pods are left, expected %d", outcome, len(job.Pods), *e.Pods)
	}
	return AsExpected, ""
}

// decided reports whether every job has a result, as expected or otherwise.
func decided(examples []Example, last *jobview.Snapshot, steps []int) bool {
	for i, e := range examples {
		if result, _ := e.Check(last.Jobs[i], steps[i], last.At); result == Waiting {
			return false
		}
	}
	return true
}

// unexpected returns the indices of the jobs that did not end as expected.
func unexpected(examples []Example, last *jobview.Snapshot, steps []int) []int {
	var found []int
	for i, e := range examples {
		if result, _ := e.Check(last.Jobs[i], steps[i], last.At); result != AsExpected {
			found = append(found, i)
		}
	}
	return found
}
