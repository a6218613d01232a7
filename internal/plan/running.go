package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// reportRunning sets the conditions Running and Restarting. Queues (PodsReady of Kueue) and
// SDKs take a job for running if Running is True, at any place in the list. So it is True
// only while replicas run that decide it by the rules, or those that start before them. Restarting
// comes after it in the list, and names the state, until all replicas that were restarted run
// again, so that the state does not flicker. A job whose deciding replicas are being replaced,
// for whatever reason, is Restarting too.
func reportRunning(d *decision) bool {
	status, r := &d.plan.Status, d.deciding()
	runs, message := r.runs(), cmp.Or(d.in.Rules.Messages.Running, fmt.Sprintf("%s is running.", d.jobName()))
	if v := d.outcome; v != nil {
		// It was asked before it was known what restarts in this pass.
		runs, message = v.Running && (r.active+r.others > 0 || !r.goes), cmp.Or(v.Message, message)
	}
	switch {
	case runs:
		if !d.restarting() {
			d.remove(commonv1.JobRestarting)
		}
		d.setTrue(commonv1.JobRunning, d.reason(string(commonv1.JobRunning)), message+d.startAfterNote())
	case d.outcome == nil && r.total == 0 && d.keepPods:
		// The invalid specification does not say which replicas decide.
	case d.outcome == nil && r.total == 0:
		// The job was scaled to 0.
		d.remove(commonv1.JobRunning)
		if !d.restarting() {
			d.remove(commonv1.JobRestarting)
		}
	case d.outcome == nil && len(r.open)+r.yet == 0:
		// Those that decide have ended permanently, and the others are being replaced.
	case status.IsTrue(commonv1.JobRunning):
		d.remove(commonv1.JobRunning)
		if stopped := cmp.Or(strings.Join(r.open, ", "), strings.Join(r.first, ", ")); stopped != "" && !status.IsTrue(commonv1.JobRestarting) {
			d.setTrue(commonv1.JobRestarting, d.reason(string(commonv1.JobRestarting)),
				fmt.Sprintf("%s because no replica of %s runs any more.", d.isRestarting(), stopped))
		}
	}
	return false
}

// deciders counts the replicas of which one must run for the job to count as running.
type deciders struct {
	// total is how many there are; active is how many run.
	total, active int
	// open are the types of those that neither run nor have ended permanently.
	open []string
	// yet is how many have yet to begin, and first are the types that they wait for.
	yet   int
	first []string
	// others is how many other replicas run.
	others int
	// goes is true if replicas run that the planned status supersedes.
	goes bool
}

// runs reports whether the job counts as running by the rules. When all that decide have
// ended permanently and the job continues, or have yet to begin, the others decide.
func (r *deciders) runs() bool {
	return r.active > 0 || r.total > 0 && len(r.open) == 0 && r.others > 0
}

// deciding counts the replicas as they are by the planned status: one that it supersedes no
// longer runs.
func (d *decision) deciding() *deciders {
	r, turns := &deciders{}, map[commonv1.ReplicaType]turn{}
	d.tally.each(func(s *replica) {
		active := s.state == jobkit.Active && !d.superseded(s)
		r.goes = r.goes || s.state == jobkit.Active && !active
		switch {
		case !d.in.Rules.Decides(s.typ, s.index):
			if active {
				r.others++
			}
			return
		case active:
			r.active++
		case s.state == jobkit.Succeeded && d.attempt(s) == s.attempt, s.state == jobkit.Failed && !d.superseded(s):
			// A failed replica that is left alone (see Rules.Optional) has ended, too.
		case d.yetToBegin(s, turns):
			r.yet++
			if first := string(d.in.Replicas[s.typ].StartAfter.ReplicaType); turns[s.typ].waits && !slices.Contains(r.first, first) {
				r.first = append(r.first, first)
			}
		case !slices.Contains(r.open, string(s.typ)):
			r.open = append(r.open, string(s.typ))
		}
		r.total++
	})
	return r
}

// turn is how far a type is that starts after another.
type turn struct {
	// waits is true until the others have done their part, and starts until its first pod runs, if
	// the job has counted as running since.
	waits, starts bool
}

// yetToBegin reports whether a replica that starts after others has yet to begin: its pod waits for
// them, or does not run yet after they did their part. So Running is True from when the first type
// of a job in order runs, and stays so while that runs on and the next one starts. One that has run,
// and is being replaced, is none of these. Turns are those of types that were asked for.
func (d *decision) yetToBegin(s *replica, turns map[commonv1.ReplicaType]turn) bool {
	after := d.in.Replicas[s.typ].StartAfter
	if after == nil || s.state != jobkit.Missing && s.state != jobkit.Pending || d.superseded(s) {
		return false
	}
	t, asked := turns[s.typ]
	if !asked {
		rs := d.in.Status.ReplicaStatuses[s.typ]
		t.waits = len(d.before(after)) > 0
		t.starts = d.in.Status.IsTrue(commonv1.JobRunning) && (rs == nil || rs.Active+rs.Succeeded+rs.Failed == 0)
		turns[s.typ] = t
	}
	return t.starts || t.waits && s.state == jobkit.Missing
}

// restarting reports whether a restarted replica does not run yet. One that is left alone will not.
func (d *decision) restarting() bool {
	found := false
	d.tally.each(func(s *replica) {
		runs := s.state == jobkit.Active || s.state == jobkit.Succeeded
		found = found || (!runs || d.superseded(s)) && d.attempt(s) > 0 && !d.isLeftAlone(s)
	})
	return found
}

// isRestarting is the start of the message of the condition Restarting.
func (d *decision) isRestarting() string {
	return cmp.Or(d.in.Rules.Messages.Restarting, fmt.Sprintf("%s %s is restarting", d.in.Kind.Name, d.in.Job.Name))
}
