package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestReplicaOfAPod: a pod is a replica by its exact name; every other pod of the
// job is one too many.
func TestReplicaOfAPod(t *testing.T) {
	tests := map[string]struct {
		reason     string
		name       string
		unexpected bool
	}{
		"Replica":      {reason: "the name that the library gives", name: "job-worker-12"},
		"First":        {reason: "indexes begin with 0", name: "job-worker-0"},
		"OtherType":    {reason: "each type has its own names", name: "job-master-0"},
		"Beyond":       {reason: "the job wants 13 workers", name: "job-worker-13", unexpected: true},
		"LeadingZeros": {reason: "no index is written so", name: "job-worker-012", unexpected: true},
		"Sign":         {reason: "no index is written so", name: "job-worker-+12", unexpected: true},
		"Negative":     {reason: "no such index exists", name: "job-worker--1", unexpected: true},
		"NoIndex":      {reason: "these replicas are numbered", name: "job-worker-", unexpected: true},
		"NoNumber":     {reason: "an index is a number", name: "job-worker-12x", unexpected: true},
		"Huge":         {reason: "no number holds it", name: "job-worker-99999999999999999999", unexpected: true},
		"UnknownType":  {reason: "the kind has no such type", name: "job-chief-0", unexpected: true},
		"OtherJob":     {reason: "the name of another job begins it", name: "job2-worker-0", unexpected: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 13})
			m.in.Pods = []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Name: tc.name, UID: "it"}}}
			found := false
			for _, a := range m.decide().Actions {
				if a, ok := a.(plan.DeletePod); ok && a.UID == "it" {
					found = true
				}
				if a, ok := a.(plan.CreatePod); ok && a.Name == tc.name {
					t.Errorf("%s: %s exists, and is created", tc.reason, tc.name)
				}
			}
			if found != tc.unexpected {
				t.Errorf("%s: pod %s is deleted: %v, want %v", tc.reason, tc.name, found, tc.unexpected)
			}
		})
	}
	t.Run("Unnumbered", func(t *testing.T) {
		m := newModel(map[commonv1.ReplicaType]int32{master: 1})
		m.in.Kind.Role(master).Unnumbered = true
		for _, name := range []string{"job-master", "job-master-0"} {
			m.in.Pods = append(m.in.Pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}})
		}
		want := []plan.Action{
			plan.DeletePod{Name: "job-master-0", UID: "job-master-0", Reason: "the job does not want this replica"},
			plan.CreateService{Name: "job", Reason: "the job has one"},
		}
		if diff := cmp.Diff(want, m.decide().Actions); diff != "" {
			t.Errorf("a replica without a number has a name without one (-want +got):\n%s", diff)
		}
	})
}

// TestJobLabels: labels select the pods of a job also if they are made of what an author
// says of a kind, before defaults are set.
func TestJobLabels(t *testing.T) {
	const operator, job = commonv1.OperatorNameLabel, commonv1.JobNameLabel
	cases := map[string]struct {
		reason string
		kind   jobkit.Kind
		want   labels.Set
	}{
		"Named":     {reason: "the operator's name", kind: jobkit.Kind{Name: "TestJob", OperatorName: "o"}, want: labels.Set{operator: "o", job: "j"}},
		"Default":   {reason: "its default, which all pods have", kind: jobkit.Kind{Name: "TestJob"}, want: labels.Set{operator: "testjob-controller", job: "j"}},
		"NoName":    {reason: "an empty value would select nothing", kind: jobkit.Kind{ContainerName: "main"}, want: labels.Set{job: "j"}},
		"NamedOnly": {reason: "the kind's name is not needed", kind: jobkit.Kind{OperatorName: "o"}, want: labels.Set{operator: "o", job: "j"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, tc.kind.JobLabels("j")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPodNames(t *testing.T) {
	kind := launcherKind()
	tests := map[string]struct {
		reason string
		typ    commonv1.ReplicaType
		index  int32
		want   string
	}{
		"Unnumbered": {reason: "the pod of a role that has one replica needs no index", typ: "Launcher", want: "job-launcher"},
		"Numbered":   {reason: "other pods have one", typ: "Worker", index: 3, want: "job-worker-3"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, kind.PodName("job", tc.typ, tc.index)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
