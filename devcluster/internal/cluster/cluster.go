// Package cluster assembles etcd, the Kubernetes control plane and fake nodes
// into one process, and takes them down again in order.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/version"
	"k8s.io/klog/v2"

	"github.com/jobkit/jobkit/devcluster/internal/apiserver"
	"github.com/jobkit/jobkit/devcluster/internal/controllermanager"
	"github.com/jobkit/jobkit/devcluster/internal/etcd"
	"github.com/jobkit/jobkit/devcluster/internal/fakenodes"
	"github.com/jobkit/jobkit/devcluster/internal/pki"
	"github.com/jobkit/jobkit/devcluster/internal/scheduler"
	"github.com/jobkit/jobkit/devcluster/internal/stdio"
)

const (
	// stopTimeout bounds the end of each component; all together take about 1 s.
	stopTimeout = 10 * time.Second
	// drainTimeout is how long kube-apiserver is waited for, which usually ends in
	// 1.5 s. A longer wait does not help: while it stops, it answers its own requests with "try
	// again later" too, so a request whose admission makes one (as that for the first
	// object in a namespace does) and the stop wait for each other for a minute.
	drainTimeout = 4 * time.Second
	// exitTimeout is above the time that all components together may take to stop.
	exitTimeout = 6 * stopTimeout
	// readyTimeout bounds the start, which takes about 3 s on two idle cores.
	readyTimeout = 3 * time.Minute
	// pollInterval while starting.
	pollInterval = 20 * time.Millisecond
	// logLines of a failed cluster are shown.
	logLines = 20
	// stateFile in the data folder holds Info while the cluster is ready. The
	// name is a contract with internal/devenv.
	stateFile = "cluster.json"
)

// Config of a cluster.
type Config struct {
	// DataDir holds all state. Default: a temporary folder, removed at the end.
	DataDir string
	// KeepData keeps the temporary folder.
	KeepData bool
	// Kubeconfig is where the administrator's kubeconfig is written. Default:
	// "kubeconfig" in the data folder.
	Kubeconfig string
	// LogFile of all components, appended to. Default: "log" in the data folder.
	LogFile string
	// Listen is the address of the API server. Default: 127.0.0.1.
	Listen net.IP
	// Port of the API server. Default 0: a free one.
	Port int
	// Kubelets are the names of nodes whose kubelets are real: each gets a kubeconfig,
	// "kubelet-<name>.kubeconfig" in the data folder, and its kubelet registers it.
	Kubelets []string
	// NodeGrace is how long a node may be silent before it counts as lost.
	NodeGrace time.Duration
	// Sync makes etcd flush writes to disk. Default: off, several times faster.
	Sync bool
	// Verbosity of the log. Default 0.
	Verbosity int
	// FeatureGates ("A=true,B=false") of every component.
	FeatureGates string
	// RuntimeConfig ("group/version=true") of the API server.
	RuntimeConfig string
	// Nodes are the fake nodes.
	Nodes fakenodes.Shape
	// CRDs are YAML files, or folders of them, with CustomResourceDefinitions that
	// are served when the cluster is ready.
	CRDs []string
	// StageFiles add to or replace the built-in life of pods and nodes.
	StageFiles []string
	// APIServerArgs, ControllerManagerArgs and SchedulerArgs are more flags.
	APIServerArgs, ControllerManagerArgs, SchedulerArgs []string
}

// ErrStop is the cause, possibly wrapped, of a context that ends a cluster in order.
var ErrStop = errors.New("asked to stop")

// runner is what Run knows while the cluster runs.
type runner struct {
	Config
	reporter *Reporter
	info     Info
	dir      *dataDir
	certs    pki.Store
	listener net.Listener
	rest     *rest.Config
	client   kubernetes.Interface
	super    *supervisor
	crds     []*crd
	stages   fakenodes.Stages
}

// Run runs a cluster until ctx is done; its cause distinguishes an orderly end (ErrStop)
// from a failure. From the start on, the log gets what the process writes to its
// standard output and error, and crash gets the report of a crash. The reporter
// gets everything else, the returned error included.
func Run(ctx context.Context, c Config, reporter *Reporter, crash *os.File) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	r := &runner{Config: c, reporter: reporter, super: &supervisor{fail: fail}}
	klog.OsExit = func(code int) { giveUp(fail, code) }
	err := r.open(crash)
	if err == nil {
		err = r.up(ctx)
	}
	if err == nil {
		<-ctx.Done()
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return r.end(err)
}

