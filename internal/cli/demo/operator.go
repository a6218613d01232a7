package demo

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/operators"
)

// kinds are the kinds whose operators run in the demo.
func kinds() []operators.Kind {
	return append(operators.Kinds(), operators.Kind{
		Name: "testjob", AddToScheme: testv1.AddToScheme,
		SetupWithManager: func(manager ctrl.Manager, _ operators.Options) error { return testjob.SetupWithManager(manager) },
	})
}

// runOperators runs the operators of all kinds, for one namespace, until ctx ends.
// It returns nil then, and otherwise what stopped them.
func runOperators(ctx context.Context, config *rest.Config, namespace string, log logr.Logger) error {
	scheme := runtime.NewScheme()
	err := clientgoscheme.AddToScheme(scheme)
	if err != nil {
		return fmt.Errorf("cannot make the scheme: %w", err)
	}
	var objectKinds []jobkit.Object
	for _, k := range kinds() {
		err := k.AddToScheme(scheme)
		if err != nil {
			return fmt.Errorf("cannot make the scheme for %s: %w", k.Name, err)
		}
		objectKinds = append(objectKinds, k.ObjectKinds...)
	}
	caches := controller.CacheOptions(objectKinds...)
	caches.DefaultNamespaces = map[string]cache.Config{namespace: {}}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme,
		Cache:  caches,
		Logger: log,
		// No one reads metrics here, and a port could be taken.
		Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		return fmt.Errorf("cannot make the operators' manager: %w", err)
	}
	for _, k := range kinds() {
		err := k.SetupWithManager(manager, operators.Options{})
		if err != nil {
			return fmt.Errorf("cannot set up the operator of %s: %w", k.Name, err)
		}
	}
	err = manager.Start(ctx)
	if ctx.Err() == nil {
		return fmt.Errorf("the operators stopped: %w", errors.Join(err))
	}
	return nil
}
