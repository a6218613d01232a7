package conformance

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"runtime"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/jobtest"
)

// story is a run of the job in a simulated cluster.
type story[J client.Object] struct {
	suite Suite[J]
	// change changes the job before it is created.
	change func(jobkit.JobParts)
	// fate is what becomes of its pods. Default: they succeed after ten seconds.
	fate func(*corev1.Pod) jobtest.Fate
	// users is what its users do.
	users func(*jobtest.World)
	// want checks the status at rest; nil wants the job to have succeeded. gone wants no job, and
	// mayGo allows that.
	want        func(*commonv1.JobStatus) error
	gone, mayGo bool
	// operators is how many there are.
	operators int
	chance    *jobtest.Chance
}

// key is the job's.
func (s Suite[J]) key() types.NamespacedName { return client.ObjectKeyFromObject(s.job()) }

// mostSteps is far more than a job of a few replicas needs to come to rest.
const mostSteps = 3000

// lastsFor is how long pods run.
const lastsFor = 10 * time.Second

func succeeds(*corev1.Pod) jobtest.Fate { return jobtest.Fate{Start: time.Second, Run: lastsFor} }

// tell runs the story.
func (st story[J]) tell(ctx context.Context) error {
	s := st.suite
	known, err := s.known()
	if err != nil {
		return err
	}
	o := s.Options
	o.MaxSteps = cmp.Or(o.MaxSteps, mostSteps)
	o.Chance, o.Operators, o.Fate = st.chance, st.operators, st.fate
	if o.Fate == nil {
		o.Fate = succeeds
	}
	world, err := jobtest.NewWorldOf(s.program(), known, o)
	if err != nil {
		return findingf("set-up", "the controller cannot be set up: %v", err)
	}
	job := s.job()
	if st.change != nil {
		took, err := s.change(job, st.change)
		if err != nil {
			return err
		}
		if !took {
			st.want, st.gone, st.mayGo = anything, false, true
		}
	}
	if err := world.Client().Create(ctx, job); err != nil {
		return findingf("set-up", "the job cannot be created: %v", err)
	}
	if st.users != nil {
		st.users(world)
	}
	if err := world.Run(ctx); err != nil {
		return err
	}
	return st.check(ctx, world)
}

// change changes the parts of a job. It reports whether the job has all of the change: replica specs
// that Parts makes of other fields, or that Default adds, do not have it.
func (s Suite[J]) change(job J, change func(jobkit.JobParts)) (bool, error) {
	author := s.author()
	parts := author.Parts(job)
	change(parts)
	if !same(parts.RunPolicy, author.Parts(job).RunPolicy) {
		return false, findingf("set-up", "Parts() returns a RunPolicy that is not the job's own, so what is written there is lost: "+
			"point at the job's field, as in RunPolicy: &job.Spec.RunPolicy")
	}
	if d, ok := author.(jobkit.Defaulter[J]); ok {
		if job, ok = job.DeepCopyObject().(J); ok {
			d.Default(job)
		}
	}
	is := author.Parts(job)
	want := jobkit.JobParts{RunPolicy: is.RunPolicy.DeepCopy(), ReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}}
	for t, spec := range is.ReplicaSpecs {
		want.ReplicaSpecs[t] = spec.DeepCopy()
	}
	change(want)
	return same(want.ReplicaSpecs, is.ReplicaSpecs), nil
}

// check checks how the job ended.
func (st story[J]) check(ctx context.Context, world *jobtest.World) error {
	job := st.suite.job()
	err := world.Client().Get(ctx, client.ObjectKeyFromObject(job), job)
	fails := func(promise, format string, args ...any) error {
		return finding{promise: promise, message: fmt.Sprintf(format, args...), transcript: world.Transcript()}
	}
	switch {
	case apierrors.IsNotFound(err) && (st.gone || st.mayGo):
		return nil
	case err != nil:
		return fails("P9", "the job cannot be read: %v", err)
	case st.gone:
		return fails("P9", "the job still exists")
	}
	status := st.suite.author().Parts(job).Status
	if st.change != nil && refused(status) {
		return nil // The kind does not allow that, and says so.
	}
	want := st.want
	if want == nil {
		want = succeeded
	}
	if err := want(status); err != nil {
		return fails("P3", "%v", err)
	}
	return nil
}

// refused reports whether a job is not valid.
func refused(status *commonv1.JobStatus) bool {
	c := status.Condition(commonv1.JobFailed)
	return c != nil && strings.HasSuffix(c.Reason, "FailedValidation")
}

func succeeded(status *commonv1.JobStatus) error {
	if status.State != commonv1.JobSucceeded {
		return fmt.Errorf("all pods have succeeded, but the job is %s", state(status))
	}
	return nil
}

