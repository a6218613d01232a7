package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

const (
	isCreated            = "Created=True TestJobCreated: TestJob job is created."
	isRunning            = "Running=True TestJobRunning: TestJob ns/job is running."
	countInPlaceRestarts = "Restarting=True TestJobRestarting: TestJob job is restarting because "
)

// ranByMaster is the rule of kinds with a master: it decides whether the job runs.
func ranByMaster(m *model) { m.in.Rules.Running = []jobkit.ReplicaSelector{jobkit.All(master)} }

// podsReady is Kueue's rule (kubeflowjob, PodsReady): any condition Running that is True.
func podsReady(s *commonv1.JobStatus) bool {
	for _, c := range s.Conditions {
		if c.Type == commonv1.JobRunning && c.Status == corev1.ConditionTrue {
			return true
		}
	}
	return false
}

// TestRunningFollowsItsReplicas: Running is True while a replica runs that decides it, and
// no longer; Restarting stands behind it.
func TestRunningFollowsItsReplicas(t *testing.T) {
	retry := func(m *model) {
		for _, spec := range m.in.Replicas {
			spec.RestartPolicy = commonv1.RestartPolicyExitCode
		}
	}
	for name, tc := range map[string]struct {
		reason  string
		set     func(*model)
		happens func(*model)
		want    []string
		state   commonv1.JobConditionType
	}{
		"OneOfMany": {
			reason: "the others run while one is replaced: Kueue must not evict the job for that", set: retry,
			happens: func(m *model) { m.end(m.pod("worker-1"), 137) },
			want:    []string{isCreated, isRunning, countInPlaceRestarts + "1 Worker replica(s) failed."}, state: commonv1.JobRestarting,
		},
		"WorkerOfAMaster": {
			reason: "the master runs", set: func(m *model) { retry(m); ranByMaster(m) },
			happens: func(m *model) { m.end(m.pod("worker-0"), 137); m.end(m.pod("worker-1"), 137) },
			want:    []string{isCreated, isRunning, countInPlaceRestarts + "2 Worker replica(s) failed."}, state: commonv1.JobRestarting,
		},
		"Master": {
			reason: "workers without their master do not make the job run", set: func(m *model) { retry(m); ranByMaster(m) },
			happens: func(m *model) { m.evict(m.pod("master-0")) },
			want:    []string{isCreated, countInPlaceRestarts + "1 Master replica(s) failed."}, state: commonv1.JobRestarting,
		},
		"MasterLeaves": {
			reason: "a drained master is being replaced, which is counted nowhere", set: ranByMaster,
			happens: func(m *model) { m.terminate(m.pod("master-0")) },
			want:    []string{isCreated, countInPlaceRestarts + "no replica of Master runs any more."}, state: commonv1.JobRestarting,
		},
		"MasterIsGone": {
			reason: "its successor is pending", set: ranByMaster,
			happens: func(m *model) { m.drop(m.pod("master-0")); m.reconcileUntilStable() },
			want:    []string{isCreated, countInPlaceRestarts + "no replica of Master runs any more."}, state: commonv1.JobRestarting,
		},
		"WorkerLeaves": {
			reason: "a worker that a user deleted changes nothing", set: ranByMaster,
			happens: func(m *model) { m.terminate(m.pod("worker-0")) },
			want:    []string{isCreated, isRunning}, state: commonv1.JobRunning,
		},
		"All": {
			reason: "nothing runs any longer", set: retry,
			happens: func(m *model) {
				for _, p := range m.in.Pods {
					m.end(p, 137)
				}
			},
			want: []string{isCreated, countInPlaceRestarts + "1 Master, 2 Worker replica(s) failed."}, state: commonv1.JobRestarting,
		},
		"Gang": {
			reason: "a job that restarts as a whole does not run, although its pods still do",
			set:    func(m *model) { retry(m); m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob) },
			happens: func(m *model) {
				for _, p := range m.in.Pods {
					m.terminate(p) // which take their time
				}
				m.in.Pods[0].DeletionTimestamp = nil
				m.end(m.in.Pods[0], 137)
			},
			want: []string{isCreated, countInPlaceRestarts + "1 Master replica(s) failed."}, state: commonv1.JobRestarting,
		},
		"MasterIsBackFirst": {
			reason: "the job runs again before all that restarted do", set: func(m *model) { retry(m); ranByMaster(m) },
			happens: func(m *model) {
				m.end(m.pod("master-0"), 137)
				m.end(m.pod("worker-0"), 137)
				m.reconcileUntilStable()
				m.pod("master-0").Status.Phase = corev1.PodRunning
			},
			want: []string{isCreated, isRunning, countInPlaceRestarts + "1 Master, 1 Worker replica(s) failed."}, state: commonv1.JobRestarting,
		},
		"ScaledToZero": {
			reason: "it has no pod, and none is missing", set: func(*model) {},
			happens: func(m *model) {
				m.in.Replicas[master].Replicas, m.in.Replicas[worker].Replicas = new(int32(0)), new(int32(0))
			},
			want: []string{isCreated}, state: commonv1.JobCreated,
		},
		"ScaledToZeroWhileRestarting": {
			reason: "what was to restart is no longer wanted", set: retry,
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 137)
				m.reconcileUntilStable()
				m.in.Replicas[master].Replicas, m.in.Replicas[worker].Replicas = new(int32(0)), new(int32(0))
			},
			want: []string{isCreated}, state: commonv1.JobCreated,
		},
		"NoneDecides": {
			reason: "without a master there is none that decides", set: ranByMaster,
			happens: func(m *model) { m.in.Replicas[master].Replicas = new(int32(0)) },
			want:    []string{isCreated}, state: commonv1.JobCreated,
		},
		"MasterHasDoneItsPart": {
			reason: "the rest of the job runs", set: ranByMaster,
			happens: func(m *model) { m.end(m.pod("master-0"), 0) },
			want:    []string{isCreated, isRunning}, state: commonv1.JobRunning,
		},
		"OptionalMaster": {
			reason: "a failure that is left alone is no restart", set: func(m *model) { ranByMaster(m); m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(master)} },
			happens: func(m *model) { m.end(m.pod("master-0"), 1) },
			want:    []string{isCreated, isRunning}, state: commonv1.JobRunning,
		},
		"MasterHasDoneItsPartAndTheRestIsReplaced": {
			reason: "a replica that starts a moment later does not toggle the condition", set: func(m *model) { retry(m); ranByMaster(m) },
			happens: func(m *model) {
				m.end(m.pod("master-0"), 0)
				m.end(m.pod("worker-0"), 137)
				m.end(m.pod("worker-1"), 137)
			},
			want: []string{isCreated, isRunning, countInPlaceRestarts + "2 Worker replica(s) failed."}, state: commonv1.JobRestarting,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 2}, tc.set)
			tc.happens(m)
			m.reconcileUntilStable()
			if diff := cmp.Diff(tc.want, conditions(&m.in.Status)); diff != "" || m.in.Status.State != tc.state {
				t.Errorf("%s: state %s (-want +got):\n%s", tc.reason, m.in.Status.State, diff)
			}
			if want := len(tc.want) > 1 && tc.want[1] == isRunning; podsReady(&m.in.Status) != want {
				t.Errorf("%s: Kueue's PodsReady is %t", tc.reason, !want)
			}
			if p := m.decide(); p.StatusChange != plan.StatusUnchanged || len(p.Events) > 0 {
				t.Errorf("%s: it is said once, and then again: %v", tc.reason, p.Events)
			}
		})
	}
}

