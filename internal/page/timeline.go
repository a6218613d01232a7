package page

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// The states of a bar of the timeline.
const (
	barWaiting    = "waiting"
	barStarting   = "starting"
	barRunning    = "running"
	barRestarting = "restarting"
	barSuspended  = "suspended"
	barStalled    = "stalled"
	barStopping   = "stopping"
	// barEarlier: an earlier attempt, of which only the end is known.
	barEarlier = "earlier"
	// barUnknown: a time of which the status says nothing.
	barUnknown = "unknown"
)

const (
	maxLanes   = 24  // replicas in the timeline
	maxHistory = 200 // states of a job that this process remembers
)

// Timeline is what a job and its replicas did, to be drawn to scale.
type Timeline struct {
	// Start and End are its ends; End is 0 while the job goes on.
	Start int64  `json:"start"`
	End   int64  `json:"end,omitempty"`
	Lanes []Lane `json:"lanes"`
	// More is how many replicas have no lane.
	More int `json:"more,omitempty"`
}

// Lane is one line: the first is the job, the others are replicas.
type Lane struct {
	Name  string `json:"name"`
	Bars  []Bar  `json:"bars"`
	Marks []Mark `json:"marks"`
}

// Bar is a state that lasted. To is 0 while it lasts.
type Bar struct {
	From  int64  `json:"from"`
	To    int64  `json:"to,omitempty"`
	State string `json:"state"`
	Label string `json:"label,omitempty"`
}

// Mark is a moment. Kind is failed or succeeded.
type Mark struct {
	At    int64  `json:"at"`
	Kind  string `json:"kind"`
	Label string `json:"label"`
}

// Point is a state that a job got into.
type Point struct {
	At    time.Time
	State string
}

// Observe adds what a job is now to what this process has seen of it. A status holds only
// the last change of each condition; what was seen of the earlier ones is better than
// nothing.
func Observe(history []Point, status *commonv1.JobStatus, created time.Time) []Point {
	now := Point{At: created, State: barOf(status)}
	for i := range status.Conditions {
		if at := status.Conditions[i].LastTransitionTime.Time; at.After(now.At) {
			now.At = at
		}
	}
	if n := len(history); n > 0 && (history[n-1].State == now.State || now.At.Before(history[n-1].At)) {
		return history
	}
	return append(slices.Clone(history[max(0, len(history)-maxHistory+1):]), now)
}

// barOf is the state that a status names.
func barOf(status *commonv1.JobStatus) string {
	for _, c := range slices.Backward(status.Conditions) {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case commonv1.JobRunning:
			return barRunning
		case commonv1.JobRestarting:
			return barRestarting
		case commonv1.JobSuspended:
			return barSuspended
		case commonv1.JobStalled:
			return barStalled
		case commonv1.JobHung: // its replicas run
			return barRunning
		case commonv1.JobCreated, commonv1.JobSucceeded, commonv1.JobFailed:
		}
		break
	}
	return barWaiting
}

// timeline is what is known of the past.
func (k *known) timeline(replicas []replica) Timeline {
	line := Timeline{Start: millis(k.job.Created), Lanes: []Lane{k.jobLane()}}
	if at := k.status.CompletionTime; at != nil {
		line.End = millis(at.Time)
	}
	shown := slices.Clone(replicas)
	failures := map[string]int{}
	for i := range k.status.Failures {
		f := &k.status.Failures[i]
		failures[replicaName(f.Type, f.Index)]++
	}
	slices.SortStableFunc(shown, func(a, b replica) int {
		return cmp.Or(
			cmp.Compare(interest(b, failures), interest(a, failures)),
			cmp.Compare(slices.Index(k.roles, a.typ), slices.Index(k.roles, b.typ)),
			cmp.Compare(a.index, b.index),
		)
	})
	line.More = max(0, len(shown)-maxLanes)
	shown = shown[:min(len(shown), maxLanes)]
	slices.SortStableFunc(shown, func(a, b replica) int {
		return cmp.Or(cmp.Compare(slices.Index(k.roles, a.typ), slices.Index(k.roles, b.typ)), cmp.Compare(a.index, b.index))
	})
	for i := range shown {
		line.Lanes = append(line.Lanes, k.replicaLane(&shown[i], line.End))
	}
	return line
}

