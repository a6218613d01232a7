// Command operator runs HeadWorkersJobs on the cluster of the current kubeconfig.
package main

import (
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/headworkers"
)

func main() {
	ctrl.SetLogger(klog.Background())
	mgr, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{Cache: controller.CacheOptions()})
	if err == nil {
		err = headworkers.SetupWithManager(mgr)
	}
	if err == nil {
		err = mgr.Start(ctrl.SetupSignalHandler())
	}
	if err != nil {
		klog.Exit("The operator ended: ", err)
	}
}
