package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
)

const (
	// probes is how many more jobs are tried, one after the other, among those held.
	probes = 30
	// starts is how often the operator is restarted, and how often the bare client reads everything.
	starts = 3
)

// heldPods measures what a large number of running pods costs other jobs and the operator.
func (b *bench) heldPods(ctx context.Context) error {
	l := b.lines[0]
	p := batch{prefix: "held", jobs: b.scaled(100, 10), replicas: 100, services: b.modes()[0]}
	if b.options.scale < 0.1 {
		p.replicas = max(int(1000*b.options.scale), 2)
	}
	b.logf("held: %d pods held by %d jobs, %s", p.pods(), p.jobs, l)
	w, _, err := b.namespace(ctx)
	if err != nil {
		return err
	}
	defer w.stop() // the objects remain: to delete them would take as long as all the rest
	h := &held{b: b, line: l, world: w, batch: p}
	if err := h.measure(ctx); err != nil {
		return err
	}
	if err := h.restarts(ctx); err != nil {
		return err
	}
	if err := h.floors(ctx); err != nil {
		return err
	}
	b.report.add(b, h.more)
	return nil
}

// held is scenario held.
type held struct {
	b     *bench
	line  *line
	world *world
	batch batch
	// jobs and pods are all that were created so far.
	jobs, pods int
	// more is the cost of one more job, restart the seconds of each restart of the operator.
	more    *figures
	restart []float64
	// base is what the operator takes before it holds pods.
	base footprint
	// model is a pod and a service as the operator makes them.
	model template
}

// footprint is the memory of the operator in MiB.
type footprint struct{ heap, rss float64 }

// footprint reads it. A collection comes first, so that garbage does not count as live.
func (b *bench) footprint(ctx context.Context) (footprint, error) {
	heap, err := b.operator.heap(ctx)
	return footprint{heap: heap, rss: usageOf(b.operator.pid).rss}, err
}

// holding makes more jobs with their pods, and runs f while the operator holds them.
func (h *held) holding(ctx context.Context, p batch, f func() error) error {
	b := h.b
	h.jobs, h.pods = h.jobs+p.jobs, h.pods+p.pods()
	if b.operator.command != nil {
		if err := h.create(ctx, p); err != nil {
			return err
		}
	}
	return b.withOperator(ctx, h.line, func() error {
		if b.operator.command == nil {
			if err := b.create(ctx, h.line.config, h.world, p.jobsOf(nil)...); err != nil {
				return err
			}
		}
		if err := awaitRunning(ctx, h.world, h.pods); err != nil {
			return err
		}
		return f()
	})
}

// create makes the jobs and all that the operator would make for them, while it does not run,
// and waits until the pods run: that takes the control plane less, because nothing is scheduled.
func (h *held) create(ctx context.Context, p batch) error {
	begun := time.Now()
	c, err := h.b.newBare(h.line, h.model, h.world.namespace)
	if err != nil {
		return err
	}
	c.template, c.writers = h.model, slices.Max(h.b.options.writers)
	nodes, err := h.b.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("cannot list the nodes: %w", err)
	}
	for i := range nodes.Items {
		c.nodes = append(c.nodes, nodes.Items[i].Name)
	}
	if err := c.create(ctx, p); err != nil {
		return err
	}
	created := time.Since(begun)
	_, err = h.world.until(ctx, "the pods that are held run", func(c counts) bool { return c.running >= h.pods })
	h.b.report.notef("held: %d pods created by a bare client in %s, all running after %s", p.pods(), round(created), round(time.Since(begun)))
	return err
}

// probe runs some small jobs one after the other.
func (h *held) probe(ctx context.Context, name string) (*figures, error) {
	f := &figures{
		scenario: nameHeld, who: h.b.options.describe(), line: h.line,
		batch: batch{prefix: name, jobs: probes, replicas: 4, services: h.batch.services},
		note:  fmt.Sprintf("one more job of 4 replicas, mean of %d, with %d pods held", probes, h.pods),
	}
	before, err := h.b.stateNow(ctx, true, false)
	if err != nil {
		return nil, err
	}
	for _, j := range f.jobsOf(nil) {
		begun, had := time.Now(), h.world.now()
		if err := h.b.create(ctx, h.line.config, h.world, j); err != nil {
			return nil, err
		}
		if err := h.awaitMore(ctx, f, had, begun); err != nil {
			return nil, err
		}
		h.jobs, h.pods = h.jobs+1, h.pods+4
		if err := awaitRunning(ctx, h.world, h.pods); err != nil {
			return nil, err
		}
	}
	f.spent, err = h.b.finish(ctx, before, true)
	return f, err
}

