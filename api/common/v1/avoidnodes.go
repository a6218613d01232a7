package v1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AvoidNodes keeps the new pods of a job away from nodes on which its replicas failed. The
// first failure of what restarts together counts; what its peers do because of it, what a rule of
// podFailurePolicy ignores, and restarts of containers in place do not. It is an addition to
// kubeflow.org/v1.
//
// +kubebuilder:validation:XValidation:rule="!has(self.exitCodes) || !has(self.causes) || 'Failed' in self.causes",fieldPath=".exitCodes",message="it says nothing unless causes has Failed: add that, or remove exitCodes"
type AvoidNodes struct {
	// Mode says what becomes of a pod for which there is no other node. Default: Preferred.
	// +optional
	Mode AvoidNodesMode `json:"mode,omitempty"`

	// AfterFailures is how many failures put a node on the list. With forSeconds, each must be
	// less than so long after the one before. Default: 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	AfterFailures *int32 `json:"afterFailures,omitempty"`

	// Causes are the failures that count. Default: Failed and Hung.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	Causes []AvoidNodesCause `json:"causes,omitempty"`

	// ExitCodes are the exit codes that count, of failures that have one, for example those with
	// which a program reports a broken device. Default: all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=255
	// +kubebuilder:validation:items:Minimum=1
	// +kubebuilder:validation:items:Maximum=255
	ExitCodes []int32 `json:"exitCodes,omitempty"`

	// MaxNodes is how many nodes are avoided at most: those with the newest failures.
	// Default: 10.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=50
	MaxNodes *int32 `json:"maxNodes,omitempty"`

	// ForSeconds is how long after its last failure a node is avoided. Default: as long as the
	// job exists.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ForSeconds *int64 `json:"forSeconds,omitempty"`
}

// AvoidNodesMode says what becomes of a pod that fits on none but avoided nodes. It is an
// addition to kubeflow.org/v1.
// +kubebuilder:validation:Enum=Preferred;Required
type AvoidNodesMode string

const (
	// AvoidNodesPreferred lets it start on one of them.
	AvoidNodesPreferred AvoidNodesMode = "Preferred"
	// AvoidNodesRequired lets it wait. If it has waited for long, the node with the oldest
	// failure is no longer avoided, and so on until it fits.
	AvoidNodesRequired AvoidNodesMode = "Required"
)

// AvoidNodesCause is why a replica failed. It is an addition to kubeflow.org/v1.
// +kubebuilder:validation:Enum=Failed;Disrupted;Hung
type AvoidNodesCause string

const (
	// AvoidNodesFailed is that a container ended with an error, or the node refused the pod.
	AvoidNodesFailed AvoidNodesCause = "Failed"
	// AvoidNodesDisrupted is that the pod was preempted, evicted or drained, or its node was lost.
	AvoidNodesDisrupted AvoidNodesCause = "Disrupted"
	// AvoidNodesHung is that the replica made no progress (progressPolicy).
	AvoidNodesHung AvoidNodesCause = "Hung"
)

// MaxFailedNodes is how many failed nodes a status holds.
const MaxFailedNodes = 100

// FailedNode is a node on which replicas of the job failed.
type FailedNode struct {
	// Name of the node.
	Name string `json:"name"`
	// Failures is how many failures there were that avoidNodes counts.
	Failures int32 `json:"failures"`
	// Time is that of the last of them, by the clock of the API server if it is known.
	Time metav1.Time `json:"time"`
}