// interest is how much there is to see of a replica.
func interest(r replica, failures map[string]int) int {
	n := 10 * failures[replicaName(r.typ, r.index)]
	switch r.square {
	case SquareFailed, SquareRestarts, SquareProblem:
		n += 1000
	case SquareStopping, SquareStarting, SquareWaiting:
		n += 100
	case SquareRunning, SquareSucceeded, SquareMissing:
	}
	return n + int(min(r.attempt, 9))
}

// jobLane is the line of the job as a whole.
func (k *known) jobLane() Lane {
	lane := Lane{Name: "job", Bars: []Bar{}, Marks: []Mark{}}
	points := k.points()
	end := int64(0)
	if at := k.status.CompletionTime; at != nil {
		end = millis(at.Time)
	}
	for i, p := range points {
		bar := Bar{From: millis(p.At), To: end, State: p.State}
		if i+1 < len(points) {
			bar.To = millis(points[i+1].At)
		}
		if end > 0 && bar.From >= end {
			break
		}
		if end > 0 {
			bar.To = min(bar.To, end)
		}
		if bar.To == 0 || bar.To > bar.From {
			lane.Bars = append(lane.Bars, bar)
		}
	}
	for i := range k.status.Failures {
		f := &k.status.Failures[i]
		lane.Marks = append(lane.Marks, Mark{
			At: millis(f.Time.Time), Kind: "failed", Label: replicaName(f.Type, f.Index) + ": " + failureWords(f),
		})
	}
	switch {
	case k.status.IsTrue(commonv1.JobSucceeded):
		lane.Marks = append(lane.Marks, Mark{At: end, Kind: "succeeded", Label: "the job succeeded"})
	case k.status.IsTrue(commonv1.JobFailed):
		lane.Marks = append(lane.Marks, Mark{At: end, Kind: "failed", Label: "the job failed"})
	}
	return lane
}

// points are the states of the job that are known, in the order of time: from the
// conditions, and from when this process saw the job first, what it saw.
func (k *known) points() []Point {
	points := k.pointsOfStatus()
	if len(k.History) > 0 {
		from := k.History[0].At
		points = slices.DeleteFunc(points, func(p Point) bool { return !p.At.Before(from) })
		points = append(points, k.History...)
	}
	slices.SortStableFunc(points, func(a, b Point) int { return a.At.Compare(b.At) })
	return points
}

// pointsOfStatus are the states that the conditions and the failures report.
func (k *known) pointsOfStatus() []Point {
	first := Point{At: k.job.Created, State: barWaiting}
	var points []Point
	add := func(at time.Time, state string) { points = append(points, Point{At: at, State: state}) }
	since := func(t commonv1.JobConditionType, status corev1.ConditionStatus) (time.Time, bool) {
		if c := k.status.Condition(t); c != nil && c.Status == status {
			return c.LastTransitionTime.Time, true
		}
		return time.Time{}, false
	}
	last := time.Time{} // since when the job runs as it does now
	if at, ok := since(commonv1.JobSuspended, corev1.ConditionFalse); ok {
		// What was before the suspension has been overwritten.
		first.State = barUnknown
		add(at, barWaiting)
		last = at
	}
	if at, ok := since(commonv1.JobRunning, corev1.ConditionTrue); ok {
		add(at, barRunning)
	}
	if at, ok := since(commonv1.JobRestarting, corev1.ConditionFalse); ok && k.status.IsTrue(commonv1.JobRunning) {
		add(at, barRunning)
	}
	for t, state := range map[commonv1.JobConditionType]string{
		commonv1.JobRestarting: barRestarting, commonv1.JobSuspended: barSuspended, commonv1.JobStalled: barStalled,
	} {
		if at, ok := since(t, corev1.ConditionTrue); ok {
			add(at, state)
		}
	}
	return append(append([]Point{first}, k.pointsOfFailures(last)...), points...)
}

// pointsOfFailures are the attempts that ended before the one that the conditions know.
func (k *known) pointsOfFailures(after time.Time) []Point {
	running := k.status.Condition(commonv1.JobRunning)
	restarting := k.status.Condition(commonv1.JobRestarting)
	var points []Point
	for i := range k.status.Failures {
		at := k.status.Failures[i].Time.Time
		if !at.After(after) {
			continue
		}
		final := k.status.CompletionTime != nil && !at.Before(k.status.CompletionTime.Time)
		known := running != nil && running.Status == corev1.ConditionTrue && !at.Before(running.LastTransitionTime.Time)
		switch {
		case final:
		case known && (restarting == nil || restarting.LastTransitionTime.Time.Before(at)):
		default:
			points = append(points, Point{At: at, State: barRestarting})
		}
	}
	return points
}

