// Package ported is the controller of package old after its port. Jobs keep their pods, services
// and messages.
package ported

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	bagv1 "github.com/jobkit/jobkit/examples/legacy/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

// Controller is the kind.
type Controller struct{}

// What it implements. A method with a wrong signature does not compile.
var _ jobkit.ControllerInterface[*bagv1.BagJob] = Controller{}

// Kind was nine methods, and the defaulting of the types.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles:             []jobkit.Role{{Type: bagv1.Master, Required: true, Min: 1, Max: 1}, {Type: bagv1.Worker}},
		ReplicaSpecsField: "bagReplicaSpecs",
		ContainerName:     bagv1.ContainerName,
		PortName:          bagv1.PortName,
		PortNumber:        bagv1.Port,
		ServiceMode:       commonv1.ServiceModePerReplica,
	}
}

// Parts are what the old loop passed to ReconcileJobs.
func (Controller) Parts(job *bagv1.BagJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.BagReplicaSpecs, Status: &job.Status}
}

// Rules were IsMasterRole and UpdateJobStatus.
func (Controller) Rules(job *bagv1.BagJob) jobkit.Rules {
	master := []jobkit.ReplicaSelector{jobkit.All(bagv1.Master)}
	return jobkit.Rules{
		Success: []jobkit.SuccessRule{jobkit.AllOf(master...)}, Running: master, Master: master,
		Messages: jobkit.Messages{Succeeded: "BagJob " + job.Name + " is empty."},
	}
}

// SetClusterSpec has a typed job, and knows host names and ports.
func (Controller) SetClusterSpec(_ *bagv1.BagJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	podtemplate.Env{
		podtemplate.Fixed("BAG_MASTER", fmt.Sprintf("%s:%d", r.Host(bagv1.Master, 0), r.Port(bagv1.Master))),
		podtemplate.Fixed("BAG_SELF", fmt.Sprintf("%s-%d", strings.ToLower(string(r.Type())), r.Index())),
	}.ApplyToAll(template)
	return nil
}