// awaitMore waits until one more job runs, and adds its times to the means.
func (h *held) awaitMore(ctx context.Context, f *figures, had counts, begun time.Time) error {
	one := batch{jobs: 1, replicas: f.replicas, services: f.services}
	created, err := h.world.until(ctx, "one more job has its pods", func(c counts) bool {
		return c.created >= had.created+one.pods() && c.services >= had.services+one.serviceCount()
	})
	if err != nil {
		return err
	}
	running, err := h.world.until(ctx, "one more job runs", func(c counts) bool { return c.running >= had.running+one.pods() })
	f.created += created.Sub(begun) / probes
	f.running += running.Sub(begun) / probes
	return err
}

// measure makes the measurements during which the operator runs: with a tenth of the pods,
// and with all.
func (h *held) measure(ctx context.Context) error {
	b := h.b
	err := b.withOperator(ctx, h.line, func() (err error) {
		if h.base, err = b.footprint(ctx); err == nil {
			h.model, err = b.modelOf(ctx, h.line, h.batch)
		}
		return err
	})
	if err != nil {
		return err
	}
	tenth, rest := h.batch, h.batch
	tenth.prefix, tenth.jobs = h.batch.prefix+"-tenth", h.batch.jobs/10
	rest.jobs -= tenth.jobs
	var few *figures
	var fewPods int
	err = h.holding(ctx, tenth, func() (err error) {
		few, err = h.probe(ctx, "few")
		fewPods = h.pods
		return err
	})
	if err != nil {
		return err
	}
	return h.holding(ctx, rest, func() (err error) {
		if h.more, err = h.probe(ctx, "more"); err != nil {
			return err
		}
		if b.operator.metricsURL != "" {
			b.report.ratio("reconcile-p99-seconds-10000-pods", h.more.spent.reconciles.quantile(0.99).Seconds())
			mean := ratio(h.more.spent.reconciles.mean().Seconds(), few.spent.reconciles.mean().Seconds())
			b.report.ratio("reconcile-time-vs-tenth-of-pods", mean)
			b.report.notef("held: mean reconcile of one more job: %s with %d pods held, %s with %d",
				round(few.spent.reconciles.mean()), fewPods, round(h.more.spent.reconciles.mean()), h.pods)
		}
		if err := h.idle(ctx); err != nil {
			return err
		}
		return h.memory(ctx)
	})
}

// memory reports what the operator takes with all pods held: at most, at rest, and what of it is live.
func (h *held) memory(ctx context.Context) error {
	b := h.b
	if b.operator.pid == 0 {
		return nil
	}
	all, err := b.stateNow(ctx, true, true) // before the garbage of the passes is collected
	if err != nil {
		return err
	}
	now, err := b.footprint(ctx)
	if err != nil {
		return err
	}
	each := func(mib, base float64) float64 { return (mib - base) * 1024 / float64(h.pods) }
	b.report.ratio("operator-mib-per-10000-pods", all.operator.peak*10000/float64(h.pods))
	b.report.ratio("operator-kib-per-pod-above-base", each(all.operator.rss, h.base.rss))
	b.report.ratio("operator-peak-kib-per-pod-above-base", each(all.operator.peak, h.base.rss))
	if b.operator.pprofURL != "" {
		b.report.ratio("operator-live-kib-per-pod", each(now.heap, h.base.heap))
	}
	b.report.notef("held: operator with %d pods: %.0f MiB at most, %.0f MiB at rest, %.0f MiB live on the heap; without pods %.0f MiB, %.0f MiB live",
		h.pods, all.operator.peak, all.operator.rss, now.heap, h.base.rss, h.base.heap)
	b.report.notef("held: reconciles p50 %s, p99 %s since its start", round(all.reconciles.quantile(0.5)), round(all.reconciles.quantile(0.99)))
	return nil
}

// idle measures what the operator and the control plane do while no job changes.
func (h *held) idle(ctx context.Context) error {
	b := h.b
	before, err := b.stateNow(ctx, true, false)
	if err != nil {
		return err
	}
	if err := pause(ctx, b.options.idle); err != nil {
		return err
	}
	s, err := b.since(ctx, before, true)
	if err != nil {
		return err
	}
	perMinute := 60 / s.took.Seconds()
	b.report.ratio("idle-writes-per-minute", b.writes(s.calls)*perMinute)
	b.report.notef("held: idle for %s: %s; operator %.2f, control plane %.2f CPU seconds a minute",
		round(s.took), "calls "+s.calls.only(b.resources()...).per(1), s.operatorCPU*perMinute, s.controlPlaneCPU*perMinute)
	return nil
}

