package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// request is one kind of request, and how to make the i-th.
type request struct {
	name, measure string
	make          func(ctx context.Context, i int) error
}

// requestCosts measures what each request of an operator costs the control plane, while no
// operator runs: many of one kind, then many of the next.
func (b *bench) requestCosts(ctx context.Context) error {
	if b.operator.command == nil || b.controlPlane == 0 {
		b.report.notef("write-cost: not measured: it needs a control plane without an operator")
		return nil
	}
	n := b.scaled(1000, 8)
	found := map[string][]float64{}
	for range b.options.rounds {
		b.logf("write-cost: %d requests of each kind", n)
		costs, err := b.costs(ctx, n)
		if err != nil {
			return err
		}
		for name, cost := range costs {
			found[name] = append(found[name], ratio(cost, costs["pod"]))
		}
	}
	for _, name := range []string{"job", statusField, "job-read", "event", "service"} {
		b.median(name+"-cost-vs-pod", found[name])
	}
	return nil
}

// costs are the CPU milliseconds of the control plane for a request of each kind.
func (b *bench) costs(ctx context.Context, n int) (map[string]float64, error) {
	w, clean, err := b.namespace(ctx)
	if err != nil {
		return nil, err
	}
	costs := map[string]float64{}
	for _, r := range b.requests(w.namespace, n) {
		if costs[r.measure], err = b.costOf(ctx, r, n); err != nil {
			return nil, err
		}
		b.report.notef("write-cost: %s costs the control plane %s CPU ms", r.name, number(costs[r.measure]))
	}
	return costs, clean()
}

// requests are those that an operator makes, each with the reaction of controllers,
// scheduler and nodes.
func (b *bench) requests(namespace string, n int) []request {
	c := &bare{
		b: b, kube: b.kube, jobs: b.dynamic.Resource(b.kind.gvr()).Namespace(namespace), namespace: namespace, template: requestTemplate(),
		owners: make([]metav1.OwnerReference, n),
	}
	p := batch{prefix: "w", replicas: 1, services: perJob}
	return []request{
		{"creating a job", "job", func(ctx context.Context, i int) error { return c.createJob(ctx, p, i) }},
		{"writing the status of a job", statusField, func(ctx context.Context, i int) error {
			_, err := c.jobs.Patch(ctx, p.job(i), types.MergePatchType, []byte(requestStatus), metav1.PatchOptions{}, statusField)
			return err //nolint:wrapcheck // the API server's message names the object
		}},
		{"reading a job", "job-read", func(ctx context.Context, i int) error {
			_, err := c.jobs.Get(ctx, p.job(i), metav1.GetOptions{})
			return err //nolint:wrapcheck // the API server's message names the object
		}},
		{"an event", "event", func(ctx context.Context, i int) error { return c.createEvent(ctx, p.job(i)) }},
		{"a headless service", "service", func(ctx context.Context, i int) error { return c.createService(ctx, p, i) }},
		{"a pod that starts", "pod", func(ctx context.Context, i int) error { return c.createPod(ctx, p, i) }},
	}
}

// costOf makes n requests and returns what each cost, in CPU milliseconds.
func (b *bench) costOf(ctx context.Context, r request, n int) (float64, error) {
	if err := b.quiet(ctx); err != nil {
		return 0, err
	}
	const writers = 16
	before := usageOf(b.controlPlane).cpu
	if err := inParallel(n, writers, func(i int) error { return r.make(ctx, i) }); err != nil {
		return 0, fmt.Errorf("%s: %w", r.name, err)
	}
	if err := pause(ctx, tail); err != nil {
		return 0, err
	}
	if err := b.quiet(ctx); err != nil {
		return 0, err
	}
	return (usageOf(b.controlPlane).cpu - before) * 1000 / float64(n), nil
}

// requestStatus is a status as operators write it.
const requestStatus = `{"status":{"startTime":"2026-01-01T00:00:00Z","lastReconcileTime":"2026-01-01T00:00:01Z",
"conditions":[{"type":"Created","status":"True","reason":"TestJobCreated","message":"TestJob w is created.",
"lastTransitionTime":"2026-01-01T00:00:00Z","lastUpdateTime":"2026-01-01T00:00:00Z"}],
"replicaStatuses":{"Worker":{"active":1,"selector":"training.kubeflow.org/job-name=w"}}}}`

// requestTemplate is a pod and a service without anything special.
func requestTemplate() template {
	labels := func() map[string]string { return map[string]string{"bench.jobkit.dev/requests": "true"} }
	return template{
		pod: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: labels()}, Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: "main", Image: "busybox"}},
		}},
		service: &corev1.Service{ObjectMeta: metav1.ObjectMeta{Labels: labels()}, Spec: corev1.ServiceSpec{
			ClusterIP: corev1.ClusterIPNone, Selector: map[string]string{"bench.jobkit.dev/none": "true"}, Ports: []corev1.ServicePort{{Port: 80}},
		}},
	}
}

// createEvent records an event of a job as an operator would.
func (c *bare) createEvent(ctx context.Context, job string) error {
	_, err := c.kube.EventsV1().Events(c.namespace).Create(ctx, &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: job, Namespace: c.namespace},
		EventTime:  metav1.NewMicroTime(time.Now()), ReportingController: "bench", ReportingInstance: "bench",
		Action: "Reconcile", Reason: "SuccessfulCreatePod", Type: corev1.EventTypeNormal, Note: "Created pod: " + job,
		Regarding: corev1.ObjectReference{APIVersion: "kubeflow.org/v1", Kind: c.b.kind.name, Namespace: c.namespace, Name: job},
	}, metav1.CreateOptions{})
	return err //nolint:wrapcheck // the API server's message names the object
}
