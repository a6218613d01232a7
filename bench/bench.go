package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/jobkit/jobkit/config/crd"
	"github.com/jobkit/jobkit/internal/devenv"
)

const (
	// patience is how long the bench waits for what must happen, and for pods until something happens to them.
	patience = 15 * time.Minute
	// tail is how long a measurement continues after all is done, so that late
	// requests are counted too. It is the same for the floor.
	tail = time.Second
	poll = 100 * time.Millisecond
)

// bench is one run.
type bench struct {
	options options
	kind    kind
	report  *report
	// progress receives the lines that report how far the run is.
	progress io.Writer
	// dir is removed at the end.
	dir string

	// kubeconfig, config and the clients are next to the API server.
	kubeconfig string
	config     *rest.Config
	kube       kubernetes.Interface
	dynamic    dynamic.Interface
	// controlPlane is the process of all of it; 0 if unknown.
	controlPlane int
	version      string

	operator *operator
	lines    []*line
	// namespaces are those that were made, and binding that of the service account.
	namespaces []string
	binding    string
}

// line is a distance to the API server.
type line struct {
	rtt        time.Duration
	kubeconfig string
	config     *rest.Config
	// writers is the parallelism at which a bare client is fastest; 0 is not known yet.
	writers int
}

// suffix is the end of the names of measures.
func (l *line) suffix() string {
	if l.rtt == 0 {
		return ""
	}
	return "-" + l.rtt.String()
}

// run does all that the options ask for.
func run(ctx context.Context, o options, stdout, stderr io.Writer) (err error) {
	b := &bench{options: o, report: newReport(), progress: stderr}
	if o.save != "" {
		if err := os.MkdirAll(o.save, 0o755); err != nil {
			return fmt.Errorf("--save: %w", err)
		}
	}
	if b.kind, err = kindNamed(o.kind); err != nil {
		return err
	}
	if o.operator == operatorBatchJob {
		b.kind = batchJob
	}
	if b.dir, err = os.MkdirTemp("", "jobkit-bench-"); err != nil {
		return fmt.Errorf("cannot make a folder: %w", err)
	}
	defer func() {
		if err == nil {
			err = os.RemoveAll(b.dir)
		} else {
			fmt.Fprintln(stderr, "The operator's log is in", b.dir)
		}
	}()
	stop, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if b.operator, err = b.newOperator(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.operator.stop()) }()
	if err := b.measure(ctx); err != nil {
		return errors.Join(err, b.report.finish(stdout, "")) // what was found until then
	}
	return b.report.finish(stdout, o.save)
}

// measure runs the scenarios at all distances and deletes what was made for them.
func (b *bench) measure(ctx context.Context) (err error) {
	b.report.begin(ctx, b)
	defer func() { err = errors.Join(err, b.leave(context.WithoutCancel(ctx))) }()
	identity, err := b.identity(ctx)
	if err != nil {
		return err
	}
	for _, rtt := range b.options.distances {
		l, stop, err := b.distance(ctx, identity, rtt)
		if err != nil {
			return err
		}
		defer stop()
		b.lines = append(b.lines, l)
	}
	return b.runScenarios(ctx)
}

// connect uses the control plane that is given, or starts one.
func (b *bench) connect(ctx context.Context) (stop func(), err error) {
	stop = func() {}
	b.kubeconfig, b.controlPlane = b.options.kubeconfig, b.options.controlPlanePID
	if b.kubeconfig == "" {
		crds := filepath.Join(b.dir, "crd")
		if err := os.CopyFS(crds, crd.Files); err != nil {
			return nil, fmt.Errorf("cannot write the CRDs: %w", err)
		}
		// A node takes 1,000 pods; scenario held has 10,000 at full size.
		nodes := 20 * max(1, int(math.Ceil(b.options.scale)))
		cluster, err := devenv.Start(ctx, devenv.Options{CRDs: append([]string{crds}, b.options.crds...), Nodes: nodes, Progress: b.progress})
		if err != nil {
			return nil, err
		}
		stop = func() { _ = cluster.Stop() }
		b.kubeconfig, b.controlPlane = cluster.Kubeconfig(), cluster.PID()
	}
	if err := b.clients(); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

// clients makes the clients next to the API server.
func (b *bench) clients() error {
	config, err := clientcmd.BuildConfigFromFlags("", b.kubeconfig)
	if err != nil {
		return fmt.Errorf("cannot read the kubeconfig: %w", err)
	}
	config.QPS = -1 // no rate limit of the client
	b.config = config
	if b.kube, err = kubernetes.NewForConfig(protobuf(config)); err != nil {
		return fmt.Errorf("cannot make a client: %w", err)
	}
	if b.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return fmt.Errorf("cannot make a client: %w", err)
	}
	v, err := b.kube.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("cannot read the version of the API server: %w", err)
	}
	b.version = v.GitVersion
	return nil
}

// protobuf sets the encoding that controller-runtime uses for the core types.
func protobuf(config *rest.Config) *rest.Config {
	c := rest.CopyConfig(config)
	c.ContentType, c.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	return c
}