// giveUp takes the place of os.Exit in klog.Fatal, which components call when
// they fail, and also when they are stopped while they start. Either way the
// cluster goes down in order, while the caller, who counts on not returning,
// waits for the end.
func giveUp(fail context.CancelCauseFunc, code int) {
	fail(errors.New("a component gave up, see the log"))
	time.Sleep(exitTimeout)
	os.Exit(code) //nolint:forbidigo // what klog.Fatal would have done
}

// end takes the cluster down and reports how it ended.
func (r *runner) end(cause error) error {
	failed := !errors.Is(cause, ErrStop)
	if failed {
		// Now, before the log fills with the complaints of what loses its server.
		r.reportFailure(cause)
	} else {
		r.reporter.Report(Event{Event: Stopping, Message: cause.Error()})
	}
	err := errors.Join(r.super.stop(stopTimeout), r.close())
	switch {
	case failed:
		return errors.Join(cause, err)
	case err != nil:
		// Without the log, which is full of the complaints of the late.
		r.reporter.Report(Event{Event: Failed, Message: err.Error()})
	default:
		r.reporter.Report(Event{Event: Stopped})
	}
	return err
}

func (r *runner) reportFailure(err error) {
	r.reporter.Report(Event{Event: Failed, Message: err.Error(), Log: stdio.Tail(r.info.LogFile, logLines)})
}

// open acquires everything that can be refused: folder, port, certificates, the
// user's files, the log.
func (r *runner) open(crash *os.File) (err error) {
	if v := version.Get().GitVersion; strings.Contains(v, "$") {
		return fmt.Errorf("this binary does not know its Kubernetes version (%s), on which much depends: build it with the -ldflags that README.md gives", v)
	}
	if r.dir, err = openDataDir(r.DataDir, r.KeepData); err != nil {
		return err
	}
	if err := os.Remove(r.dir.in(stateFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove the state of the last run: %w", err)
	}
	if r.Listen == nil {
		r.Listen = net.IPv4(127, 0, 0, 1)
	}
	if r.listener, err = net.ListenTCP("tcp", &net.TCPAddr{IP: r.Listen, Port: r.Port}); err != nil {
		return fmt.Errorf("cannot listen for the API server: %w", err)
	}
	if r.certs, err = pki.Ensure(r.dir.in("pki"), r.Listen, time.Now()); err != nil {
		return err
	}
	r.info = Info{
		PID:        os.Getpid(),
		Server:     "https://" + r.listener.Addr().String(),
		Kubeconfig: orDefault(r.Kubeconfig, r.dir.in("kubeconfig")),
		LogFile:    orDefault(r.LogFile, r.dir.in("log")),
		DataDir:    r.dir.path,
		Nodes:      r.Nodes.Count,
		Version:    version.Get().GitVersion,
	}
	if r.crds, err = readCRDs(r.CRDs); err != nil {
		return err
	}
	if r.stages, err = fakenodes.LoadStages(r.StageFiles); err != nil {
		return err
	}
	log, err := os.OpenFile(r.info.LogFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the log: %w", err)
	}
	defer log.Close()
	if err := stdio.Redirect(log, crash); err != nil {
		return err
	}
	return r.kubeconfigs()
}

// kubeconfigs writes one kubeconfig per user. They change with every start,
// because the port does.
func (r *runner) kubeconfigs() error {
	paths := map[string]string{
		pki.Admin:             r.info.Kubeconfig,
		pki.ControllerManager: r.dir.in(pki.ControllerManager + ".kubeconfig"),
		pki.Scheduler:         r.dir.in(pki.Scheduler + ".kubeconfig"),
		pki.FakeNodes:         r.dir.in(pki.FakeNodes + ".kubeconfig"),
	}
	for _, node := range r.Kubelets {
		user, err := r.certs.EnsureKubelet(node, time.Now())
		if err != nil {
			return err
		}
		paths[user] = r.dir.in(user + ".kubeconfig")
	}
	for user, path := range paths {
		data, err := r.certs.Kubeconfig(user, r.info.Server)
		if err != nil {
			return err
		}
		if err := writeFile(path, data); err != nil {
			return fmt.Errorf("cannot write the kubeconfig of %s: %w", user, err)
		}
	}
	return nil
}

// close releases what open acquired.
func (r *runner) close() error {
	if r.listener != nil {
		_ = r.listener.Close() // nothing was accepted on it
	}
	if r.dir == nil || r.dir.lock == nil {
		return nil
	}
	err := os.Remove(r.dir.in(stateFile))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, r.dir.close())
}

