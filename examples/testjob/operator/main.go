// Command operator runs TestJobs on the cluster of the current kubeconfig.
package main

import (
	"os"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

func main() {
	ctrl.SetLogger(klog.Background())
	utilruntime.Must(testv1.AddToScheme(scheme.Scheme))
	mgr, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{Cache: controller.CacheOptions()})
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
