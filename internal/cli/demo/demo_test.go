package demo_test

import (
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/demo"
	"github.com/jobkit/jobkit/internal/cli/install"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
	"github.com/jobkit/jobkit/operators"
)

// TestExamples checks that the examples of this module fulfil what the demo requires.
func TestExamples(t *testing.T) {
	t.Parallel()
	examples, err := demo.Examples()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{}
	for _, e := range examples {
		kinds[strings.ToLower(e.Object.GetKind())] = true
	}
	for _, kind := range append(operators.Kinds(), operators.Kind{Name: "testjob"}) {
		if !kinds[kind.Name] {
			t.Errorf("no example shows a %s", kind.Name)
		}
	}
	definitions, err := install.WithExample()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, e := range examples {
		want := path.Join("examples/jobs", strings.ToLower(e.Object.GetKind()), e.Object.GetName()+".yaml")
		if e.Source != want {
			t.Errorf("%s: a file is found by its job: it should be %s", e.Place(), want)
		}
		const fits = 61 // with the longest name, in 80 columns
		if len(e.Shows) > fits {
			t.Errorf("%s: what it shows has %d letters, and would wrap: at most %d", e.Place(), len(e.Shows), fits)
		}
		if !install.Serves(definitions, e.Object.GroupVersionKind()) {
			t.Errorf("%s: no CRD of this module serves its kind", e.Place())
		}
		if e.Object.GetNamespace() != "" {
			t.Errorf("%s: an example must go to any namespace", e.Place())
		}
		if seen[e.Object.GetName()] {
			t.Errorf("%s: another example has the name", e.Place())
		}
		seen[e.Object.GetName()] = true
		if e.Restarts != nil && *e.Restarts > 0 {
			for _, role := range endsBesideFailing(e) {
				t.Errorf("%s: on a slow machine the %s ends before what fails has been restarted: without run-for, the step finish ends it", e.Place(), role)
			}
		}
	}
}

// endsBesideFailing are the roles that end by themselves, and do not fail, beside a role that fails.
func endsBesideFailing(e demo.Example) []string {
	var ends, fails []string
	for field, specs := range e.Object.Object["spec"].(map[string]any) {
		if !strings.HasSuffix(strings.ToLower(field), "replicaspecs") {
			continue
		}
		for role, spec := range specs.(map[string]any) {
			does, _, _ := unstructured.NestedStringMap(spec.(map[string]any), "template", "metadata", "annotations")
			if does["devcluster.jobkit.dev/exit-code"] != "" {
				fails = append(fails, role)
			} else if does["devcluster.jobkit.dev/run-for"] != "" {
				ends = append(ends, role)
			}
		}
	}
	if len(fails) == 0 {
		return nil
	}
	return ends
}

