package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// undecided reports whether all replicas have succeeded and the job is not finished:
// nothing that could still happen makes it succeed.
func (d *decision) undecided() bool {
	ended := d.tally.Count(jobkit.Succeeded)
	return !d.plan.Status.Finished() && ended > 0 && ended == d.tally.size()
}

// isStalledUndecided reports whether the job is stalled because neither success nor failure
// is decided. That does not depend on what can be created.
func (d *decision) isStalledUndecided() bool {
	return d.stalledFor(string(OperatorError)) != nil && d.undecided()
}

// size is how many replicas the job wants.
func (t *Tally) size() int {
	n := 0
	for i := range t.byType {
		n += len(t.byType[i].States)
	}
	return n
}

// stallUndecided stalls a job whose replicas have all succeeded, while neither its rules nor
// the author's own outcome say that the job has succeeded or failed. That is a mistake of the
// operator; without the condition no one would notice that the job never ends.
func stallUndecided(d *decision) bool {
	if v := d.outcome; !d.undecided() || v != nil && v.Running {
		return false
	}
	d.setTrue(commonv1.JobStalled, d.reason(string(OperatorError)), fmt.Sprintf("%s cannot end: all its replicas have succeeded, but %s: "+
		"this is a bug of the operator, please report it", d.jobName(), d.whyUndecided()))
	return false
}

// whyUndecided says who should have decided.
func (d *decision) whyUndecided() string {
	if d.outcome != nil {
		return "EvaluateStatus() reports neither success nor failure"
	}
	rules := make([]string, 0, len(d.in.Rules.Success))
	for _, rule := range d.in.Rules.Success {
		rules = append(rules, rule.String())
	}
	slices.Sort(rules)
	return "no success rule selects a replica of the job: Rules().Success is " + strings.Join(rules, ", ")
}
