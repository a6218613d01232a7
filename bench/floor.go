package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// template holds objects that an operator made: the floor makes the same.
type template struct {
	pod     *corev1.Pod
	service *corev1.Service // nil if there are none
}

// takeTemplate takes a pod and a service of a namespace as models.
func (b *bench) takeTemplate(ctx context.Context, namespace string) (template, error) {
	pod, err := b.anyPod(ctx, namespace)
	if err != nil {
		return template{}, err
	}
	services, err := b.kube.CoreV1().Services(namespace).List(ctx, listSome(1))
	if err != nil {
		return template{}, fmt.Errorf("cannot find a service of the operator: %w", err)
	}
	t := template{pod: pod}
	bareMeta := func(m *metav1.ObjectMeta) {
		*m = metav1.ObjectMeta{Labels: m.Labels, Annotations: m.Annotations}
	}
	bareMeta(&t.pod.ObjectMeta)
	t.pod.Status, t.pod.Spec.NodeName = corev1.PodStatus{}, ""
	if len(services.Items) > 0 {
		t.service = &services.Items[0]
		bareMeta(&t.service.ObjectMeta)
	}
	return t, nil
}

// anyPod is a pod of a namespace.
func (b *bench) anyPod(ctx context.Context, namespace string) (*corev1.Pod, error) {
	pods, err := b.kube.CoreV1().Pods(namespace).List(ctx, listSome(1))
	if err == nil && len(pods.Items) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot find a pod of the operator: %w", err)
	}
	return &pods.Items[0], nil
}

// disguised hides the models from operators that run meanwhile, which would know the
// objects of the floor as theirs. Labels and selectors still match.
func (t template) disguised() template {
	t.pod, t.service = t.pod.DeepCopy(), t.service.DeepCopy()
	disguise(t.pod.Labels)
	if t.service != nil {
		disguise(t.service.Labels)
		disguise(t.service.Spec.Selector)
	}
	return t
}

// disguise renames the label by which operators know their objects.
func disguise(labels map[string]string) {
	if value, ok := labels[commonv1.OperatorNameLabel]; ok {
		delete(labels, commonv1.OperatorNameLabel)
		labels["bench.jobkit.dev/operator-name"] = value
	}
}

// bare is a client that knows what is wanted and does nothing else.
type bare struct {
	b         *bench
	kube      kubernetes.Interface
	jobs      dynamic.ResourceInterface
	template  template
	namespace string
	writers   int
	// nodes, if any, get the pods in turn, without a scheduler.
	nodes []string
	// owners are the jobs by index, once they are created.
	owners []metav1.OwnerReference
}

