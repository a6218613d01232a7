package run_test

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/run"
	"github.com/jobkit/jobkit/internal/cli/run/manifest"
)

func jobs() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: "testjobs"}
}

// known is a cluster that knows TestJob.
type known struct{}

func (known) ServerResourcesForGroupVersionWithContext(context.Context, string) (*metav1.APIResourceList, error) {
	return &metav1.APIResourceList{APIResources: []metav1.APIResource{{Name: "testjobs", Kind: "TestJob"}}}, nil
}

func (known) ServerGroupsWithContext(context.Context) (*metav1.APIGroupList, error) {
	return &metav1.APIGroupList{}, nil
}

// newClient is a cluster whose operator is fast: a job is created in the state that its
// name begins with, or in none.
func newClient(t *testing.T) *fake.FakeDynamicClient {
	t.Helper()
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{
		jobs(): "TestJobList", {Version: "v1", Resource: "pods"}: "PodList", {Version: "v1", Resource: "events"}: "EventList",
	})
	client.PrependReactor("create", "testjobs", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create, ok := action.(clienttesting.CreateActionImpl)
		if !ok {
			return true, nil, errors.New("not a create")
		}
		if len(create.CreateOptions.DryRun) > 0 {
			return true, create.GetObject(), nil
		}
		job, ok := create.GetObject().(*unstructured.Unstructured)
		if !ok {
			return true, nil, errors.New("not an object")
		}
		job = job.DeepCopy()
		job.SetUID(types.UID(job.GetName()))
		job.SetCreationTimestamp(metav1.Now())
		stored := job.DeepCopy()
		for name, state := range map[string]string{"good": "Succeeded", "bad": "Failed", "endless": "Running"} {
			if strings.HasPrefix(job.GetName(), name) {
				stored.Object["status"] = map[string]any{"conditions": []any{
					map[string]any{"type": state, "status": "True", "message": "as its name says"},
				}}
			}
		}
		if job.GetName() == "lost" { // deleted before it was seen
			return true, job, nil
		}
		return true, job, client.Tracker().Create(jobs(), stored, job.GetNamespace())
	})
	return client
}

func documents(names ...string) []manifest.Document {
	var found []manifest.Document
	for _, name := range names {
		u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "kubeflow.org/v1", "kind": "TestJob"}}
		u.SetName(name)
		found = append(found, manifest.Document{Source: "f.yaml", Line: 1, Object: u})
	}
	return found
}

// clock matches what differs from run to run.
var clock = regexp.MustCompile(`\d\d:\d\d:\d\d|after \d+s`)

