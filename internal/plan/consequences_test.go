package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// stopMain stops the main container of a pod with a code: the kubelet says so, and not yet that
// the pod has failed.
func (m *model) stopMain(p *corev1.Pod, code int32) {
	m.end(p, code)
	p.Status.Phase = corev1.PodRunning
}

// TestCollateralExits: known-bugs row 121. When one replica of a gang is killed, others
// exit with an error of their own in the same moment: the gang restarts, once. What was
// first permanent fails the job.
func TestCollateralExits(t *testing.T) {
	after := func(m *model, d time.Duration) { m.in.Now = m.in.Now.Add(d) }
	type outcome struct {
		state    commonv1.JobConditionType
		restarts int32
		codes    string // of status.failures, in order
	}
	restarted := func(codes string) outcome { return outcome{commonv1.JobRestarting, 1, codes} }
	failed := func(codes string) outcome { return outcome{commonv1.JobFailed, 0, codes} }
	cases := map[string]struct {
		reason  string
		change  func(*model)
		happens func(*model)
		want    outcome
	}{
		"KilledThenCollateral": {
			reason:  "the killed worker is reported first",
			happens: func(m *model) { m.end(m.pod("worker-1"), 137); after(m, time.Second); m.end(m.pod("worker-0"), 1) },
			want:    restarted("worker-1 137, worker-0 1"),
		},
		"CollateralIsReportedFirst": {
			reason: "kubelets report in any order",
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 1)
				m.reconcileUntilStable()
				after(m, 1500*time.Millisecond)
				m.end(m.pod("worker-1"), 137)
			},
			want: restarted("worker-0 1, worker-1 137"),
		},
		"NodesWithOtherClocks": {
			reason: "what the clocks of the nodes say does not count",
			happens: func(m *model) {
				m.nodesAhead = time.Hour
				m.end(m.pod("worker-0"), 1)
				m.reconcileUntilStable()
				after(m, time.Second)
				m.nodesAhead = -time.Hour
				m.end(m.pod("worker-1"), 137)
			},
			want: restarted("worker-0 1, worker-1 137"),
		},
		"Unreported": {
			reason:  "the container's own state is news already, and the record keeps it",
			happens: func(m *model) { m.stopMain(m.pod("worker-1"), 137); after(m, time.Second); m.end(m.pod("worker-0"), 1) },
			want:    restarted("worker-1 137, worker-0 1"),
		},
		"UnreportedConsequence": {
			reason:  "of two that ended together, the one that is reported later",
			happens: func(m *model) { m.end(m.pod("worker-1"), 137); m.stopMain(m.pod("worker-0"), 1) },
			want:    restarted("worker-0 1, worker-1 137"),
		},
		"UnreportedLongBefore": {
			reason: "what would have ended the job, but was not reported, does not end it later, for another that restarts it",
			happens: func(m *model) {
				m.stopMain(m.pod("worker-0"), 1)
				after(m, time.Minute)
				m.end(m.pod("worker-1"), 137)
			},
			want: restarted("worker-0 1, worker-1 137"),
		},
		"UnreportedSuccess": {
			reason:  "a main container that has succeeded is no failure",
			happens: func(m *model) { m.stopMain(m.pod("worker-0"), 0); m.end(m.pod("worker-1"), 137) },
			want:    restarted("worker-1 137"),
		},
		"UnreportedSidecar": {
			reason: "nor is it one that another container ended with an error",
			happens: func(m *model) {
				m.pod("worker-0").Status.ContainerStatuses = []corev1.ContainerStatus{terminated("logs", 1)}
				m.end(m.pod("worker-1"), 137)
			},
			want: restarted("worker-1 137"),
		},
		"Disrupted": {
			reason: "a peer of a worker that was preempted",
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 1)
				m.reconcileUntilStable()
				m.disrupt(m.pod("worker-1"), preempted)
			},
			want: restarted("worker-0 1, worker-1 0"),
		},
		"Deleted": {
			reason: "a peer of a worker that a user deleted: no limit counts it",
			happens: func(m *model) {
				m.bind()
				m.terminate(m.pod("worker-1"))
				after(m, time.Second)
				m.end(m.pod("worker-0"), 1)
			},
			want: outcome{commonv1.JobRestarting, 0, "worker-0 1"},
		},
		"GoneAndFailed": {
			reason: "of a pod that is gone no one knows when, so it is no cause",
			happens: func(m *model) {
				m.bind()
				m.drop(m.pod("worker-1"))
				m.end(m.pod("worker-0"), 137)
			},
			want: restarted("worker-0 137"),
		},
		"IgnoredByRule": {
			reason: "a consequence counts as its cause does",
			change: func(m *model) {
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onDisruption(ignore)}}
			},
			happens: func(m *model) { m.disrupt(m.pod("worker-1"), preempted); m.end(m.pod("worker-0"), 1) },
			want:    outcome{commonv1.JobRestarting, 0, "worker-0 1, worker-1 0"},
		},
		"TooEarly": {
			reason:  "while others run the news may be on its way",
			happens: func(m *model) { m.end(m.pod("worker-0"), 1); after(m, 2900*time.Millisecond) },
			want:    outcome{commonv1.JobRunning, 0, ""},
		},
		"OthersHaveNoNode": {
			reason: "a pod without a node has no news",
			happens: func(m *model) {
				m.pod("worker-1").Status.Phase, m.pod("worker-2").Status.Phase = corev1.PodPending, corev1.PodPending
				m.end(m.pod("worker-0"), 1)
			},
			want: failed("worker-0 1"),
		},
		"PermanentFirst": {
			reason:  "nothing else came in time",
			happens: func(m *model) { m.end(m.pod("worker-0"), 1); m.reconcileUntilStable(); after(m, 3*time.Second) },
			want:    failed("worker-0 1"),
		},
		"PermanentFirstByTime": {
			reason: "what comes later is its consequence",
			happens: func(m *model) {
				m.end(m.pod("worker-1"), 1)
				after(m, 4*time.Second)
				m.end(m.pod("worker-0"), 137)
			},
			want: failed("worker-1 1, worker-0 137"),
		},
		"AllPermanent": {
			reason: "nothing is left to wait for, and the first by time is the one to investigate",
			happens: func(m *model) {
				m.end(m.pod("worker-2"), 3)
				after(m, time.Second)
				m.end(m.pod("worker-0"), 1)
				m.end(m.pod("worker-1"), 1)
			},
			want: failed("worker-2 3, worker-0 1, worker-1 1"),
		},
		"Never": {
			reason:  "nothing that is retried can come",
			change:  restartPolicy(commonv1.RestartPolicyNever),
			happens: func(m *model) { m.end(m.pod("worker-0"), 1) },
			want:    failed("worker-0 1"),
		},
		"FailJobByRule": {
			reason: "a rule is no consequence, and waits for nothing",
			change: func(m *model) {
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{
					onCodes(failJob, batchv1.PodFailurePolicyOnExitCodesOpIn, 1),
				}}
			},
			happens: func(m *model) { m.end(m.pod("worker-1"), 137); m.end(m.pod("worker-0"), 1) },
			want:    failed("worker-0 1, worker-1 137"),
		},
		"FailJobByRuleBesideAnother": {
			reason: "nor does the job for the cause of another that would end it",
			change: func(m *model) {
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{
					onCodes(failJob, batchv1.PodFailurePolicyOnExitCodesOpIn, 1),
				}}
			},
			happens: func(m *model) { m.end(m.pod("worker-0"), 1); m.end(m.pod("worker-1"), 2) },
			want:    failed("worker-0 1, worker-1 2"),
		},
		"ScopeReplica": {
			reason:  "replicas that are restarted one by one have no consequences",
			change:  func(m *model) { m.in.RunPolicy.RestartScope = nil },
			happens: func(m *model) { m.end(m.pod("worker-1"), 137); m.end(m.pod("worker-0"), 1) },
			want:    failed("worker-0 1, worker-1 137"),
		},
		"ScopeReplicaRestartJob": {
			reason: "unless a rule restarts the whole job",
			change: func(m *model) {
				m.in.RunPolicy.RestartScope = nil
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{
					onCodes(restartJob, batchv1.PodFailurePolicyOnExitCodesOpIn, 137),
				}}
			},
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 1)
				m.reconcileUntilStable()
				after(m, time.Second)
				m.end(m.pod("worker-1"), 137)
			},
			want: restarted("worker-0 1, worker-1 137"),
		},
		"ClockAhead": {
			reason: "an API server whose clock is far ahead delays nothing",
			happens: func(m *model) {
				after(m, time.Hour)
				m.end(m.pod("worker-0"), 1)
				after(m, -time.Hour)
			},
			want: failed("worker-0 1"),
		},
		"Unknown": {
			reason: "where managed fields say nothing, the time of the node does",
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 1)
				m.pod("worker-0").ManagedFields = nil
				after(m, 2900*time.Millisecond)
			},
			want: outcome{commonv1.JobRunning, 0, ""},
		},
		"UnknownLongAgo": {
			reason: "it says so, too, when it is no longer too early",
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 1)
				m.pod("worker-0").ManagedFields = nil
				after(m, 3*time.Second)
			},
			want: failed("worker-0 1"),
		},
		"UnknownAndBehind": {
			reason: "no pod ended before it was created, whatever the clock of its node says",
			happens: func(m *model) {
				m.nodesAhead = -time.Hour
				m.end(m.pod("worker-0"), 1)
				m.pod("worker-0").ManagedFields, m.pod("worker-0").CreationTimestamp = nil, metav1.NewTime(m.in.Now)
				after(m, 2900*time.Millisecond)
			},
			want: outcome{commonv1.JobRunning, 0, ""},
		},
		"UnknownAndAhead": {
			reason: "a node whose clock is ahead does not, where managed fields say nothing",
			happens: func(m *model) {
				m.nodesAhead = time.Hour
				m.end(m.pod("worker-0"), 1)
				m.pod("worker-0").ManagedFields = nil
			},
			want: failed("worker-0 1"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(3), func(m *model) {
				restartPolicy(commonv1.RestartPolicyExitCode)(m)
				m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
				if tc.change != nil {
					tc.change(m)
				}
			})
			m.in.Now = m.in.Now.Add(time.Minute)
			tc.happens(m)
			p := m.decide()
			got := outcome{p.Status.State, p.Status.Restarts, ""}
			var codes []string
			for _, f := range p.Status.Failures {
				code := int32(0)
				if f.ExitCode != nil {
					code = *f.ExitCode
				}
				codes = append(codes, "worker-"+itoa(int(f.Index))+" "+itoa(int(code)))
			}
			if got.codes = strings.Join(codes, ", "); got != tc.want {
				t.Errorf("%s:\nwant %+v\n got %+v", tc.reason, tc.want, got)
			}
			if first, _, _ := strings.Cut(tc.want.codes, " "); got.state == commonv1.JobFailed && tc.change == nil &&
				!strings.Contains(p.Status.Condition(commonv1.JobFailed).Message, "First failure: pod job-"+first+",") {
				t.Errorf("%s: the condition names the first by time: %q", tc.reason, conditions(&p.Status))
			}
			if got.state == commonv1.JobRunning && (p.RequeueAfter == 0 || p.RequeueAfter > 3*time.Second) {
				t.Errorf("%s: want it requeued when it no longer is, got after %s", tc.reason, p.RequeueAfter)
			}
		})
	}
}

