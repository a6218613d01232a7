package plan_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// killed ends a pod by a signal, and has the job restart it.
func (m *model) killed(names ...string) {
	for _, n := range names {
		m.end(m.pod(n), 137)
	}
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
}

// after lets time pass.
func (m *model) after(d time.Duration) { m.in.Now = m.in.Now.Add(d) }

// restartedInPlace restarts the container of a pod as a kubelet does, by the clock of its
// node, with the container having ended so long ago.
func (m *model) restartedInPlace(name string, ago time.Duration) {
	p := m.pod(name)
	now := m.in.Now.Add(m.nodesAhead)
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "main", RestartCount: restartCount(p) + 1,
		State:                corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(now)}},
		LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, FinishedAt: metav1.NewTime(now.Add(-ago))}},
	}}
	m.report(p)
}

// inWindow has a limit count only within 100 seconds.
func inWindow(limit, perReplica *int32) func(*model) {
	return func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.Backoff = plan.Backoff{}
		m.in.RunPolicy.BackoffLimitWindowSeconds = new(int64(100))
		m.in.RunPolicy.BackoffLimit, m.in.RunPolicy.BackoffLimitPerReplica = limit, perReplica
	}
}

func TestBackoffLimitWindow(t *testing.T) {
	const second = time.Second
	cases := map[string]struct {
		reason            string
		limit, perReplica *int32
		change            func(*model)
		happens           func(*model)
		// fails is the end of the message of a job that has failed.
		fails string
		times []int // of restartTimes, in seconds since the job began
	}{
		"Old": {
			reason: "a restart that is as old as the window counts no more", limit: new(int32(1)),
			happens: func(m *model) { m.killed("worker-0"); m.after(100 * second); m.killed("worker-0") },
			times:   []int{100},
		},
		"Young": {
			reason: "one that is younger does", limit: new(int32(1)),
			happens: func(m *model) { m.killed("worker-0"); m.after(99 * second); m.killed("worker-0") },
			fails:   "because it has reached the specified backoff limit: runPolicy.backoffLimit is 1 in 100 seconds (backoffLimitWindowSeconds).",
			times:   []int{0},
		},
		"None": {
			reason: "a limit of 0 allows none at any time", limit: new(int32(0)),
			happens: func(m *model) { m.killed("worker-0") },
			fails:   "runPolicy.backoffLimit is 0 in 100 seconds (backoffLimitWindowSeconds).",
		},
		"Many": {
			reason: "any number of restarts is no harm if they are far enough apart", limit: new(int32(1)),
			happens: func(m *model) {
				for range 50 {
					m.killed("worker-0")
					m.after(100 * second)
				}
			},
			times: []int{4900},
		},
		"OthersCount": {
			reason: "the limit is that of all replicas", limit: new(int32(1)),
			happens: func(m *model) { m.killed("worker-0"); m.after(50 * second); m.killed("worker-1") },
			fails:   "runPolicy.backoffLimit is 1 in 100 seconds (backoffLimitWindowSeconds).",
			times:   []int{0},
		},
		"PerReplica": {
			reason: "that of a replica counts its own", perReplica: new(int32(1)),
			happens: func(m *model) {
				m.killed("worker-0", "worker-1")
				m.after(100 * second)
				m.killed("worker-0")
				m.after(99 * second)
				m.killed("worker-0")
			},
			fails: "because replica 0 of Worker has reached its backoff limit: runPolicy.backoffLimitPerReplica is 1 in 100 seconds (backoffLimitWindowSeconds).",
		},
		"Role": {
			reason: "a restart of a role is one", limit: new(int32(1)),
			change: func(m *model) { m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeRole) },
			happens: func(m *model) {
				m.killed("worker-0", "worker-1")
				m.after(50 * second)
				m.killed("worker-1")
			},
			fails: "runPolicy.backoffLimit is 1 in 100 seconds (backoffLimitWindowSeconds).",
			times: []int{0},
		},
		"RoleIsNoReplica": {
			reason: "and none of a single replica", perReplica: new(int32(0)),
			change: func(m *model) { m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeRole) },
			happens: func(m *model) {
				m.killed("worker-0", "worker-1")
				m.after(50 * second)
				m.killed("worker-1")
			},
		},
		"WholeJob": {
			reason: "a restart of the whole job is one", limit: new(int32(1)),
			change: func(m *model) { m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob) },
			happens: func(m *model) {
				m.killed("worker-0", "worker-1")
				m.after(100 * second)
				m.killed("worker-1")
			},
			times: []int{100},
		},
		"WholeJobPerReplica": {
			reason: "a restart of the whole job is that of no replica", perReplica: new(int32(1)),
			change:  func(m *model) { m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob) },
			happens: func(m *model) { m.killed("worker-0"); m.killed("worker-0") },
		},
		"SeenTogether": {
			reason: "an operator that was down counts by the times of the failures", limit: new(int32(1)),
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 137)
				m.after(200 * second)
				m.end(m.pod("worker-1"), 137)
				m.after(1000 * second)
				m.reconcileUntilStable()
			},
			times: []int{200},
		},
		"SeenTogetherWithin": {
			reason: "also where that was too often", limit: new(int32(1)),
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 137)
				m.after(20 * second)
				m.end(m.pod("worker-1"), 137)
				m.after(1000 * second)
				m.reconcileUntilStable()
			},
			fails: "runPolicy.backoffLimit is 1 in 100 seconds (backoffLimitWindowSeconds).",
		},
		"InPlace": {
			reason: "restarts in place have the time at which the container ended", limit: new(int32(1)),
			change: restartPolicy(commonv1.RestartPolicyOnFailure),
			happens: func(m *model) {
				m.restartedInPlace("worker-0", 0)
				m.reconcileUntilStable()
				m.after(150 * second)
				m.restartedInPlace("worker-0", 30*second)
				m.reconcileUntilStable()
			},
			times: []int{120},
		},
		"InPlaceByNodesClock": {
			reason: "whatever the clock of the node says", limit: new(int32(1)),
			change: func(m *model) { restartPolicy(commonv1.RestartPolicyOnFailure)(m); m.nodesAhead = -time.Hour },
			happens: func(m *model) {
				m.restartedInPlace("worker-0", 0)
				m.reconcileUntilStable()
				m.after(90 * second)
				m.nodesAhead = time.Hour
				m.restartedInPlace("worker-1", 10*second)
				m.reconcileUntilStable()
			},
			fails: "runPolicy.backoffLimit is 1 in 100 seconds (backoffLimitWindowSeconds).",
			times: []int{0, 80},
		},
		"InPlaceSeenTogether": {
			reason: "of those that an operator which was down has missed no one knows whether they were in the window", limit: new(int32(1)),
			change: restartPolicy(commonv1.RestartPolicyOnFailure),
			happens: func(m *model) {
				m.after(300 * second)
				for range 5 {
					m.restartedInPlace("worker-0", 0)
				}
				m.reconcileUntilStable()
			},
			times: []int{300},
		},
		"InPlaceSeenTogetherAtOnce": {
			reason: "they were if the pod is younger than that", limit: new(int32(1)),
			change: restartPolicy(commonv1.RestartPolicyOnFailure),
			happens: func(m *model) {
				m.after(30 * second)
				m.restartedInPlace("worker-0", 0)
				m.restartedInPlace("worker-0", 0)
				m.reconcileUntilStable()
			},
			fails: "runPolicy.backoffLimit is 1 in 100 seconds (backoffLimitWindowSeconds).",
			times: []int{0, 30},
		},
		"InPlaceEndedAgain": {
			reason: "the end that it has not come back from is the newest that its node tells", limit: new(int32(1)),
			change: restartPolicy(commonv1.RestartPolicyOnFailure),
			happens: func(m *model) {
				m.after(100 * second)
				m.restartedInPlace("worker-0", 30*second)
				c := &m.pod("worker-0").Status.ContainerStatuses[0]
				c.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, FinishedAt: metav1.NewTime(m.in.Now)}}
				m.reconcileUntilStable()
			},
			times: []int{70},
		},
		"InPlaceUntold": {
			reason: "no clock says when that was: since the pod was created", limit: new(int32(1)),
			change: restartPolicy(commonv1.RestartPolicyOnFailure),
			happens: func(m *model) {
				m.after(99 * second)
				m.restartInPlace(m.pod("worker-0"))
				m.restartInPlace(m.pod("worker-0"))
				m.reconcileUntilStable()
			},
			fails: "runPolicy.backoffLimit is 1 in 100 seconds (backoffLimitWindowSeconds).",
			times: []int{0, 0},
		},
		"InPlaceUntoldForLong": {
			reason: "too long ago to say that it was in the window", limit: new(int32(1)),
			change: restartPolicy(commonv1.RestartPolicyOnFailure),
			happens: func(m *model) {
				m.after(100 * second)
				m.restartInPlace(m.pod("worker-0"))
				m.restartInPlace(m.pod("worker-0"))
				m.reconcileUntilStable()
			},
		},
		"InPlaceUntoldButReported": {
			reason: "it was before it was reported", limit: new(int32(1)),
			change: restartPolicy(commonv1.RestartPolicyOnFailure),
			happens: func(m *model) {
				m.after(99 * second)
				m.restartInPlace(m.pod("worker-0"))
				m.restartInPlace(m.pod("worker-0"))
				m.report(m.pod("worker-0"))
				m.after(1000 * second)
				m.reconcileUntilStable()
			},
			fails: "runPolicy.backoffLimit is 1 in 100 seconds (backoffLimitWindowSeconds).",
			times: []int{0, 0},
		},
		"InPlaceByNodeAlone": {
			reason: "the cache has no managed fields: the clock of the node is all there is", limit: new(int32(1)),
			change: restartPolicy(commonv1.RestartPolicyOnFailure),
			happens: func(m *model) {
				m.after(100 * second)
				m.restartedInPlace("worker-0", 30*second)
				unread(m)
				m.reconcileUntilStable()
			},
			times: []int{70},
		},
		"InPlaceByNodeAhead": {
			reason: "it was no later than now", limit: new(int32(1)),
			change: func(m *model) { restartPolicy(commonv1.RestartPolicyOnFailure)(m); m.nodesAhead = time.Hour },
			happens: func(m *model) {
				m.after(100 * second)
				m.restartedInPlace("worker-0", 30*second)
				unread(m)
				m.reconcileUntilStable()
			},
			times: []int{100},
		},
		"InPlaceByNodeBehind": {
			reason: "nor before the pod was created", limit: new(int32(1)),
			change: func(m *model) { restartPolicy(commonv1.RestartPolicyOnFailure)(m); m.nodesAhead = -time.Hour },
			happens: func(m *model) {
				m.after(100 * second)
				m.restartedInPlace("worker-0", 30*second)
				unread(m)
				m.reconcileUntilStable()
			},
			times: []int{0},
		},
		"Unreported": {
			reason: "of a failure, too, the clock of the node is all there is", limit: new(int32(1)),
			happens: func(m *model) {
				m.after(50 * second)
				m.end(m.pod("worker-0"), 137)
				unread(m)
				m.after(10 * second)
				m.reconcileUntilStable()
			},
			times: []int{50},
		},
		"ClockSetBack": {
			reason: "a time in the future is that of a clock which was set back, and says nothing", limit: new(int32(1)),
			happens: func(m *model) {
				m.after(time.Hour)
				m.killed("worker-0")
				m.after(-time.Hour)
				m.killed("worker-0")
			},
			times: []int{0},
		},
		"ServersClockAhead": {
			reason: "what is reported from the future was no later than now", limit: new(int32(1)),
			happens: func(m *model) {
				m.after(time.Hour)
				m.end(m.pod("worker-0"), 137)
				m.after(-time.Hour)
				m.reconcileUntilStable()
				m.run()
				m.reconcileUntilStable()
				m.after(time.Hour)
				m.killed("worker-0")
			},
			times: []int{3600},
		},
		"LimitLowered": {
			reason: "an edit that lowers the limit fails the job for what was in the last window", limit: new(int32(2)),
			happens: func(m *model) {
				m.killed("worker-0", "worker-1")
				m.after(99 * second)
				m.in.RunPolicy.BackoffLimit = new(int32(1))
				m.reconcileUntilStable()
			},
			fails: "runPolicy.backoffLimit is 1 in 100 seconds (backoffLimitWindowSeconds).",
			times: []int{0, 0},
		},
		"LimitLoweredLater": {
			reason: "and not for what was before that", limit: new(int32(2)),
			happens: func(m *model) {
				m.killed("worker-0", "worker-1")
				m.after(100 * second)
				m.in.RunPolicy.BackoffLimit = new(int32(1))
				m.reconcileUntilStable()
			},
			times: []int{0, 0},
		},
		"LimitLoweredToWhatIsLeft": {
			reason: "as many as the new limit are allowed", limit: new(int32(3)),
			happens: func(m *model) {
				m.killed("worker-0", "worker-1")
				m.after(99 * second)
				m.killed("worker-0")
				m.after(second)
				m.in.RunPolicy.BackoffLimit = new(int32(1))
				m.reconcileUntilStable()
			},
			times: []int{0, 99},
		},
		"Overtaken": {
			reason: "the news of one pod may overtake that of another: the times are in order", limit: new(int32(2)),
			happens: func(m *model) {
				m.after(100 * second)
				m.killed("worker-0")
				m.after(-20 * second)
				m.end(m.pod("worker-1"), 137)
				m.after(30 * second)
				m.reconcileUntilStable()
			},
			times: []int{80, 100},
		},
		"ServersClockALittleAhead": {
			reason: "the clock of the API server counts, not that of the operator", limit: new(int32(1)),
			happens: func(m *model) {
				m.after(50 * second)
				m.end(m.pod("worker-0"), 137)
				m.after(-second)
				m.reconcileUntilStable()
			},
			times: []int{50},
		},
		"Disrupted": {
			reason: "the control plane says when it disrupted a pod, whenever the end of that is reported", limit: new(int32(1)),
			happens: func(m *model) {
				m.after(50 * second)
				m.disrupt(m.pod("worker-0"), evicted)
				m.after(10 * second)
				m.report(m.pod("worker-0"))
				m.reconcileUntilStable()
			},
			times: []int{50},
		},
		"PartsOfASecond": {
			reason: "times have whole seconds", limit: new(int32(1)),
			change: func(m *model) { restartPolicy(commonv1.RestartPolicyOnFailure)(m); m.nodesAhead = time.Hour },
			happens: func(m *model) {
				m.after(100*second + second/2)
				m.restartedInPlace("worker-0", 30*second)
				unread(m)
				m.reconcileUntilStable()
			},
			times: []int{100},
		},
		"WindowRemoved": {
			reason: "without a window all restarts count", limit: new(int32(2)),
			happens: func(m *model) {
				for range 2 {
					m.killed("worker-0")
					m.after(200 * second)
				}
				m.in.RunPolicy.BackoffLimitWindowSeconds = nil
				m.killed("worker-0")
			},
			fails: "because it has reached the specified backoff limit: runPolicy.backoffLimit is 2.",
		},
		"WindowAdded": {
			reason: "what was counted without one has no time", limit: new(int32(1)),
			change: func(m *model) { m.in.RunPolicy.BackoffLimitWindowSeconds = nil },
			happens: func(m *model) {
				m.killed("worker-0")
				m.in.RunPolicy.BackoffLimitWindowSeconds = new(int64(100))
				m.killed("worker-0")
			},
			times: []int{0},
		},
		"Ignored": {
			reason: "what a rule ignores has no time", limit: new(int32(0)),
			change: func(m *model) {
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(ignore, in, 137)}}
			},
			happens: func(m *model) { m.killed("worker-0"); m.killed("worker-0") },
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), func(m *model) {
				inWindow(tc.limit, tc.perReplica)(m)
				if tc.change != nil {
					tc.change(m)
				}
			})
			tc.happens(m)
			c := m.in.Status.Condition(commonv1.JobFailed)
			if (c != nil) != (tc.fails != "") || c != nil && !strings.Contains(c.Message, tc.fails) {
				t.Errorf("%s: want failure %q, got %q", tc.reason, tc.fails, conditions(&m.in.Status))
			}
			var times []int
			for _, at := range m.in.Status.RestartTimes {
				if at.Nanosecond() != 0 {
					t.Errorf("%s: the status would lose a part of %s", tc.reason, at)
				}
				times = append(times, int(at.Sub(epoch)/time.Second))
			}
			if diff := cmp.Diff(tc.times, times); diff != "" {
				t.Errorf("%s: times that the status keeps (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestTimesThatAreKept: what a job that is stalled for a mistake goes through is counted, but
// no more of it is written down than a limit needs; and a job of which nothing is known, or
// that has ended, keeps what it has.
func TestTimesThatAreKept(t *testing.T) {
	m := started(workers(1), func(m *model) {
		inWindow(new(int32(1)), nil)(m)
		restartPolicy(commonv1.RestartPolicyOnFailure)(m)
	})
	m.in.Problem = "a mistake"
	for range 4 {
		m.after(time.Second)
		m.restartedInPlace("worker-0", 0)
		m.reconcileUntilStable()
	}
	if s := &m.in.Status; s.Restarts != 4 || len(s.RestartTimes) != 2 || s.Finished() {
		t.Errorf("want 4 restarts, the times of 2, and a job that is stalled: got %d, %v, %s", s.Restarts, s.RestartTimes, s.State)
	}
	unreadable := *m
	unreadable.in.Problem, unreadable.in.Unreadable, unreadable.in.RunPolicy = "", "no text", commonv1.RunPolicy{}
	if p := unreadable.decide(); len(p.Status.RestartTimes) != 2 {
		t.Errorf("of a job that cannot be decoded nothing is known, but its times are %v", p.Status.RestartTimes)
	}
	m.in.Problem = ""
	m.reconcileUntilStable()
	m.in.RunPolicy.BackoffLimitWindowSeconds = nil
	m.reconcileUntilStable()
	if s := &m.in.Status; !s.IsTrue(commonv1.JobFailed) || len(s.RestartTimes) != 2 {
		t.Errorf("the job fails when the mistake is fixed, and its record is final: got %q, %v", conditions(s), s.RestartTimes)
	}
}

// TestNoPassForTheWindow: that a restart leaves the window is worth neither a pass nor a
// write.
func TestNoPassForTheWindow(t *testing.T) {
	m := started(workers(2), inWindow(new(int32(3)), new(int32(3))))
	m.killed("worker-0", "worker-1")
	m.after(10 * time.Second)
	m.reconcileUntilStable()
	if p := m.decide(); p.RequeueAfter != 0 || p.StatusChange != plan.StatusUnchanged {
		t.Errorf("near its limit the job asks for nothing, got a pass after %v, a write: %v", p.RequeueAfter, p.StatusChange)
	}
	m.after(1000 * time.Second)
	if p := m.decide(); p.RequeueAfter != 0 || p.StatusChange != plan.StatusUnchanged {
		t.Error("nothing has happened, but the status is written")
	}
}

// windowTruth is what really happened: the times at which pods failed, or were restarted in
// place, in seconds.
type windowTruth []int

// over reports whether more than limit are in one window.
func (w windowTruth) over(limit, window int) bool {
	sorted := slices.Sorted(slices.Values(w))
	for i := range sorted {
		if i+limit < len(sorted) && sorted[i+limit]-sorted[i] < window {
			return true
		}
	}
	return false
}

// TestBackoffLimitWindowIsExact lets pods fail at any time, before an operator that may be
// down, or whose clock may differ, and compares what becomes of the job with a list of all
// failures. The job never fails without reason; and it fails with one unless a clock was
// wrong or restarts in place were seen too late.
func TestBackoffLimitWindowIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, limit, window := rapid.IntRange(1, 3).Draw(t, "workers"), rapid.IntRange(0, 3).Draw(t, "limit"), rapid.IntRange(1, 60).Draw(t, "window")
		perReplica, inPlace := rapid.Bool().Draw(t, "per replica"), rapid.Bool().Draw(t, "in place")
		m := started(workers(int32(n)), func(m *model) {
			m.in.Backoff = plan.Backoff{}
			m.in.RunPolicy.BackoffLimitWindowSeconds = new(int64(window))
			if perReplica {
				m.in.RunPolicy.BackoffLimitPerReplica = new(int32(limit))
			} else {
				m.in.RunPolicy.BackoffLimit = new(int32(limit))
			}
			restartPolicy(commonv1.RestartPolicyExitCode)(m)
			if inPlace {
				restartPolicy(commonv1.RestartPolicyOnFailure)(m)
			}
		})
		truth, exact, unseen, leader := map[string]windowTruth{}, true, map[string]int{}, time.Duration(0)
		for range rapid.IntRange(1, 40).Draw(t, "events") {
			name := "worker-" + strconv.Itoa(rapid.IntRange(0, n-1).Draw(t, "replica"))
			key := ""
			if perReplica {
				key = name
			}
			now := int(m.in.Now.Sub(epoch) / time.Second)
			switch what := rapid.SampledFrom([]string{"fail", "fail", "restart in place", "wait", "wait", "leader's clock", "reconcile"}).Draw(t, "what"); what {
			case "wait":
				m.after(time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second)
				continue
			case "leader's clock":
				leader = rapid.SampledFrom([]time.Duration{0, 5 * time.Second, time.Hour, -time.Hour}).Draw(t, "ahead")
				exact = exact && leader >= 0
				continue
			case "fail", "restart in place":
				p := m.pod(name)
				if p == nil || p.Status.Phase != corev1.PodRunning {
					continue
				}
				if what == "fail" {
					exact = exact && unseen[name] == 0 // of a container that ends the last end is not known here
					m.end(p, 137)
				} else {
					if !inPlace {
						continue
					}
					m.restartedInPlace(name, 0)
					unseen[name]++
					exact = exact && unseen[name] == 1
				}
				truth[key] = append(truth[key], now)
				if rapid.Bool().Draw(t, "the operator is down") {
					continue
				}
			}
			atServer := m.in.Now
			m.in.Now = atServer.Add(leader)
			m.reconcileUntilStable()
			for _, p := range m.in.Pods { // by the API server's clock
				if p.CreationTimestamp.After(atServer) {
					p.CreationTimestamp = metav1.NewTime(atServer)
				}
			}
			m.run()
			m.reconcileUntilStable()
			m.in.Now = atServer
			clear(unseen)
			over := false
			for _, times := range truth {
				over = over || times.over(limit, window)
			}
			switch failed := m.in.Status.IsTrue(commonv1.JobFailed); {
			case failed && !over:
				t.Fatalf("the job failed falsely: %d in %d seconds, %v: %q", limit, window, truth, conditions(&m.in.Status))
			case over && exact && !failed:
				t.Fatalf("the job goes on: %d in %d seconds, %v: %+v", limit, window, truth, m.in.Status)
			case failed:
				return
			}
			checkTimesBounded(t, &m.in.Status, limit)
		}
	})
}

