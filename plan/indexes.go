package plan

import (
	"strconv"
	"strings"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// indexes is a set of replica indexes. In the status it is written as batch/v1 Job
// writes its completed indexes: "0-2,5".
type indexes map[int32]bool

// parseIndexes reads the indexes below n. What makes no sense is left out.
func parseIndexes(s string, n int32) indexes {
	set := indexes{}
	for part := range strings.SplitSeq(s, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 31)
		if err != nil {
			continue
		}
		last, err := strconv.ParseUint(to, 10, 31)
		if err != nil {
			continue
		}
		for i := first; i <= min(last, uint64(max(n, 1))-1); i++ {
			set[int32(i)] = true //nolint:gosec // below n
		}
	}
	return set
}

// succeededIndexes writes down which replicas of a type have succeeded.
func (t *TypeTally) succeededIndexes() string {
	var out []string
	for i := 0; i < len(t.States); i++ {
		if t.States[i] != Succeeded {
			continue
		}
		first := i
		for i+1 < len(t.States) && t.States[i+1] == Succeeded {
			i++
		}
		s := strconv.Itoa(first)
		if i > first {
			s += "-" + strconv.Itoa(i)
		}
		out = append(out, s)
	}
	return strings.Join(out, ",")
}

// remembered are the replicas of a type that the status says have succeeded.
func (in *Input) remembered(t commonv1.ReplicaType) indexes {
	rs := in.Status.ReplicaStatuses[t]
	if rs == nil || rs.SucceededIndexes == "" {
		return nil
	}
	return parseIndexes(rs.SucceededIndexes, in.replicas(t))
}

// rememberSucceeded keeps the record of the replicas that have succeeded, unless all
// replicas start anew.
func (d *decision) rememberSucceeded() {
	anew := d.plan.Status.Attempt > d.in.Status.Attempt || d.plan.Status.IsTrue(commonv1.JobSuspended)
	for i := range d.tally.Types {
		rs := d.replicaStatus(d.tally.Types[i].Type)
		if rs.SucceededIndexes = ""; !anew {
			rs.SucceededIndexes = d.tally.Types[i].succeededIndexes()
		}
	}
}
