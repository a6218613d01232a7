package simulate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/jobtest"
)

// recorder makes the timeline from what it sees.
type recorder struct {
	timeline *Timeline
	decoded  *Decoded
	now      func() time.Duration
	// said are the messages of conditions, which events repeat.
	said map[string]bool
	// ended is when the job ended, over whether it did or is gone.
	ended time.Duration
	over  bool
	// given are the volume claims that existed before the job.
	given []string
	// killed are the pods that are being deleted.
	killed map[string]bool
}

// add appends an entry with the present time.
func (r *recorder) add(e Entry) {
	e.at = r.now()
	e.Seconds = float64(e.at.Milliseconds()) / 1000 //nolint:mnd // to seconds
	r.timeline.Entries = append(r.timeline.Entries, e)
}

// changed sees a change of an object.
func (r *recorder) changed(before, after client.Object) {
	one := after
	if one == nil {
		one = before
	}
	switch one.(type) {
	case *corev1.Pod:
		was, _ := before.(*corev1.Pod)
		is, _ := after.(*corev1.Pod)
		r.podChanged(was, is)
		return
	case *corev1.Node:
		return
	case *corev1.PersistentVolumeClaim:
		if slices.Contains(r.given, one.GetName()) {
			return
		}
	}
	if status := r.decoded.kind.parts(one).Status; status != nil {
		r.jobChanged(before, after)
		return
	}
	switch {
	case before == nil:
		r.add(Entry{Subject: objectName(one), What: Created})
	case after == nil:
		r.add(Entry{Subject: objectName(one), What: Gone})
	}
}

// objectName is a kind and a name, such as "Service a-worker-0".
func objectName(o client.Object) string {
	kind := o.GetObjectKind().GroupVersionKind().Kind
	if kind == "" {
		_, kind, _ = strings.Cut(fmt.Sprintf("%T", o), ".")
	}
	return kind + " " + o.GetName()
}

// jobChanged sees a change of the job.
func (r *recorder) jobChanged(before, after client.Object) {
	if after == nil {
		r.add(Entry{Subject: theJob, What: JobDeleted})
		r.timeline.Deleted, r.over = true, true
		if r.ended == 0 {
			r.ended = r.now()
		}
		return
	}
	if before == nil {
		r.add(Entry{Subject: theJob, What: Submitted})
		return
	}
	was, is := r.decoded.kind.parts(before).Status, r.decoded.kind.parts(after).Status
	r.timeline.Status = *is.DeepCopy()
	for i := range is.Conditions {
		c := &is.Conditions[i]
		old := was.Condition(c.Type)
		if c.Status != corev1.ConditionTrue || old != nil && old.Status == c.Status && old.Message == c.Message {
			continue
		}
		r.said[c.Message] = true
		r.add(Entry{Subject: theJob, What: Condition, State: string(c.Type), Message: c.Message})
	}
	if state := string(is.State); state != string(was.State) {
		r.timeline.states = append(r.timeline.states, span{r.now(), state})
		r.timeline.State = state
	}
	if is.Finished() && !r.over {
		r.over, r.ended = true, r.now()
	}
}

// recorded sees an event of the operator.
func (r *recorder) recorded(e jobtest.Event) {
	if !r.said[e.Message] {
		r.add(Entry{Subject: theJob, What: EventIs, State: e.Reason, Message: e.Message, Warning: e.Warning})
	}
}

// podChanged sees a change of a pod.
func (r *recorder) podChanged(was, is *corev1.Pod) {
	if was == nil && is == nil {
		return
	}
	pod := is
	if pod == nil {
		pod = was
	}
	attempt, _ := strconv.Atoi(pod.Labels[commonv1.AttemptLabel])
	e := Entry{Subject: strings.TrimPrefix(pod.Name, r.decoded.Name()+"-"), Attempt: attempt, Node: pod.Spec.NodeName}
	l := r.lane(e.Subject)
	now := r.now()
	switch {
	case was == nil:
		e.What = Created
		l.spans = append(l.spans, span{now, laneWaits})
	case is == nil:
		killed := r.killed[pod.Name]
		delete(r.killed, pod.Name)
		if ended(was) && !killed {
			return
		}
		e.What = Gone
		l.spans = append(l.spans, span{now, laneNone})
	default:
		r.podMoved(was, is, &e, l)
	}
	if e.What != "" {
		r.add(e)
	}
}

// podMoved sees a change of a pod that exists before and after it.
func (r *recorder) podMoved(was, is *corev1.Pod, e *Entry, l *lane) {
	now := r.now()
	if reason := disruption(is); reason != "" && disruption(was) == "" {
		d := *e
		d.What, d.Message = Disrupted, reason
		l.marks = append(l.marks, mark{at: now})
		r.add(d)
	}
	switch {
	case is.DeletionTimestamp != nil && was.DeletionTimestamp == nil:
		if ended(is) {
			l.spans = append(l.spans, span{now, laneNone})
			return
		}
		r.killed[is.Name] = true
		if grace := is.DeletionGracePeriodSeconds; grace != nil && *grace == 0 {
			return // It is gone at once.
		}
		e.What = Stops
		l.spans = append(l.spans, span{now, laneStops})
	case r.killed[is.Name]:
	case restarts(is) > restarts(was):
		e.What, e.ExitCode = InPlace, lastExit(is)
		l.marks = append(l.marks, mark{at: now, ok: e.ExitCode != nil && *e.ExitCode == 0})
	case is.Status.Phase == was.Status.Phase:
	case is.Status.Phase == corev1.PodRunning:
		e.What = Runs
		l.spans = append(l.spans, span{now, laneRuns})
	case is.Status.Phase == corev1.PodSucceeded:
		e.What = Succeeded
		l.spans, l.marks = append(l.spans, span{now, laneNone}), append(l.marks, mark{at: now, ok: true})
	case is.Status.Phase == corev1.PodFailed:
		e.What, e.ExitCode, e.Message = Failed, exit(is), is.Status.Reason
		l.spans, l.marks = append(l.spans, span{now, laneNone}), append(l.marks, mark{at: now})
	}
}

// lane is that of a replica.
func (r *recorder) lane(name string) *lane {
	t := r.timeline
	i := slices.IndexFunc(t.lanes, func(l lane) bool { return l.name == name })
	if i < 0 {
		i = len(t.lanes)
		t.lanes = append(t.lanes, lane{name: name})
	}
	return &t.lanes[i]
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// disruption is why something ended a pod from outside; empty if nothing did.
func disruption(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.DisruptionTarget && c.Status == corev1.ConditionTrue {
			return c.Reason
		}
	}
	return ""
}

// restarts counts the restarts of a pod's containers in place.
func restarts(pod *corev1.Pod) (n int32) {
	for i := range pod.Status.ContainerStatuses {
		n += pod.Status.ContainerStatuses[i].RestartCount
	}
	return n
}

// exit is the exit code of a pod's first container.
func exit(pod *corev1.Pod) *int32 {
	for i := range pod.Status.ContainerStatuses {
		if t := pod.Status.ContainerStatuses[i].State.Terminated; t != nil {
			return &t.ExitCode
		}
	}
	return nil
}

// lastExit is the exit code of the run before that of a pod's first container.
func lastExit(pod *corev1.Pod) *int32 {
	for i := range pod.Status.ContainerStatuses {
		if t := pod.Status.ContainerStatuses[i].LastTerminationState.Terminated; t != nil {
			return &t.ExitCode
		}
	}
	return nil
}
