package controller

import (
	"errors"
	"reflect"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/gang"
)

// About is what a program has to know of a controller before there is a manager.
type About struct {
	// Job is an empty job of the kind.
	Job client.Object
	// Framework is the kind's name in metrics.
	Framework string
	// ObjectKinds are the kinds of the owned objects, for [CacheOptions].
	ObjectKinds []jobkit.Object
	// GangScheduler is that of the controller's Config, or nil.
	GangScheduler gang.Scheduler
}

// SetupOptions are what a program sets for each of its controllers, usually from its flags. What
// is empty leaves the controller as it is.
type SetupOptions struct {
	// Namespaces are those whose jobs are run.
	Namespaces []string
	// MaxConcurrentReconciles is how many jobs are reconciled at the same time.
	MaxConcurrentReconciles int
	// GangScheduler has the pods of a job scheduled together or not at all.
	GangScheduler gang.Scheduler
	// Readiness reports whether the controller sees all that it needs.
	Readiness *Readiness
	// AroundPass is that of Config.
	AroundPass AroundPass
}

// About describes the controller. It needs no cluster and no scheme. An error means that
// Controller is not set, or that J is not a pointer to a struct.
func (c *JobController[J]) About() (About, error) {
	if c.Controller == nil {
		return About{}, errors.New("JobController.Controller is not set: give it a type that implements ControllerInterface")
	}
	job, err := newJob[J]()
	if err != nil {
		return About{}, err
	}
	kind := c.Controller.Kind()
	if kind.Name == "" {
		kind.Name = reflect.TypeFor[J]().Elem().Name()
	}
	kind.SetDefaults()
	a := About{Job: job, Framework: kind.Framework, GangScheduler: c.Config.GangScheduler}
	if owner, ok := c.Controller.(jobkit.OwnedObjects[J]); ok {
		a.ObjectKinds = owner.ObjectKinds()
	}
	return a, nil
}

// SetupWithOptions is [JobController.SetupWithManager] with what the program sets.
func (c *JobController[J]) SetupWithOptions(mgr ctrl.Manager, o SetupOptions) error {
	own := *c
	if len(o.Namespaces) > 0 {
		own.Namespaces = o.Namespaces
	}
	if o.MaxConcurrentReconciles > 0 {
		own.Config.MaxConcurrentReconciles = o.MaxConcurrentReconciles
	}
	if o.GangScheduler != nil {
		own.Config.GangScheduler = o.GangScheduler
	}
	if o.AroundPass != nil {
		own.Config.AroundPass = o.AroundPass
	}
	if o.Readiness != nil {
		own.Readiness = o.Readiness
	}
	if err := own.SetupWithManager(mgr); err != nil {
		return err
	}
	c.set = own.set
	return nil
}
