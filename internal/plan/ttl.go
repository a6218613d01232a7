package plan

import "fmt"

// deleteAfterTTL deletes a job that finished ttlSecondsAfterFinished ago.
func (d *decision) deleteAfterTTL() {
	ttl := notNegative(d.in.RunPolicy.TTLSecondsAfterFinished)
	if ttl == nil {
		return
	}
	at := d.plan.Status.CompletionTime.Add(seconds(int64(*ttl)))
	if d.in.Now.Before(at) {
		d.requeueAt(at)
		return
	}
	d.act(DeleteJob{Reason: fmt.Sprintf("ttlSecondsAfterFinished %d has passed", *ttl)})
}
