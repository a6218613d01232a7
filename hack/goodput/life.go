package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

const worker = commonv1.ReplicaType("Worker")

// container is the name of the container that trains.
const container = "train"

// assumptions are all that a life depends on besides the policy.
type assumptions struct {
	nodes, spares int
	lasts         time.Duration
	// interruption is how long the job trains between two unexpected interruptions, on average.
	// Those after the first on a faulty node come on top.
	interruption time.Duration
	// hangs is the share of interruptions that are hangs: of the network and of collectives.
	hangs float64
	// faulty is the share of failures after which the node is faulty: what runs on it fails again
	// after relapse, on average, until the cluster repairs it after repair.
	faulty          float64
	relapse, repair time.Duration
	// noticed is how long a hang lasts that only people notice.
	noticed time.Duration
	// checkpoint is how often a checkpoint is written; setup is how long the program takes from
	// its start until it trains; report is how often it reports.
	checkpoint, setup, report time.Duration
	// stop and start are how long a pod takes to go, and to run, at most.
	stop, start time.Duration
	seed        uint64
}

// llama3 has the published rate: 419 interruptions in 54 days, of which about one in ten were
// the network (35) or the watchdog of collectives (7), and about six in ten the GPU, its memory,
// its processor or its network card.
func llama3() assumptions {
	return assumptions{
		nodes: 2048, spares: 40, lasts: 54 * 24 * time.Hour,
		interruption: 54 * 24 * time.Hour / 419, hangs: 0.10, faulty: 0.6, relapse: time.Hour, repair: 4 * time.Hour,
		noticed: 33 * time.Minute, checkpoint: 15 * time.Minute, setup: 5 * time.Minute, report: 30 * time.Second,
		stop: 10 * time.Second, start: time.Minute, seed: 3,
	}
}

// life is the life of one job.
type life struct {
	assumptions

	in     plan.Input
	chance *rand.Rand
	now    time.Time
	end    time.Time
	events []event // in the order of time
	uids   int
	// names are those of all nodes. taken are the nodes that have a pod; faults is when a faulty
	// node is repaired. avoided are the nodes that pods avoid, by what the operator said to that.
	names   []string
	taken   map[string]bool
	faults  map[string]time.Time
	avoided map[string]map[string]bool

	runs, stuck time.Time
	// useful is all training that counts, hung is all time that the job hung.
	useful, hung, recovery time.Duration
	failures, recoveries   int
	down                   time.Time
	round                  int
	// pass is when the next pass is due, zero if none is.
	pass time.Time
}

type event struct {
	at time.Time
	do func()
}

func newLife(a assumptions, run commonv1.RunPolicy) *life {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := &life{
		assumptions: a, now: began, end: began.Add(a.lasts),
		taken: map[string]bool{}, faults: map[string]time.Time{}, avoided: map[string]map[string]bool{},
		chance: rand.New(rand.NewPCG(a.seed, 1)), //nolint:gosec // a simulation needs a repeatable source
	}
	for i := range a.nodes + a.spares {
		l.names = append(l.names, fmt.Sprintf("node-%d", i))
	}
	n := int32(a.nodes) //nolint:gosec // a few thousand
	spec := &commonv1.ReplicaSpec{Replicas: &n, RestartPolicy: commonv1.RestartPolicyExitCode, Template: corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: container, Image: container}}},
	}}
	l.in = plan.Input{
		Kind: jobkit.Kind{Name: "TestJob", APIVersion: "example.com/v1", Roles: []jobkit.Role{{Type: worker}}, ContainerName: "train"},
		Job:  plan.Job{Namespace: "ns", Name: "job", UID: "job", Generation: 1}, RunPolicy: run,
		Replicas: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{worker: spec}, Backoff: plan.DefaultBackoff(),
		Progress: &plan.Progress{UpSince: began.Add(-time.Hour)},
	}
	l.in.Kind.ServiceMode = commonv1.ServiceModeNone
	l.in.Kind.SetDefaults()
	plan.SetDefaults(&l.in.Kind, &l.in.RunPolicy, l.in.Replicas)
	return l
}

// live lets the life go on until its end.
func (l *life) live() {
	l.interruptions()
	l.wake(0)
	for len(l.events) > 0 && l.events[0].at.Before(l.end) {
		e := l.events[0]
		l.events = l.events[1:]
		l.now = e.at
		e.do()
	}
	l.now = l.end
	l.interrupt()
}

// at plans an event.
func (l *life) at(at time.Time, do func()) {
	i, _ := slices.BinarySearchFunc(l.events, at, func(e event, at time.Time) int {
		if e.at.After(at) {
			return 1
		}
		return -1
	})
	l.events = slices.Insert(l.events, i, event{at, do})
}

