package crdrules_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/crdrules"
)

// fieldsCRD is a definition of a kind whose spec has these fields. SPEC there is the schema of a
// replica spec, as far as Complete looks at it.
func fieldsCRD(fields string) string {
	const spec = `{type: object, properties: {name: {type: string}, replicas: {type: integer}, template: {type: object, properties: ` +
		`{metadata: {type: object, properties: {labels: {type: object}}}, spec: {type: object, properties: {containers: {type: array}}}}}}}`
	return `{kind: CustomResourceDefinition, spec: {names: {kind: DriverJob}, versions: [{name: v1, schema: {openAPIV3Schema: ` +
		`{type: object, properties: {spec: {type: object, properties: ` + strings.ReplaceAll(fields, "SPEC", spec) + `}}}}}]}}`
}

const (
	// headAndGroups has a field of its own for the head, in another one, and a list for the others.
	headAndGroups = `{cluster: {type: object, properties: {head-node: SPEC}}, workerGroups: {type: array, items: SPEC}}`
	// taskList has a list of replica specs with names.
	taskList = `{tasks: {type: array, x-kubernetes-list-type: map, x-kubernetes-list-map-keys: [name], items: SPEC}}`
	// driverAndMap has one field, and a map of others.
	driverAndMap = `{driver: SPEC, testReplicaSpecs: {type: object, additionalProperties: SPEC}}`
)

func headKind() jobkit.Kind {
	return jobkit.Kind{ContainerName: "main", Roles: []jobkit.Role{
		{Type: "Head", Field: "cluster.head-node", Required: true, Min: 1, Max: 1, Unnumbered: true, Service: &jobkit.RoleService{}},
		{Type: "Group-A", Field: "workerGroups[0]", Default: new(int32(12)), Min: 2, Max: 20},
		{Type: "Group-B", Field: "workerGroups[1]"},
	}}
}

func taskKind() jobkit.Kind {
	return jobkit.Kind{ContainerName: "main", Roles: []jobkit.Role{
		{Type: "Driver", Field: "tasks[name=driver]", Required: true}, {Type: "Executor", Field: "tasks[name=executor]"},
	}}
}

func mixedKind() jobkit.Kind {
	return jobkit.Kind{ContainerName: "main", ReplicaSpecsField: "testReplicaSpecs", Roles: []jobkit.Role{
		{Type: "Driver", Field: "driver"}, {Type: "Small"}, {Type: "Large"},
	}}
}

// TestFields is where the rules of kinds with one field per role stand, in order, and what some of
// them are. test/integration has an API server admit and obey them.
func TestFields(t *testing.T) {
	const (
		labels    = "the controller sets the labels operator-name,"
		container = `each replica type needs a container named "main"`
		claims    = "a DriverJob keeps no volume claims:"
		some      = "a new DriverJob needs at least one replica:"
		first     = "startAfter.replicaType is the type itself, or none that the job has:"
		circle    = "replica types start after each other,"
		form      = "metadata.name must start with a lower-case letter,"
		length    = "metadata.name is too long:"
		unknown   = "a rule names a replica type that the job does not have:"
		count     = "count is more than there are replicas:"
		ports     = "hostPorts and hostPortRange cannot be changed,"
	)
	for _, tt := range []struct {
		reason, fields string
		kind           jobkit.Kind
		// want are the messages of the rules at a path, as far as their first colon or comma, and rule
		// one of the rules at the first path.
		want map[string][]string
		at   string
		rule string
	}{
		{
			"a field in another one, and a list whose entries have no names", headAndGroups, headKind(),
			map[string][]string{
				"": {form, length, unknown, count, count, count, ports},
				"spec": {
					"a DriverJob needs the replica type Head: add spec.cluster.head-node", some, first, circle,
				},
				"spec.cluster.head-node": {"a DriverJob has exactly one Head: set replicas of Head to 1", container, labels, claims},
				"spec.workerGroups": {
					"a DriverJob has at most 20 Group-A:", "a DriverJob has at least 2 Group-A:", container, labels, claims, container, labels, claims,
				},
			},
			"spec.workerGroups", `!(size(self) > 1) || self[1].template.spec.containers.exists(c, c.name == 'main')`,
		},
		{
			"a list whose entries have names", taskList, taskKind(),
			map[string][]string{
				"spec": {
					"a DriverJob needs the replica type Driver: add spec.tasks[name=driver]", some, "startAfter.replicaType must be another replica type of the job,",
				},
				"spec.tasks": {"the entries of spec.tasks are driver and executor,", container, labels, claims, container, labels, claims},
			},
			"spec.tasks", `self.all(e, e.name != 'executor' || e.template.spec.containers.exists(c, c.name == 'main'))`,
		},
		{
			"a field, and a map of others", driverAndMap, mixedKind(),
			map[string][]string{
				"spec":                  {some, first, circle},
				"spec.driver":           {container, labels, claims},
				"spec.testReplicaSpecs": {"the entries of spec.testReplicaSpecs are Small and Large,", container, labels, claims, container, labels, claims},
			},
			"spec.driver", `self.template.spec.containers.exists(c, c.name == 'main')`,
		},
		{
			"a map in another field", `{cluster: {type: object, properties: {specs: {type: object, additionalProperties: SPEC}}}}`,
			jobkit.Kind{ContainerName: "main", ReplicaSpecsField: "cluster.specs", Roles: []jobkit.Role{{Type: "Worker"}}},
			map[string][]string{
				"": {form, length, unknown, count, ports},
				"spec.cluster.specs": {
					"the replica type of a DriverJob is Worker,", some, container, labels, claims, "a DriverJob has one replica type,",
				},
			},
			"", `!(has(self.spec.cluster)) || (self.spec.cluster.specs.all(t, size(self.metadata.name) + size(t) + ` +
				`size(string(has(self.spec.cluster.specs[t].replicas) && self.spec.cluster.specs[t].replicas > 0 ? self.spec.cluster.specs[t].replicas - 1 : 0)) + 2 <= 63))`,
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			once, err := crdrules.Complete([]byte(fieldsCRD(tt.fields)), tt.kind, crdrules.Options{})
			if err != nil {
				t.Fatal(err)
			}
			twice, err := crdrules.Complete(once, tt.kind, crdrules.Options{})
			if diff := cmp.Diff(string(once), string(twice)); err != nil || diff != "" {
				t.Errorf("a second time changes it: %v (-want +got):\n%s", err, diff)
			}
			schema := read(t, once).schema()
			for path, want := range tt.want {
				got := rules(ofField(schema, path), "message")
				for i := range min(len(got), len(want)) {
					got[i] = got[i][:min(len(got[i]), len(want[i]))]
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("messages of %q (-want +got):\n%s", path, diff)
				}
			}
			if got := rules(ofField(schema, tt.at), "rule"); !slices.Contains(got, tt.rule) {
				t.Errorf("the rule %s is missing: %s", tt.rule, strings.Join(got, "\n"))
			}
		})
	}
}

