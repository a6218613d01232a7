// Package mpijob runs MPIJobs.
//
// A job has a launcher, <job>-launcher, that calls mpirun, and Workers in which it
// starts processes through the API server ("kubectl exec"): no SSH, no services.
// For that the job has
//
//   - a ConfigMap <job>-config with the hostfile (all Workers, after the launcher
//     itself if that has a GPU), discover_hosts.sh, which prints the hosts that run
//     at the moment, and kubexec.sh, which MPI calls in place of rsh;
//   - a Role and a RoleBinding <job>-launcher, which allow the launcher to watch pods
//     and to run commands in the job's Workers, and in no other pod: they are created when
//     all Workers' pods exist and are the job's own, and name those;
//   - a ServiceAccount <job>-launcher, unless the launcher's template names one. One of
//     that name that a user created before is used unchanged: it is the place for image pull
//     secrets and the identity of a cloud.
//
// The launcher is created when all Workers run, and are ready if they have a readiness
// probe, because mpirun gives up on Workers that do not. With
// spec.launcherCreationPolicy AtStartup it is created as soon as their pods exist, as
// training-operator v1 did. The same holds if Workers have no node and the component that
// assigns it may need all pods first: a gang scheduler, a queue that holds pods by a
// scheduling gate (Kueue), a scheduler that the template names, or one that has not tried
// to schedule a pod for ten seconds. mpirun may then begin before a Worker runs; a launcher
// with the restart policy OnFailure begins again.
//
// The launcher has an init container "kubectl-delivery" that brings kubectl. A
// template that has an init container of that name keeps its own instead; it finds
// the volumes mpi-job-kubectl, to put kubectl into, and mpi-job-config.
//
// All this concerns the main container of a pod: the one that spec.mainContainer
// names, or else the one named "mpi", or else the first. That of the launcher gets the
// volumes mpi-job-kubectl at /opt/kube and mpi-job-config at /etc/mpi, and these
// variables. Those marked * are set unless the template sets them.
//
//	OMPI_MCA_plm_rsh_agent            /etc/mpi/kubexec.sh
//	PRTE_MCA_plm_ssh_agent *          the same, for Open MPI 5
//	OMPI_MCA_orte_default_hostfile    /etc/mpi/hostfile
//	PRTE_MCA_prte_default_hostfile *  the same, for Open MPI 5
//	OMPI_MCA_plm_rsh_no_tree_spawn *  1: the launcher starts the daemons in all Workers,
//	PRTE_MCA_plm_ssh_no_tree_spawn *  which cannot start any
//	OMPI_MCA_plm_rsh_num_concurrent * with more than 128 Workers: their number
//	PRTE_MCA_plm_ssh_num_concurrent * the same
//	NVIDIA_VISIBLE_DEVICES *          empty, if the launcher has no GPU
//	NVIDIA_DRIVER_CAPABILITIES *      empty, if the launcher has no GPU
//	I_MPI_HYDRA_BOOTSTRAP *           rsh
//	I_MPI_HYDRA_BOOTSTRAP_EXEC *      /etc/mpi/kubexec.sh
//
// That of a Worker gets mpi-job-config at /etc/mpi, and sleeps if it has no command.
//
// A job runs while its launcher does, and succeeds when its launcher has. A launcher
// or a Worker that fails is restarted as its restart policy says; otherwise the job
// fails, for the reason MPIJobMPIJobFailed, which clients expect.
package mpijob

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/operators/internal/messages"
	"github.com/jobkit/jobkit/podtemplate"
)

// Controller is what is special about MPIJobs.
type Controller struct {
	// KubectlDeliveryImage is the image of the init container of launchers. Default:
	// DefaultKubectlDeliveryImage.
	KubectlDeliveryImage string
}

// What the kind implements.
var (
	_ jobkit.ControllerInterface[*kubeflowv1.MPIJob] = Controller{}
	_ jobkit.Defaulter[*kubeflowv1.MPIJob]           = Controller{}
	_ jobkit.Validator[*kubeflowv1.MPIJob]           = Controller{}
	_ jobkit.Warner[*kubeflowv1.MPIJob]              = Controller{}
	_ jobkit.OwnedObjects[*kubeflowv1.MPIJob]        = Controller{}
)

// Kind implements jobkit.ControllerInterface.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles: []jobkit.Role{
			{Type: launcher, Required: true, Min: 1, Max: 1, Unnumbered: true},
			{Type: worker, Default: new(int32(0))},
		},
		ReplicaSpecsField: "mpiReplicaSpecs",
		ContainerName:     kubeflowv1.MPIJobDefaultContainerName,
		AnyContainer:      true,
		RestartPolicy:     kubeflowv1.MPIJobDefaultRestartPolicy,
		ServiceMode:       commonv1.ServiceModeNone,
		VolumeClaims:      true,
	}
}

// Parts implements jobkit.ControllerInterface.
func (Controller) Parts(job *kubeflowv1.MPIJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.MPIReplicaSpecs, Status: &job.Status}
}

// Rules implements jobkit.ControllerInterface.
func (Controller) Rules(job *kubeflowv1.MPIJob) jobkit.Rules {
	decides := []jobkit.ReplicaSelector{jobkit.All(launcher)}
	rules := jobkit.Rules{
		Success: []jobkit.SuccessRule{jobkit.AllOf(decides...)}, Running: decides, Master: decides,
		// In both orders it needs the Workers' pods: its role names them.
		StartAfter: []jobkit.StartAfter{{Type: launcher, After: []commonv1.ReplicaType{worker}, Ready: waitsForWorkers(job)}},
		Messages:   messages.Unqualified(kubeflowv1.MPIJobKind, job.Name),
	}
	rules.Messages.FailedReason = kubeflowv1.MPIJobKind + kubeflowv1.MPIJobKind + "Failed"
	return rules
}

// waitsForWorkers reports whether the launcher is created when the Workers are ready, not
// as soon as their pods exist.
func waitsForWorkers(job *kubeflowv1.MPIJob) bool {
	p := job.Spec.LauncherCreationPolicy
	return p == nil || *p != kubeflowv1.LauncherCreationAtStartup
}

// SetClusterSpec implements jobkit.ControllerInterface.
func (c Controller) SetClusterSpec(job *kubeflowv1.MPIJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	if r.Type() == launcher {
		prepareLauncher(job, c.KubectlDeliveryImage, &template.Spec)
	} else {
		prepareWorker(job, &template.Spec)
	}
	return nil
}

// Default implements jobkit.Defaulter.
func (Controller) Default(job *kubeflowv1.MPIJob) { kubeflowv1.SetMPIJobDefaults(job) }

// Validate implements jobkit.Validator.
func (Controller) Validate(job *kubeflowv1.MPIJob) field.ErrorList {
	errs := kubeflowv1.ValidateMPIJob(job)
	errs = append(errs, validateVolumes(job, launcher, map[string]string{configVolume: configDir, kubectlVolume: kubectlDir})...)
	return append(errs, validateVolumes(job, worker, map[string]string{configVolume: configDir})...)
}

// Warn implements jobkit.Warner.
func (c Controller) Warn(job *kubeflowv1.MPIJob) []jobkit.Warning {
	main := mainContainer(job, pod(job, launcher)).Name
	return podtemplate.EnvWarning(c, job, main, func(job *kubeflowv1.MPIJob, r jobkit.Replica) podtemplate.Env {
		if r.Type() != launcher {
			return nil
		}
		return launcherEnv(job)
	})
}
