package plan

import (
	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// reclaimable is how many pods of a type the job needs no more: a queue may give their quota to
// other jobs. It is said of jobs in a queue, and never taken back as long as the job is neither
// suspended nor edited: what a restart could need again is not counted in the first place.
func (d *decision) reclaimable(t *typeTally) int32 {
	if !d.in.Job.Queued || d.mayRunAgain(t.Type) {
		return 0
	}
	n := int32(0)
	for i := range t.replicas {
		if t.replicas[i].state == jobkit.Succeeded {
			n++
		}
	}
	return n
}

// mayRunAgain reports whether a replica of a type that has succeeded may have to run again,
// because others restart.
func (d *decision) mayRunAgain(t commonv1.ReplicaType) bool {
	return d.in.scopeOf(t) == commonv1.RestartScopeRole || d.mayRestartWhole() || d.in.restartsJobInstead() || d.in.restartsPastStartDeadline()
}
