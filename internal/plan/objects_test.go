package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestActionsInFull: an action holds all that the shell needs: identities and
// versions for its preconditions, and what the object is made from.
func TestActionsInFull(t *testing.T) {
	wanted := &corev1.ConfigMap{}
	patch := map[string]any{"data": "x"}
	m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 2}, func(m *model) {
		m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica)
	})
	m.drop(m.pod("worker-1"))
	m.in.Services[0].Spec.Selector["x"] = "y"
	m.in.Services[0].ResourceVersion = "7"
	m.in.Services = m.in.Services[:2]
	m.in.Objects = []plan.Object{
		{Kind: "ConfigMap", Name: "missing", Wanted: wanted},
		{Kind: "ConfigMap", Name: "differs", Wanted: wanted, UID: "1", Version: "8", Patch: patch},
		{Kind: "ConfigMap", Name: "same", Wanted: wanted, UID: "2", Version: "9", Patch: map[string]any{}},
		{Kind: "ConfigMap", Name: "unwanted", UID: "3", Version: "10"},
	}
	want := []plan.Action{
		plan.CreateObject{Kind: "ConfigMap", Name: "missing", Object: wanted, Reason: "the job needs it"},
		plan.UpdateObject{Kind: "ConfigMap", Name: "differs", UID: "1", Version: "8", Patch: patch, Reason: "it is not as the job needs it"},
		plan.DeleteObject{Kind: "ConfigMap", Name: "unwanted", UID: "3", Reason: "the job does not want it"},
		plan.UpdateService{
			CreateService: plan.CreateService{Name: "job-master-0", Type: master, Reason: "its ports or its selector are not those of the job"},
			UID:           m.in.Services[0].UID, Version: "7",
		},
		plan.CreateService{Name: "job-worker-1", Type: worker, Index: 1, Reason: "each replica has one"},
		plan.CreatePod{Name: "job-worker-1", Type: worker, Index: 1, Reason: "replica 1 of Worker is missing"},
	}
	if diff := cmp.Diff(want, m.decide().Actions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.in.RunPolicy.Suspend = new(true)
	var got []plan.Action
	for _, a := range m.decide().Actions {
		if a, ok := a.(plan.DeleteObject); ok {
			got = append(got, a)
		}
	}
	const reason = "the job is suspended"
	want = []plan.Action{
		plan.DeleteObject{Kind: "ConfigMap", Name: "differs", UID: "1", Reason: reason},
		plan.DeleteObject{Kind: "ConfigMap", Name: "same", UID: "2", Reason: reason},
		plan.DeleteObject{Kind: "ConfigMap", Name: "unwanted", UID: "3", Reason: reason},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what exists is deleted, what does not is not (-want +got):\n%s", diff)
	}
}

