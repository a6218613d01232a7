package main

import (
	"context"
	"time"
)

const (
	// soakFirst is how many times scenario soak runs its jobs before it measures: at full size they fill
	// the caches that have a limit. soakMore is how many times it runs them then.
	soakFirst, soakMore = 4, 8
	// soakLife is how long their pods run.
	soakLife = "1s"
	// recorderMemory is longer than a recorder of events remembers them, to count those that repeat: six
	// minutes, and it checks that every six minutes (client-go, tools/events). Soak waits that long by default.
	recorderMemory = 13 * time.Minute
)

// soak has jobs come, end and be deleted, again and again. What an operator takes in memory afterwards,
// when it has no job, must not grow with the jobs that it has seen.
func (b *bench) soak(ctx context.Context) error {
	l := b.lines[0]
	if b.operator.pprofURL == "" {
		b.report.notef("soak: not measured: %s serves no profiles (--operator-pprof)", b.options.describe())
		return nil
	}
	p := batch{prefix: "soak", jobs: b.scaled(150, 2), replicas: 4, services: b.modes()[0]}
	return b.withOperator(ctx, l, func() error {
		before, err := b.heapAfter(ctx, l, p, soakFirst)
		if err != nil {
			return err
		}
		after, err := b.heapAfter(ctx, l, p, soakMore)
		if err != nil {
			return err
		}
		jobs := soakMore * p.jobs
		grown := (after - before) * 1024 / float64(jobs)
		b.report.notef("soak: live heap without jobs: %.1f MiB, and %.1f MiB after %d more jobs of %d replicas: %.2f KiB for each that has been",
			before, after, jobs, p.replicas, grown)
		b.report.ratio("soak-heap-kib-per-job", grown)
		return nil
	})
}

// heapAfter runs jobs to their end some times, and returns what is live on the operator's heap when all
// that it forgets with time is forgotten.
func (b *bench) heapAfter(ctx context.Context, l *line, p batch, times int) (float64, error) {
	for range times {
		b.logf("soak: %d jobs of %d replicas, %s", p.jobs, p.replicas, l)
		if err := b.comeAndGo(ctx, l, p); err != nil {
			return 0, err
		}
	}
	b.logf("soak: waiting %s, for what the operator forgets with time", b.options.forget)
	if err := pause(ctx, b.options.forget); err != nil {
		return 0, err
	}
	return b.operator.heap(ctx)
}

// comeAndGo runs jobs to their end and deletes them.
func (b *bench) comeAndGo(ctx context.Context, l *line, p batch) error {
	w, clean, err := b.namespace(ctx)
	if err != nil {
		return err
	}
	if err := b.create(ctx, l.config, w, p.jobsOf(func(j *job) { j.runFor = soakLife })...); err != nil {
		return err
	}
	if _, err := w.until(ctx, "all jobs have finished", func(c counts) bool { return c.finished == p.jobs }); err != nil {
		return err
	}
	return clean()
}
