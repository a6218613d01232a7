package plan

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
)

// reasonNotStarting ends the reason of the condition Stalled of a job whose pods do not start.
const reasonNotStarting = "PodsNotStarting"

const (
	// podPatience is how long after its creation a pod may take to start before its job says
	// why it does not.
	podPatience = 30 * time.Second
	// initPatience is the same for a pod whose init container runs: that is the user's own
	// program, which may have much to do.
	initPatience = 5 * time.Minute
)

// How the message of a job whose pods do not start names the first of them.
const (
	firstOfThem = ", the first of them "
	endOfName   = ": "
)

// startRank orders the causes by how much they say. Those that someone must fix come first.
type startRank int

const (
	_                 startRank = iota
	startRefused                // a container cannot be made from what its template says
	startCrashes                // an init container fails again and again
	startNoRoom                 // the scheduler finds no node
	startUnprepared             // the node does not get its volumes or its network ready
	startUnheard                // neither a scheduler nor a node says anything
	startBeingCreated           // the node makes the containers, and pulls their images
	startInitRuns               // an init container runs
)

// startCause is why a pod has not started, as its own status has it.
type startCause struct {
	rank startRank
	// container is the one that does not start, with init set if it is an init container.
	container *corev1.ContainerStatus
	init      bool
}

// startWaits says why pods have not started that were created a while ago: how many, and why
// the first of those whose cause says most. What is said stays as it is while the cause is of
// the same class, because kubelets and schedulers use other words at every try; and while the
// pod that it names is replaced, which is no start.
func (d *decision) startWaits() wait {
	w := wait{reason: reasonNotStarting}
	said := d.saidOfStarts()
	named := d.tally.replicaOf(nameIn(said))
	goesOn := named != nil && d.startsAgain(named)
	var first *replica
	var why startCause
	waiting, moves := 0, false
	d.tally.each(func(s *replica) {
		if !d.shouldStart(s) {
			return
		}
		waiting++
		c := startCauseOf(s.pod)
		due := s.pod.CreationTimestamp.Add(c.patience())
		if late := !d.in.Now.Before(due); said != "" && late {
			// If it got a node only now, that may take its time, too.
			due = later(due, scheduledAt(s.pod).Add(c.patience()))
			goesOn = goesOn || d.in.Now.Before(due)
			moves = moves || s == named && d.in.Now.Before(due)
		}
		switch {
		case d.in.Now.Before(due):
			d.requeueAt(due)
		case first == nil, c.rank < why.rank, c.rank == why.rank && s == named:
			first, why = s, c
		}
	})
	if first == nil || moves {
		return w.saying(said, goesOn)
	}
	w.pod, w.why = refTo(first.pod), d.sayStarts(said, first, why, waiting)
	return w
}

// saying is the wait that repeats what was said, if it goes on.
func (w wait) saying(said string, goesOn bool) wait {
	if goesOn {
		w.why = said
	}
	return w
}

// sayStarts says how many pods have not started, and why the first has not. It repeats what was
// said as long as that is the same but for the words of the kubelet or scheduler.
func (d *decision) sayStarts(said string, first *replica, why startCause, waiting int) string {
	what, words := why.describe(first.pod)
	head := fmt.Sprintf("%s waits for %d of %d pods to start%s%s%s%s",
		d.jobName(), waiting, d.tally.size(), firstOfThem, first.pod.Name, endOfName, what)
	if rest, same := strings.CutPrefix(said, head); same && rest != "" {
		return said
	}
	return head + words
}

