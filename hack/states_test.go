package hack_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest"
)

var rewrite = flag.Bool("rewrite", false, "write the picture of the states again")

// TestStates: the picture of the states of a job has each change of the state that was seen in
// thousands of short lives in the simulator, and no other.
func TestStates(t *testing.T) {
	seen := map[change]bool{}
	for _, life := range lives() {
		for c := range life.changes(t) {
			seen[c] = true
		}
	}
	const page = "../docs/users/concepts.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- states -->\n", "<!-- /states -->\n"
	before, rest, _ := strings.Cut(string(text), begin)
	_, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatalf("%s needs the lines %q and %q", page, begin, end)
	}
	want := before + begin + picture(t, seen) + end + after
	if *rewrite {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil { //nolint:gosec // a document is for all to read
			t.Fatal(err)
		}
	} else if diff := gocmp.Diff(want, string(text)); diff != "" {
		t.Errorf("the states have changed (-now +page): review them, and run make generate:\n%s", diff)
	}
}

// change is one from a state to another; the state of a job that has none yet is "".
type change struct{ from, to commonv1.JobConditionType }

// life is what happens to a job.
type life struct {
	policy func(*testv1.TestJob)
	events []event
}

// event is something that happens, to the replica if it needs one.
type event struct {
	what    string
	replica string
	at      time.Duration
}

// lives are jobs of several policies, to which nothing, one or two things happen, at moments in
// which their pods are created, start, run, hang or end.
func lives() (all []life) {
	const (
		creating, starting, running = 100 * time.Millisecond, 2 * time.Second, 5 * time.Second
		restarting, later, ending   = 5500 * time.Millisecond, 30 * time.Second, 121 * time.Second
	)
	first := slices.Concat([]event{{"quota", "", 0}}, events(creating), events(starting), events(running))
	second := slices.Concat(events(restarting), events(later))
	for i, policy := range policies() {
		all = append(all, life{policy, nil}, life{policy, []event{{"fail", "worker-1", ending}}}, life{policy, []event{{"hang", "worker-1", running}}})
		for _, one := range first {
			all = append(all, life{policy, []event{one}})
			stops := one.what == "suspend" || one.what == "quota"
			if one.replica == "" && !stops || one.replica == "worker-1" || i > 0 && one.what == "node" {
				continue // little follows
			}
			for _, two := range second {
				if stops || i < 2 && one.at == running {
					all = append(all, life{policy, []event{one, two}})
				}
			}
		}
	}
	return all
}

// events are all that can happen at a moment.
func events(at time.Duration) []event {
	return []event{
		{"suspend", "", at},
		{"resume", "", at},
		{"invalid", "", at},
		{"valid", "", at},
		{"quota", "", at},
		{"no quota", "", at},
		{"fail", master, at},
		{"fail", "worker-1", at},
		{"mistake", master, at},
		{"hang", master, at},
		{"pause", master, at},
		{"node", master, at},
		{"evict", master, at},
	}
}

const master = "master-0"

// policies are those that decide what follows a failure.
func policies() []func(*testv1.TestJob) {
	policy := func(restart commonv1.RestartPolicy, scope commonv1.RestartScope, limit int32) func(*testv1.TestJob) {
		return func(j *testv1.TestJob) {
			j.Spec.RunPolicy.RestartScope, j.Spec.RunPolicy.BackoffLimit = &scope, &limit
			for _, spec := range j.Spec.TestReplicaSpecs {
				spec.RestartPolicy = restart
			}
		}
	}
	return []func(*testv1.TestJob){
		policy(commonv1.RestartPolicyExitCode, commonv1.RestartScopeReplica, 1),
		policy(commonv1.RestartPolicyExitCode, commonv1.RestartScopeJob, 5),
		func(j *testv1.TestJob) {
			policy(commonv1.RestartPolicyNever, commonv1.RestartScopeReplica, 0)(j)
			j.Spec.RunPolicy.ActiveDeadlineSeconds = new(int64(180))
		},
		policy(commonv1.RestartPolicyNever, commonv1.RestartScopeReplica, -1), // which is invalid
	}
}

// changes are those of the state of the job in this life.
func (l life) changes(t *testing.T) map[change]bool {
	t.Helper()
	s := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(s), testv1.AddToScheme(s)); err != nil {
		t.Fatal(err)
	}
	seen := map[change]bool{}
	w, err := jobtest.NewWorld(testjob.Controller{}, s, jobtest.Options{
		Fate: l.fate,
		Observer: jobtest.Observer{Changed: func(before, after client.Object) {
			was, _ := before.(*testv1.TestJob)
			is, _ := after.(*testv1.TestJob)
			if was != nil && is != nil && was.Status.State != is.Status.State {
				seen[change{was.Status.State, is.Status.State}] = true
			}
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.At(0, "create", func(ctx context.Context, c client.Client) error { return c.Create(ctx, l.job()) })
	for _, e := range l.events {
		w.At(e.at, e.what, func(ctx context.Context, c client.Client) error { return e.provoke(ctx, w, c) })
	}
	w.At(5*time.Minute, "resume", edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = nil }))
	w.At(5*time.Minute, "give room", func(context.Context, client.Client) error { w.SetQuota("default", -1); return nil })
	if err := w.RunFor(t.Context(), 12*time.Minute); err != nil {
		t.Fatalf("%+v: %v", l.events, err)
	}
	return seen
}

// fate is what becomes of a pod: a program that pauses is not ready for a while.
func (l life) fate(pod *corev1.Pod) jobtest.Fate {
	f := jobtest.Fate{Start: 3 * time.Second, Run: 2 * time.Minute}
	for _, e := range l.events {
		if e.what == "pause" && pod.Name == "j-"+e.replica && pod.Labels[commonv1.AttemptLabel] == "0" {
			f.Readiness = []time.Duration{0, e.at, e.at + 30*time.Second}
		}
	}
	return f
}

func (l life) job() *testv1.TestJob {
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: testv1.ContainerName, Image: "test", ReadinessProbe: &corev1.Probe{},
	}}}}
	job := &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "j"}}
	job.Spec.RunPolicy.ProgressPolicy = &commonv1.ProgressPolicy{Source: commonv1.ProgressSourceReadiness, StallTimeoutSeconds: new(int64(10))}
	job.Spec.TestReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
		testv1.Master: {Replicas: new(int32(1)), Template: template}, testv1.Worker: {Replicas: new(int32(2)), Template: *template.DeepCopy()},
	}
	l.policy(job)
	return job
}

