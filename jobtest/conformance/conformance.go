// Package conformance puts the controller of a job kind through the promises of the library: it
// calls the author's code as the library does, and runs jobs of the kind in a simulated cluster
// where everything goes wrong that can. One call is the whole test:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, simjob.Controller{}, simJob())
//	}
//
// The job is an ordinary one of the kind, with few replicas. What is tried with it:
//
//   - The methods of the author return the same for the same input, at any time and from several
//     goroutines; they neither change their input nor keep or return memory of it; they do not
//     panic or block.
//   - The job succeeds when its pods do, and ends when one fails, with each restart policy and
//     each restart scope. The rules can hold.
//   - It is suspended and resumed, scaled, edited, deleted; its pods are deleted, evicted and
//     cleaned up; its time runs out. Someone else's pod has its labels.
//   - At each call to the API server the call fails, its reply is lost, or the process crashes,
//     before and after it, and starts again with old caches.
//   - All of that at random, with two operators at once.
//
// Throughout, package jobtest checks its promises. A failure says in words what was tried, which
// promise was broken, what usually breaks it, and the last of what happened.
package conformance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	stdruntime "runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/jobtest"
)

// Suite is what is put through the promises. Either Author or Program is required, and Job is.
type Suite[J client.Object] struct {
	// Author is the author's part of the controller.
	Author jobkit.ControllerInterface[J]
	// Program is that of a controller whose author's part needs a client, or that has a loop of
	// its own. Default: Author, and the library's loop.
	Program *jobtest.Program[J]
	// Job is a valid job of the kind whose pods may all succeed. It is not changed.
	Job J
	// Scheme knows the kind, its owned objects and the core types. Default: the types of
	// Kubernetes, and that of the job, with its apiVersion and kind if it has them.
	Scheme *runtime.Scheme
	// Options are those of the simulated clusters; Chance, Fate and Operators are the suite's.
	Options jobtest.Options
	// Seeds is how many random runs to make. Default: 25.
	Seeds int
	// Patience is after how long, on the clock on the wall, a simple case is taken to hang; five
	// times as long for the two that take long. Default: a minute.
	Patience time.Duration
	// Skip names cases that do not apply to the kind, and says why.
	Skip map[string]string
}

// Run puts a controller through the promises, each case in a test of its own.
func Run[J client.Object](t *testing.T, author jobkit.ControllerInterface[J], job J) {
	t.Helper()
	Suite[J]{Author: author, Job: job}.Run(t)
}

// Run runs the suite, each case in a test of its own.
func (s Suite[J]) Run(t *testing.T) {
	t.Helper()
	if missing := s.missing(); missing != "" {
		t.Fatal(missing)
	}
	failed, left := 0, 0
	for _, c := range s.cases() {
		if why := s.Skip[c.name]; why != "" {
			t.Run(c.name, func(t *testing.T) { t.Skip(why) })
			continue
		}
		if failed >= MaxFindings || failed > 0 && c.thorough {
			left++
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			f := s.try(t.Context(), c)
			if f == nil {
				return
			}
			t.Error(f)
			if failed++; c.name == caseSetUp {
				failed = MaxFindings // No other case can begin.
			}
		})
	}
	if left > 0 {
		t.Logf("%d more cases are not tried, because others have failed", left)
	}
	s.checkSkipped(t)
}

// missing says what of the suite is not set that it cannot do without, or "".
func (s Suite[J]) missing() string {
	switch v := reflect.ValueOf(s.Job); {
	case s.Author == nil && (s.Program == nil || s.Program.Author == nil):
		return "Suite.Author is not set: give it the controller of the kind, or set Program"
	case !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil():
		return "Suite.Job is not set: give it an ordinary job of the kind, with few replicas"
	default:
		return ""
	}
}

// checkSkipped checks that each case that is left out exists, here or on a cluster.
func (s Suite[J]) checkSkipped(t *testing.T) {
	t.Helper()
	known := s.Cases()
	for _, cc := range s.clusterCases() {
		known = append(known, cc.name)
	}
	for name := range s.Skip {
		if !slices.Contains(known, name) {
			t.Errorf("Skip names the case %q, which does not exist: the cases are %s", name, strings.Join(known, ", "))
		}
	}
}

// Cases are the names of all cases of Run.
func (s Suite[J]) Cases() []string {
	var names []string
	for _, c := range s.cases() {
		names = append(names, c.name)
	}
	return names
}

