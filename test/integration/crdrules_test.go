//go:build integration

package integration

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/crdrules"
)

// TestGeneratedRules has the API server admit the rules of kinds of other shapes than TestJob's, and obey them.
func TestGeneratedRules(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	var five, ten []jobkit.Role
	for _, name := range []string{"A", "B", "C", "D", "E"} {
		five = append(five, jobkit.Role{Type: commonv1.ReplicaType(name)})
		ten = append(ten, jobkit.Role{Type: commonv1.ReplicaType(name + "1")}, jobkit.Role{Type: commonv1.ReplicaType(name + "2")})
	}
	for _, tt := range []struct {
		reason, kind string
		roles        []jobkit.Role
		specs, want  string
	}{
		{"one type alone", "OneJob", []jobkit.Role{{Type: "Worker"}}, "{Worker: {SPEC}}", ""},
		{"it can start after no other", "OneJob", nil, "{Worker: {startAfter: {replicaType: Worker, state: Ready}, SPEC}}", "which can start after no other: remove startAfter"},
		{"five types, each after the other", "FiveJob", five, "{A: {SPEC}, B: {startAfter: {replicaType: A, state: Ready}, SPEC}, C: {startAfter: {replicaType: B, state: Ready}, SPEC}, " +
			"D: {startAfter: {replicaType: C, state: Ready}, SPEC}, E: {startAfter: {replicaType: D, state: Ready}, SPEC}}", ""},
		{"and in a circle", "FiveJob", nil, "{A: {startAfter: {replicaType: C, state: Ready}, SPEC}, B: {startAfter: {replicaType: A, state: Ready}, SPEC}, " +
			"C: {startAfter: {replicaType: B, state: Ready}, SPEC}, D: {SPEC}}", "replica types start after each other, so none of them ever starts"},
		{"a sixth type", "FiveJob", nil, "{A: {SPEC}, B: {SPEC}, C: {SPEC}, D: {SPEC}, E: {SPEC}, F: {SPEC}}", "are A, B, C, D and E, spelled so: remove or rename the others"},
		{"ten types", "TenJob", ten, "{A1: {SPEC}, E2: {SPEC}}", ""},
		{"and an unknown one", "TenJob", nil, "{A1: {SPEC}, E3: {SPEC}}", "spelled so: remove or rename the others"},
		{
			"a required type is missing", "HeadJob",
			[]jobkit.Role{{Type: "Head", Required: true, Min: 1, Max: 1, Unnumbered: true}, {Type: "Worker", Default: new(int32(12)), Min: 2, Max: 20}},
			"{Worker: {SPEC}}", "a HeadJob needs the replica type Head: add it to testReplicaSpecs",
		},
		{"two of a type that has one", "HeadJob", nil, "{Head: {replicas: 2, SPEC}}", "a HeadJob has exactly one Head: set replicas of Head to 1"},
		{"too many", "HeadJob", nil, "{Head: {SPEC}, Worker: {replicas: 21, SPEC}}", "a HeadJob has at most 20 Worker: set replicas of Worker to 20 or fewer"},
		{"too few", "HeadJob", nil, "{Head: {SPEC}, Worker: {replicas: 1, SPEC}}", "a HeadJob has at least 2 Worker: set replicas of Worker to 2 or more"},
		{"the default has an index of two digits", "HeadJob", nil, "{Head: {SPEC}, Worker: {SPEC}} # " + strings.Repeat("n", 54), "metadata.name is too long"},
		{"one digit is not too long", "HeadJob", nil, "{Head: {SPEC}, Worker: {replicas: 5, SPEC}} # " + strings.Repeat("n", 54), ""},
		{"a pod without an index", "HeadJob", nil, "{Head: {SPEC}} # " + strings.Repeat("n", 58), ""},
		{"a name that is too long for services", "BareJob", []jobkit.Role{{Type: "Worker"}}, "{Worker: {SPEC}} # 1." + strings.Repeat("n", 61), ""},
		{"one that is too long for a label", "BareJob", nil, "{Worker: {SPEC}} # " + strings.Repeat("n", 64), "it is the value of a label"},
		{"and a longer name", "HeadJob", nil, "{Head: {SPEC}} # " + strings.Repeat("n", 59), "metadata.name is too long"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			if tt.roles != nil {
				kind := jobkit.Kind{ReplicaSpecsField: "testReplicaSpecs", ContainerName: "main", Roles: tt.roles}
				if tt.kind == "BareJob" {
					kind.ServiceMode = commonv1.ServiceModeNone
				}
				serve(t, kind, tt.kind)
			}
			specs, name, named := strings.Cut(tt.specs, " # ")
			if !named {
				name = "job"
			}
			specs = strings.ReplaceAll(specs, "SPEC", "template: {spec: {containers: [{name: main, image: x}]}}")
			job := &unstructured.Unstructured{}
			manifest := fmt.Sprintf("{apiVersion: rules.example.com/v1, kind: %s, metadata: {name: %s, namespace: %s}, spec: {testReplicaSpecs: %s}}", tt.kind, name, ns, specs)
			if err := yaml.Unmarshal([]byte(manifest), &job.Object); err != nil {
				t.Fatal(err)
			}
			err := cluster.client.Create(t.Context(), job, client.DryRunAll)
			if tt.want == "" && err != nil || tt.want != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("want %q, got %v", tt.want, err)
			}
		})
	}
}