// replicaLane is the line of one replica: the ends of its earlier attempts, and its pod.
func (k *known) replicaLane(r *replica, end int64) Lane {
	lane := Lane{Name: replicaName(r.typ, r.index), Bars: []Bar{}, Marks: []Mark{}}
	from := k.earlierAttempts(r, &lane)
	if r.pod == nil {
		return lane
	}
	if created := r.pod.CreationTimestamp.Time; len(lane.Bars) > 0 && created.After(from) {
		lane.Bars = append(lane.Bars, Bar{From: millis(from), To: millis(created), State: barRestarting})
	}
	lane.Bars = append(lane.Bars, podBars(r, end)...)
	if _, ended := ran(r.pod); !ended.IsZero() && r.pod.Status.Phase == corev1.PodSucceeded {
		lane.Marks = append(lane.Marks, Mark{At: millis(ended), Kind: "succeeded", Label: "succeeded"})
	}
	return lane
}

// earlierAttempts adds the attempts of a replica whose pods are gone to its line, and returns when
// the last of them ended.
func (k *known) earlierAttempts(r *replica, lane *Lane) time.Time {
	from := k.began()
	for i := range k.status.Failures {
		f := &k.status.Failures[i]
		if f.Type != r.typ || f.Index != r.index {
			continue
		}
		lane.Marks = append(lane.Marks, Mark{At: millis(f.Time.Time), Kind: "failed", Label: failureWords(f)})
		if r.pod != nil && f.Attempt >= r.attempt {
			continue // the pod is still there
		}
		if f.Time.After(from) {
			lane.Bars = append(lane.Bars, Bar{
				From: millis(from), To: millis(f.Time.Time), State: barEarlier, Label: fmt.Sprintf("attempt %d", f.Attempt),
			})
		}
		from = f.Time.Time
	}
	return from
}

// began is when the job began, or began again after it was suspended.
func (k *known) began() time.Time {
	if at := k.status.StartTime; at != nil && at.After(k.job.Created) {
		return at.Time
	}
	return k.job.Created
}

// podBars are the states of a pod.
func podBars(r *replica, end int64) []Bar {
	pod := r.pod
	label := fmt.Sprintf("attempt %d", r.attempt)
	bars := []Bar{}
	add := func(from, to time.Time, state string) {
		bar := Bar{From: millis(from), To: millis(to), State: state, Label: label}
		if bar.To == 0 {
			bar.To = end
		}
		if !from.IsZero() && (bar.To == 0 || bar.To > bar.From) {
			bars = append(bars, bar)
		}
	}
	placed := placedAt(pod)
	started, ended := ran(pod)
	if ended.IsZero() && (pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded) {
		ended = firstOf(started, placed, pod.CreationTimestamp.Time)
	}
	add(pod.CreationTimestamp.Time, firstOf(placed, started, ended), barWaiting)
	add(placed, firstOf(started, ended), barStarting)
	stop := ended
	if stop.IsZero() {
		stop = stoppedAt(pod)
		add(stop, time.Time{}, barStopping)
	}
	add(started, stop, barRunning)
	if r.square == SquareRestarts {
		add(ended, time.Time{}, barRestarting)
	}
	slices.SortStableFunc(bars, func(a, b Bar) int { return cmp.Compare(a.From, b.From) })
	return bars
}

// placedAt is when a pod got its node; zero if it has none.
func placedAt(pod *corev1.Pod) time.Time {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue {
			return c.LastTransitionTime.Time
		}
	}
	return time.Time{}
}

// stoppedAt is when the deletion of a pod was requested; zero if it was not.
func stoppedAt(pod *corev1.Pod) time.Time {
	at, grace := pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds
	switch {
	case at == nil:
		return time.Time{}
	case grace == nil:
		return at.Time
	default:
		return at.Add(-time.Duration(*grace) * time.Second)
	}
}

// firstOf is the first of the times that is known.
func firstOf(times ...time.Time) time.Time {
	for _, t := range times {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
