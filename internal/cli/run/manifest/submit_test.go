package manifest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/jobkit/jobkit/internal/cli/run/manifest"
)

// known is a cluster that knows TestJob in kubeflow.org/v1.
type known struct{ err error }

func (k known) ServerResourcesForGroupVersionWithContext(_ context.Context, gv string) (*metav1.APIResourceList, error) {
	if k.err != nil {
		return nil, k.err
	}
	if gv != "kubeflow.org/v1" {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, gv)
	}
	return &metav1.APIResourceList{APIResources: []metav1.APIResource{
		{Name: "testjobs/status", Kind: "TestJob"}, {Name: "testjobs", Kind: "TestJob"},
	}}, nil
}

func (k known) ServerGroupsWithContext(context.Context) (*metav1.APIGroupList, error) {
	return &metav1.APIGroupList{Groups: []metav1.APIGroup{
		{Name: "other.org", Versions: []metav1.GroupVersionForDiscovery{{GroupVersion: "other.org/v1"}}},
		{Name: "kubeflow.org", Versions: []metav1.GroupVersionForDiscovery{{GroupVersion: "kubeflow.org/v1"}}},
	}}, nil
}

// cluster is a fake API server. It checks dry runs as the real one does, refuses
// the jobs whose names begin with "bad", and gives each job a UID.
type cluster struct {
	*fake.FakeDynamicClient

	// refuseReal refuses a job of this name only when it is really created.
	refuseReal string
	// done is what was really done, in order.
	done []string
}

func newCluster(existing ...string) *cluster {
	c := &cluster{FakeDynamicClient: fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{jobs(): "TestJobList"})}
	for _, name := range existing {
		err := c.Tracker().Create(jobs(), object(name, "default"), "default")
		if err != nil {
			panic(err)
		}
	}
	c.PrependReactor("create", "testjobs", c.create)
	c.PrependReactor("delete", "testjobs", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if a, ok := a.(clienttesting.DeleteAction); ok {
			c.done = append(c.done, "delete "+a.GetName())
		}
		return false, nil, nil
	})
	return c
}

func (c *cluster) create(action clienttesting.Action) (bool, runtime.Object, error) {
	create, ok := action.(clienttesting.CreateActionImpl)
	if !ok {
		return true, nil, errors.New("not a create")
	}
	job, ok := create.GetObject().(*unstructured.Unstructured)
	if !ok {
		return true, nil, errors.New("not an object")
	}
	if job.GetResourceVersion() != "" {
		return true, nil, errors.New("resourceVersion should not be set on objects to be created")
	}
	dry := slices.Contains(create.CreateOptions.DryRun, metav1.DryRunAll)
	if strings.HasPrefix(job.GetName(), "bad") || (!dry && job.GetName() == c.refuseReal) {
		return true, nil, apierrors.NewInvalid(schema.GroupKind{Group: "kubeflow.org", Kind: "TestJob"}, job.GetName(), field.ErrorList{
			field.Invalid(field.NewPath("spec", "a"), -1, "must not be negative"),
			field.Required(field.NewPath("spec", "b"), "is required"),
			field.Required(field.NewPath("spec", "b"), "is required"),
		})
	}
	if create.CreateOptions.FieldValidation != metav1.FieldValidationStrict {
		return true, nil, errors.New("unknown fields would be dropped silently")
	}
	if _, err := c.Tracker().Get(jobs(), job.GetNamespace(), job.GetName()); err == nil {
		return true, nil, apierrors.NewAlreadyExists(jobs().GroupResource(), job.GetName())
	}
	if dry {
		return true, job, nil
	}
	c.done = append(c.done, "create "+job.GetName())
	job = job.DeepCopy()
	job.SetUID(types.UID("uid-of-" + job.GetName()))
	return true, job, c.Tracker().Create(jobs(), job, job.GetNamespace())
}

func jobs() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: "testjobs"}
}

func object(name, namespace string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "kubeflow.org/v1", "kind": "TestJob"}}
	u.SetName(name)
	u.SetNamespace(namespace)
	return u
}

// of changes the API version and kind of an object.
func of(apiVersion, kind string, u *unstructured.Unstructured) *unstructured.Unstructured {
	u.SetAPIVersion(apiVersion)
	u.SetKind(kind)
	return u
}