// ofField is the schema of a field of a job.
func ofField(schema map[string]any, path string) map[string]any {
	if path == "" {
		return schema
	}
	return at(schema, strings.Split(path, ".")...)
}

// TestClosedLists: a list has an entry for each role, and a map one more, which a rule refuses.
func TestClosedLists(t *testing.T) {
	for _, tt := range []struct {
		reason, fields, path, bound string
		kind                        jobkit.Kind
		want                        any
	}{
		{"one entry for each role", headAndGroups, "spec.workerGroups", "maxItems", headKind(), 2.0},
		{"a lower bound stays", strings.Replace(headAndGroups, "type: array,", "type: array, maxItems: 1,", 1), "spec.workerGroups", "maxItems", headKind(), 1.0},
		{"an unknown name is refused by the rule that says which are known", taskList, "spec.tasks", "maxItems", taskKind(), 3.0},
		{"and an unknown type", driverAndMap, "spec.testReplicaSpecs", "maxProperties", mixedKind(), 3.0},
	} {
		got, err := crdrules.Complete([]byte(fieldsCRD(tt.fields)), tt.kind, crdrules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if n := ofField(read(t, got).schema(), tt.path)[tt.bound]; n != tt.want {
			t.Errorf("%s: %s is %v, want %v", tt.reason, tt.bound, n, tt.want)
		}
	}
}

// TestWrongFields: the definition and the kind do not go together.
func TestWrongFields(t *testing.T) {
	for _, tt := range []struct {
		reason, fields string
		kind           jobkit.Kind
		want           string
	}{
		{"no such field", `{driver: SPEC}`, taskKind(), "the schema has no replica spec at spec.tasks[name=driver]: set Field of the role Driver to its JSON path below spec"},
		{"no replica spec", `{driver: {type: object}}`, mixedKind(), "the schema has no replica spec at spec.driver"},
		{
			"names that are not unique", strings.Replace(taskList, "x-kubernetes-list-map-keys: [name], ", "", 1), taskKind(),
			"two entries of spec.tasks may have the same name: put +listType=map and +listMapKey=name on it",
		},
		{
			"a map is none", `{driver: SPEC}`,
			jobkit.Kind{ContainerName: "main", ReplicaSpecsField: "driver", Roles: []jobkit.Role{{Type: "Driver"}}},
			"the schema has no map of replica specs at spec.driver: set Kind.ReplicaSpecsField to the JSON name of the field, or Role.Field if each role has a field of its own",
		},
	} {
		if _, err := crdrules.Complete([]byte(fieldsCRD(tt.fields)), tt.kind, crdrules.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: error %v, want %q", tt.reason, err, tt.want)
		}
	}
}

// TestWordsOfCEL: the name of a field may be a word of CEL.
func TestWordsOfCEL(t *testing.T) {
	kind := jobkit.Kind{ContainerName: "main", Roles: []jobkit.Role{{Type: "Function", Field: "function", Required: true}, {Type: "B", Field: "a__b", Required: true}}}
	got, err := crdrules.Complete([]byte(fieldsCRD(`{function: SPEC, a__b: SPEC}`)), kind, crdrules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"has(self.__function__)", "has(self.a__underscores__b)"}
	if diff := cmp.Diff(want, rules(ofField(read(t, got).schema(), "spec"), "rule")[:2]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
