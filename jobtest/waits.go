package jobtest

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit/internal/plan"
)

// Waits is what a pod waits for before it starts.
type Waits string

// What pods wait for.
const (
	// WaitsForRoom: the scheduler finds no node for it.
	WaitsForRoom Waits = "room"
	// WaitsForClaim: its volume claim is not bound, so that the scheduler finds no node for it.
	WaitsForClaim Waits = "claim"
	// WaitsForImage: its image cannot be pulled. ErrImagePull and ImagePullBackOff take turns.
	WaitsForImage Waits = "image"
	// WaitsForSecret: its environment is from a secret that does not exist.
	WaitsForSecret Waits = "secret"
	// WaitsForVolume: its volumes are not mounted.
	WaitsForVolume Waits = "volume"
	// WaitsForInit: its init container, named setup, fails and runs in turns. In a pod with native
	// sidecars that is the first of them.
	WaitsForInit Waits = "init"
)

const (
	// tryAgain is how long after a failed try to start a pod the next one comes.
	tryAgain = 7 * time.Second
	// maxTries is how many tries are played. Real kubelets go on, but a World is to come to rest.
	maxTries = 8
)

// waitsNow reports whether a pod is kept from starting by what it waits for: some things it
// waits for before it has a node, others after.
func (l *life) waitsNow(pod *corev1.Pod) bool {
	switch l.fate.Waits {
	case "":
		return false
	case WaitsForRoom, WaitsForClaim:
		return pod.Spec.NodeName == ""
	default:
		return pod.Spec.NodeName != "" && !l.running
	}
}

// startsNow reports whether a pod has waited for long enough.
func (l *life) startsNow(now time.Time) bool {
	return !l.fate.Stuck && !now.Before(l.created.Add(l.fate.Start))
}

// dueTry is when the next try to start a pod comes, or it starts; ok is false if neither does.
func (k *kubelet) dueTry(l *life, pod *corev1.Pod) (at time.Time, ok bool) {
	start := l.created.Add(l.fate.Start)
	switch {
	case k.held(pod):
		return at, false
	case l.tries == maxTries || !l.fate.Stuck && l.tries > 0 && start.Before(l.tried.Add(tryAgain)):
		return start, !l.fate.Stuck
	case l.tries == 0:
		return l.created, true
	default:
		return l.tried.Add(tryAgain), true
	}
}

// try has a try to start a pod fail, and says in the pod's status what it does.
func (k *kubelet) try(l *life, pod *corev1.Pod) string {
	l.tries, l.tried = l.tries+1, k.server.now()
	k.update(pod, func(p *corev1.Pod) {
		now := metav1.NewTime(k.server.now().Truncate(time.Second))
		waiting := func(reason, message string) []corev1.ContainerStatus {
			return []corev1.ContainerStatus{{
				Name: p.Spec.Containers[0].Name, Image: p.Spec.Containers[0].Image,
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
			}}
		}
		switch l.fate.Waits {
		case WaitsForRoom:
			noNode(p, now, fmt.Sprintf("0/%d nodes are available: %d Insufficient cpu.", k.nodes, k.nodes))
		case WaitsForClaim:
			noNode(p, now, "pod has unbound immediate PersistentVolumeClaims.")
		case WaitsForImage:
			reason := []string{"ErrImagePull", "ImagePullBackOff"}[(l.tries+1)%2]
			p.Status.ContainerStatuses = waiting(reason, fmt.Sprintf("dial tcp 10.0.0.1:%d: i/o timeout", 40000+l.tries))
		case WaitsForSecret:
			p.Status.ContainerStatuses = waiting("CreateContainerConfigError", `secret "keys" not found`)
		case WaitsForVolume:
			p.Status.ContainerStatuses = waiting("ContainerCreating", "")
			p.Status.Conditions = []corev1.PodCondition{{
				Type: corev1.PodReadyToStartContainers, Status: corev1.ConditionFalse, LastTransitionTime: k.clock(p, now.Time),
			}}
		case WaitsForInit:
			setup := corev1.ContainerStatus{Name: "setup", State: corev1.ContainerState{Terminated: k.terminated(p, k.server.now(), 1, k.server.now())}}
			if l.tries%2 == 0 {
				setup.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off"}}
				setup.LastTerminationState.Terminated = k.terminated(p, k.server.now(), 1, k.server.now())
			}
			if sidecars := plan.Sidecars(p); len(sidecars) > 0 {
				setup.Name, setup.RestartCount = sidecars[0].Name, int32(l.tries) //nolint:gosec // a handful
			}
			p.Status.InitContainerStatuses, p.Status.ContainerStatuses = []corev1.ContainerStatus{setup}, waiting("PodInitializing", "")
		}
	})
	return "waits for " + string(l.fate.Waits)
}

// noNode sets what the scheduler says of a pod for which it finds no node.
func noNode(p *corev1.Pod, now metav1.Time, message string) {
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: message, LastTransitionTime: now,
	}}
}

// scheduled sets that a pod has a node.
func scheduled(p *corev1.Pod, now metav1.Time) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: now}}
}

// beganAt is when a pod first ran, zero if it has not.
func (k *kubelet) beganAt(pod *corev1.Pod) time.Time {
	for _, l := range k.lives {
		if l.uid == pod.UID {
			return l.began
		}
	}
	return time.Time{}
}