// TestRunningDoesNotFlap: while one worker after the other is replaced, Running stays as
// it was; and it comes back as soon as the master runs.
func TestRunningDoesNotFlap(t *testing.T) {
	m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 2}, func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		ranByMaster(m)
	})
	began := m.in.Status.Condition(commonv1.JobRunning).LastTransitionTime
	for range 5 {
		m.in.Now = m.in.Now.Add(time.Hour)
		m.end(m.pod("worker-1"), 137)
		m.reconcileUntilStable()
		m.in.Now = m.in.Now.Add(time.Hour)
		m.reconcileUntilStable()
		m.run()
		m.reconcileUntilStable()
		if c := m.in.Status.Condition(commonv1.JobRunning); c == nil || !c.LastTransitionTime.Equal(&began) {
			t.Fatalf("the master runs on: %v", c)
		}
	}
	m.drop(m.pod("master-0"))
	if p := m.reconcile(); p.StatusChange != plan.StatusNews || podsReady(&p.Status) {
		t.Errorf("that it no longer runs is news: %t, %q", p.StatusChange != plan.StatusUnchanged, conditions(&p.Status))
	}
	m.reconcileUntilStable()
	m.run()
	if m.reconcileUntilStable(); m.in.Status.State != commonv1.JobRunning || m.in.Status.Condition(commonv1.JobRestarting) != nil {
		t.Errorf("it runs again: %q", conditions(&m.in.Status))
	}
}

