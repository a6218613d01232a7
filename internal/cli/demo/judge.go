package demo

import (
	"fmt"
	"slices"
	"time"

	"github.com/jobkit/jobkit/internal/cli/jobview"
)

// Verdict says how far a job is from what its example says.
type Verdict string

// The verdicts.
const (
	// Waiting is the verdict while the job can still end as its example says.
	Waiting Verdict = "waiting"
	// AsExpected is the verdict when it has.
	AsExpected Verdict = "as expected"
	// Otherwise is the verdict when it has ended in another way.
	Otherwise Verdict = "otherwise"
)

// Judge compares a job with its example, and says why unless it ended as expected.
func (e Example) Judge(job jobview.Job) (Verdict, string) {
	outcome := job.Outcome()

	switch {
	case outcome == jobview.Unfinished:
		return Waiting, fmt.Sprintf("it is %s, expected %s", job.State(), e.Outcome)
	case outcome != e.Outcome:
		return Otherwise, fmt.Sprintf("it ended %s, expected %s", job.State(), e.Outcome)
	case e.Restarts != nil && *e.Restarts != job.Restarts():
		return Otherwise, fmt.Sprintf("it ended %s with %d restarts, expected %d", outcome, job.Restarts(), *e.Restarts)
	case e.Pods != nil && *e.Pods != len(job.Pods):
		// Pods are deleted, and take their time to go, after the job has finished.
		return Waiting, fmt.Sprintf("it ended %s, but %d of its pods are left, expected %d", outcome, len(job.Pods), *e.Pods)
	}

	return AsExpected, ""
}

// decided tells whether every job has its verdict, as expected or otherwise.
func decided(examples []Example, jobs []jobview.Job) bool {
	for i, e := range examples {
		if verdict, _ := e.Judge(jobs[i]); verdict == Waiting {
			return false
		}
	}

	return true
}

// bad are the indices of the jobs that did not end as expected.
func bad(examples []Example, jobs []jobview.Job) []int {
	var found []int

	for i, e := range examples {
		if verdict, _ := e.Judge(jobs[i]); verdict != AsExpected {
			found = append(found, i)
		}
	}

	return found
}

// Due are the indices of the jobs to resume now: those that are seen suspended,
// have been for as long as their example says, and were not resumed before.
func Due(examples []Example, jobs []jobview.Job, sinceSubmit time.Duration, resumed []int) []int {
	var found []int

	for i, e := range examples {
		if e.ResumeAfter > 0 && sinceSubmit >= e.ResumeAfter && !slices.Contains(resumed, i) &&
			jobs[i].State() == "Suspended" {
			found = append(found, i)
		}
	}

	return found
}
