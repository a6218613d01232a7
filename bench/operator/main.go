// Command operator is the TestJob operator of examples/testjob with what a
// measurement needs: metrics, profiles, and a choice of cache.
package main

import (
	"flag"
	"os"

	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
)

func main() {
	metrics := flag.String("metrics-bind-address", "0", "`address` of /metrics; 0 for none")
	pprof := flag.String("pprof-bind-address", "", "`address` of /debug/pprof; empty for none")
	untrimmed := flag.Bool("untrimmed-cache", false, "hold whole objects in the cache, those of others too")
	flag.Parse()
	ctrl.SetLogger(klog.Background())
	options := ctrl.Options{
		Cache:            controller.CacheOptions(),
		Metrics:          server.Options{BindAddress: *metrics},
		PprofBindAddress: *pprof,
	}
	if *untrimmed {
		options.Cache.DefaultTransform, options.Cache.ByObject = nil, nil
	}
	mgr, err := ctrl.NewManager(ctrl.GetConfigOrDie(), options)
	if err == nil {
		err = testjob.SetupWithManager(mgr)
	}
	if err == nil {
		err = mgr.Start(ctrl.SetupSignalHandler())
	}
	if err != nil {
		klog.ErrorS(err, "The operator ended")
		os.Exit(1)
	}
}
