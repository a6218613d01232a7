// Package fakenodes plays the kubelets: it makes nodes that have capacity but no
// machine, and lets kwok act out the life of the pods that are bound to them, as
// written down in package stages.
package fakenodes

import (
	"context"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	"sigs.k8s.io/kwok/pkg/log"
)

const (
	// identity holds the node leases. It is the same in every run: with a random
	// one a restarted cluster would manage no node until the old leases expire.
	identity = "devcluster"
	// leaseSeconds is five times a kubelet's. kwok renews each lease four times
	// in it, which is nearly all that an idle cluster writes. The controller
	// manager's grace period (5 minutes) must stay above it.
	leaseSeconds = 200
	// podCIDR is the shared address space of RFC 6598, which no user routes.
	podCIDR = "100.64.0.0/10"
	// parallelism is how many changes are written at the same time.
	parallelism = 16
	// fakeAnnotation marks the nodes that kwok manages.
	fakeAnnotation, fakeValue = "kwok.x-k8s.io/node", "fake"
)

// Kubelets are the fake kubelets of one cluster.
type Kubelets struct{ controller *controllers.Controller }

// New prepares the kubelets, which act out the stages.
func New(kubeconfig string, stages Stages) (*Kubelets, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("cannot read the kubeconfig of the fake nodes: %w", err)
	}
	// -1 takes the limit away: the API server's priority and fairness governs.
	config.QPS = -1
	config.UserAgent = "devcluster-fake-nodes"
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot build the dynamic client of the fake nodes: %w", err)
	}
	config.ContentType = runtime.ContentTypeProtobuf
	config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	typed, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cannot build the client of the fake nodes: %w", err)
	}
	c, err := controllers.NewController(controllers.Config{
		ID:                                identity,
		Clock:                             clock.RealClock{},
		TypedClient:                       ownPodsOnly{typed},
		DynamicClient:                     dyn,
		RESTClient:                        typed.Discovery().RESTClient(),
		RESTMapper:                        restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(typed.Discovery())),
		ManageNodesWithAnnotationSelector: fakeAnnotation + "=" + fakeValue,
		NodeIP:                            "127.0.0.1",
		CIDR:                              podCIDR,
		LocalStages:                       stages,
		PodPlayStageParallelism:           parallelism,
		NodePlayStageParallelism:          parallelism,
		NodeLeaseParallelism:              parallelism,
		NodeLeaseDurationSeconds:          leaseSeconds,
		// Pods that were bound before their node was taken over, after a restart.
		PodsOnNodeSyncParallelism:     1,
		EnablePodsOnNodeSyncListPager: true,
	})
	if err != nil {
		return nil, fmt.Errorf("cannot configure kwok: %w", err)
	}
	return &Kubelets{c}, nil
}

// Start begins to act and returns; ctx ends it. What fails later is logged and
// tried again.
func (k *Kubelets) Start(ctx context.Context) error {
	if err := k.controller.Start(log.NewContext(ctx, log.NewLogger(os.Stderr, log.LevelWarn))); err != nil {
		return fmt.Errorf("cannot start kwok: %w", err)
	}
	return nil
}
