package demo

import (
	"fmt"

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

// Check compares a job with its example, and says why unless it ended as expected.
// steps is how many of its steps were done.
func (e Example) Check(job jobview.Job, steps int) (Result, string) {
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
	case e.Pods != nil && *e.Pods != len(job.Pods):
		// Pods are deleted after the job has finished, which takes time.
		return Waiting, fmt.Sprintf("it ended %s, but %d of its pods are left, expected %d", outcome, len(job.Pods), *e.Pods)
	}
	return AsExpected, ""
}

// decided reports whether every job has a result, as expected or otherwise.
func decided(examples []Example, jobs []jobview.Job, steps []int) bool {
	for i, e := range examples {
		if result, _ := e.Check(jobs[i], steps[i]); result == Waiting {
			return false
		}
	}
	return true
}

// unexpected returns the indices of the jobs that did not end as expected.
func unexpected(examples []Example, jobs []jobview.Job, steps []int) []int {
	var found []int
	for i, e := range examples {
		if result, _ := e.Check(jobs[i], steps[i]); result != AsExpected {
			found = append(found, i)
		}
	}
	return found
}
