package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// maxNodes is how many avoided nodes are named.
const maxNodes = 6

// deadlineSteps are what follows unless the job goes on in time, the next first.
func (k *known) deadlineSteps(replicas []replica) []Step {
	steps := []Step{}
	if limit, start := k.policy.ActiveDeadlineSeconds, k.status.StartTime; limit != nil && start != nil {
		steps = append(steps, Step{
			Text: fmt.Sprintf("The job fails unless it has ended (activeDeadlineSeconds %d).", *limit), At: millis(later(start, *limit)),
		})
	}
	steps = append(steps, k.startDeadline(replicas)...)
	steps = append(steps, k.hang(replicas)...)
	slices.SortStableFunc(steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	return steps
}

// startDeadline is what follows unless pods start in time. Of an elastic job some may be late.
func (k *known) startDeadline(replicas []replica) []Step {
	limit := k.policy.StartDeadlineSeconds
	if limit == nil {
		return nil
	}
	var first time.Time
	name := ""
	for i := range replicas {
		r := &replicas[i]
		if r.pod == nil {
			continue
		}
		due := plan.StartDue(&k.policy, k.status, r.pod, r.typ, r.index, heldBack(r.pod))
		if !due.IsZero() && (first.IsZero() || due.Before(first)) {
			first, name = due, replicaName(r.typ, r.index)
		}
	}
	if first.IsZero() {
		return nil
	}
	then := "The job fails"
	if a := k.policy.OnStartDeadline; a != nil && *a == commonv1.StartDeadlineRestartJob {
		then = "The whole job restarts"
	}
	return []Step{{Text: fmt.Sprintf("%s unless %s has started (startDeadlineSeconds %d).", then, name, *limit), At: millis(first)}}
}

// heldBack reports whether something may hold a pod back before it gets a node: a gang
// scheduler, or a queue.
func heldBack(pod *corev1.Pod) bool {
	return pod.Spec.SchedulingGroup != nil || len(pod.Spec.SchedulingGates) > 0 ||
		pod.Spec.SchedulerName != "" && pod.Spec.SchedulerName != corev1.DefaultSchedulerName
}

// hang is what follows unless the job shows progress in time, or now that it has not.
func (k *known) hang(replicas []replica) []Step {
	p := k.policy.ProgressPolicy
	if p == nil {
		return nil
	}
	if c := k.status.Condition(commonv1.JobHung); c != nil && c.Status != corev1.ConditionFalse {
		return []Step{{Text: text(c.Message), Waits: true}}
	}
	what, due := "reports progress", k.reportDue(replicas)
	if p.Source == commonv1.ProgressSourceReadiness {
		what, due = "is ready", k.readyDue(replicas)
	}
	if due.at.IsZero() {
		return nil
	}
	then := map[commonv1.ProgressAction]string{
		commonv1.ProgressActionRestartReplica: due.name + " restarts", commonv1.ProgressActionRestartJob: "The whole job restarts",
		commonv1.ProgressActionFailJob: "The job fails",
	}[p.Action]
	if then == "" {
		then = "The job is Hung"
	}
	return []Step{{Text: fmt.Sprintf("%s unless %s %s (progressPolicy.%s %d).", then, due.name, what, due.field, due.limit), At: millis(due.at)}}
}

// silence is until when a replica must show progress, and by which limit.
type silence struct {
	at    time.Time
	name  string
	field string
	limit int64
}

// within is that silence for a replica, from a time on; none if there is no limit.
func (k *known) within(r *replica, since time.Time, started bool) silence {
	limit, field := k.policy.ProgressPolicy.StartTimeoutSeconds, "startTimeoutSeconds"
	if started {
		limit, field = k.policy.ProgressPolicy.StallTimeoutSeconds, "stallTimeoutSeconds"
	}
	if limit == nil || since.IsZero() {
		return silence{}
	}
	return silence{since.Add(time.Duration(*limit) * time.Second), replicaName(r.typ, r.index), field, *limit}
}

// reportDue is when the next report must come: after the last one, or once all run. Nothing is
// expected while replicas do not run, nor after a report of 100 percent.
func (k *known) reportDue(replicas []replica) silence {
	first, since := allRun(replicas)
	if first == nil {
		return silence{}
	}
	last := k.status.TrainerStatus
	if last == nil || last.Reporter == nil || last.ReceivedTime == nil {
		return k.within(first, since, false)
	}
	i := slices.IndexFunc(replicas, func(r replica) bool { return r.pod != nil && r.pod.Name == last.Reporter.Pod })
	switch {
	case i < 0:
		return k.within(first, since, false)
	case replicas[i].pod.UID != last.Reporter.PodUID:
		return k.within(&replicas[i], since, false)
	case last.ProgressPercentage != nil && *last.ProgressPercentage >= 100, replicas[i].square != SquareRunning:
		return silence{}
	}
	if last.ReceivedTime.After(since) {
		since = last.ReceivedTime.Time
	}
	return k.within(&replicas[i], since, true)
}

// allRun is the first replica that runs, and since when all do that have not succeeded; nil if
// they do not.
func allRun(replicas []replica) (first *replica, since time.Time) {
	for i := range replicas {
		r := &replicas[i]
		if r.square == SquareSucceeded {
			continue
		}
		if r.square != SquareRunning {
			return nil, time.Time{}
		}
		if first == nil {
			first = r
		}
		if began, _ := ran(r.pod); began.After(since) {
			since = began
		}
	}
	return first, since
}

// readyDue is when the first replica that is not ready must be.
func (k *known) readyDue(replicas []replica) silence {
	var first silence
	for i := range replicas {
		r := &replicas[i]
		if r.square != SquareRunning {
			continue
		}
		at := slices.IndexFunc(r.pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
		if at < 0 || r.pod.Status.Conditions[at].Status == corev1.ConditionTrue {
			continue
		}
		began, _ := ran(r.pod)
		since, lost := began, r.pod.Status.Conditions[at].LastTransitionTime.Time
		if lost.After(began) {
			since = lost
		}
		if due := k.within(r, since, lost.After(began)); !due.at.IsZero() && (first.at.IsZero() || due.at.Before(first.at)) {
			first = due
		}
	}
	return first
}

// avoidSteps say which nodes new pods avoid.
func (k *known) avoidSteps() []Step {
	p := k.policy.AvoidNodes
	nodes := plan.AvoidedNodes(p, k.status.FailedNodes, k.Now)
	if len(nodes) == 0 {
		return nil
	}
	var names []string
	for _, n := range slices.Backward(nodes) {
		names = append(names, text(n.Name))
	}
	if len(names) > maxNodes {
		names = append(names[:maxNodes], fmt.Sprintf("%d more", len(names)-maxNodes))
	}
	how := "if they can"
	if p.Mode == commonv1.AvoidNodesRequired {
		how = "even if they have to wait"
	}
	if p.ForSeconds != nil {
		how += fmt.Sprintf(", each for %s after its last failure", shortDuration(*p.ForSeconds))
	}
	return []Step{{Text: fmt.Sprintf("New pods avoid %s, %s (avoidNodes).", strings.Join(names, ", "), how), Waits: true}}
}
