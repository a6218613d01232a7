package servedschema_test

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/config/crd"
	"github.com/jobkit/jobkit/internal/servedschema"
)

type inner struct {
	Count int         `json:"count"`
	Time  metav1.Time `json:"time"`
}

type base struct {
	Name string `json:"name"`
}

type state struct {
	base

	Plain  string            `json:"plain,omitempty"`
	Ptr    *inner            `json:"ptr,omitempty"`
	List   []inner           `json:"list,omitempty"`
	Map    map[string]*inner `json:"map,omitempty"`
	Words  map[string]string `json:"words,omitempty"`
	Hidden string            `json:"-"`
}

type object struct {
	metav1.ObjectMeta `json:"metadata"`

	Status struct {
		Job state `json:"job"`
	} `json:"status"`
}

func TestLacksStatus(t *testing.T) {
	const jobs, status = `"/apis/a.org/v1/namespaces/{namespace}/jobs/{name}": {}`, `"/apis/a.org/v1/namespaces/{namespace}/jobs/{name}/status": {}`
	for document, want := range map[string]bool{
		`{}`:                        false,
		`{"paths": {` + jobs + `}}`: true,
		`{"paths": {` + jobs + `, ` + status + `}}`:                                 false,
		`{"paths": {"/apis/a.org/v1/namespaces/{namespace}/otherjobs/{name}": {}}}`: false,
	} {
		if got, err := servedschema.LacksStatus([]byte(document), "jobs"); got != want || err != nil {
			t.Errorf("%s: want %t, got %t, %v", document, want, got, err)
		}
	}
	if _, err := servedschema.LacksStatus([]byte(`[]`), "jobs"); err == nil {
		t.Error("want an error")
	}
}

func TestDropped(t *testing.T) {
	const counted = `{type: object, properties: {count: {type: integer}, time: {type: string}}}`
	tests := map[string]struct {
		reason string
		job    string // the schema of status.job
		want   []string
	}{
		"All": {
			reason: "nothing is lost when every field exists; other fields do no harm",
			job: `{properties: {name: {}, plain: {}, other: {}, ptr: ` + counted + `, list: {items: ` + counted + `}, map: {additionalProperties: ` + counted + `},
				words: {additionalProperties: {type: string}}}}`,
		},
		"Old": {
			reason: "what the schema does not name is dropped, at any depth; types that write their own JSON have no fields",
			job: `{properties: {name: {}, ptr: {properties: {time: {}}}, list: {items: {properties: {time: {}}}}, map: {additionalProperties: {properties: {count: {}}}},
				words: {additionalProperties: {type: string}}}}`,
			want: []string{"status.job.list[].count", "status.job.map[*].time", "status.job.plain", "status.job.ptr.count"},
		},
		"Empty": {
			reason: "an object without properties keeps nothing; a field that is not there is named once",
			job:    `{type: object}`,
			want:   []string{"status.job.list", "status.job.map", "status.job.name", "status.job.plain", "status.job.ptr", "status.job.words"},
		},
		"Preserve": {reason: "a schema can keep what it does not know", job: `{x-kubernetes-preserve-unknown-fields: true}`},
		"Any":      {reason: "so can one whose additional properties are any", job: `{additionalProperties: true}`},
		"Ref":      {reason: "what is not a structural schema is not compared", job: `{$ref: "#/components/schemas/x"}`},
		"None":     {reason: "a field on the way that is not there", job: ``, want: []string{"status.job"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			properties := map[string]any{}
			if tc.job != "" {
				var job any
				if err := yaml.Unmarshal([]byte(clean(tc.job)), &job); err != nil {
					t.Fatal(err)
				}
				properties["job"] = job
			}
			kind := schema.GroupVersionKind{Group: "g", Version: "v1", Kind: "Job"}
			document, err := json.Marshal(map[string]any{"components": map[string]any{"schemas": map[string]any{
				"g.v2.Job": map[string]any{"x-kubernetes-group-version-kind": []any{map[string]any{"group": "g", "version": "v2", "kind": "Job"}}},
				"g.v1.Job": map[string]any{
					"x-kubernetes-group-version-kind": []any{map[string]any{"group": "g", "version": "v1", "kind": "Job"}},
					"properties":                      map[string]any{"spec": map[string]any{}, "status": map[string]any{"properties": properties}},
				},
			}}})
			if err != nil {
				t.Fatal(err)
			}
			path := servedschema.Find[state](reflect.TypeFor[*object]())
			if diff := cmp.Diff([]string{"status", "job"}, path); diff != "" {
				t.Fatalf("where the type stands in the object (-want +got):\n%s", diff)
			}
			s, err := servedschema.Of(document, kind, path[0])
			if err != nil || s == nil {
				t.Fatalf("the schema is %v, error %v", s, err)
			}
			if diff := cmp.Diff(tc.want, servedschema.Dropped(s, path, reflect.TypeFor[state]())); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			kind.Version = "v3"
			if s, err := servedschema.Of(document, kind, "status"); err != nil || s != nil {
				t.Errorf("a version that is not served has the schema %v, error %v", s, err)
			}
		})
	}
}

// clean makes one line of a schema that is written in several.
func clean(s string) string {
	return string(slices.DeleteFunc([]byte(s), func(b byte) bool { return b == '\n' || b == '\t' }))
}

// TestOwnCRDs checks that the CRDs in config/crd keep all that a status says.
func TestOwnCRDs(t *testing.T) {
	files, err := filepath.Glob("../../config/crd/*_*.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("found %v, error %v", files, err)
	}
	for _, f := range files {
		text, err := crd.Files.ReadFile(filepath.Base(f))
		if err != nil {
			t.Fatal(err)
		}
		//nolint:tagliatelle // the names are those of a CRD
		var definition struct {
			Spec struct {
				Versions []struct {
					Schema struct {
						OpenAPIV3Schema spec.Schema `json:"openAPIV3Schema"`
					} `json:"schema"`
				} `json:"versions"`
			} `json:"spec"`
		}
		if err := yaml.Unmarshal(text, &definition); err != nil {
			t.Fatal(err)
		}
		for _, v := range definition.Spec.Versions {
			s := &v.Schema.OpenAPIV3Schema
			if lost := servedschema.Dropped(s, []string{"status"}, reflect.TypeFor[commonv1.JobStatus]()); len(lost) > 0 {
				t.Errorf("%s drops %v: run \"make generate\"", f, lost)
			}
		}
	}
	if got := servedschema.Find[commonv1.JobStatus](reflect.TypeFor[*kubeflowv1.PyTorchJob]()); !slices.Equal(got, []string{"status"}) {
		t.Errorf("the status of a PyTorchJob is at %v", got)
	}
	if got := servedschema.Find[commonv1.JobStatus](reflect.TypeFor[*inner]()); got != nil {
		t.Errorf("a type without a status has one at %v", got)
	}
}
