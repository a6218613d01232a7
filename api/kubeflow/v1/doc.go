// Package v1 holds the API types of kubeflow.org/v1: TFJob, PyTorchJob, MPIJob,
// XGBoostJob, PaddleJob and JAXJob, with their defaults and validation. Import it
// as kubeflowv1.
//
// It needs only Kubernetes' API machinery, so programs that make or read jobs can
// use it without the operators:
//
//	scheme := runtime.NewScheme()
//	err := kubeflowv1.AddToScheme(scheme)
//
// # The kinds
//
// Each kind has a map of replica specs, a run policy, and the status that all jobs
// share (package api/common/v1). Every replica needs a container of the name in
// the table; its exit code is the replica's. (In an MPIJob containers may have any
// name; without one named mpi the first is meant.)
//
//	kind        replica types                             container   port
//	TFJob       Chief or Master (≤ 1), Worker, PS,        tensorflow  tfjob-port 2222
//	            Evaluator
//	PyTorchJob  Master (≤ 1), Worker                      pytorch     pytorchjob-port 23456
//	MPIJob      Launcher (1), Worker                      mpi         (none is needed)
//	XGBoostJob  Master (1), Worker                        xgboost     xgboostjob-port 9999
//	PaddleJob   Master, Worker                            paddle      master 36543
//	JAXJob      Worker                                    jax         jaxjob-port 6666
//
// Replica types are written as in the table; the letter case counts.
//
// # Compatibility
//
// JSON names, values and defaults are those of training-operator v1.9, so that its
// manifests and the clients that read its jobs continue to work. So are the Go names of
// fields and replica types; ReplicaSpecs is a named map, to which map literals can be
// assigned. These differ on purpose:
//
//   - A Master without replicas, and an empty managedBy are accepted.
//   - Replica types in another letter case are refused in every kind, because
//     nothing that reads a job by its types finds them: v1 did not ask TFJobs and
//     MPIJobs. A job that v1 accepted with such types continues.
//   - managedBy cannot be changed, also on JAXJobs.
//   - Jobs that v1 accepts but that can never run are refused: a name that leaves no
//     room for the names of pods, no replicas at all, an elastic policy whose minimum
//     is above its maximum.
//   - MPIJobs are validated when they are created, as the others are, and follow the
//     same rules for names: they must start with a letter and hold no dots.
//   - TFJobs have no replica types but those in the table, and at most one Chief or
//     Master.
//   - Labels in a pod template that the controller sets, as training.kubeflow.org/job-name, are refused in a new job.
//     v1 overwrites them; in a job that was accepted before, they are ignored.
//   - The policies are enumerations: a misspelled one is refused instead of ignored.
//   - The launcher of an MPIJob is created when its Workers are ready, and its role when
//     their pods exist; spec.launcherCreationPolicy AtStartup, which v1 does not have,
//     creates it as soon as their pods exist.
//   - The launcher of an MPIJob also gets the variables of Open MPI 5 (PRTE_MCA_...), and starts the daemons in all
//     Workers itself. In v1 Open MPI 5 runs everything in the launcher, and a job of more than 64 Workers fails.
//   - kubectl shows the true state of a job, its Workers (wanted and active) and its
//     restarts.
//   - All kinds have the scale subresource; v1 has none for TFJob, MPIJob and
//     XGBoostJob.
//   - Running stays True while a replica runs that makes the job count as running, with
//     Restarting beside it while others are replaced. In v1 each takes the other away.
//   - The active of a replica type counts the pods that run, also when the job has ended
//     or is suspended; v1 sets it to 0 at once.
//   - A pod that a user or another controller deletes is replaced, whatever its exit code, and counts against
//     no limit; under restartScope Job it restarts the gang.
//   - Services go when no pod of a finished job runs any more, with every clean-up
//     policy; with None v1 keeps them.
//   - An event about pods or services covers all that one reconcile of a job did ("Created
//     512 pods"), under v1's reasons such as SuccessfulCreatePod. An error is reported by a
//     condition and an event of its reason: FailedCreatePod, FailedDeletePod, JobTerminated,
//     MPIJobEvicted and v1's reasons with spaces do not occur. The use of the deprecated
//     nProcPerNode is reported by an event, as there is no webhook.
//   - A variable of a pod template that the operator sets, too, occurs once; in v1 it
//     occurs twice.
//   - backoffLimit is how many restarts a job may have, recreated pods included. v1 counts restarts of containers in
//     pods that run, and fails the job at this number; pods that it recreates do not count.
//   - From its second restart on a replica waits before it is created again, 10 seconds and then longer, at most 10
//     minutes. v1 creates it at once.
//   - The restart policies OnFailure and Always restart a failed replica of XGBoostJobs and MPIJobs, too; v1 fails the
//     job.
//   - When a job has succeeded, succeeded counts the replicas that have; v1 adds those that were active.
//   - The PodGroup of a job is called <job>-<kind>, and with Volcano has no queue if the job names none. In v1 it has
//     the name of the job, and the queue default. A job that v1 started keeps its group.
//   - With elasticPolicy.standalone PET_STANDALONE is 1, and PET_NNODES 1:1. In v1 PET_STANDALONE is empty, and
//     torchrun ends with an error.
//   - elasticPolicy.metrics makes an autoscaler for PaddleJobs, too, and the autoscaler goes when the job has finished;
//     v1 keeps that of a PyTorchJob.
//
// # Who checks what
//
// The CRDs in config/crd hold most rules (CEL), so that kubectl apply fails at once
// and says why. A name that is too long, for example, is refused with the longest
// that is allowed. They need Kubernetes v1.31 or newer. Rules about names apply to an existing
// job only if it changes, so that the status of an older job can still be written, and the job
// be deleted.
//
// The same rules exist in Go for programs and clusters that bypass the CRDs: those of a kind
// in ValidateTFJob and its siblings here, those of every kind in the library. All functions
// here accept nil in any field.
//
// # Defaults
//
// The library sets the defaults that all kinds share: one replica, the restart policy, the
// port, the clean-up policy. Before that, the functions here set the defaults of a kind:
// SetPyTorchJobDefaults, SetMPIJobDefaults and SetPaddleJobDefaults. TFJob, XGBoostJob and
// JAXJob have none of their own.
//
// +kubebuilder:object:generate=true
// +groupName=kubeflow.org
package v1