// Check tries cases without a test, and returns what they find. Without names it tries all, up to
// the first [MaxFindings] that fail, and those that take long only if no other has failed.
func (s Suite[J]) Check(ctx context.Context, names ...string) []*Finding {
	if missing := s.missing(); missing != "" {
		return []*Finding{{Case: caseSetUp, Promise: "set-up", Message: missing}}
	}
	var found []*Finding
	for _, c := range s.cases() {
		switch {
		case s.Skip[c.name] != "", len(names) > 0 && !slices.Contains(names, c.name), len(names) == 0 && c.thorough && len(found) > 0:
			continue
		case len(found) == MaxFindings:
			return found
		}
		if f := s.try(ctx, c); f != nil {
			found = append(found, f)
			if c.name == caseSetUp {
				return found // No other case can begin.
			}
		}
	}
	return found
}

// MaxFindings is after how many findings a suite ends: the others are likely to have the same cause.
const MaxFindings = 5

// Finding is a promise that a controller breaks.
type Finding struct { //nolint:errname // it is what a suite finds; that it is an error, too, lets tests print it
	// Case is what was tried.
	Case string
	// Promise names the promise, for example "P2", or says what is wrong in a word.
	Promise string
	// Message says what happened, and Cause what usually causes that.
	Message, Cause string
	// Transcript is the last of what happened before, one line each.
	Transcript string
}

// Error implements error.
func (f *Finding) Error() string {
	s := fmt.Sprintf("%s: %s: %s", f.Case, f.Promise, f.Message)
	if f.Cause != "" {
		s += "\n" + f.Cause
	}
	if f.Transcript != "" {
		s += "\nThe last of what happened (time, who, what):\n" + f.Transcript
	}
	return s
}

// testCase is one case.
type testCase struct {
	name string
	// thorough is true of a case that takes long.
	thorough bool
	check    func(context.Context) error
}

// try tries a case. Code that panics or blocks is a finding like others.
func (s Suite[J]) try(ctx context.Context, c testCase) *Finding {
	ended := make(chan error, 1)
	go func() {
		err := errors.New("the case ended without a result")
		defer func() {
			if r := recover(); r != nil {
				err = finding{promise: "no panics", message: fmt.Sprintf("panic: %v%s", r, panickedAt())}
			}
			ended <- err
		}()
		err = c.check(ctx)
	}()
	limit := cmp.Or(s.Patience, time.Minute)
	if c.thorough {
		limit *= 5
	}
	select {
	case err := <-ended:
		return s.explain(c.name, err)
	case <-time.After(limit):
		return s.explain(c.name, finding{
			promise: "P11", message: fmt.Sprintf("the case has not ended after %s: some code of the author blocks, or goes on forever", limit),
		})
	}
}

// panickedAt says which function has panicked, and where. It is called by the function that recovers.
func panickedAt() string {
	callers := make([]uintptr, 64)
	frames := stdruntime.CallersFrames(callers[:stdruntime.Callers(2, callers)])
	panicked := false
	for {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicked = true
		case panicked && f.Function != "" && !strings.HasPrefix(f.Function, "runtime."):
			return fmt.Sprintf(" in %s (%s:%d)", f.Function, filepath.Base(f.File), f.Line)
		}
		if !more {
			return ""
		}
	}
}

// finding is what a case finds.
type finding struct{ promise, message, transcript string }

func (f finding) Error() string { return f.promise + ": " + f.message }

func findingf(promise, format string, args ...any) error {
	return finding{promise: promise, message: fmt.Sprintf(format, args...)}
}

// lastLines is how much of a transcript is shown.
const lastLines = 25

// explain makes of an error what an author is told.
func (s Suite[J]) explain(name string, err error) *Finding {
	if err == nil {
		return nil
	}
	f := &Finding{Case: name, Promise: "error", Message: err.Error()}
	if own, ok := errors.AsType[finding](err); ok {
		f.Promise, f.Message, f.Transcript = own.promise, own.message, own.transcript
	}
	if v, ok := errors.AsType[*jobtest.ViolationError](err); ok {
		f.Promise, f.Message, f.Transcript = v.Promise, v.Message, v.Transcript
		if with := strings.SplitN(err.Error(), v.Promise+" is broken", 2)[0]; with != "" {
			f.Message = with + f.Message
		}
	}
	f.Cause = causes()[f.Promise]
	if lines := strings.Split(strings.TrimRight(f.Transcript, "\n"), "\n"); len(lines) > lastLines {
		f.Transcript = fmt.Sprintf("(%d lines before)\n", len(lines)-lastLines) + strings.Join(lines[len(lines)-lastLines:], "\n")
	}
	return f
}

