package get_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jobkit/jobkit/internal/cli/get"
	"github.com/jobkit/jobkit/internal/cli/jobs"
)

func named(names ...string) []jobs.Found {
	var found []jobs.Found
	for _, name := range names {
		found = append(found, jobs.Found{Object: &unstructured.Unstructured{Object: map[string]any{
			"kind": "JAXJob", "metadata": map[string]any{"name": name, "namespace": "ns", "managedFields": []any{}},
		}}})
	}
	return found
}

// TestLive has jobs come and go, and a cluster that does not answer for a while.
func TestLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := []struct {
			found []jobs.Found
			err   error
		}{{named("a", "b"), nil}, {nil, errors.New("out of reach")}, {named("b"), nil}}
		ctx, cancel := context.WithCancel(t.Context())
		live := get.NewLive(ctx, named("a"), get.Period, func(context.Context) ([]jobs.Found, error) {
			next := answers[0]
			answers = answers[1:]
			return next.found, next.err
		})
		for i, want := range []struct {
			reason  string
			jobs    int
			trouble bool
		}{{"at first", 1, false}, {"one comes", 2, false}, {"no answer: what was known stays", 2, true}, {"one goes", 1, false}} {
			if got := live.Snapshot(time.Now()); len(got.Jobs) != want.jobs || (live.Trouble() != nil) != want.trouble {
				t.Errorf("%s: %d jobs, trouble %v", want.reason, len(got.Jobs), live.Trouble())
			}
			if i < 3 { // as many answers
				<-live.Changes()
			}
		}
		cancel()
		synctest.Wait()
	})
}

// TestGone has a job that was asked for by its name, is deleted, and created again.
func TestGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked := func(names ...string) []jobs.Found {
			found := named(names...)
			for i := range found {
				found[i].Named = true
			}
			return found
		}
		answers := [][]jobs.Found{asked("b"), asked("b"), asked("a", "b")}
		ctx, cancel := context.WithCancel(t.Context())
		live := get.NewLive(ctx, asked("a", "b"), get.Period, func(context.Context) ([]jobs.Found, error) {
			next := answers[0]
			answers = answers[1:]
			return next, nil
		})
		for i, want := range []struct{ reason, states string }{
			{"at first", "a:Submitted b:Submitted "},
			{"one is deleted", "a:Deleted b:Submitted "},
			{"it stays so", "a:Deleted b:Submitted "},
			{"until there is a new one", "a:Submitted b:Submitted "},
		} {
			var shown strings.Builder
			for _, job := range live.Snapshot(time.Now()).Jobs {
				shown.WriteString(job.Name + ":" + job.State() + " ")
			}
			got := shown.String()
			if got != want.states || live.Trouble() != nil {
				t.Errorf("%s: got %q %v, want %q", want.reason, got, live.Trouble(), want.states)
			}
			if i < 3 { // as many answers
				<-live.Changes()
			}
		}
		cancel()
		synctest.Wait()
	})
}

func TestList(t *testing.T) {
	t.Parallel()
	found := named("a")
	items, ok := get.List(found)["items"].([]any)
	if !ok || len(items) != 1 {
		t.Fatalf("a list has its items, got %v", items)
	}
	item, _ := items[0].(map[string]any)
	if _, kept, _ := unstructured.NestedSlice(item, "metadata", "managedFields"); kept {
		t.Error("managedFields are noise")
	}
	if _, kept, _ := unstructured.NestedSlice(found[0].Object.Object, "metadata", "managedFields"); !kept {
		t.Error("the job itself stays as it is")
	}
}
