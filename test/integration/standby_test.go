//go:build integration

package integration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// filled is a cache that knows what it was asked to hold.
type filled struct {
	cache.Cache

	mu    sync.Mutex
	kinds map[string]bool
}

func (f *filled) GetInformer(ctx context.Context, o client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	f.mu.Lock()
	f.kinds[fmt.Sprintf("%T", o)] = true
	f.mu.Unlock()
	return f.Cache.GetInformer(ctx, o, opts...)
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
	const lease = "standby-test"
	now := metav1.NowMicro()
	held := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: lease}, Spec: coordinationv1.LeaseSpec{
		HolderIdentity: new("another"), LeaseDurationSeconds: new(int32(3600)), AcquireTime: &now, RenewTime: &now,
	}}
	if err := cluster.client.Create(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(cluster.config, ctrl.Options{
		Scheme: known, Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		LeaderElection: true, LeaderElectionNamespace: "default", LeaderElectionID: lease,
		Controller: config.Controller{SkipNameValidation: new(true)},
		NewCache: func(config *rest.Config, o cache.Options) (cache.Cache, error) {
			var err error
			f.Cache, err = cache.New(config, o)
			return f, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	jobs := &controller.JobController[*testv1.TestJob]{Controller: testjob.Controller{}, Metrics: prometheus.NewRegistry()}
	if err := jobs.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	eventually(t, "the standby holds its jobs and their children", func(context.Context) string {
		if err := jobs.Ready(nil); err != nil {
			return err.Error()
		}
		return ""
	})
	select {
	case <-mgr.Elected():
		t.Error("the lease is another one's")
	default:
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	// The jobs have a cache of their own.
	if diff := cmp.Diff([]string{"*v1.Pod", "*v1.Service"}, slices.Sorted(maps.Keys(f.kinds))); diff != "" {
		t.Errorf("what is in the cache before the controller starts (-want +got):\n%s", diff)
	}
}
