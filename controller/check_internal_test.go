package controller

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// shapesJob has replica specs of many shapes.
type shapesJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec   shapesSpec         `json:"spec,omitzero"`
	Status commonv1.JobStatus `json:"status,omitzero"`
}

type shapesSpec struct {
	RunPolicy commonv1.RunPolicy    `json:"runPolicy,omitzero"`
	Driver    *commonv1.ReplicaSpec `json:"driver,omitempty"`
	Cluster   struct {
		Executors *commonv1.ReplicaSpec                          `json:"executors,omitempty"`
		Others    map[commonv1.ReplicaType]*commonv1.ReplicaSpec `json:"others,omitempty"`
	} `json:"cluster,omitzero"`
	Groups []commonv1.ReplicaSpec `json:"groups,omitempty"`
	Tasks  []shapesTask           `json:"tasks,omitempty"`
	Free   json.RawMessage        `json:"free,omitempty"`
}

type shapesTask struct {
	commonv1.ReplicaSpec `json:",inline"`

	Name string `json:"name"`
}

func (j *shapesJob) DeepCopyObject() runtime.Object { c := *j; return &c }

// shapes has a role A, whose replica spec is where at says, and a role B.
type shapes struct {
	jobkit.Defaults[*shapesJob]

	kind jobkit.Kind
	at   func(*shapesSpec) map[commonv1.ReplicaType]*commonv1.ReplicaSpec
}

func (s shapes) Kind() jobkit.Kind { return s.kind }

func (s shapes) Parts(job *shapesJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: s.at(&job.Spec), Status: &job.Status}
}

// TestFieldsOfRoles: set-up refuses fields that a job does not have, which messages to users would
// name, and says what to write.
func TestFieldsOfRoles(t *testing.T) {
	type specs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec
	none := func(*shapesSpec) specs { return nil }
	fields := func(s *shapesSpec) specs { return specs{"A": s.Driver, "B": s.Cluster.Executors} }
	byName := func(s *shapesSpec) specs {
		out := specs{}
		for i := range s.Tasks {
			out[commonv1.ReplicaType(s.Tasks[i].Name)] = &s.Tasks[i].ReplicaSpec
		}
		return out
	}
	for name, tt := range map[string]struct {
		reason  string
		a, b    string // Role.Field
		specs   string // ReplicaSpecsField
		at      func(*shapesSpec) specs
		want    string
		sampled bool // the sample job has both replica specs
	}{
		"Fields": {reason: "a field for each", a: "driver", b: "cluster.executors", at: fields, sampled: true},
		"Swapped": {
			reason: "each would be blamed for the other", a: "cluster.executors", b: "driver", at: fields, sampled: true,
			want: "Parts() of ShapesJob returns spec.driver as the replica spec of A, which is at spec.cluster.executors as Kind() says: correct Parts, or Role.Field",
		},
		"Index": {
			reason: "entries of a list by their place", a: "groups[0]", b: "groups[1]", sampled: true,
			at: func(s *shapesSpec) specs { return specs{"A": &s.Groups[0], "B": &s.Groups[1]} },
		},
		"Name": {reason: "entries of a list by their name", a: "tasks[name=A]", b: "tasks[name=B]", at: byName, sampled: true},
		"Map": {
			reason: "a map in another field", specs: "cluster.others", sampled: true,
			at: func(s *shapesSpec) specs { return s.Cluster.Others },
		},
		"Unknown": {reason: "what Go does not know is not refused", a: "free.a", b: "free.b", at: none},
		"Mistyped": {
			reason: "the fields that there are help", a: "drivr", b: "cluster.executors", at: fields,
			want: `Roles[0].Field of ShapesJob is "drivr", but *controller.shapesJob has no field spec.drivr (there are cluster, driver, free, groups, runPolicy, tasks): name the field from which Parts takes the replica spec of A`,
		},
		"MistypedBelow": {
			reason: "on each level", a: "driver", b: "cluster.workers", at: fields,
			want: `Roles[1].Field of ShapesJob is "cluster.workers", but *controller.shapesJob has no field spec.cluster.workers (there are executors, others): name the field from which Parts takes the replica spec of B`,
		},
		"WholeList": {
			reason: "a list is no replica spec", a: "driver", b: "groups", at: fields,
			want: `Roles[1].Field of ShapesJob is "groups", but *controller.shapesJob has a field spec.groups that is not of that form: name the field from which Parts takes the replica spec of B`,
		},
		"NoList": {
			reason: "nor has an object entries", a: "driver[0]", b: "cluster.executors", at: fields,
			want: `Roles[0].Field of ShapesJob is "driver[0]", but *controller.shapesJob has a field spec.driver that is not of that form: name the field from which Parts takes the replica spec of A`,
		},
		"NoMap": {
			reason: "the default is a field that many kinds do not have", at: fields,
			want: `ReplicaSpecsField of ShapesJob is "replicaSpecs", but *controller.shapesJob has no field spec.replicaSpecs (there are cluster, driver, free, groups, runPolicy, tasks): set it to "cluster.others", the map of replica specs`,
		},
		"ListIsNoMap": {
			reason: "a list has no types as its keys", specs: "tasks", at: byName,
			want: `ReplicaSpecsField of ShapesJob is "tasks", but *controller.shapesJob has a field spec.tasks that is not of that form: set it to "cluster.others", the map of replica specs`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			author := shapes{at: tt.at, kind: jobkit.Kind{
				Name: "ShapesJob", ContainerName: "main", ReplicaSpecsField: tt.specs, Roles: []jobkit.Role{{Type: "A", Field: tt.a}, {Type: "B", Field: tt.b}},
			}}
			author.kind.SetDefaults()
			got := ""
			if err := checkFields(author, &author.kind); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.reason, diff)
			}
			job := &shapesJob{}
			sample(job, &author.kind)
			if !tt.sampled {
				return
			}
			for of, spec := range tt.at(&job.Spec) {
				if spec == nil || len(spec.Template.Spec.Containers) != 1 {
					t.Errorf("%s: Rules are not tried with a replica of %s", tt.reason, of)
				}
			}
		})
	}
}
