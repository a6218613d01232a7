package v1_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/config/crd"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestCRDs checks that the generated CRDs are those of the contract: what clients
// call the kinds, and where they look for replicas. (What the rules in them do is
// tested on an API server, in test/integration.)
func TestCRDs(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := kubeflowv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		kind, plural, singular, field string
	}{
		{kubeflowv1.TFJobKind, kubeflowv1.TFJobPlural, kubeflowv1.TFJobSingular, "tfReplicaSpecs"},
		{kubeflowv1.PyTorchJobKind, kubeflowv1.PyTorchJobPlural, kubeflowv1.PyTorchJobSingular, "pytorchReplicaSpecs"},
		{kubeflowv1.MPIJobKind, kubeflowv1.MPIJobPlural, kubeflowv1.MPIJobSingular, "mpiReplicaSpecs"},
		{kubeflowv1.XGBoostJobKind, kubeflowv1.XGBoostJobPlural, kubeflowv1.XGBoostJobSingular, "xgbReplicaSpecs"},
		{kubeflowv1.PaddleJobKind, kubeflowv1.PaddleJobPlural, kubeflowv1.PaddleJobSingular, "paddleReplicaSpecs"},
		{kubeflowv1.JAXJobKind, kubeflowv1.JAXJobPlural, kubeflowv1.JAXJobSingular, "jaxReplicaSpecs"},
	} {
		t.Run(tc.kind, func(t *testing.T) {
			for _, kind := range []string{tc.kind, tc.kind + "List"} {
				if !scheme.Recognizes(kubeflowv1.GroupVersion.WithKind(kind)) {
					t.Errorf("AddToScheme makes %s known", kind)
				}
			}
			spec, version := readCRD(t, tc.plural)
			names := map[string]any{"kind": tc.kind, "listKind": tc.kind + "List", "plural": tc.plural, "singular": tc.singular}
			if diff := cmp.Diff(names, spec["names"]); diff != "" {
				t.Errorf("the names are those of training-operator v1: -want +got\n%s", diff)
			}
			subresources := map[string]any{"status": map[string]any{}, "scale": map[string]any{
				"specReplicasPath":   ".spec." + tc.field + ".Worker.replicas",
				"statusReplicasPath": ".status.replicaStatuses.Worker.active",
				"labelSelectorPath":  ".status.replicaStatuses.Worker.selector",
			}}
			if diff := cmp.Diff(subresources, version["subresources"]); diff != "" {
				t.Errorf("the subresources are those of training-operator v1, and every kind can be scaled: -want +got\n%s", diff)
			}
			required, _, _ := unstructured.NestedStringSlice(version, "schema", "openAPIV3Schema", "properties", "spec", "required")
			if diff := cmp.Diff([]string{tc.field}, required); diff != "" {
				t.Errorf("nothing but the replica specs is required: -want +got\n%s", diff)
			}
			columns, _, _ := unstructured.NestedSlice(version, "additionalPrinterColumns")
			paths := make([]string, 0, len(columns))
			for _, c := range columns {
				column, _ := c.(map[string]any)
				path, _ := column["jsonPath"].(string)
				paths = append(paths, path)
			}
			want := []string{
				".status.state", ".spec." + tc.field + ".Worker.replicas", ".status.replicaStatuses.Worker.active",
				".status.restarts", ".status.trainerStatus.progressPercentage", ".status.trainerStatus.estimatedRemainingSeconds", ".metadata.creationTimestamp",
			}
			if diff := cmp.Diff(want, paths); diff != "" {
				t.Errorf("kubectl get shows the true state first: -want +got\n%s", diff)
			}
		})
	}
}

// TestRulesHaveMessages checks that every rule of the CRDs says what is wrong and
// how to fix it, also where the message with the value cannot be worked out.
func TestRulesHaveMessages(t *testing.T) {
	for _, plural := range []string{
		kubeflowv1.TFJobPlural, kubeflowv1.PyTorchJobPlural, kubeflowv1.MPIJobPlural,
		kubeflowv1.XGBoostJobPlural, kubeflowv1.PaddleJobPlural, kubeflowv1.JAXJobPlural,
	} {
		_, version := readCRD(t, plural)
		count := 0
		eachRule(version, func(rule map[string]any) {
			count++
			message, _ := rule["message"].(string)
			if !strings.Contains(message, ": ") && !strings.Contains(message, "immutable") {
				t.Errorf("%s: the rule %q says what is wrong, a colon, and the fix; it says %q", plural, rule["rule"], message)
			}
		})
		if count < 10 {
			t.Errorf("%s has %d rules, which cannot be all", plural, count)
		}
	}
}

