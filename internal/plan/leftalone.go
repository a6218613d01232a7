package plan

import (
	"maps"
	"slices"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// A replica that has failed for good, and that the rules of the kind call optional, is left alone:
// the job goes on without it. The status lists it, because its pod may go at any time: nodes that
// are removed take their failed pods with them.

// leftAloneBefore are the replicas of a type that were left alone by the status.
func (in *Input) leftAloneBefore(t commonv1.ReplicaType) indexes {
	rs := in.Status.ReplicaStatuses[t]
	if rs == nil || rs.FailedIndexes == "" || len(in.Rules.Optional) == 0 {
		return nil
	}
	set := parseIndexes(rs.FailedIndexes, in.replicas(t))
	maps.DeleteFunc(set, func(i int32, _ bool) bool { return !in.Rules.IsOptional(t, i) })
	return set
}

// LeftAlone is how many replicas of a type have failed for good and were left alone, by the status.
func (t *Tally) LeftAlone(typ commonv1.ReplicaType) int {
	n := 0
	for i := range t.byType {
		if t.byType[i].Type != typ {
			continue
		}
		for j := range t.byType[i].replicas {
			if s := &t.byType[i].replicas[j]; s.left && s.state == jobkit.Failed {
				n++
			}
		}
	}
	return n
}

// isGoneForGood reports whether a replica was left alone and its pod is gone.
func (s *replica) isGoneForGood() bool { return s.state == jobkit.Failed && s.pod == nil }

// isLeftAlone reports whether a replica has failed for good and the job goes on.
func (d *decision) isLeftAlone(s *replica) bool {
	switch {
	case s.state != jobkit.Failed || d.attempt(s) != s.attempt:
		return false
	case s.left:
		return true
	default:
		return d.in.Rules.IsOptional(s.typ, s.index) && d.failedReplica(s).response == responseLeave
	}
}

// leftAlone lists the replicas of a type that are left alone. What is not known yet, or not to be
// trusted, changes nothing.
func (d *decision) leftAlone(t *typeTally) string {
	switch was := d.in.Status.ReplicaStatuses[t.Type]; {
	case len(d.in.Rules.Optional) == 0 && d.recordsEnds():
		return ""
	case d.recordsEnds() && !d.in.Status.Finished():
		return ranges(len(t.replicas), func(i int) bool { return d.isLeftAlone(&t.replicas[i]) })
	case was == nil:
		return ""
	default:
		return was.FailedIndexes
	}
}

// apart separates failed replicas from those that are left alone.
func apart(all []failedReplica) (failed, left []failedReplica) {
	for _, f := range all {
		if f.response == responseLeave {
			left = append(left, f)
		} else {
			failed = append(failed, f)
		}
	}
	return failed, left
}

// onlyLeftAlone says that replicas failed if none is left but those that have succeeded and those
// that were left alone; left are those of them whose pods exist.
func (d *decision) onlyLeftAlone(left []failedReplica) (string, *failedReplica) {
	if len(d.in.Rules.Optional) == 0 || !d.allEnded() {
		return "", nil
	}
	d.tally.each(func(s *replica) {
		if s.isGoneForGood() {
			left = append(left, failedReplica{replica: s, response: responseLeave})
		}
	})
	if len(left) == 0 {
		return "", nil
	}
	return replicasFailed(left, ""), &left[0]
}

// recordLeftAlone records the failures of replicas that this pass is the first to leave alone.
func (d *decision) recordLeftAlone(all []failedReplica) {
	fresh := slices.DeleteFunc(slices.Clone(all), func(f failedReplica) bool { return f.replica.left })
	if len(fresh) > 0 {
		d.recordFailures(fresh)
	}
}