// newBare makes a client at a distance.
func (b *bench) newBare(l *line, t template, namespace string) (*bare, error) {
	kube, err := kubernetes.NewForConfig(protobuf(l.config))
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	jobs, err := dynamic.NewForConfig(l.config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	return &bare{
		b: b, kube: kube, jobs: jobs.Resource(b.kind.gvr()).Namespace(namespace),
		template: t.disguised(), namespace: namespace, writers: l.writers,
	}, nil
}

// batch is what the floor creates: the pods and services of some jobs.
type batch struct {
	prefix         string
	jobs, replicas int
	services       string
}

func (p batch) pods() int { return p.jobs * p.replicas }

// serviceCount is how many services go with the pods.
func (p batch) serviceCount() int {
	switch p.services {
	case perJob:
		return p.jobs
	case perReplica:
		return p.pods()
	}
	return 0
}

func (p batch) job(i int) string { return p.prefix + "-" + strconv.Itoa(i) }
func (p batch) pod(i int) string {
	return p.job(i/p.replicas) + "-worker-" + strconv.Itoa(i%p.replicas)
}

// relabel gives labels the values of a job, and of a replica.
func relabel(labels map[string]string, job string, index int) {
	for key, value := range map[string]string{commonv1.JobNameLabel: job, commonv1.ReplicaIndexLabel: strconv.Itoa(index)} {
		if _, ok := labels[key]; ok {
			labels[key] = value
		}
	}
}

func (c *bare) createPod(ctx context.Context, p batch, i int) error {
	pod := c.template.pod.DeepCopy()
	pod.Name, pod.OwnerReferences = p.pod(i), c.owners[i/p.replicas:][:1]
	relabel(pod.Labels, p.job(i/p.replicas), i%p.replicas)
	if pod.Spec.Hostname != "" && pod.Spec.Subdomain != "" {
		pod.Spec.Hostname, pod.Spec.Subdomain = pod.Name, p.job(i/p.replicas)
	}
	if len(c.nodes) > 0 {
		pod.Spec.NodeName = c.nodes[i%len(c.nodes)]
	}
	_, err := c.kube.CoreV1().Pods(c.namespace).Create(ctx, pod, metav1.CreateOptions{})
	return err //nolint:wrapcheck // the API server's message names the object
}

func (c *bare) createService(ctx context.Context, p batch, i int) error {
	service := c.template.service.DeepCopy()
	job, index := i, 0
	service.Name = p.job(i)
	if p.services == perReplica {
		job, index = i/p.replicas, i%p.replicas
		service.Name = p.pod(i)
	}
	service.OwnerReferences = c.owners[job:][:1]
	relabel(service.Labels, p.job(job), index)
	relabel(service.Spec.Selector, p.job(job), index)
	_, err := c.kube.CoreV1().Services(c.namespace).Create(ctx, service, metav1.CreateOptions{})
	return err //nolint:wrapcheck // the API server's message names the object
}

// createJob makes the object that owns the pods of a job: the job itself, which must be
// created for an operator, too. If an operator runs that would act on it, another object
// takes its place. With an owner, the garbage collector has the same work as with an
// operator.
func (c *bare) createJob(ctx context.Context, p batch, i int) error {
	yes := true
	owner := metav1.OwnerReference{Name: p.job(i), Controller: &yes, BlockOwnerDeletion: &yes}
	var made metav1.Object
	var err error
	if c.b.operator.command == nil {
		owner.APIVersion, owner.Kind = "v1", "ConfigMap"
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: owner.Name}}
		made, err = c.kube.CoreV1().ConfigMaps(c.namespace).Create(ctx, object, metav1.CreateOptions{})
	} else {
		object := c.b.kind.manifest(job{name: owner.Name, replicas: p.replicas, services: p.services})
		owner.APIVersion, owner.Kind = object.GetAPIVersion(), object.GetKind()
		made, err = c.jobs.Create(ctx, object, metav1.CreateOptions{})
	}
	if err != nil {
		return err //nolint:wrapcheck // the API server's message names the object
	}
	owner.UID = made.GetUID()
	c.owners[i] = owner
	return nil
}

// create makes jobs, services and then pods, as fast as the writers can.
func (c *bare) create(ctx context.Context, p batch) error {
	if err := c.createJobs(ctx, p); err != nil {
		return err
	}
	services := p.serviceCount()
	return inParallel(services+p.pods(), c.writers, func(i int) error {
		if i < services {
			return c.createService(ctx, p, i)
		}
		return c.createPod(ctx, p, i-services)
	})
}

// createJobs makes the jobs alone.
func (c *bare) createJobs(ctx context.Context, p batch) error {
	c.owners = make([]metav1.OwnerReference, p.jobs)
	return inParallel(p.jobs, c.writers, func(i int) error { return c.createJob(ctx, p, i) })
}

// createPods makes the pods alone.
func (c *bare) createPods(ctx context.Context, p batch) error {
	return inParallel(p.pods(), c.writers, func(i int) error { return c.createPod(ctx, p, i) })
}

// removePods deletes the pods that create made.
func (c *bare) removePods(ctx context.Context, p batch) error {
	return inParallel(p.pods(), c.writers, func(i int) error {
		return c.kube.CoreV1().Pods(c.namespace).Delete(ctx, p.pod(i), metav1.DeleteOptions{})
	})
}

// inParallel calls f for 0 to n-1, at most so many at a time, and returns the errors.
func inParallel(n, width int, f func(int) error) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	next := make(chan int)
	for range min(n, width) {
		wg.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
	return first
}

// calibrate finds the parallelism at which a bare client is fastest. Each is tried
// twice, in turn, because other things may happen on the machine.
func (b *bench) calibrate(ctx context.Context, l *line, t template, replicas int) error {
	if l.writers != 0 {
		return nil
	}
	best := map[int]time.Duration{}
	for range 2 {
		for _, writers := range b.options.writers {
			took, err := b.trial(ctx, l, t, replicas, writers)
			if err != nil {
				return err
			}
			if best[writers] == 0 || took < best[writers] {
				best[writers] = took
			}
		}
	}
	for _, writers := range b.options.writers {
		b.report.notef("floor%s with %d writers: %.0f pods a second", l.suffix(), writers, float64(replicas)/best[writers].Seconds())
		if l.writers == 0 || best[writers] < best[l.writers] {
			l.writers = writers
		}
	}
	return nil
}