// TestRolesAndSharedObjects: a binding is never without the job's own role, and what others may
// have made is asked for together with pods only.
func TestRolesAndSharedObjects(t *testing.T) {
	object := &corev1.ConfigMap{}
	role := func(uid types.UID) plan.Object {
		return plan.Object{Kind: "Role", Name: "r", Wanted: object, UID: uid}
	}
	binding := func(uid types.UID) plan.Object {
		return plan.Object{Kind: "RoleBinding", Name: "b", Role: "r", Wanted: object, UID: uid, Version: "7"}
	}
	changed := func(o plan.Object, change func(*plan.Object)) plan.Object {
		change(&o)
		return o
	}
	goes := func(o *plan.Object) { o.Terminating = true }
	const gone = "its Role r is gone, and another of that name may not be the job's"
	patch := map[string]any{"x": "y"}
	for name, tc := range map[string]struct {
		reason  string
		objects []plan.Object
		missing bool // a pod is missing
		want    []plan.Action
	}{
		"BothMissing": {
			reason: "the role comes first, in whatever order the kind lists them", objects: []plan.Object{binding(""), role("")},
			want: []plan.Action{
				plan.CreateObject{Kind: "Role", Name: "r", Object: object, Reason: "the job needs it"},
				plan.CreateObject{Kind: "RoleBinding", Name: "b", Object: object, Reason: "the job needs it"},
			},
		},
		"RoleMissing": {
			reason: "the binding goes before another role is granted", objects: []plan.Object{role(""), binding("b-1")},
			want: []plan.Action{
				plan.DeleteObject{Kind: "RoleBinding", Name: "b", UID: "b-1", Reason: gone},
				plan.CreateObject{Kind: "Role", Name: "r", Object: object, Reason: "the job needs it"},
			},
		},
		"RoleGoes": {
			reason: "it is as good as gone", objects: []plan.Object{changed(role("r-1"), goes), binding("b-1")},
			want: []plan.Action{plan.DeleteObject{Kind: "RoleBinding", Name: "b", UID: "b-1", Reason: gone}},
		},
		"RoleGoesNoBinding": {reason: "the binding waits for the new role", objects: []plan.Object{changed(role("r-1"), goes), binding("")}},
		"BothExist":         {reason: "nothing is to be done", objects: []plan.Object{role("r-1"), binding("b-1")}},
		"BindingDiffers": {
			reason: "a binding is updated as any other object", objects: []plan.Object{role("r-1"), changed(binding("b-1"), func(o *plan.Object) { o.Patch = patch })},
			want: []plan.Action{plan.UpdateObject{Kind: "RoleBinding", Name: "b", UID: "b-1", Version: "7", Patch: patch, Reason: "it is not as the job needs it"}},
		},
		"BindingNotWanted": {
			reason: "it is deleted once, whatever the role does", objects: []plan.Object{role(""), changed(binding("b-1"), func(o *plan.Object) { o.Wanted = nil })},
			want: []plan.Action{
				plan.CreateObject{Kind: "Role", Name: "r", Object: object, Reason: "the job needs it"},
				plan.DeleteObject{Kind: "RoleBinding", Name: "b", UID: "b-1", Reason: "the job does not want it"},
			},
		},
		"ExpectedAtRest": {reason: "nor is one looked up that others make", objects: []plan.Object{{Kind: "ServiceAccount", Name: "s", Wanted: object, Expected: true}}},
		"ExpectedWithPods": {
			reason: "known-bugs row 291: no pod is created before it exists", missing: true,
			objects: []plan.Object{{Kind: "ServiceAccount", Name: "s", Wanted: object, Expected: true}},
			want: []plan.Action{
				plan.ExpectObject{Kind: "ServiceAccount", Name: "s", Reason: "pods of the job need it"},
				plan.CreatePod{Name: "job-worker-1", Type: worker, Index: 1, Reason: "replica 1 of Worker is missing"},
			},
		},
		"SharedAtRest": {reason: "at rest there is no request", objects: []plan.Object{{Kind: "ServiceAccount", Name: "s", Wanted: object, Shared: true}}},
		"SharedWithPods": {
			reason: "the pods need what is not there", missing: true, objects: []plan.Object{
				{Kind: "ServiceAccount", Name: "s", Wanted: object, Shared: true},
				{Kind: "ServiceAccount", Name: "exists", Wanted: object, Shared: true, UID: "s-1"},
				{Kind: "ServiceAccount", Name: "unwanted", Shared: true},
				{Kind: "ConfigMap", Name: "own", Wanted: object, UID: "c-1"},
			},
			want: []plan.Action{
				plan.CreateObject{Kind: "ServiceAccount", Name: "s", Object: object, Shared: true, Reason: "the job uses it"},
				plan.CreatePod{Name: "job-worker-1", Type: worker, Index: 1, Reason: "replica 1 of Worker is missing"},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), nil)
			if m.in.Objects = tc.objects; tc.missing {
				m.drop(m.pod("worker-1"))
			}
			if diff := cmp.Diff(tc.want, m.decide().Actions); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestClaim: an object of the kind becomes one of the job's, and keeps what is its own.
func TestClaim(t *testing.T) {
	own := map[string]string{commonv1.JobNameLabel: "job", commonv1.OperatorNameLabel: "testjob-controller"}
	cases := map[string]struct {
		reason       string
		labels, want map[string]string
	}{
		"NoLabels":    {reason: "an object without labels gets the job's", want: own},
		"OtherLabels": {reason: "other labels stay", labels: map[string]string{"a": "b"}, want: map[string]string{"a": "b", commonv1.JobNameLabel: "job", commonv1.OperatorNameLabel: "testjob-controller"}},
		"FalseLabels": {reason: "the job's own win", labels: map[string]string{commonv1.JobNameLabel: "x"}, want: own},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(1))
			o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "elsewhere", Labels: tc.labels}}
			before := o.DeepCopy().Labels
			plan.Claim(&m.in, o)
			want := metav1.ObjectMeta{Name: "c", Namespace: "ns", Labels: tc.want, OwnerReferences: []metav1.OwnerReference{owner}}
			if diff := cmp.Diff(want, o.ObjectMeta); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(before, tc.labels); diff != "" {
				t.Errorf("a map that may be shared is not changed (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRenderedInFull: what NewPod and NewService make, where it is easy to forget.
func TestRenderedInFull(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 1})
	ports := func(typ commonv1.ReplicaType, n int32) {
		m.in.Replicas[typ].Template.Spec.Containers = []corev1.Container{
			{Name: "sidecar", Ports: []corev1.ContainerPort{{Name: "x", ContainerPort: 99}}},
			{Name: "main", Ports: []corev1.ContainerPort{{Name: strings.ToLower(string(typ)), ContainerPort: n}}},
		}
	}
	ports(master, 1)
	ports(worker, 2)
	cases := map[string]struct {
		reason  string
		policy  *commonv1.ProgressPolicy
		action  plan.CreateService
		ports   []string
		publish bool
		labels  int
	}{
		"PerJob": {
			reason: "the ports of all types; replicas connect to each other before they are ready",
			action: plan.CreateService{Name: "job"}, ports: []string{"master", "worker"}, publish: true, labels: 2,
		},
		"PerReplica": {
			reason: "the ports of the replica, and no others; ready or not, as in kubeflow.org/v1",
			action: plan.CreateService{Name: "job-worker-0", Type: worker}, ports: []string{"worker"}, labels: 4,
		},
		"PerReplicaByReadiness": {
			reason: "none would ever be ready if each had to find the others first, which are not ready either",
			policy: &commonv1.ProgressPolicy{Source: commonv1.ProgressSourceReadiness, StallTimeoutSeconds: new(int64(60))},
			action: plan.CreateService{Name: "job-worker-0", Type: worker}, ports: []string{"worker"}, publish: true, labels: 4,
		},
		"PerReplicaByReports": {
			reason: "a probe then says what it says in kubeflow.org/v1",
			policy: &commonv1.ProgressPolicy{StallTimeoutSeconds: new(int64(60))},
			action: plan.CreateService{Name: "job-worker-0", Type: worker}, ports: []string{"worker"}, labels: 4,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m.in.RunPolicy.ProgressPolicy = tc.policy
			s := plan.NewService(&m.in, tc.action)
			var names []string
			for _, p := range s.Spec.Ports {
				names = append(names, p.Name)
			}
			if diff := cmp.Diff(tc.ports, names); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if s.Spec.PublishNotReadyAddresses != tc.publish || s.Namespace != "ns" || len(s.Labels) != tc.labels {
				t.Errorf("%s: %+v", tc.reason, s)
			}
		})
	}

	template := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Finalizers: []string{"example.com/logs"}, GenerateName: "x-"},
		Spec:       corev1.PodSpec{Hostname: "own", Subdomain: "domain"},
	}
	pod := plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-0", Type: worker}, template)
	if diff := cmp.Diff([]string{"example.com/logs"}, pod.Finalizers); diff != "" || pod.GenerateName != "" {
		t.Errorf("finalizers of the template are kept (-want +got):\n%s", diff)
	}
	if pod.Spec.Hostname != "own" || pod.Spec.Subdomain != "domain" {
		t.Errorf("so are names that the template chose: %s.%s", pod.Spec.Hostname, pod.Spec.Subdomain)
	}
}

