package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// inOrder is a job of a master and two workers, which start when the master is in a state.
func inOrder(state commonv1.StartAfterState) *model {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
	m.in.Replicas[worker].StartAfter = &commonv1.StartAfter{ReplicaType: master, State: state}
	m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(worker))}
	for t := range m.in.Replicas {
		m.in.Replicas[t].RestartPolicy = commonv1.RestartPolicyExitCode
	}
	m.reconcileUntilStable()
	return m
}

// podNames are the names of the pods that exist, without the job's.
func podNames(m *model) []string {
	out := []string{}
	for _, p := range m.in.Pods {
		out = append(out, strings.TrimPrefix(p.Name, "job-"))
	}
	slices.Sort(out)
	return out
}

func makeReady(m *model, p *corev1.Pod, ready corev1.ConditionStatus) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.NewTime(m.in.Now)}}
}

// TestStartAfter says when the pods of a type are created that starts after another.
func TestStartAfter(t *testing.T) {
	run := func(m *model) { m.run() }
	probed := func(ready corev1.ConditionStatus) func(*model) {
		return func(m *model) {
			m.in.Replicas[master].Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
			m.run()
			makeReady(m, m.pod("master-0"), ready)
		}
	}
	for name, tc := range map[string]struct {
		reason string
		state  commonv1.StartAfterState
		set    func(*model)
		want   bool
	}{
		"Pending":       {reason: "the master does not run yet", state: commonv1.StartAfterRunning, set: func(*model) {}},
		"Running":       {reason: "it runs", state: commonv1.StartAfterRunning, set: run, want: true},
		"RunsNotReady":  {reason: "that it runs is enough", state: commonv1.StartAfterRunning, set: probed(corev1.ConditionFalse), want: true},
		"NotReady":      {reason: "its probe says that it is not ready", state: commonv1.StartAfterReady, set: probed(corev1.ConditionFalse)},
		"Ready":         {reason: "its probe says that it is", state: commonv1.StartAfterReady, set: probed(corev1.ConditionTrue), want: true},
		"NoProbe":       {reason: "nothing says when it is ready", state: commonv1.StartAfterReady, set: run, want: true},
		"RunsOn":        {reason: "it has not succeeded", state: commonv1.StartAfterSucceeded, set: run},
		"Succeeded":     {reason: "it has", state: commonv1.StartAfterSucceeded, set: func(m *model) { m.run(); m.end(m.pod("master-0"), 0) }, want: true},
		"HasRun":        {reason: "what has succeeded has run", state: commonv1.StartAfterReady, set: func(m *model) { m.run(); m.end(m.pod("master-0"), 0) }, want: true},
		"Failed":        {reason: "it is about to be restarted", state: commonv1.StartAfterRunning, set: func(m *model) { m.run(); m.end(m.pod("master-0"), 137) }},
		"Deleted":       {reason: "it is on its way out", state: commonv1.StartAfterRunning, set: func(m *model) { m.run(); m.terminate(m.pod("master-0")) }},
		"Gone":          {reason: "there is none", state: commonv1.StartAfterRunning, set: func(m *model) { m.run(); m.drop(m.pod("master-0")) }},
		"GangHasNoRoom": {reason: "the gang is that of the master alone, so its pods are not needed", state: commonv1.StartAfterReady, set: func(m *model) { m.in.Gang = &plan.Gang{} }},
		"NoReplicas":    {reason: "0 replicas keep nothing waiting", state: commonv1.StartAfterSucceeded, set: func(m *model) { m.in.Replicas[master].Replicas = new(int32(0)) }, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			m := inOrder(tc.state)
			if diff := cmp.Diff([]string{"master-0"}, podNames(m)); diff != "" {
				t.Fatalf("the workers wait (-want +got):\n%s", diff)
			}
			tc.set(m)
			got := 0
			for _, a := range m.decide().Actions {
				if strings.HasPrefix(a.String(), "create pod job-worker-") {
					got++
				}
			}
			if want := map[bool]int{true: 2}[tc.want]; got != want {
				t.Errorf("%s: %d workers are created, want %d", tc.reason, got, want)
			}
		})
	}
}