func finished(status *commonv1.JobStatus) error {
	if !status.Finished() {
		return fmt.Errorf("the job has not ended: it is %s", state(status))
	}
	return nil
}

// anything is what a job may be of which only the promises are checked.
func anything(*commonv1.JobStatus) error { return nil }

// state is the state of a job and what its condition says.
func state(status *commonv1.JobStatus) string {
	if c := status.Condition(status.State); c != nil {
		return fmt.Sprintf("%s: %s", status.State, c.Message)
	}
	if status.State == "" {
		return "not taken up: it has no condition"
	}
	return string(status.State)
}

// runCases run the job.
func (s Suite[J]) runCases() []testCase {
	tell := func(name string, st story[J]) testCase {
		st.suite = s
		return testCase{name: name, check: st.tell}
	}
	cases := []testCase{
		tell("Success", story[J]{}),
		tell("SuccessAndCleanUp", story[J]{change: func(p jobkit.JobParts) { p.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyAll) }}),
		tell("TimeToLive", story[J]{change: func(p jobkit.JobParts) { p.RunPolicy.TTLSecondsAfterFinished = new(int32(30)) }, gone: true}),
		tell("Deadline", story[J]{
			change: func(p jobkit.JobParts) { p.RunPolicy.ActiveDeadlineSeconds = new(int64(5)) },
			fate:   func(*corev1.Pod) jobtest.Fate { return jobtest.Fate{Start: time.Second, Forever: true} }, want: finished,
		}),
		tell("Suspended", story[J]{users: s.suspends, want: suspended}),
		tell("SuspendedAndResumed", story[J]{users: func(w *jobtest.World) { s.suspends(w); s.resumes(w) }}),
		tell("Deleted", story[J]{users: s.deletes, gone: true}),
		tell("PodsDeleted", story[J]{users: s.deletesPods, change: restarts("", commonv1.RestartPolicyOnFailure), want: finished}),
		tell("Evicted", story[J]{
			change: restarts("", commonv1.RestartPolicyExitCode), fate: s.firstOf("", jobtest.Fate{Run: 5 * time.Second, Evicted: true}),
		}),
		tell("Edited", story[J]{users: s.edits}),
		tell("Foreign", story[J]{
			users:  func(w *jobtest.World) { s.createsForeign(w) },
			change: func(p jobkit.JobParts) { p.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyAll) },
		}),
	}
	cases = append(cases, s.scaleCases(tell)...)
	cases = append(cases, s.failureCases(tell)...)
	return append(cases,
		testCase{name: "EveryFault", thorough: true, check: s.everyFault},
		testCase{name: "Random", thorough: true, check: s.random},
	)
}

// types are those of the job.
func (s Suite[J]) types() []commonv1.ReplicaType {
	var out []commonv1.ReplicaType
	func() {
		defer func() { _ = recover() }() // The case SetUp says it.
		out = slices.Sorted(maps.Keys(s.author().Parts(s.job()).ReplicaSpecs))
	}()
	return out
}

// failureCases have the first replica of each type fail, under each restart policy and scope.
func (s Suite[J]) failureCases(tell func(string, story[J]) testCase) []testCase {
	var out []testCase
	policies := []commonv1.RestartPolicy{
		commonv1.RestartPolicyNever, commonv1.RestartPolicyOnFailure, commonv1.RestartPolicyAlways, commonv1.RestartPolicyExitCode,
	}
	for _, t := range s.types() {
		for _, policy := range policies {
			want := finished
			if policy == commonv1.RestartPolicyAlways {
				want = anything // Such pods run again when they have succeeded.
			}
			out = append(out, tell(fmt.Sprintf("Failure/%s/%s", t, policy), story[J]{
				change: restarts("", policy), want: want, fate: s.firstOf(t, jobtest.Fate{Run: 5 * time.Second, Exits: []int32{137, 0}}),
			}))
		}
		for _, scope := range []commonv1.RestartScope{commonv1.RestartScopeReplica, commonv1.RestartScopeRole, commonv1.RestartScopeJob} {
			out = append(out, tell(fmt.Sprintf("Scope/%s/%s", t, scope), story[J]{
				change: restarts(scope, commonv1.RestartPolicyExitCode), want: finished,
				fate: s.firstOf(t, jobtest.Fate{Run: 5 * time.Second, Exits: []int32{137}}),
			}))
		}
		out = append(out, tell(fmt.Sprintf("BackoffLimit/%s", t), story[J]{
			change: func(p jobkit.JobParts) {
				restarts("", commonv1.RestartPolicyExitCode)(p)
				p.RunPolicy.BackoffLimit = new(int32(1))
			},
			want: finished, fate: s.always(t, jobtest.Fate{Run: time.Second, Exits: []int32{137}}),
		}))
	}
	return out
}

