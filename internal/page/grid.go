package page

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
	"github.com/jobkit/jobkit/internal/plan"
)

// Square is the state of a replica, as one letter: so a grid of thousands is a short text.
type Square byte

// The states of a replica.
const (
	SquareMissing   Square = '-' // no pod
	SquareWaiting   Square = 'w' // for a node
	SquareStarting  Square = 'b' // on a node
	SquareRunning   Square = 'r'
	SquareSucceeded Square = 's'
	SquareFailed    Square = 'f'
	SquareRestarts  Square = 'n' // failed, and the next attempt is due
	SquareStopping  Square = 't'
	SquareProblem   Square = 'p' // cannot start
)

const (
	maxSquares = 20_000 // of one role
	// attemptDigits are those of Role.Attempts: 0 to 8, and 9 for more.
	attemptDigits = "0123456789"
)

// Role is the replicas of one type.
type Role struct {
	Type   string `json:"type"`
	Wanted int    `json:"wanted"`
	// Squares and Attempts have one character for each replica: its state, and its
	// attempt from 0, where 9 is nine or more.
	Squares  string `json:"squares"`
	Attempts string `json:"attempts"`
	// More is how many replicas are not in Squares.
	More int `json:"more,omitempty"`
}

// replica is one replica, and its pod if it has one.
type replica struct {
	typ     commonv1.ReplicaType
	index   int32
	attempt int32
	square  Square
	pod     *corev1.Pod
	problem string
	// due is when the next attempt may start, and next which that is, of SquareRestarts.
	due  time.Time
	next int32
}

// podsByRole are the job's pods by the lower-case type and the index of their replicas.
func (k *known) podsByRole() map[string]map[int32]*corev1.Pod {
	pods := map[string]map[int32]*corev1.Pod{}
	for _, pod := range k.Job.Pods {
		index, err := strconv.ParseInt(pod.Labels[commonv1.ReplicaIndexLabel], 10, 32)
		if err != nil || index < 0 {
			continue
		}
		t := pod.Labels[commonv1.ReplicaTypeLabel]
		if pods[t] == nil {
			pods[t] = map[int32]*corev1.Pod{}
		}
		pods[t][int32(index)] = pod
	}
	return pods
}

// grid is all replicas by role, those that are wanted and those that still exist.
func (k *known) grid() ([]Role, []replica) {
	problems := map[string]string{}
	for _, p := range k.job.Pods {
		problems[p.Name] = p.Problem
	}
	pods := k.podsByRole()
	roles, all := make([]Role, 0, len(k.roles)), []replica{}
	for _, t := range k.roles {
		wanted := max(k.job.Replicas[t], 0)
		n, own := wanted, pods[strings.ToLower(string(t))]
		for index := range own {
			n = max(n, int(index)+1) // of a replica that is being scaled away
		}
		role := Role{Type: text(string(t)), Wanted: wanted, More: max(0, n-maxSquares)}
		replicas := k.replicas(t, int32(min(n, maxSquares)), own, problems)
		squares, attempts := make([]byte, len(replicas)), make([]byte, len(replicas))
		for i := range replicas {
			squares[i], attempts[i] = byte(replicas[i].square), attemptDigits[min(max(replicas[i].attempt, 0), 9)]
		}
		role.Squares, role.Attempts = string(squares), string(attempts)
		roles, all = append(roles, role), append(all, replicas...)
	}
	return roles, all
}

// replicas are the first n replicas of a type.
func (k *known) replicas(t commonv1.ReplicaType, n int32, pods map[int32]*corev1.Pod, problems map[string]string) []replica {
	var succeeded, failed map[int32]bool
	if rs := k.status.ReplicaStatuses[t]; rs != nil {
		succeeded, failed = plan.EndedIndexes(rs, n)
	}
	out := make([]replica, 0, n)
	for i := range n {
		r := k.replica(t, i, pods[i])
		switch {
		case r.pod == nil && succeeded[i]:
			r.square = SquareSucceeded
		case r.pod == nil && failed[i]:
			r.square = SquareFailed
		}
		if r.pod != nil {
			r.problem = problems[r.pod.Name]
		}
		if r.problem != "" && (r.square == SquareWaiting || r.square == SquareStarting) {
			r.square = SquareProblem
		}
		out = append(out, r)
	}
	return out
}

