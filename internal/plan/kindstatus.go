package plan

import (
	"fmt"

	"github.com/jobkit/jobkit"
)

// TakesKindStatus reports whether the kind's own part of the status is asked for: the job is valid,
// it is this operator's, and it had not ended before. What had ended keeps what it said last.
func (in *Input) TakesKindStatus(p *Plan) bool {
	return !in.Job.Deleted && !in.Status.Finished() && in.Unreadable == "" && in.OperatorError == "" &&
		!in.foreignManager() && !saysInvalid(in, &p.Status)
}

// MaxReportedEvents is how many events of one [jobkit.StatusReporter] call are recorded: the first
// ones.
const MaxReportedEvents = 10

// ReportKindStatus adds to a plan that the kind's own part of the status differs from the observed
// one, and what has happened. It may wait as the counts do, unless something has happened: an
// event is not to come much later than what it tells.
func (p *Plan) ReportKindStatus(events []jobkit.Event) {
	for _, e := range events[:min(len(events), MaxReportedEvents)] {
		p.Events = append(p.Events, Event{Warning: e.Warning, Reason: e.Reason, Message: Note(e.Message)})
		p.StatusChange = StatusNews
	}
	p.StatusChange = max(p.StatusChange, StatusCounts)
}

// MistakeInOutcome says what is wrong with what the author's own code decides, or "".
func MistakeInOutcome(o *jobkit.Outcome) string {
	if o == nil || o.Reason == "" || isReason(o.Reason) {
		return ""
	}
	return fmt.Sprintf("the operator's EvaluateStatus() gives the reason %q, which is not a word in CamelCase of at most %d letters and digits: "+
		"this is a bug of the operator, please report it", Note(o.Reason), maxReasonLength)
}

// MistakeInEvents says what is wrong with events of the author's own code, or "".
func MistakeInEvents(events []jobkit.Event) string {
	for _, e := range events {
		if !isReason(e.Reason) || e.Message == "" {
			return fmt.Sprintf("the operator's ReportStatus() returns an event with the reason %q and the message %q: it needs a word in CamelCase "+
				"of at most %d letters and digits, and a sentence: this is a bug of the operator, please report it", Note(e.Reason), Note(e.Message), maxReasonLength)
		}
	}
	return ""
}

// maxReasonLength is that of the reason of an event, in the API.
const maxReasonLength = 128

// isReason reports whether a text is a word in CamelCase.
func isReason(s string) bool {
	for i, r := range s {
		upper := r >= 'A' && r <= 'Z'
		if !upper && (i == 0 || (r < 'a' || r > 'z') && (r < '0' || r > '9')) {
			return false
		}
	}
	return s != "" && len(s) <= maxReasonLength
}