func checkTimesBounded(t *rapid.T, status *commonv1.JobStatus, limit int) {
	lists := [][]metav1.Time{status.RestartTimes}
	for _, rs := range status.ReplicaStatuses {
		for _, list := range rs.RestartTimes {
			lists = append(lists, list)
		}
	}
	for _, list := range lists {
		if len(list) > limit+1 || !slices.IsSortedFunc(list, func(a, b metav1.Time) int { return a.Compare(b.Time) }) {
			t.Fatalf("of a limit of %d the status holds %v", limit, list)
		}
	}
}

// TestLargestStatusWithBudgets: the status of the largest job that may have budgets over
// time, with every budget all but used up, fits well into the store, and unpacks to what it
// was.
func TestLargestStatusWithBudgets(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	m := newModel(workers(plan.MaxInPlace))
	m.in.RunPolicy.BackoffLimit, m.in.RunPolicy.BackoffLimitPerReplica = new(int32(1000)), new(int32(4))
	m.in.RunPolicy.BackoffLimitWindowSeconds = new(int64(30 * 24 * 3600))
	m.in.RunPolicy.OnBackoffLimitPerReplica = new(commonv1.BackoffLimitPerReplicaRestartJob)
	m.in.Status = fullStatus(plan.MaxInPlace, plan.MaxInPlace)
	rs := m.in.Status.ReplicaStatuses[worker]
	rs.RestartTimes, rs.EarlierRestarts = map[string][]metav1.Time{}, map[string]int32{}
	times := func(n int) (list []metav1.Time) {
		for range n {
			list = append(list, metav1.NewTime(epoch.Add(-time.Duration(r.IntN(30*24*3600))*time.Second)))
		}
		slices.SortFunc(list, func(a, b metav1.Time) int { return a.Compare(b.Time) })
		return list
	}
	for i := range plan.MaxInPlace {
		rs.RestartTimes[strconv.Itoa(i)], rs.EarlierRestarts[strconv.Itoa(i)] = times(4), 1_000_000
	}
	m.in.Status.RestartTimes = times(1000)
	p := m.decide()
	data, err := json.Marshal(&p.Status)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(data))
	if len(data) >= 512<<10 {
		t.Errorf("the status has %d bytes, want less than 512 KiB", len(data))
	}
	is := plan.UnpackStatus(p.Status).ReplicaStatuses[worker]
	if diff := cmp.Diff(rs.EarlierRestarts, is.EarlierRestarts); diff != "" {
		t.Error("earlier restarts differ when unpacked")
	}
	for key, was := range rs.RestartTimes {
		if diff := cmp.Diff(fmt.Sprint(unix(was)), fmt.Sprint(unix(is.RestartTimes[key]))); diff != "" {
			t.Fatalf("times of %s differ when unpacked:\n%s", key, diff)
		}
	}
}