// restarts measures how long an operator takes from its start to its first write, with
// a job waiting for it; then the memory of one that trims nothing.
func (h *held) restarts(ctx context.Context) error {
	b := h.b
	if b.operator.command == nil {
		b.report.notef("held: no restart: the bench did not start the operator")
		return nil
	}
	var trimmed float64
	for i := range starts {
		took, heap, err := h.restarted(ctx, "restart-"+strconv.Itoa(i))
		if err != nil {
			return err
		}
		h.restart, trimmed = append(h.restart, took.Seconds()), heap
	}
	b.median("restart-seconds-to-first-write", h.restart)
	if b.operator.pprofURL == "" {
		return nil
	}
	_, whole, err := h.restarted(ctx, "untrimmed", "--untrimmed-cache")
	if err != nil {
		return err
	}
	b.report.ratio("operator-heap-vs-untrimmed-cache", ratio(trimmed, whole))
	b.report.notef("held: live heap after a restart: %.1f MiB, with an untrimmed cache %.1f MiB", trimmed, whole)
	return nil
}

// restarted starts the operator, with a job waiting, waits for the job, and stops the
// operator. It returns the time and the live heap.
func (h *held) restarted(ctx context.Context, name string, flags ...string) (time.Duration, float64, error) {
	b, had := h.b, h.world.now().created
	if err := b.create(ctx, h.line.config, h.world, job{name: name, replicas: 1, services: h.batch.services}); err != nil {
		return 0, 0, err
	}
	begun := time.Now()
	if err := b.operator.start(h.line.kubeconfig, flags...); err != nil {
		return 0, 0, err
	}
	at, err := h.world.until(ctx, "the operator writes", func(c counts) bool { return c.created > had })
	if err != nil {
		return 0, 0, err
	}
	h.jobs, h.pods = h.jobs+1, h.pods+1
	if err := awaitRunning(ctx, h.world, h.pods); err != nil {
		return 0, 0, err
	}
	heap, err := b.operator.heap(ctx)
	if err != nil {
		return 0, 0, err
	}
	return at.Sub(begun), heap, b.operator.stop()
}

// floors are those of one more job, and of a restart: an operator must read what exists
// before it can act.
func (h *held) floors(ctx context.Context) error {
	b := h.b
	t := h.model
	if err := b.calibrate(ctx, h.line, t, min(max(h.batch.pods()/50, 10), 200)); err != nil {
		return err
	}
	c, err := b.newBare(h.line, t, h.world.namespace)
	if err != nil {
		return err
	}
	floor := h.more.ofFloor(c)
	floor.prefix = "floor"
	before, err := b.stateNow(ctx, false, false)
	if err != nil {
		return err
	}
	for i := range probes {
		one, had, begun := floor.batch, h.world.now(), time.Now()
		one.prefix, one.jobs = floor.job(i), 1
		if err := c.create(ctx, one); err != nil {
			return err
		}
		if err := h.awaitMore(ctx, floor, had, begun); err != nil {
			return err
		}
	}
	if floor.spent, err = b.finish(ctx, before, false); err != nil {
		return err
	}
	h.more.floor = floor
	b.report.ratio("one-more-job-time-vs-floor", ratio(h.more.running.Seconds(), floor.running.Seconds()))
	if len(h.restart) == 0 {
		return nil
	}
	reads := make([]float64, starts)
	for i := range reads {
		read, err := h.readAll(ctx, c, i)
		if err != nil {
			return err
		}
		reads[i] = read.Seconds()
	}
	b.median("read-seconds-to-first-write-floor", reads)
	b.report.ratio("restart-time-vs-floor", ratio(median(h.restart), median(reads)))
	return nil
}

// readAll reads all that an operator must know, and writes a pod: that of this index.
func (h *held) readAll(ctx context.Context, c *bare, index int) (time.Duration, error) {
	begun := time.Now()
	jobs, err := dynamic.NewForConfig(h.line.config)
	if err == nil {
		_, err = jobs.Resource(h.b.kind.gvr()).List(ctx, metav1.ListOptions{})
	}
	if err == nil {
		_, err = c.kube.CoreV1().Services("").List(ctx, metav1.ListOptions{})
	}
	if err == nil {
		_, err = c.kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	}
	if err == nil {
		err = c.createPod(ctx, batch{prefix: "read", jobs: 1, replicas: starts}, index) // of the last job
	}
	if err != nil {
		return 0, fmt.Errorf("cannot measure the floor of a restart: %w", err)
	}
	return time.Since(begun), nil
}