// scheduledAt is when a pod got its node, zero if it has none or nothing says so.
func scheduledAt(p *corev1.Pod) time.Time {
	if c := podCondition(p, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionTrue {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

// saidOfStarts is what the job says of pods that do not start, "" if it says nothing of them.
func (d *decision) saidOfStarts() string {
	if c := d.stalledFor(reasonNotStarting); c != nil {
		return c.Message
	}
	return ""
}

// nameIn is the name of the pod that a message of startWaits names.
func nameIn(message string) string {
	_, rest, _ := strings.Cut(message, firstOfThem)
	name, _, _ := strings.Cut(rest, endOfName)
	return name
}

// shouldStart reports whether a replica has a pod that has not started and waits for nothing
// that is told otherwise: scheduling gates, and of a gang the others.
func (d *decision) shouldStart(s *replica) bool {
	return s.state == jobkit.Pending && IsLive(s.pod) && !d.superseded(s) && len(s.pod.Spec.SchedulingGates) == 0 &&
		(d.in.Gang == nil || s.pod.Spec.NodeName != "") && !s.pod.CreationTimestamp.IsZero() && !startsOver(s.pod)
}

// startsAgain reports whether a replica whose pod did not start gets another one, or has it
// and it did not start yet.
func (d *decision) startsAgain(s *replica) bool {
	switch s.state {
	case jobkit.Missing:
		return len(d.startsAfter(s.typ)) == 0
	case jobkit.Pending:
		return d.superseded(s) || d.shouldStart(s)
	case jobkit.Terminating, jobkit.Superseded:
		return s.pod.Status.Phase == corev1.PodPending
	default:
		return false
	}
}

// patience is how long after its creation a pod may not have started for this cause.
func (c *startCause) patience() time.Duration {
	if c.rank == startInitRuns {
		return initPatience
	}
	return podPatience
}

// startsOver reports whether a pod that has run starts again, and none of its containers waits for
// more than its turn.
func startsOver(p *corev1.Pod) bool {
	if !hasRun(p) {
		return false
	}
	c := startCauseOf(p).container
	return c == nil || !Refuses(c) && (c.State.Waiting == nil || c.State.Waiting.Reason != waitsAfterCrash)
}

// startCauseOf reads out of the status of a pod why it has not started.
func startCauseOf(p *corev1.Pod) startCause {
	if p.Spec.NodeName == "" {
		c := podCondition(p, corev1.PodScheduled)
		if c != nil && c.Status == corev1.ConditionFalse && c.Reason != corev1.PodReasonSchedulingGated {
			return startCause{rank: startNoRoom}
		}
		return startCause{rank: startUnheard}
	}
	sidecars := Sidecars(p)
	for i := range p.Status.InitContainerStatuses {
		c := &p.Status.InitContainerStatuses[i]
		if initDone(c, named(sidecars, c.Name)) {
			continue
		}
		switch {
		case Refuses(c):
			return startCause{rank: startRefused, container: c, init: true}
		case crashes(c):
			return startCause{rank: startCrashes, container: c, init: true}
		case c.State.Running != nil:
			return startCause{rank: startInitRuns, container: c, init: true}
		}
		return startCause{rank: unprepared(p), container: c, init: true}
	}
	var waits *corev1.ContainerStatus
	for i := range p.Status.ContainerStatuses {
		switch c := &p.Status.ContainerStatuses[i]; {
		case Refuses(c):
			return startCause{rank: startRefused, container: c}
		case crashes(c):
			return startCause{rank: startCrashes, container: c}
		case waits == nil && c.State.Running == nil:
			waits = c
		}
	}
	return startCause{rank: unprepared(p), container: waits}
}

// unprepared says what a node is at that has not made the containers of a pod yet.
func unprepared(p *corev1.Pod) startRank {
	c := podCondition(p, corev1.PodReadyToStartContainers)
	switch {
	case c != nil && c.Status == corev1.ConditionFalse:
		return startUnprepared
	case c == nil && len(p.Status.InitContainerStatuses)+len(p.Status.ContainerStatuses) == 0:
		return startUnheard
	default:
		return startBeingCreated
	}
}

// initDone reports whether an init container is out of the way of the next.
func initDone(c *corev1.ContainerStatus, sidecar bool) bool {
	if sidecar {
		return c.Started != nil && *c.Started
	}
	return c.State.Terminated != nil && c.State.Terminated.ExitCode == 0
}

// Reasons of containers that wait. Those of an image come and go in turns.
const (
	waitsForOthers  = "PodInitializing"
	waitsForNode    = "ContainerCreating"
	waitsToRunAgain = "RestartingAllContainers"
	waitsAfterCrash = "CrashLoopBackOff"
)

// Refuses reports whether the kubelet says why it cannot make or start a container.
func Refuses(c *corev1.ContainerStatus) bool {
	if c.State.Waiting == nil {
		return false
	}
	switch c.State.Waiting.Reason {
	case "", waitsForOthers, waitsForNode, waitsToRunAgain, waitsAfterCrash:
		return false
	}
	return true
}

// crashes reports whether a container has ended with an error and is started again, if it was.
func crashes(c *corev1.ContainerStatus) bool {
	ended := c.State.Terminated
	return c.RestartCount > 0 || ended != nil && ended.ExitCode != 0 || c.State.Waiting != nil && c.State.Waiting.Reason == waitsAfterCrash
}

// WaitingImage is the image of a container that waits, if the image is why; a cache that
// drops images keeps these.
func WaitingImage(c *corev1.ContainerStatus) string {
	if c.State.Waiting == nil {
		return ""
	}
	switch c.State.Waiting.Reason {
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed",
		"InvalidImageName", "ErrImageNeverPull":
		return cutText(c.Image, MaxFailureMessage)
	}
	return ""
}

// WaitingMessage is what of a kubelet's message about a container that waits is used: without
// what its reason says anyway, and shortened.
func WaitingMessage(c *corev1.ContainerStatus) string {
	if !Refuses(c) {
		return ""
	}
	message := c.State.Waiting.Message
	if back, ok := strings.CutPrefix(message, "Back-off pulling image "); ok {
		_, message, _ = strings.Cut(back, `": `)
	}
	return cutText(strings.TrimPrefix(message, "ErrImagePull: "), MaxFailureMessage)
}

// describe says what keeps a pod from starting, in words that stay the same as long as the
// cause does, and the words of the scheduler or the kubelet, which may vary.
func (c *startCause) describe(p *corev1.Pod) (what, words string) {
	switch c.rank {
	case startRefused:
		return c.refusal(), colon(WaitingMessage(c.container))
	case startCrashes:
		return c.name() + " fails again and again", colon(howItEnded(c.container))
	case startNoRoom:
		return "the scheduler finds no node for it", colon(podCondition(p, corev1.PodScheduled).Message)
	case startUnprepared:
		return fmt.Sprintf("node %s does not get its volumes or its network ready, the events of the pod say why", p.Spec.NodeName), ""
	case startUnheard:
		if p.Spec.NodeName == "" {
			return "no scheduler takes it up", ""
		}
		return fmt.Sprintf("node %s does not take it up", p.Spec.NodeName), ""
	case startInitRuns:
		return c.name() + " still runs", ""
	default:
		return fmt.Sprintf("node %s still creates %s, and pulls its image if it does not have it", p.Spec.NodeName, c.name()), ""
	}
}

// refusal says what is wrong with a container that the kubelet cannot make or start.
func (c *startCause) refusal() string {
	image := fmt.Sprintf("image %q of %s ", WaitingImage(c.container), c.name())
	switch reason := c.container.State.Waiting.Reason; reason {
	case "ErrImagePull", "ImagePullBackOff", "RegistryUnavailable", "ImageInspectError", "SignatureValidationFailed":
		return image + "cannot be pulled"
	case "InvalidImageName":
		return image + "is no valid name of an image"
	case "ErrImageNeverPull":
		return image + "is not on the node, and imagePullPolicy is Never"
	case "CreateContainerConfigError":
		return c.name() + " cannot be configured"
	case "CreateContainerError", "PreCreateHookError":
		return c.name() + " cannot be created"
	case "RunContainerError", "PreStartHookError", "PostStartHookError":
		return c.name() + " cannot be started"
	default:
		return fmt.Sprintf("%s waits because of %s", c.name(), cutText(reason, MaxFailureMessage))
	}
}

// name names the container.
func (c *startCause) name() string {
	switch {
	case c.container == nil:
		return "its containers"
	case c.init:
		return "init container " + c.container.Name
	default:
		return "container " + c.container.Name
	}
}

// howItEnded says how a container ended last, "" if nothing says so any more.
func howItEnded(c *corev1.ContainerStatus) string {
	ended := cmp.Or(c.State.Terminated, c.LastTerminationState.Terminated)
	if ended == nil || ended.ExitCode == 0 {
		return ""
	}
	return failure{exitCode: ended.ExitCode, reason: ended.Reason}.String()
}

func colon(words string) string {
	if words == "" {
		return ""
	}
	return ": " + words
}
