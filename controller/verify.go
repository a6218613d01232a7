package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/internal/plan"
)

// How long a proof holds that the job is the one that was observed. A large job takes
// long to create, and may be suspended, edited, deleted or finished by another leader
// meanwhile; and this process may be stopped for a while by its node.
const (
	// maxUnverified is how many creates one proof is good for at most. The first is good for
	// firstBatch, each next one for batchGrowth times as many.
	maxUnverified = 512
	// maxVerificationAge is how old a proof may be.
	maxVerificationAge = time.Second
)

// verification is what is known of the job while a plan is carried out.
type verification struct {
	now func() time.Time
	// verify makes sure anew that the job is the one that was observed.
	verify func() (bool, error)

	mu      sync.Mutex
	at      time.Time // of the last proof
	used    int       // creates since
	allowed int       // creates that it is good for
	// pending is closed when the verification that is under way has ended.
	pending chan struct{}
	failed  *result
}

func newVerification(now func() time.Time, verify func() (bool, error)) *verification {
	return &verification{now: now, verify: verify, at: now(), allowed: firstBatch}
}

// check is asked before each create. The result is empty if it may go on. One caller
// verifies, and the others go on meanwhile, so that a large job does not stand still for
// it; only when the proof is far too old, as after a pause of the process, they wait.
func (p *verification) check() result {
	p.mu.Lock()
	for {
		age := p.now().Sub(p.at)
		switch {
		case p.failed != nil:
			defer p.mu.Unlock()
			return *p.failed
		case p.used < p.allowed && age <= maxVerificationAge, p.pending != nil && age <= 2*maxVerificationAge:
			defer p.mu.Unlock()
			p.used++
			return result{}
		case p.pending == nil:
			return p.renew()
		}
		pending := p.pending
		p.mu.Unlock()
		<-pending
		p.mu.Lock()
	}
}

// renew verifies, for a caller who holds the lock, and releases it.
func (p *verification) renew() result {
	done := make(chan struct{})
	p.pending = done
	began := p.now()
	p.mu.Unlock()
	current, err := p.verify()
	p.mu.Lock()
	defer p.mu.Unlock()
	close(done)
	p.pending, p.at = nil, began
	p.used, p.allowed = 1, min(p.allowed*batchGrowth, maxUnverified)
	if err != nil || !current {
		p.failed = &result{err: err, jobChanged: !current, stale: err == nil}
		return *p.failed
	}
	return result{}
}

// verifyCurrent makes sure that a plan was made from the current job, which writing its
// status proves and reading it again proves too. It costs nothing when there is
// nothing to do. What it returns renews itself while the plan is carried out.
func (c *JobController[J]) verifyCurrent(ctx context.Context, job J, in *plan.Input, p *plan.Plan) (*verification, bool, error) {
	version := job.GetResourceVersion()
	verify := func() (bool, error) { return c.isCurrent(ctx, job, in, &version) }
	proof := newVerification(c.Clock.Now, verify)
	if p.WriteStatus {
		current, err := c.writeStatus(ctx, job, in, p)
		version = c.set.pending.statusVersion(job)
		return proof, current, err
	}
	if len(p.Actions) == 0 {
		return proof, true, nil
	}
	if _, only := p.Actions[0].(plan.DeleteJob); only && len(p.Actions) == 1 {
		return proof, true, nil // Its own precondition proves it (see deleteJob).
	}
	current, err := verify()
	return proof, current, err
}

// isCurrent reports whether the job is the one of a resource version. Whoever changed it
// since, and whatever: the plan may not hold any more, and another look costs little. An
// author who writes the status in another way does not tell the version that the write
// made: then the job itself is looked at, once, and that version is the one to compare with.
func (c *JobController[J]) isCurrent(ctx context.Context, job J, in *plan.Input, version *string) (bool, error) {
	key := client.ObjectKeyFromObject(job)
	var live client.Object = c.set.metadata()
	if *version == "" {
		empty, err := newJob[J]()
		if err != nil {
			return false, err
		}
		live = empty
	}
	err := c.APIReader.Get(ctx, key, live)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot read %s %s: %w", in.Kind.Name, key, err)
	}
	if full, ok := live.(J); ok && *version == "" {
		*version = live.GetResourceVersion()
		if status := c.Controller.Parts(full).Status; status == nil || status.Finished() || live.GetDeletionTimestamp() != nil ||
			live.GetGeneration() != job.GetGeneration() {
			return false, nil
		}
	}
	return live.GetUID() == job.GetUID() && live.GetResourceVersion() == *version, nil
}
