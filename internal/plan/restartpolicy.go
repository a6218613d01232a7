package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// warnOfRestartPolicy emits one warning if the restart policy of a pod template is not
// used.
func (d *decision) warnOfRestartPolicy() {
	for _, t := range d.in.types() {
		spec := d.in.Replicas[t]
		if p := spec.Template.Spec.RestartPolicy; p != "" && p != d.in.podRestartPolicy(t) {
			d.event(true, "SetPodTemplateRestartPolicy", fmt.Sprintf(
				"The restartPolicy %s in the pod template of %s is not used: restartPolicy of the replica spec, %s, decides.",
				p, t, spec.RestartPolicy))
		}
	}
}

// podRestartPolicy is the restart policy of the pods of a replica type. In a job that
// restarts as a whole the node restarts nothing: a single restarted container could not join
// the others, which would continue or hang, and the operator would not notice. In a very
// large job the node restarts nothing either: the status has no room to count such restarts
// exactly.
func (in *Input) podRestartPolicy(t commonv1.ReplicaType) corev1.RestartPolicy {
	if in.scopeOf(t) != commonv1.RestartScopeReplica || jobkit.Count(in.Replicas) > MaxInPlace {
		return corev1.RestartPolicyNever
	}
	switch in.Replicas[t].RestartPolicy {
	case commonv1.RestartPolicyAlways:
		return corev1.RestartPolicyAlways
	case commonv1.RestartPolicyOnFailure:
		return corev1.RestartPolicyOnFailure
	case commonv1.RestartPolicyNever, commonv1.RestartPolicyExitCode:
		return corev1.RestartPolicyNever
	default:
		return corev1.RestartPolicyNever
	}
}
