package jobview

import commonv1 "github.com/jobkit/jobkit/api/common/v1"

// Outcome is how a job ended.
type Outcome string

// The outcomes of a job.
const (
	// Unfinished is the outcome of a job that has not ended.
	Unfinished Outcome = ""
	// Succeeded is the outcome of a job whose condition Succeeded is True.
	Succeeded Outcome = "Succeeded"
	// Failed is the outcome of a job whose condition Failed is True.
	Failed Outcome = "Failed"
	// Lost is the outcome of a job that was deleted before it finished.
	Lost Outcome = "Lost"
)

// Outcome says how the job ended. A job that finished and was then deleted, for
// example by its ttlSecondsAfterFinished, keeps its outcome.
func (j Job) Outcome() Outcome {
	switch {
	case j.Status.IsTrue(commonv1.JobFailed):
		return Failed
	case j.Status.IsTrue(commonv1.JobSucceeded):
		return Succeeded
	case j.Gone:
		return Lost
	default:
		return Unfinished
	}
}

// OutcomeOf is the outcome of several jobs together: Unfinished while one of them
// is, then Failed if any failed, Lost if any was lost, Succeeded if all succeeded.
func OutcomeOf(jobs []Job) Outcome {
	count := map[Outcome]int{}
	for _, job := range jobs {
		count[job.Outcome()]++
	}
	for _, outcome := range []Outcome{Unfinished, Failed, Lost} {
		if count[outcome] > 0 {
			return outcome
		}
	}
	return Succeeded
}
