// Command trainingoperator is training-operator v1.9.4, made of its Go module: its controllers
// without its webhooks, which need certificates that the dev control plane does not have, and
// without leader election or gangs. The flags are its own. This operator has no webhooks either, so
// what is measured is the same on both sides.
package main

import (
	"flag"
	"fmt"
	"os"

	trainingv1 "github.com/kubeflow/training-operator/pkg/apis/kubeflow.org/v1"
	"github.com/kubeflow/training-operator/pkg/config"
	controllerv1 "github.com/kubeflow/training-operator/pkg/controller.v1"
	"github.com/kubeflow/training-operator/pkg/controller.v1/common"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/flowcontrol"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "training-operator:", err)
		os.Exit(1)
	}
}

func run() error {
	metrics := flag.String("metrics-bind-address", ":8080", "address of the metrics")
	threads := flag.Int("controller-threads", 1, "jobs of a kind that are reconciled at a time")
	qps := flag.Int("kube-api-qps", 20, "requests a second")
	burst := flag.Int("kube-api-burst", 30, "requests that may come at once")
	flag.Parse()
	ctrl.SetLogger(zap.New(zap.UseDevMode(true)))

	// An init container waits for the master; its template is a file of the image, and the default is compiled in.
	config.Config.PyTorchInitContainerImage = config.PyTorchInitContainerImageDefault
	config.Config.PyTorchInitContainerTemplateFile = config.PyTorchInitContainerTemplateFileDefault
	config.Config.PyTorchInitContainerMaxTries = config.PyTorchInitContainerMaxTriesDefault
	config.Config.MPIKubectlDeliveryImage = config.MPIKubectlDeliveryImageDefault

	client, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("cannot find the API server: %w", err)
	}
	client.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(float32(*qps), *burst)
	types := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, trainingv1.AddToScheme} {
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
	for kind, setup := range controllerv1.SupportedSchemeReconciler {
		if err := setup(manager, common.GenNonGangSchedulerSetupFunc(), *threads); err != nil {
			return fmt.Errorf("cannot set up %s: %w", kind, err)
		}
	}
	if err := manager.Start(ctrl.SetupSignalHandler()); err != nil {
		return fmt.Errorf("the manager ended: %w", err)
	}
	return nil
}