// restarts gives all replicas a restart policy and a scope.
func restarts(scope commonv1.RestartScope, policy commonv1.RestartPolicy) func(jobkit.JobParts) {
	return func(p jobkit.JobParts) {
		for _, spec := range p.ReplicaSpecs {
			spec.RestartPolicy = policy
			if scope != "" {
				spec.RestartScope = &scope
			}
		}
	}
}

// firstOf is the fate of the first pods of a type, or of all types; later attempts succeed.
func (s Suite[J]) firstOf(t commonv1.ReplicaType, first jobtest.Fate) func(*corev1.Pod) jobtest.Fate {
	return func(pod *corev1.Pod) jobtest.Fate {
		if pod.Labels[commonv1.AttemptLabel] != "0" {
			return succeeds(pod)
		}
		return s.always(t, first)(pod)
	}
}

// always is the fate of all pods of the first replica of a type, or of all types.
func (s Suite[J]) always(t commonv1.ReplicaType, fate jobtest.Fate) func(*corev1.Pod) jobtest.Fate {
	return func(pod *corev1.Pod) jobtest.Fate {
		is := pod.Labels[commonv1.ReplicaTypeLabel]
		if pod.Labels[commonv1.ReplicaIndexLabel] == "0" && (t == "" || strings.EqualFold(is, string(t))) {
			return fate
		}
		return succeeds(pod)
	}
}

// edit has a user edit the job at a time.
func (s Suite[J]) edit(w *jobtest.World, at time.Duration, what string, change func(J)) {
	w.At(at, what, func(ctx context.Context, c client.Client) error {
		job := s.job()
		if err := c.Get(ctx, s.key(), job); err != nil {
			return client.IgnoreNotFound(err)
		}
		change(job)
		return c.Update(ctx, job)
	})
}

func (s Suite[J]) suspend(w *jobtest.World, at time.Duration, what string, is bool) {
	s.edit(w, at, what, func(job J) { s.author().Parts(job).RunPolicy.Suspend = &is })
}

func (s Suite[J]) suspends(w *jobtest.World) { s.suspend(w, 5*time.Second, "suspends the job", true) }

func (s Suite[J]) resumes(w *jobtest.World) { s.suspend(w, 30*time.Second, "resumes the job", false) }

func suspended(status *commonv1.JobStatus) error {
	if !status.IsTrue(commonv1.JobSuspended) {
		return fmt.Errorf("the job was suspended, but is %s", state(status))
	}
	return nil
}

func (s Suite[J]) edits(w *jobtest.World) {
	s.edit(w, 5*time.Second, "labels the job", func(job J) { job.SetLabels(map[string]string{"example.com/edited": "yes"}) })
	s.edit(w, 6*time.Second, "raises the backoff limit", func(job J) { s.author().Parts(job).RunPolicy.BackoffLimit = new(int32(9)) })
}

// createsForeign has a user create a pod that carries the job's labels, and is not the job's.
func (s Suite[J]) createsForeign(w *jobtest.World) {
	w.At(3*time.Second, "creates a pod with labels of the job", func(ctx context.Context, c client.Client) error {
		var pods corev1.PodList
		if err := c.List(ctx, &pods); err != nil {
			return err //nolint:wrapcheck // the World says what the user did
		}
		for i := range pods.Items {
			pod := &corev1.Pod{Spec: *pods.Items[i].Spec.DeepCopy()}
			pod.Namespace, pod.Name, pod.Labels = pods.Items[i].Namespace, "debug-"+pods.Items[i].Name, maps.Clone(pods.Items[i].Labels)
			pod.Spec.NodeName = ""
			return c.Create(ctx, pod)
		}
		return nil
	})
}

func (s Suite[J]) deletes(w *jobtest.World) {
	w.At(5*time.Second, "deletes the job", func(ctx context.Context, c client.Client) error {
		job := s.job()
		return client.IgnoreNotFound(c.Delete(ctx, job))
	})
}

func (s Suite[J]) deletesPods(w *jobtest.World) {
	w.At(5*time.Second, "deletes all pods", func(ctx context.Context, c client.Client) error {
		var pods corev1.PodList
		if err := c.List(ctx, &pods); err != nil {
			return err //nolint:wrapcheck // the World says what the user did
		}
		for i := range pods.Items {
			if err := c.Delete(ctx, &pods.Items[i]); client.IgnoreNotFound(err) != nil {
				return err //nolint:wrapcheck // as above
			}
		}
		return nil
	})
}

