package jobtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// clumsy is a TestJob operator whose author makes a mistake for a while, with the jobs named j.
type clumsy struct {
	testjob.Controller

	mistake string
}

// Mistakes of an author.
const (
	panicInParts   = "Parts panics"
	panicInRules   = "Rules panics"
	panicInSpec    = "SetClusterSpec panics"
	errorOfSpec    = "SetClusterSpec returns an error"
	rulesNeverHold = "the rules never hold"
)

func mistakes() []string {
	return []string{panicInParts, panicInRules, panicInSpec, errorOfSpec, rulesNeverHold}
}

// makes reports whether the author makes a mistake with a job.
func (c *clumsy) makes(mistake string, job *testv1.TestJob) bool {
	return c.mistake == mistake && job.Name == jobKey.Name
}

func (c *clumsy) Parts(job *testv1.TestJob) jobkit.JobParts {
	if c.makes(panicInParts, job) {
		panic("oops")
	}
	return c.Controller.Parts(job)
}

func (c *clumsy) Rules(job *testv1.TestJob) jobkit.Rules {
	if c.makes(panicInRules, job) {
		panic("oops")
	}
	if c.makes(rulesNeverHold, job) {
		return jobkit.Rules{Success: []jobkit.SuccessRule{jobkit.AllOf(jobkit.Index(testv1.Worker, 99))}}
	}
	return c.Controller.Rules(job)
}

func (c *clumsy) SetClusterSpec(job *testv1.TestJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	if c.makes(panicInSpec, job) {
		panic("oops")
	}
	if c.makes(errorOfSpec, job) {
		return errors.New("the registry does not answer")
	}
	return c.Controller.SetClusterSpec(job, r, template)
}

// newClumsyWorld makes a World for such an operator. The monitor makes no mistakes.
func newClumsyWorld(o Options) (*World, *clumsy, error) {
	author := &clumsy{}
	w, err := NewWorld[*testv1.TestJob](author, testScheme, o)
	if err != nil {
		return nil, nil, err
	}
	right := testjob.Controller{}
	w.parts = func(o client.Object) jobkit.JobParts {
		job, ok := o.(*testv1.TestJob)
		if !ok {
			return jobkit.JobParts{}
		}
		return right.Parts(job)
	}
	w.statusOf = func(o client.Object) *commonv1.JobStatus { return w.parts(o).Status }
	w.rules = func(o client.Object) jobkit.Rules {
		job, ok := o.(*testv1.TestJob)
		if !ok {
			return jobkit.Rules{}
		}
		return right.Rules(job)
	}
	w.cacheFilters[w.jobs].transform = decoded
	return w, author, nil
}

// restart ends all processes of the operator; others begin at once.
func restart(w *World) {
	for _, p := range w.processes {
		if p != nil {
			w.crash(p, false)
		}
	}
}

// actMistake has the author make a mistake for a while.
func actMistake(author *clumsy) func(*Chance, *World, time.Duration, *testv1.TestJob) {
	return func(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
		mistake := oneOf(c, mistakes()...)
		deploy := func(mistake string) func(context.Context, client.Client) error {
			return func(context.Context, client.Client) error {
				author.mistake = mistake
				restart(w)
				return nil
			}
		}
		w.At(at, "deploys an operator in which "+mistake, deploy(mistake))
		w.At(at+time.Duration(c.Pick(60))*time.Second, "deploys the right one", deploy(""))
	}
}

// undecodable is the annotation of a job that the cache of jobs cannot decode.
const undecodable = "example.com/undecodable"

// decoded is a job as the cache of jobs has it: of one that cannot be decoded its metadata, its
// status and who manages it, with a mark in its self link.
func decoded(o any) (any, error) {
	job, ok := o.(*testv1.TestJob)
	if !ok || job.Annotations[undecodable] == "" {
		return o, nil
	}
	out := &testv1.TestJob{TypeMeta: job.TypeMeta, ObjectMeta: job.ObjectMeta, Status: job.Status}
	out.Spec.RunPolicy.ManagedBy = job.Spec.RunPolicy.ManagedBy
	out.SelfLink = "unreadable:quantities must match the regular expression" //nolint:staticcheck // the cache keeps that there
	return out, nil
}