// startedInOrder is a job whose master is ready, and whose workers, which start after that, run.
func startedInOrder() *model {
	m := inOrder(commonv1.StartAfterReady)
	m.in.Replicas[master].Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
	m.run()
	makeReady(m, m.pod("master-0"), corev1.ConditionTrue)
	m.reconcileUntilStable()
	m.run()
	return m
}

// TestStartAfterLasts: what the first type does when the others have started does not matter
// to their pods, and matters to those that are still to be created.
func TestStartAfterLasts(t *testing.T) {
	m := startedInOrder()
	m.reconcileUntilStable()
	all := []string{"master-0", "worker-0", "worker-1"}
	if diff := cmp.Diff(all, podNames(m)); diff != "" {
		t.Fatalf("all run (-want +got):\n%s", diff)
	}
	makeReady(m, m.pod("master-0"), corev1.ConditionFalse)
	m.reconcileUntilStable()
	if diff := cmp.Diff(all, podNames(m)); diff != "" || len(m.decide().Actions) > 0 {
		t.Errorf("the workers stay (-want +got):\n%s", diff)
	}
	m.drop(m.pod("worker-1"))
	m.reconcileUntilStable()
	if diff := cmp.Diff(all[:2], podNames(m)); diff != "" {
		t.Errorf("another one cannot join a master that is not ready (-want +got):\n%s", diff)
	}
	makeReady(m, m.pod("master-0"), corev1.ConditionTrue)
	m.reconcileUntilStable()
	if diff := cmp.Diff(all, podNames(m)); diff != "" {
		t.Errorf("now it can (-want +got):\n%s", diff)
	}
	m.end(m.pod("master-0"), 137)
	m.reconcileUntilStable()
	if diff := cmp.Diff(all, podNames(m)); diff != "" || m.pod("worker-0").Labels[commonv1.AttemptLabel] != "0" {
		t.Errorf("the master restarts alone (-want +got):\n%s", diff)
	}
}

// TestStartAfterBeginsAgain: a restart of the whole job and a resume begin with the order.
func TestStartAfterBeginsAgain(t *testing.T) {
	for name, again := range map[string]func(*model){
		"Restart": func(m *model) {
			m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
			m.end(m.pod("worker-1"), 137)
		},
		"Resume": func(m *model) {
			m.in.RunPolicy.Suspend = new(true)
			m.reconcileUntilStable()
			m.in.RunPolicy.Suspend = new(false)
		},
	} {
		for _, state := range []commonv1.StartAfterState{commonv1.StartAfterRunning, commonv1.StartAfterSucceeded} {
			t.Run(name+string(state), func(t *testing.T) {
				m := inOrder(state)
				reach := func() {
					m.run()
					if state == commonv1.StartAfterSucceeded {
						m.end(m.pod("master-0"), 0)
					}
					m.reconcileUntilStable()
				}
				reach()
				m.run()
				m.reconcileUntilStable()
				if len(m.in.Pods) != 3 {
					t.Fatalf("all have started, got %v", podNames(m))
				}
				again(m)
				m.reconcileUntilStable()
				if diff := cmp.Diff([]string{"master-0"}, podNames(m)); diff != "" {
					t.Fatalf("the master goes first again (-want +got):\n%s", diff)
				}
				reach()
				if len(m.in.Pods) != 3 {
					t.Errorf("and then the workers, got %v", podNames(m))
				}
			})
		}
	}
}

