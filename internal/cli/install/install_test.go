package install_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/internal/cli/install"
)

func testJob() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "kubeflow.org", Version: "v1", Kind: "TestJob"}
}

func TestAll(t *testing.T) {
	t.Parallel()
	definitions, err := install.WithExample()
	if err != nil {
		t.Fatal(err)
	}
	if !install.Serves(definitions, testJob()) {
		t.Error("the CRD of TestJob is missing")
	}
	for _, other := range []schema.GroupVersionKind{
		{Group: "kubeflow.org", Version: "v2", Kind: "TestJob"}, {Group: "kubeflow.org", Version: "v1", Kind: "FooJob"},
	} {
		if install.Serves(definitions, other) {
			t.Errorf("no CRD serves %s", other)
		}
	}
}

// TestDefinitions are those that the documented installs apply: without that of the example kind.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"config/crd", "charts/jobkit/crds"} {
		want := map[string]bool{}
		if folder == "config/crd" {
			text, err := os.ReadFile(filepath.Join("../../..", folder, "kustomization.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			var k struct{ Resources []string }
			if err := yaml.Unmarshal(text, &k); err != nil {
				t.Fatal(err)
			}
			for _, name := range k.Resources {
				want[name] = true
			}
		} else {
			files, err := os.ReadDir(filepath.Join("../../..", folder))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				want[f.Name()] = true
			}
		}
		definitions, err := install.Definitions()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]bool{}
		for _, d := range definitions {
			plural, group, _ := strings.Cut(d.Object.GetName(), ".")
			got[group+"_"+plural+".yaml"] = true
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-) and jobkit install-crds (+):\n%s", folder, diff)
		}
	}
}

// fakeDiscovery returns the answers of a list in turn, and then repeats the last one.
type fakeDiscovery struct {
	asked   int
	answers []error
}

func (d *fakeDiscovery) ServerResourcesForGroupVersionWithContext(_ context.Context, gv string) (*metav1.APIResourceList, error) {
	err := d.answers[min(d.asked, len(d.answers)-1)]
	d.asked++
	if err != nil {
		return nil, err
	}
	return &metav1.APIResourceList{GroupVersion: gv, APIResources: []metav1.APIResource{{Kind: "TestJob"}}}, nil
}

func TestInstall(t *testing.T) {
	notYet := apierrors.NewNotFound(schema.GroupResource{}, "kubeflow.org/v1")
	for _, c := range []struct {
		name, reason string
		answers      []error
		refuse       error
		status       map[string]any
		asked        int
		want         string
	}{
		{name: "waits", reason: "it returns when the cluster serves the kind", answers: []error{notYet, notYet, nil}, asked: 3},
		{
			name: "refused", reason: "the name of the CRD is reported", refuse: errors.New("forbidden"), answers: []error{nil},
			want: "cannot apply CRD testjobs.kubeflow.org: forbidden",
		},
		{
			name: "never", reason: "what the cluster says of the CRD is reported",
			answers: []error{notYet},
			status: map[string]any{"conditions": []any{
				map[string]any{"type": "NamesAccepted", "status": "False", "message": `"testjobs" is taken`},
			}},
			want: "CRD testjobs.kubeflow.org is applied, but the cluster does not serve kubeflow.org/v1, Kind=TestJob: " +
				`context deadline exceeded (NamesAccepted: "testjobs" is taken)`,
		},
		{
			name: "out of reach", reason: "a cluster that does not answer is not waited for", answers: []error{errors.New("connection refused")}, asked: 1,
			want: "CRD testjobs.kubeflow.org is applied, but the cluster does not serve kubeflow.org/v1, Kind=TestJob: " +
				"cannot read the kinds of kubeflow.org/v1: connection refused",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, err := install.WithExample()
				if err != nil {
					t.Fatal(err)
				}
				var definitions []install.Definition
				for _, d := range all {
					if d.Object.GetName() == "testjobs.kubeflow.org" {
						definitions = append(definitions, d)
					}
				}
				client := fake.NewSimpleDynamicClient(runtime.NewScheme())
				client.PrependReactor("patch", "customresourcedefinitions", func(clienttesting.Action) (bool, runtime.Object, error) {
					return true, &unstructured.Unstructured{Object: map[string]any{}}, c.refuse
				})
				client.PrependReactor("get", "customresourcedefinitions", func(clienttesting.Action) (bool, runtime.Object, error) {
					return true, &unstructured.Unstructured{Object: map[string]any{"status": c.status}}, nil
				})
				d := &fakeDiscovery{answers: c.answers}
				err = install.CRDs(t.Context(), client, d, definitions)
				got := ""
				if err != nil {
					got = err.Error()
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", c.reason, diff)
				}
				if c.asked > 0 && d.asked != c.asked {
					t.Errorf("%s: asked %d times, want %d", c.reason, d.asked, c.asked)
				}
			})
		})
	}
}
