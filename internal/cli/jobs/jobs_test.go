package jobs_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
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
func finder(t *testing.T, namespace, text string) (*jobs.Finder, *fake.FakeDynamicClient) {
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
		{Group: "sim.example.com", Version: "v1", Resource: "simjobs"}:  "SimJobList",
		{Version: "v1", Resource: "pods"}:                               "PodList",
	}
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, objects...)
	return &jobs.Finder{Client: client, Discovery: served{}, Namespace: namespace}, client
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
  name: b-launcher
  namespace: ns
  labels: {training.kubeflow.org/job-name: b, training.kubeflow.org/replica-type: launcher, training.kubeflow.org/replica-index: "0"}
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

// listed are the jobs that a finder finds, and its error, as texts.
func listed(t *testing.T, f *jobs.Finder, words []string) (found []string, message string) {
	t.Helper()
	all, err := f.List(t.Context(), words)
	for i := range all {
		found = append(found, all[i].String())
	}
	if err != nil {
		message = err.Error()
	}
	return found, message
}

func TestList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason, namespace string
		words, want       []string
		selector, denied  string
		err               string
	}{
		{reason: "all kinds, by name", namespace: "ns", want: []string{"PyTorchJob ns/a", "TFJob ns/a", "TFJob ns/b"}},
		{reason: "all namespaces", want: []string{"TFJob m/c", "PyTorchJob ns/a", "TFJob ns/a", "TFJob ns/b"}},
		{reason: "a kind", namespace: "ns", words: []string{"tfjobs"}, want: []string{"TFJob ns/a", "TFJob ns/b"}},
		{reason: "a kind as it is spelled", namespace: "ns", words: []string{"TFJob"}, want: []string{"TFJob ns/a", "TFJob ns/b"}},
		{reason: "a kind with its group", namespace: "ns", words: []string{"tfjobs.kubeflow.org"}, want: []string{"TFJob ns/a", "TFJob ns/b"}},
		{reason: "a job", namespace: "ns", words: []string{"b"}, want: []string{"TFJob ns/b"}},
		{reason: "a job of a kind, as kubectl takes it", namespace: "ns", words: []string{"pytorchjob", "a"}, want: []string{"PyTorchJob ns/a"}},
		{
			reason: "of a kind that has no such job", namespace: "ns", words: []string{"pytorchjobs", "b"},
			err: `no job is named "b" in namespace ns: "jobkit get -A" lists all jobs`,
		},
		{reason: "a name with its kind beside a kind", namespace: "ns", words: []string{"pytorchjobs", "tfjob/b"}, want: []string{"TFJob ns/b"}},
		{
			reason: "a name beside labels, which would not be looked at", namespace: "ns", words: []string{"b"}, selector: "x=y",
			err: `"b" names a job, and "x=y" chooses by labels: leave one out`,
		},
		{
			reason: "what may not be read is not said to be missing", namespace: "ns", words: []string{"b"}, denied: "tfjobs",
			err: `no job that you may read is named "b" in namespace ns: tfjobs.kubeflow.org is forbidden: no`,
		},
		{reason: "a job of a kind that may be read", namespace: "ns", words: []string{"a"}, denied: "tfjobs", want: []string{"PyTorchJob ns/a"}},
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
		f, client := finder(t, c.namespace, cluster)
		f.Selector = c.selector
		client.PrependReactor("get", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
			return a.GetResource().Resource == c.denied, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "", errors.New("no"))
		})
		got, message := listed(t, f, c.words)
		if diff := cmp.Diff([]any{c.want, c.err}, []any{got, message}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	f, _ := finder(t, "ns", cluster)
	job, err := f.One(t.Context(), "b")
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
		{reason: "two words that name one", word: "worker worker-9", want: []string{"b-worker-9", "b-worker-10"}},
		{reason: "a replica whose pod has no number, as it is", word: "launcher", want: []string{"b-launcher"}},
		{reason: "and as describe and the page call it", word: "launcher-0", want: []string{"b-launcher"}},
		{reason: "which has one number only", word: "launcher-1", err: `TFJob ns/b has no pod of replica "launcher-1": it has launcher, worker-9, worker-10`},
		{reason: "none", word: "worker-0", err: `TFJob ns/b has no pod of replica "worker-0": it has launcher, worker-9, worker-10`},
	} {
		pods, err := job.Choose(strings.Fields(c.word))
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

// TestNoKinds has a cluster in which others serve kinds of the same version.
func TestNoKinds(t *testing.T) {
	t.Parallel()
	f, _ := finder(t, "ns", cluster)
	f.Discovery = others{}
	want := "the cluster has no job kinds that jobkit knows: install those of jobkit with jobkit install-crds, " +
		"or name those of other operators with --kinds, such as SimJob.v1.sim.example.com"
	if _, err := f.List(t.Context(), nil); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestOthers has kinds of other operators, on a cluster that has none of kubeflow.org/v1.
func TestOthers(t *testing.T) {
	t.Parallel()
	sim := schema.GroupVersionKind{Group: "sim.example.com", Version: "v1", Kind: "SimJob"}
	gone := schema.GroupVersionKind{Group: "gone.example.com", Version: "v1", Kind: "GoneJob"}
	for _, c := range []struct {
		reason string
		others []schema.GroupVersionKind
		needed bool
		words  []string
		want   []string
		err    string
	}{
		{reason: "jobs of the kind", others: []schema.GroupVersionKind{sim}, want: []string{"SimJob ns/s"}},
		{reason: "one of them", others: []schema.GroupVersionKind{sim, sim}, words: []string{"simjobs.sim.example.com", "s"}, want: []string{"SimJob ns/s"}},
		{reason: "a kind that other clusters have", others: []schema.GroupVersionKind{gone, sim}, want: []string{"SimJob ns/s"}},
		{
			reason: "a mistake in --kinds", others: []schema.GroupVersionKind{gone, sim}, needed: true,
			err: "the cluster does not serve the kind GoneJob of gone.example.com/v1: check --kinds, or install its CRD",
		},
	} {
		f, _ := finder(t, "ns", "{apiVersion: sim.example.com/v1, kind: SimJob, metadata: {name: s, namespace: ns, uid: u1}}")
		f.Discovery, f.Others, f.Needed = simulators{}, c.others, c.needed
		got, message := listed(t, f, c.words)
		if diff := cmp.Diff([]any{c.want, c.err}, []any{got, message}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

// simulators is a cluster that serves SimJobs, and no kind of kubeflow.org.
type simulators struct{}

func (simulators) ServerResourcesForGroupVersionWithContext(_ context.Context, version string) (*metav1.APIResourceList, error) {
	if version != "sim.example.com/v1" {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, version)
	}
	return &metav1.APIResourceList{APIResources: []metav1.APIResource{
		{Name: "simjobs", Kind: "SimJob", Namespaced: true, Verbs: metav1.Verbs{"list"}},
		{Name: "simjobs/status", Kind: "SimJob", Namespaced: true, Verbs: metav1.Verbs{"get"}},
	}}, nil
}

// TestAgain reads a list as get -w does: from the cache of the API server, and without what is gone.
func TestAgain(t *testing.T) {
	t.Parallel()
	f, client := finder(t, "ns", cluster)
	if _, err := f.List(t.Context(), []string{"gone"}); err == nil {
		t.Error("at first a job must exist")
	}
	f.Again = true
	found, err := f.List(t.Context(), []string{"b", "gone"})
	if err != nil || len(found) != 1 || found[0].Object.GetName() != "b" || !found[0].Named {
		t.Errorf("one is left: %v %v", found, err)
	}
	if _, err := f.List(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	lists := 0
	for _, a := range client.Actions() {
		if list, ok := a.(clienttesting.ListActionImpl); ok {
			lists++
			if o := list.ListOptions; o.ResourceVersion != "0" || o.Limit == 0 {
				t.Errorf("%s: %+v", a.GetResource().Resource, o)
			}
		}
	}
	if lists != 4 {
		t.Errorf("%d lists, want those of two kinds and twice those of pods", lists)
	}
}

type others struct{}

func (others) ServerResourcesForGroupVersionWithContext(context.Context, string) (*metav1.APIResourceList, error) {
	return &metav1.APIResourceList{APIResources: []metav1.APIResource{{Name: "notebooks", Kind: "Notebook", Namespaced: true, Verbs: metav1.Verbs{"list"}}}}, nil
}
