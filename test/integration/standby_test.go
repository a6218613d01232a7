//go:build integration

package integration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// filled is a cache that knows what it was asked to hold before it starts, which is
// what a manager fills while it waits for the lease.
type filled struct {
	cache.Cache

	kinds map[string]bool
}

func (f *filled) GetInformer(ctx context.Context, o client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	f.kinds[fmt.Sprintf("%T", o)] = true
	return f.Cache.GetInformer(ctx, o, opts...)
}

func (f *filled) IndexField(ctx context.Context, o client.Object, field string, by client.IndexerFunc) error {
	f.kinds[fmt.Sprintf("%T", o)] = true
	return f.Cache.IndexField(ctx, o, field, by)
}

// TestStandby: an operator that waits for another one to go already holds what it
// needs then.
func TestStandby(t *testing.T) {
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, testv1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	f := &filled{kinds: map[string]bool{}}
	mgr, err := ctrl.NewManager(cluster.config, ctrl.Options{
		Scheme: known, Metrics: server.Options{BindAddress: "0"},
		NewCache: func(config *rest.Config, o cache.Options) (cache.Cache, error) {
			var err error
			f.Cache, err = cache.New(config, o)
			return f, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := (&controller.JobController[*testv1.TestJob]{Controller: testjob.Controller{}}).SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"*v1.Pod", "*v1.Service", "*v1.TestJob"}, slices.Sorted(maps.Keys(f.kinds))); diff != "" {
		t.Errorf("what is in the cache before the controller starts (-want +got):\n%s", diff)
	}
}
