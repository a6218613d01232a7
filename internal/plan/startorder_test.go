package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// ordered is a job of a master and two workers whose pods exist; the master starts
// after the workers.
func ordered(ready bool) *model {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
	m.in.Rules.StartAfter = []jobkit.StartAfter{{Type: master, After: []commonv1.ReplicaType{worker, "Other"}, Ready: ready}}
	m.reconcile()
	for _, p := range m.in.Pods {
		p.Spec.NodeName, p.CreationTimestamp = "node", metav1.NewTime(m.in.Now)
	}
	return m
}

func condition(t corev1.PodConditionType, s corev1.ConditionStatus, reason string) corev1.PodCondition {
	return corev1.PodCondition{Type: t, Status: s, Reason: reason}
}

// TestStartOrder says when replicas start that start after others.
func TestStartOrder(t *testing.T) {
	probe := &corev1.Probe{}
	spec := func(m *model) *corev1.PodSpec { return &m.in.Replicas[worker].Template.Spec }
	run := func(m *model) {
		for _, p := range m.in.Pods {
			p.Status.Phase = corev1.PodRunning
		}
	}
	unbound := func(m *model) *corev1.Pod {
		run(m)
		p := m.pod("worker-1")
		p.Spec.NodeName, p.Status.Phase = "", corev1.PodPending
		return p
	}
	for name, tc := range map[string]struct {
		reason  string
		created bool // that the pods exist is enough
		set     func(*model)
		want    bool
		again   time.Duration // when it is requeued, if that matters
	}{
		"Pending":     {reason: "they do not run yet", set: func(*model) {}},
		"One":         {reason: "all must run", set: func(m *model) { m.pod("worker-0").Status.Phase = corev1.PodRunning }},
		"All":         {reason: "all run", set: run, want: true},
		"Created":     {reason: "that they exist is enough", created: true, set: func(*model) {}, want: true},
		"Missing":     {reason: "one is not there", created: true, set: func(m *model) { m.drop(m.pod("worker-1")) }},
		"Terminating": {reason: "one is not there to stay", created: true, set: func(m *model) { m.terminate(m.pod("worker-1")) }},
		"Superseded": {reason: "nor is one of an earlier attempt", created: true, set: func(m *model) {
			m.in.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {Attempts: map[string]int32{"1": 1}}}
		}},
		"Ended":    {reason: "one that has succeeded has run", set: func(m *model) { run(m); m.end(m.pod("worker-1"), 0) }, want: true},
		"NotReady": {reason: "a readiness probe says when", set: func(m *model) { run(m); spec(m).Containers[0].ReadinessProbe = probe }},
		"IsReady": {reason: "and it says so", set: func(m *model) {
			run(m)
			spec(m).Containers[0].ReadinessProbe = probe
			for _, p := range m.in.Pods {
				p.Status.Conditions = []corev1.PodCondition{condition(corev1.PodReady, corev1.ConditionTrue, "")}
			}
		}, want: true},
		"Startup": {reason: "so does a startup probe", set: func(m *model) { run(m); spec(m).Containers[0].StartupProbe = probe }},
		"Gate":    {reason: "so does a client outside", set: func(m *model) { run(m); spec(m).ReadinessGates = []corev1.PodReadinessGate{{}} }},
		"Sidecar": {reason: "so does a sidecar", set: func(m *model) {
			run(m)
			spec(m).InitContainers = []corev1.Container{{RestartPolicy: new(corev1.ContainerRestartPolicyAlways), ReadinessProbe: probe}}
		}},
		"Init": {reason: "an init container has ended when the pod runs", set: func(m *model) { run(m); spec(m).InitContainers = []corev1.Container{{StartupProbe: probe}} }, want: true},
		"Unschedulable": {reason: "the scheduler places pods one by one: one has to wait", set: func(m *model) {
			unbound(m).Status.Conditions = []corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable)}
		}},
		"Gated": {reason: "a queue may count the pods of the job", set: func(m *model) {
			unbound(m).Status.Conditions = []corev1.PodCondition{condition(corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonSchedulingGated)}
		}, want: true},
		"Gates":         {reason: "so may who put a gate into the template", set: func(m *model) { unbound(m); spec(m).SchedulingGates = []corev1.PodSchedulingGate{{Name: "x"}} }, want: true},
		"Gang":          {reason: "the gang starts when all its pods exist", set: func(m *model) { unbound(m); m.in.Gang = &plan.Gang{} }, want: true},
		"GangHasNodes":  {reason: "the gang was let in without the master", set: func(m *model) { unbound(m).Spec.NodeName = "node"; m.in.Gang = &plan.Gang{} }},
		"Scheduler":     {reason: "another scheduler may be one of gangs", set: func(m *model) { unbound(m); spec(m).SchedulerName = "other" }, want: true},
		"Default":       {reason: "the default scheduler is not", set: func(m *model) { unbound(m); spec(m).SchedulerName = corev1.DefaultSchedulerName }},
		"Group":         {reason: "it is of pods that name a group", set: func(m *model) { unbound(m); spec(m).SchedulingGroup = &corev1.PodSchedulingGroup{} }, want: true},
		"Silent":        {reason: "no scheduler has processed the pod for ten seconds", set: func(m *model) { unbound(m); m.in.Now = m.in.Now.Add(10 * time.Second) }, want: true},
		"SilentShortly": {reason: "it may take that long", set: func(m *model) { unbound(m); m.in.Now = m.in.Now.Add(9 * time.Second) }, again: time.Second},
		"Bound": {reason: "nothing keeps a pod that has a node from running", set: func(m *model) {
			unbound(m).Spec.NodeName = "node"
			m.in.Now = m.in.Now.Add(time.Hour)
		}},
		"PlainInit": {reason: "an init container has ended when the pod runs, whatever its restart policy", set: func(m *model) {
			run(m)
			spec(m).InitContainers = []corev1.Container{{RestartPolicy: new(corev1.ContainerRestartPolicy("Never")), StartupProbe: probe}, {RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}
		}, want: true},
		"GangOfAnother": {reason: "one that is missing is to be created first", set: func(m *model) { unbound(m); m.drop(m.pod("worker-0")); m.in.Gang = &plan.Gang{} }},
	} {
		t.Run(name, func(t *testing.T) {
			m := ordered(!tc.created)
			if len(m.in.Pods) != 2 {
				t.Fatalf("the master does not start before any worker exists, got %d pods", len(m.in.Pods))
			}
			tc.set(m)
			p := m.decide()
			if tc.again != 0 && p.RequeueAfter != tc.again {
				t.Errorf("%s: requeued after %s, want %s", tc.reason, p.RequeueAfter, tc.again)
			}
			got := slices.ContainsFunc(p.Actions, func(a plan.Action) bool { return strings.HasPrefix(a.String(), "create pod job-master-0") })
			if got != tc.want {
				t.Errorf("%s: the master is created: %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}

// TestBothOrders: a type that starts after others by its own startAfter and by the kind's rules starts after both.
func TestBothOrders(t *testing.T) {
	run := func(m *model) {
		for _, p := range m.in.Pods {
			p.Status.Phase = corev1.PodRunning
		}
	}
	probed := func(is corev1.ConditionStatus) func(*model) {
		return func(m *model) {
			run(m)
			m.in.Replicas[worker].Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
			for _, p := range m.in.Pods {
				p.Status.Conditions = []corev1.PodCondition{condition(corev1.PodReady, is, "")}
			}
		}
	}
	for name, tc := range map[string]struct {
		reason string
		state  commonv1.StartAfterState
		set    func(*model)
		want   bool
	}{
		"None":      {"neither is met", commonv1.StartAfterRunning, func(*model) {}, false},
		"OwnOnly":   {"they run, and the kind wants them ready", commonv1.StartAfterRunning, probed(corev1.ConditionFalse), false},
		"RulesOnly": {"they are ready, and are to succeed", commonv1.StartAfterSucceeded, probed(corev1.ConditionTrue), false},
		"Both":      {"they run and are ready", commonv1.StartAfterRunning, probed(corev1.ConditionTrue), true},
	} {
		t.Run(name, func(t *testing.T) {
			m := ordered(true)
			m.in.Replicas[master].StartAfter = &commonv1.StartAfter{ReplicaType: worker, State: tc.state}
			tc.set(m)
			got := slices.ContainsFunc(m.decide().Actions, func(a plan.Action) bool { return strings.HasPrefix(a.String(), "create pod job-master-0") })
			if got != tc.want {
				t.Errorf("%s: the master is created: %t, want %t", tc.reason, got, tc.want)
			}
		})
	}
}

// TestNothingToOrder: once all pods exist, no pass is for the scheduler of one of them.
func TestNothingToOrder(t *testing.T) {
	m := ordered(true)
	for _, p := range m.in.Pods {
		p.Status.Phase = corev1.PodRunning
	}
	m.reconcileUntilStable()
	p := m.pod("worker-1")
	if m.pod("master-0") == nil {
		t.Fatalf("the master is created, got %v", podNames(m))
	}
	p.Spec.NodeName, p.Status.Phase = "", corev1.PodPending
	m.reconcileUntilStable()
	if got := m.decide(); got.RequeueAfter <= 10*time.Second || len(got.Actions) > 0 {
		t.Errorf("nothing is left to order, got %v, again after %s", got.Actions, got.RequeueAfter)
	}
}

// TestStartOrderIsReported has a job wait for its own replicas for long.
func TestStartOrderIsReported(t *testing.T) {
	m := ordered(true)
	m.in.Replicas[worker].Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
	setReady := func(pod string, is corev1.ConditionStatus) {
		m.pod(pod).Status.Phase = corev1.PodRunning
		m.pod(pod).Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: is}}
	}
	stalled := func() string {
		if c := m.in.Status.Condition(commonv1.JobStalled); c != nil {
			return c.Reason + ": " + c.Message
		}
		return ""
	}
	setReady("worker-0", corev1.ConditionTrue)
	setReady("worker-1", corev1.ConditionFalse)
	p := m.reconcile()
	if diff := cmp.Diff("", stalled()); diff != "" || p.RequeueAfter <= 0 || p.RequeueAfter > 5*time.Minute {
		t.Errorf("images take a while; it is requeued after %v, at the latest when that is too long (-want +got):\n%s", p.RequeueAfter, diff)
	}
	m.in.Now = m.in.Now.Add(5*time.Minute - time.Second)
	if p := m.reconcile(); stalled() != "" || p.RequeueAfter != time.Second {
		t.Errorf("five minutes have not passed yet, and it is requeued when they have: %q, after %v", stalled(), p.RequeueAfter)
	}
	m.in.Now = m.in.Now.Add(time.Second)
	for range 3 {
		m.reconcile()
	}
	want := "TestJobWaitingForReplicas: TestJob ns/job starts Master when the replicas before them run and are ready: check pod job-worker-1"
	if diff := cmp.Diff(want, stalled()); diff != "" {
		t.Errorf("the job says what it waits for (-want +got):\n%s", diff)
	}
	if p := m.decide(); p.StatusChange != plan.StatusUnchanged || len(p.Actions) > 0 {
		t.Errorf("it says so once, got %v", p.Actions)
	}
	gone := m.pod("worker-0")
	m.drop(gone)
	m.in.Rules.StartAfter = append(m.in.Rules.StartAfter, m.in.Rules.StartAfter...)
	if p := m.decide(); p.Status.Condition(commonv1.JobStalled).Message != strings.TrimPrefix(want, "TestJobWaitingForReplicas: ") {
		t.Errorf("neither a pod that is created now, nor a second rule that says the same, changes that: %q", conditions(&p.Status))
	}
	m.in.Pods = append(m.in.Pods, gone)
	setReady("worker-1", corev1.ConditionTrue)
	m.reconcile()
	m.reconcile()
	if diff := cmp.Diff("", stalled()); diff != "" || m.pod("master-0") == nil {
		t.Errorf("the master is created, and the job says nothing more (-want +got):\n%s", diff)
	}
	setReady("worker-1", corev1.ConditionFalse)
	m.run()
	m.in.Now = m.in.Now.Add(time.Hour)
	m.reconcile()
	if diff := cmp.Diff("", stalled()); diff != "" {
		t.Errorf("what the workers do later has no say in it (-want +got):\n%s", diff)
	}
}

// TestRolesAndBindings says in which order permissions come and go.
func TestRolesAndBindings(t *testing.T) {
	role := func(change ...func(*plan.Object)) plan.Object {
		o := plan.Object{Kind: "Role", Name: "r", Wanted: &corev1.ConfigMap{}, UID: "r"}
		for _, f := range change {
			f(&o)
		}
		return o
	}
	gone := func(o *plan.Object) { o.UID = "" }
	terminating := func(o *plan.Object) { o.Terminating = true }
	binding := func(uid string) plan.Object {
		o := plan.Object{Kind: "RoleBinding", Name: "b", Wanted: &corev1.ConfigMap{}, Role: "r"}
		o.UID = types.UID(uid)
		return o
	}
	for name, tc := range map[string]struct {
		reason  string
		objects []plan.Object
		want    []string
	}{
		"New":      {reason: "a role comes before what gives it away, whatever the kind's order", objects: []plan.Object{binding(""), role(gone)}, want: []string{"create Role r: the job needs it", "create RoleBinding b: the job needs it"}},
		"Missing":  {reason: "the role exists", objects: []plan.Object{role(), binding("")}, want: []string{"create RoleBinding b: the job needs it"}},
		"Both":     {reason: "nothing to do", objects: []plan.Object{role(), binding("b")}},
		"RoleGone": {reason: "another client may take the name", objects: []plan.Object{role(gone), binding("b")}, want: []string{"delete RoleBinding b: its Role r is gone, and another of that name may not be the job's", "create Role r: the job needs it"}},
		"RoleGoes": {reason: "it is no longer to be granted", objects: []plan.Object{role(terminating), binding("b")}, want: []string{"delete RoleBinding b: its Role r is gone, and another of that name may not be the job's"}},
		"Waits":    {reason: "the binding waits for the next role", objects: []plan.Object{role(terminating), binding("")}},
		"Cluster": {reason: "a role that is not the kind's is up to its author", objects: []plan.Object{{
			Kind: "RoleBinding", Name: "b", Wanted: &corev1.ConfigMap{},
		}}, want: []string{"create RoleBinding b: the job needs it"}},
		"Unknown":      {reason: "so is one that the kind says nothing of", objects: []plan.Object{binding("")}, want: []string{"create RoleBinding b: the job needs it"}},
		"OtherRole":    {reason: "another role does not matter", objects: []plan.Object{{Kind: "Role", Name: "x", Wanted: &corev1.ConfigMap{}}, binding("b")}, want: []string{"create Role x: the job needs it"}},
		"RoleUnwanted": {reason: "nor does one that the kind no longer wants", objects: []plan.Object{role(func(o *plan.Object) { o.Wanted = nil }), binding("b")}, want: []string{"delete Role r: the job does not want it"}},
		"OtherKind":    {reason: "nor does something else of that name", objects: []plan.Object{{Kind: "ConfigMap", Name: "r", Wanted: &corev1.ConfigMap{}}, binding("b")}, want: []string{"create ConfigMap r: the job needs it"}},
		"BindingGoes":  {reason: "it is being deleted already", objects: []plan.Object{role(terminating), func() plan.Object { o := binding("b"); o.Terminating = true; return o }()}},
		"Shared":       {reason: "what may not be the job's is requested when pods need it, and not at rest", objects: []plan.Object{{Kind: "ServiceAccount", Name: "s", Wanted: &corev1.ServiceAccount{}, Shared: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			m.reconcile()
			m.run()
			m.in.Objects = tc.objects
			if diff := cmp.Diff(tc.want, names(m.decide().Actions)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
	m := newModel(workers(1))
	m.in.Objects = []plan.Object{{Kind: "ServiceAccount", Name: "s", Wanted: &corev1.ServiceAccount{}, Shared: true}}
	if got := actions(m.decide()); !slices.Contains(got, "create ServiceAccount s: the job uses it") {
		t.Errorf("it is created with the pods, got %q", got)
	}
}

// TestOwnedObjectsAreHeldBackInOrder: what comes after an object that is refused waits.
func TestOwnedObjectsAreHeldBackInOrder(t *testing.T) {
	m := newModel(workers(1))
	m.reconcile()
	m.run()
	object := func(name string) plan.Object {
		return plan.Object{Kind: "ConfigMap", Name: name, Wanted: &corev1.ConfigMap{}}
	}
	m.in.Objects = []plan.Object{object("a"), object("b"), object("c")}
	m.in.Tried = []plan.Tried{tried(plan.CreateObject{Kind: "ConfigMap", Name: "b"}, plan.NameConflict)}
	if diff := cmp.Diff([]string{"create ConfigMap a: the job needs it"}, actions(m.decide())); diff != "" {
		t.Errorf("what comes later may need what comes before (-want +got):\n%s", diff)
	}
}