func TestSubmit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, reason string
		cluster      *cluster
		change       func(*manifest.Submitter)
		objects      []*unstructured.Unstructured
		want         []string
		wantErr      []string
	}{
		{
			name: "good", reason: "a job without a namespace goes to the default one",
			cluster: newCluster(),
			objects: []*unstructured.Unstructured{object("a", ""), object("b", "other")},
			want:    []string{"create a", "create b"},
		},
		{
			name: "from a cluster", reason: "what kubectl get -o yaml prints can be submitted again",
			cluster: newCluster("a"),
			change:  func(s *manifest.Submitter) { s.Replace = true },
			objects: func() []*unstructured.Unstructured {
				o := object("a", "")
				o.SetResourceVersion("4711")
				o.SetUID("before")
				return []*unstructured.Unstructured{o}
			}(),
			want: []string{"delete a", "create a"},
		},
		{
			name: "bad", reason: "nothing is created if one job is refused; each cause is reported once, with its field",
			cluster: newCluster(),
			objects: []*unstructured.Unstructured{object("a", ""), object("bad", "")},
			wantErr: []string{
				"f.yaml:2: TestJob bad: the server refused it:",
				"  - spec.a: Invalid value: -1: must not be negative",
				"  - spec.b: Required value: is required",
			},
		},
		{
			name: "late refusal", reason: "jobs that were created are deleted if a later one is refused after all",
			cluster: func() *cluster { c := newCluster(); c.refuseReal = "b"; return c }(),
			objects: []*unstructured.Unstructured{object("a", ""), object("b", "")},
			want:    []string{"create a", "delete a"},
			wantErr: []string{
				"f.yaml:2: TestJob b: the server refused it:",
				"  - spec.a: Invalid value: -1: must not be negative",
				"  - spec.b: Required value: is required",
			},
		},
		{
			name: "exists", reason: "a job of the name is not touched, and the message says what can be done",
			cluster: newCluster("a"),
			objects: []*unstructured.Unstructured{object("a", "")},
			wantErr: []string{"f.yaml:1: TestJob a: exists in namespace default already: delete it before (--replace does), " +
				"rename the new one, or set metadata.generateName in place of metadata.name"},
		},
		{
			name: "replace", reason: "it is deleted first if that was asked for",
			cluster: newCluster("a"),
			change:  func(s *manifest.Submitter) { s.Replace = true },
			objects: []*unstructured.Unstructured{object("a", "")},
			want:    []string{"delete a", "create a"},
		},
		{
			name: "replace bad", reason: "a job that is refused replaces nothing",
			cluster: newCluster("bad"),
			change:  func(s *manifest.Submitter) { s.Replace = true },
			objects: []*unstructured.Unstructured{object("bad", "")},
			wantErr: []string{
				"f.yaml:1: TestJob bad: the server refused it:",
				"  - spec.a: Invalid value: -1: must not be negative",
				"  - spec.b: Required value: is required",
			},
		},
		{
			name: "unknown kinds", reason: "the message says how to teach the cluster a kind, as far as that is known",
			cluster: newCluster(),
			objects: []*unstructured.Unstructured{
				of("kubeflow.org/v1", "FooJob", object("a", "")),
				of("kubeflow.org/v1", "OurJob", object("b", "")),
				of("kubeflow.org/v2", "TestJob", object("c", "")),
			},
			wantErr: []string{
				"f.yaml:1: FooJob a: the cluster does not know the kind FooJob in kubeflow.org/v1: " +
					"check the spelling, or install the CRD of the operator that brings this kind",
				"f.yaml:2: OurJob b: the cluster does not know the kind OurJob in kubeflow.org/v1: " +
					`its CRD is not installed: install it with "how-to-install"`,
				"f.yaml:3: TestJob c: the cluster does not know the kind TestJob in kubeflow.org/v2, only in kubeflow.org/v1: change apiVersion",
			},
		},
		{
			name: "no job", reason: "Kubernetes' own kinds have no job status, and would be waited for without end",
			cluster: newCluster(),
			objects: []*unstructured.Unstructured{of("batch/v1", "Job", object("a", "")), of("v1", "ConfigMap", object("b", ""))},
			wantErr: []string{
				"f.yaml:1: Job a: Job (batch/v1) is not a job kind: jobkit runs the kinds that jobkit operators and " +
					"training-operator bring, such as TestJob; apply this object with kubectl before",
				"f.yaml:2: ConfigMap b: ConfigMap (v1) is not a job kind: jobkit runs the kinds that jobkit operators and " +
					"training-operator bring, such as TestJob; apply this object with kubectl before",
			},
		},
		{
			name: "two namespaces", reason: "of two namespaces that were asked for, none is guessed to be meant",
			cluster: newCluster(),
			change:  func(s *manifest.Submitter) { s.Forced = true },
			objects: []*unstructured.Unstructured{object("a", "other")},
			wantErr: []string{`f.yaml:1: TestJob a: its metadata.namespace is "other", but --namespace is "default": make them the same, or leave one out`},
		},
		{
			name: "no answer", reason: "a cluster that does not answer is not one that does not know the kind",
			cluster: newCluster(),
			change:  func(s *manifest.Submitter) { s.Discovery = known{errors.New("connection refused")} },
			objects: []*unstructured.Unstructured{object("a", "")},
			wantErr: []string{"f.yaml:1: TestJob a: cannot read the kinds of the cluster: connection refused"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &manifest.Submitter{
				Client: c.cluster, Discovery: known{}, Namespace: "default",
				HowToInstall: func(kind schema.GroupVersionKind) string {
					if kind.Kind == "OurJob" {
						return "how-to-install"
					}
					return ""
				},
			}
			if c.change != nil {
				c.change(s)
			}
			var documents []manifest.Document
			for i, o := range c.objects {
				documents = append(documents, manifest.Document{Source: "f.yaml", Line: i + 1, Object: o})
			}
			submitted, err := s.Submit(t.Context(), documents)
			var gotErr []string
			if err != nil {
				gotErr = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff([]any{c.want, c.wantErr}, []any{c.cluster.done, gotErr}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			for i, job := range submitted {
				want := fmt.Sprintf("uid-of-%s testjobs.kubeflow.org/%[1]s -n %s", c.objects[i].GetName(), job.Object.GetNamespace())
				if got := string(job.UID) + " " + job.Target(); got != want {
					t.Errorf("submitted job: got %q, want %q", got, want)
				}
			}
		})
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	c := newCluster()
	s := &manifest.Submitter{Client: c, Discovery: known{}, Namespace: "default"}
	submitted, err := s.Submit(t.Context(), []manifest.Document{{Source: "f.yaml", Line: 1, Object: object("a", "")}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time it is gone, which is what was wanted
		err = s.Delete(t.Context(), submitted)
		if err != nil {
			t.Fatal(err)
		}
	}
	actions := c.Actions()
	last, ok := actions[len(actions)-1].(clienttesting.DeleteActionImpl)
	if !ok || last.DeleteOptions.Preconditions == nil || *last.DeleteOptions.Preconditions.UID != "uid-of-a" {
		t.Errorf("the deletion is not bound to the job's UID, and could hit another job of its name: %+v", last)
	}
}

// TestReplaceWaits has a job that is not gone at once.
func TestReplaceWaits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason string
		// answers are those to reads of the job after its deletion, one a second or faster; then it is gone.
		answers []error
		timeout time.Duration
		said    []string
		err     string
	}{
		{reason: "an API server that starts again is waited for", answers: []error{errors.New("connection refused"), apierrors.NewTimeoutError("slow", 1)}},
		{
			reason: "what takes long is said once", answers: make([]error, 9),
			said: []string{"waiting until testjobs.kubeflow.org/a -n default is deleted, for which its finalizers have to be removed: example.com/f"},
		},
		{
			reason: "no longer than is allowed", answers: make([]error, 1000), timeout: time.Minute,
			said: []string{"waiting until testjobs.kubeflow.org/a -n default is deleted, for which its finalizers have to be removed: example.com/f"},
			err: "f.yaml:1: TestJob a: cannot replace the existing job: it is still being deleted, " +
				"for which its finalizers have to be removed: example.com/f: the time was up",
		},
		{
			reason: "what does not pass is not waited for", answers: []error{apierrors.NewForbidden(jobs().GroupResource(), "a", errors.New("no"))},
			err: "f.yaml:1: TestJob a: cannot replace the existing job: it is deleted, but whether it is gone cannot be read: " +
				`testjobs.kubeflow.org "a" is forbidden: no`,
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := newCluster("a")
			before := object("a", "default")
			before.SetUID("before")
			before.SetFinalizers([]string{"example.com/f"})
			if err := client.Tracker().Update(jobs(), before, "default"); err != nil {
				t.Fatal(err)
			}
			deleted, answers := false, c.answers
			client.PrependReactor("delete", "testjobs", func(a clienttesting.Action) (bool, runtime.Object, error) {
				deletion, ok := a.(clienttesting.DeleteActionImpl)
				if p := deletion.DeleteOptions.Preconditions; !ok || p == nil || *p.UID != "before" {
					t.Errorf("%s: another job of the name could be deleted: %+v", c.reason, a)
				}
				deleted = true
				return len(c.answers) > 0, nil, nil
			})
			client.PrependReactor("get", "testjobs", func(clienttesting.Action) (bool, runtime.Object, error) {
				if !deleted {
					return false, nil, nil
				}
				if len(answers) == 0 {
					_ = client.Tracker().Delete(jobs(), "default", "a")
					return false, nil, nil
				}
				err := answers[0]
				answers = answers[1:]
				return true, before, err
			})
			ctx := t.Context()
			if c.timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, c.timeout, errors.New("the time was up"))
				defer cancel()
			}
			var said []string
			s := &manifest.Submitter{Client: client, Discovery: known{}, Namespace: "default", Replace: true, Say: func(text string) { said = append(said, text) }}
			_, err := s.Submit(ctx, []manifest.Document{{Source: "f.yaml", Line: 1, Object: object("a", "")}})
			message := ""
			if err != nil {
				message = err.Error()
			}
			if diff := cmp.Diff([]any{c.said, c.err}, []any{said, message}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}
