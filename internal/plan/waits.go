package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Endings of the reasons of the condition Stalled of a job that waits, beside
// reasonGangWaits.
const (
	// reasonTerminating: pods were deleted and still exist.
	reasonTerminating = "PodStuckTerminating"
	// reasonClaimTerminating: volume claims of missing pods were deleted and still exist.
	reasonClaimTerminating = "VolumeClaimStuckTerminating"
	// reasonGated: pods have scheduling gates.
	reasonGated = "SchedulingGated"
)

const (
	// waitPatience is how long a job may wait before it reports this: a scheduler, for
	// example, takes a moment to process its pods.
	waitPatience = 10 * time.Second
	// waitSteady is how long a reported message stays unchanged. Schedulers write another
	// message at every attempt.
	waitSteady = time.Minute
	// requestDoubt is how far apart two processes may know the end of a pod's grace period. What one
	// of them reports, the other does not take back.
	requestDoubt = 2 * time.Second
)

// wait is something outside that the pods of a job wait for, which is not a mistake.
// It has its own reason of the condition Stalled, which [reportWaits] alone sets and
// clears, independently of what can be created.
type wait struct {
	// reason is the ending of the reason; why is the message, or "" if the job does not
	// wait for that.
	reason, why string
	// pod is the first of those that wait, if they are pods.
	pod PodRef
	// since is when the wait began; patience is how long it may take.
	since    time.Time
	patience time.Duration
}

// possibleWaits are all that a job may wait for. The first that takes too long is reported.
func (d *decision) possibleWaits() []wait {
	return []wait{d.terminatingWaits(), d.claimWaits(), d.gatedWaits(), d.gangWaits(), d.startWaits(), d.orderWaits(), d.avoidWaits()}
}

// reportWaits reports what the pods of the job wait for, if that takes long. Other reasons
// to be stalled take precedence.
func reportWaits(d *decision) bool {
	stalled, said := d.plan.Status.Condition(commonv1.JobStalled), d.isStalledByWait()
	if stalled != nil && !said {
		return false
	}
	var next wait
	steady := time.Time{}
	for _, w := range d.possibleWaits() {
		says := said && stalled.Reason == d.reason(w.reason)
		due := w.since.Add(w.patience)
		switch {
		case w.why == "":
			continue
		case says:
			// What is reported still holds.
			steady = stalled.LastUpdateTime.Add(waitSteady)
		case d.in.Now.Before(due):
			d.requeueAt(due)
			continue
		}
		if next.why == "" {
			next = w
		}
	}
	switch {
	case next.why == "":
		if said {
			d.remove(commonv1.JobStalled)
		}
	case said && stalled.Reason == d.reason(next.reason) && stalled.Message == next.why:
	case d.in.Now.Before(steady):
		d.requeueAt(steady)
	default:
		n := len(d.plan.Events)
		d.setTrue(commonv1.JobStalled, d.reason(next.reason), next.why)
		d.eventsAreAbout(n, next.pod)
	}
	return false
}

// isStalledByWait reports whether the job is stalled because it waits.
func (d *decision) isStalledByWait() bool {
	c := d.plan.Status.Condition(commonv1.JobStalled)
	return c != nil && c.Status == corev1.ConditionTrue && slices.Contains([]string{
		d.reason(reasonTerminating), d.reason(reasonClaimTerminating), d.reason(reasonGated), d.reason(reasonGangWaits),
		d.reason(reasonNotStarting), d.reason(reasonStartOrder), d.reason(reasonAvoidedNodeNeeded),
	}, c.Reason)
}

// gangWaits says why the gang waits.
func (d *decision) gangWaits() wait {
	why, since := d.gangWaitsFor()
	return wait{reason: reasonGangWaits, why: why, since: since, patience: waitPatience}
}

// terminatingWaits says which pods were deleted and still exist. As long as one exists, no
// other pod of its name can be created, and only its node knows whether it still runs. One of a
// replica that the job wants no more is reported if the others of its gang wait for it.
func (d *decision) terminatingWaits() wait {
	w := wait{reason: reasonTerminating, patience: terminationMargin}
	var names []string
	advice := ""
	if d.stalledFor(w.reason) != nil {
		w.patience -= requestDoubt
	}
	add := func(s *replica) {
		if s.pod == nil || s.state == jobkit.Active || s.pod.DeletionTimestamp == nil || s.state == jobkit.Succeeded || d.isLeftAlone(s) {
			return
		}
		what, overdue := d.adviceFor(s.pod), s.pod.DeletionTimestamp.Add(w.patience)
		switch {
		case what == "":
		case d.in.Now.Before(overdue):
			d.requeueAt(overdue)
		default:
			if len(names) == 0 {
				w.pod = refTo(s.pod)
			}
			names, advice = append(names, whereIs(s.pod)), cmp.Or(advice, what)
		}
	}
	d.tally.each(add)
	for i := range d.tally.unwanted {
		if s := &d.tally.unwanted[i]; d.holdsUp(s) {
			add(s)
		}
	}
	if len(names) > 0 {
		w.why = fmt.Sprintf("%s waits for pod %s, deleted and still terminating: %s", d.jobName(), andMore(names), advice)
	}
	return w
}

// whereIs names a pod, and its node if it has one.
func whereIs(p *corev1.Pod) string {
	if p.Spec.NodeName == "" {
		return p.Name
	}
	return p.Name + " on node " + p.Spec.NodeName
}

// adviceFor says what keeps a pod that should be gone, and what to do about it; "" if the
// job itself deletes it in this pass.
func (d *decision) adviceFor(p *corev1.Pod) string {
	if d.in.isForceDeleted(p) {
		if len(p.Finalizers) == 0 {
			return ""
		}
		return fmt.Sprintf("its finalizer %s keeps it, and the client that set it must remove it.", strings.Join(p.Finalizers, ", "))
	}
	if why, _ := d.forceDeleteReason(p); why != "" {
		return ""
	}
	if after := notNegative(d.in.RunPolicy.ForceDeleteAfterSeconds); after != nil {
		return fmt.Sprintf("its node does not answer; it is deleted by force after runPolicy.forceDeleteAfterSeconds, which is %d.", *after)
	}
	return "its node does not answer. Bring the node back; if it is dead, delete the node or give it the taint " +
		corev1.TaintNodeOutOfService + "; or set runPolicy.forceDeleteAfterSeconds."
}

// gatedWaits says which pods are held back by scheduling gates, for example by a queue: no
// scheduler processes them. A gang of which one is held back does not start.
func (d *decision) gatedWaits() wait {
	w := wait{reason: reasonGated, patience: waitPatience}
	var names, gates []string
	d.tally.each(func(s *replica) {
		if s.pod == nil || s.state == jobkit.Active || s.state == jobkit.Superseded || !IsLive(s.pod) || len(s.pod.Spec.SchedulingGates) == 0 {
			return
		}
		if len(names) == 0 {
			w.pod = refTo(s.pod)
		}
		names = append(names, s.pod.Name)
		w.since = earliest(w.since, s.pod.CreationTimestamp.Time)
		for _, g := range s.pod.Spec.SchedulingGates {
			if !slices.Contains(gates, g.Name) {
				gates = append(gates, g.Name)
			}
		}
	})
	if len(names) > 0 {
		slices.Sort(gates)
		w.why = fmt.Sprintf("%s waits for pod %s, held back by scheduling gates: the client that set %s must remove them.", d.jobName(), andMore(names), andMore(gates))
	}
	return w
}

// andMore lists the first few of many names.
func andMore(names []string) string {
	const few = 3
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