// wake has the job reconciled after a time, or earlier.
func (l *life) wake(after time.Duration) {
	at := l.now.Add(after)
	if !l.pass.IsZero() && !at.Before(l.pass) {
		return
	}
	l.pass = at
	l.at(at, func() {
		if l.pass.Equal(at) {
			l.pass = time.Time{}
			l.reconcile()
		}
	})
}

// reconcile is one pass of the operator.
func (l *life) reconcile() {
	l.in.Now = l.now
	l.writeReport()
	p := plan.Decide(&l.in, plan.TallyOf(&l.in), nil)
	l.in.Status = plan.UnpackStatus(p.Status)
	var created []*corev1.Pod
	deleted := map[types.UID]bool{}
	for _, a := range p.Actions {
		switch a := a.(type) {
		case plan.CreatePod:
			created = append(created, l.create(a))
		case plan.DeletePod:
			deleted[a.UID] = true
		}
	}
	if len(deleted) > 0 {
		l.interrupt()
		l.stopPods(deleted)
	}
	l.startPods(created)
	switch {
	case p.StatusChange != plan.StatusUnchanged || len(p.Actions) > 0:
		l.wake(time.Second)
	case p.RequeueAfter > 0:
		l.wake(p.RequeueAfter)
	}
}

// create makes a pod and gives it a node, one that it does not avoid if there is one.
func (l *life) create(a plan.CreatePod) *corev1.Pod {
	pod := plan.NewPod(&l.in, a, l.in.Replicas[worker].Template.DeepCopy())
	l.uids++
	pod.UID = types.UID(strconv.Itoa(l.uids))
	pod.CreationTimestamp = metav1.NewTime(l.now)
	pod.Status.Phase = corev1.PodPending
	l.in.Pods = append(l.in.Pods, pod)
	if l.avoided[a.Avoid] == nil {
		l.avoided[a.Avoid] = avoidedBy(pod) // All pods that are told the same avoid the same.
	}
	pod.Spec.NodeName = l.pick(l.avoided[a.Avoid])
	return pod
}

// stopPods deletes pods, which takes a moment.
func (l *life) stopPods(gone map[types.UID]bool) {
	at, grace := metav1.NewTime(l.now.Add(30*time.Second)), int64(30)
	for _, pod := range l.in.Pods {
		if gone[pod.UID] {
			pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &at, &grace
		}
	}
	l.at(l.now.Add(l.stop), func() {
		l.in.Pods = slices.DeleteFunc(l.in.Pods, func(p *corev1.Pod) bool {
			if gone[p.UID] {
				delete(l.taken, p.Spec.NodeName)
			}
			return gone[p.UID]
		})
		l.wake(0)
	})
}

// waves is in how many groups the pods of a job start to run, one after the other.
const waves = 3

// startPods starts new pods, in waves.
func (l *life) startPods(pods []*corev1.Pod) {
	var groups [waves][]*corev1.Pod
	for _, pod := range pods {
		i := l.chance.IntN(waves)
		groups[i] = append(groups[i], pod)
	}
	for i, group := range groups {
		if len(group) == 0 {
			continue
		}
		l.at(l.now.Add(l.start*time.Duration(1+i)/waves), func() {
			now := metav1.NewTime(l.now.Truncate(time.Second))
			for _, pod := range group {
				pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &now, ContainerStatuses: []corev1.ContainerStatus{
					{Name: container, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}}},
				}}
			}
			l.wake(0)
			l.begin()
		})
	}
}

// pick takes a node for a pod: of those that are free and not avoided, any; of those that are
// free, the first, if all of them are avoided.
func (l *life) pick(avoided map[string]bool) string {
	first := l.chance.IntN(len(l.names))
	var second string
	for i := range l.names {
		name := l.names[(first+i)%len(l.names)]
		switch {
		case l.taken[name]:
		case !avoided[name]:
			l.taken[name] = true
			return name
		case second == "":
			second = name
		}
	}
	l.taken[second] = true
	return second
}

// avoidedBy are the nodes that the affinity of a pod avoids, whether it must or prefers to.
func avoidedBy(pod *corev1.Pod) map[string]bool {
	avoided := map[string]bool{}
	if pod.Spec.Affinity == nil || pod.Spec.Affinity.NodeAffinity == nil {
		return avoided
	}
	var terms []corev1.NodeSelectorTerm
	for _, p := range pod.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution {
		terms = append(terms, p.Preference)
	}
	if r := pod.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution; r != nil {
		terms = append(terms, r.NodeSelectorTerms...)
	}
	for _, t := range terms {
		for _, e := range slices.Concat(t.MatchFields, t.MatchExpressions) {
			if e.Operator == corev1.NodeSelectorOpNotIn {
				for _, name := range e.Values {
					avoided[name] = true
				}
			}
		}
	}
	return avoided
}
