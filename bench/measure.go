package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// state is what the processes and the API server report at one time.
type state struct {
	at                     time.Time
	calls                  calls
	operator, controlPlane usage
	reconciles             histogram
}

// spent is what lies between two states.
type spent struct {
	took  time.Duration
	calls calls
	// operatorCPU and controlPlaneCPU are in seconds, peak and rss in MiB.
	operatorCPU, controlPlaneCPU, peak, rss float64
	reconciles                              histogram
	load                                    string
}

// stateNow reads the state. Reading metrics costs something, too: it is done first
// before a measurement, and last after one.
func (b *bench) stateNow(ctx context.Context, operator, last bool) (state, error) {
	var s state
	var err error
	processes := func() {
		s.at, s.operator, s.controlPlane = time.Now(), usageOf(b.operator.pid), usageOf(b.controlPlane)
	}
	if last {
		processes()
	} else if err := b.quiet(ctx); err != nil {
		return s, err
	}
	if s.calls, err = b.served(ctx); err != nil {
		return s, err
	}
	if operator {
		if s.reconciles, err = b.operator.reconciles(ctx); err != nil {
			return s, err
		}
	}
	if !last {
		processes()
	}
	return s, nil
}

// quiet waits until the control plane has finished the work that earlier measurements
// left, or for a while.
func (b *bench) quiet(ctx context.Context) error {
	const step, tries, busy = 500 * time.Millisecond, 30, 0.15
	for range tries {
		before := usageOf(b.controlPlane).cpu
		if err := pause(ctx, step); err != nil {
			return err
		}
		if usageOf(b.controlPlane).cpu-before < busy*step.Seconds() {
			return nil
		}
	}
	b.report.notef("the control plane did not come to rest before or after a measurement")
	return nil
}

// since reads the state again, and returns the difference.
func (b *bench) since(ctx context.Context, before state, operator bool) (spent, error) {
	now, err := b.stateNow(ctx, operator, true)
	return spent{
		took: now.at.Sub(before.at), calls: now.calls.since(before.calls),
		operatorCPU:     now.operator.cpu - before.operator.cpu,
		controlPlaneCPU: now.controlPlane.cpu - before.controlPlane.cpu,
		peak:            now.operator.peak, rss: now.operator.rss,
		reconciles: now.reconciles.since(before.reconciles), load: load(),
	}, err
}

// served counts the requests that the API server has served.
func (b *bench) served(ctx context.Context) (calls, error) {
	text, err := b.kube.Discovery().RESTClient().Get().AbsPath("/metrics").
		SetHeader("Accept", "text/plain").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot read the metrics of the API server: %w", err)
	}
	samples, err := parseMetrics(bytes.NewReader(text), "apiserver_request_total")
	return callsOf(samples), err
}

// withOperator runs f while the operator runs, at a distance. It begins when the
// operator has shown that it works.
func (b *bench) withOperator(ctx context.Context, l *line, f func() error) error {
	if err := b.operator.start(l.kubeconfig); err != nil {
		return err
	}
	running, cancel := b.operator.whileItRuns(ctx)
	defer cancel()
	if err := b.warmUp(running); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return b.operator.stop()
}

// warmUp waits until a small job runs.
func (b *bench) warmUp(ctx context.Context) error {
	w, clean, err := b.namespace(ctx)
	if err != nil {
		return err
	}
	if err := b.create(ctx, b.config, w, job{name: "warm", replicas: 1, services: b.kind.services[0]}); err != nil {
		return err
	}
	if _, err := w.until(ctx, "the operator works", func(c counts) bool { return c.active == 1 }); err != nil {
		return err
	}
	return clean()
}

// figures are one line of the table.
type figures struct {
	batch
	scenario, who string
	line          *line
	// created and running are the times until all pods (and services) existed, and
	// until all ran; 0 if that was not measured.
	created, running time.Duration
	spent            spent
	// floor is what it is compared with; nil for the floor itself, and where there is none.
	floor *figures
	// alone says that there is none.
	alone bool
	note  string
}

// suffix distinguishes the measures of one service per replica and of each distance.
func (f *figures) suffix() string {
	s := ""
	if f.services == perReplica {
		s = "-service-each"
	}
	return s + f.line.suffix()
}

// resources are what an operator reads and writes.
func (b *bench) resources() []string {
	return []string{"pods", "services", b.kind.resource, b.kind.resource + "/status"}
}

// creates counts the requests that create pods and services, failed ones too.
func (b *bench) creates(c calls) float64 { return c.of("pods", "POST") + c.of("services", "POST") }

// statusWritesPerJob are those of the jobs themselves.
func (b *bench) statusWritesPerJob(f *figures) float64 {
	return f.spent.calls.of(b.kind.resource+"/status", "PATCH", "PUT", "APPLY") / float64(f.jobs)
}

// writes counts what an operator writes; events are not counted.
func (b *bench) writes(c calls) float64 {
	sum := 0.0
	for _, r := range b.resources() {
		sum += c.of(r, "POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION")
	}
	return sum
}

// listSome lists at most some pods of a namespace.
func listSome(n int64) metav1.ListOptions { return metav1.ListOptions{Limit: n} }
