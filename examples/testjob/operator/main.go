// Command operator runs TestJobs on the cluster of the current kubeconfig.
package main

import (
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
)

func main() {
	ctrl.SetLogger(klog.Background())
	options := ctrl.Options{Cache: controller.CacheOptions(), Metrics: server.Options{BindAddress: "0"}}
	mgr, err := ctrl.NewManager(ctrl.GetConfigOrDie(), options)
	if err == nil {
		err = testjob.SetupWithManager(mgr)
	}
	if err == nil {
		err = mgr.Start(ctrl.SetupSignalHandler())
	}
	if err != nil {
		klog.Exit("The operator ended: ", err)
	}
}