// edit changes the job as a user does.
func edit(how func(*testv1.TestJob)) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		job := &testv1.TestJob{}
		if err := c.Get(ctx, types.NamespacedName{Namespace: "default", Name: "j"}, job); err != nil {
			return client.IgnoreNotFound(err)
		}
		how(job)
		return c.Update(ctx, job)
	}
}

// provoke has an event happen; what is not there is left out.
func (e event) provoke(ctx context.Context, w *jobtest.World, c client.Client) error {
	pod := types.NamespacedName{Namespace: "default", Name: "j-" + e.replica}
	switch e.what {
	case "suspend":
		return edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = new(true) })(ctx, c)
	case "resume":
		return edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = nil })(ctx, c)
	case "invalid":
		return edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.BackoffLimit = new(int32(-1)) })(ctx, c)
	case "valid":
		return edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.BackoffLimit = new(int32(5)) })(ctx, c)
	case "quota":
		w.SetQuota("default", 0)
	case "no quota":
		w.SetQuota("default", -1)
	case "fail":
		w.Exit(pod, 137)
	case "mistake":
		w.Exit(pod, 1)
	case "evict":
		w.Disrupt(pod, corev1.PodReasonPreemptionByScheduler)
	case "hang":
		w.Hang(pod)
	case "node":
		found := &corev1.Pod{}
		if err := c.Get(ctx, pod, found); err != nil || found.Spec.NodeName == "" {
			return client.IgnoreNotFound(err)
		}
		w.LoseNode(found.Spec.NodeName)
		w.At(4*time.Minute, "back", func(context.Context, client.Client) error { w.RestoreNode(found.Spec.NodeName); return nil })
	}
	return nil
}

// picture are the diagrams, in the language of Mermaid: that of the states of a job that goes its
// way, and that of those which come on top. It fails for a change that has no words here.
func picture(t *testing.T, seen map[change]bool) string {
	t.Helper()
	const begin = "```mermaid\nstateDiagram-v2\n    direction LR\n"
	var ways, on strings.Builder
	words := causes()
	for _, c := range slices.SortedFunc(maps.Keys(seen), byLife) {
		from := cmp.Or(string(c.from), "[*]")
		if onTop(c.from) || onTop(c.to) {
			fmt.Fprintf(&on, "    %s --> %s\n", from, c.to)
			continue
		}
		if words[c] == "" {
			t.Errorf("a job went from %q to %q: add to causes what the cause is", c.from, c.to)
		}
		fmt.Fprintf(&ways, "    %s --> %s: %s\n", from, c.to, words[c])
		delete(words, c)
	}
	for c := range words {
		t.Errorf("no job went from %q to %q: remove it from causes, or add a life in which it does", c.from, c.to)
	}
	return begin + ways.String() + "```\n\n" + begin + on.String() + "```\n"
}

// onTop reports whether a state comes on top of another.
func onTop(s commonv1.JobConditionType) bool {
	return s == commonv1.JobHung || s == commonv1.JobStalled
}

// causes are those of the changes between states, in a few words.
func causes() map[change]string {
	const (
		created, suspended, running, restarting = commonv1.JobCreated, commonv1.JobSuspended, commonv1.JobRunning, commonv1.JobRestarting
		succeeded, failed                       = commonv1.JobSucceeded, commonv1.JobFailed
		suspend, fails, ends                    = "suspend", "a replica fails", "a limit, a deadline, a permanent failure"
	)
	return map[change]string{
		{"", created}: "submitted", {"", suspended}: "submitted suspended", {"", restarting}: "a replica fails at once", {"", failed}: "invalid",
		{created, suspended}: suspend, {created, running}: "a deciding replica runs", {created, restarting}: fails, {created, failed}: ends,
		{suspended, created}: "resume",
		{running, suspended}: suspend, {running, restarting}: "a replica fails, is disrupted or hangs", {running, succeeded}: "the rules are met", {running, failed}: ends,
		{restarting, suspended}: suspend, {restarting, running}: "it runs again", {restarting, succeeded}: "the rules are met", {restarting, failed}: ends,
	}
}

// byLife sorts changes in the order in which a job goes through its states.
func byLife(a, b change) int {
	order := []commonv1.JobConditionType{
		"", commonv1.JobCreated, commonv1.JobSuspended, commonv1.JobRunning, commonv1.JobRestarting, commonv1.JobHung, commonv1.JobStalled,
		commonv1.JobSucceeded, commonv1.JobFailed,
	}
	at := func(c change) int { return slices.Index(order, c.from)*len(order) + slices.Index(order, c.to) }
	return at(a) - at(b)
}