// TestConsequenceInTheMessage: when the failure that came first is the consequence of another, the
// message says of which.
func TestConsequenceInTheMessage(t *testing.T) {
	m := roles(scopeReplica, scopeJob)
	m.in.RunPolicy.BackoffLimit = new(int32(0))
	m.end(m.pod("worker-0"), 1)
	m.reconcileUntilStable()
	m.in.Now = m.in.Now.Add(time.Second)
	m.end(m.pod("worker-1"), 137)
	m.reconcileUntilStable()
	c := m.in.Status.Condition(commonv1.JobFailed)
	const want = "First failure: pod job-worker-0, exit code 1, a consequence of pod job-worker-1, exit code 137."
	if c == nil || !strings.HasSuffix(c.Message, want) {
		t.Errorf("want a message that ends with %q, got %+v", want, c)
	}
}

// TestConsequenceOfWhatRestartsTheJob: a failure that is the consequence of one that restarts the whole job
// restarts the whole job, whatever the restart scope of its own role, and counts as its cause does.
func TestConsequenceOfWhatRestartsTheJob(t *testing.T) {
	cases := map[string]struct {
		reason   string
		happens  func(*model)
		restarts int32
	}{
		"Deleted": {
			reason:  "a user deletes a pod of the gang: no limit counts that",
			happens: func(m *model) { m.terminate(m.pod("master-0")) },
		},
		"Ignored": {
			reason: "a rule ignores the cause",
			happens: func(m *model) {
				m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onDisruption(ignore)}}
				m.disrupt(m.pod("master-0"), preempted)
			},
		},
		"Counted": {
			reason:   "the cause is a failure that counts",
			happens:  func(m *model) { m.end(m.pod("master-0"), 137) },
			restarts: 1,
		},
	}
	for name, tc := range cases {
		for _, scope := range []commonv1.RestartScope{scopeReplica, scopeRole, scopeJob} {
			t.Run(name+"/"+string(scope), func(t *testing.T) {
				m := roles(scopeJob, scope)
				m.in.Now = m.in.Now.Add(time.Minute)
				tc.happens(m)
				m.in.Now = m.in.Now.Add(time.Second)
				m.end(m.pod("worker-0"), 1)
				p := m.decide()
				type outcome struct{ Attempt, Role, Restarts int32 }
				got := outcome{p.Status.Attempt, p.Status.ReplicaStatuses[worker].Attempt, p.Status.Restarts}
				if diff := cmp.Diff(outcome{1, 0, tc.restarts}, got); diff != "" {
					t.Errorf("%s: the job restarts once, as a whole (-want +got):\n%s", tc.reason, diff)
				}
			})
		}
	}
}

