//go:build integration

// Package kinds runs the operators of the six kinds of kubeflow.org/v1 on a real
// control plane, and checks what the clients of training-operator v1 rely on.
//
// The tests are a table of kinds (kinds_test.go) times a table of scenarios
// (scenarios_test.go). Each job has a namespace of its own, and they all run at the
// same time: almost all they do is wait.
package kinds

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/internal/devenv"
	"github.com/jobkit/jobkit/operators"
)

// cluster is what all tests share.
var cluster struct {
	// client writes to the API server and reads from it; config is what else may be made of it.
	client client.Client
	config *rest.Config
	// cache holds pods, services and jobs. Reading it often costs the API server
	// nothing.
	cache cache.Cache
	// histories are those of all jobs.
	histories histories
	// departures are the pods that the operators have seen go.
	departures departures
}

func TestMain(m *testing.M) {
	// By default as many tests of a package run at the same time as the machine has
	// processors. Ours mostly wait, so more can.
	if err := flag.Set("test.parallel", "24"); err != nil {
		panic(err)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kinds:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	env, err := devenv.Start(ctx, devenv.Options{CRDs: []string{"../../config/crd"}})
	if err != nil {
		return 1, err
	}
	defer func() { _ = env.Stop() }()
	config, err := env.RESTConfig()
	if err != nil {
		return 1, err
	}
	config.QPS = -1 // The API server limits its clients itself.
	cluster.config = config
	log, err := os.CreateTemp("", "jobkit-kinds-operator-*.log")
	if err != nil {
		return 1, err
	}
	defer func() {
		_ = log.Close()
		if code == 0 {
			_ = os.Remove(log.Name())
		} else {
			fmt.Fprintln(os.Stderr, "kinds: the operators' log is in", log.Name())
		}
	}()
	klog.LogToStderr(false)
	klog.SetOutput(log)
	ctrl.SetLogger(klog.Background())

	ended := make(chan error, 2)
	if err := startOperators(ctx, config, ended); err != nil {
		return 1, err
	}
	if err := startCache(ctx, config, ended); err != nil {
		return 1, err
	}
	code = m.Run()
	cancel()
	return code, errors.Join(<-ended, <-ended)
}

// startOperators runs the operators of all kinds.
func startOperators(ctx context.Context, config *rest.Config, ended chan<- error) error {
	var owned []jobkit.Object
	for _, k := range operators.Kinds() {
		owned = append(owned, k.ObjectKinds...)
		if err := k.AddToScheme(scheme.Scheme); err != nil {
			return err
		}
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{Cache: controller.CacheOptions(owned...), Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		return err
	}
	for _, k := range operators.Kinds() {
		if err := k.SetupWithManager(mgr, operators.Options{}); err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	pods, err := mgr.GetCache().GetInformer(ctx, &corev1.Pod{})
	if err != nil {
		return err
	}
	if _, err := pods.AddEventHandler(toolscache.ResourceEventHandlerFuncs{DeleteFunc: cluster.departures.note}); err != nil {
		return err
	}
	go func() { ended <- mgr.Start(ctx) }()
	return nil
}

// startCache starts what the tests see the cluster with.
func startCache(ctx context.Context, config *rest.Config, ended chan<- error) error {
	var err error
	if cluster.client, err = client.New(config, client.Options{}); err != nil {
		return err
	}
	if cluster.cache, err = cache.New(config, cache.Options{}); err != nil {
		return err
	}
	for _, o := range []client.Object{&corev1.Pod{}, &corev1.Service{}} {
		if _, err := cluster.cache.GetInformer(ctx, o); err != nil {
			return err
		}
	}
	for _, k := range kinds() {
		informer, err := cluster.cache.GetInformer(ctx, k.object())
		if err != nil {
			return err
		}
		if _, err := informer.AddEventHandler(&cluster.histories); err != nil {
			return err
		}
	}
	go func() { ended <- cluster.cache.Start(ctx) }()
	if !cluster.cache.WaitForCacheSync(ctx) {
		return errors.New("the cache did not start")
	}
	return nil
}