// TestRunningInOrder: a job whose deciding replicas start after others runs when those do, so that no
// queue takes its quota while it does what it should, and nothing flickers while the next type starts.
// When nothing runs it does not run, but nothing restarts for that.
func TestRunningInOrder(t *testing.T) {
	const waits = " Worker starts when all replicas of Master are ready."
	const restarting = "Restarting=True TestJobRestarting: TestJob job is restarting because "
	pending := func(m *model) { makeReady(m, m.pod("master-0"), corev1.ConditionTrue) }
	begun := func(m *model) { pending(m); m.reconcileUntilStable(); m.run() }
	for name, tc := range map[string]struct {
		reason  string
		happens []func(*model)
		want    []string
	}{
		"Waits":   {"the first type runs", nil, []string{isCreated, isRunning + waits}},
		"Pending": {"it has done its part, and nothing flickers while the next type starts", []func(*model){pending}, []string{isCreated, isRunning}},
		"Gap": {
			"the first type has ended before the next one runs",
			[]func(*model){func(m *model) { m.end(m.pod("master-0"), 0) }},
			[]string{isCreated},
		},
		"AfterTheGap": {"the next type runs", []func(*model){func(m *model) { m.end(m.pod("master-0"), 0) }, (*model).run}, []string{isCreated, isRunning}},
		"Begun":       {"those that decide run", []func(*model){begun}, []string{isCreated, isRunning}},
		"Failed": {
			"the first type runs no more",
			[]func(*model){func(m *model) { m.end(m.pod("master-0"), 137) }},
			[]string{isCreated, restarting + "1 Master replica(s) failed."},
		},
		"Again": {
			"it runs again",
			[]func(*model){func(m *model) { m.end(m.pod("master-0"), 137) }, (*model).run},
			[]string{isCreated, isRunning + waits},
		},
		"Deleted": {
			"a user has deleted it",
			[]func(*model){func(m *model) { m.drop(m.pod("master-0")) }},
			[]string{isCreated, restarting + "no replica of Master runs any more."},
		},
		"Replaced": {
			"one that decides has run, and is being replaced",
			[]func(*model){begun, func(m *model) { m.drop(m.pod("worker-0")); m.drop(m.pod("worker-1")) }},
			[]string{isCreated, restarting + "no replica of Worker runs any more."},
		},
		"ReplacedBesideOneThatSucceeded": {
			"one has done its part, and the other has run",
			[]func(*model){begun, func(m *model) { m.end(m.pod("worker-0"), 0) }, func(m *model) { m.drop(m.pod("worker-1")) }},
			[]string{isCreated, restarting + "no replica of Worker runs any more."},
		},
		"Restarted": {
			"the same after failures",
			[]func(*model){begun, func(m *model) { m.end(m.pod("worker-0"), 137); m.end(m.pod("worker-1"), 137) }},
			[]string{isCreated, restarting + "2 Worker replica(s) failed."},
		},
		"Suspended": {
			"a resume begins with the order again",
			[]func(*model){begun, func(m *model) { m.in.RunPolicy.Suspend = new(true) }, func(m *model) { m.in.RunPolicy.Suspend = nil }},
			[]string{isCreated, "Running=False TestJobSuspended: TestJob job is suspended.", "Suspended=False TestJobResumed: TestJob job is resumed."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 2}, func(m *model) {
				m.in.Replicas[worker].StartAfter = &commonv1.StartAfter{ReplicaType: master, State: commonv1.StartAfterReady}
				m.in.Replicas[master].Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
				for _, spec := range m.in.Replicas {
					spec.RestartPolicy = commonv1.RestartPolicyExitCode
				}
				m.in.Rules.Running = []jobkit.ReplicaSelector{jobkit.All(worker)}
				m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(worker))}
			})
			for _, happens := range tc.happens {
				happens(m)
				m.reconcileUntilStable()
			}
			if diff := cmp.Diff(tc.want, conditions(&m.in.Status)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if p := m.decide(); p.StatusChange != plan.StatusUnchanged || len(p.Events) > 0 {
				t.Errorf("%s: it is said once, and then again: %q", tc.reason, conditions(&p.Status))
			}
		})
	}
}

// TestRunningEndsWithTheCount: the write that counts a restart of the whole job ends Running, also if
// the replica that decides had succeeded: it will run again.
func TestRunningEndsWithTheCount(t *testing.T) {
	m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, func(m *model) {
		restartPolicy(commonv1.RestartPolicyExitCode)(m)
		ranByMaster(m)
		m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
		m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master), jobkit.All(worker))}
	})
	m.end(m.pod("master-0"), 0)
	m.reconcileUntilStable()
	m.end(m.pod("worker-0"), 137)
	if p := m.reconcile(); p.Status.Attempt != 1 || podsReady(&p.Status) {
		t.Errorf("attempt %d, want 1: %q", p.Status.Attempt, conditions(&p.Status))
	}
}

