package conformance_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/jobtest/conformance"
)

// driverJob is a kind whose spec has one field per role, and a list of more.
type driverJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec   driverJobSpec      `json:"spec,omitzero"`
	Status commonv1.JobStatus `json:"status,omitzero"`
}

type driverJobSpec struct {
	RunPolicy commonv1.RunPolicy    `json:"runPolicy,omitzero"`
	Driver    *commonv1.ReplicaSpec `json:"driver,omitempty"`
	Executors *commonv1.ReplicaSpec `json:"executors,omitempty"`
	Helpers   []helper              `json:"helpers,omitempty"`
}

type helper struct {
	commonv1.ReplicaSpec `json:",inline"`

	Name string `json:"name"`
}

func (j *driverJob) DeepCopyObject() runtime.Object {
	out := &driverJob{TypeMeta: j.TypeMeta, ObjectMeta: *j.ObjectMeta.DeepCopy(), Status: *j.Status.DeepCopy()} //nolint:staticcheck // the part that is copied is named
	out.Spec = driverJobSpec{RunPolicy: *j.Spec.RunPolicy.DeepCopy(), Driver: j.Spec.Driver.DeepCopy(), Executors: j.Spec.Executors.DeepCopy()}
	for i := range j.Spec.Helpers {
		h := &j.Spec.Helpers[i]
		out.Spec.Helpers = append(out.Spec.Helpers, helper{ReplicaSpec: *h.ReplicaSpec.DeepCopy(), Name: h.Name}) //nolint:staticcheck // the part that is copied is named
	}
	return out
}

// driver is its controller: Field says where each role is, and Parts takes it from there.
type driver struct {
	jobkit.Defaults[*driverJob]

	helper string // the path of the Helper's replica spec
}

func (d driver) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles: []jobkit.Role{
			{Type: "Driver", Field: "driver", Required: true, Min: 1, Max: 1},
			{Type: "Executor", Field: "executors"},
			{Type: "Helper", Field: d.helper},
		},
		ContainerName: "main",
	}
}

func (driver) Parts(j *driverJob) jobkit.JobParts {
	specs := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}
	if j.Spec.Driver != nil {
		specs["Driver"] = j.Spec.Driver
	}
	if j.Spec.Executors != nil {
		specs["Executor"] = j.Spec.Executors
	}
	for i := range j.Spec.Helpers {
		if j.Spec.Helpers[i].Name == "helper" {
			specs["Helper"] = &j.Spec.Helpers[i].ReplicaSpec
		}
	}
	return jobkit.JobParts{RunPolicy: &j.Spec.RunPolicy, ReplicaSpecs: specs, Status: &j.Status}
}

// TestFields: a kind with one field per role keeps all promises.
func TestFields(t *testing.T) {
	t.Parallel()
	conformance.Run(t, driver{helper: "helpers[name=helper]"}, aDriverJob())
}

// TestWrongFields: an entry that the job does not have is found, which set-up cannot know.
func TestWrongFields(t *testing.T) {
	t.Parallel()
	found := conformance.Suite[*driverJob]{Author: driver{helper: "helpers[name=Helper]"}, Job: aDriverJob()}.Check(t.Context(), "Fields")
	const want = "Parts() returns a replica spec of Helper, but the job has none at spec.helpers[name=Helper]: correct Parts, Role.Field or Kind.ReplicaSpecsField"
	if len(found) != 1 || !strings.Contains(found[0].Error(), want) {
		t.Errorf("want %q, got %v", want, found)
	}
}

func aDriverJob() *driverJob {
	return &driverJob{Spec: driverJobSpec{
		Driver: replicas(1, "main"), Executors: replicas(2, "main"),
		Helpers: []helper{{Name: "helper", ReplicaSpec: *replicas(1, "main")}},
	}}
}
