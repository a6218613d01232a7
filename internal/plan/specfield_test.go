package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// inFields gives each role of a model's kind a field of its own.
func inFields(m *model) {
	m.in.Kind.Roles = []jobkit.Role{{Type: master, Field: "cluster.driver", Required: true}, {Type: worker, Field: "groups[0]"}}
}

// TestMistakesInFields: messages name the field that the user wrote, whatever shape the job has.
func TestMistakesInFields(t *testing.T) {
	type specs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec
	for name, tc := range map[string]struct {
		reason string
		change func(specs)
		want   []string
	}{
		"Valid": {reason: "no mistake", change: func(specs) {}},
		"Replicas": {
			reason: "a field of the replica spec", change: func(s specs) { s[worker].Replicas = new(int32(-1)) },
			want: []string{`spec.groups[0].replicas: Invalid value: -1: must be from 0 to 100000`},
		},
		"Template": {
			reason: "a field of its template", change: func(s specs) { s[master].Template = corev1.PodTemplateSpec{} },
			want: []string{`spec.cluster.driver.template: Required value: there is no template: add one, with a container named "main"`},
		},
		"Missing": {
			reason: "a required role", change: func(s specs) { delete(s, master) },
			want: []string{`spec.cluster.driver: Required value: every TestJob needs the replica type Master: add it`},
		},
		"None": {
			reason: "all fields are missing", change: func(s specs) { clear(s) },
			want: []string{`spec: Required value: the job has no replicas: add at least one of cluster.driver, groups[0]`},
		},
		"Zero": {
			reason: "no field has a replica", change: func(s specs) { s[master].Replicas, s[worker].Replicas = new(int32(0)), new(int32(0)) },
			want: []string{`spec: Invalid value: "0 replicas in total": set replicas of at least one replica type to 1 or more; to hold a job back use runPolicy.suspend`},
		},
		"StartAfter": {
			reason: "another field is missing",
			change: func(s specs) {
				delete(s, worker)
				s[master].StartAfter = &commonv1.StartAfter{ReplicaType: worker, State: commonv1.StartAfterReady}
			},
			want: []string{`spec.cluster.driver.startAfter.replicaType: Invalid value: "Worker": the job has no replica type Worker: add spec.groups[0], or remove startAfter`},
		},
		"Circle": {
			reason: "fields wait for each other",
			change: func(s specs) {
				s[master].StartAfter = &commonv1.StartAfter{ReplicaType: worker, State: commonv1.StartAfterReady}
				s[worker].StartAfter = &commonv1.StartAfter{ReplicaType: master, State: commonv1.StartAfterReady}
			},
			want: []string{`spec.cluster.driver.startAfter.replicaType: Invalid value: "Worker": Master starts after Worker, which starts after Master, so none of them ever starts: remove startAfter of one of them`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
			inFields(m)
			tc.change(m.in.Replicas)
			var got []string
			for _, err := range plan.Validate(&m.in) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestBackoffLimitOfAField: so does the message of a job that has failed.
func TestBackoffLimitOfAField(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 1})
	inFields(m)
	m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyExitCode
	m.in.Replicas[worker].BackoffLimit = new(int32(0))
	m.reconcileUntilStable()
	m.run()
	m.end(m.pod("worker-0"), 130)
	m.reconcileUntilStable()
	const want = "has failed because Worker has reached its backoff limit: groups[0].backoffLimit is 0"
	if c := m.in.Status.Condition(commonv1.JobFailed); c == nil || !strings.Contains(c.Message, want) {
		t.Errorf("want %q, got %v", want, c)
	}
}

// TestSpecAt: what PutSpec puts into a job SpecAt finds there, and nothing elsewhere.
func TestSpecAt(t *testing.T) {
	fields := []string{"driver", "cluster.driver", "groups[0]", "groups[2].spec", "tasks[name=a]", "tasks[name=b]", ""}
	k := &jobkit.Kind{}
	for i, f := range fields {
		k.Roles = append(k.Roles, jobkit.Role{Type: commonv1.ReplicaType(rune('A' + i)), Field: f})
	}
	var job any
	for _, role := range k.Roles {
		if got := plan.SpecAt(job, plan.SpecSteps(k, role.Type)); got != nil && role.Field != "groups[0]" {
			t.Errorf("%s has %v before it is put there", k.SpecPath(role.Type), got)
		}
		job = plan.PutSpec(job, plan.SpecSteps(k, role.Type), map[string]any{"is": string(role.Type)})
	}
	for _, role := range k.Roles {
		got, _ := plan.SpecAt(job, plan.SpecSteps(k, role.Type)).(map[string]any)
		if got["is"] != string(role.Type) {
			t.Errorf("%s has %v", k.SpecPath(role.Type), got)
		}
	}
}