// causes are what usually breaks a promise, where the library itself does not.
func causes() map[string]string {
	return map[string]string{
		"P1": "The same input has to give the same result: the library asks again and again, and acts on every difference. " +
			"Usual causes: the order of a map, the time, a random name, a counter. Derive everything from the job and the tally.",
		"P2": "At rest nothing may be written. Usual causes: Objects() or ReportStatus() returns something else at each call " +
			"(the time, a random name, the order of a map), or a value that the API server changes when it stores it.",
		"P3": "The job has to get where its specification says. Usual causes: Rules() select no replica of the job, EvaluateStatus() never decides, " +
			"SetClusterSpec() returns an error, or a loop of the author's own does not call ReconcileJobs for each job.",
		"P4": "Usual causes: a PodControl that renames pods or creates them twice, or deletes pods by force.",
		"P5": "Usual causes: a StatusWriter that writes without the resource version of the job that it got, or an EvaluateStatus() that " +
			"decides otherwise than before.",
		"P6": "Usual causes: a PodControl or StatusWriter that changes labels, status or the order of calls, or reports success for a call that failed.",
		"P7": "Usual causes: a loop of the author's own that loses the result or the error of ReconcileJobs: the result says when the job is due again.",
		"P8": "Usual causes: Objects() that name an object which is not the job's, or a PodControl or loop that changes objects of others.",
		"preconditions": "Every write needs a precondition: UID, resource version, or a fixed name. So a stale cache, a second leader or a lost reply does no harm. " +
			"Usual causes: a PodControl, ServiceControl or StatusWriter that leaves out what is set in the object that it gets.",
		"conditions": "Usual causes: an EvaluateStatus() that does not say what its replicas do, or decides otherwise than before, or a StatusWriter that " +
			"writes something else than it gets. An EvaluateStatus() by which only some replicas make the job run needs Rules() whose Running selects these.",
		"P9": "Usual causes: objects without the job as their controller, or a PodControl that does not delete.",
		"P10": "Usual causes: a StatusWriter, PodControl or ServiceControl that makes more than one request, or tries again by itself what was refused. " +
			"Return the error: the library tries again when it is time.",
		"P11":    "Code of an author is called while other jobs wait. It must not call servers, wait, or loop without a limit.",
		"P12":    "A mistake of the operator must not fail the job of a user.",
		"fields": "Messages to users, and the rules of the CRD, name the fields at which Kind() says that a job has its replica specs.",
		"input": "The job and the tally belong to the library, which uses them in other goroutines at the same time. " +
			"Copy what you keep or change: DeepCopy(), maps.Clone, slices.Clone.",
		"no panics": "A panic stalls the job that causes it. Check for nil: an optional field of the job, or a replica type that it does not have.",
	}
}

// program is what runs.
func (s Suite[J]) program() jobtest.Program[J] {
	if s.Program != nil {
		return *s.Program
	}
	return jobtest.Program[J]{Author: func(client.Client) jobkit.ControllerInterface[J] { return s.Author }}
}

// author is the author's part, for calls without a cluster.
func (s Suite[J]) author() jobkit.ControllerInterface[J] {
	if s.Author != nil {
		return s.Author
	}
	return s.program().Author(noCluster{})
}

// noCluster is a client for an author's part whose methods are called without a cluster.
type noCluster struct{ client.Client }

// known is the scheme.
func (s Suite[J]) known() (*runtime.Scheme, error) {
	if s.Scheme != nil {
		return s.Scheme, nil
	}
	known := runtime.NewScheme()
	if err := scheme.AddToScheme(known); err != nil {
		return nil, fmt.Errorf("cannot make the core types known: %w", err)
	}
	gvk := s.Job.GetObjectKind().GroupVersionKind()
	kind := s.author().Kind()
	if gvk.Empty() && kind.APIVersion != "" {
		gvk = schema.FromAPIVersionAndKind(kind.APIVersion, kind.Name)
	}
	if gvk.Kind == "" {
		gvk.Kind = reflect.TypeFor[J]().Elem().Name()
	}
	if gvk.Version == "" {
		gvk.Group, gvk.Version = "conformance.example.com", "v1"
	}
	known.AddKnownTypeWithName(gvk, s.Job)
	return known, nil
}

// job is a copy of the job, with a name.
func (s Suite[J]) job() J {
	job, ok := s.Job.DeepCopyObject().(J)
	if !ok {
		return s.Job
	}
	if job.GetName() == "" {
		job.SetName("job")
	}
	job.SetNamespace("default")
	job.SetUID("")
	job.SetResourceVersion("")
	job.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return job
}

// cases are all cases, simple ones first.
func (s Suite[J]) cases() []testCase {
	return append(s.hookCases(), s.runCases()...)
}