// TestStartAfterIsSaid: the job says what it waits for, once, in words that stay.
func TestStartAfterIsSaid(t *testing.T) {
	m := inOrder(commonv1.StartAfterReady)
	m.in.Replicas[master].Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
	m.run()
	makeReady(m, m.pod("master-0"), corev1.ConditionFalse)
	m.reconcileUntilStable()
	said := func(c commonv1.JobConditionType) string {
		if c := m.in.Status.Condition(c); c != nil && c.Status == corev1.ConditionTrue {
			return c.Message
		}
		return ""
	}
	if diff := cmp.Diff("TestJob ns/job is running. Worker starts when all replicas of Master are ready.", said(commonv1.JobRunning)); diff != "" {
		t.Errorf("the condition says what is waited for (-want +got):\n%s", diff)
	}
	m.in.Now = m.in.Now.Add(5 * time.Minute)
	m.reconcileUntilStable()
	if diff := cmp.Diff("TestJob ns/job starts Worker when all replicas of Master are ready: check pod job-master-0", said(commonv1.JobStalled)); diff != "" {
		t.Errorf("if that takes long it names the pod (-want +got):\n%s", diff)
	}
	if p := m.decide(); p.StatusChange != plan.StatusUnchanged || len(p.Actions) > 0 {
		t.Errorf("it says so once, got %v", p.Actions)
	}
	makeReady(m, m.pod("master-0"), corev1.ConditionTrue)
	m.reconcileUntilStable()
	if diff := cmp.Diff("TestJob ns/job is running.", said(commonv1.JobRunning)); diff != "" || said(commonv1.JobStalled) != "" {
		t.Errorf("nothing waits any longer: %q (-want +got):\n%s", said(commonv1.JobStalled), diff)
	}

	m = inOrder(commonv1.StartAfterSucceeded)
	m.run()
	m.reconcileUntilStable()
	m.in.Now = m.in.Now.Add(time.Hour)
	m.reconcileUntilStable()
	if got := said(commonv1.JobStalled); got != "" {
		t.Errorf("a master that is to succeed takes the time that it needs: %q", got)
	}
	if diff := cmp.Diff("TestJob ns/job is running. Worker starts when all replicas of Master have succeeded.", said(commonv1.JobRunning)); diff != "" {
		t.Errorf("the condition says so (-want +got):\n%s", diff)
	}
}

// TestNoNoteOfThoseThatRun: what a type started after may change when all of it has started; no one waits then.
func TestNoNoteOfThoseThatRun(t *testing.T) {
	m := startedInOrder()
	makeReady(m, m.pod("master-0"), corev1.ConditionFalse)
	m.later(time.Hour)
	want := []string{"Created=True TestJobCreated: TestJob job is created.", "Running=True TestJobRunning: TestJob ns/job is running."}
	if diff := cmp.Diff(want, conditions(&m.in.Status)); diff != "" {
		t.Errorf("the workers wait for nothing any more (-want +got):\n%s", diff)
	}
}

// TestSinceWhenOthersWait: five minutes after the pod that others start after was created, or was last
// ready, the job says that they wait.
func TestSinceWhenOthersWait(t *testing.T) {
	condition := func(status corev1.ConditionStatus, ago time.Duration) func(*model, *corev1.Pod) {
		return func(m *model, p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.NewTime(m.in.Now.Add(-ago))}}
		}
	}
	for name, tc := range map[string]struct {
		reason string
		set    func(*model, *corev1.Pod)
		ago    time.Duration // when the wait began; the pod was created an hour ago
	}{
		"Never":     {"it was never ready", func(*model, *corev1.Pod) {}, time.Hour},
		"WasReady":  {"it is no longer ready", condition(corev1.ConditionFalse, time.Minute), time.Minute},
		"Long":      {"nor has it been for a while", condition(corev1.ConditionUnknown, 4*time.Minute), 4 * time.Minute},
		"Stalls":    {"for too long now", condition(corev1.ConditionFalse, 5*time.Minute), 5 * time.Minute},
		"OtherTime": {"no pod was ready before it was created", condition(corev1.ConditionFalse, 2*time.Hour), time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			m := inOrder(commonv1.StartAfterReady)
			m.in.Replicas[master].Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
			m.run()
			m.in.Now = epoch.Add(time.Hour)
			tc.set(m, m.pod("master-0"))
			p := m.decide()
			if got, want := p.Status.Condition(commonv1.JobStalled) != nil, tc.ago >= 5*time.Minute; got != want {
				t.Errorf("%s: it is stalled: %t, want %t", tc.reason, got, want)
			}
			if want := 5*time.Minute - tc.ago; want > 0 && p.RequeueAfter != want {
				t.Errorf("%s: requeued after %s, want %s", tc.reason, p.RequeueAfter, want)
			}
		})
	}
}