// replica reads the state of one replica.
func (k *known) replica(t commonv1.ReplicaType, index int32, pod *corev1.Pod) replica {
	r := replica{typ: t, index: index, pod: pod, square: SquareMissing}
	if pod == nil {
		return r
	}
	if n, err := strconv.ParseInt(pod.Labels[commonv1.AttemptLabel], 10, 32); err == nil {
		r.attempt = int32(n)
	}
	r.square = squareOf(pod)
	if r.square == SquareFailed && !k.status.Finished() {
		if due, next, ok := plan.RestartDue(k.status, pod, t, index, plan.DefaultBackoff(), k.Now); ok {
			r.square, r.due, r.next = SquareRestarts, due, next
		}
	}
	return r
}

// squareOf is the state of a pod.
func squareOf(pod *corev1.Pod) Square {
	switch phase := pod.Status.Phase; {
	case phase == corev1.PodSucceeded:
		return SquareSucceeded
	case pod.DeletionTimestamp != nil:
		return SquareStopping
	case phase == corev1.PodFailed:
		return SquareFailed
	case phase == corev1.PodRunning:
		return SquareRunning
	case pod.Spec.NodeName != "":
		return SquareStarting
	default:
		return SquareWaiting
	}
}

// Detail is what is shown of one replica that was chosen in the grid.
type Detail struct {
	Name    string `json:"name"`
	Square  string `json:"square"`
	Attempt int32  `json:"attempt"`
	Pod     string `json:"pod,omitempty"`
	// NoPod says why there is no Pod; empty if there is one.
	NoPod   string `json:"noPod,omitempty"`
	Node    string `json:"node,omitempty"`
	Created int64  `json:"created,omitempty"`
	Started int64  `json:"started,omitempty"`
	Ended   int64  `json:"ended,omitempty"`
	// Due is when its next attempt may start.
	Due        int64    `json:"due,omitempty"`
	Restarts   int32    `json:"restarts,omitempty"` // in place
	Problem    string   `json:"problem,omitempty"`
	Failure    string   `json:"failure,omitempty"`
	Containers []string `json:"containers"`
}

// DetailOf is the replica with a type and an index; false if the job has none.
func DetailOf(in Input, t string, index int32) (Detail, bool) {
	k := read(in)
	_, all := k.grid()
	i := slices.IndexFunc(all, func(r replica) bool { return string(r.typ) == t && r.index == index })
	if i < 0 {
		return Detail{}, false
	}
	r := all[i]
	d := Detail{
		Name: replicaName(r.typ, r.index), Square: string(rune(r.square)), Attempt: r.attempt, Problem: text(r.problem),
		Due: millis(r.due), Containers: []string{},
	}
	switch {
	case in.Job.Pods == nil:
		d.NoPod = "Its pod is not known: pods cannot be read here now, so there is no log."
		return d, true
	case r.pod == nil:
		d.NoPod = "It has no pod now, so there is no log."
		return d, true
	}
	d.Pod, d.Node, d.Created = r.pod.Name, text(r.pod.Spec.NodeName), millis(r.pod.CreationTimestamp.Time)
	started, ended := ran(r.pod)
	d.Started, d.Ended = millis(started), millis(ended)
	for _, p := range k.job.Pods {
		if p.Name == r.pod.Name {
			d.Restarts = p.Restarts
		}
	}
	if r.pod.Status.Phase == corev1.PodFailed {
		d.Failure = text(plan.FailureWords(r.pod, in.Now))
	}
	d.Containers = containersOf(in.Job.Object, r.pod)
	return d, true
}

// ran is when the first container of a pod began to run, and when its last one ended;
// zero if it has not.
func ran(pod *corev1.Pod) (started, ended time.Time) {
	over := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	for i := range pod.Status.ContainerStatuses {
		s := &pod.Status.ContainerStatuses[i].State
		from := time.Time{}
		switch {
		case s.Running != nil:
			from = s.Running.StartedAt.Time
		case s.Terminated != nil:
			from = s.Terminated.StartedAt.Time
			if over && s.Terminated.FinishedAt.After(ended) {
				ended = s.Terminated.FinishedAt.Time
			}
		}
		if !from.IsZero() && (started.IsZero() || from.Before(started)) {
			started = from
		}
	}
	if started.IsZero() && pod.Status.Phase == corev1.PodRunning && pod.Status.StartTime != nil {
		started = pod.Status.StartTime.Time // the container's own time is not reported
	}
	return started, ended
}

// shortDuration is a duration for a text.
func shortDuration(seconds int64) string {
	return jobview.Duration(time.Duration(seconds) * time.Second)
}