func unix(list []metav1.Time) (out []int64) {
	for _, at := range list {
		out = append(out, at.Unix())
	}
	return out
}

// TestWhenAContainerEnded: how long ago that was its node says by any time that the kubelet tells.
func TestWhenAContainerEnded(t *testing.T) {
	for _, c := range []corev1.PodConditionType{corev1.PodReady, corev1.ContainersReady, corev1.PodInitialized, corev1.PodReadyToStartContainers} {
		m := started(workers(1), func(m *model) {
			inWindow(new(int32(1)), nil)(m)
			restartPolicy(commonv1.RestartPolicyOnFailure)(m)
			m.nodesAhead = -time.Hour
		})
		m.after(100 * time.Second)
		m.restartedInPlace("worker-0", 30*time.Second)
		p := m.pod("worker-0")
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{}
		p.Status.Conditions = []corev1.PodCondition{{Type: c, LastTransitionTime: metav1.NewTime(m.in.Now.Add(m.nodesAhead))}}
		m.reconcileUntilStable()
		if got := m.in.Status.RestartTimes; len(got) != 1 || got[0].Sub(epoch) != 70*time.Second {
			t.Errorf("%s: want a restart at 70 s, got %v", c, got)
		}
	}
}

// TestTimeOfAHang: a hang counts from when it was one, not from the last report of its pod.
func TestTimeOfAHang(t *testing.T) {
	m := hungJob(inWindow(new(int32(1)), nil), watched(readiness, commonv1.ProgressActionRestartReplica))
	goesOn(m)
	m.turns("worker-1", corev1.ConditionFalse)
	m.later(100 * time.Second)
	if got := m.in.Status.RestartTimes; len(got) != 1 || got[0].Sub(epoch) != 71*time.Second {
		t.Errorf("want a restart at 71 s, a minute after it was no longer ready, got %v", got)
	}
}
