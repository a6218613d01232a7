package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// roles is a job that runs, of two masters and two workers with restart scopes of their own.
func roles(ofMaster, ofWorker commonv1.RestartScope) *model {
	m := newModel(map[commonv1.ReplicaType]int32{master: 2, worker: 2})
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
	m.in.Replicas[master].RestartScope, m.in.Replicas[worker].RestartScope = &ofMaster, &ofWorker
	for t := range m.in.Replicas {
		m.in.Replicas[t].RestartPolicy = commonv1.RestartPolicyExitCode
	}
	m.reconcileUntilStable()
	m.bind()
	m.run()
	m.reconcileUntilStable()
	return m
}

// attempts are the attempts of the pods that exist, by name without the job's.
func attempts(m *model) map[string]string {
	out := map[string]string{}
	for _, p := range m.in.Pods {
		out[strings.TrimPrefix(p.Name, "job-")] = p.Labels[commonv1.AttemptLabel]
	}
	return out
}

const (
	scopeReplica = commonv1.RestartScopeReplica
	scopeRole    = commonv1.RestartScopeRole
	scopeJob     = commonv1.RestartScopeJob
)

// TestRestartScopeOfARole says what restarts when a replica fails or is lost, and what counts.
func TestRestartScopeOfARole(t *testing.T) {
	all := func(m0, m1, w0, w1 string) map[string]string {
		return map[string]string{"master-0": m0, "master-1": m1, "worker-0": w0, "worker-1": w1}
	}
	type counts struct{ Job, Master, Worker, Attempt, AttemptOfMaster, AttemptOfWorker, Ignored int32 }
	fail := func(names ...string) func(*model) {
		return func(m *model) {
			for _, name := range names {
				m.end(m.pod(name), 137)
			}
		}
	}
	for name, tc := range map[string]struct {
		reason string
		of     [2]commonv1.RestartScope
		do     func(*model)
		want   map[string]string
		counts counts
	}{
		"Replica":  {"the replica alone", [2]commonv1.RestartScope{scopeReplica, scopeRole}, fail("master-0"), all("1", "0", "0", "0"), counts{Job: 1, Master: 1}},
		"Role":     {"all and only the workers", [2]commonv1.RestartScope{scopeReplica, scopeRole}, fail("worker-0"), all("0", "0", "1", "1"), counts{Job: 1, Worker: 1, AttemptOfWorker: 1}},
		"RoleOnce": {"two that fail at a time are one restart", [2]commonv1.RestartScope{scopeReplica, scopeRole}, fail("worker-0", "worker-1"), all("0", "0", "1", "1"), counts{Job: 1, Worker: 1, AttemptOfWorker: 1}},
		"BothRoles": {
			"each role once",
			[2]commonv1.RestartScope{scopeRole, scopeRole},
			fail("worker-0", "worker-1", "master-1"), all("1", "1", "1", "1"),
			counts{Job: 2, Master: 1, Worker: 1, AttemptOfMaster: 1, AttemptOfWorker: 1},
		},
		"Job": {"a master takes all along", [2]commonv1.RestartScope{scopeJob, scopeReplica}, fail("master-0"), all("1", "1", "1", "1"), counts{Job: 1, Master: 1, Attempt: 1}},
		"JobAndReplica": {
			"the whole job is one restart, and the master's, whose scope it is",
			[2]commonv1.RestartScope{scopeJob, scopeReplica},
			fail("worker-0", "master-0"),
			all("1", "1", "1", "1"),
			counts{Job: 1, Master: 1, Attempt: 1},
		},
		"NotJob": {"a worker restarts alone", [2]commonv1.RestartScope{scopeJob, scopeReplica}, fail("worker-1"), all("0", "0", "0", "1"), counts{Job: 1, Worker: 1}},
		"Lost": {
			"what is taken away restarts its role, and counts for nothing",
			[2]commonv1.RestartScope{scopeReplica, scopeRole},
			func(m *model) { m.drop(m.pod("worker-1")) }, all("0", "0", "1", "1"),
			counts{AttemptOfWorker: 1, Ignored: 1},
		},
		"LostOfBoth": {
			"each role once",
			[2]commonv1.RestartScope{scopeRole, scopeRole},
			func(m *model) { m.drop(m.pod("worker-1")); m.drop(m.pod("master-0")) }, all("1", "1", "1", "1"),
			counts{AttemptOfMaster: 1, AttemptOfWorker: 1, Ignored: 2},
		},
		"LostMaster": {
			"or the job", [2]commonv1.RestartScope{scopeJob, scopeRole}, func(m *model) { m.drop(m.pod("master-1")) }, all("1", "1", "1", "1"), counts{Attempt: 1, Ignored: 1},
		},
		"LostReplica": {"or is made again alone", [2]commonv1.RestartScope{scopeReplica, scopeRole}, func(m *model) { m.drop(m.pod("master-1")) }, all("0", "0", "0", "0"), counts{}},
		"Succeeded": {
			"a worker that had succeeded runs again",
			[2]commonv1.RestartScope{scopeReplica, scopeRole},
			func(m *model) { m.end(m.pod("worker-1"), 0); m.reconcileUntilStable(); m.end(m.pod("worker-0"), 137) }, all("0", "0", "1", "1"),
			counts{Job: 1, Worker: 1, AttemptOfWorker: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := roles(tc.of[0], tc.of[1])
			for typ := range m.in.Replicas {
				m.in.Replicas[typ].BackoffLimit = new(int32(5))
			}
			tc.do(m)
			ignored := m.decide().Restarts.Ignored
			m.reconcileUntilStable()
			if diff := cmp.Diff(tc.want, attempts(m)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			s := &m.in.Status
			ofMaster, ofWorker := s.ReplicaStatuses[master], s.ReplicaStatuses[worker]
			got := counts{s.Restarts, ofMaster.Restarts, ofWorker.Restarts, s.Attempt, ofMaster.Attempt, ofWorker.Attempt, ignored}
			if diff := cmp.Diff(tc.counts, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestLostOfSeveralScopes: when the whole job restarts, the message names a pod that makes it do so.
func TestLostOfSeveralScopes(t *testing.T) {
	m := roles(scopeRole, scopeJob)
	m.drop(m.pod("master-0"))
	m.drop(m.pod("worker-1"))
	s := m.decide().Status
	if c := s.Condition(commonv1.JobRestarting); s.Attempt != 1 || c == nil || c.Message != "TestJob job is restarting because pod job-worker-1 is gone." {
		t.Errorf("attempt %d, %q", s.Attempt, conditions(&s))
	}
}

// TestIgnoredRestartOfARole: a restart of the whole job that no limit counts is not one of a role.
func TestIgnoredRestartOfARole(t *testing.T) {
	m := roles(scopeJob, scopeJob)
	m.in.Replicas[worker].BackoffLimit = new(int32(3))
	m.in.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{onDisruption(ignore)}}
	m.disrupt(m.pod("worker-0"), preempted)
	if s := m.decide().Status; s.Attempt != 1 || s.Restarts != 0 || s.ReplicaStatuses[worker].Restarts != 0 {
		t.Errorf("attempt %d, %d restarts, %d of workers", s.Attempt, s.Restarts, s.ReplicaStatuses[worker].Restarts)
	}
}

// TestBarrierOfARole: no replica of the next attempt of a role meets one of the former, and
// other roles do not wait for that.
func TestBarrierOfARole(t *testing.T) {
	m := roles(scopeReplica, scopeRole)
	m.in.Status.ReplicaStatuses[worker].Attempt = 2 // so that what failed stays for a while
	for _, name := range []string{"worker-0", "worker-1"} {
		m.pod(name).Labels[commonv1.AttemptLabel] = "2"
	}
	m.end(m.pod("worker-0"), 137)
	m.reconcileUntilStable()
	if diff := cmp.Diff(map[string]string{"master-0": "0", "master-1": "0", "worker-0": "2"}, attempts(m)); diff != "" {
		t.Fatalf("the other worker is stopped, and none starts before the delay of the failed one has passed (-want +got):\n%s", diff)
	}
	m.drop(m.pod("master-1"))
	m.reconcileUntilStable()
	if m.pod("master-1") == nil {
		t.Error("a master is replaced at once")
	}
	m.in.Now = m.in.Now.Add(time.Minute)
	m.reconcileUntilStable()
	if diff := cmp.Diff(map[string]string{"master-0": "0", "master-1": "0", "worker-0": "3", "worker-1": "3"}, attempts(m)); diff != "" {
		t.Errorf("then both start (-want +got):\n%s", diff)
	}
}

// TestConsequenceInARole: workers that exit because one of them was killed restart with it,
// though their exit code alone would fail the job.
func TestConsequenceInARole(t *testing.T) {
	m := roles(scopeReplica, scopeRole)
	m.end(m.pod("worker-1"), 137)
	m.end(m.pod("worker-0"), 1)
	m.reconcileUntilStable()
	if s := m.in.Status; s.Finished() || s.Restarts != 1 || s.ReplicaStatuses[worker].Attempt != 1 {
		t.Errorf("one restart of the workers, got %+v", s)
	}
	m = roles(scopeReplica, scopeRole)
	m.end(m.pod("worker-1"), 137)
	m.end(m.pod("master-0"), 1)
	m.reconcileUntilStable()
	if s := m.in.Status; s.State != commonv1.JobFailed {
		t.Errorf("a master does not restart with the workers, so its exit code decides: %v", conditions(&s))
	}
	m = roles(scopeReplica, scopeRole)
	m.terminate(m.pod("worker-1"))
	m.end(m.pod("worker-0"), 1)
	m.reconcileUntilStable()
	if s := m.in.Status; s.Finished() || s.Restarts != 0 || s.ReplicaStatuses[worker].Attempt != 1 {
		t.Errorf("an uncounted restart of the workers, of which a user deleted one, got %+v", s)
	}
	m = roles(scopeJob, scopeReplica)
	m.end(m.pod("worker-0"), 1)
	m.end(m.pod("master-0"), 137)
	m.reconcileUntilStable()
	if s := m.in.Status; s.Finished() || s.Attempt != 1 || s.Restarts != 1 {
		t.Errorf("a worker restarts with the master: %v", conditions(&s))
	}
}

// TestBackoffLimitOfARole: the limit of a role fails the job, which says which it was.
func TestBackoffLimitOfARole(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		do     func(*model)
		want   string
	}{
		"Worker": {
			"the second restart is one too many", func(m *model) { m.in.Replicas[worker].BackoffLimit = new(int32(1)) },
			func(m *model) { m.end(m.pod("worker-1"), 137) },
			"TestJob ns/job has failed because Worker has reached its backoff limit: testReplicaSpecs[Worker].backoffLimit is 1. First failure: pod job-worker-1, exit code 137, restart policy ExitCode.",
		},
		"OtherRole": {
			"masters do not count", func(m *model) {
				m.in.Replicas[worker].BackoffLimit, m.in.Replicas[master].BackoffLimit = new(int32(1)), new(int32(9))
			},
			func(m *model) { m.end(m.pod("master-1"), 137) }, "",
		},
		"Job": {
			"the limit of the job holds as well", func(m *model) {
				m.in.Replicas[worker].BackoffLimit, m.in.RunPolicy.BackoffLimit = new(int32(9)), new(int32(1))
			},
			func(m *model) { m.end(m.pod("worker-1"), 137) },
			"TestJob ns/job has failed because it has reached the specified backoff limit: runPolicy.backoffLimit is 1. First failure: pod job-worker-1, exit code 137, restart policy ExitCode.",
		},
		"InPlace": {
			"restarts by the node count", func(m *model) { m.in.Replicas[worker].BackoffLimit = new(int32(1)) },
			func(m *model) { m.restartInPlace(m.pod("worker-1")) },
			"TestJob ns/job has failed because Worker has reached its backoff limit: testReplicaSpecs[Worker].backoffLimit is 1.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := roles(scopeReplica, scopeReplica)
			tc.change(m)
			m.end(m.pod("worker-0"), 137)
			m.reconcileUntilStable()
			m.run()
			m.reconcileUntilStable()
			if m.in.Status.Finished() {
				t.Fatalf("one restart is within all limits: %v", conditions(&m.in.Status))
			}
			tc.do(m)
			m.reconcileUntilStable()
			got := ""
			if c := m.in.Status.Condition(commonv1.JobFailed); c != nil {
				got = c.Message
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestPoliciesOfRolesByDefault: what the user says of the job goes before what the author
// says of a role.
func TestPoliciesOfRolesByDefault(t *testing.T) {
	k := jobkit.Kind{Roles: []jobkit.Role{{Type: master, RestartScope: scopeJob}, {Type: worker, BackoffLimit: new(int32(3))}}}
	for name, tc := range map[string]struct {
		reason string
		policy commonv1.RunPolicy
		spec   commonv1.ReplicaSpec
		want   *commonv1.RestartScope
	}{
		"Kind": {"the job says nothing", commonv1.RunPolicy{}, commonv1.ReplicaSpec{}, new(scopeJob)},
		"Job":  {"the user has spoken", commonv1.RunPolicy{RestartScope: new(scopeReplica)}, commonv1.ReplicaSpec{}, nil},
		"Role": {"the user speaks of the role", commonv1.RunPolicy{RestartScope: new(scopeReplica)}, commonv1.ReplicaSpec{RestartScope: new(scopeRole)}, new(scopeRole)},
	} {
		specs := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{master: &tc.spec, worker: {}}
		plan.SetDefaults(&k, &tc.policy, specs)
		if diff := cmp.Diff(tc.want, specs[master].RestartScope); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, tc.reason, diff)
		}
		if specs[worker].BackoffLimit == nil || *specs[worker].BackoffLimit != 3 || specs[master].BackoffLimit != nil {
			t.Errorf("%s: the limits are those of the roles", name)
		}
	}
}

// TestBadPoliciesOfRoles: values that no schema kept out are refused.
func TestBadPoliciesOfRoles(t *testing.T) {
	m := newModel(workers(1))
	m.in.Replicas[worker].RestartScope, m.in.Replicas[worker].BackoffLimit = new(commonv1.RestartScope("x")), new(int32(-1))
	want := []string{
		`spec.testReplicaSpecs[Worker].restartScope: Unsupported value: "x": supported values: "Replica", "Role", "Job"`,
		`spec.testReplicaSpecs[Worker].backoffLimit: Invalid value: -1: must be 0 or more`,
	}
	got := []string{}
	for _, err := range plan.Validate(&m.in) {
		got = append(got, err.Error())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.in.Kind.Roles[0].RestartScope, m.in.Kind.Roles[0].BackoffLimit = "x", new(int32(-1))
	if errs := plan.ValidateKind(&m.in.Kind); len(errs) != 2 {
		t.Errorf("so are an author's, got %v", errs)
	}
}

// TestInPlaceByScope: the node restarts containers of roles whose replicas restart alone only.
func TestInPlaceByScope(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 1})
	m.in.RunPolicy.RestartScope = new(scopeRole)
	m.in.Replicas[master].RestartScope = new(scopeReplica)
	for typ := range m.in.Replicas {
		m.in.Replicas[typ].RestartPolicy = commonv1.RestartPolicyOnFailure
	}
	m.reconcileUntilStable()
	got := []corev1.RestartPolicy{m.pod("master-0").Spec.RestartPolicy, m.pod("worker-0").Spec.RestartPolicy}
	if !slices.Equal(got, []corev1.RestartPolicy{corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}) {
		t.Errorf("got %v", got)
	}
}

// TestRolesDoNotWaitForEachOther: while the old pods of a role that restarts still stop, other
// roles get the pods that they lack; those of the role itself wait.
func TestRolesDoNotWaitForEachOther(t *testing.T) {
	m := roles(scopeReplica, scopeRole)
	m.end(m.pod("worker-0"), 137)
	p := m.decide()
	m.write(&p) // counts it, and no more
	m.drop(m.pod("worker-0"))
	m.drop(m.pod("master-1"))
	want := []string{"delete pod job-worker-1: attempt 1 takes its place", "create pod job-master-1 (attempt 0): replica 1 of Master is missing"}
	if diff := cmp.Diff(want, actions(m.decide())); diff != "" {
		t.Errorf("while worker 1 runs (-want +got):\n%s", diff)
	}
	m.drop(m.pod("worker-1"))
	want = []string{
		"create pod job-master-1 (attempt 0): replica 1 of Master is missing",
		"create pod job-worker-0 (attempt 1): replica 0 of Worker is missing", "create pod job-worker-1 (attempt 1): replica 1 of Worker is missing",
	}
	if diff := cmp.Diff(want, actions(m.decide())); diff != "" {
		t.Errorf("when it is gone (-want +got):\n%s", diff)
	}
}

// TestPeersThatAreAboutToBeReported: a role restarts, and the end of another of its pods, which is
// not reported yet and never will be, is in the record too; that of another role is not.
func TestPeersThatAreAboutToBeReported(t *testing.T) {
	m := roles(scopeRole, scopeRole)
	m.in.Now = m.in.Now.Add(time.Second)
	m.end(m.pod("worker-0"), 137)
	m.stopMain(m.pod("worker-1"), 1)
	m.stopMain(m.pod("master-1"), 2)
	p := m.decide()
	var got []string
	for _, f := range p.Status.Failures {
		got = append(got, string(f.Type)+" "+itoa(int(f.Index)))
	}
	if diff := cmp.Diff([]string{"Worker 0", "Worker 1"}, got); diff != "" {
		t.Errorf("the failures on record (-want +got):\n%s", diff)
	}
}

// TestCausesOfRoles: each role that restarts counts the cause of its own failure.
func TestCausesOfRoles(t *testing.T) {
	m := roles(scopeRole, scopeRole)
	m.disrupt(m.pod("master-0"), preempted)
	m.end(m.pod("worker-0"), 137)
	if by := m.decide().Restarts; by.Disrupted != 1 || by.Failed != 1 {
		t.Errorf("want one restart by disruption and one by failure, got %+v", by)
	}
	m = roles(scopeReplica, scopeRole)
	m.end(m.pod("worker-0"), 1)
	m.disrupt(m.pod("worker-1"), preempted)
	if by := m.decide().Restarts; by.Disrupted != 1 || by.Failed != 0 {
		t.Errorf("want one restart by the disruption of which the exit was a consequence, got %+v", by)
	}
}

// TestPeersThatMayFailYet: the first error that is reported need not be the first that happened, as long
// as others of its role are on a node, whether they run yet or not.
func TestPeersThatMayFailYet(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		peer   func(*model)
		waits  bool
	}{
		"Runs":   {reason: "it may have failed first", peer: func(*model) {}, waits: true},
		"Starts": {reason: "it may have failed before it was seen to run", peer: func(m *model) { m.pod("worker-1").Status.Phase = corev1.PodPending }, waits: true},
		"NoNode": {reason: "what has no node has no error", peer: func(m *model) { p := m.pod("worker-1"); p.Status.Phase, p.Spec.NodeName = corev1.PodPending, "" }},
		"Missing": {reason: "there is none", peer: func(m *model) {
			m.drop(m.pod("worker-1"))
			m.in.Tried = []plan.Tried{tried(plan.CreatePod{Name: "job-worker-1", Type: worker}, plan.Refused)}
		}},
		"Ended": {reason: "its own end is known", peer: func(m *model) { m.end(m.pod("worker-1"), 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			m := roles(scopeReplica, scopeRole)
			tc.peer(m)
			m.end(m.pod("worker-0"), 1)
			p := m.decide()
			if got := !p.Status.Finished() && p.RequeueAfter > 0; got != tc.waits {
				t.Errorf("%s: it waits: %t, want %t: %v", tc.reason, got, tc.waits, conditions(&p.Status))
			}
		})
	}
}

// TestRestartsWhole: a job restarts as a whole if each of its roles does.
func TestRestartsWhole(t *testing.T) {
	for _, tc := range []struct {
		ofMaster, ofWorker commonv1.RestartScope
		want               bool
	}{{scopeJob, scopeJob, true}, {scopeJob, scopeReplica, false}, {scopeRole, scopeJob, false}} {
		if m := roles(tc.ofMaster, tc.ofWorker); m.in.RestartsWhole() != tc.want {
			t.Errorf("%s and %s: want %t", tc.ofMaster, tc.ofWorker, tc.want)
		}
	}
}

// TestLimitOfARoleThatIsNotTheCause: a restart of the whole job counts against the limit of the role that
// caused it, and no other's.
func TestLimitOfARoleThatIsNotTheCause(t *testing.T) {
	m := roles(scopeJob, scopeJob)
	m.in.Replicas[master].BackoffLimit, m.in.Replicas[worker].BackoffLimit = new(int32(1)), new(int32(1))
	m.in.Status.ReplicaStatuses[worker].Restarts = 1
	m.end(m.pod("master-0"), 137)
	m.reconcileUntilStable()
	if s := m.in.Status; s.Finished() || s.ReplicaStatuses[master].Restarts != 1 || s.ReplicaStatuses[worker].Restarts != 1 {
		t.Errorf("want one restart of each, got %d and %d: %q", s.ReplicaStatuses[master].Restarts, s.ReplicaStatuses[worker].Restarts, conditions(&s))
	}
}
