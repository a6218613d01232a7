package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

const (
	// reasonStartOrder ends the reason of the condition Stalled of a job whose replicas wait
	// for others of its replicas.
	reasonStartOrder = "WaitingForReplicas"
	// startPatience is how long that may take before the job reports it: images are large.
	startPatience = 5 * time.Minute
	// schedulerPatience is how long a scheduler may take to process a pod.
	schedulerPatience = 10 * time.Second
)

// missing are the replicas whose pods are to be created now: all that have none, except
// those that start after others. It is empty while pods of an earlier attempt of the job
// exist.
func (d *decision) missing() []*replica {
	if d.tooEarly || d.oldGangExists() {
		return nil
	}
	var out []*replica
	for i := range d.tally.byType {
		tt := &d.tally.byType[i]
		if tt.Count(jobkit.Missing) == 0 || d.oldRoleExists(tt.Type) || len(d.startsAfter(tt.Type)) > 0 {
			continue
		}
		for j := range tt.replicas {
			if s := &tt.replicas[j]; s.state == jobkit.Missing {
				out = append(out, s)
			}
		}
	}
	return out
}

// startsAfter are the replicas that the replicas of a type still wait for.
func (d *decision) startsAfter(t commonv1.ReplicaType) []*replica {
	if after := d.in.Replicas[t].StartAfter; after != nil {
		if before := d.before(after); len(before) > 0 {
			return before
		}
	}
	return d.beforeByRules(t)
}

// beforeByRules are the replicas that those of a type still wait for by the kind's rules.
func (d *decision) beforeByRules(t commonv1.ReplicaType) []*replica {
	var created, ready []*replica
	together := false
	for i := range d.in.Rules.StartAfter {
		r := &d.in.Rules.StartAfter[i]
		if r.Type != t {
			continue
		}
		d.tally.each(func(s *replica) {
			switch {
			case !slices.Contains(r.After, s.typ), s.state == jobkit.Succeeded:
			case !s.hasPod() && !s.isGoneForGood():
				created = append(created, s)
			case r.Ready && !d.ready(s):
				ready = append(ready, s)
				together = together || !s.isGoneForGood() && d.mayWaitForAll(s)
			}
		})
	}
	if together {
		ready = nil
	}
	return append(created, ready...)
}

// hasPod reports whether the pod of a replica's attempt exists and is not terminating.
func (s *replica) hasPod() bool {
	return s.pod != nil && s.pod.DeletionTimestamp == nil && s.state != jobkit.Superseded
}

// ready reports whether a replica runs and, if it has a probe, is ready.
func (d *decision) ready(s *replica) bool {
	if s.state != jobkit.Active || !reportsReadiness(&d.in.Replicas[s.typ].Template.Spec) {
		return s.state == jobkit.Active
	}
	c := podCondition(s.pod, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// reportsReadiness reports whether a pod has a probe or a gate for its readiness.
func reportsReadiness(pod *corev1.PodSpec) bool {
	probed := func(c corev1.Container) bool { return c.ReadinessProbe != nil || c.StartupProbe != nil }
	sidecar := func(c corev1.Container) bool {
		return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways && probed(c)
	}
	return len(pod.ReadinessGates) > 0 || slices.ContainsFunc(pod.Containers, probed) || slices.ContainsFunc(pod.InitContainers, sidecar)
}

// mayWaitForAll reports whether a replica has no node, and its scheduler may need the pods
// of the whole job first.
func (d *decision) mayWaitForAll(s *replica) bool {
	if s.pod.Spec.NodeName != "" {
		return false
	}
	spec := &d.in.Replicas[s.typ].Template.Spec
	if d.in.Gang != nil || spec.SchedulerName != "" && spec.SchedulerName != corev1.DefaultSchedulerName ||
		spec.SchedulingGroup != nil || len(spec.SchedulingGates) > 0 {
		return true
	}
	if c := podCondition(s.pod, corev1.PodScheduled); c != nil {
		return c.Reason == corev1.PodReasonSchedulingGated
	}
	due := s.pod.CreationTimestamp.Add(schedulerPatience)
	if d.in.Now.Before(due) {
		d.requeueAt(due)
		return false
	}
	return true
}

// orderWaits says which replicas others of the job wait for. As long as pods of these are
// missing, their obstacle is reported instead.
func (d *decision) orderWaits() wait {
	if w := d.startAfterWaits(); w.why != "" {
		return w
	}
	w := wait{reason: reasonStartOrder, patience: startPatience}
	var waiting, names []string
	for i := range d.tally.byType {
		tt := &d.tally.byType[i]
		if tt.Count(jobkit.Missing) == 0 {
			continue
		}
		before := slices.DeleteFunc(d.beforeByRules(tt.Type), func(s *replica) bool { return !s.hasPod() })
		if len(before) > 0 {
			waiting = append(waiting, string(tt.Type))
		}
		for _, s := range before {
			if !slices.Contains(names, s.pod.Name) {
				names = append(names, s.pod.Name)
				w.since = earliest(w.since, s.pod.CreationTimestamp.Time)
			}
		}
	}
	if len(names) > 0 {
		w.why = fmt.Sprintf("%s starts %s when the replicas before them run and are ready: check pod %s",
			d.jobName(), strings.Join(waiting, ", "), andMore(names))
	}
	return w
}