// TestRunningOfAnInvalidEdit: an edit that is not valid keeps no job Running of which the
// master is gone; one that leaves open which replicas decide does not end Running.
func TestRunningOfAnInvalidEdit(t *testing.T) {
	m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, ranByMaster)
	m.in.Problem = "a mistake"
	if m.reconcileUntilStable(); !podsReady(&m.in.Status) {
		t.Errorf("what runs continues to run: %q", conditions(&m.in.Status))
	}
	delete(m.in.Replicas, master)
	if m.reconcileUntilStable(); !podsReady(&m.in.Status) {
		t.Errorf("whether the master runs is not known: %q", conditions(&m.in.Status))
	}
	m = started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, ranByMaster)
	m.in.Problem = "a mistake"
	m.drop(m.pod("master-0"))
	m.reconcileUntilStable()
	want := []string{isCreated, countInPlaceRestarts + "no replica of Master runs any more.", "Stalled=True TestJobFailedValidation: TestJob ns/job is not valid: a mistake"}
	if diff := cmp.Diff(want, conditions(&m.in.Status)); diff != "" {
		t.Errorf("without its master it does not run (-want +got):\n%s", diff)
	}
}

// TestMissingReplicaIsReported: a successor that does not fit on any node is reported.
func TestMissingReplicaIsReported(t *testing.T) {
	for _, pod := range []string{"master-0", "worker-0"} {
		t.Run(pod, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, ranByMaster)
			m.drop(m.pod(pod))
			m.reconcileUntilStable()
			unschedulable(m, pod, "0/2 nodes are available: 2 Insufficient cpu.")
			m.reconcileUntilStable()
			if p := m.decide(); p.RequeueAfter != 30*time.Second || p.Status.Condition(commonv1.JobStalled) != nil {
				t.Errorf("it is requeued after %s", p.RequeueAfter)
			}
			m.in.Now = m.in.Now.Add(30 * time.Second)
			m.reconcileUntilStable()
			c := m.in.Status.Condition(commonv1.JobStalled)
			want := "TestJob ns/job waits for 1 of 2 pods to start, the first of them job-" + pod +
				": the scheduler finds no node for it: 0/2 nodes are available: 2 Insufficient cpu."
			if c == nil || c.Reason != "TestJobPodsNotStarting" || c.Message != want {
				t.Fatalf("want %q, got %q", want, conditions(&m.in.Status))
			}
			m.pod(pod).Spec.NodeName = "node"
			m.run()
			if m.reconcileUntilStable(); m.in.Status.State != commonv1.JobRunning {
				t.Errorf("it runs, and is no longer stalled: %q", conditions(&m.in.Status))
			}
		})
	}
}

// TestRunningAfterTheMaster: a master that ends before anything else runs has done its part: the job
// runs with the others.
func TestRunningAfterTheMaster(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
	ranByMaster(m)
	masterRuns(m)
	m.reconcileUntilStable()
	m.end(m.pod("master-0"), 0)
	if m.reconcileUntilStable(); podsReady(&m.in.Status) {
		t.Errorf("nothing runs: %q", conditions(&m.in.Status))
	}
	m.run()
	if m.reconcileUntilStable(); !podsReady(&m.in.Status) {
		t.Errorf("the workers run: %q", conditions(&m.in.Status))
	}
}

// TestRunningByTheAuthorsCode: what an author's code says was asked before it was known what restarts
// in this pass. Where all that runs does, the job does not run.
func TestRunningByTheAuthorsCode(t *testing.T) {
	for name, tc := range map[string]struct {
		reason           string
		ofMaster, worker commonv1.RestartScope
		decides          commonv1.ReplicaType
		happens          func(*model)
		want             bool
	}{
		"AllRestart": {reason: "the whole job restarts", ofMaster: scopeJob, worker: scopeJob, decides: master, happens: func(m *model) { m.end(m.pod("worker-0"), 137) }},
		"OneDeciderRuns": {
			reason: "the workers restart, and a master runs on", ofMaster: scopeReplica, worker: scopeRole, decides: master,
			happens: func(m *model) { m.end(m.pod("worker-0"), 137); m.end(m.pod("master-0"), 137) }, want: true,
		},
		"OneOtherRuns": {
			reason: "it need not be one that decides by the rules", ofMaster: scopeReplica, worker: scopeRole, decides: worker,
			happens: func(m *model) { m.end(m.pod("worker-0"), 137); m.end(m.pod("master-0"), 137) }, want: true,
		},
		"NothingGoes": {
			reason: "nothing that runs restarts, so the code knows best", ofMaster: scopeReplica, worker: scopeReplica, decides: worker,
			happens: func(m *model) {
				for _, p := range m.in.Pods {
					m.end(p, 137)
				}
			}, want: true,
		},
	} {
		m := roles(tc.ofMaster, tc.worker)
		m.in.Rules.Running = []jobkit.ReplicaSelector{jobkit.All(tc.decides)}
		tc.happens(m)
		p := plan.Decide(&m.in, plan.TallyOf(&m.in), &jobkit.Outcome{Running: true})
		if podsReady(&p.Status) != tc.want {
			t.Errorf("%s: %s: %q", name, tc.reason, conditions(&p.Status))
		}
	}
}
