package controller

import (
	"cmp"
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

// SetupWithConfig is [JobController.SetupWithManager] with what a program sets for each of its
// controllers, usually from its flags. What is empty there stays as it is in Config.
func (c *JobController[J]) SetupWithConfig(mgr ctrl.Manager, config Config) error {
	own := *c
	own.Config = own.Config.with(config)
	if err := own.SetupWithManager(mgr); err != nil {
		return err
	}
	c.set = own.set
	return nil
}

// with is the configuration with the fields of another one that are set.
func (c Config) with(other Config) Config {
	c.MaxConcurrentReconciles = cmp.Or(other.MaxConcurrentReconciles, c.MaxConcurrentReconciles)
	c.MaxParallelWrites = cmp.Or(other.MaxParallelWrites, c.MaxParallelWrites)
	c.ResyncPeriod = cmp.Or(other.ResyncPeriod, c.ResyncPeriod)
	c.Readiness = cmp.Or(other.Readiness, c.Readiness)
	if other.GangScheduler != nil {
		c.GangScheduler = other.GangScheduler
	}
	if len(other.Namespaces) > 0 {
		c.Namespaces = other.Namespaces
	}
	if other.AroundPass != nil {
		c.AroundPass = other.AroundPass
	}
	return c
}
