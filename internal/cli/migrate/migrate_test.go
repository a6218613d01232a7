package migrate_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/internal/cli/install"
	"github.com/jobkit/jobkit/internal/cli/migrate"
)

// served serves every kind.
type served struct{}

func (served) ServerResourcesForGroupVersionWithContext(context.Context, string) (*metav1.APIResourceList, error) {
	list := &metav1.APIResourceList{}
	for _, kind := range []string{"JAXJob", "MPIJob", "PaddleJob", "PyTorchJob", "TFJob", "XGBoostJob", "TestJob"} {
		list.APIResources = append(list.APIResources, metav1.APIResource{Kind: kind})
	}
	return list, nil
}

const v1 = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: training-operator, namespace: kubeflow}
spec: {replicas: 1, template: {metadata: {labels: {control-plane: kubeflow-training-operator}}}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: validator.training-operator.kubeflow.org, uid: w}
webhooks: [{name: validator.tfjob.training-operator.kubeflow.org}]`

func options(t *testing.T, text string) (*migrate.Options, *fake.FakeDynamicClient, *strings.Builder) {
	t.Helper()
	var objects []runtime.Object
	for part := range strings.SplitSeq(text, "\n---\n") {
		u := &unstructured.Unstructured{}
		if data, err := yaml.YAMLToJSON([]byte(part)); err != nil || u.UnmarshalJSON(data) != nil {
			t.Fatal(err)
		}
		objects = append(objects, u)
	}
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		{Group: "apps", Version: "v1", Resource: "deployments"}:                                             "DeploymentList",
		{Version: "v1", Resource: "pods"}:                                                                   "PodList",
		{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}:               "CustomResourceDefinitionList",
		{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}: "ValidatingWebhookConfigurationList",
	}, objects...)
	client.PrependReactor("patch", "customresourcedefinitions", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &unstructured.Unstructured{}, nil
	})
	definitions, err := install.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	return &migrate.Options{
		Client: client, Discovery: served{}, Definitions: definitions, Backup: filepath.Join(t.TempDir(), "webhooks.yaml"), Timeout: time.Minute, Out: &out,
	}, client, &out
}

// writes counts what was written, by verb and resource.
func writes(c *fake.FakeDynamicClient) map[string]int {
	out := map[string]int{}
	for _, a := range c.Actions() {
		if v := a.GetVerb(); v != "get" && v != "list" && v != "watch" {
			out[v+" "+a.GetResource().Resource]++
		}
	}
	return out
}

func TestRun(t *testing.T) {
	t.Parallel()
	o, client, out := options(t, v1)
	if err := migrate.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	got := writes(client)
	if got["patch deployments"] != 1 || got["delete validatingwebhookconfigurations"] != 1 || got["patch customresourcedefinitions"] != len(o.Definitions) || len(got) != 3 {
		t.Errorf("it should stop v1, delete its webhooks and apply the CRDs, and did %v", got)
	}
	text, err := os.ReadFile(o.Backup)
	if err != nil || !strings.Contains(string(text), "validator.tfjob.training-operator.kubeflow.org") || strings.Contains(string(text), "uid") {
		t.Errorf("the webhooks are kept so that they can be created again, got %v:\n%s", err, text)
	}
	if !strings.Contains(out.String(), "kubectl -n kubeflow scale deployment training-operator --replicas=1\n  kubectl create -f "+o.Backup) {
		t.Errorf("it should say how to go back:\n%s", out)
	}
	client.ClearActions()
	out.Reset()
	if err := migrate.Run(t.Context(), o); err != nil || strings.Count(out.String(), "nothing to do") != 2 {
		t.Errorf("again, there should be nothing left but the CRDs: %v\n%s", err, out)
	}
}

// TestWayBack says how to go back from what was done, and not from what was not.
func TestWayBack(t *testing.T) {
	t.Parallel()
	const scale, create = "kubectl -n kubeflow scale deployment training-operator --replicas=", "kubectl create -f BACKUP"
	for _, c := range []struct {
		reason, old, new string
		set              func(t *testing.T, o *migrate.Options, c *fake.FakeDynamicClient)
		want             []string
	}{
		{reason: "all was done", want: []string{scale + "1", create}},
		{reason: "v1 had three replicas", old: "replicas: 1", new: "replicas: 3", want: []string{scale + "3", create}},
		{reason: "v1 was stopped before", old: "replicas: 1", new: "replicas: 0", want: []string{scale + "1   # it was stopped already: 1, or how many it had before", create}},
		{
			reason: "there were no webhooks, so there is no file", want: []string{scale + "1"},
			set: func(t *testing.T, _ *migrate.Options, c *fake.FakeDynamicClient) {
				t.Helper()
				hooks := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}
				if err := c.Tracker().Delete(hooks, "", "validator.training-operator.kubeflow.org"); err != nil {
					t.Fatal(err)
				}
			},
		},
		{reason: "a dry run has nothing to go back from", set: func(_ *testing.T, o *migrate.Options, _ *fake.FakeDynamicClient) { o.DryRun = true }},
	} {
		text := strings.Replace(v1, c.old, c.new, 1)
		if c.old != "" && text == v1 {
			t.Fatalf("%s: there is no %q", c.reason, c.old)
		}
		o, client, out := options(t, text)
		if c.set != nil {
			c.set(t, o, client)
		}
		if err := migrate.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(strings.ReplaceAll(out.String(), o.Backup, "BACKUP")) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "kubectl -n") || strings.HasPrefix(line, "kubectl create") {
				got = append(got, line)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

func TestStays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason string
		set    func(*migrate.Options)
		more   string
		err    string
	}{
		{reason: "a dry run writes nothing", set: func(o *migrate.Options) { o.DryRun = true }},
		{reason: "a no is a no", set: func(o *migrate.Options) { o.Confirm = func(string) bool { return false } }, err: migrate.ErrStopped.Error()},
		{
			reason: "the CRD of mpi-operator is not taken over", set: func(*migrate.Options) {},
			more: "\n---\n{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: mpijobs.kubeflow.org}, spec: {versions: [{name: v2beta1}]}}",
			err: "CRD mpijobs.kubeflow.org is that of mpi-operator, which serves v2beta1: migrate by hand, without mpijob: " +
				"see docs/operators/from-training-operator-v1.md, MPIJob v2beta1",
		},
	} {
		o, client, _ := options(t, v1+c.more)
		c.set(o)
		err := migrate.Run(t.Context(), o)
		if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) || len(writes(client)) > 0 {
			t.Errorf("%s: got %v, wrote %v", c.reason, err, writes(client))
		}
	}
}

// TestNewer: v1 is not stopped for CRDs that are not applied.
func TestNewer(t *testing.T) {
	t.Parallel()
	o, client, _ := options(t, v1)
	newer := o.Definitions[0].Object.DeepCopy()
	versions, _, _ := unstructured.NestedSlice(newer.Object, "spec", "versions")
	version, _ := versions[0].(map[string]any)
	later := map[string]any{"type": "string"}
	if err := errors.Join(
		unstructured.SetNestedMap(version, later, "schema", "openAPIV3Schema", "properties", "spec", "properties", "later"),
		unstructured.SetNestedSlice(newer.Object, versions, "spec", "versions"),
		client.Tracker().Create(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}, newer, ""),
	); err != nil {
		t.Fatal(err)
	}
	err := migrate.Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "is of a newer version") || len(writes(client)) > 0 {
		t.Errorf("got %v, wrote %v", err, writes(client))
	}
}

// TestBackup keeps the webhooks of an earlier call: they are deleted only when they were kept.
func TestBackup(t *testing.T) {
	t.Parallel()
	o, client, _ := options(t, v1)
	if err := os.WriteFile(o.Backup, []byte("earlier"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := migrate.Run(t.Context(), o); !errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), "name another file with --backup") {
		t.Errorf("got %v", err)
	}
	if writes(client)["delete validatingwebhookconfigurations"] > 0 {
		t.Error("webhooks that were not kept are not deleted")
	}
}