// distance makes a line to the API server: a kubeconfig that leads there late.
func (b *bench) distance(ctx context.Context, identity *api.Config, rtt time.Duration) (*line, func(), error) {
	l, stop := &line{rtt: rtt, kubeconfig: filepath.Join(b.dir, "kubeconfig-"+rtt.String())}, func() {}
	raw := identity.DeepCopy()
	if rtt > 0 {
		server, err := url.Parse(b.config.Host)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot parse the address of the API server: %w", err)
		}
		p, err := startProxy(ctx, server.Host, rtt/2)
		if err != nil {
			return nil, nil, err
		}
		stop = p.stop
		for _, c := range raw.Clusters {
			c.Server = "https://" + p.address()
			c.TLSServerName = server.Hostname()
		}
	}
	err := clientcmd.WriteToFile(*raw, l.kubeconfig)
	if err == nil {
		l.config, err = clientcmd.BuildConfigFromFlags("", l.kubeconfig)
	}
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("cannot write a kubeconfig: %w", err)
	}
	l.config.QPS = -1
	return l, stop, nil
}

// runScenarios runs those that were asked for.
func (b *bench) runScenarios(ctx context.Context) error {
	if err := b.wakeControlPlane(ctx); err != nil {
		return fmt.Errorf("before the first measurement: %w", err)
	}
	for _, s := range scenarios() {
		if !slices.Contains(b.options.scenarios, s.name) {
			continue
		}
		if err := s.run(b, ctx); err != nil {
			return fmt.Errorf("scenario %s: %w", s.name, err)
		}
	}
	return nil
}

// wakeControlPlane has the operator run many small jobs once, which are not measured. An
// API server that has just started keeps a short history, gives each watch a small
// buffer, and ends watches that do not keep up; scheduler, nodes and operator then list
// everything again. The first measurement would pay for it. Scenarios that create a thousand
// pods and more before they measure need it not, nor does one without a control plane.
func (b *bench) wakeControlPlane(ctx context.Context) error {
	awake := []string{nameRecovery, nameSoak, nameHeld, nameDecide}
	if !slices.ContainsFunc(b.options.scenarios, func(name string) bool { return !slices.Contains(awake, name) }) {
		return nil
	}
	p := b.smallJobs()
	b.logf("%d jobs of %d replicas, which are not measured, to wake the control plane", p.jobs, p.replicas)
	w, clean, err := b.namespace(ctx)
	if err != nil {
		return err
	}
	return b.withOperator(ctx, b.lines[0], func() error {
		if err := b.create(ctx, b.config, w, p.jobsOf(nil)...); err != nil {
			return err
		}
		if err := awaitRunning(ctx, w, p.pods()); err != nil {
			return err
		}
		return clean()
	})
}

// logf reports how far the bench is.
func (b *bench) logf(format string, args ...any) {
	fmt.Fprintf(b.progress, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// namespace makes one, with all that a pod in it needs, and watches it. The clean-up
// returns when everything in it is gone.
func (b *bench) namespace(ctx context.Context) (*world, func() error, error) {
	name, err := b.makeNamespace(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = b.eventually(ctx, "there is a service account", func(ctx context.Context) (bool, error) {
		_, err := b.kube.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, ignoreNotFound(err)
	})
	if err != nil {
		return nil, nil, err
	}
	w, err := b.watch(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	return w, func() error { return b.empty(ctx, w) }, nil
}

// makeNamespace makes one with a name that is free.
func (b *bench) makeNamespace(ctx context.Context) (string, error) {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "bench-"}}
	ns, err := b.kube.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("cannot make a namespace: %w", err)
	}
	b.namespaces = append(b.namespaces, ns.Name)
	return ns.Name, nil
}

// empty deletes what is in a namespace: the jobs first, so that no pods are created
// again. The namespace itself stays until the end, because deleting it is slow.
func (b *bench) empty(ctx context.Context, w *world) error {
	defer w.stop()
	background, now := metav1.DeletePropagationBackground, int64(0)
	err := b.dynamic.Resource(b.kind.gvr()).Namespace(w.namespace).DeleteCollection(ctx,
		metav1.DeleteOptions{PropagationPolicy: &background}, metav1.ListOptions{})
	if err == nil {
		err = b.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(w.namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
	}
	if err != nil {
		return fmt.Errorf("cannot clean up: %w", err)
	}
	err = b.eventually(ctx, "the pods are deleted", func(ctx context.Context) (bool, error) {
		// 10,000 are more than the API server deletes before it ends the request.
		err := b.kube.CoreV1().Pods(w.namespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now}, metav1.ListOptions{})
		return err == nil, nil
	})
	if err != nil {
		return err
	}
	_, err = w.until(ctx, "everything is gone", func(c counts) bool { return c.pods == 0 && c.services == 0 })
	return err
}

// eventually polls until a condition is true.
func (*bench) eventually(ctx context.Context, what string, ask func(context.Context) (bool, error)) error {
	if err := wait.PollUntilContextTimeout(ctx, poll, patience, true, ask); err != nil {
		return fmt.Errorf("waited in vain until %s: %w", what, err)
	}
	return nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// pause waits for some time.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
