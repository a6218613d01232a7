// Package simjob is the operator of SimJob: what is special about the kind. Package controller
// of jobkit does the rest.
package simjob

import (
	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/controller"
	simv1 "github.com/jobkit/jobkit/examples/simjob/api/v1"
)

// Controller says what is special about a SimJob. More can be said by the optional interfaces of
// package jobkit, such as Defaulter and Validator for fields of your own.
type Controller struct{}

var _ jobkit.ControllerInterface[*simv1.SimJob] = Controller{}

// NewController returns the controller of the kind, for a manager or for package operator.
func NewController() *controller.JobController[*simv1.SimJob] {
	return &controller.JobController[*simv1.SimJob]{Controller: Controller{}}
}

// Kind says what is true of every SimJob. The rules of the CRD are generated from it too: run
// "make generate" after a change.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles: []jobkit.Role{
			{Type: simv1.Coordinator, Required: true, Min: 1, Max: 1},
			{Type: simv1.Solver},
		},
		ContainerName: simv1.ContainerName,
		PortName:      simv1.PortName,
		PortNumber:    simv1.PortNumber,
	}
}

// Parts points at what the library reads and writes.
func (Controller) Parts(job *simv1.SimJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.ReplicaSpecs, Status: &job.Status}
}

// Rules says that the Coordinator decides: the job runs when it runs, and succeeds when it does.
func (Controller) Rules(*simv1.SimJob) jobkit.Rules {
	leader := jobkit.All(simv1.Coordinator)
	return jobkit.Rules{
		Success: []jobkit.SuccessRule{jobkit.AllOf(leader)},
		Running: []jobkit.ReplicaSelector{leader},
		Master:  []jobkit.ReplicaSelector{leader},
	}
}