// TestWaitingForGang: a gang is that of the pods that can be created.
func TestWaitingForGang(t *testing.T) {
	m := inOrder(commonv1.StartAfterRunning)
	waiting := func() []int32 {
		tally := plan.TallyOf(&m.in)
		return []int32{plan.Waiting(&m.in, tally, master), plan.Waiting(&m.in, tally, worker)}
	}
	steps := []struct {
		reason string
		do     func()
		want   int32
	}{
		{"the workers wait", func() {}, 2},
		{"they are created now", func() { m.run() }, 0},
		{"they exist", func() { m.reconcileUntilStable() }, 0},
		{"one is gone, and waits for the master", func() { m.terminate(m.pod("master-0")); m.drop(m.pod("worker-0")) }, 1},
	}
	for _, s := range steps {
		s.do()
		if diff := cmp.Diff([]int32{0, s.want}, waiting()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.reason, diff)
		}
	}
}

// TestStartAfterDefaults: a role's order is that of jobs that name none, if they have the
// types for it.
func TestStartAfterDefaults(t *testing.T) {
	k := jobkit.Kind{Roles: []jobkit.Role{{Type: master}, {Type: worker, StartAfter: &commonv1.StartAfter{ReplicaType: master, State: commonv1.StartAfterReady}}}}
	own := &commonv1.StartAfter{ReplicaType: master, State: commonv1.StartAfterSucceeded}
	for name, tc := range map[string]struct {
		reason string
		specs  map[commonv1.ReplicaType]*commonv1.ReplicaSpec
		want   *commonv1.StartAfter
	}{
		"Role":     {"the job names none", map[commonv1.ReplicaType]*commonv1.ReplicaSpec{master: {}, worker: {}}, k.Roles[1].StartAfter},
		"Own":      {"the job's own goes first", map[commonv1.ReplicaType]*commonv1.ReplicaSpec{master: {}, worker: {StartAfter: own}}, own},
		"NoMaster": {"there is nothing to wait for", map[commonv1.ReplicaType]*commonv1.ReplicaSpec{worker: {}}, nil},
	} {
		plan.SetDefaults(&k, &commonv1.RunPolicy{}, tc.specs)
		if diff := cmp.Diff(tc.want, tc.specs[worker].StartAfter); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, tc.reason, diff)
		}
	}
	specs := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"master": {}, "worker": {StartAfter: &commonv1.StartAfter{ReplicaType: "master"}}}
	plan.SpellTypes(&k, specs)
	if got := specs[worker].StartAfter.ReplicaType; got != master {
		t.Errorf("the kind spells the types, got %s", got)
	}
}

