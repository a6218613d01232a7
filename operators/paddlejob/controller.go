// Package paddlejob runs PaddleJobs.
//
// All containers of a replica (its init containers excepted) get what
// paddle.distributed.launch needs:
//
//	PYTHONUNBUFFERED    1, unless the template sets it
//	PADDLE_JOB_ID       the name of the job
//	PADDLE_NNODES       how many replicas there are
//	POD_IP_DUMMY        in the leader only: the address of its pod
//	PADDLE_MASTER       <host>:<port> of the leader; in the leader itself its address
//	PADDLE_SERVER_NUM   1 in a Master, unless the template sets it
//	PADDLE_TRAINER_NUM  1 in a Worker of a job with Masters, unless the template sets it
//
// The leader is Master 0 or, in a job without Masters, Worker 0; its port is that
// named "master". A job with Masters runs while one of them does and succeeds when
// they all have. Without them the Workers decide in the same way.
//
// With elasticPolicy.metrics the job has a HorizontalPodAutoscaler (see package
// autoscale).
package paddlejob

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators/internal/autoscale"
	"github.com/jobkit/jobkit/operators/internal/messages"
	"github.com/jobkit/jobkit/podtemplate"
)

// Controller is what is special about PaddleJobs.
type Controller struct{}

// What the kind implements.
var (
	_ jobkit.ControllerInterface[*kubeflowv1.PaddleJob] = Controller{}
	_ jobkit.Defaulter[*kubeflowv1.PaddleJob]           = Controller{}
	_ jobkit.Validator[*kubeflowv1.PaddleJob]           = Controller{}
	_ jobkit.Warner[*kubeflowv1.PaddleJob]              = Controller{}
	_ jobkit.OwnedObjects[*kubeflowv1.PaddleJob]        = Controller{}
)

// Kind implements jobkit.ControllerInterface.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles:             []jobkit.Role{{Type: master}, {Type: worker}},
		ReplicaSpecsField: "paddleReplicaSpecs",
		ContainerName:     kubeflowv1.PaddleJobDefaultContainerName,
		PortName:          kubeflowv1.PaddleJobDefaultPortName,
		PortNumber:        kubeflowv1.PaddleJobDefaultPort,
		RestartPolicy:     kubeflowv1.PaddleJobDefaultRestartPolicy,
		ServiceMode:       commonv1.ServiceModePerReplica,
		VolumeClaims:      true,
	}
}

// Parts implements jobkit.ControllerInterface.
func (Controller) Parts(job *kubeflowv1.PaddleJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.PaddleReplicaSpecs, Status: &job.Status}
}

// Rules implements jobkit.ControllerInterface.
func (Controller) Rules(job *kubeflowv1.PaddleJob) jobkit.Rules {
	leaders := []jobkit.ReplicaSelector{jobkit.All(leader(job))}
	rules := jobkit.Rules{
		Success:  []jobkit.SuccessRule{jobkit.AllOf(leaders...)},
		Running:  leaders,
		Messages: messages.Unqualified(kubeflowv1.PaddleJobKind, job.Name),
	}
	if e := job.Spec.ElasticPolicy; e != nil && e.MinReplicas != nil {
		rules.MinReplicas = map[commonv1.ReplicaType]int32{worker: *e.MinReplicas}
	}
	if leader(job) == master {
		rules.Master = leaders
	} else {
		rules.Messages = jobkit.Messages{Failed: rules.Messages.Failed}
	}
	return rules
}

// SetClusterSpec implements jobkit.ControllerInterface.
func (Controller) SetClusterSpec(job *kubeflowv1.PaddleJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	environment(job, r).ApplyToAll(template)
	return nil
}

// Default implements jobkit.Defaulter.
func (Controller) Default(job *kubeflowv1.PaddleJob) { kubeflowv1.SetPaddleJobDefaults(job) }

// Validate implements jobkit.Validator.
func (Controller) Validate(job *kubeflowv1.PaddleJob) field.ErrorList {
	return kubeflowv1.ValidatePaddleJob(job)
}

// Warn implements jobkit.Warner.
func (c Controller) Warn(job *kubeflowv1.PaddleJob) []jobkit.Warning {
	return podtemplate.EnvWarning(c, job, "", environment)
}

// ObjectKinds implements jobkit.OwnedObjects.
func (Controller) ObjectKinds() []jobkit.Object { return autoscale.ObjectKinds() }

// Objects implements jobkit.OwnedObjects.
func (Controller) Objects(job *kubeflowv1.PaddleJob, _ *jobkit.Tally) []jobkit.Object {
	e := job.Spec.ElasticPolicy
	if e == nil || job.Status.Finished() {
		return nil
	}
	return autoscale.Objects(kubeflowv1.GroupVersion.WithKind(kubeflowv1.PaddleJobKind), job.Name, e.MinReplicas, e.MaxReplicas, e.Metrics)
}