// TestHungAndEnded: a replica that hangs, and whose main container has ended meanwhile, failed once.
func TestHungAndEnded(t *testing.T) {
	for _, action := range []commonv1.ProgressAction{commonv1.ProgressActionRestartJob, commonv1.ProgressActionFailJob} {
		m := hungJob(watched(report, action), restartPolicy(commonv1.RestartPolicyExitCode), func(m *model) {
			m.in.Rules.MinReplicas = map[commonv1.ReplicaType]int32{worker: 1}
		})
		goesOn(m)
		m.reports("worker-0", 10)
		m.reconcileUntilStable()
		m.after(time.Hour)
		m.stopMain(m.pod("worker-0"), 137)
		var got []string
		for _, f := range m.decide().Status.Failures {
			got = append(got, "worker-"+itoa(int(f.Index))+" "+f.Reason)
		}
		if diff := cmp.Diff([]string{"worker-0 Hung"}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", action, diff)
		}
	}
}

// TestOnlyPeerIsDeleted: in a gang of two, the failure of one is the consequence of a user's deletion of the
// other, as it is in a larger gang.
func TestOnlyPeerIsDeleted(t *testing.T) {
	for name, tc := range map[string]struct {
		reason          string
		replicas        map[commonv1.ReplicaType]int32
		deleted, exited string
		later           time.Duration // how long after the deletion
		failed          bool
	}{
		"Workers":        {reason: "no limit counts it", replicas: workers(2), deleted: "worker-1", exited: "worker-0", later: time.Second},
		"Master":         {reason: "a gang spans roles", replicas: map[commonv1.ReplicaType]int32{master: 1, worker: 1}, deleted: "master-0", exited: "worker-0", later: time.Second},
		"WorkerOfOne":    {reason: "whichever goes", replicas: map[commonv1.ReplicaType]int32{master: 1, worker: 1}, deleted: "worker-0", exited: "master-0", later: time.Second},
		"FailedOnItsOwn": {reason: "what failed long before was no consequence", replicas: workers(2), deleted: "worker-1", exited: "worker-0", later: -time.Minute, failed: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(tc.replicas, func(m *model) {
				for typ := range m.in.Replicas {
					m.in.Replicas[typ].RestartPolicy = commonv1.RestartPolicyExitCode
				}
				m.in.RunPolicy.RestartScope = new(scopeJob)
				m.in.RunPolicy.BackoffLimit = new(int32(0))
			})
			m.bind()
			start := m.in.Now.Add(2 * time.Minute)
			m.in.Now = start.Add(tc.later)
			m.end(m.pod(tc.exited), 1)
			m.in.Now = start
			m.terminate(m.pod(tc.deleted))
			m.in.Now = start.Add(time.Second)
			p := m.decide()
			type outcome struct {
				Failed                     bool
				Attempt, Restarts, Ignored int32
			}
			want := outcome{Attempt: 1, Ignored: 1}
			if tc.failed {
				want = outcome{Failed: true}
			}
			got := outcome{p.Status.State == commonv1.JobFailed, p.Status.Attempt, p.Status.Restarts, p.Restarts.Ignored}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s\n%q", tc.reason, diff, conditions(&p.Status))
			}
		})
	}
}

