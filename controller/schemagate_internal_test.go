package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/openapi"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// gateJob is a job of a kind of an author's own.
type gateJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Status commonv1.JobStatus `json:"status"`
}

func (j *gateJob) DeepCopyObject() runtime.Object {
	c := *j
	c.Status = *j.Status.DeepCopy()
	return &c
}

// served is an API server that serves the schema of gateJobs.
type served struct {
	mu       sync.Mutex
	fields   []string // of the status; nil if the kind is not served
	err      error
	requests int
	paths    map[string]any
}

func (s *served) PathsWithContext(context.Context) (map[string]openapi.GroupVersionWithContext, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if s.err != nil {
		return nil, s.err
	}
	paths := map[string]openapi.GroupVersionWithContext{"apis/other.org/v1": s}
	if s.fields != nil {
		paths["apis/example.org/v1"] = s
	}
	return paths, nil
}

func (s *served) ServerRelativeURL() string { return "" }

func (s *served) SchemaWithContext(context.Context, string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	properties := map[string]any{}
	for _, f := range s.fields {
		properties[f] = map[string]any{"x-kubernetes-preserve-unknown-fields": true}
	}
	kind := map[string]any{"group": "example.org", "version": "v1", "kind": "GateJob"}
	return json.Marshal(map[string]any{"paths": s.paths, "components": map[string]any{"schemas": map[string]any{"org.example.v1.GateJob": map[string]any{
		"x-kubernetes-group-version-kind": []any{kind}, "properties": map[string]any{"status": map[string]any{"properties": properties}},
	}}}})
}

// serve has the status have these fields, and requested returns how often it was asked.
func (s *served) serve(fields []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fields = fields
}

func (s *served) requested() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// eventLog are the events of a test.
type eventLog struct{ events []string }

func (r *eventLog) Eventf(regarding, _ runtime.Object, kind, reason, _, note string, args ...any) {
	name := "?"
	if o, ok := regarding.(client.Object); ok {
		name = o.GetObjectKind().GroupVersionKind().Kind + " " + o.GetName()
	}
	r.events = append(r.events, fmt.Sprintf("%s: %s %s: %s", name, kind, reason, fmt.Sprintf(note, args...)))
}

// whole lists the fields of a status.
func whole() []string {
	var names []string
	for f := range reflect.TypeFor[commonv1.JobStatus]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// TestKindWithOldCRD checks known-bugs row 111: of a kind whose CRD lacks fields of the
// status no job is run until it has them.
func TestKindWithOldCRD(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &served{fields: []string{"conditions", "replicaStatuses", "startTime", "completionTime", "lastReconcileTime"}}
		events := &eventLog{}
		var lines []string
		log := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
		var ready []string
		g := &schemaGate{
			gvk: schema.GroupVersionKind{Group: "example.org", Version: "v1", Kind: "GateJob"}, crd: "gatejobs.example.org", job: reflect.TypeFor[*gateJob](),
			schemas: server, log: log, recorder: events, reported: map[types.UID]bool{}, again: make(chan struct{}, 1),
			report: func(why error) { ready = append(ready, fmt.Sprint(why)) },
		}
		job := &gateJob{TypeMeta: metav1.TypeMeta{Kind: "GateJob"}, ObjectMeta: metav1.ObjectMeta{Name: "a", UID: "1"}}
		ended := &gateJob{ObjectMeta: metav1.ObjectMeta{Name: "b", UID: "2"}}
		if after, held := g.holds(job, false); !held || after != retryStale {
			t.Errorf("before the schema was checked a job is held %t for %s", held, after)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- g.Start(ctx) }()
		synctest.Wait()

		for range 3 {
			if after, held := g.holds(job, false); !held || after != schemaRetry {
				t.Errorf("a job is held %t, and requeued after %s", held, after)
			}
			if _, held := g.holds(ended, true); !held {
				t.Error("a job that has ended is run")
			}
			time.Sleep(schemaRetry)
			synctest.Wait()
		}
		const why = "he CustomResourceDefinition gatejobs.example.org is older than the operator: the API server drops status.attempt, status.failedNodes, status.failures, " +
			"status.jobRestarts and 6 more, so no restart would be counted. No GateJob is run until the CRD of this version is applied: " +
			"kubectl apply --server-side --force-conflicts -f config/crd/example.org_gatejobs.yaml"
		want := []string{"CustomResourceDefinition gatejobs.example.org: Warning CRDOutdated: T" + why, "GateJob a: Warning CRDOutdated: T" + why}
		if diff := cmp.Diff(want, events.events); diff != "" {
			t.Errorf("each has one event, and jobs that have ended are not (-want +got):\n%s", diff)
		}
		if len(lines) != 1 || !strings.Contains(lines[0], why) {
			t.Errorf("the log says it once: %q", lines)
		}
		if g.forget(job.GetUID()); len(g.reported) > 0 {
			t.Errorf("jobs that are gone are remembered: %v", g.reported)
		}

		server.serve(whole())
		time.Sleep(schemaRetry)
		synctest.Wait()
		if _, held := g.holds(job, false); held {
			t.Error("the CRD was updated, and the job is still held")
		}
		requests := server.requested()
		time.Sleep(time.Hour)
		if n := server.requested() - requests; n != 0 {
			t.Errorf("%d requests are made while all is well", n)
		}

		// An older one is applied over it: a status write is refused.
		server.serve(whole()[:3])
		g.refused()
		g.refused()
		time.Sleep(schemaRetry)
		synctest.Wait()
		if _, held := g.holds(job, false); !held {
			t.Error("the CRD has become older, and the job is run")
		}
		server.serve(append(whole(), "more"))
		time.Sleep(schemaRetry)
		synctest.Wait()
		if _, held := g.holds(job, false); held {
			t.Error("the CRD was updated again, and the job is still held")
		}
		if len(ready) != 4 || ready[0] != "t"+why || ready[1] != "<nil>" || ready[3] != "<nil>" {
			t.Errorf("what the probe has is %q", ready)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the end of the manager is an error: %v", err)
		}
	})
}

