package plan_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// restartsJob has a replica that has used up its limit restart the job.
func restartsJob(limit int32, most *int32) func(*model) {
	return func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		m.in.Backoff = plan.Backoff{}
		m.in.RunPolicy.BackoffLimitPerReplica, m.in.RunPolicy.MaxJobRestarts = &limit, most
		m.in.RunPolicy.OnBackoffLimitPerReplica = new(commonv1.BackoffLimitPerReplicaRestartJob)
	}
}

func TestOnBackoffLimitPerReplica(t *testing.T) {
	cases := map[string]struct {
		reason  string
		limit   int32
		most    *int32
		change  func(*model)
		happens func(*model)
		// want is the last condition, or what it begins with.
		want                           string
		jobRestarts, attempt, restarts int32
	}{
		"Within": {
			reason: "a replica restarts by itself as often as it may", limit: 1,
			happens: func(m *model) { m.killed("worker-0"); m.killed("worker-1") },
			want:    "Running=True", restarts: 2,
		},
		"Beyond": {
			reason: "the restart beyond that restarts all", limit: 1,
			happens:     func(m *model) { m.killed("worker-0"); m.end(m.pod("worker-0"), 137); m.reconcile() },
			want:        "Restarting=True TestJobRestarting: TestJob job is restarting because replica 0 of Worker has reached its backoff limit: runPolicy.backoffLimitPerReplica is 1.",
			jobRestarts: 1, attempt: 1, restarts: 2,
		},
		"Again": {
			reason: "after that each replica has its whole limit", limit: 1,
			happens: func(m *model) {
				m.killed("worker-1")
				m.killed("worker-0")
				m.killed("worker-0")
				m.killed("worker-0")
				m.killed("worker-1")
			},
			want: "Running=True", jobRestarts: 1, attempt: 1, restarts: 5,
		},
		"Twice": {
			reason: "and may use it up again", limit: 1,
			happens: func(m *model) {
				for range 4 {
					m.killed("worker-0")
				}
			},
			want: "Running=True", jobRestarts: 2, attempt: 2, restarts: 4,
		},
		"UpToMost": {
			reason: "as often as maxJobRestarts says; then the job fails", limit: 0, most: new(int32(2)),
			happens: func(m *model) {
				for range 3 {
					m.killed("worker-1")
				}
			},
			want: "Failed=True TestJobFailed: TestJob ns/job has failed because replica 1 of Worker has reached its backoff limit: runPolicy.backoffLimitPerReplica is 0, " +
				"and the job may not restart for that again: runPolicy.maxJobRestarts is 2. First failure: pod job-worker-1, exit code 137, restart policy ExitCode.",
			jobRestarts: 2, attempt: 2, restarts: 2,
		},
		"FailJob": {
			reason: "the default fails the job", limit: 0,
			change:  func(m *model) { m.in.RunPolicy.OnBackoffLimitPerReplica = new(commonv1.BackoffLimitPerReplicaFailJob) },
			happens: func(m *model) { m.killed("worker-1") },
			want:    "Failed=True TestJobFailed: TestJob ns/job has failed because replica 1 of Worker has reached its backoff limit: runPolicy.backoffLimitPerReplica is 0. First",
		},
		"InPlace": {
			reason: "restarts in place use it up, too, and are counted once", limit: 1,
			change: restartPolicy(commonv1.RestartPolicyOnFailure),
			happens: func(m *model) {
				m.restartedInPlace("worker-0", 0)
				m.reconcileUntilStable()
				m.restartedInPlace("worker-0", 0)
				m.reconcileUntilStable()
				m.run()
				m.reconcileUntilStable()
				m.restartedInPlace("worker-0", 0)
				m.reconcileUntilStable()
			},
			want: "Running=True", jobRestarts: 1, attempt: 1, restarts: 3,
		},
		"BackoffLimit": {
			reason: "a restart of the whole job counts against the limit of the job, as one", limit: 0,
			change: func(m *model) { m.in.RunPolicy.BackoffLimit = new(int32(1)) },
			happens: func(m *model) {
				m.killed("worker-0", "worker-1")
				m.killed("worker-1")
			},
			want: "Failed=True TestJobFailed: TestJob ns/job has failed because it has reached the specified backoff limit: runPolicy.backoffLimit is 1.", jobRestarts: 1, attempt: 1, restarts: 1,
		},
		"Window": {
			reason: "with a window old restarts use up nothing", limit: 1,
			change: func(m *model) { m.in.RunPolicy.BackoffLimitWindowSeconds = new(int64(100)) },
			happens: func(m *model) {
				for range 3 {
					m.killed("worker-0")
					m.after(100 * time.Second)
				}
				m.killed("worker-0")
				m.killed("worker-0")
			},
			want: "Running=True", jobRestarts: 1, attempt: 1, restarts: 5,
		},
		"WindowAgain": {
			reason: "what led to the restart of the job is not in the window of what follows", limit: 1,
			change:  func(m *model) { m.in.RunPolicy.BackoffLimitWindowSeconds = new(int64(100)) },
			happens: func(m *model) { m.killed("worker-0"); m.killed("worker-0"); m.killed("worker-0") },
			want:    "Running=True", jobRestarts: 1, attempt: 1, restarts: 3,
		},
		"SucceededRunAgain": {
			reason: "all replicas begin again, those that had succeeded too", limit: 0,
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.reconcileUntilStable()
				m.killed("worker-1")
				m.end(m.pod("worker-1"), 0)
				m.reconcileUntilStable()
			},
			want: "Running=True", jobRestarts: 1, attempt: 1, restarts: 1,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), func(m *model) {
				restartsJob(tc.limit, tc.most)(m)
				if tc.change != nil {
					tc.change(m)
				}
			})
			tc.happens(m)
			s, all := &m.in.Status, conditions(&m.in.Status)
			if last := all[len(all)-1]; !strings.HasPrefix(last, tc.want) {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, last)
			}
			if s.JobRestarts != tc.jobRestarts || s.Attempt != tc.attempt || s.Restarts != tc.restarts {
				t.Errorf("%s: want %d restarts of the job, attempt %d, %d restarts, got %d, %d, %d",
					tc.reason, tc.jobRestarts, tc.attempt, tc.restarts, s.JobRestarts, s.Attempt, s.Restarts)
			}
		})
	}
}

