// Package jaxjob runs JAXJobs.
//
// All containers of a Worker (its init containers excepted) get what
// jax.distributed.initialize needs:
//
//	PYTHONUNBUFFERED     1, unless the template sets it
//	COORDINATOR_PORT     the port "jaxjob-port" of Worker
//	COORDINATOR_ADDRESS  the host name of Worker 0
//	NUM_PROCESSES        how many Workers there are
//	PROCESS_ID           the index of the Worker
//
// A job runs while a Worker does, and succeeds when all Workers have.
package jaxjob

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators/internal/messages"
	"github.com/jobkit/jobkit/podtemplate"
)

// Controller is what is special about JAXJobs.
type Controller struct{}

// What the kind implements.
var (
	_ jobkit.ControllerInterface[*kubeflowv1.JAXJob] = Controller{}
	_ jobkit.Validator[*kubeflowv1.JAXJob]           = Controller{}
	_ jobkit.Warner[*kubeflowv1.JAXJob]              = Controller{}
)

// Kind implements jobkit.ControllerInterface.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles:             []jobkit.Role{{Type: worker}},
		ReplicaSpecsField: "jaxReplicaSpecs",
		ContainerName:     kubeflowv1.JAXJobDefaultContainerName,
		PortName:          kubeflowv1.JAXJobDefaultPortName,
		PortNumber:        kubeflowv1.JAXJobDefaultPort,
		RestartPolicy:     kubeflowv1.JAXJobDefaultRestartPolicy,
		ServiceMode:       commonv1.ServiceModePerReplica,
		VolumeClaims:      true,
	}
}

// Parts implements jobkit.ControllerInterface.
func (Controller) Parts(job *kubeflowv1.JAXJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.JAXReplicaSpecs, Status: &job.Status}
}

// Rules implements jobkit.ControllerInterface.
func (Controller) Rules(job *kubeflowv1.JAXJob) jobkit.Rules {
	return jobkit.Rules{
		Master:   []jobkit.ReplicaSelector{jobkit.Index(worker, 0)},
		Messages: jobkit.Messages{Failed: messages.Unqualified(kubeflowv1.JAXJobKind, job.Name).Failed},
	}
}

// SetClusterSpec implements jobkit.ControllerInterface.
func (Controller) SetClusterSpec(job *kubeflowv1.JAXJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	environment(job, r).ApplyToAll(template)
	return nil
}

// Validate implements jobkit.Validator.
func (Controller) Validate(job *kubeflowv1.JAXJob) field.ErrorList {
	return kubeflowv1.ValidateJAXJob(job)
}

// Warn implements jobkit.Warner.
func (c Controller) Warn(job *kubeflowv1.JAXJob) []jobkit.Warning {
	return podtemplate.EnvWarning(c, job, "", environment)
}