// TestSchemaThatCannotBeRead checks that jobs are run when no one can say what the API
// server keeps: the writes of their status still do.
func TestSchemaThatCannotBeRead(t *testing.T) {
	gvk := schema.GroupVersionKind{Group: "example.org", Version: "v1", Kind: "GateJob"}
	for reason, tc := range map[string]struct {
		server *served
		job    reflect.Type
		done   bool
	}{
		"the schemas cannot be read": {server: &served{err: errors.New("forbidden")}, job: reflect.TypeFor[*gateJob]()},
		"the CRD does not exist yet": {server: &served{}, job: reflect.TypeFor[*gateJob]()},
		"the job has no status":      {server: &served{fields: []string{}}, job: reflect.TypeFor[*corev1.Pod](), done: true},
	} {
		g := &schemaGate{gvk: gvk, job: tc.job, schemas: tc.server, log: logr.Discard(), recorder: &eventLog{}}
		if done := g.check(t.Context()); done != tc.done {
			t.Errorf("%s: no further check is needed: %t", reason, done)
		}
		if after, held := g.holds(&gateJob{}, false); held {
			t.Errorf("%s: jobs are held for %s", reason, after)
		}
	}
	var none *schemaGate
	none.refused()
	if _, held := none.holds(&gateJob{}, false); held {
		t.Error("without a manager the schema is not checked, and jobs are run")
	}
}

// TestKindWithoutStatus: a kind without the subresource status is not run, because no
// status of its jobs can be written; the API server answers as if the job were gone.
func TestKindWithoutStatus(t *testing.T) {
	const job, status = "/apis/example.org/v1/namespaces/{namespace}/gatejobs/{name}", "/apis/example.org/v1/namespaces/{namespace}/gatejobs/{name}/status"
	server := &served{fields: whole(), paths: map[string]any{job: struct{}{}}}
	events := &eventLog{}
	var ready []error
	g := &schemaGate{
		gvk: schema.GroupVersionKind{Group: "example.org", Version: "v1", Kind: "GateJob"}, crd: "gatejobs.example.org", job: reflect.TypeFor[*gateJob](),
		schemas: server, log: logr.Discard(), recorder: events, reported: map[types.UID]bool{}, report: func(err error) { ready = append(ready, err) },
	}
	if done := g.check(t.Context()); done {
		t.Error("it is checked again until the schema is right")
	}
	const why = "the CustomResourceDefinition gatejobs.example.org has no subresource status, so the status of a job cannot be written. " +
		"No GateJob is run until it has: put +kubebuilder:subresource:status on the Go type, generate the CRD and apply it"
	if diff := cmp.Diff([]string{"CustomResourceDefinition gatejobs.example.org: Warning CRDOutdated: T" + why[1:]}, events.events); diff != "" {
		t.Errorf("an event says so (-want +got):\n%s", diff)
	}
	if _, held := g.holds(&gateJob{}, false); !held || len(ready) != 1 || ready[0] == nil {
		t.Errorf("no job is run, and the probe says so: %t, %v", held, ready)
	}
	server.paths[status] = struct{}{}
	if done := g.check(t.Context()); !done {
		t.Error("with the subresource the schema is right")
	}
	if _, held := g.holds(&gateJob{}, false); held {
		t.Error("and jobs are run")
	}
}

func TestWouldDrop(t *testing.T) {
	words := `{"metadata":{"annotations":{"a":"strict decoding error: unknown field \"x\""}}}`
	invalid := func(detail string) error {
		return apierrors.NewInvalid(schema.GroupKind{Kind: "GateJob"}, "a", field.ErrorList{field.Invalid(field.NewPath("patch"), words, detail)})
	}
	for reason, tc := range map[string]struct {
		err  error
		want string
	}{
		"the API server's words, without the job": {
			err:  invalid(`strict decoding error: unknown field "status.failures[0].node", unknown field "status.restarts"`),
			want: "the API server would drop status.failures[0].node, status.restarts: the CustomResourceDefinition is older than the operator",
		},
		"another mistake":  {err: apierrors.NewInvalid(schema.GroupKind{}, "a", nil)},
		"another answer":   {err: apierrors.NewConflict(schema.GroupResource{}, "a", errors.New("strict decoding error: unknown field"))},
		"no answer at all": {err: errors.New("strict decoding error: unknown field")},
	} {
		got := ""
		if err := wouldDrop(tc.err); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", reason, got, tc.want)
		}
	}
}
