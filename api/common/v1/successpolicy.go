package v1

// SuccessPolicy says when a job has succeeded, in the manner of batch/v1 Job. It takes the
// place of the kind's own rules.
type SuccessPolicy struct {
	// Rules are alternatives: the first that holds ends the job, which has then succeeded.
	// What becomes of the pods that still run says cleanPodPolicy.
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=20
	Rules []SuccessPolicyRule `json:"rules"`
}

// SuccessPolicyRule says which replicas of one type must have succeeded. At least one of
// Indexes and Count must be set: with Indexes alone all of them must, with Count alone so
// many of the type, with both so many of these indexes.
//
// +kubebuilder:validation:XValidation:rule="has(self.indexes) || has(self.count)",message="a rule of successPolicy needs indexes, count, or both: add one"
type SuccessPolicyRule struct {
	// ReplicaType is the type of the replicas that the rule is for. The job must have it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	ReplicaType ReplicaType `json:"replicaType"`

	// Indexes are the replicas that the rule is for, in ascending order, as in "0-3,7".
	// The job must have them. Default: all replicas of the type.
	// +optional
	// +kubebuilder:validation:MaxLength=8192
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$')",message="it is no list of indexes: write indexes and ranges in ascending order, as in \"0-3,7\"",messageExpression="'\"%s\" is no list of indexes: write indexes and ranges in ascending order, as in \"0-3,7\"'.format([self])"
	Indexes *string `json:"indexes,omitempty"`

	// Count is how many of the replicas must have succeeded. There must be so many.
	// Default: all of Indexes.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Count *int32 `json:"count,omitempty"`
}