// trial measures how long a bare client takes to create some pods.
func (b *bench) trial(ctx context.Context, l *line, t template, replicas, writers int) (time.Duration, error) {
	w, clean, err := b.namespace(ctx)
	if err != nil {
		return 0, err
	}
	c, err := b.newBare(l, t, w.namespace)
	if err != nil {
		return 0, err
	}
	c.writers = writers
	p := batch{prefix: "trial", jobs: 1, replicas: replicas, services: b.kind.services[0]}
	if err := c.createJobs(ctx, p); err != nil {
		return 0, err
	}
	if err := b.quiet(ctx); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := c.createPods(ctx, p); err != nil {
		return 0, err
	}
	took := time.Since(begun)
	return took, clean()
}

// floor is a bare client in a namespace of its own, and what it takes there.
type floor struct {
	*bare
	*figures
	world *world
	clean func() error
}

// newFloor prepares the floor of the figures of an operator.
func (b *bench) newFloor(ctx context.Context, f *figures, t template) (*floor, error) {
	if err := b.calibrate(ctx, f.line, t, max(f.pods()/5, 10)); err != nil {
		return nil, err
	}
	w, clean, err := b.namespace(ctx)
	if err != nil {
		return nil, err
	}
	c, err := b.newBare(f.line, t, w.namespace)
	if err != nil {
		return nil, err
	}
	return &floor{bare: c, figures: f.ofFloor(c), world: w, clean: clean}, nil
}

// floorOf measures how long a bare client takes for the jobs, pods and services of f.
func (b *bench) floorOf(ctx context.Context, f *figures, t template) (*figures, error) {
	floor, err := b.newFloor(ctx, f, t)
	if err != nil {
		return nil, err
	}
	before, err := b.stateNow(ctx, false, false)
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	if err := floor.create(ctx, floor.batch); err != nil {
		return nil, err
	}
	if err := awaitCreated(ctx, floor.world, floor.figures, begun); err != nil {
		return nil, err
	}
	return b.finishFloor(ctx, floor, before)
}

// finishFloor ends the measurement of a floor.
func (b *bench) finishFloor(ctx context.Context, f *floor, before state) (*figures, error) {
	var err error
	if f.spent, err = b.finish(ctx, before, false); err != nil {
		return nil, err
	}
	return f.figures, f.clean()
}

// ofFloor begins the figures of the floor that belongs to others.
func (f *figures) ofFloor(c *bare) *figures {
	return &figures{scenario: f.scenario, who: fmt.Sprintf("floor (%d writers)", c.writers), line: f.line, batch: f.batch}
}

// awaitCreated fills in when all was created and all ran.
func awaitCreated(ctx context.Context, w *world, f *figures, begun time.Time) error {
	created, err := w.until(ctx, "all is created", func(c counts) bool { return c.created >= f.pods() && c.services >= f.serviceCount() })
	if err != nil {
		return err
	}
	running, err := w.until(ctx, "all pods run", func(c counts) bool { return c.running >= f.pods() })
	f.created, f.running = created.Sub(begun), running.Sub(begun)
	return err
}

// finish ends a measurement when the control plane has come to rest: what an operator
// writes late, its events above all, costs as much as what it writes at once.
func (b *bench) finish(ctx context.Context, before state, operator bool) (spent, error) {
	if err := pause(ctx, tail); err != nil {
		return spent{}, err
	}
	if err := b.quiet(ctx); err != nil {
		return spent{}, err
	}
	return b.since(ctx, before, operator)
}

// create creates jobs, with as many writers as the floor may have.
func (b *bench) create(ctx context.Context, config *rest.Config, w *world, jobs ...job) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("cannot make a client: %w", err)
	}
	return inParallel(len(jobs), slices.Max(b.options.writers), func(i int) error {
		_, err := client.Resource(b.kind.gvr()).Namespace(w.namespace).Create(ctx, b.kind.manifest(jobs[i]), metav1.CreateOptions{})
		return err //nolint:wrapcheck // the API server's message names the object
	})
}
