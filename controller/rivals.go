package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/progress/protocol"
)

const (
	// rivalTimes is how often another client must have overwritten the status of one job to
	// be taken for a controller.
	rivalTimes = 2
	// rivalRemembered is how long a controller that no longer writes is still reported.
	rivalRemembered = 10 * time.Minute
	// reasonRival is the reason of the events of jobs that two controllers run.
	reasonRival = "TwoControllers"
)

// rivals finds other controllers that write the status of the same jobs. The API server
// records who wrote it last, and when (managedFields). A client that repeatedly writes after
// this controller did, by the API server's clock, runs the job, too. One that wrote before was
// its controller before, and one that writes once fixes something by hand.
type rivals struct {
	own string
	// seed is that of digests, which are compared in this process only.
	seed maphash.Seed
	// report tells them to the probe of the process; nil means that there are none.
	report func(error)

	mu   sync.Mutex
	jobs map[types.NamespacedName]*rivalry
	// manager is the last rival found, job the job that it wrote, until when it is reported.
	manager, job string
	until        time.Time
}

// rivalry is what is known of one job that this process wrote the status of.
type rivalry struct {
	uid types.UID
	// at is the time of the last write that was recorded: of this controller, or of another
	// one after it.
	at metav1.Time
	// written is a digest of the status that this controller wrote.
	written  uint64
	times    int
	reported bool
}

func newRivals(own string) *rivals {
	return &rivals{own: own, seed: maphash.MakeSeed(), report: func(error) {}, jobs: map[types.NamespacedName]*rivalry{}}
}

// recordWrite records that this controller has written the status of a job, which is as the
// API server returned it.
func (r *rivals) recordWrite(job client.Object, status *commonv1.JobStatus) {
	for _, f := range job.GetManagedFields() {
		if f.Subresource != statusName || f.Manager != r.own || f.Time == nil {
			continue
		}
		written := r.digest(status) // A large one takes a while, and all jobs share the lock.
		r.mu.Lock()
		key := client.ObjectKeyFromObject(job)
		if r.jobs[key] == nil || r.jobs[key].uid != job.GetUID() {
			r.jobs[key] = &rivalry{uid: job.GetUID()}
		}
		r.jobs[key].at, r.jobs[key].written = *f.Time, written
		r.mu.Unlock()
	}
}

// forget drops what is known of a job that is gone.
func (r *rivals) forget(key types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.jobs, key)
}

// A sighting records that another client has written the status of a job.
type sighting struct {
	manager string
	// rival is set if it does so repeatedly, fresh if that was not known, emit if the job has
	// no event about it yet.
	rival, fresh, emit bool
}

// digest is a number that two different statuses hardly ever share. Reports of progress do not count: the server
// writes them, and a pod makes them when it likes.
func (r *rivals) digest(status *commonv1.JobStatus) uint64 {
	var written commonv1.JobStatus
	if status != nil {
		written = *status
	}
	written.TrainerStatus = nil
	data, err := json.Marshal(&written)
	if err != nil {
		return 0
	}
	return maphash.Bytes(r.seed, data)
}

// observe finds out who has written the status of a job, the newest that is known. It returns nil if no other
// client has since the last reconcile. The managed fields alone do not show that: whoever may edit a job can
// write what they like into them, but not into the status.
func (r *rivals) observe(job client.Object, status *commonv1.JobStatus, now time.Time) *sighting {
	fields := job.GetManagedFields()
	if len(fields) == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key := client.ObjectKeyFromObject(job)
	known := r.jobs[key]
	if known == nil || known.uid != job.GetUID() {
		return nil
	}
	var seen *sighting
	for _, f := range fields {
		if f.Subresource != "status" || f.Manager == r.own || f.Manager == protocol.FieldOwner || byHand(f.Manager) || f.Time == nil || !f.Time.After(known.at.Time) {
			continue
		}
		known.at, seen = *f.Time, &sighting{manager: f.Manager}
	}
	if seen == nil || r.digest(status) == known.written {
		return nil
	}
	known.times++
	if seen.rival = known.times >= rivalTimes; seen.rival {
		seen.fresh, seen.emit, known.reported = !now.Before(r.until) || r.manager != seen.manager, !known.reported, true
		r.manager, r.job, r.until = seen.manager, key.String(), now.Add(rivalRemembered)
	}
	return seen
}

// byHand reports whether the name of a field manager is that of a person's tool.
func byHand(manager string) bool { return strings.HasPrefix(manager, "kubectl") }

// reason returns who else runs the same jobs, nil if no one does.
func (r *rivals) reason(now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.Before(r.until) {
		return nil
	}
	return fmt.Errorf("%w: %s; last seen in %s", errRival, rivalMessage(r.manager), r.job)
}

// errRival is why a kind is not ready whose jobs another controller runs, too.
var errRival = errors.New("two controllers run the same jobs")

// rivalWatch is a manager.Runnable that reports to the probe when a rival has gone.
type rivalWatch struct {
	rivals *rivals
	clock  clock.PassiveClock
}

// Start implements manager.Runnable.
func (w rivalWatch) Start(ctx context.Context) error {
	wait.UntilWithContext(ctx, func(context.Context) { w.rivals.report(w.rivals.reason(w.clock.Now())) }, time.Minute)
	return nil
}

func rivalMessage(manager string) string {
	return fmt.Sprintf("another controller, %q, writes the status of the same jobs, so pods are created and deleted twice and counts of restarts are lost: stop one of the two", manager)
}

// keepStatusManagers is a cache.TransformFunc that drops the managed fields of an object,
// except for the names and times of the managers of its status.
func keepStatusManagers(o any) (any, error) {
	object, ok := o.(client.Object)
	if !ok {
		return o, nil
	}
	var kept []metav1.ManagedFieldsEntry
	for _, f := range object.GetManagedFields() {
		if f.Subresource == "status" {
			kept = append(kept, metav1.ManagedFieldsEntry{Manager: f.Manager, Operation: f.Operation, Time: f.Time, Subresource: f.Subresource})
		}
	}
	object.SetManagedFields(kept)
	return object, nil
}
