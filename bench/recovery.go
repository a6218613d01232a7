package main

import (
	"context"
	"slices"
	"time"
)

// recoveries is how many jobs fail, one after the other, for each restart scope.
const recoveries = 10

// recovery is how long a job took after one of its replicas failed: until the status counted the
// failure (0 if the kind counts none), until the last new pod was created, and until all ran.
type recovery struct {
	counted, created, running time.Duration
	// own is the operator's share: from the failure to the first delete, and from the end of
	// the last old pod to the first new one. The status write and the two other requests are
	// part of it; what nodes and the other requests take is not.
	own time.Duration
}

// recoveries measures the time to recovery of running jobs for each restart scope.
func (b *bench) recoveries(ctx context.Context) error {
	if b.kind.group == batchJob.group {
		b.report.notef("recovery: not measured: the names of the pods of an indexed Job are random")
		return nil
	}
	scopes := []string{scopeReplica, scopeJob}
	if b.kind.services[0] != perJob {
		b.report.notef("recovery: %s cannot restart the whole job", b.kind.name)
		scopes = scopes[:1]
	}
	p := batch{prefix: "recovery", jobs: recoveries, replicas: b.scaled(100, 4), services: b.modes()[0]}
	for _, scope := range scopes {
		b.logf("recovery: %d jobs of %d replicas, restart scope %s", p.jobs, p.replicas, scope)
		f := &figures{scenario: nameRecovery + " " + scope, who: b.options.describe(), line: b.lines[0], batch: p, alone: true}
		var all []recovery
		for range b.options.rounds {
			found, err := b.recover(ctx, f, scope)
			if err != nil {
				return err
			}
			all = append(all, found...)
		}
		b.reportRecovery(f, scope, all)
	}
	return nil
}

// recover measures each job of a batch.
func (b *bench) recover(ctx context.Context, f *figures, scope string) (all []recovery, err error) {
	w, clean, err := b.namespace(ctx)
	if err != nil {
		return nil, err
	}
	err = b.withOperator(ctx, f.line, func() error {
		before, err := b.startAll(ctx, w, f, scope == scopeJob)
		if err != nil {
			return err
		}
		again := 1
		if scope == scopeJob {
			again = f.replicas
		}
		for i := range f.jobs {
			r, err := b.failOne(ctx, w, f.pod(i*f.replicas), again)
			if err != nil {
				return err
			}
			all = append(all, r)
		}
		f.spent, err = b.finish(ctx, before, true)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, clean()
}

// failOne makes a pod fail, for which so many are created again, and waits until all run.
func (b *bench) failOne(ctx context.Context, w *world, pod string, again int) (recovery, error) {
	o := w.observeRecovery(again)
	if err := b.fail(ctx, w.namespace, pod); err != nil {
		return recovery{}, err
	}
	if _, err := w.await(ctx, "all run again", o.running); err != nil {
		return recovery{}, err
	}
	// What follows is over before the next; and the watch of jobs may be later than that of pods.
	err := b.quiet(ctx)
	return o.result(), err
}

// observed are the events of a recovery, in their order.
type observed struct {
	failed, counted, leaving, gone, first, created, running *waiter
}

// observeRecovery begins to wait for the events of a recovery with so many new pods.
func (w *world) observeRecovery(again int) observed {
	had := w.now()
	return observed{
		failed:  w.expect(func(c counts) bool { return c.failed > had.failed }),
		counted: w.expect(func(c counts) bool { return c.restarts > had.restarts }),
		leaving: w.expect(func(c counts) bool { return c.left > had.left }),
		gone:    w.expect(func(c counts) bool { return c.created-c.pods >= had.created-had.pods+again }),
		first:   w.expect(func(c counts) bool { return c.created > had.created }),
		created: w.expect(func(c counts) bool { return c.created >= had.created+again }),
		running: w.expect(func(c counts) bool { return c.created >= had.created+again && c.running >= had.running }),
	}
}

// result is what was observed until all ran again.
func (o observed) result() recovery {
	failed, gone := o.failed.seen(), o.gone.seen()
	r := recovery{
		created: o.created.seen().Sub(failed), running: o.running.seen().Sub(failed),
		// With a restart of single replicas the first new pod may come before the last old one is gone.
		own: o.leaving.seen().Sub(failed) + max(o.first.seen().Sub(gone), 0),
	}
	if at := o.counted.seen(); !at.IsZero() {
		r.counted = at.Sub(failed)
	}
	return r
}

// reportRecovery reports the median and the longest of each time.
func (b *bench) reportRecovery(f *figures, scope string, all []recovery) {
	suffix := map[string]string{scopeReplica: "-replica", scopeJob: "-job"}[scope]
	times := []struct {
		name, what string
		of         func(recovery) time.Duration
	}{
		{"counted", "the failure counted in the status", func(r recovery) time.Duration { return r.counted }},
		{"created", "the last new pod created", func(r recovery) time.Duration { return r.created }},
		{"running", "all running again", func(r recovery) time.Duration { return r.running }},
		{"own", "the operator's own share", func(r recovery) time.Duration { return r.own }},
	}
	for _, t := range times {
		sorted := make([]time.Duration, len(all))
		for i, r := range all {
			sorted[i] = t.of(r)
		}
		slices.Sort(sorted)
		half, longest := sorted[len(sorted)/2], sorted[len(sorted)-1]
		switch t.name {
		case "created":
			f.created = half
		case "running":
			f.running = half
		}
		b.report.notef("recovery %s: %s after %s, at most %s, of %d", scope, t.what, round(half), round(longest), len(all))
		b.report.ratio("recovery-"+t.name+"-seconds"+suffix, half.Seconds())
		b.report.ratio("recovery-"+t.name+"-seconds-max"+suffix, longest.Seconds())
	}
	b.report.add(b, f)
}
