package v1

// Labels that the controller puts on every pod and service of a job. A pod
// template cannot set them.
const (
	// LabelPrefix is the domain of the labels below.
	LabelPrefix = "training.kubeflow.org/"
	// OperatorNameLabel names the controller that made the object, for example
	// "testjob-controller". Together with JobNameLabel it selects the pods of a job.
	OperatorNameLabel = LabelPrefix + "operator-name"
	// JobNameLabel is the name of the job.
	JobNameLabel = LabelPrefix + "job-name"
	// ReplicaTypeLabel is the replica type in lower case.
	ReplicaTypeLabel = LabelPrefix + "replica-type"
	// ReplicaIndexLabel is the index of the replica within its type, from 0.
	ReplicaIndexLabel = LabelPrefix + "replica-index"
	// JobRoleLabel is JobRoleMaster on the pod whose logs and fate stand for the job.
	JobRoleLabel = LabelPrefix + "job-role"
	// AttemptLabel is the attempt of the replica that a pod is, from 0. It is an
	// addition to kubeflow.org/v1.
	AttemptLabel = LabelPrefix + "attempt"
	// PodGroupLabel is the name of the group that a pod is scheduled with. Only pods of
	// a gang have it. It is an addition to kubeflow.org/v1.
	PodGroupLabel = LabelPrefix + "pod-group"
	// AvoidedNodesAnnotation is an annotation of pods that must avoid nodes (avoidNodes with mode
	// Required): a digest of the names. It is an addition to kubeflow.org/v1.
	AvoidedNodesAnnotation = LabelPrefix + "avoided-nodes"
)

// Annotations of the pods of a job with a progress policy. They are additions to
// kubeflow.org/v1.
const (
	// ProgressAnnotation is the source of the job's progress: Report or Readiness.
	ProgressAnnotation = LabelPrefix + "progress"
	// ProgressCAAnnotation holds the certificates, in PEM, by which the containers know the
	// server that receives their reports. A volume of the pod shows them as a file.
	ProgressCAAnnotation = LabelPrefix + "progress-ca"
)

// JobRoleMaster is the value of JobRoleLabel.
const JobRoleMaster = "master"