// TestControllersLabels checks that the rule about labels names those that the controller refuses.
func TestControllersLabels(t *testing.T) {
	_, version := readCRD(t, kubeflowv1.JAXJobPlural)
	found := 0
	eachRule(version, func(rule map[string]any) {
		message, _ := rule["message"].(string)
		if !strings.HasPrefix(message, "the controller sets the labels ") {
			return
		}
		found++
		text, _ := rule["rule"].(string)
		for _, label := range plan.ControllersLabels() {
			name := strings.TrimPrefix(label, "training.kubeflow.org/")
			if !strings.Contains(text, "'"+label+"'") || !strings.Contains(message, " "+name) {
				t.Errorf("the rule does not have %s: %s: %s", label, text, message)
			}
		}
		if got := strings.Count(text, "training.kubeflow.org/"); got != len(plan.ControllersLabels()) {
			t.Errorf("the rule has %d labels: %s", got, text)
		}
	})
	if found != 1 {
		t.Errorf("%d rules are about labels", found)
	}
}

// TestNumbersAreBounded checks known-bugs row 93: every number of a schema has a size that
// Go can decode, and no quantity has an exponent that it cannot, or takes without end to.
func TestNumbersAreBounded(t *testing.T) {
	for _, plural := range []string{
		kubeflowv1.TFJobPlural, kubeflowv1.PyTorchJobPlural, kubeflowv1.MPIJobPlural,
		kubeflowv1.XGBoostJobPlural, kubeflowv1.PaddleJobPlural, kubeflowv1.JAXJobPlural, "testjobs",
	} {
		_, version := readCRD(t, plural)
		quantities, ports, integers := 0, 0, 0
		eachSchema(version["schema"], "", func(path string, s map[string]any) {
			pattern, _ := s["pattern"].(string)
			switch {
			case s["x-kubernetes-int-or-string"] == true && pattern != "":
				quantities++
				if !strings.Contains(pattern, "[eE](\\+|-)?[0-9]{1,3}") || s["maxLength"] == nil {
					t.Errorf("%s: %s admits quantities that cannot be decoded: run make generate", plural, path)
				}
			case s["x-kubernetes-int-or-string"] == true:
				ports++
				if s["maximum"] == nil || s["minimum"] == nil {
					t.Errorf("%s: %s admits numbers beyond 32 bits: run make generate", plural, path)
				}
			case s["type"] == "integer" && !strings.Contains(path, "anyOf"):
				integers++
				if s["format"] != "int32" && s["format"] != "int64" {
					t.Errorf("%s: %s admits numbers of any size", plural, path)
				}
			}
		})
		if quantities < 10 || ports < 20 || integers < 100 {
			t.Errorf("%s has %d quantities, %d ports and %d integers, which cannot be all", plural, quantities, ports, integers)
		}
	}
}

// eachSchema calls f for each part of a schema.
func eachSchema(in any, path string, f func(string, map[string]any)) {
	switch in := in.(type) {
	case map[string]any:
		f(path, in)
		for k, v := range in {
			eachSchema(v, path+"."+k, f)
		}
	case []any:
		for _, v := range in {
			eachSchema(v, path, f)
		}
	}
}

// readCRD returns the spec of a CRD and its only version.
func readCRD(t *testing.T, plural string) (spec, version map[string]any) {
	t.Helper()
	text, err := crd.Files.ReadFile("kubeflow.org_" + plural + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	object := map[string]any{}
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	spec, _, _ = unstructured.NestedMap(object, "spec")
	versions, _, _ := unstructured.NestedSlice(spec, "versions")
	if len(versions) != 1 {
		t.Fatalf("%s has %d versions, want v1 alone", plural, len(versions))
	}
	return spec, versions[0].(map[string]any)
}

// eachRule calls f for each rule of a schema.
func eachRule(in any, f func(map[string]any)) {
	switch in := in.(type) {
	case map[string]any:
		rules, _ := in["x-kubernetes-validations"].([]any)
		for _, rule := range rules {
			f(rule.(map[string]any))
		}
		for _, v := range in {
			eachRule(v, f)
		}
	case []any:
		for _, v := range in {
			eachRule(v, f)
		}
	}
}