// TestGeneratedRulesOfFields is the same for kinds whose replica specs are in fields of their own and in lists.
func TestGeneratedRulesOfFields(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	var ten []jobkit.Role
	fields := map[string]any{}
	for i := range 10 {
		ten = append(ten, jobkit.Role{Type: commonv1.ReplicaType(fmt.Sprintf("Role%d", i)), Field: fmt.Sprintf("role%d", i), Service: &jobkit.RoleService{}})
		fields[fmt.Sprintf("role%d", i)] = "SPEC"
	}
	list := map[string]any{"type": "array", "items": "SPEC"}
	tasks := map[string]any{
		"type": "array", "items": "NAMED", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": []any{"name"},
	}
	for _, tt := range []struct {
		reason, kind string
		roles        []jobkit.Role
		fields       map[string]any
		spec, want   string
	}{
		{
			"a field and a list", "GroupJob",
			[]jobkit.Role{{Type: "Head", Field: "head", Required: true, Min: 1, Max: 1}, {Type: "A", Field: "groups[0]"}, {Type: "B", Field: "groups[1]"}},
			map[string]any{"head": "SPEC", "groups": list},
			"{head: {SPEC}, groups: [{SPEC}, {startAfter: {replicaType: A, state: Ready}, SPEC}]}", "",
		},
		{"a required one is missing", "GroupJob", nil, nil, "{groups: [{SPEC}]}", "a GroupJob needs the replica type Head: add spec.head"},
		{"two of one", "GroupJob", nil, nil, "{head: {replicas: 2, SPEC}}", "spec.head: Invalid value: a GroupJob has exactly one Head"},
		{"more entries than roles", "GroupJob", nil, nil, "{head: {SPEC}, groups: [{SPEC}, {SPEC}, {SPEC}]}", "must have at most 2 items"},
		{"no main container", "GroupJob", nil, nil, "{head: {SPEC}, groups: [{SPEC}, {template: {spec: {containers: [{name: x}]}}}]}", `spec.groups: Invalid value: each replica type needs a container named "main"`},
		{"a circle", "GroupJob", nil, nil, "{head: {SPEC}, groups: [{startAfter: {replicaType: B, state: Ready}, SPEC}, {startAfter: {replicaType: A, state: Ready}, SPEC}]}", "so none of them ever starts"},
		{
			"entries with names", "TaskJob",
			[]jobkit.Role{{Type: "Driver", Field: "tasks[name=driver]"}, {Type: "Executor", Field: "tasks[name=executor]"}},
			map[string]any{"tasks": tasks},
			"{tasks: [{name: executor, SPEC}, {name: driver, SPEC}]}", "",
		},
		{"an unknown name", "TaskJob", nil, nil, "{tasks: [{name: other, SPEC}, {name: driver, SPEC}]}", "the entries of spec.tasks are driver and executor"},
		{"ten fields", "FieldsJob", ten, fields, "{role0: {SPEC}, role9: {startAfter: {replicaType: Role0, state: Ready}, SPEC}}", ""},
		{"none of them", "FieldsJob", nil, nil, "{}", "a new FieldsJob needs at least one replica"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			if tt.roles != nil {
				serveFields(t, jobkit.Kind{ContainerName: "main", Roles: tt.roles}, tt.kind, tt.fields)
			}
			spec := strings.ReplaceAll(tt.spec, "SPEC", "template: {spec: {containers: [{name: main, image: x}]}}")
			job := &unstructured.Unstructured{}
			manifest := fmt.Sprintf("{apiVersion: rules.example.com/v1, kind: %s, metadata: {name: job, namespace: %s}, spec: %s}", tt.kind, ns, spec)
			if err := yaml.Unmarshal([]byte(manifest), &job.Object); err != nil {
				t.Fatal(err)
			}
			err := cluster.client.Create(t.Context(), job, client.DryRunAll)
			if tt.want == "" && err != nil || tt.want != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("want %q, got %v", tt.want, err)
			}
		})
	}
}

