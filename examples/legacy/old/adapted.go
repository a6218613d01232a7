package old

import (
	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/examples/legacy"
	bagv1 "github.com/jobkit/jobkit/examples/legacy/v1"
)

// What is adapted, and what the adapter implements.
var (
	_ legacy.ControllerInterface                = &Controller{}
	_ jobkit.ControllerInterface[*bagv1.BagJob] = legacy.Adapter[*bagv1.BagJob]{}
	_ jobkit.StatusEvaluator[*bagv1.BagJob]     = legacy.Adapter[*bagv1.BagJob]{}
)

// Adapted is the old controller, and what it never had to say.
func Adapted() jobkit.ControllerInterface[*bagv1.BagJob] {
	return legacy.Adapter[*bagv1.BagJob]{
		Old: &Controller{},
		Own: jobkit.Kind{
			Roles:             []jobkit.Role{{Type: bagv1.Master, Required: true, Min: 1, Max: 1}, {Type: bagv1.Worker}},
			ReplicaSpecsField: "bagReplicaSpecs",
			PortNumber:        bagv1.Port,
		},
		Locate: func(job *bagv1.BagJob) jobkit.JobParts {
			return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.BagReplicaSpecs, Status: &job.Status}
		},
	}
}
