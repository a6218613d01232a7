package plan

import (
	"math"
	"strconv"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// countInPlaceRestarts counts the restarts of containers in place. The status keeps the count
// of each replica's pod under the pod's UID, so that each restart is counted once, however
// often the pod is observed. When another pod takes its place, the count of the old one is
// carried over, in the same write.
func countInPlaceRestarts(d *decision) bool {
	d.tally.each(func(s *replica) {
		if s.pod != nil && s.state != jobkit.Superseded {
			d.countInPlace(s)
		}
	})
	return false
}

// countInPlace brings the count of a replica's restarts in place up to date.
func (d *decision) countInPlace(s *replica) {
	n := restartsInPlace(s.pod)
	if n == 0 {
		return
	}
	rs, index := d.replicaStatus(s.typ), strconv.Itoa(int(s.index))
	old := rs.InPlaceRestarts[index]
	entry := commonv1.InPlaceRestarts{PodUID: s.pod.UID, Count: n, PodResourceVersion: s.pod.ResourceVersion, Earlier: old.Earlier}
	gained := n
	switch {
	case old.PodUID == "":
	case samePod(old.PodUID, s.pod.UID):
		if gained = n - old.Count; gained <= 0 {
			return
		}
	default:
		if olderThan(s.pod.ResourceVersion, old.PodResourceVersion) {
			// A stale view: this pod was counted, and carried over, before the other one came.
			return
		}
		entry.Earlier = addCounts(old.Earlier, old.Count)
	}
	if rs.InPlaceRestarts == nil {
		rs.InPlaceRestarts = map[string]commonv1.InPlaceRestarts{}
	}
	rs.InPlaceRestarts[index] = entry
	d.recordInPlace(s)
	d.noteInPlace(s, gained)
	d.plan.Status.Restarts = addCounts(d.plan.Status.Restarts, gained)
	d.countForRole(s.typ, gained)
	d.plan.Restarts.InPlace = addCounts(d.plan.Restarts.InPlace, gained)
}

// restartsOfReplica is how many restarts of a replica count against its limit, which may
// have begun again (see onBackoffLimitPerReplica).
func (d *decision) restartsOfReplica(s *replica) int32 {
	rs, index := d.replicaStatus(s.typ), strconv.Itoa(int(s.index))
	own := max(rs.Attempts[index]-rs.IgnoredAttempts[index], 0)
	all := addCounts(own, addCounts(rs.InPlaceRestarts[index].Earlier, rs.InPlaceRestarts[index].Count))
	return max(all-max(rs.EarlierRestarts[index], 0), 0)
}

// addCounts adds two counts without overflow, even for invalid counts in a status.
func addCounts(a, b int32) int32 {
	return int32(min(int64(a)+int64(b), math.MaxInt32)) //nolint:gosec // bounded by min
}

// olderThan reports whether a resource version is older than another.
func olderThan(a, b string) bool {
	n, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && n < 0
}
