package plan

import (
	"strconv"
	"strings"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// indexes is a set of replica indexes. In the status it is written as batch/v1 Job
// writes its completed indexes: "0-2,5".
type indexes map[int32]bool

// parseIndexes reads the indexes below n. Invalid parts are left out.
func parseIndexes(s string, n int32) indexes {
	set := indexes{}
	for part := range strings.SplitSeq(s, ",") {
		r, ok := parseRange(part)
		if !ok {
			continue
		}
		for i := r.first; i <= min(r.last, n-1); i++ {
			set[i] = true
		}
	}
	return set
}

// succeededIndexes lists the replicas of a type that have succeeded.
func (t *typeTally) succeededIndexes() string {
	return ranges(len(t.States), func(i int) bool { return t.States[i] == jobkit.Succeeded })
}

// succeededOr lists the replicas of a type that have succeeded now, or by a status.
func (t *typeTally) succeededOr(was *commonv1.ReplicaStatus) string {
	if was == nil || was.SucceededIndexes == "" {
		return t.succeededIndexes()
	}
	before, n := parseIndexes(was.SucceededIndexes, jobkit.MaxReplicas), len(t.States)
	for i := range before {
		n = max(n, int(i)+1)
	}
	return ranges(n, func(i int) bool {
		return before[int32(i)] || i < len(t.States) && t.States[i] == jobkit.Succeeded //nolint:gosec // below MaxReplicas
	})
}

// ranges lists which of n indexes are in a set.
func ranges(n int, has func(int) bool) string {
	var out strings.Builder
	for i := 0; i < n; i++ {
		if !has(i) {
			continue
		}
		first := i
		for i+1 < n && has(i+1) {
			i++
		}
		if out.Len() > 0 {
			out.WriteByte(',')
		}
		out.WriteString(strconv.Itoa(first))
		if i > first {
			out.WriteString("-" + strconv.Itoa(i))
		}
	}
	return out.String()
}

// succeededBefore are the replicas of a type that have succeeded by the status.
func (in *Input) succeededBefore(t commonv1.ReplicaType) indexes {
	rs := in.Status.ReplicaStatuses[t]
	if rs == nil || rs.SucceededIndexes == "" {
		return nil
	}
	return parseIndexes(rs.SucceededIndexes, in.replicas(t))
}

// recordEnded updates the record of the replicas that have succeeded, or were left alone when they
// failed. It clears it if all replicas of the job, or of their type, start again.
func (d *decision) recordEnded() {
	restarted := d.plan.Status.Attempt > d.in.Status.Attempt || d.plan.Status.IsTrue(commonv1.JobSuspended)
	for i := range d.tally.byType {
		rs, was := d.replicaStatus(d.tally.byType[i].Type), d.in.Status.ReplicaStatuses[d.tally.byType[i].Type]
		together := rs.Attempt > 0 && (was == nil || rs.Attempt > was.Attempt)
		if d.keepPods {
			// The invalid specification does not say which replicas there are: nothing is forgotten.
			rs.SucceededIndexes = d.tally.byType[i].succeededOr(was)
			continue
		}
		rs.SucceededIndexes, rs.FailedIndexes, rs.Reclaimable = "", "", 0
		if !restarted && !together {
			rs.SucceededIndexes = d.tally.byType[i].succeededIndexes()
			rs.FailedIndexes = d.leftAlone(&d.tally.byType[i])
			rs.Reclaimable = d.reclaimable(&d.tally.byType[i])
		}
	}
}

// indexRange is a range of indexes, both ends included.
type indexRange struct{ first, last int32 }

// parseRange reads "3" or "0-3". It reports whether that is what was written.
func parseRange(s string) (indexRange, bool) {
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, err := strconv.ParseUint(from, 10, 31)
	if err != nil {
		return indexRange{}, false
	}
	last, err := strconv.ParseUint(to, 10, 31)
	return indexRange{int32(first), int32(last)}, err == nil
}

// parseRanges reads a list of indexes that a user wrote. It reports whether that is one:
// of indexes that a job can have, in ascending order, none of them twice.
func parseRanges(s string) ([]indexRange, bool) {
	var list []indexRange
	next := int64(0)
	for part := range strings.SplitSeq(s, ",") {
		r, ok := parseRange(part)
		if !ok || r.last < r.first || int64(r.first) < next {
			return nil, false
		}
		list = append(list, r)
		next = int64(r.last) + 1
	}
	return list, true
}

// sizeOf is how many indexes are in a list of ranges.
func sizeOf(list []indexRange) int {
	n := 0
	for _, r := range list {
		n += int(r.last-r.first) + 1
	}
	return n
}
