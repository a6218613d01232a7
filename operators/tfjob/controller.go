// Package tfjob runs TFJobs.
//
// The container "tensorflow" of a replica gets TF_CONFIG, unless the replica is the
// only one: the addresses of all replicas by type, and which one it is.
//
//	{"cluster":{"ps":["job-ps-0.ns.svc:2222"],"worker":["job-worker-0.ns.svc:2222"]},
//	 "task":{"type":"worker","index":0},"environment":"cloud"}
//
// With enableDynamicWorker TF_CONFIG lists the parameter servers and the replica itself only,
// so that Workers can come and go: a Worker, Chief, Master or Evaluator by its index,
// and a parameter server of no other.
//
//	{"cluster":{"worker":{"1":"job-worker-1.ns.svc:2222"},"ps":["job-ps-0.ns.svc:2222"]},
//	 "task":{"type":"worker","index":1}}
//
// A job with a Chief or Master runs while that does, and succeeds when that has.
// Others run while a Worker does, and succeed when all Workers have or, unless
// successPolicy is AllWorkers, when Worker 0 has. With enableDynamicWorker a Worker
// that fails does not fail the job as long as others run, unless its restart policy is
// ExitCode.
package tfjob

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

// Controller is what is special about TFJobs.
type Controller struct {
	// ClusterDomain ends the addresses in TF_CONFIG, for clusters whose resolver does
	// not add it, for example "cluster.local". Default: none.
	ClusterDomain string
}

// What the kind implements.
var (
	_ jobkit.ControllerInterface[*kubeflowv1.TFJob] = Controller{}
	_ jobkit.Validator[*kubeflowv1.TFJob]           = Controller{}
	_ jobkit.Warner[*kubeflowv1.TFJob]              = Controller{}
)

// Kind implements jobkit.ControllerInterface.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		// Chief and Master have no Max: v1 runs jobs with several. In a new job Validate refuses that.
		Roles:             []jobkit.Role{{Type: chief}, {Type: evaluator}, {Type: master}, {Type: ps}, {Type: worker}},
		Framework:         kubeflowv1.TFJobFrameworkName,
		ReplicaSpecsField: "tfReplicaSpecs",
		ContainerName:     kubeflowv1.TFJobDefaultContainerName,
		PortName:          kubeflowv1.TFJobDefaultPortName,
		PortNumber:        kubeflowv1.TFJobDefaultPort,
		RestartPolicy:     kubeflowv1.TFJobDefaultRestartPolicy,
		ServiceMode:       commonv1.ServiceModePerReplica,
		VolumeClaims:      true,
	}
}

// Parts implements jobkit.ControllerInterface.
func (Controller) Parts(job *kubeflowv1.TFJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.TFReplicaSpecs, Status: &job.Status}
}

// Rules implements jobkit.ControllerInterface.
func (Controller) Rules(job *kubeflowv1.TFJob) jobkit.Rules {
	var rules jobkit.Rules
	if goesOnWithoutWorkers(job) {
		rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
	}
	for _, leader := range []commonv1.ReplicaType{chief, master} {
		if jobkit.Count(job.Spec.TFReplicaSpecs, leader) > 0 {
			leaders := []jobkit.ReplicaSelector{jobkit.All(leader)}
			rules.Success, rules.Running, rules.Master = []jobkit.SuccessRule{jobkit.AllOf(leaders...)}, leaders, leaders
			return rules
		}
	}
	if jobkit.Count(job.Spec.TFReplicaSpecs, worker) == 0 {
		return rules // Parameter servers or Evaluators alone are a success when all of them are.
	}
	first := jobkit.Index(worker, 0)
	rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(worker))}
	rules.Running, rules.Master = []jobkit.ReplicaSelector{jobkit.All(worker)}, []jobkit.ReplicaSelector{first}
	if p := job.Spec.SuccessPolicy; p == nil || *p != kubeflowv1.SuccessPolicyAllWorkers {
		rules.Success = append(rules.Success, jobkit.AllOf(first))
	}
	return rules
}

// goesOnWithoutWorkers reports whether a Worker that fails for good does not fail the job. The
// policy ExitCode says itself which failures are the job's: as in v1, those that no restart helps.
func goesOnWithoutWorkers(job *kubeflowv1.TFJob) bool {
	spec := job.Spec.TFReplicaSpecs[worker]
	return job.Spec.EnableDynamicWorker && spec != nil && spec.RestartPolicy != commonv1.RestartPolicyExitCode
}

// SetClusterSpec implements jobkit.ControllerInterface.
func (c Controller) SetClusterSpec(job *kubeflowv1.TFJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	env, err := c.environment(job, r)
	if main := podtemplate.Container(template, kubeflowv1.TFJobDefaultContainerName); main != nil {
		env.Apply(main)
	}
	return err
}

// Validate implements jobkit.Validator.
func (Controller) Validate(job *kubeflowv1.TFJob) field.ErrorList {
	return kubeflowv1.ValidateTFJob(job)
}

// Warn implements jobkit.Warner.
func (c Controller) Warn(job *kubeflowv1.TFJob) []jobkit.Warning {
	return podtemplate.EnvWarning(c, job, kubeflowv1.TFJobDefaultContainerName, func(job *kubeflowv1.TFJob, r jobkit.Replica) podtemplate.Env {
		env, _ := c.environment(job, r) // SetClusterSpec returns the error
		return env
	})
}