// scaleCases scale each type that may have another number of replicas.
func (s Suite[J]) scaleCases(tell func(string, story[J]) testCase) []testCase {
	var out []testCase
	for _, t := range s.types() {
		n := jobkit.Count(s.author().Parts(s.job()).ReplicaSpecs, t)
		kind := s.author().Kind()
		role := kind.Role(t)
		if role == nil {
			continue
		}
		for name, to := range map[string]int32{"Up": n + 1, "Down": n - 1} {
			if least, most := role.Bounds(); to < max(least, 1) || to > most {
				continue
			}
			out = append(out, tell(fmt.Sprintf("Scale%s/%s", name, t), story[J]{want: finished, users: func(w *jobtest.World) {
				s.edit(w, 5*time.Second, fmt.Sprintf("scales %s to %d", t, to), func(job J) { s.author().Parts(job).ReplicaSpecs[t].Replicas = &to })
			}}))
		}
	}
	slices.SortFunc(out, func(a, b testCase) int { return strings.Compare(a.name, b.name) })
	return out
}

// everyFault runs the job with each fault at each call.
func (s Suite[J]) everyFault(ctx context.Context) error {
	st := story[J]{
		suite: s, change: restarts("", commonv1.RestartPolicyExitCode), want: finished,
		fate: s.firstOf("", jobtest.Fate{Start: time.Second, Run: 5 * time.Second, Exits: []int32{137}}),
	}
	return caught(func(t jobtest.TB) {
		jobtest.Exhaust(t, 1, func(c *jobtest.Chance) error {
			st := st
			st.chance = c
			return st.tell(ctx)
		})
	})
}

// random runs the job with faults, fates and users at random.
func (s Suite[J]) random(ctx context.Context) error {
	seeds := s.Seeds
	if seeds == 0 {
		seeds = 25
	}
	return caught(func(t jobtest.TB) {
		jobtest.Search(t, seeds, func(c *jobtest.Chance) error {
			policies := []commonv1.RestartPolicy{
				commonv1.RestartPolicyNever, commonv1.RestartPolicyExitCode, commonv1.RestartPolicyOnFailure, commonv1.RestartPolicyAlways,
			}
			users := []func(*jobtest.World){nil, func(w *jobtest.World) { s.suspends(w); s.resumes(w) }, s.deletes, s.deletesPods, s.edits}
			policy, act := policies[c.Pick(len(policies))], users[c.Pick(len(users))]
			st := story[J]{
				suite: s, chance: c, operators: 1 + c.Pick(2), change: restarts("", policy), users: act, fate: fates(c),
				want: anything, mayGo: true,
			}
			return st.tell(ctx)
		})
	})
}

// fates are a few fates, one of which each pod has, by its name and attempt. From the third
// attempt on all succeed, so that jobs come to rest.
func fates(c *jobtest.Chance) func(*corev1.Pod) jobtest.Fate {
	var all [4]jobtest.Fate
	for i := range all {
		all[i] = []jobtest.Fate{
			{Start: time.Second, Run: lastsFor},
			{Start: time.Second, Run: 20 * time.Second, Exits: []int32{1, 0}},
			{Run: lastsFor, Exits: []int32{137}},
			{Run: lastsFor, Evicted: true},
		}[c.Pick(4)]
	}
	return func(pod *corev1.Pod) jobtest.Fate {
		attempt := pod.Labels[commonv1.AttemptLabel]
		if attempt != "0" && attempt != "1" {
			return jobtest.Fate{Run: time.Second}
		}
		h := fnv.New32a()
		_, _ = h.Write([]byte(pod.Name + attempt))
		return all[h.Sum32()%uint32(len(all))]
	}
}

// catcher is the test of a search: it keeps what the search finds.
type catcher struct{ found error }

// Helper implements jobtest.TB.
func (*catcher) Helper() {}

// Logf implements jobtest.TB.
func (*catcher) Logf(string, ...any) {}

// Fatalf implements jobtest.TB: it ends the goroutine, as a test does.
func (c *catcher) Fatalf(format string, args ...any) {
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			c.found = searched{text: fmt.Sprintf(format, args...), err: err}
		}
	}
	if c.found == nil {
		c.found = fmt.Errorf(format, args...)
	}
	runtime.Goexit()
}

// searched is an error and what led to it.
type searched struct {
	text string
	err  error
}

func (s searched) Error() string { return s.text }

func (s searched) Unwrap() error { return s.err }

// caught runs a search and returns what it finds.
func caught(search func(jobtest.TB)) error {
	c := &catcher{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		search(c)
	}()
	<-done
	return c.found
}
