package jobs_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/internal/cli/jobs"
)

// served is what a cluster serves.
type served struct{}

func (served) ServerResourcesForGroupVersionWithContext(context.Context, string) (*metav1.APIResourceList, error) {
	verbs := metav1.Verbs{"list", "get"}
	return &metav1.APIResourceList{APIResources: []metav1.APIResource{
		{Name: "tfjobs", Kind: "TFJob", Namespaced: true, Verbs: verbs},
		{Name: "tfjobs/status", Kind: "TFJob", Namespaced: true, Verbs: verbs},
		{Name: "pytorchjobs", Kind: "PyTorchJob", Namespaced: true, Verbs: verbs},
		{Name: "experiments", Kind: "Experiment", Namespaced: true, Verbs: verbs},
	}}, nil
}

// finder has the objects of a text in its cluster.
func finder(t *testing.T, namespace, text string) *jobs.Finder {
	t.Helper()
	var objects []runtime.Object
	for part := range strings.SplitSeq(text, "\n---\n") {
		o := map[string]any{}
		if err := yaml.Unmarshal([]byte(part), &o); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, &unstructured.Unstructured{Object: o})
	}
	kinds := map[schema.GroupVersionResource]string{
		{Group: "kubeflow.org", Version: "v1", Resource: "tfjobs"}:      "TFJobList",
		{Group: "kubeflow.org", Version: "v1", Resource: "pytorchjobs"}: "PyTorchJobList",
		{Version: "v1", Resource: "pods"}:                               "PodList",
	}
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, objects...)
	return &jobs.Finder{Client: client, Discovery: served{}, Namespace: namespace}
}

const cluster = `
{apiVersion: kubeflow.org/v1, kind: PyTorchJob, metadata: {name: a, namespace: ns, uid: u1}}
---
{apiVersion: kubeflow.org/v1, kind: TFJob, metadata: {name: a, namespace: ns, uid: u2}}
---
{apiVersion: kubeflow.org/v1, kind: TFJob, metadata: {name: b, namespace: ns, uid: u3}}
---
{apiVersion: kubeflow.org/v1, kind: TFJob, metadata: {name: c, namespace: m, uid: u4}}
---
apiVersion: v1
kind: Pod
metadata:
  name: b-worker-10
  namespace: ns
  labels: {training.kubeflow.org/job-name: b, training.kubeflow.org/replica-type: worker, training.kubeflow.org/replica-index: "10"}
  ownerReferences: [{apiVersion: kubeflow.org/v1, kind: TFJob, name: b, uid: u3, controller: true}]
---
apiVersion: v1
kind: Pod
metadata:
  name: b-worker-9
  namespace: ns
  labels: {training.kubeflow.org/job-name: b, training.kubeflow.org/replica-type: worker, training.kubeflow.org/replica-index: "9"}
  ownerReferences: [{apiVersion: kubeflow.org/v1, kind: TFJob, name: b, uid: u3, controller: true}]
---
apiVersion: v1
kind: Pod
metadata:
  name: b-worker-0
  namespace: ns
  labels: {training.kubeflow.org/job-name: b, training.kubeflow.org/replica-type: worker}
  ownerReferences: [{apiVersion: kubeflow.org/v1, kind: TFJob, name: b, uid: an-earlier-b, controller: true}]`

func TestList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason, namespace string
		words, want       []string
		err               string
	}{
		{reason: "all kinds, by name", namespace: "ns", want: []string{"PyTorchJob ns/a", "TFJob ns/a", "TFJob ns/b"}},
		{reason: "all namespaces", want: []string{"TFJob m/c", "PyTorchJob ns/a", "TFJob ns/a", "TFJob ns/b"}},
		{reason: "a kind", namespace: "ns", words: []string{"tfjobs"}, want: []string{"TFJob ns/a", "TFJob ns/b"}},
		{reason: "a kind as it is spelled", namespace: "ns", words: []string{"TFJob"}, want: []string{"TFJob ns/a", "TFJob ns/b"}},
		{reason: "a kind with its group", namespace: "ns", words: []string{"tfjobs.kubeflow.org"}, want: []string{"TFJob ns/a", "TFJob ns/b"}},
		{reason: "a job", namespace: "ns", words: []string{"b"}, want: []string{"TFJob ns/b"}},
		{reason: "a job of a kind", namespace: "ns", words: []string{"pytorchjob/a"}, want: []string{"PyTorchJob ns/a"}},
		{
			reason: "a name that two have", namespace: "ns", words: []string{"a"},
			err: `several jobs are named "a" in namespace ns: choose one: pytorchjob/a, tfjob/a`,
		},
		{
			reason: "a name that none has", namespace: "ns", words: []string{"c"},
			err: `no job is named "c" in namespace ns: "jobkit get -A" lists all jobs`,
		},
		{
			reason: "a kind that there is not", namespace: "ns", words: []string{"experiment/a"},
			err: `"experiment/a": the cluster has no job kind "experiment": it has PyTorchJob, TFJob`,
		},
		{reason: "a job in all namespaces", words: []string{"b"}, err: `"b" is in one namespace: name it with -n in place of -A`},
	} {
		found, err := finder(t, c.namespace, cluster).List(t.Context(), c.words)
		var got []string
		for i := range found {
			got = append(got, found[i].String())
		}
		message := ""
		if err != nil {
			message = err.Error()
		}
		if diff := cmp.Diff([]any{c.want, c.err}, []any{got, message}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	job, err := finder(t, "ns", cluster).One(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason, word string
		want         []string
		err          string
	}{
		{reason: "a type, by index; the pod of an earlier job of the name is not this one's", word: "worker", want: []string{"b-worker-9", "b-worker-10"}},
		{reason: "a replica", word: "Worker-9", want: []string{"b-worker-9"}},
		{reason: "a pod", word: "b-worker-10", want: []string{"b-worker-10"}},
		{reason: "none", word: "worker-0", err: `TFJob ns/b has no pod of replica "worker-0": it has worker-9, worker-10`},
	} {
		pods, err := job.Choose([]string{c.word})
		var got []string
		for _, pod := range pods {
			got = append(got, pod.Name)
		}
		message := ""
		if err != nil {
			message = err.Error()
		}
		if diff := cmp.Diff([]any{c.want, c.err}, []any{got, message}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}
