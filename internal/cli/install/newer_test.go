package install_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/jobkit/jobkit/internal/cli/install"
)

func TestCheckNewer(t *testing.T) {
	t.Parallel()
	all, err := install.WithExample()
	if err != nil {
		t.Fatal(err)
	}
	// field sets a field of the schema of the first version.
	field := func(path ...string) func(*unstructured.Unstructured) error {
		return func(u *unstructured.Unstructured) error {
			versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
			version, _ := versions[0].(map[string]any)
			err := unstructured.SetNestedField(version, map[string]any{"type": "string"}, append([]string{"schema", "openAPIV3Schema", "properties"}, path...)...)
			if err != nil {
				return err
			}
			return unstructured.SetNestedSlice(u.Object, versions, "spec", "versions")
		}
	}
	template := []string{"spec", "properties", "testReplicaSpecs", "additionalProperties", "properties", "template"}
	for _, c := range []struct {
		reason string
		change func(*unstructured.Unstructured) error
		err    error
		want   string
	}{
		{reason: "the same", change: func(*unstructured.Unstructured) error { return nil }},
		{
			reason: "an older one is replaced", change: func(u *unstructured.Unstructured) error {
				versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
				version, _ := versions[0].(map[string]any)
				unstructured.RemoveNestedField(version, "schema", "openAPIV3Schema", "properties", "status", "properties", "restarts")
				return unstructured.SetNestedSlice(u.Object, versions, "spec", "versions")
			},
		},
		{
			reason: "so is one with fields that were removed since", change: func(u *unstructured.Unstructured) error {
				versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
				version, _ := versions[0].(map[string]any)
				unstructured.RemoveNestedField(version, "schema", "openAPIV3Schema", "properties", "status", "properties", "restarts")
				err := unstructured.SetNestedSlice(u.Object, versions, "spec", "versions")
				return errors.Join(err, field("status", "properties", "early")(u))
			},
		},
		{
			reason: "a newer one is not", change: field("status", "properties", "replicaStatuses", "additionalProperties", "properties", "budget"),
			want: "CRD testjobs.kubeflow.org of the cluster is of a newer version, and has fields that this one does not know " +
				"(.status.replicaStatuses[].budget): the API server would drop them from jobs that exist; use the newer version of jobkit",
		},
		{reason: "a newer Kubernetes is no newer version", change: field(append(template, "properties", "spec")...)},
		{reason: "none", err: apierrors.NewNotFound(schema.GroupResource{}, "a")},
		{reason: "who may not read goes on", err: apierrors.NewForbidden(schema.GroupResource{}, "a", nil)},
		{
			reason: "no answer", err: apierrors.NewServiceUnavailable("it starts"),
			want: "cannot read CRD testjobs.kubeflow.org: it starts",
		},
	} {
		var definitions []install.Definition
		for _, d := range all {
			if d.Object.GetName() == "testjobs.kubeflow.org" {
				definitions = append(definitions, d)
			}
		}
		there := definitions[0].Object.DeepCopy()
		if c.change != nil {
			if err := c.change(there); err != nil {
				t.Fatal(err)
			}
		}
		client := fake.NewSimpleDynamicClient(runtime.NewScheme())
		client.PrependReactor("get", "customresourcedefinitions", func(clienttesting.Action) (bool, runtime.Object, error) { return true, there, c.err })
		got := ""
		if err := install.CheckNewer(t.Context(), client, definitions); err != nil {
			got = err.Error()
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}
