package main

import (
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// begin begins to train, if all replicas run, and decides what interrupts that.
func (l *life) begin() {
	if !l.runs.IsZero() || !l.allRun() {
		return
	}
	l.runs = l.now
	l.round++
	round := l.round
	for _, pod := range l.in.Pods {
		if until, faulty := l.faults[pod.Spec.NodeName]; faulty && l.now.Before(until) {
			if at := l.now.Add(exponential(l.chance.ExpFloat64(), l.relapse)); at.Before(until) {
				l.at(at, func() {
					if l.round == round {
						l.goWrong(interruption{}, pod)
					}
				})
			}
		}
	}
	// Not the operator but the program recovers: it trains again after its set-up.
	if !l.down.IsZero() {
		l.recovery += l.now.Add(l.setup).Sub(l.down)
		l.recoveries++
		l.down = time.Time{}
	}
}

func exponential(x float64, mean time.Duration) time.Duration {
	return time.Duration(x * float64(mean))
}

// allRun reports whether all replicas run.
func (l *life) allRun() bool {
	n := 0
	for _, p := range l.in.Pods {
		if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
			n++
		}
	}
	return n == l.nodes
}

// interruption is one that nothing else caused.
type interruption struct {
	replica       int
	hangs, faulty bool
}

// interruptions plans those of the whole life. They are the same for all policies, and one that
// comes while the job does not run has no effect.
func (l *life) interruptions() {
	chance := rand.New(rand.NewPCG(l.seed, 2)) //nolint:gosec // a simulation needs a repeatable source
	for at := l.now; at.Before(l.end); {
		at = at.Add(exponential(chance.ExpFloat64(), l.interruption))
		what := interruption{chance.IntN(l.nodes), chance.Float64() < l.hangs, chance.Float64() < l.faulty}
		l.at(at, func() {
			if !l.runs.IsZero() && l.stuck.IsZero() {
				l.goWrong(what, l.in.Pods[what.replica])
			}
		})
	}
}

// goWrong has a replica fail, or hang.
func (l *life) goWrong(what interruption, pod *corev1.Pod) {
	if !l.stuck.IsZero() || l.runs.IsZero() {
		return
	}
	if what.faulty {
		l.faults[pod.Spec.NodeName] = l.now.Add(l.repair)
	}
	l.failures++
	l.down = l.now
	if !what.hangs {
		l.fails(pod)
		return
	}
	l.stuck = l.now
	round := l.round
	l.at(l.now.Add(l.noticed), func() {
		if l.round == round && !l.stuck.IsZero() {
			l.fails(pod)
		}
	})
}

// fails ends a pod with an error.
func (l *life) fails(pod *corev1.Pod) {
	l.interrupt()
	at := metav1.NewTime(l.now.Truncate(time.Second))
	for i, p := range l.in.Pods {
		if p.UID != pod.UID {
			continue
		}
		p = p.DeepCopy()
		p.Status.Phase = corev1.PodFailed
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: container, State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: 134, Reason: "Error", FinishedAt: at},
		}}}
		l.in.Pods[i] = p
	}
	l.at(l.now.Add(2*time.Second), func() { l.wake(0) }) // A kubelet takes a moment to report it.
}

// interrupt ends the training, if it goes on: what counts is what the last checkpoint has.
func (l *life) interrupt() {
	if l.runs.IsZero() {
		return
	}
	until := l.now
	if !l.stuck.IsZero() {
		l.hung += l.now.Sub(l.stuck)
		until = l.stuck
	}
	if trained := until.Sub(l.runs) - l.setup; trained > 0 {
		l.useful += trained.Truncate(l.checkpoint)
	}
	l.runs, l.stuck = time.Time{}, time.Time{}
}

// writeReport has the status hold the last report of replica 0.
func (l *life) writeReport() {
	if l.runs.IsZero() || l.in.RunPolicy.ProgressPolicy == nil {
		return
	}
	until := l.now
	if !l.stuck.IsZero() {
		until = l.stuck
	}
	trained := until.Sub(l.runs) - l.setup
	if trained < 0 {
		return
	}
	pod := l.in.Pods[0]
	at := metav1.NewMicroTime(l.runs.Add(l.setup + trained.Truncate(l.report)))
	l.in.Status.TrainerStatus = &commonv1.TrainerStatus{
		ReceivedTime: &at, Reporter: &commonv1.TrainerReporter{Pod: pod.Name, PodUID: pod.UID, Type: worker},
	}
}

// goodput is the share of the time that was training which counts.
func (l *life) goodput() float64 { return float64(l.useful) / float64(l.lasts) }

// meanRecovery is how long it took, on average, from a failure until the job trained again.
func (l *life) meanRecovery() time.Duration {
	if l.recoveries == 0 {
		return 0
	}
	return l.recovery / time.Duration(l.recoveries)
}
