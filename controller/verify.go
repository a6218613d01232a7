package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/internal/decode"
	"github.com/jobkit/jobkit/internal/plan"
)

// How long it is valid that a job was verified to be the one that was observed. A large job
// takes long to create. Meanwhile it may be suspended, edited or deleted, or another leader may
// finish it, and the node may stop this process for a while.
const (
	// maxUnverified is the highest number of creates that one verification is valid for. The
	// first is valid for firstBatch, each next one for batchGrowth times as many.
	maxUnverified = 512
	// maxVerificationAge is how old a verification may be.
	maxVerificationAge = time.Second
)

// verification holds whether the job is still the one observed while a plan is executed.
type verification struct {
	now func() time.Time
	// verify checks again that the job is the one that was observed.
	verify func() (bool, error)

	mu      sync.Mutex
	at      time.Time // of the last verification
	used    int       // creates since
	allowed int       // creates that it is valid for
	// pending is closed when the call of verify that is running has ended.
	pending chan struct{}
	failed  *result
}

func newVerification(now func() time.Time, verify func() (bool, error)) *verification {
	return &verification{now: now, verify: verify, at: now(), allowed: firstBatch}
}

// check is called before each create. The result is empty if the create may go on. One
// caller verifies, and the others go on meanwhile, so that a large job does not wait for it.
// They wait only when the last verification is far too old, as after a pause of the process.
func (v *verification) check() result {
	v.mu.Lock()
	for {
		age := v.now().Sub(v.at)
		switch {
		case v.failed != nil:
			defer v.mu.Unlock()
			return *v.failed
		case v.used < v.allowed && age <= maxVerificationAge, v.pending != nil && age <= 2*maxVerificationAge:
			defer v.mu.Unlock()
			v.used++
			return result{}
		case v.pending == nil:
			return v.renew()
		}
		pending := v.pending
		v.mu.Unlock()
		<-pending
		v.mu.Lock()
	}
}

// renew verifies. The caller holds the lock; renew releases it.
func (v *verification) renew() result {
	done := make(chan struct{})
	v.pending = done
	began := v.now()
	v.mu.Unlock()
	current, err := v.verify()
	v.mu.Lock()
	defer v.mu.Unlock()
	close(done)
	v.pending, v.at = nil, began
	v.used, v.allowed = 1, min(v.allowed*batchGrowth, maxUnverified)
	if err != nil || !current {
		v.failed = &result{err: err, jobChanged: !current, stale: err == nil}
		return *v.failed
	}
	return result{}
}

// verifyCurrent verifies that a plan was made from the current job: by writing its status,
// which has a precondition, or by reading the job again. It costs nothing when there is
// nothing to do. The verification that it returns is renewed while the plan is executed.
func (c *JobController[J]) verifyCurrent(
	ctx context.Context, job J, in *plan.Input, p *plan.Plan, write bool,
) (*verification, bool, error) {
	version := job.GetResourceVersion()
	verify := func() (bool, error) { return c.isCurrent(ctx, job, in, &version) }
	verified := newVerification(c.set.clock.Now, verify)
	if write {
		current, err := c.writeStatus(ctx, job, in, p)
		version = c.set.pending.statusVersion(job)
		return verified, current, err
	}
	if len(p.Actions) == 0 {
		return verified, true, nil
	}
	if _, only := p.Actions[0].(plan.DeleteJob); only && len(p.Actions) == 1 {
		return verified, true, nil // Its own precondition verifies it (see deleteJob).
	}
	current, err := verify()
	return verified, current, err
}

// isCurrent reports whether the job still has a resource version. After any change the plan
// may be outdated, and another pass costs little. A StatusWriter of the author does not return
// the version that its write made: then the whole job is read, once, and its version is the
// one to compare with.
func (c *JobController[J]) isCurrent(ctx context.Context, job J, in *plan.Input, version *string) (bool, error) {
	key := client.ObjectKeyFromObject(job)
	if *version == "" {
		full, err := c.readJob(ctx, key)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		*version = full.GetResourceVersion()
		status := c.set.statusOf(full)
		return status != nil && !status.Finished() && full.GetDeletionTimestamp() == nil &&
			full.GetGeneration() == job.GetGeneration() && full.GetUID() == job.GetUID(), nil
	}
	live := c.set.metadata()
	err := c.set.live.Get(ctx, key, live)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read %s %s: %w", in.Kind.Name, key, err)
	}
	return live.GetUID() == job.GetUID() && live.GetResourceVersion() == *version, nil
}

// readJob reads a whole job from the API server. It is decoded as those of the cache are: a tenant may have
// edited it meanwhile into what Go cannot read, or takes very long to.
func (c *JobController[J]) readJob(ctx context.Context, key client.ObjectKey) (J, error) {
	var none J
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(c.set.gvk)
	if err := c.set.live.Get(ctx, key, raw); err != nil {
		return none, fmt.Errorf("cannot read %s %s: %w", c.set.kind.Name, key, err)
	}
	data, err := raw.MarshalJSON()
	if err != nil {
		return none, fmt.Errorf("cannot read %s %s: %w", c.set.kind.Name, key, err)
	}
	job, err := newJob[J]()
	if err != nil {
		return none, err
	}
	if err := decode.Object(data, job); err != nil {
		return none, fmt.Errorf("cannot decode %s %s: %w", c.set.kind.Name, key, err)
	}
	return job, nil
}