// TestBadStartAfter: what can never start is refused.
func TestBadStartAfter(t *testing.T) {
	after := func(t commonv1.ReplicaType, s commonv1.StartAfterState) *commonv1.StartAfter {
		return &commonv1.StartAfter{ReplicaType: t, State: s}
	}
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		want   string
	}{
		"Itself": {
			reason: "it would never start", change: func(m *model) { m.in.Replicas[worker].StartAfter.ReplicaType = worker },
			want: `spec.testReplicaSpecs[Worker].startAfter.replicaType: Invalid value: "Worker": no replica type starts after itself: name another one, or remove startAfter`,
		},
		"Unknown": {
			reason: "the kind has no such type", change: func(m *model) { m.in.Replicas[worker].StartAfter.ReplicaType = "Boss" },
			want: `spec.testReplicaSpecs[Worker].startAfter.replicaType: Unsupported value: "Boss": supported values: "Master", "Worker"`,
		},
		"LetterCase": {
			reason: "the message spells it", change: func(m *model) { m.in.Replicas[worker].StartAfter.ReplicaType = "master" },
			want: `spec.testReplicaSpecs[Worker].startAfter.replicaType: Invalid value: "master": the letter case of replica types counts: write Master`,
		},
		"Empty": {
			reason: "it names none", change: func(m *model) { m.in.Replicas[worker].StartAfter.ReplicaType = "" },
			want: `spec.testReplicaSpecs[Worker].startAfter.replicaType: Required value: name the replica type that goes first, or remove startAfter`,
		},
		"Missing": {
			reason: "the job does not have it", change: func(m *model) { delete(m.in.Replicas, master) },
			want: `spec.testReplicaSpecs[Worker].startAfter.replicaType: Invalid value: "Master": the job has no replica type Master: add it to spec.testReplicaSpecs, or remove startAfter`,
		},
		"State": {
			reason: "there is no such state", change: func(m *model) { m.in.Replicas[worker].StartAfter.State = "Up" },
			want: `spec.testReplicaSpecs[Worker].startAfter.state: Unsupported value: "Up": supported values: "Running", "Ready", "Succeeded"`,
		},
		"Circle": {
			reason: "each waits for the other", change: func(m *model) { m.in.Replicas[master].StartAfter = after(worker, commonv1.StartAfterReady) },
			want: `spec.testReplicaSpecs[Master].startAfter.replicaType: Invalid value: "Worker": Master starts after Worker, which starts after Master, so none of them ever starts: remove startAfter of one of them`,
		},
		"CircleWithTheKind": {
			reason: "the kind's own order counts", change: func(m *model) {
				m.in.Rules.StartAfter = []jobkit.StartAfter{{Type: master, After: []commonv1.ReplicaType{worker}}}
			},
			want: `spec.testReplicaSpecs[Worker].startAfter.replicaType: Invalid value: "Master": Worker starts after Master, which starts after Worker, so none of them ever starts: remove startAfter of one of them`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
			m.in.Replicas[worker].StartAfter = after(master, commonv1.StartAfterReady)
			if errs := plan.Validate(&m.in); len(errs) > 0 {
				t.Fatalf("this is valid: %v", errs)
			}
			tc.change(m)
			errs := plan.Validate(&m.in)
			if len(errs) != 1 {
				t.Fatalf("%s: want one error, got %v", tc.reason, errs)
			}
			if diff := cmp.Diff(tc.want, errs[0].Error()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			m.reconcileUntilStable()
			if c := m.in.Status.Condition(commonv1.JobFailed); c == nil || !strings.Contains(c.Message, tc.want) {
				t.Errorf("the job fails and says so: %v", conditions(&m.in.Status))
			}
		})
	}
}

// TestBadStartAfterOfRoles: so is what an author says that can never start.
func TestBadStartAfterOfRoles(t *testing.T) {
	for name, tc := range map[string]struct {
		of   map[commonv1.ReplicaType]commonv1.ReplicaType
		want string
	}{
		"Valid":   {map[commonv1.ReplicaType]commonv1.ReplicaType{worker: master}, ""},
		"Itself":  {map[commonv1.ReplicaType]commonv1.ReplicaType{worker: worker}, `Roles[1].StartAfter.ReplicaType: Invalid value: "Worker": no replica type starts after itself: name another one, or remove StartAfter`},
		"Unknown": {map[commonv1.ReplicaType]commonv1.ReplicaType{worker: "Boss"}, `Roles[1].StartAfter.ReplicaType: Unsupported value: "Boss": supported values: "Master", "Worker"`},
		"Circle":  {map[commonv1.ReplicaType]commonv1.ReplicaType{worker: master, master: worker}, `Roles[0].StartAfter.ReplicaType: Invalid value: "Worker": Master starts after Worker, which starts after Master, so none of them ever starts: remove StartAfter of one of them`},
	} {
		m := newModel(workers(1))
		for i := range m.in.Kind.Roles {
			if first := tc.of[m.in.Kind.Roles[i].Type]; first != "" {
				m.in.Kind.Roles[i].StartAfter = &commonv1.StartAfter{ReplicaType: first, State: commonv1.StartAfterReady}
			}
		}
		errs := plan.ValidateKind(&m.in.Kind)
		if tc.want == "" && len(errs) == 0 {
			continue
		}
		if len(errs) == 0 || errs[0].Error() != tc.want {
			t.Errorf("%s: want %s, got %v", name, tc.want, errs)
		}
	}
}