// TestPassesBetweenDecideNothing: what follows from a failure or a deletion and from what its peers do
// a second later, or before, does not depend on whether a pass comes in between.
func TestPassesBetweenDecideNothing(t *testing.T) {
	rules := []commonv1.PodFailurePolicyRule{
		onDisruption(ignore), onCodes(ignore, in, 140), onCodes(countIt, in, 42), onCodes(restartJob, in, 43),
	}
	causes := map[string]func(*model, *corev1.Pod){
		"Preempted":    func(m *model, p *corev1.Pod) { m.disrupt(p, preempted) },
		"Deleted":      func(m *model, p *corev1.Pod) { m.terminate(p) },
		"IgnoredCode":  func(m *model, p *corev1.Pod) { m.end(p, 140) },
		"CountedCause": func(m *model, p *corev1.Pod) { m.end(p, 137) },
	}
	peers := map[string]func(*model, *corev1.Pod){
		"Permanent":  func(m *model, p *corev1.Pod) { m.end(p, 1) },
		"Killed":     func(m *model, p *corev1.Pod) { m.end(p, 137) },
		"Unreported": func(m *model, p *corev1.Pod) { m.stopMain(p, 137) },
		"Count":      func(m *model, p *corev1.Pod) { m.end(p, 42) },
		"RestartJob": func(m *model, p *corev1.Pod) { m.end(p, 43) },
	}
	type outcome struct {
		State                                        commonv1.JobConditionType
		Attempt, AttemptOfWorker, Restarts, ofWorker int32
	}
	for _, of := range [][2]commonv1.RestartScope{{scopeJob, scopeJob}, {scopeRole, scopeRole}, {scopeReplica, scopeRole}, {scopeReplica, scopeJob}} {
		for cause, happens := range causes {
			for peer, follows := range peers {
				if peer == "RestartJob" && of[1] == scopeRole {
					continue // That is more than the role, which a pass in between has restarted.
				}
				for _, causeFirst := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s/%s/%s/CauseFirst=%t", of, cause, peer, causeFirst), func(t *testing.T) {
						after := func(passBetween bool) outcome {
							m := roles(of[0], of[1])
							m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: rules}
							m.in.Replicas[worker].BackoffLimit = new(int32(9))
							m.after(time.Minute)
							events := []func(){func() { happens(m, m.pod("worker-1")) }, func() { follows(m, m.pod("worker-0")) }}
							if !causeFirst {
								slices.Reverse(events)
							}
							events[0]()
							if passBetween {
								p := m.decide()
								m.write(&p) // and it gets no further
							}
							m.after(time.Second)
							events[1]()
							p := m.decide()
							m.write(&p)
							s := &m.in.Status
							return outcome{s.State, s.Attempt, s.ReplicaStatuses[worker].Attempt, s.Restarts, s.ReplicaStatuses[worker].Restarts}
						}
						if diff := cmp.Diff(after(true), after(false), cmp.AllowUnexported(outcome{})); diff != "" {
							t.Errorf("a pass in between decides (-with +without):\n%s", diff)
						}
					})
				}
			}
		}
	}
}

