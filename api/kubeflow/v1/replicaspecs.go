package v1

import (
	"slices"
	"strings"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// ReplicaSpecs describes the replicas of a job by type. The letter case of a type
// counts; each kind says which types it knows and how many replicas of each it takes.
//
// The rules here hold for every kind; a kind adds its own where it has a field of
// this type.
//
// +kubebuilder:validation:XValidation:rule="size(self) > 0",message="the job has no replicas: add at least one replica type with a template"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || size(self) == 0 || self.exists(t, !has(self[t].replicas) || self[t].replicas != 0)",optionalOldSelf=true,message="0 replicas in total: set replicas of at least one replica type to 1 or more; to hold a job back use runPolicy.suspend"
// +kubebuilder:validation:XValidation:rule="self.all(t, self.exists_one(u, u.lowerAscii() == t.lowerAscii()))",message="a replica type is given twice, in different letter case: keep one of the two",messageExpression="[self.filter(t, !self.exists_one(u, u.lowerAscii() == t.lowerAscii()))].map(l, 'the replica types %s and %s differ by letter case only: keep one of them'.format([l[0], l[1]]))[0]"
// +kubebuilder:validation:XValidation:rule="self.all(t, !has(self[t].template) || !has(self[t].template.spec) || self[t].template.spec.containers.all(c, has(c.image) && c.image != \"\"))",message="a container has no image: give every container in template.spec.containers one",messageExpression="'the replica type %s has a container without an image: give every container in template.spec.containers one'.format([self.filter(t, has(self[t].template) && has(self[t].template.spec) && self[t].template.spec.containers.exists(c, !has(c.image) || c.image == \"\"))[0]])"
// +kubebuilder:validation:XValidation:rule="oldSelf.hasValue() || self.all(t, !has(self[t].template) || !has(self[t].template.metadata) || !has(self[t].template.metadata.labels) || !['training.kubeflow.org/operator-name', 'training.kubeflow.org/job-name', 'training.kubeflow.org/replica-type', 'training.kubeflow.org/replica-index', 'training.kubeflow.org/job-role', 'training.kubeflow.org/attempt', 'training.kubeflow.org/pod-group'].exists(l, l in self[t].template.metadata.labels))",optionalOldSelf=true,message="the controller sets the labels operator-name, job-name, replica-type, replica-index, job-role, attempt and pod-group under training.kubeflow.org/: remove these from template.metadata.labels"
// +kubebuilder:validation:XValidation:rule="self.all(t, !has(self[t].startAfter) || self[t].startAfter.replicaType in self && self[t].startAfter.replicaType != t)",message="startAfter.replicaType is the type itself, or none that the job has: name another replica type of the job, or remove startAfter",messageExpression="[self.filter(t, has(self[t].startAfter) && (self[t].startAfter.replicaType == t || !(self[t].startAfter.replicaType in self)))].map(l, 'startAfter.replicaType of %s is \"%s\", which is not another replica type of the job: name one that is, or remove startAfter'.format([l[0], self[l[0]].startAfter.replicaType]))[0]"
// +kubebuilder:validation:XValidation:rule="self.all(t, !has(self[t].startAfter) || !(self[t].startAfter.replicaType in self)) || [self.filter(t, !has(self[t].startAfter) || !(self[t].startAfter.replicaType in self) || self[t].startAfter.replicaType == t)].map(a, self.filter(t, t in a || self[t].startAfter.replicaType in a)).map(a, self.filter(t, t in a || self[t].startAfter.replicaType in a)).map(a, self.filter(t, t in a || self[t].startAfter.replicaType in a)).map(a, self.filter(t, t in a || self[t].startAfter.replicaType in a))[0].size() == self.size()",message="replica types start after each other, so none of them ever starts: remove startAfter of one of them"
type ReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec

// get returns the spec of a type in whatever letter case, or nil: jobs of before may
// have types in another one. The spelling of the API is looked for first.
func (r ReplicaSpecs) get(t commonv1.ReplicaType) *commonv1.ReplicaSpec {
	if spec, ok := r[t]; ok {
		return spec
	}
	for _, key := range r.types() {
		if strings.EqualFold(string(key), string(t)) {
			return r[key]
		}
	}
	return nil
}

// types lists the keys in a stable order.
func (r ReplicaSpecs) types() []commonv1.ReplicaType {
	out := make([]commonv1.ReplicaType, 0, len(r))
	for t := range r {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}