// TestRestartsThatAreIgnoredUseUpNothing: after a restart of the job only restarts that count are
// set off against the limits of replicas.
func TestRestartsThatAreIgnoredUseUpNothing(t *testing.T) {
	m := started(workers(2), func(m *model) {
		restartsJob(0, nil)(m)
		m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onCodes(ignore, in, 140)}}
	})
	m.end(m.pod("worker-1"), 140)
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	m.end(m.pod("worker-0"), 137)
	m.reconcile()
	if s := &m.in.Status; s.JobRestarts != 1 || len(s.ReplicaStatuses[worker].EarlierRestarts) != 0 {
		t.Errorf("%d restarts of the job, earlier ones of replicas: %v", s.JobRestarts, s.ReplicaStatuses[worker].EarlierRestarts)
	}
}

// TestBudgetsOfReplicasAreExact lets replicas fail in any order, at any time, and compares
// the restarts of the job with a list of what happened.
func TestBudgetsOfReplicasAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, limit, window := rapid.IntRange(1, 3).Draw(t, "workers"), rapid.IntRange(0, 2).Draw(t, "limit"), rapid.IntRange(0, 60).Draw(t, "window, 0 is none")
		most, inPlace := rapid.IntRange(0, 2).Draw(t, "maxJobRestarts"), rapid.Bool().Draw(t, "in place")
		m := started(workers(int32(n)), func(m *model) {
			restartsJob(int32(limit), new(int32(most)))(m)
			if window > 0 {
				m.in.RunPolicy.BackoffLimitWindowSeconds = new(int64(window))
			}
			if inPlace {
				restartPolicy(commonv1.RestartPolicyOnFailure)(m)
			}
		})
		truth, jobRestarts, restarts := map[string]windowTruth{}, 0, 0
		for range rapid.IntRange(1, 30).Draw(t, "events") {
			name := "worker-" + strconv.Itoa(rapid.IntRange(0, n-1).Draw(t, "replica"))
			now := int(m.in.Now.Sub(epoch) / time.Second)
			switch rapid.SampledFrom([]string{"fail", "restart in place", "wait"}).Draw(t, "what") {
			case "wait":
				m.after(time.Duration(rapid.IntRange(0, 40).Draw(t, "seconds")) * time.Second)
				continue
			case "fail":
				m.killed(name)
			case "restart in place":
				if !inPlace {
					continue
				}
				m.restartedInPlace(name, 0)
				m.reconcileUntilStable()
				m.run()
				m.reconcileUntilStable()
			}
			if truth[name] = append(truth[name], now); window == 0 && len(truth[name]) > limit || window > 0 && truth[name].over(limit, window) {
				if jobRestarts++; jobRestarts <= most {
					clear(truth)
				}
			}
			restarts++
			s := &m.in.Status
			if jobRestarts > most {
				if !s.IsTrue(commonv1.JobFailed) || int(s.JobRestarts) != most {
					t.Fatalf("replica %s has used up its limit of %d in %d seconds, %v, after %d of %d restarts of the job, but the conditions are %q",
						name, limit, window, truth, s.JobRestarts, most, conditions(s))
				}
				return
			}
			if s.Finished() || int(s.JobRestarts) != jobRestarts || int(s.Attempt) != jobRestarts || int(s.Restarts) != restarts {
				t.Fatalf("want %d restarts of the job of %d restarts, got %d, attempt %d, %d: limit %d in %d seconds, %v, %q",
					jobRestarts, restarts, s.JobRestarts, s.Attempt, s.Restarts, limit, window, truth, conditions(s))
			}
			checkTimesBounded(t, s, limit)
		}
	})
}

