// Command jobset is JobSet v0.12.0, made of its Go module: its controllers without its webhooks,
// which need certificates that the dev control plane does not have, and without leader
// election. The bench writes what the webhooks would have filled in.
package main

import (
	"flag"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	jobsetv1alpha2 "sigs.k8s.io/jobset/api/jobset/v1alpha2"
	"sigs.k8s.io/jobset/pkg/controllers"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "jobset:", err)
		os.Exit(1)
	}
}

func run() error {
	metrics := flag.String("metrics-bind-address", ":8080", "address of the metrics")
	qps := flag.Float64("kube-api-qps", 500, "requests a second")
	burst := flag.Int("kube-api-burst", 500, "requests that may come at once")
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseDevMode(true)))

	client, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("cannot find the API server: %w", err)
	}
	client.QPS, client.Burst = float32(*qps), *burst
	types := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, jobsetv1alpha2.AddToScheme} {
		if err := add(types); err != nil {
			return fmt.Errorf("cannot register types: %w", err)
		}
	}
	manager, err := ctrl.NewManager(client, ctrl.Options{
		Scheme: types, Metrics: server.Options{BindAddress: *metrics}, HealthProbeBindAddress: "0",
	})
	if err != nil {
		return fmt.Errorf("cannot make the manager: %w", err)
	}
	ctx := ctrl.SetupSignalHandler()
	if err := controllers.SetupJobSetIndexes(ctx, manager.GetFieldIndexer()); err != nil {
		return fmt.Errorf("cannot index JobSets: %w", err)
	}
	if err := controllers.SetupPodIndexes(ctx, manager.GetFieldIndexer()); err != nil {
		return fmt.Errorf("cannot index pods: %w", err)
	}
	jobSets := controllers.NewJobSetReconciler(manager.GetClient(), manager.GetScheme(), manager.GetEventRecorder("jobset"))
	if err := jobSets.SetupWithManager(manager); err != nil {
		return fmt.Errorf("cannot set up JobSet: %w", err)
	}
	pods := controllers.NewPodReconciler(manager.GetClient(), manager.GetScheme(), manager.GetEventRecorder("pod"))
	if err := pods.SetupWithManager(manager); err != nil {
		return fmt.Errorf("cannot set up the controller of pods: %w", err)
	}
	if err := manager.Start(ctx); err != nil {
		return fmt.Errorf("the manager ended: %w", err)
	}
	return nil
}
