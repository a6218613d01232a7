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
// assigned. What differs on purpose is listed in docs/operators/differences-from-v1.md.
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