// TestBudgetRestartCountsForItsCause: of several replicas that fail, the one that has used up its limit
// restarts the job; that counts for its type, and by its cause.
func TestBudgetRestartCountsForItsCause(t *testing.T) {
	type outcome struct {
		Master, Worker int32
		By             plan.Restarts
	}
	for name, tc := range map[string]struct {
		reason  string
		happens func(*model)
		want    outcome
	}{
		"OtherByName": {
			"the master failed too, at the same time, and comes first in the list",
			func(m *model) { m.end(m.pod("worker-0"), 137); m.end(m.pod("master-0"), 137) },
			outcome{Master: 0, Worker: 2, By: plan.Restarts{Failed: 1}},
		},
		"OtherByTime": {
			"the master failed before, within its limit",
			func(m *model) {
				m.end(m.pod("master-0"), 137)
				m.after(time.Second)
				m.disrupt(m.pod("worker-0"), preempted)
			},
			outcome{Master: 0, Worker: 2, By: plan.Restarts{Disrupted: 1}},
		},
		"Alone": {
			"nothing else failed", func(m *model) { m.end(m.pod("worker-0"), 137) },
			outcome{Master: 0, Worker: 2, By: plan.Restarts{Failed: 1}},
		},
		"InPlace": {
			"the worker's restart by its node was counted when it was seen, so the failure counts for the master",
			func(m *model) { m.restartedInPlace("worker-0", 0); m.disrupt(m.pod("master-0"), preempted) },
			outcome{Master: 1, Worker: 2, By: plan.Restarts{Disrupted: 1, InPlace: 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, func(m *model) {
				restartsJob(1, nil)(m)
				for typ := range m.in.Replicas {
					m.in.Replicas[typ].RestartPolicy, m.in.Replicas[typ].BackoffLimit = commonv1.RestartPolicyExitCode, new(int32(5))
				}
			})
			m.killed("worker-0")
			tc.happens(m)
			p := m.decide()
			s := &p.Status
			got := outcome{s.ReplicaStatuses[master].Restarts, s.ReplicaStatuses[worker].Restarts, p.Restarts}
			if diff := cmp.Diff(tc.want, got); s.JobRestarts != 1 || diff != "" {
				t.Errorf("%s (-want +got):\n%s%q", tc.reason, diff, conditions(s))
			}
		})
	}
}

// TestCauseOfARestartForALimit: the restart of the job is of the cause that counts, not of a failure that is
// ignored.
func TestCauseOfARestartForALimit(t *testing.T) {
	m := started(workers(2), func(m *model) {
		restartsJob(0, nil)(m)
		m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onDisruption(ignore)}}
	})
	m.disrupt(m.pod("worker-0"), preempted)
	m.end(m.pod("worker-1"), 137)
	p := m.decide()
	if p.Status.JobRestarts != 1 || p.Restarts.Failed != 1 || p.Restarts.Ignored != 0 {
		t.Errorf("want one restart of the job because a replica failed, got %d, %+v", p.Status.JobRestarts, p.Restarts)
	}
}
