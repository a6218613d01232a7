package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
	"github.com/jobkit/jobkit/jobtest"
)

// caseSetUp is the case without which no other one can begin.
const caseSetUp = "SetUp"

// hookCases call the author's methods as the library does, without a cluster.
func (s Suite[J]) hookCases() []testCase {
	return []testCase{
		{name: caseSetUp, check: s.setUp},
		{name: "Fields", check: s.fields},
		{name: "DeepCopy", check: s.deepCopy},
		{name: "Input", check: s.input},
		{name: "Results", check: s.results},
		{name: "Stable", check: s.stable},
		{name: "Concurrent", check: s.concurrent},
	}
}

// setUp sets the controller up.
func (s Suite[J]) setUp(ctx context.Context) error {
	known, err := s.known()
	if err != nil {
		return err
	}
	world, err := jobtest.NewWorldOf(s.program(), known, s.Options)
	if err != nil {
		return findingf("set-up", "the controller cannot be set up: %v", err)
	}
	err = world.Run(ctx) // It starts the operator, which has no job yet.
	if v, ok := errors.AsType[*jobtest.ViolationError](err); ok {
		return findingf("set-up", "%s", v.Message)
	}
	if err != nil {
		return findingf("set-up", "the controller cannot be set up: %v", err)
	}
	return nil
}

// fields checks that the job has its replica specs where Kind says. Set-up knows the types of the
// fields, and no entries.
func (s Suite[J]) fields(context.Context) error {
	author, job := s.author(), s.job()
	text, err := json.Marshal(job)
	if err != nil {
		return findingf("fields", "a %T cannot be written as JSON: %v", job, err)
	}
	var whole any
	if err := json.Unmarshal(text, &whole); err != nil {
		return findingf("fields", "a %T cannot be read as JSON: %v", job, err)
	}
	kind, specs := s.kind(author), author.Parts(job).ReplicaSpecs
	for _, t := range kind.Types() {
		if specs[t] != nil && plan.SpecAt(whole, plan.SpecSteps(&kind, t)) == nil {
			return findingf("fields", "Parts() returns a replica spec of %s, but the job has none at %s: correct Parts, Role.Field or Kind.ReplicaSpecsField",
				t, kind.SpecPath(t))
		}
	}
	return nil
}

// deepCopy checks the job's own copy.
func (s Suite[J]) deepCopy(context.Context) error {
	job := s.job()
	copied, ok := job.DeepCopyObject().(J)
	if !ok {
		return findingf("input", "DeepCopyObject() of a %T returns a %T", job, job.DeepCopyObject())
	}
	if where := sharedMemory(job, copied); where != "" {
		return findingf("input", "a deep copy of the job shares memory with it: %s: generate DeepCopyObject again", where)
	}
	if !same(job, copied) {
		return findingf("input", "a deep copy of the job is another job: generate DeepCopyObject again:\n%s", difference(job, copied))
	}
	return nil
}

// call is one call of an author's method.
type call struct {
	name string
	// result is what is compared; it holds memory of the input if the method does.
	result any
	// inputs are what the method got, each with a copy from before.
	inputs [][2]any
}

// defaulted is a job as the author's methods get it.
func (s Suite[J]) defaulted(author jobkit.ControllerInterface[J]) J {
	job := s.job()
	if d, ok := author.(jobkit.Defaulter[J]); ok {
		d.Default(job)
	}
	kind, parts := s.kind(author), author.Parts(job)
	plan.SetDefaults(&kind, parts.RunPolicy, parts.ReplicaSpecs)
	return job
}

// kind is the author's kind with its defaults.
func (s Suite[J]) kind(author jobkit.ControllerInterface[J]) jobkit.Kind {
	kind := author.Kind()
	if known, err := s.known(); err == nil {
		if kinds, _, err := known.ObjectKinds(s.Job); err == nil && len(kinds) > 0 {
			kind.Name, kind.APIVersion = kinds[0].Kind, kinds[0].GroupVersion().String()
		}
	}
	kind.SetDefaults()
	return kind
}

// calls are those of every method of the author that is to be a pure function.
func (s Suite[J]) calls(author jobkit.ControllerInterface[J]) []call {
	var out []call
	on := func(name string, method func(job J) any, further ...[2]any) {
		job := s.defaulted(author)
		before := job.DeepCopyObject()
		out = append(out, call{name: name, result: method(job), inputs: append(further, [2]any{job, before})})
	}
	on("Kind", func(J) any { return author.Kind() })
	on("Rules", func(job J) any { return author.Rules(job) })
	if v, ok := author.(jobkit.Validator[J]); ok {
		on("Validate", func(job J) any { return fmt.Sprint(v.Validate(job)) })
	}
	if w, ok := author.(jobkit.Warner[J]); ok {
		on("Warn", func(job J) any { return w.Warn(job) })
	}
	for _, state := range []jobkit.ReplicaState{jobkit.Missing, jobkit.Pending, jobkit.Active, jobkit.Succeeded, jobkit.Failed} {
		tally, before := s.tally(author, state), s.tally(author, state)
		if o, ok := author.(jobkit.OwnedObjects[J]); ok {
			on("Objects", func(job J) any { return unwrapped(o.Objects(job, tally)) }, [2]any{tally, before})
		}
		if r, ok := author.(jobkit.StatusReporter[J]); ok {
			job := s.defaulted(author)
			events := r.ReportStatus(job, tally)
			out = append(out, call{name: "ReportStatus", result: []any{events, job}, inputs: [][2]any{{tally, before}}})
		}
		if e, ok := author.(jobkit.StatusEvaluator[J]); ok {
			on("EvaluateStatus", func(job J) any { return e.EvaluateStatus(job, tally) }, [2]any{tally, before})
		}
	}
	return append(out, s.templates(author)...)
}

