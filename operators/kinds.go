// Package operators lists the job kinds of kubeflow.org/v1. Each is in a folder of its
// own, which imports none of the others.
package operators

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/operators/jaxjob"
	"github.com/jobkit/jobkit/operators/mpijob"
	"github.com/jobkit/jobkit/operators/paddlejob"
	"github.com/jobkit/jobkit/operators/pytorchjob"
	"github.com/jobkit/jobkit/operators/tfjob"
	"github.com/jobkit/jobkit/operators/xgboostjob"
	"github.com/jobkit/jobkit/podtemplate"
	"github.com/jobkit/jobkit/progress"
)

// Options are the options of all kinds. The zero value is ready for use.
type Options struct {
	// Config configures the controller of each kind; MaxConcurrentReconciles is its
	// number of workers. Each kind has a Readiness of its own.
	Config controller.Config
	// Progress is the server that receives reports of progress. Default: none.
	Progress *progress.Server
	// ClusterDomain ends the addresses in TF_CONFIG. Default: none.
	ClusterDomain string
	// PyTorchInitContainer is what holds the Workers of a PyTorchJob back until the
	// name of its Master resolves. Default: that of package pytorchjob.
	PyTorchInitContainer podtemplate.HostWait
	// MPIKubectlDeliveryImage is the image of the init container that brings kubectl
	// to the launchers of MPIJobs. Default: see mpijob.Controller.
	MPIKubectlDeliveryImage string
}

// Kind is one job kind.
type Kind struct {
	// Name is its name in lower case, for example "pytorchjob".
	Name string
	// Framework is its name in metrics.
	Framework string
	// Job is an empty job of the kind.
	Job jobkit.Object
	// AddToScheme makes its types known.
	AddToScheme func(*runtime.Scheme) error
	// SetupWithManager adds its controller to a manager.
	SetupWithManager func(ctrl.Manager, Options) error
	// ObjectKinds are the kinds of objects that its jobs have beside pods and
	// services, for controller.CacheOptions.
	ObjectKinds []jobkit.Object
}

// Kinds lists all kinds, in the order of their names.
func Kinds() []Kind {
	v1 := kubeflowv1.AddToScheme
	return []Kind{
		kind("jaxjob", v1, jaxjob.Controller{}, always(jaxjob.Controller{})),
		kind("mpijob", v1, mpijob.Controller{}, func(o Options) (mpijob.Controller, error) {
			return mpijob.Controller{KubectlDeliveryImage: o.MPIKubectlDeliveryImage}, nil
		}),
		kind("paddlejob", v1, paddlejob.Controller{}, always(paddlejob.Controller{})),
		kind("pytorchjob", v1, pytorchjob.Controller{}, pytorch),
		kind("tfjob", v1, tfjob.Controller{}, func(o Options) (tfjob.Controller, error) {
			return tfjob.Controller{ClusterDomain: o.ClusterDomain}, nil
		}),
		kind("xgboostjob", v1, xgboostjob.Controller{}, always(xgboostjob.Controller{})),
	}
}

// pytorch makes the controller of PyTorchJobs.
func pytorch(o Options) (pytorchjob.Controller, error) {
	c := pytorchjob.Controller{InitContainer: o.PyTorchInitContainer}
	if _, err := c.InitContainer.Containers("host"); err != nil {
		return c, fmt.Errorf("the template of the init container of PyTorchJobs: %w", err)
	}
	return c, nil
}

// always makes the controller of a kind that has no options.
func always[C any](c C) func(Options) (C, error) {
	return func(Options) (C, error) { return c, nil }
}

// kind lists a kind. configured makes its controller.
func kind[J jobkit.Object, C jobkit.ControllerInterface[J]](
	name string, addToScheme func(*runtime.Scheme) error, c C, configured func(Options) (C, error),
) Kind {
	k := Kind{Name: name, AddToScheme: addToScheme}
	about := c.Kind()
	about.Name = reflect.TypeFor[J]().Elem().Name()
	about.SetDefaults()
	k.Framework = about.Framework
	k.Job, _ = reflect.TypeAssert[J](reflect.New(reflect.TypeFor[J]().Elem()))
	if keeper, ok := any(c).(jobkit.OwnedObjects[J]); ok {
		k.ObjectKinds = keeper.ObjectKinds()
	}
	k.SetupWithManager = func(mgr ctrl.Manager, o Options) error {
		c, err := configured(o)
		if err != nil {
			return err
		}
		jobs := &controller.JobController[J]{Controller: c, Config: o.Config, Progress: o.Progress}
		return jobs.SetupWithManager(mgr)
	}
	return k
}
