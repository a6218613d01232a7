package crdrules_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/config/crd"
	"github.com/jobkit/jobkit/crdrules"
	"github.com/jobkit/jobkit/examples/testjob"
)

// definition is a CRD as decoded.
type definition map[string]any

func read(t *testing.T, text []byte) definition {
	t.Helper()
	d := definition{}
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d definition) write(t *testing.T) string {
	t.Helper()
	text, err := yaml.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// schema is the schema of a job, and replicas that of its replica specs.
func (d definition) schema() map[string]any {
	versions := d["spec"].(map[string]any)["versions"].([]any)
	return versions[0].(map[string]any)["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)
}

func (d definition) replicas() map[string]any { return at(d.schema(), "spec", "testReplicaSpecs") }

// at is the schema of a field.
func at(schema map[string]any, path ...string) map[string]any {
	for _, name := range path {
		schema = schema["properties"].(map[string]any)[name].(map[string]any)
	}
	return schema
}

// rules are the values of one kind, such as "message", of the rules of a part of a schema.
func rules(schema map[string]any, what string) []string {
	var out []string
	all, _ := schema["x-kubernetes-validations"].([]any)
	for _, r := range all {
		s, _ := r.(map[string]any)[what].(string)
		out = append(out, s)
	}
	return out
}

// testjobs is the definition of TestJob, and the same as controller-gen makes it, without rules.
func testjobs(t *testing.T) (completed, generated string) {
	t.Helper()
	text, err := crd.Files.ReadFile("kubeflow.org_testjobs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d := read(t, text)
	delete(d.schema(), "x-kubernetes-validations")
	for _, name := range []string{"x-kubernetes-validations", "minProperties", "maxProperties"} {
		delete(d.replicas(), name)
	}
	return string(text), d.write(t)
}

// TestTestJob: the definition that is published is what Complete makes of the kind.
func TestTestJob(t *testing.T) {
	completed, generated := testjobs(t)
	for reason, in := range map[string]string{"as controller-gen makes it": generated, "completed before": completed} {
		got, err := crdrules.Complete([]byte(in), testjob.Controller{}.Kind(), crdrules.Options{})
		if diff := cmp.Diff(completed, string(got)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", reason, err, diff)
		}
	}
}

// TestShort: a short definition fits into the annotation that kubectl apply makes of it, loses
// descriptions of the pod template only, and nothing else.
func TestShort(t *testing.T) {
	completed, _ := testjobs(t)
	short, err := crdrules.Complete([]byte(completed), testjob.Controller{}.Kind(), crdrules.Options{Short: true})
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.YAMLToJSON(short)
	const annotation = 256 << 10
	if err != nil || len(text) > annotation {
		t.Errorf("it has %d bytes, of which kubectl apply takes %d; %v", len(text), annotation, err)
	}
	for text, want := range map[string]bool{
		"Restarts is how many restarts": true, // of the status
		"Replicas is how many replicas": true, // of the replica specs
		"Entrypoint array":              false,
		"x-kubernetes-validations":      true,
		"nodeSelector:":                 true,
	} {
		if got := strings.Contains(string(short), text); got != want {
			t.Errorf("%q is in it: %t, want %t", text, got, want)
		}
	}
}

// TestMessages is what the rules of kinds of different shapes say, in order.
func TestMessages(t *testing.T) {
	_, generated := testjobs(t)
	kind := func(roles ...jobkit.Role) jobkit.Kind {
		return jobkit.Kind{ReplicaSpecsField: "testReplicaSpecs", ContainerName: "main", Roles: roles}
	}
	anything := kind(jobkit.Role{Type: "Worker"})
	anything.AnyContainer, anything.VolumeClaims = true, true
	const (
		labels    = "the controller sets the labels operator-name, job-name, replica-type, replica-index, job-role, attempt and pod-group under training.kubeflow.org/: remove these from template.metadata.labels"
		container = `each replica type needs a container named "main" in template.spec.containers: give the main container this name`
		claims    = "a TestJob keeps no volume claims: remove volumeClaimTemplates, or use a volume of the pod template"
		some      = "a new TestJob needs at least one replica: set replicas of %s to 1 or more; to hold a job back use runPolicy.suspend"
	)
	for _, tt := range []struct {
		reason string
		kind   jobkit.Kind
		want   []string
	}{
		{
			"one role, and no more than that", anything,
			[]string{
				"the replica type of a TestJob is Worker, spelled so: remove or rename the others",
				strings.ReplaceAll(some, "%s", "Worker"),
				labels,
				"a TestJob has one replica type, which can start after no other: remove startAfter",
			},
		},
		{
			"a required role of one, and a bounded one",
			kind(jobkit.Role{Type: "Head", Required: true, Min: 1, Max: 1}, jobkit.Role{Type: "Worker", Min: 2, Max: 8}),
			[]string{
				"the replica types of a TestJob are Head and Worker, spelled so: remove or rename the others",
				"a TestJob needs the replica type Head: add it to testReplicaSpecs",
				"a TestJob has exactly one Head: set replicas of Head to 1",
				"a TestJob has at most 8 Worker: set replicas of Worker to 8 or fewer",
				"a TestJob has at least 2 Worker: set replicas of Worker to 2 or more",
				strings.ReplaceAll(some, "%s", "Head or Worker"),
				container, labels, claims,
				"startAfter.replicaType must be another replica type of the job, which starts after none: name one, or remove startAfter",
			},
		},
		{
			"three roles can start one after the other",
			kind(jobkit.Role{Type: "A"}, jobkit.Role{Type: "B"}, jobkit.Role{Type: "C", Max: 1}),
			[]string{
				"the replica types of a TestJob are A, B and C, spelled so: remove or rename the others",
				"a TestJob has at most one C: set replicas of C to 1",
				strings.ReplaceAll(some, "%s", "A, B or C"),
				container, labels, claims,
				"startAfter.replicaType is the type itself, or none that the job has: name another replica type of the job, or remove startAfter",
				"replica types start after each other, so none of them ever starts: remove startAfter of one of them",
			},
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			got, err := crdrules.Complete([]byte(generated), tt.kind, crdrules.Options{})
			if err != nil {
				t.Fatal(err)
			}
			d := read(t, got)
			if diff := cmp.Diff(tt.want, rules(d.replicas(), "message")); diff != "" {
				t.Errorf("messages (-want +got):\n%s", diff)
			}
			if got := d.replicas()["maxProperties"]; got != float64(len(tt.kind.Roles)+1) {
				t.Errorf("maxProperties is %v", got)
			}
		})
	}
}

// TestHostPorts: the rule about changes of host ports is that of the job. One of runPolicy would not be
// asked when the whole of it is added or removed.
func TestHostPorts(t *testing.T) {
	completed, _ := testjobs(t)
	const has, old = "(has(self.spec.runPolicy) && has(self.spec.runPolicy.", "(has(oldSelf.spec.runPolicy) && has(oldSelf.spec.runPolicy."
	const want = has + "hostPorts)) == " + old + "hostPorts)) && " + has + "hostPortRange)) == " + old + "hostPortRange)) && " +
		"(!" + has + "hostPortRange)) || self.spec.runPolicy.hostPortRange == oldSelf.spec.runPolicy.hostPortRange)"
	schema := read(t, []byte(completed)).schema()
	if all := rules(schema, "rule"); !slices.Contains(all, want) {
		t.Errorf("the rule %s is missing: %v", want, all)
	}
	for _, rule := range rules(at(schema, "spec", "runPolicy"), "rule") {
		if strings.Contains(rule, "oldSelf") {
			t.Errorf("no rule of runPolicy is about changes: %s", rule)
		}
	}
}

func TestNameLength(t *testing.T) {
	_, generated := testjobs(t)
	const message = "metadata.name is too long: <name>-<replica type>-<index> is the name of a pod and can have 63 characters: shorten the name"
	for _, tt := range []struct {
		reason        string
		roles         []jobkit.Role
		want, message string
	}{
		{
			"the rule counts the highest index that a job can have by default, and leaves out the index where pods have none",
			[]jobkit.Role{{Type: "Launcher", Max: 1, Unnumbered: true}, {Type: "Worker", Default: new(int32(12))}},
			`self.spec.testReplicaSpecs.all(t, size(self.metadata.name) + size(t) + (t in ['Launcher'] ? 1 : ` +
				`size(string(has(self.spec.testReplicaSpecs[t].replicas) && self.spec.testReplicaSpecs[t].replicas > 0 ? ` +
				`self.spec.testReplicaSpecs[t].replicas - 1 : t in {'Worker': 11} ? {'Worker': 11}[t] : 0)) + 2) <= 63)`,
			message,
		},
		{
			"the name of a role's service may be the longest, if the role has a replica",
			[]jobkit.Role{
				{Type: "Head", Service: &jobkit.RoleService{}}, {Type: "Worker"}, {Type: "Extra", Default: new(int32(0)), Service: &jobkit.RoleService{}},
			},
			`self.spec.testReplicaSpecs.all(t, size(self.metadata.name) + size(t) + ` +
				`[size(string(has(self.spec.testReplicaSpecs[t].replicas) && self.spec.testReplicaSpecs[t].replicas > 0 ? ` +
				`self.spec.testReplicaSpecs[t].replicas - 1 : 0)) + 2, ` +
				`t in ['Head', 'Extra'] && (has(self.spec.testReplicaSpecs[t].replicas) ? self.spec.testReplicaSpecs[t].replicas > 0 : ` +
				`!(t in ['Extra'])) ? 5 : 0].max() <= 63)`,
			strings.Replace(message, "a pod and", "a pod, and <name>-<replica type>-svc that of a service, and", 1),
		},
	} {
		kind := jobkit.Kind{ReplicaSpecsField: "testReplicaSpecs", ContainerName: "main", Roles: tt.roles}
		got, err := crdrules.Complete([]byte(generated), kind, crdrules.Options{})
		if err != nil {
			t.Fatal(err)
		}
		schema := read(t, got).schema()
		if diff := cmp.Diff([]string{tt.want, tt.message}, []string{rules(schema, "rule")[1], rules(schema, "message")[1]}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.reason, diff)
		}
	}
}

// TestNamesWithoutServices: in a kind without services the rules of names hold for jobs that have some.
func TestNamesWithoutServices(t *testing.T) {
	_, generated := testjobs(t)
	kind := jobkit.Kind{ReplicaSpecsField: "testReplicaSpecs", ContainerName: "main", Roles: []jobkit.Role{{Type: "Worker"}}, ServiceMode: commonv1.ServiceModeNone}
	got, err := crdrules.Complete([]byte(generated), kind, crdrules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const none = `!(has(self.spec.runPolicy) && has(self.spec.runPolicy.serviceMode) && self.spec.runPolicy.serviceMode != 'None') || self.`
	names := rules(read(t, got).schema(), "rule")[:3]
	want := []string{
		none + `metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')`,
		none + `spec.testReplicaSpecs.all(t, size(self.metadata.name) + size(t) + ` +
			`size(string(has(self.spec.testReplicaSpecs[t].replicas) && self.spec.testReplicaSpecs[t].replicas > 0 ? self.spec.testReplicaSpecs[t].replicas - 1 : 0)) + 2 <= 63)`,
		`size(self.metadata.name) <= 63`,
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("known-bugs row 280 (-want +got):\n%s", diff)
	}
	kind.Roles[0].Service = &jobkit.RoleService{Ports: []corev1.ServicePort{{Port: 1}}}
	got, err = crdrules.Complete([]byte(generated), kind, crdrules.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if all := rules(read(t, got).schema(), "rule"); slices.ContainsFunc(all[:3], func(r string) bool { return strings.HasPrefix(r, none) }) {
		t.Errorf("the service of a role has the job's name, too: %q", all[:3])
	}
}

func TestErrors(t *testing.T) {
	_, generated := testjobs(t)
	good := testjob.Controller{}.Kind()
	noLabels := read(t, []byte(generated))
	template := at(noLabels.replicas()["additionalProperties"].(map[string]any), "template")
	delete(at(template, "metadata"), "properties")
	without := func(change func(*jobkit.Kind)) jobkit.Kind {
		k := good
		change(&k)
		return k
	}
	for _, tt := range []struct {
		reason, crd string
		kind        jobkit.Kind
		want        string
	}{
		{"another file", "kind: Role\n", good, "it is none: give the file that controller-gen wrote"},
		{"no YAML", "{", good, "not valid YAML"},
		{"another kind's definition", generated, without(func(k *jobkit.Kind) { k.Name = "TFJob" }), "the CRD is that of TestJob and the kind is TFJob"},
		{"a kind without roles", generated, without(func(k *jobkit.Kind) { k.Roles = nil }), "set Kind.Roles"},
		{"another field", generated, without(func(k *jobkit.Kind) { k.ReplicaSpecsField = "" }), "no map of replica specs at spec.replicaSpecs: set Kind.ReplicaSpecsField"},
		{"a generator without its option", noLabels.write(t), good, "crd:generateEmbeddedObjectMeta=true"},
		{"no version", "kind: CustomResourceDefinition\n", good, "it has no versions"},
		{"no schema", "kind: CustomResourceDefinition\nspec: {versions: [{name: v1}]}\n", good, "version v1 has no schema"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			_, err := crdrules.Complete([]byte(tt.crd), tt.kind, crdrules.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	completed, generated := testjobs(t)
	path := filepath.Join(t.TempDir(), "crd.yaml")
	if err := os.WriteFile(path, []byte(generated), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, do := range []func() error{
		func() error {
			return crdrules.CompleteFile(path, testjob.Controller{}.Kind(), crdrules.Options{})
		},
		func() error { return crdrules.BoundFile(path) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != completed {
		t.Errorf("the file is not what Complete returns: %v", err)
	}
	if err := crdrules.BoundFile(path + ".none"); err == nil || !strings.Contains(err.Error(), "cannot read a CRD") {
		t.Errorf("error %v", err)
	}
}