// templates calls SetClusterSpec for every replica.
func (s Suite[J]) templates(author jobkit.ControllerInterface[J]) []call {
	var out []call
	job := s.defaulted(author)
	parts := author.Parts(job)
	replica := parts.Replicas(s.kind(author), job)
	for _, t := range slices.Sorted(maps.Keys(parts.ReplicaSpecs)) {
		for i := range jobkit.Count(parts.ReplicaSpecs, t) {
			before := job.DeepCopyObject()
			template := parts.ReplicaSpecs[t].Template.DeepCopy()
			err := author.SetClusterSpec(job, replica(t, i, 0), template)
			out = append(out, call{
				name: "SetClusterSpec", result: struct {
					Template *corev1.PodTemplateSpec
					Error    string
				}{template, fmt.Sprint(err)}, inputs: [][2]any{{job, before}},
			})
		}
	}
	return out
}

// unwrapped are the objects themselves, without what is special about them.
func unwrapped(objects []jobkit.Object) []jobkit.Object {
	out := make([]jobkit.Object, 0, len(objects))
	for _, o := range objects {
		if owned, ok := o.(jobkit.OwnedObject); ok {
			o = owned.Object
		}
		out = append(out, o)
	}
	return out
}

// tally is one in which all replicas of the job are in a state.
func (s Suite[J]) tally(author jobkit.ControllerInterface[J], state jobkit.ReplicaState) *jobkit.Tally {
	parts := author.Parts(s.defaulted(author))
	tally := &jobkit.Tally{}
	for _, role := range author.Kind().Roles {
		if parts.ReplicaSpecs[role.Type] == nil {
			continue
		}
		n := jobkit.Count(parts.ReplicaSpecs, role.Type)
		tt := jobkit.TypeTally{Type: role.Type, States: slices.Repeat([]jobkit.ReplicaState{state}, int(n))}
		tt.Pods = slices.Repeat([]bool{state != jobkit.Missing}, int(n))
		tt.Ready = slices.Repeat([]bool{state == jobkit.Active}, int(n))
		switch state {
		case jobkit.Active:
			tt.Counts = commonv1.ReplicaStatus{Active: n}
		case jobkit.Succeeded:
			tt.Counts = commonv1.ReplicaStatus{Succeeded: n}
		case jobkit.Failed:
			tt.Counts = commonv1.ReplicaStatus{Failed: n}
		case jobkit.Missing, jobkit.Pending, jobkit.Superseded, jobkit.Terminating:
		}
		tally.Types = append(tally.Types, tt)
	}
	return tally
}

// input checks that no method changes its input, or returns memory of it.
func (s Suite[J]) input(context.Context) error {
	for _, c := range s.calls(s.author()) {
		for _, in := range c.inputs {
			if !same(in[0], in[1]) {
				return findingf("input", "%s() changes the %T that it gets (-before +after):\n%s", c.name, in[0], difference(in[1], in[0]))
			}
			if where := sharedMemory(in[0], c.result); where != "" {
				return findingf("input", "the result of %s() shares memory with the %T that it got: %s of it", c.name, in[0], where)
			}
		}
	}
	return nil
}

// apart is how long after the first calls the last ones come: times in seconds differ then.
const apart = 1100 * time.Millisecond

// stable checks that the methods return the same for the same input.
func (s Suite[J]) stable(ctx context.Context) error {
	author := s.author()
	first := s.calls(author)
	for round := range 8 {
		if round == 7 {
			select {
			case <-time.After(apart):
			case <-ctx.Done():
			}
		}
		for i, c := range s.calls(author) {
			if !same(first[i].result, c.result) {
				return findingf("P1", "%s() returns something else for the same input (-first +later):\n%s", c.name, difference(first[i].result, c.result))
			}
			if where := sharedMemory(first[i].result, c.result); where != "" && c.name == "Objects" {
				return findingf("input", "Objects() returns the same memory in two calls: %s of the call before; the library and the client write to it: make a new object in each call, with maps of its own", where)
			}
		}
	}
	return s.defaultsStable(author)
}

// defaultsStable checks that defaults are set once.
func (s Suite[J]) defaultsStable(author jobkit.ControllerInterface[J]) error {
	if d, ok := author.(jobkit.Defaulter[J]); ok {
		once := s.defaulted(author)
		twice, ok := once.DeepCopyObject().(J)
		if ok {
			d.Default(twice)
		}
		if !same(once, twice) {
			return findingf("P1", "Default() changes a job that has its defaults already (-once +twice):\n%s", difference(once, twice))
		}
	}
	return nil
}

// concurrent calls the methods from several goroutines at once. The race detector finds more.
func (s Suite[J]) concurrent(context.Context) error {
	author := s.author()
	want := s.calls(author)
	var wg sync.WaitGroup
	found := make([]error, 4)
	for n := range found {
		wg.Go(func() {
			defer func() {
				if r := recover(); r != nil {
					found[n] = findingf("no panics", "panic: %v%s", r, panickedAt())
				}
			}()
			for i, c := range s.calls(author) {
				if !same(want[i].result, c.result) {
					found[n] = findingf("P1", "%s() returns something else when it is called from several goroutines at once", c.name)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range found {
		if err != nil {
			return err
		}
	}
	return nil
}

// same reports whether two values are the same, as the API sees them.
func same(a, b any) (is bool) {
	if reflect.DeepEqual(a, b) {
		return true
	}
	defer func() {
		if recover() != nil { // It has fields that the API does not have.
			is = false
		}
	}()
	return equality.Semantic.DeepEqual(a, b)
}

// difference says how two values differ.
func difference(a, b any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf("- %+v\n+ %+v", a, b)
		}
	}()
	return diff.Diff(a, b)
}