// TestConsequenceOfWhatIsIgnored: the peers of a pod that is preempted or deleted by hand exit with it.
// Where that counts for nothing, they do not use up the limit of the job, whatever their exit code.
func TestConsequenceOfWhatIsIgnored(t *testing.T) {
	for _, policy := range []commonv1.RestartPolicy{commonv1.RestartPolicyExitCode, commonv1.RestartPolicyOnFailure} {
		for _, code := range []int32{1, 137} {
			for name, happens := range map[string]func(*model, *corev1.Pod){
				"Preempted": func(m *model, p *corev1.Pod) { m.disrupt(p, preempted) },
				"Deleted":   func(m *model, p *corev1.Pod) { m.terminate(p) },
			} {
				for _, later := range []time.Duration{0, time.Second} {
					t.Run(fmt.Sprintf("%s/%s/%d/%s", name, policy, code, later), func(t *testing.T) {
						m := started(workers(3), func(m *model) {
							restartPolicy(policy)(m)
							m.in.RunPolicy.RestartScope, m.in.RunPolicy.BackoffLimit = new(scopeJob), new(int32(0))
							m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onDisruption(ignore)}}
						})
						m.bind()
						m.after(time.Minute)
						happens(m, m.pod("worker-1"))
						m.after(later)
						m.end(m.pod("worker-0"), code)
						p := m.decide()
						type outcome struct {
							State             commonv1.JobConditionType
							Attempt, Restarts int32
							By                plan.Restarts
						}
						want := outcome{commonv1.JobRestarting, 1, 0, plan.Restarts{Ignored: 1}}
						if diff := cmp.Diff(want, outcome{p.Status.State, p.Status.Attempt, p.Status.Restarts, p.Restarts}); diff != "" {
							t.Errorf("-want +got:\n%s%q", diff, conditions(&p.Status))
						}
					})
				}
			}
		}
	}
}
