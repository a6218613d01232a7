package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// churnLife is how long the pods of scenario churn run.
const churnLife = "2s"

// churn measures jobs that come, run for a short time and end, at a steady rate.
func (b *bench) churn(ctx context.Context) error {
	l := b.lines[0]
	duration := max(time.Duration(float64(time.Minute)*b.options.scale), 2*time.Second)
	p := batch{prefix: "churn", jobs: max(int(duration.Seconds()*b.options.churnRate), 2), replicas: 4, services: b.modes()[0]}
	r, err := b.inRounds(func() (*figures, error) {
		b.logf("churn: %d jobs of %d replicas, %s a second, %s", p.jobs, p.replicas, number(b.options.churnRate), l)
		return b.churnOnce(ctx, &figures{scenario: nameChurn, who: b.options.describe(), line: l, batch: p})
	})
	if err != nil {
		return err
	}
	b.medianRatio("churn-job-time-vs-floor", r, func(f *figures) float64 { return 1 / runningRate(f) })
	b.medianRatio("churn-status-writes-per-job", r, b.statusWritesPerJob)
	b.medianRatio("churn-control-plane-cpu-vs-floor", r, controlPlaneCPU)
	return nil
}

// churnOnce measures the operator and then the floor.
func (b *bench) churnOnce(ctx context.Context, f *figures) (*figures, error) {
	w, clean, err := b.namespace(ctx)
	if err != nil {
		return nil, err
	}
	var t template
	err = b.withOperator(ctx, f.line, func() error {
		if t, err = b.modelOf(ctx, f.line, f.batch); err != nil {
			return err
		}
		t.pod.Annotations[runFor] = churnLife
		before, err := b.stateNow(ctx, true, false)
		if err != nil {
			return err
		}
		jobs := f.jobsOf(func(j *job) { j.runFor = churnLife })
		begun, err := b.steadily(ctx, f.jobs, func(i int) error { return b.create(ctx, f.line.config, w, jobs[i]) })
		if err != nil {
			return err
		}
		if _, err := w.until(ctx, "all jobs have finished", func(c counts) bool { return c.finished == f.jobs }); err != nil {
			return err
		}
		f.latencies(begun, func(i int) time.Time { return w.endedAt(f.job(i)) })
		f.spent, err = b.finish(ctx, before, true)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := clean(); err != nil {
		return nil, err
	}
	f.floor, err = b.floorOfChurn(ctx, f, t)
	return f, err
}

// modelOf takes the model of the floor from a job whose pods run until they are read.
func (b *bench) modelOf(ctx context.Context, l *line, p batch) (template, error) {
	w, clean, err := b.namespace(ctx)
	if err != nil {
		return template{}, err
	}
	p.prefix, p.jobs = "model", 1
	if err := b.create(ctx, l.config, w, p.jobsOf(func(j *job) { j.runFor = "1h" })...); err != nil {
		return template{}, err
	}
	if err := awaitRunning(ctx, w, p.pods()); err != nil {
		return template{}, err
	}
	t, err := b.takeTemplate(ctx, w.namespace)
	if err != nil {
		return t, err
	}
	return t, clean()
}

// steadily calls f for 0 to n-1 at the rate of the options, whatever the calls take,
// and returns when each began.
func (b *bench) steadily(ctx context.Context, n int, f func(int) error) ([]time.Time, error) {
	ticker := time.NewTicker(time.Duration(float64(time.Second) / b.options.churnRate))
	defer ticker.Stop()
	begun, errs := make([]time.Time, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		begun[i] = time.Now()
		wg.Go(func() { errs[i] = f(i) })
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return begun, nil
}

// latencies fills in how long jobs took from their creation until their end: half of
// them as created, 99 of 100 as running.
func (f *figures) latencies(begun []time.Time, ended func(int) time.Time) {
	took := make([]time.Duration, len(begun))
	for i := range begun {
		took[i] = ended(i).Sub(begun[i])
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[min(len(took)*99/100, len(took)-1)]
	f.running = p50
	f.note = "from creation to end: half of the jobs within " + round(p50) + ", 99 % within " + round(p99)
}

// floorOfChurn has a bare client create the same pods and services at the same rate.
// Its job has ended when its last pod has.
func (b *bench) floorOfChurn(ctx context.Context, f *figures, t template) (*figures, error) {
	floor, err := b.newFloor(ctx, f, t)
	if err != nil {
		return nil, err
	}
	before, err := b.stateNow(ctx, false, false)
	if err != nil {
		return nil, err
	}
	one := func(i int) batch {
		p := f.batch
		p.prefix, p.jobs = f.job(i), 1
		return p
	}
	begun, err := b.steadily(ctx, f.jobs, func(i int) error {
		c := *floor.bare // each has the job of its own pods
		return c.create(ctx, one(i))
	})
	if err != nil {
		return nil, err
	}
	if _, err := floor.world.until(ctx, "all pods have ended", func(c counts) bool { return c.succeeded == f.pods() }); err != nil {
		return nil, err
	}
	floor.latencies(begun, func(i int) time.Time {
		last := time.Time{}
		for r := range f.replicas {
			if at := floor.world.endedAt(one(i).pod(r)); at.After(last) {
				last = at
			}
		}
		return last
	})
	return b.finishFloor(ctx, floor, before)
}
