package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ProgressPolicy says how a job shows that it makes progress, and what follows when it
// hangs: a program that waits forever, for a peer or a disk, does not fail by itself. A hang
// is a failure with the reason Hung, and counts against the same limits.
//
// +kubebuilder:validation:XValidation:rule="!has(self.source) || self.source != 'Readiness' || has(self.stallTimeoutSeconds) || has(self.startTimeoutSeconds)",fieldPath=".source",message="Readiness says nothing without a timeout: add stallTimeoutSeconds or startTimeoutSeconds"
// +kubebuilder:validation:XValidation:rule="!has(self.action) || has(self.stallTimeoutSeconds) || has(self.startTimeoutSeconds)",fieldPath=".action",message="it says nothing without a timeout: add stallTimeoutSeconds or startTimeoutSeconds, or remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.stallTimeoutSeconds) || self.stallTimeoutSeconds >= 30 || has(self.source) && self.source == 'Readiness'",fieldPath=".stallTimeoutSeconds",message="must be at least 30 with source Report, because the status may be 12.5 seconds behind the last report: raise it, or set source to Readiness"
type ProgressPolicy struct {
	// Source says how progress shows. Default: Report.
	// +optional
	Source ProgressSource `json:"source,omitempty"`

	// StartTimeoutSeconds is how long it may take, once the replicas run, until the first
	// report, or until a replica is ready for the first time. From 10 to 31536000, a year.
	// Default: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=31536000
	StartTimeoutSeconds *int64 `json:"startTimeoutSeconds,omitempty"`

	// StallTimeoutSeconds is how old the last report may become, or how long a replica that
	// was ready may be unready, until that is a hang. From 30 with source Report, because the
	// status may be 12.5 seconds behind the last report; from 10 with Readiness, and longer
	// than the periodSeconds of the probe, which must succeed in that time. To 31536000, a
	// year. After a report of 100 percent, none is expected. After a restart it applies from
	// the first report of the new pods on; until then startTimeoutSeconds does.
	// Default: no limit.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=31536000
	StallTimeoutSeconds *int64 `json:"stallTimeoutSeconds,omitempty"`

	// Action is what follows a hang, unless a rule of podFailurePolicy says otherwise.
	// Report sets the condition Hung. RestartReplica restarts the replica that hangs; with
	// source Report that is the one that reported last, which usually waits for another, so
	// use RestartJob there unless the program survives that. FailJob fails the job.
	// Default: Report.
	// +optional
	Action ProgressAction `json:"action,omitempty"`
}

// ProgressSource says how progress shows. It is an addition to kubeflow.org/v1.
// +kubebuilder:validation:Enum=Report;Readiness
type ProgressSource string

const (
	// ProgressSourceReport is reports of the training code, in the protocol of Kubeflow
	// Trainer: each container gets the environment variables KUBEFLOW_TRAINER_SERVER_URL,
	// KUBEFLOW_TRAINER_SERVER_CA_CERT and KUBEFLOW_TRAINER_SERVER_TOKEN.
	ProgressSourceReport ProgressSource = "Report"
	// ProgressSourceReadiness is the readiness probe of each replica.
	ProgressSourceReadiness ProgressSource = "Readiness"
)

// ProgressAction is what follows a hang. It is an addition to kubeflow.org/v1.
// +kubebuilder:validation:Enum=Report;RestartReplica;RestartJob;FailJob
type ProgressAction string

const (
	// ProgressActionReport sets the condition Hung until the replica goes on.
	ProgressActionReport ProgressAction = "Report"
	// ProgressActionRestartReplica restarts the replica, and counts that. With source Report
	// that is the replica that reported last, which need not be the one that hangs. By its
	// restart scope, its role or the whole job restarts with it.
	ProgressActionRestartReplica ProgressAction = "RestartReplica"
	// ProgressActionRestartJob restarts every replica of the job together, whatever its
	// restart scope, and counts that as one restart.
	ProgressActionRestartJob ProgressAction = "RestartJob"
	// ProgressActionFailJob fails the job at once.
	ProgressActionFailJob ProgressAction = "FailJob"
)

// TrainerStatus is a report of the training code, in the form of Kubeflow Trainer, and who
// sent it.
type TrainerStatus struct {
	// ProgressPercentage is how much of the training is done.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	ProgressPercentage *int32 `json:"progressPercentage,omitempty"`
	// EstimatedRemainingSeconds is how much longer the training will take.
	// +optional
	// +kubebuilder:validation:Minimum=0
	EstimatedRemainingSeconds *int64 `json:"estimatedRemainingSeconds,omitempty"`
	// Metrics are values of the training, for example loss.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Metrics []TrainerMetric `json:"metrics,omitempty"`
	// LastUpdatedTime is when the training code made the report, by its own clock.
	// +optional
	LastUpdatedTime *metav1.Time `json:"lastUpdatedTime,omitempty"`
	// ReceivedTime is when the report was received, by the clock of the operator. Hangs are
	// judged by it. An addition to the form of Kubeflow Trainer, as are the fields below.
	// +optional
	ReceivedTime *metav1.MicroTime `json:"receivedTime,omitempty"`
	// Reporter is the replica that sent the report.
	// +optional
	Reporter *TrainerReporter `json:"reporter,omitempty"`
}

// TrainerMetric is a value of the training.
type TrainerMetric struct {
	// Name of the metric, for example "loss".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Name string `json:"name"`
	// Value of the metric, as text.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Value string `json:"value"`
}

// TrainerReporter is the replica that sent a report.
type TrainerReporter struct {
	// Pod is the name of its pod.
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod"`
	// PodUID is the UID of its pod. A report of a pod that was replaced shows no progress.
	PodUID types.UID `json:"podUID"`
	// Type, Index and Attempt say which replica it was, by the pod's labels.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Type ReplicaType `json:"type,omitempty"`
	// +optional
	Index int32 `json:"index"`
	// +optional
	Attempt int32 `json:"attempt"`
}