func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, reason string
		jobs         []string
		change       func(*run.Options)
		out, err     string
		is           error
		message      string
		left         int
	}{
		{
			name: "good", reason: "each job's end is reported on standard output, nothing on standard error", jobs: []string{"good", "good-2"}, left: 2,
			out: "TIME  good    Succeeded\nTIME  good-2  Succeeded\n\nTestJob default/good: Succeeded TIME\nTestJob default/good-2: Succeeded TIME\n",
		},
		{
			name: "bad", reason: "of a job that failed, standard error has what is known", jobs: []string{"good", "bad"}, left: 2,
			out: "TIME  good  Succeeded\nTIME  bad   Failed      as its name says\n\nTestJob default/good: Succeeded TIME\nTestJob default/bad: Failed TIME\n",
			err: "\nTestJob default/bad failed:\n  conditions:\n    Failed      True    as its name says\n  pods:\n    none\n" +
				"  for its logs: kubectl logs -n default -l training.kubeflow.org/job-name=bad --prefix\n",
			is: run.ErrFailed, message: "not every job succeeded",
		},
		{
			name: "lost", reason: "a job that is gone has no outcome", jobs: []string{"lost"},
			out: "TIME  lost  Deleted     it was deleted before it finished\n\nTestJob default/lost: Deleted TIME\n",
			is:  run.ErrUnknown, message: "it is not known how every job ended",
		},
		{
			name: "delete", reason: "jobs are deleted when all have ended, also those that failed", jobs: []string{"good", "bad"},
			change: func(o *run.Options) { o.Delete = true },
			out:    "TIME  good  Succeeded\nTIME  bad   Failed      as its name says\n\nTestJob default/good: Succeeded TIME\nTestJob default/bad: Failed TIME\n",
			err: "\nTestJob default/bad failed:\n  conditions:\n    Failed      True    as its name says\n  pods:\n    none\n" +
				"  for its logs: kubectl logs -n default -l training.kubeflow.org/job-name=bad --prefix\n",
			is: run.ErrFailed, message: "not every job succeeded",
		},
		{
			name: "detach", reason: "the command does not wait", jobs: []string{"endless"}, left: 1,
			change: func(o *run.Options) { o.Detach = true },
			out:    "TestJob default/endless submitted\n",
		},
		{
			name: "timeout", reason: "a job that goes on is left alone, even with --delete, and the user is informed how to delete it",
			jobs: []string{"good", "endless"}, left: 2,
			change: func(o *run.Options) {
				o.Timeout, o.Delete, o.Kubectl = 700*time.Millisecond, true, "kubectl --context=x"
			},
			out: "TIME  good     Succeeded\nTIME  endless  Running\n\nTestJob default/good: Succeeded TIME\nTestJob default/endless: Running TIME\n",
			err: "\ntimed out after 700ms. What has not ended goes on running; to delete it:\n" +
				"  kubectl --context=x delete testjobs.kubeflow.org/endless -n default\n",
			is: run.ErrUnknown, message: "it is not known how every job ended: timed out after 700ms",
		},
		{
			name: "refused", reason: "nothing is submitted", jobs: []string{"good"},
			change: func(o *run.Options) { o.Documents[0].Object.SetAPIVersion("v1") },
			is:     run.ErrNotSubmitted,
			message: "no job was submitted:\nf.yaml:1: TestJob good: TestJob (v1) is not a job kind: jobkit runs the kinds that jobkit operators " +
				"and training-operator bring, such as TestJob; apply this object with kubectl before",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			client := newClient(t)
			o := run.Options{Client: client, Discovery: known{}, Documents: documents(c.jobs...), Namespace: "default"}
			if c.change != nil {
				c.change(&o)
			}
			err := run.Run(t.Context(), console.Streams{Out: &out, Err: &errs}, o)
			message := ""
			if err != nil {
				message = err.Error()
			}
			if !errors.Is(err, c.is) {
				t.Errorf("%s: error %v, want %v", c.reason, err, c.is)
			}
			// A state that ends at once may be seen or not.
			seen := regexp.MustCompile(`(?m)^TIME  \S+ +Submitted\n`).ReplaceAllString(clock.ReplaceAllString(out.String(), "TIME"), "")
			got := []string{seen, errs.String(), message}
			if diff := cmp.Diff([]string{c.out, c.err, c.message}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			list, err := client.Resource(jobs()).List(context.WithoutCancel(t.Context()), metav1.ListOptions{})
			if err != nil || len(list.Items) != c.left {
				t.Errorf("%s: %d jobs are left, want %d (%v)", c.reason, len(list.Items), c.left, err)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	err := run.Run(ctx, console.Streams{Out: &out, Err: &errs},
		run.Options{Client: newClient(t), Discovery: known{}, Documents: documents("endless"), Namespace: "default"})
	want := "it is not known how every job ended: interrupted"
	if !errors.Is(err, run.ErrUnknown) || err.Error() != want {
		t.Errorf("got error %v, want %q", err, want)
	}
	want = "\ninterrupted. What has not ended goes on running; to delete it:\n  kubectl delete testjobs.kubeflow.org/endless -n default\n"
	if diff := cmp.Diff(want, errs.String()); diff != "" {
		t.Errorf("the user must know that the job goes on (-want +got):\n%s", diff)
	}
}