// TestStartAfterCostsNothing: a job that does not use it pays nothing for it.
func TestStartAfterCostsNothing(t *testing.T) {
	m := started(workers(3), nil)
	tally := plan.TallyOf(&m.in)
	if n := testing.AllocsPerRun(100, func() { plan.Waiting(&m.in, tally, worker) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestCircleOfOthers: a type that starts after types which wait for each other is not itself in
// the circle; the error names those that are, once.
func TestCircleOfOthers(t *testing.T) {
	m := newModel(workers(1))
	m.in.Kind.Roles = []jobkit.Role{{Type: "First"}, {Type: master}, {Type: worker}}
	template := m.in.Replicas[worker].Template
	m.in.Replicas = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}
	for typ, after := range map[commonv1.ReplicaType]commonv1.ReplicaType{"First": master, master: worker, worker: master} {
		m.in.Replicas[typ] = &commonv1.ReplicaSpec{Replicas: new(int32(1)), Template: template, StartAfter: &commonv1.StartAfter{ReplicaType: after, State: commonv1.StartAfterReady}}
	}
	want := `spec.testReplicaSpecs[Master].startAfter.replicaType: Invalid value: "Worker": Master starts after Worker, which starts after Master, ` +
		"so none of them ever starts: remove startAfter of one of them"
	if errs := plan.Validate(&m.in); len(errs) != 1 || errs[0].Error() != want {
		t.Errorf("want %s, got %v", want, errs)
	}
}

// TestStartAfterIsReportedOfAPod: the event is about the first of the pods that others wait for.
func TestStartAfterIsReportedOfAPod(t *testing.T) {
	for n, want := range map[int32]string{1: "check pod job-master-0", 3: "check pod job-master-0, job-master-1, job-master-2"} {
		m := inOrder(commonv1.StartAfterReady)
		m.in.Replicas[master].Replicas = &n
		m.in.Replicas[master].Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
		m.reconcileUntilStable()
		m.run()
		m.in.Now = m.in.Now.Add(5 * time.Minute)
		p := m.decide()
		if !slices.ContainsFunc(p.Events, func(e plan.Event) bool {
			return strings.HasSuffix(e.Message, want) && e.Pod.Name == "job-master-0"
		}) {
			t.Errorf("of %d pods: %+v", n, p.Events)
		}
	}
}

// TestNoteOfOneThatWaits: one replica that waits is worth the note as well.
func TestNoteOfOneThatWaits(t *testing.T) {
	m := inOrder(commonv1.StartAfterSucceeded)
	m.in.Replicas[worker].Replicas = new(int32(1))
	m.run()
	m.reconcileUntilStable()
	c := m.in.Status.Condition(commonv1.JobRunning)
	if c == nil || !strings.HasSuffix(c.Message, " Worker starts when all replicas of Master have succeeded.") {
		t.Errorf("the condition Running says why the worker is not there: %q", conditions(&m.in.Status))
	}
}

// TestOneThatWaitsIsStalled: one replica that waits for long is worth the condition as well.
func TestOneThatWaitsIsStalled(t *testing.T) {
	m := inOrder(commonv1.StartAfterReady)
	m.in.Replicas[worker].Replicas = new(int32(1))
	m.in.Replicas[master].Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
	m.run()
	makeReady(m, m.pod("master-0"), corev1.ConditionFalse)
	m.reconcileUntilStable()
	m.in.Now = m.in.Now.Add(5 * time.Minute)
	m.reconcileUntilStable()
	if c := m.in.Status.Condition(commonv1.JobStalled); c == nil || c.Message != "TestJob ns/job starts Worker when all replicas of Master are ready: check pod job-master-0" {
		t.Errorf("want the condition Stalled, got %q", conditions(&m.in.Status))
	}
}

// TestNoNoteWhenNothingIsWaitedFor: a worker that is missing for another reason waits for nothing.
func TestNoNoteWhenNothingIsWaitedFor(t *testing.T) {
	m := inOrder(commonv1.StartAfterRunning)
	m.run()
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	m.drop(m.pod("worker-0"))
	p := m.decide()
	if c := p.Status.Condition(commonv1.JobRunning); c == nil || strings.Contains(c.Message, "starts when") {
		t.Errorf("the master runs: %q", conditions(&p.Status))
	}
}
