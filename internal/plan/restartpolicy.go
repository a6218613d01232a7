package plan

import (
	"fmt"
	"iter"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// warnOfRestartPolicy emits one warning if the restart policy of a pod template is not
// used, and one if those of its containers are not.
func (d *decision) warnOfRestartPolicy() {
	for _, t := range d.in.types() {
		spec := d.in.Replicas[t]
		if p := spec.Template.Spec.RestartPolicy; p != "" && p != d.in.podRestartPolicy(t) {
			d.event(true, "SetPodTemplateRestartPolicy", fmt.Sprintf(
				"The restartPolicy %s in the pod template of %s is not used: restartPolicy of the replica spec, %s, decides.",
				p, t, spec.RestartPolicy))
		}
		if why := d.in.noRestartsInPlace(t); why != "" {
			d.warnOfContainers(t, why)
		}
	}
}

// warnOfContainers warns of the containers of a type whose own restart policies are not used, and of
// the sidecars whose rules are not.
func (d *decision) warnOfContainers(t commonv1.ReplicaType, why string) {
	spec := &d.in.Replicas[t].Template.Spec
	var names, sidecars []string
	for c := range ordinaryContainers(spec) {
		if c.RestartPolicy != nil || len(c.RestartPolicyRules) > 0 {
			names = append(names, c.Name)
		}
	}
	for i := range spec.InitContainers {
		if c := &spec.InitContainers[i]; isSidecar(c) && len(c.RestartPolicyRules) > 0 {
			sidecars = append(sidecars, c.Name)
		}
	}
	if len(names) > 0 {
		d.event(true, "SetPodTemplateRestartPolicy", fmt.Sprintf(
			"The restartPolicy of container %s in the pod template of %s is not used: %s the node restarts no container.", andMore(names), t, why))
	}
	if len(sidecars) > 0 {
		d.event(true, "SetPodTemplateRestartPolicy", fmt.Sprintf(
			"The restartPolicyRules of sidecar %s in the pod template of %s are not used: %s the node restarts no other container.",
			andMore(sidecars), t, why))
	}
}

// ordinaryContainers are the containers and init containers of a pod that are no sidecars.
func ordinaryContainers(spec *corev1.PodSpec) iter.Seq[*corev1.Container] {
	return func(yield func(*corev1.Container) bool) {
		for i := range spec.InitContainers {
			if c := &spec.InitContainers[i]; !isSidecar(c) && !yield(c) {
				return
			}
		}
		for i := range spec.Containers {
			if !yield(&spec.Containers[i]) {
				return
			}
		}
	}
}

// setRestartPolicy sets the restart policy of a new pod. Where the node must restart nothing, no
// container has a policy of its own, which would go before that of the pod. Sidecars keep theirs,
// which makes them sidecars: the job does not depend on how often they run. They keep no rules: one
// may restart all containers of the pod (RestartAllContainers).
func setRestartPolicy(in *Input, t commonv1.ReplicaType, pod *corev1.Pod) {
	pod.Spec.RestartPolicy = in.podRestartPolicy(t)
	if in.noRestartsInPlace(t) == "" {
		return
	}
	for c := range ordinaryContainers(&pod.Spec) {
		c.RestartPolicy, c.RestartPolicyRules = nil, nil
	}
	for i := range pod.Spec.InitContainers {
		pod.Spec.InitContainers[i].RestartPolicyRules = nil
	}
}

// noRestartsInPlace says where the node restarts no container in place, as messages begin with it,
// or "". In a job or a role that restarts as a whole a single restarted container could not join the
// others, which would continue or hang, and the operator would not notice. In a very large job the
// status has no room to count such restarts exactly.
func (in *Input) noRestartsInPlace(t commonv1.ReplicaType) string {
	if scope := in.scopeOf(t); scope != commonv1.RestartScopeReplica {
		return fmt.Sprintf("with restartScope %s", scope)
	}
	if jobkit.Count(in.Replicas) > MaxInPlace {
		return fmt.Sprintf("in a job of more than %d replicas", MaxInPlace)
	}
	return ""
}

// podRestartPolicy is the restart policy of the pods of a replica type.
func (in *Input) podRestartPolicy(t commonv1.ReplicaType) corev1.RestartPolicy {
	if in.noRestartsInPlace(t) != "" {
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