func TestReadExamples(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: kubeflow.org/v1\nkind: TestJob\nmetadata:\n  name: a\n  annotations:\n"
	for _, c := range []struct {
		name, reason, text, want string
	}{
		{
			"good", "all annotations are read",
			head + "    jobkit.dev/demo-shows: x\n    jobkit.dev/demo-expect: Failed\n    jobkit.dev/demo-expect-restarts: '1'\n" +
				"    jobkit.dev/demo-expect-pods: '0'\n    jobkit.dev/demo-expect-ignored: '2'\n" +
				"    jobkit.dev/demo-steps: suspend after 2s, resume after 5s\n", "",
		},
		{
			"bare", "an example that does not say how it ends shows nothing",
			"apiVersion: kubeflow.org/v1\nkind: TestJob\nmetadata: {name: a}\n",
			"examples/jobs/k/a.yaml:1: TestJob a: annotation jobkit.dev/demo-shows is missing\n" +
				`examples/jobs/k/a.yaml:1: TestJob a: annotation jobkit.dev/demo-expect is "", and must be Succeeded or Failed`,
		},
		{
			"wrong", "each wrong value is named",
			head + "    jobkit.dev/demo-shows: x\n    jobkit.dev/demo-expect: Lost\n    jobkit.dev/demo-expect-restarts: many\n" +
				"    jobkit.dev/demo-expect-pods: '-1'\n    jobkit.dev/demo-expect-ignored: x\n    jobkit.dev/demo-steps: resume soon\n",
			`examples/jobs/k/a.yaml:1: TestJob a: annotation jobkit.dev/demo-expect is "Lost", and must be Succeeded or Failed` + "\n" +
				`examples/jobs/k/a.yaml:1: TestJob a: annotation jobkit.dev/demo-expect-restarts is "many", and must be a whole number from 0` + "\n" +
				`examples/jobs/k/a.yaml:1: TestJob a: annotation jobkit.dev/demo-expect-ignored is "x", and must be a whole number from 0` + "\n" +
				`examples/jobs/k/a.yaml:1: TestJob a: annotation jobkit.dev/demo-expect-pods is "-1", and must be a whole number from 0` + "\n" +
				`examples/jobs/k/a.yaml:1: TestJob a: annotation jobkit.dev/demo-steps: "resume soon" is not a step: ` +
				`it must be like "suspend after 2s", "resume after 2s", "autoscale to 3 after 2s" or "finish after 2s"`,
		},
		{
			"no time", "a step without a time would come at once",
			head + "    jobkit.dev/demo-shows: x\n    jobkit.dev/demo-expect: Failed\n    jobkit.dev/demo-steps: suspend after 0s\n",
			`examples/jobs/k/a.yaml:1: TestJob a: annotation jobkit.dev/demo-steps: ` +
				`step "suspend after 0s" has "0s", and must have a duration above 0 such as 2s`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := demo.ReadExamples(fstest.MapFS{"k/a.yaml": {Data: []byte(c.text)}})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	every, err := demo.Examples()
	if err != nil {
		t.Fatal(err)
	}
	all := slices.DeleteFunc(slices.Clone(every), func(e demo.Example) bool { return e.Object.GetKind() != "TestJob" })
	for _, c := range []struct {
		reason string
		names  []string
		want   []string
		err    string
	}{
		{"a name", []string{"suspended"}, []string{"suspended"}, ""},
		{"names, in the order of the examples", []string{"suspended", "all-workers"}, []string{"all-workers", "suspended"}, ""},
		{
			"an unknown name",
			[]string{"nosuch"},
			nil,
			`unknown example "nosuch": choose from all-workers, avoid-nodes, backoff-limit, backoff-window, hang-restarts, host-ports, master-decides, replica-budget, retry-succeeds, role-restarts, start-deadline, start-order, start-restart, success-policy, suspended, worker-fails`,
		},
	} {
		selected, err := demo.Select(all, c.names)
		var got []string
		for _, e := range selected {
			got = append(got, e.Object.GetName())
		}
		message := ""
		if err != nil {
			message = err.Error()
		}
		if diff := cmp.Diff([]any{c.want, c.err}, []any{got, message}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
	for _, c := range []struct {
		reason string
		names  []string
		want   int
	}{{"no name is all", nil, len(every)}, {"a kind, in any case", []string{"testjob"}, len(all)}} {
		if selected, err := demo.Select(every, c.names); err != nil || len(selected) != c.want {
			t.Errorf("%s: got %d of %d, %v", c.reason, len(selected), c.want, err)
		}
	}
}

// job makes a job in a state, with so many pods and restarts.
func job(state commonv1.JobConditionType, pods int, restarts int32) jobview.Job {
	j := jobview.Job{Name: "a", Pods: make([]jobview.Pod, pods)}
	j.Status.Conditions = []commonv1.JobCondition{{Type: state, Status: corev1.ConditionTrue}}
	j.Status.Restarts = restarts
	return j
}

func TestJudge(t *testing.T) {
	t.Parallel()
	one := 1
	strict := demo.Example{Outcome: jobview.Succeeded, Restarts: &one, Pods: &one}
	gone := job(commonv1.JobRunning, 0, 0)
	gone.Gone = true
	ignored := job(commonv1.JobSucceeded, 1, 1)
	ignored.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{
		"Worker": {IgnoredAttempts: map[string]int32{"0": 1, "3": 1}},
	}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	ended := func(ago time.Duration) jobview.Job {
		j := job(commonv1.JobSucceeded, 0, 1)
		j.Status.CompletionTime = new(metav1.NewTime(now.Add(-ago)))
		return j
	}
	for _, c := range []struct {
		name, reason string
		example      demo.Example
		job          jobview.Job
		result       demo.Result
		why          string
	}{
		{"good", "all is as expected", strict, job(commonv1.JobSucceeded, 1, 1), demo.AsExpected, ""},
		{
			"bad end", "a failure that is expected is a good end, too",
			demo.Example{Outcome: jobview.Failed},
			job(commonv1.JobFailed, 7, 7), demo.AsExpected, "",
		},
		{"running", "it can still end well", strict, job(commonv1.JobRunning, 1, 0), demo.Waiting, "it is Running, expected Succeeded"},
		{"other end", "an end is forever", strict, job(commonv1.JobFailed, 1, 1), demo.Otherwise, "it ended Failed, expected Succeeded"},
		{"deleted", "it was deleted", strict, gone, demo.Otherwise, "it ended Deleted, expected Succeeded"},
		{
			"restarts", "the number of restarts is exact", strict, job(commonv1.JobSucceeded, 1, 2), demo.Otherwise,
			"it ended Succeeded with 2 restarts, expected 1",
		},
		{
			"ignored", "so is that of the failures that do not count",
			demo.Example{Outcome: jobview.Succeeded, Ignored: &one},
			ignored, demo.Otherwise, "it ended Succeeded with 2 failures ignored, expected 1",
		},
		{
			"step", "what was to be shown was not",
			demo.Example{Outcome: jobview.Succeeded, Steps: []demo.Step{{Action: demo.Suspend}}},
			job(commonv1.JobSucceeded, 1, 0), demo.Otherwise, "it ended Succeeded before this could be done to it: suspend",
		},
		{
			"pods", "pods take their time to go", strict, job(commonv1.JobSucceeded, 3, 1), demo.Waiting,
			"it ended Succeeded, but 3 of its pods are left, expected 1",
		},
		{
			"pods unseen", "pods and job are watched one by one", strict, ended(5 * time.Second), demo.Waiting,
			"it ended Succeeded, but 0 of its pods are left, expected 1",
		},
		{
			"too few pods", "a finished job gets no new pods", strict, ended(time.Minute), demo.Otherwise,
			"it ended Succeeded, but only 0 of its pods are left, expected 1",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			result, why := c.example.Check(c.job, 0, now)
			if diff := cmp.Diff([]any{c.result, c.why}, []any{result, why}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	suspended, running := job(commonv1.JobSuspended, 0, 0), job(commonv1.JobRunning, 0, 0)
	never, both := demo.Example{}, demo.Example{Steps: []demo.Step{
		{Action: demo.Suspend, After: 2 * time.Second}, {Action: demo.Resume, After: 4 * time.Second},
	}}
	ended := demo.Example{Steps: []demo.Step{{Action: demo.Finish, After: time.Second}}}
	one := 1
	restarted := demo.Example{Steps: ended.Steps, Restarts: &one}
	scaled := demo.Example{Steps: []demo.Step{{Action: demo.Autoscale, Replicas: 3, After: time.Second}}}
	for _, c := range []struct {
		reason   string
		examples []demo.Example
		jobs     []jobview.Job
		since    time.Duration
		done     []int
		want     []int
	}{
		{"its time has come", []demo.Example{never, both}, []jobview.Job{running, running}, 2 * time.Second, []int{0, 0}, []int{1}},
		{"too early", []demo.Example{both}, []jobview.Job{running}, time.Second, []int{0}, nil},
		{"too early for the next one", []demo.Example{both}, []jobview.Job{suspended}, 3 * time.Second, []int{1}, nil},
		{"the next one", []demo.Example{both}, []jobview.Job{suspended}, time.Minute, []int{1}, []int{0}},
		{"the user must have seen it suspended", []demo.Example{both}, []jobview.Job{running}, time.Minute, []int{1}, nil},
		{"once is enough", []demo.Example{both}, []jobview.Job{running}, time.Minute, []int{2}, nil},
		{"only what runs can finish", []demo.Example{ended, ended}, []jobview.Job{suspended, running}, time.Minute, []int{0, 0}, []int{1}},
		{
			"the restart that it shows comes first",
			[]demo.Example{restarted, restarted},
			[]jobview.Job{running, job(commonv1.JobRunning, 0, 1)},
			time.Minute,
			[]int{0, 0},
			[]int{1},
		},
		{"only what runs is scaled", []demo.Example{scaled, scaled}, []jobview.Job{suspended, running}, time.Minute, []int{0, 0}, []int{1}},
	} {
		if diff := cmp.Diff(c.want, demo.Due(c.examples, c.jobs, c.since, c.done)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}
