package v1

// VolumeClaimRetention says what becomes of the volume claims of replicas at one moment.
// +kubebuilder:validation:Enum=Retain;Delete
type VolumeClaimRetention string

const (
	// VolumeClaimRetain keeps the claims, and what is stored in them.
	VolumeClaimRetain VolumeClaimRetention = "Retain"
	// VolumeClaimDelete deletes the claims. What becomes of the volumes, their storage class says.
	VolumeClaimDelete VolumeClaimRetention = "Delete"
)

// VolumeClaimRetentionPolicy says when the claims that were made from
// volumeClaimTemplates are deleted, in the words of StatefulSet. A restart never
// deletes a claim. A claim that is kept when the job is deleted does not belong to the
// job, so the other fields can be Delete only where whenDeleted is.
//
// +kubebuilder:validation:XValidation:rule="has(self.whenDeleted) && self.whenDeleted == 'Delete' || !(has(self.whenScaled) && self.whenScaled == 'Delete' || has(self.whenSuspended) && self.whenSuspended == 'Delete' || has(self.whenFinished) && self.whenFinished == 'Delete')",message="whenScaled, whenSuspended and whenFinished can be Delete only where whenDeleted is Delete: set whenDeleted to Delete, or remove them"
type VolumeClaimRetentionPolicy struct {
	// WhenDeleted is for the deletion of the job. With Retain the claims outlive the job,
	// and the next job of the same name and kind uses them. Default: Retain.
	// +optional
	WhenDeleted VolumeClaimRetention `json:"whenDeleted,omitempty"`

	// WhenScaled is for replicas that the job no longer wants. Default: Retain.
	// +optional
	WhenScaled VolumeClaimRetention `json:"whenScaled,omitempty"`

	// WhenSuspended is for a job that is suspended. Default: Retain.
	// +optional
	WhenSuspended VolumeClaimRetention `json:"whenSuspended,omitempty"`

	// WhenFinished is for a job that has succeeded or failed, as soon as none of its pods
	// runs. Default: Retain.
	// +optional
	WhenFinished VolumeClaimRetention `json:"whenFinished,omitempty"`
}
