package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// scenario is one thing that the bench measures.
type scenario struct {
	name, what string
	run        func(*bench, context.Context) error
}

// Names of scenarios, as flags and results have them.
const (
	nameOneLargeJob   = "one-large-job"
	nameManySmallJobs = "many-small-jobs"
	nameGangRestart   = "gang-restart"
	nameRecovery      = "recovery"
	nameHeld          = "held"
	nameChurn         = "churn"
	nameSoak          = "soak"
	nameDecide        = "decide"
	nameWriteCost     = "write-cost"
)

// scenarios are those that --scenarios chooses from, in the order in which they run. held is
// the last, because its pods remain.
func scenarios() []scenario {
	return []scenario{
		{nameOneLargeJob, "one job with 2,000 replicas", (*bench).oneLargeJob},
		{nameManySmallJobs, "500 jobs of 4 replicas", (*bench).manySmallJobs},
		{nameGangRestart, "restart of a job with 1,000 replicas as a whole", (*bench).gangRestart},
		{nameRecovery, "one replica of a job of 100 fails, ten times for each restart scope", (*bench).recoveries},
		{nameChurn, "jobs created and finished at a steady rate for a minute", (*bench).churn},
		{nameSoak, "1,200 jobs that come and go, and what the operator still holds in memory", (*bench).soak},
		{nameDecide, "a pass over a job with 100 and with 10,000 replicas, without a control plane", (*bench).planGrows},
		{nameWriteCost, "what each request of an operator costs the control plane", (*bench).requestCosts},
		{nameHeld, "10,000 pods held by running jobs: one more job, an idle minute, a restart of the operator", (*bench).heldPods},
	}
}

// scenarioNames are the names of all scenarios.
func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// scaled is a number at the scale of this run, at least a few.
func (b *bench) scaled(n, least int) int {
	return max(int(float64(n)*b.options.scale), least)
}

// modes are the service modes to be measured, of those that the kind knows.
func (b *bench) modes() []string {
	modes := slices.DeleteFunc(slices.Clone(b.options.services), func(m string) bool { return !slices.Contains(b.kind.services, m) })
	if len(modes) == 0 {
		return b.kind.services[:1]
	}
	return modes
}

