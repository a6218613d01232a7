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

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/plan"
	"github.com/jobkit/jobkit/podtemplate"
)

// Controller is what is special about XGBoostJobs.
type Controller struct{}

// Kind implements controller.ControllerInterface.
func (Controller) Kind() plan.Kind {
	return plan.Kind{
		Roles:             []plan.Role{{Type: master, Required: true, Min: 1, Max: 1}, {Type: worker}},
		ReplicaSpecsField: "xgbReplicaSpecs",
		ContainerName:     kubeflowv1.XGBoostJobDefaultContainerName,
		PortName:          kubeflowv1.XGBoostJobDefaultPortName,
		PortNumber:        kubeflowv1.XGBoostJobDefaultPort,
		RestartPolicy:     kubeflowv1.XGBoostJobDefaultRestartPolicy,
		ServiceMode:       commonv1.ServiceModePerReplica,
	}
}

// Parts implements controller.ControllerInterface.
func (Controller) Parts(job *kubeflowv1.XGBoostJob) controller.Parts {
	return controller.Parts{RunPolicy: &job.Spec.RunPolicy, Replicas: job.Spec.XGBReplicaSpecs, Status: &job.Status}
}

// Rules implements controller.ControllerInterface.
func (Controller) Rules(job *kubeflowv1.XGBoostJob) plan.Rules {
	masters := []plan.Replicas{plan.All(master)}
	return plan.Rules{
		Success: []plan.SuccessRule{plan.AllOf(masters...)},
		Running: masters,
		Master:  masters,
		Wording: plan.WordingByName(kubeflowv1.XGBoostJobKind, job.Name),
	}
}

// SetClusterSpec implements controller.ControllerInterface.
func (Controller) SetClusterSpec(job *kubeflowv1.XGBoostJob, r controller.Replica, template *corev1.PodTemplateSpec) error {
	environment(job, r.Type, r.Index).ApplyToAll(template)
	return nil
}

// Validate implements controller.Validator.
func (Controller) Validate(job *kubeflowv1.XGBoostJob) field.ErrorList {
	return kubeflowv1.ValidateXGBoostJob(job)
}

// Warn implements controller.Warner.
func (Controller) Warn(job *kubeflowv1.XGBoostJob) []plan.Event {
	return podtemplate.EnvWarning(job.Spec.XGBReplicaSpecs, "", func(t commonv1.ReplicaType) podtemplate.Env {
		return environment(job, t, 0)
	})
}