// TestAdoption says what an object gets that is the job's and lacks its labels, and which
// jobs another operator ran.
func TestAdoption(t *testing.T) {
	m := newModel(workers(1))
	wanted := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{
		"app": "x", commonv1.LabelPrefix + "team": "red", commonv1.OperatorNameLabel: "o", commonv1.JobNameLabel: "j", commonv1.ReplicaIndexLabel: "0",
		commonv1.AttemptLabel: "3", commonv1.PodGroupLabel: "g",
	}}}
	want := map[string]string{commonv1.OperatorNameLabel: "o", commonv1.JobNameLabel: "j", commonv1.ReplicaIndexLabel: "0"}
	if diff := cmp.Diff(want, plan.OwnLabels(wanted)); diff != "" {
		t.Errorf("the labels that find it; which attempt it is, and of which group, it alone knows (-want +got):\n%s", diff)
	}
	for name, tc := range map[string]struct {
		reason string
		labels map[string]string
		want   bool
	}{
		"None":    {reason: "another operator labels nothing"},
		"Partly":  {reason: "the job's name is part of it", labels: map[string]string{commonv1.OperatorNameLabel: m.in.Kind.OperatorName}},
		"Others":  {reason: "labels of another operator are not ours", labels: map[string]string{commonv1.OperatorNameLabel: "x", commonv1.JobNameLabel: m.in.Job.Name}},
		"Labeled": {reason: "both labels", labels: m.in.Kind.JobLabels(m.in.Job.Name), want: true},
	} {
		if got := plan.HasJobLabels(&m.in, &metav1.ObjectMeta{Labels: tc.labels}); got != tc.want {
			t.Errorf("%s: %s: got %t", name, tc.reason, got)
		}
	}
	if m.in.TakenOver() {
		t.Error("a job without a status is new, and no other operator's")
	}
	m.in.Status.Conditions = []commonv1.JobCondition{{Type: commonv1.JobCreated, Status: corev1.ConditionTrue}}
	if !m.in.TakenOver() {
		t.Error("a status with a condition and no state was written by another operator")
	}
	m.in.Status = m.decide().Status
	if m.in.TakenOver() {
		t.Error("once this library has written the status, the job is its own")
	}
	if tally := plan.AllRun(&m.in); tally.Count(jobkit.Active) != 1 || len(m.in.Pods) != 0 {
		t.Errorf("all replicas run, in a copy, got %+v", tally)
	}
	m = newModel(workers(1))
	m.reconcileUntilStable()
	m.end(m.pod("worker-0"), 1)
	if tally := plan.AllRun(&m.in); tally.Count(jobkit.Active) != 1 || tally.Count(jobkit.Failed) != 0 {
		t.Errorf("all replicas run, whatever their pods do now, got %+v", tally)
	}
}

// TestAdoptionIsReported: adopted objects are one event.
func TestAdoptionIsReported(t *testing.T) {
	for want, o := range map[string]plan.ExecutionResult{
		"normal event SuccessfulAdopt: Adopted ConfigMap c, which lacked the labels of the job": {Adopted: []string{"ConfigMap c"}},
		"normal event SuccessfulAdopt: Adopted 2 objects of the job, which lacked its labels":   {Adopted: []string{"a", "b"}},
	} {
		got := o.Events()
		if len(got) != 1 || got[0].String() != want {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}