// up starts everything, in the order in which one needs the other, and returns
// when the cluster is ready.
func (r *runner) up(ctx context.Context) error {
	info := r.info
	r.reporter.Report(Event{Event: Started, Info: &info})
	if err := r.storage(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, fmt.Errorf("not ready within %s", readyTimeout))
	defer cancel()
	if err := r.awaitAPI(ctx); err != nil {
		return err
	}
	r.reporter.Report(Event{Event: APIServerReady})
	if err := installCRDs(ctx, r.rest, r.crds); err != nil {
		return err
	}
	kubelets, err := r.controllers(ctx)
	if err != nil {
		return err
	}
	if err := fakenodes.Create(ctx, r.client, r.Nodes); err != nil {
		return err
	}
	if err := kubelets.AwaitReady(ctx, r.client, r.Nodes); err != nil {
		return err
	}
	if err := r.awaitServiceAccount(ctx); err != nil {
		return err
	}
	if err := createStorageClass(ctx, r.client); err != nil {
		return err
	}
	state, err := json.Marshal(r.info)
	if err != nil {
		return fmt.Errorf("cannot encode the state: %w", err)
	}
	if err := writeFile(r.dir.in(stateFile), state); err != nil {
		return fmt.Errorf("cannot write the state: %w", err)
	}
	r.reporter.Report(Event{Event: Ready, Info: &info})
	return nil
}

// storage starts etcd, and the API server on it.
func (r *runner) storage(ctx context.Context) error {
	store, err := etcd.Start(ctx, etcd.Options{Dir: r.dir.in("etcd"), Sync: r.Sync})
	if err != nil {
		return err
	}
	r.super.start(ctx, "etcd", func(ctx context.Context) error {
		defer store.Close()
		return store.Wait(ctx)
	})
	r.reporter.Report(Event{Event: EtcdReady})
	server, err := apiserver.New(apiserver.Options{
		Etcd:          store.Endpoint(),
		Listener:      r.listener,
		PKI:           r.certs,
		FeatureGates:  r.FeatureGates,
		RuntimeConfig: r.RuntimeConfig,
		Verbosity:     r.Verbosity,
		Args:          r.APIServerArgs,
	})
	if err != nil {
		return err
	}
	// From here on the listener is the server's: if it were closed under a server
	// that has not ended, that would panic.
	r.listener = nil
	r.super.startPatient(ctx, "kube-apiserver", drainTimeout, server.Run)
	return nil
}

// awaitAPI returns when the API server says that it is ready.
func (r *runner) awaitAPI(ctx context.Context) error {
	var err error
	if r.rest, err = clientcmd.BuildConfigFromFlags("", r.info.Kubeconfig); err != nil {
		return fmt.Errorf("cannot read the kubeconfig: %w", err)
	}
	r.rest.QPS = -1 // no limit
	if r.client, err = kubernetes.NewForConfig(r.rest); err != nil {
		return fmt.Errorf("cannot build a client: %w", err)
	}
	var last error
	err = wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		_, last = r.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return last == nil, nil
	})
	if err == nil {
		return nil
	}
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrStop) {
		return cause
	}
	return fmt.Errorf("cannot reach kube-apiserver: %w (last answer: %w)", cause, last)
}

// controllers starts everything that is a client of the API server.
func (r *runner) controllers(ctx context.Context) (*fakenodes.Kubelets, error) {
	r.super.start(ctx, "kube-controller-manager", func(ctx context.Context) error {
		return controllermanager.Run(ctx, controllermanager.Options{
			Kubeconfig:    r.dir.in(pki.ControllerManager + ".kubeconfig"),
			PKI:           r.certs,
			VolumePlugins: r.dir.in("volume-plugins"),
			NodeGrace:     r.NodeGrace,
			Args:          r.ControllerManagerArgs,
		})
	})
	r.super.start(ctx, "kube-scheduler", func(ctx context.Context) error {
		return scheduler.Run(ctx, scheduler.Options{
			Kubeconfig: r.dir.in(pki.Scheduler + ".kubeconfig"),
			Args:       r.SchedulerArgs,
		})
	})
	kubelets, err := fakenodes.New(r.dir.in(pki.FakeNodes+".kubeconfig"), r.stages)
	if err != nil {
		return nil, err
	}
	started := make(chan error, 1)
	r.super.start(ctx, "fake nodes", func(ctx context.Context) error {
		err := kubelets.Start(ctx)
		started <- err
		if err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
	select {
	case err := <-started:
		return kubelets, err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// awaitServiceAccount returns when pods can be created in the namespace
// "default": admission refuses them as long as their service account is missing.
func (r *runner) awaitServiceAccount(ctx context.Context) error {
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		_, err := r.client.CoreV1().ServiceAccounts(corev1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("cannot find the default service account: %w", context.Cause(ctx))
	}
	return nil
}

func orDefault(value, def string) string {
	if value != "" {
		return value
	}
	return def
}