// actUndecodable has a user write into the job what Go cannot decode, and put it right.
func actUndecodable(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	w.At(at, "writes what cannot be decoded", edit(func(j *testv1.TestJob) {
		j.Annotations = map[string]string{undecodable: "yes"}
		j.Spec.RunPolicy.BackoffLimit = new(int32(5)) // for the generation
	}))
	w.At(at+time.Duration(c.Pick(60))*time.Second, "puts it right", edit(func(j *testv1.TestJob) {
		delete(j.Annotations, undecodable)
		j.Spec.RunPolicy.BackoffLimit = new(int32(6))
	}))
}

// knownToV1 are the fields of a status that the CRDs of training-operator v1 have.
func knownToV1() []string {
	return []string{"conditions", "replicaStatuses", "startTime", "completionTime", "lastReconcileTime"}
}

// dropped are the fields of a status write that an API server with an older CRD would drop.
func dropped(patch []byte) []string {
	var body struct {
		Status map[string]any `json:"status"`
	}
	if json.Unmarshal(patch, &body) != nil {
		return nil
	}
	var out []string
	for _, field := range slices.Sorted(maps.Keys(body.Status)) {
		if !slices.Contains(knownToV1(), field) {
			out = append(out, fmt.Sprintf(`unknown field "status.%s"`, field))
		}
	}
	return out
}

// asOldCRDs is what a job's status says to those that read it from an API server with such a CRD.
func asOldCRDs(o client.Object) client.Object {
	job, ok := o.(*testv1.TestJob)
	if !ok {
		return o
	}
	job = job.DeepCopy()
	was := job.Status
	job.Status = commonv1.JobStatus{Conditions: was.Conditions, StartTime: was.StartTime, CompletionTime: was.CompletionTime}
	for t, rs := range was.ReplicaStatuses {
		if job.Status.ReplicaStatuses == nil {
			job.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{}
		}
		job.Status.ReplicaStatuses[t] = &commonv1.ReplicaStatus{Active: rs.Active, Succeeded: rs.Succeeded, Failed: rs.Failed, Selector: rs.Selector}
	}
	return job
}

// actOldCRD has someone replace the CRD by that of an older operator for a while: what that does not
// know is neither stored nor shown.
func actOldCRD(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	w.At(at, "applies the CRDs of an older operator", func(context.Context, client.Client) error {
		w.older = &olderCRD{shows: asOldCRDs, refuses: func(op call) error {
			if fields := dropped(op.patch); op.status && op.table == w.jobs && len(fields) > 0 {
				return apierrors.NewBadRequest("strict decoding error: " + strings.Join(fields, ", "))
			}
			return nil
		}}
		return nil
	})
	w.At(at+time.Duration(c.Pick(90))*time.Second, "applies the right CRDs", func(context.Context, client.Client) error {
		w.older = nil
		restart(w) // which lists the jobs again, as a change of the CRD has it do
		return nil
	})
}

// TestRandomMistakes: whatever the author of the operator, a user who writes what cannot be decoded, or someone
// who applies an old CRD does wrong for a while, the promises hold, and when it is put right all is as it should be.
func TestRandomMistakes(t *testing.T) {
	t.Parallel()
	Search(t, 200, func(c *Chance) error {
		job := randomJob(c)
		randomStartDeadline(c, &job.Spec.RunPolicy)
		if c.pick(2, 80) == 1 {
			onHosts(32)(job)
		}
		w, author, err := newClumsyWorld(Options{Chance: c, Fate: randomFates(c), Operators: 1 + c.pick(2, 70)})
		if err != nil {
			return err
		}
		acts := []func(*Chance, *World, time.Duration, *testv1.TestJob){actMistake(author), actUndecodable, actOldCRD}
		acts[c.Pick(len(acts))](c, w, time.Duration(c.Pick(40))*time.Second, job)
		randomActions(c, w, job)
		for _, name := range []string{"j", "k"}[:1+c.pick(2, 70)] {
			another := job.DeepCopy()
			another.Name = name
			if err := w.Client().Create(context.Background(), another); err != nil {
				return err
			}
		}
		return w.Run(context.Background())
	})
}
