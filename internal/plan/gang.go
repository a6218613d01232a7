package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Gang is what the gang scheduler reports about a job's pods.
type Gang struct {
	// Group is the name of the group that pods created by another operator are members of.
	// Missing pods join it. It is empty if the job's group has its own name.
	Group string
	// Hold is true when no pods should be created yet.
	Hold bool
	// Why is why they wait, or empty.
	Why string
	// Since is when they began to wait.
	Since time.Time
}

// reasonGangWaits ends the reason of the condition Stalled of a job whose pods wait
// until they can start together.
const reasonGangWaits = "WaitingForGang"

// waitForGang creates no pod while the gang scheduler holds them back. It does not apply to a
// gang that has pods: one that was preempted in part gets its missing pods, whatever the
// scheduler reports about its group meanwhile.
func waitForGang(d *decision) bool {
	if !d.in.gangHolds() {
		return false
	}
	clearStalled(d)
	if !slices.ContainsFunc(d.plan.Actions, func(a Action) bool { return StepOf(a) == StepCreateObject }) {
		reportWaits(d)
	}
	return true
}

// gangHolds reports whether no pod is created because of the gang scheduler.
func (in *Input) gangHolds() bool {
	return in.Gang != nil && in.Gang.Hold && !slices.ContainsFunc(in.Pods, IsLive)
}

// IsLive reports whether a pod is neither terminal nor terminating.
func IsLive(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

// gangWaitsFor says why the gang waits and since when, or "" if it does not: what the
// scheduler reports about a pod, and about the group as a whole.
func (d *decision) gangWaitsFor() (string, time.Time) {
	switch g := d.in.Gang; {
	case g == nil:
		return "", time.Time{}
	case !d.in.gangHolds():
		return d.podsWaitFor(g)
	case g.Why == "":
		return "", time.Time{}
	default:
		return fmt.Sprintf("%s waits until all its pods can start together: %s", d.jobName(), g.Why), g.Since
	}
}

// podsWaitFor says why existing pods have no node.
func (d *decision) podsWaitFor(g *Gang) (string, time.Time) {
	unbound, total, why, since := 0, 0, "", g.Since
	d.tally.each(func(s *replica) {
		total++
		if s.pod == nil || !IsLive(s.pod) || s.pod.Spec.NodeName != "" {
			return
		}
		unbound++
		c := unschedulable(s.pod)
		// For most pods the scheduler only repeats what it reports about the group.
		if c == nil || why != "" || g.Why != "" && strings.Contains(c.Message, g.Why) {
			return
		}
		why = c.Message
		if g.Why == "" {
			since = c.LastTransitionTime.Time
		}
	})
	if why = strings.TrimSpace(why + " " + g.Why); unbound == 0 || why == "" {
		return "", time.Time{}
	}
	return fmt.Sprintf("%s waits for %d of %d pods to fit: %s", d.jobName(), unbound, total, why), since
}
