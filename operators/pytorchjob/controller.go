// Package pytorchjob runs PyTorchJobs.
//
// All containers of a replica (its init containers excepted) get what torchrun and
// torch.distributed read. Those marked * are set unless the template sets them.
//
//	PYTHONUNBUFFERED *              1
//	MASTER_PORT, PET_MASTER_PORT    in jobs with a Master: its port "pytorchjob-port"
//	MASTER_ADDR, PET_MASTER_ADDR    and its host name,
//	WORLD_SIZE                      how many replicas there are, times nprocPerNode if
//	                                that is a number,
//	RANK, PET_NODE_RANK             0 for the Master, index + 1 for a Worker
//	PET_NPROC_PER_NODE *            nprocPerNode
//	PET_NNODES                      how many replicas there are
//
// With elasticPolicy PET_NNODES is minReplicas:maxReplicas, PET_RDZV_ENDPOINT is
// rdzvHost:rdzvPort (by default Worker 0), and PET_RDZV_BACKEND *, PET_MAX_RESTARTS *,
// PET_RDZV_ID * and PET_RDZV_CONF * are what it says. With standalone PET_STANDALONE * is 1,
// and PET_NNODES 1:1. With its metrics the job has a HorizontalPodAutoscaler (see package
// autoscale).
//
// In jobs with a Master each Worker has an init container "init-pytorch" that waits
// until the Master answers at its address (see podtemplate.HostWait). A template that
// has an init container of that name keeps its own instead, and the annotation
// [InitContainerAnnotation] "none" on the job leaves it out, as does a Master that starts after
// the Workers.
//
// A job runs while its Master does, and succeeds when its Master has. Without a
// Master it runs while a Worker does, and succeeds when all Workers have or, with
// elasticPolicy, when one has.
package pytorchjob

import (
	"cmp"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators/internal/autoscale"
	"github.com/jobkit/jobkit/operators/internal/messages"
	"github.com/jobkit/jobkit/podtemplate"
)

// InitContainerAnnotation set to "none" on a job leaves its Workers without the init
// container that waits for the Master.
const InitContainerAnnotation = "pytorch.kubeflow.org/init-container"

// Controller is what is special about PyTorchJobs.
type Controller struct {
	// InitContainer is what holds Workers back until the Master can be reached. Its default
	// name is init-pytorch, its default port the Master's.
	InitContainer podtemplate.HostWait
}

// What the kind implements.
var (
	_ jobkit.ControllerInterface[*kubeflowv1.PyTorchJob] = Controller{}
	_ jobkit.Defaulter[*kubeflowv1.PyTorchJob]           = Controller{}
	_ jobkit.Validator[*kubeflowv1.PyTorchJob]           = Controller{}
	_ jobkit.Warner[*kubeflowv1.PyTorchJob]              = Controller{}
	_ jobkit.OwnedObjects[*kubeflowv1.PyTorchJob]        = Controller{}
)

// Kind implements jobkit.ControllerInterface.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles:             []jobkit.Role{{Type: master, Min: 1, Max: 1}, {Type: worker, Min: 1}},
		ReplicaSpecsField: "pytorchReplicaSpecs",
		ContainerName:     kubeflowv1.PyTorchJobDefaultContainerName,
		PortName:          kubeflowv1.PyTorchJobDefaultPortName,
		PortNumber:        kubeflowv1.PyTorchJobDefaultPort,
		RestartPolicy:     kubeflowv1.PyTorchJobDefaultRestartPolicy,
		ServiceMode:       commonv1.ServiceModePerReplica,
		VolumeClaims:      true,
	}
}

// Parts implements jobkit.ControllerInterface.
func (Controller) Parts(job *kubeflowv1.PyTorchJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.PyTorchReplicaSpecs, Status: &job.Status}
}

// Rules implements jobkit.ControllerInterface.
func (Controller) Rules(job *kubeflowv1.PyTorchJob) jobkit.Rules {
	named := messages.Unqualified(kubeflowv1.PyTorchJobKind, job.Name)
	if hasMaster(job) {
		masters := []jobkit.ReplicaSelector{jobkit.All(master)}
		return jobkit.Rules{Success: []jobkit.SuccessRule{jobkit.AllOf(masters...)}, Running: masters, Master: masters, Messages: named}
	}
	rules := jobkit.Rules{
		Success:  []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(worker))},
		Master:   []jobkit.ReplicaSelector{jobkit.Index(worker, 0)},
		Messages: jobkit.Messages{Failed: named.Failed},
	}
	if e := job.Spec.ElasticPolicy; e != nil {
		if e.MinReplicas != nil {
			rules.MinReplicas = map[commonv1.ReplicaType]int32{worker: *e.MinReplicas}
		}
		rules.Success = append(rules.Success, jobkit.AnyOf(jobkit.All(worker)))
	}
	return rules
}

// SetClusterSpec implements jobkit.ControllerInterface.
func (c Controller) SetClusterSpec(job *kubeflowv1.PyTorchJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	environment(job, r).ApplyToAll(template)
	if r.Type() != worker || !hasMaster(job) || job.Annotations[InitContainerAnnotation] == "none" ||
		job.Spec.PyTorchReplicaSpecs[master].StartAfter != nil { // after the Workers, which would wait for it
		return nil
	}
	wait := c.InitContainer
	wait.Name, wait.Port = cmp.Or(wait.Name, "init-pytorch"), cmp.Or(wait.Port, r.Port(master))
	return wait.Apply(template, r.Host(master, 0))
}

// Default implements jobkit.Defaulter.
func (Controller) Default(job *kubeflowv1.PyTorchJob) { kubeflowv1.SetPyTorchJobDefaults(job) }

// Validate implements jobkit.Validator.
func (Controller) Validate(job *kubeflowv1.PyTorchJob) field.ErrorList {
	return kubeflowv1.ValidatePyTorchJob(job)
}

// Warn implements jobkit.Warner.
func (c Controller) Warn(job *kubeflowv1.PyTorchJob) []jobkit.Warning {
	events := podtemplate.EnvWarning(c, job, "", environment)
	if e := job.Spec.ElasticPolicy; e != nil && e.NProcPerNode != nil {
		events = append(events, jobkit.Warning{Reason: "FieldDeprecated", Message: fmt.Sprintf(
			"spec.elasticPolicy.nProcPerNode is deprecated, use spec.nprocPerNode instead: set that to %q, and remove this one.", strconv.Itoa(int(*e.NProcPerNode)))})
	}
	return events
}

// ObjectKinds implements jobkit.OwnedObjects.
func (Controller) ObjectKinds() []jobkit.Object { return autoscale.ObjectKinds() }

// Objects implements jobkit.OwnedObjects.
func (Controller) Objects(job *kubeflowv1.PyTorchJob, _ *jobkit.Tally) []jobkit.Object {
	e := job.Spec.ElasticPolicy
	if e == nil || job.Status.Finished() {
		return nil
	}
	return autoscale.Objects(kubeflowv1.GroupVersion.WithKind(kubeflowv1.PyTorchJobKind), job.Name, e.MinReplicas, e.MaxReplicas, e.Metrics)
}