// serve installs a kind whose types are TestJob's, and its own rules.
func serve(t *testing.T, kind jobkit.Kind, name string) {
	t.Helper()
	serveFields(t, kind, name, nil)
}

// serveFields installs a kind that has other fields instead of TestJob's replica specs, if they are not nil. SPEC there
// is the schema of a replica spec, and NAMED that of one with a name.
func serveFields(t *testing.T, kind jobkit.Kind, name string, fields map[string]any) {
	t.Helper()
	text, err := os.ReadFile("../../config/crd/kubeflow.org_testjobs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := map[string]any{}
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	plural := strings.ToLower(name) + "s"
	d["metadata"] = map[string]any{"name": plural + ".rules.example.com"}
	spec := d["spec"].(map[string]any)
	spec["group"] = "rules.example.com"
	spec["names"] = map[string]any{"kind": name, "listKind": name + "List", "plural": plural, "singular": strings.ToLower(name)}
	version := spec["versions"].([]any)[0].(map[string]any)
	schema := version["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
	delete(schema, "x-kubernetes-validations")
	ofJob := schema["properties"].(map[string]any)["spec"].(map[string]any)
	properties := ofJob["properties"].(map[string]any)
	replicas := properties["testReplicaSpecs"].(map[string]any)
	delete(replicas, "x-kubernetes-validations")
	if fields != nil {
		delete(ofJob, "required")
		delete(properties, "testReplicaSpecs")
		if subresources, ok := version["subresources"].(map[string]any); ok {
			delete(subresources, "scale")
		}
		maps.Copy(properties, withSpecs(fields, replicas["additionalProperties"].(map[string]any)).(map[string]any))
	}
	if text, err = yaml.Marshal(d); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "crd.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := crdrules.CompleteFile(path, kind, crdrules.Options{Short: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := envtest.InstallCRDs(cluster.config, envtest.CRDInstallOptions{Paths: []string{path}, MaxTime: patience}); err != nil {
		t.Fatal(err)
	}
}

// withSpecs puts the schema of a replica spec where it is named.
func withSpecs(in any, spec map[string]any) any {
	switch in := in.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, v := range in {
			out[name] = withSpecs(v, spec)
		}
		return out
	case string:
		if in != "SPEC" && in != "NAMED" {
			return in
		}
		out := runtime.DeepCopyJSON(spec)
		if in == "NAMED" {
			out["properties"].(map[string]any)["name"] = map[string]any{"type": "string"}
			out["required"] = []any{"name", "template"}
		}
		return out
	}
	return in
}