// everywhere measures at all distances. A part of the control plane is always next to
// the API server.
func (b *bench) everywhere(measure func(*line) error) error {
	for _, l := range b.lines {
		if l.rtt > 0 && b.operator.command == nil {
			b.report.notef("%s: not measured at %s: the bench did not start it", b.options.describe(), l.rtt)
			continue
		}
		if err := measure(l); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) oneLargeJob(ctx context.Context) error {
	return b.everywhere(func(l *line) error {
		for _, mode := range b.modes() {
			p := batch{prefix: "large", jobs: 1, replicas: b.scaled(2000, 8), services: mode}
			r, err := b.inRounds(func() (*figures, error) { return b.creation(ctx, nameOneLargeJob, l, p) })
			if err != nil {
				return err
			}
			s := r[0].suffix()
			b.times("", r)
			b.medianRatio("create-rate-vs-floor"+s, r, createRate)
			b.medianRatio("running-rate-vs-floor"+s, r, runningRate)
			b.medianRatio("creates-per-replica"+s, r, func(f *figures) float64 { return b.creates(f.spent.calls) / float64(f.pods()) })
			b.medianRatio("writes-per-replica"+s, r, func(f *figures) float64 { return (b.writes(f.spent.calls) - float64(f.jobs)) / float64(f.pods()) })
			b.medianRatio("control-plane-cpu-vs-floor"+s, r, controlPlaneCPU)
			b.medianRatio("operator-cpu-seconds-per-1000-replicas"+s, r, func(f *figures) float64 { return f.spent.operatorCPU * 1000 / float64(f.pods()) })
		}
		return nil
	})
}

// smallJobs are the jobs of many-small-jobs.
func (b *bench) smallJobs() batch {
	return batch{prefix: "small", jobs: b.scaled(500, 3), replicas: 4, services: b.modes()[0]}
}

func (b *bench) manySmallJobs(ctx context.Context) error {
	return b.everywhere(func(l *line) error {
		r, err := b.inRounds(func() (*figures, error) { return b.creation(ctx, nameManySmallJobs, l, b.smallJobs()) })
		if err != nil {
			return err
		}
		s := r[0].suffix()
		b.times("-many-jobs", r)
		b.medianRatio("create-rate-vs-floor-many-jobs"+s, r, createRate)
		b.medianRatio("running-rate-vs-floor-many-jobs"+s, r, runningRate)
		b.medianRatio("control-plane-cpu-vs-floor-many-jobs"+s, r, controlPlaneCPU)
		b.medianRatio("status-writes-per-job"+s, r, b.statusWritesPerJob)
		return nil
	})
}

// jobsOf are the jobs of a batch.
func (p batch) jobsOf(change func(*job)) []job {
	jobs := make([]job, p.jobs)
	for i := range jobs {
		jobs[i] = job{name: p.job(i), replicas: p.replicas, services: p.services}
		if change != nil {
			change(&jobs[i])
		}
	}
	return jobs
}

// creation measures how jobs start, first the operator's and then the floor.
func (b *bench) creation(ctx context.Context, scenario string, l *line, p batch) (*figures, error) {
	b.logf("%s: %d jobs of %d replicas, services %s, %s", scenario, p.jobs, p.replicas, p.services, l)
	f := &figures{scenario: scenario, who: b.options.describe(), line: l, batch: p}
	w, clean, err := b.namespace(ctx)
	if err != nil {
		return nil, err
	}
	err = b.withOperator(ctx, l, func() error {
		before, err := b.stateNow(ctx, true, false)
		if err != nil {
			return err
		}
		begun := time.Now()
		if err := b.create(ctx, l.config, w, p.jobsOf(nil)...); err != nil {
			return err
		}
		if err := awaitCreated(ctx, w, f, begun); err != nil {
			return err
		}
		if err := awaitRunning(ctx, w, p.pods()); err != nil {
			return err
		}
		f.spent, err = b.finish(ctx, before, true)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, b.compare(ctx, f, w, clean, b.floorOf)
}

// awaitRunning waits until the status of the jobs counts so many running pods.
func awaitRunning(ctx context.Context, w *world, pods int) error {
	_, err := w.until(ctx, "the jobs say that their pods run", func(c counts) bool { return c.active == int64(pods) && c.running >= pods })
	return err
}

// compare measures the floor of figures, with objects like those of the operator.
func (b *bench) compare(ctx context.Context, f *figures, w *world, clean func() error,
	floor func(context.Context, *figures, template) (*figures, error),
) error {
	t, err := b.takeTemplate(ctx, w.namespace)
	if err != nil {
		return err
	}
	if err := clean(); err != nil {
		return err
	}
	f.floor, err = floor(ctx, f, t)
	return err
}

// gangRestart measures the time from the failure of one replica until all run again.
func (b *bench) gangRestart(ctx context.Context) error {
	if b.kind.services[0] != perJob {
		b.report.notef("gang-restart: %s cannot restart the whole job", b.kind.name)
		return nil
	}
	return b.everywhere(func(l *line) error {
		p := batch{prefix: "gang", jobs: 1, replicas: b.scaled(1000, 5), services: b.modes()[0]}
		r, err := b.inRounds(func() (*figures, error) { return b.restart(ctx, l, p) })
		if err != nil {
			return err
		}
		s := r[0].suffix()
		b.times("-gang-restart", r)
		b.medianRatio("gang-restart-create-rate-vs-floor"+s, r, createRate)
		b.medianRatio("gang-restart-rate-vs-floor"+s, r, runningRate)
		b.medianRatio("gang-restart-control-plane-cpu-vs-floor"+s, r, controlPlaneCPU)
		b.medianRatio("gang-restart-status-writes"+s, r, b.statusWritesPerJob)
		return nil
	})
}

func (b *bench) restart(ctx context.Context, l *line, p batch) (*figures, error) {
	b.logf("gang-restart: a job of %d replicas, %s", p.replicas, l)
	f := &figures{scenario: nameGangRestart, who: b.options.describe(), line: l, batch: p}
	w, clean, err := b.namespace(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.withOperator(ctx, l, func() error { return b.restartGang(ctx, w, f) }); err != nil {
		return nil, err
	}
	return f, b.compare(ctx, f, w, clean, b.floorOfRestart)
}

func (b *bench) restartGang(ctx context.Context, w *world, f *figures) error {
	before, err := b.startAll(ctx, w, f, true)
	if err != nil {
		return err
	}
	pod, err := b.onePod(ctx, w.namespace, f.pod(0))
	if err != nil {
		return err
	}
	begun := time.Now()
	if err := b.fail(ctx, w.namespace, pod); err != nil {
		return err
	}
	if err := awaitRestarted(ctx, w, f, begun); err != nil {
		return err
	}
	if err := awaitRunning(ctx, w, f.pods()); err != nil {
		return err
	}
	f.spent, err = b.finish(ctx, before, true)
	return err
}

// startAll creates the jobs of a batch, as gangs or not, and returns the state when all their pods run.
func (b *bench) startAll(ctx context.Context, w *world, f *figures, gang bool) (state, error) {
	if err := b.create(ctx, f.line.config, w, f.jobsOf(func(j *job) { j.gang = gang })...); err != nil {
		return state{}, err
	}
	if err := awaitRunning(ctx, w, f.pods()); err != nil {
		return state{}, err
	}
	return b.stateNow(ctx, true, false)
}

// awaitRestarted fills in when all pods were created a second time, and ran.
func awaitRestarted(ctx context.Context, w *world, f *figures, begun time.Time) error {
	created, err := w.until(ctx, "all is created again", func(c counts) bool { return c.created >= 2*f.pods() })
	if err != nil {
		return err
	}
	running, err := w.until(ctx, "all pods run again", func(c counts) bool { return c.created >= 2*f.pods() && c.running == f.pods() })
	f.created, f.running = created.Sub(begun), running.Sub(begun)
	return err
}

// onePod is a pod of a job: the one of that name, or any if the Job controller named them.
func (b *bench) onePod(ctx context.Context, namespace, name string) (string, error) {
	if b.kind.group != jobSet.group {
		return name, nil
	}
	pod, err := b.anyPod(ctx, namespace)
	if err != nil {
		return "", err
	}
	return pod.Name, nil
}

// fail ends a pod as if its container had been killed.
func (b *bench) fail(ctx context.Context, namespace, pod string) error {
	patch := fmt.Sprintf(`{"status":{"phase":"Failed","containerStatuses":[{"name":%q,"image":"busybox","imageID":"",
		"ready":false,"restartCount":0,"state":{"terminated":{"exitCode":137,"reason":"Error"}}}]}}`, b.kind.container)
	err := b.kube.CoreV1().RESTClient().Patch(types.StrategicMergePatchType).Namespace(namespace).
		Resource("pods").Name(pod).SubResource("status").Body([]byte(patch)).Do(ctx).Error()
	if err != nil {
		return fmt.Errorf("cannot make a pod fail: %w", err)
	}
	return nil
}

// floorOfRestart measures how long a bare client takes to delete pods and, when all
// are gone, to create them again.
func (b *bench) floorOfRestart(ctx context.Context, f *figures, t template) (*figures, error) {
	floor, err := b.newFloor(ctx, f, t)
	if err != nil {
		return nil, err
	}
	if err := floor.create(ctx, floor.batch); err != nil {
		return nil, err
	}
	if err := awaitCreated(ctx, floor.world, floor.figures, time.Now()); err != nil {
		return nil, err
	}
	before, err := b.stateNow(ctx, false, false)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := floor.removePods(ctx, floor.batch); err != nil {
		return nil, err
	}
	if _, err := floor.world.until(ctx, "all pods are gone", func(c counts) bool { return c.pods == 0 }); err != nil {
		return nil, err
	}
	if err := floor.createPods(ctx, floor.batch); err != nil {
		return nil, err
	}
	if err := awaitRestarted(ctx, floor.world, floor.figures, begun); err != nil {
		return nil, err
	}
	return b.finishFloor(ctx, floor, before)
}

// String is the distance.
func (l *line) String() string {
	if l.rtt == 0 {
		return "next to the API server"
	}
	return l.rtt.String() + " from the API server"
}

// ratio is 0 where one of the two was not measured.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// number writes a number with as many digits as matter.
func number(x float64) string {
	switch {
	case x == float64(int64(x)):
		return strconv.FormatInt(int64(x), 10)
	case x < 0.1:
		return strconv.FormatFloat(x, 'f', 4, 64)
	case x < 100:
		return strconv.FormatFloat(x, 'f', 2, 64)
	default:
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
}
