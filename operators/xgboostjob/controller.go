// Package xgboostjob runs XGBoostJobs.
//
// All containers of a replica (its init containers excepted) get what the trackers of
// XGBoost and LightGBM need:
//
//	MASTER_PORT, MASTER_ADDR   the port "xgboostjob-port" and the host name of the Master
//	WORLD_SIZE                 how many replicas there are
//	RANK                       0 for the Master, index + 1 for a Worker
//	PYTHONUNBUFFERED           1, unless the template sets it
//	WORKER_PORT, WORKER_ADDRS  where there are Workers: their port, and their host
//	                           names with commas between them (for LightGBM)
//
// A job runs while its Master does, and succeeds when its Master has.
package xgboostjob

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators/internal/messages"
	"github.com/jobkit/jobkit/podtemplate"
)

// Controller is what is special about XGBoostJobs.
type Controller struct{}

// What the kind implements.
var (
	_ jobkit.ControllerInterface[*kubeflowv1.XGBoostJob] = Controller{}
	_ jobkit.Validator[*kubeflowv1.XGBoostJob]           = Controller{}
	_ jobkit.Warner[*kubeflowv1.XGBoostJob]              = Controller{}
)

// Kind implements jobkit.ControllerInterface.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles:             []jobkit.Role{{Type: master, Required: true, Min: 1, Max: 1}, {Type: worker}},
		ReplicaSpecsField: "xgbReplicaSpecs",
		ContainerName:     kubeflowv1.XGBoostJobDefaultContainerName,
		PortName:          kubeflowv1.XGBoostJobDefaultPortName,
		PortNumber:        kubeflowv1.XGBoostJobDefaultPort,
		RestartPolicy:     kubeflowv1.XGBoostJobDefaultRestartPolicy,
		ServiceMode:       commonv1.ServiceModePerReplica,
		VolumeClaims:      true,
	}
}

// Parts implements jobkit.ControllerInterface.
func (Controller) Parts(job *kubeflowv1.XGBoostJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.XGBReplicaSpecs, Status: &job.Status}
}

// Rules implements jobkit.ControllerInterface.
func (Controller) Rules(job *kubeflowv1.XGBoostJob) jobkit.Rules {
	masters := []jobkit.ReplicaSelector{jobkit.All(master)}
	return jobkit.Rules{
		Success:  []jobkit.SuccessRule{jobkit.AllOf(masters...)},
		Running:  masters,
		Master:   masters,
		Messages: messages.Unqualified(kubeflowv1.XGBoostJobKind, job.Name),
	}
}

// SetClusterSpec implements jobkit.ControllerInterface.
func (Controller) SetClusterSpec(job *kubeflowv1.XGBoostJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	environment(job, r).ApplyToAll(template)
	return nil
}

// Validate implements jobkit.Validator.
func (Controller) Validate(job *kubeflowv1.XGBoostJob) field.ErrorList {
	return kubeflowv1.ValidateXGBoostJob(job)
}

// Warn implements jobkit.Warner.
func (c Controller) Warn(job *kubeflowv1.XGBoostJob) []jobkit.Warning {
	return podtemplate.EnvWarning(c, job, "", environment)
}
