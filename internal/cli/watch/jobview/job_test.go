package jobview_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

func TestOutcome(t *testing.T) {
	t.Parallel()
	gone := func(j *jobview.Job) { j.Gone = true }
	unstated := func(j *jobview.Job) {
		j.Status.Conditions = append(j.Status.Conditions,
			commonv1.JobCondition{Type: commonv1.JobRestarting, Status: corev1.ConditionFalse})
	}
	for _, c := range []struct {
		name, reason string
		job          jobview.Job
		outcome      jobview.Outcome
		state        string
		takenUp      bool
	}{
		{"new", "without a status no one has taken up the job", job("a"), jobview.Unfinished, "Submitted", false},
		{"created", "a condition shows that someone has", job("a", is(commonv1.JobCreated)), jobview.Unfinished, "Created", true},
		{
			"last", "the last condition that is True names the state, as kubeflow.org/v1 has no status.state",
			job("a", is(commonv1.JobCreated, commonv1.JobRunning), unstated), jobview.Unfinished, "Running", true,
		},
		{
			"state", "status.state wins where there is one",
			job("a", is(commonv1.JobCreated), func(j *jobview.Job) { j.Status.State = "Stalled" }), jobview.Unfinished, "Stalled", true,
		},
		{"succeeded", "condition Succeeded", job("a", is(commonv1.JobSucceeded)), jobview.Succeeded, "Succeeded", true},
		{"failed", "condition Failed", job("a", is(commonv1.JobFailed)), jobview.Failed, "Failed", true},
		{"deleted", "its end will never be known", job("a", is(commonv1.JobRunning), gone), jobview.Lost, "Deleted", true},
		{"ttl", "a job that is deleted after its end keeps its outcome", job("a", is(commonv1.JobSucceeded), gone), jobview.Succeeded, "Succeeded", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := []any{c.job.Outcome(), c.job.State(), c.job.TakenUp()}
			if diff := cmp.Diff([]any{c.outcome, c.state, c.takenUp}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestOutcomeOf(t *testing.T) {
	t.Parallel()
	good, bad, open := job("a", is(commonv1.JobSucceeded)), job("b", is(commonv1.JobFailed)), job("c")
	lost := job("d", func(j *jobview.Job) { j.Gone = true })
	for _, c := range []struct {
		reason string
		jobs   []jobview.Job
		want   jobview.Outcome
	}{
		{"all succeeded", []jobview.Job{good, good}, jobview.Succeeded},
		{"one failed", []jobview.Job{good, bad}, jobview.Failed},
		{"a failure is known, whatever became of the lost one", []jobview.Job{lost, bad}, jobview.Failed},
		{"a lost one may have failed", []jobview.Job{good, lost}, jobview.Lost},
		{"one goes on, although the other failed", []jobview.Job{bad, open}, jobview.Unfinished},
	} {
		if got := jobview.OutcomeOf(c.jobs); got != c.want {
			t.Errorf("%s: got %q, want %q", c.reason, got, c.want)
		}
	}
}

func TestFromObject(t *testing.T) {
	t.Parallel()
	created := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	object := func(status any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"kind": "FooJob",
			"metadata": map[string]any{
				"name": "x", "namespace": "y", "creationTimestamp": created.UTC().Format(time.RFC3339),
			},
			"status": status,
		}}
	}
	pod := func(name string, phase corev1.PodPhase, change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.PodStatus{Phase: phase}}
		if change != nil {
			change(p)
		}
		return p
	}
	for _, c := range []struct {
		name, reason string
		object       *unstructured.Unstructured
		pods         []*corev1.Pod
		state, note  string
		tally        jobview.Tally
		restarts     int
	}{
		{
			name: "v1 status", reason: "a status of training-operator is read, of any kind",
			object: object(map[string]any{
				"conditions": []any{map[string]any{"type": "Running", "status": "True"}},
				"replicaStatuses": map[string]any{
					"Master": map[string]any{"active": int64(1)}, "Worker": map[string]any{"active": int64(2), "failed": int64(1)},
				},
			}),
			state: "Running", tally: jobview.Tally{Running: 3, Failed: 1},
		},
		{
			name: "pods", reason: "pods show what runs now; their restarts count where the status has no count",
			object: object(map[string]any{
				"conditions":      []any{map[string]any{"type": "Running", "status": "True"}},
				"replicaStatuses": map[string]any{"Worker": map[string]any{"active": int64(7)}},
			}),
			pods: []*corev1.Pod{
				pod("x-worker-1", corev1.PodRunning, func(p *corev1.Pod) {
					p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 2}, {RestartCount: 1}}
				}),
				pod("x-worker-0", corev1.PodPending, nil),
			},
			state: "Running", tally: jobview.Tally{Pending: 1, Running: 1}, restarts: 3,
		},
		{
			name: "cleaned", reason: "after the end, the status remembers pods that are gone",
			object: object(map[string]any{
				"state":           "Succeeded",
				"conditions":      []any{map[string]any{"type": "Succeeded", "status": "True"}},
				"replicaStatuses": map[string]any{"Worker": map[string]any{"succeeded": int64(2)}},
				"restarts":        int64(1),
			}),
			pods:  []*corev1.Pod{},
			state: "Succeeded", tally: jobview.Tally{Succeeded: 2}, restarts: 1,
		},
		{
			name: "stopped", reason: "a pod that was stopped at the end of its job did not fail, whatever its exit code",
			object: object(map[string]any{
				"conditions":      []any{map[string]any{"type": "Succeeded", "status": "True"}},
				"replicaStatuses": map[string]any{"Worker": map[string]any{"succeeded": int64(1)}, "PS": map[string]any{}},
			}),
			pods:  []*corev1.Pod{pod("x-worker-0", corev1.PodFailed, nil)},
			state: "Succeeded", tally: jobview.Tally{Succeeded: 1},
		},
		{
			name: "no counts", reason: "where the status counts nothing, pods are counted",
			object: object(map[string]any{"conditions": []any{map[string]any{"type": "Succeeded", "status": "True"}}}),
			pods:   []*corev1.Pod{pod("x-worker-0", corev1.PodSucceeded, nil)},
			state:  "Succeeded", tally: jobview.Tally{Succeeded: 1},
		},
		{
			name: "unschedulable", reason: "what keeps a pod from being scheduled is the note",
			object: object(nil),
			pods: []*corev1.Pod{pod("x-worker-0", corev1.PodPending, func(p *corev1.Pod) {
				p.Status.Conditions = []corev1.PodCondition{{
					Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
					Message: "0/2 nodes are available: 2 Insufficient cpu.",
				}}
			})},
			state: "Submitted", tally: jobview.Tally{Pending: 1},
			note: "x-worker-0: not scheduled: 0/2 nodes are available: 2 Insufficient cpu.",
		},
		{
			name: "on its way", reason: "a container that is being created is not a problem",
			object: object(nil),
			pods: []*corev1.Pod{pod("x-worker-0", corev1.PodPending, func(p *corev1.Pod) {
				p.Status.ContainerStatuses = []corev1.ContainerStatus{{
					State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
				}}
			})},
			state: "Submitted", tally: jobview.Tally{Pending: 1},
		},
		{
			name: "stalled", reason: "what stalls the job comes before what a pod waits for",
			object: object(map[string]any{"conditions": []any{
				map[string]any{"type": "Stalled", "status": "True", "message": "pod x-worker-0 belongs to someone else"},
			}}),
			state: "Stalled", note: "pod x-worker-0 belongs to someone else",
		},
		{
			name: "other status", reason: "a status of another form is said, not hidden, and not fatal",
			object: object(map[string]any{"conditions": "none"}),
			state:  "Submitted",
			note:   "FooJob does not have the status of a job: cannot restore slice from string",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := jobview.FromObject(c.object, c.pods)
			if !got.Created.Equal(created.Time) || got.Kind != "FooJob" || got.Namespace != "y" || got.Name != "x" {
				t.Errorf("who and when: got %+v", got)
			}
			want := []any{c.state, c.note, c.tally, c.restarts}
			if diff := cmp.Diff(want, []any{got.State(), got.Note(), got.Tally(), got.Restarts()}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

// TestTypes reads the replica types of jobs, whatever their kind.
func TestTypes(t *testing.T) {
	t.Parallel()
	pods := []*corev1.Pod{
		{ObjectMeta: metav1.ObjectMeta{Name: "a", Labels: map[string]string{commonv1.ReplicaTypeLabel: "ps"}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "b", Labels: map[string]string{commonv1.ReplicaTypeLabel: "other"}}},
	}
	spec := func(replicas any) map[string]any {
		one := map[string]any{"template": map[string]any{}}
		if replicas != nil {
			one["replicas"] = replicas
		}
		return one
	}
	named := func(name string, one map[string]any) any {
		one["name"] = name
		return one
	}
	for _, c := range []struct {
		reason string
		spec   any
		want   map[commonv1.ReplicaType]int
		first  commonv1.ReplicaType
	}{
		{
			"types as the job spells them; one replica where it does not say",
			map[string]any{"runPolicy": map[string]any{}, "fooReplicaSpecs": map[string]any{"PS": map[string]any{"replicas": int64(2)}, "Chief": map[string]any{}}},
			map[commonv1.ReplicaType]int{"PS": 2, "Chief": 1},
			"PS",
		},
		{
			"a map below another field",
			map[string]any{"cluster": map[string]any{"replicaSpecs": map[string]any{"PS": map[string]any{"replicas": int64(2)}}}},
			map[commonv1.ReplicaType]int{"PS": 2},
			"PS",
		},
		{
			"a field for each role, called as the types in the status",
			map[string]any{"head": spec(nil), "workers": spec(int64(3)), "runPolicy": map[string]any{}},
			map[commonv1.ReplicaType]int{"Head": 1, "Worker": 3},
			"ps",
		},
		{
			"a list with names, below another field",
			map[string]any{"cluster": map[string]any{"tasks": []any{named("PS", spec(int64(4))), named("third", spec(nil))}}},
			map[commonv1.ReplicaType]int{"PS": 4, "Third": 1},
			"PS",
		},
		{"another form is not known", map[string]any{"fooReplicaSpecs": "many", "workers": int64(3)}, nil, "ps"},
		{"no specification", nil, nil, "ps"},
	} {
		status := map[string]any{"replicaStatuses": map[string]any{"Worker": map[string]any{}}}
		got := jobview.FromObject(&unstructured.Unstructured{Object: map[string]any{"spec": c.spec, "status": status}}, pods)
		want := []any{c.want, []commonv1.ReplicaType{c.first, "other"}}
		if diff := cmp.Diff(want, []any{got.Replicas, []commonv1.ReplicaType{got.Pods[0].Type, got.Pods[1].Type}}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

func TestAge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason string
		job    jobview.Job
		want   time.Duration
	}{
		{"it grows while the job goes on", job("a"), 10 * time.Second},
		{"it stops when the job has finished", job("a", took(3*time.Second)), 3 * time.Second},
		{"clocks differ: it is never negative", job("a", func(j *jobview.Job) { j.Created = noon().Add(time.Second) }), 0},
	} {
		if got := c.job.Age(noon()); got != c.want {
			t.Errorf("%s: got %s, want %s", c.reason, got, c.want)
		}
	}
}

func TestTallies(t *testing.T) {
	t.Parallel()
	worker := func(phase corev1.PodPhase) jobview.Pod { return jobview.Pod{Type: "Worker", Phase: phase} }
	for _, c := range []struct {
		reason   string
		wanted   int
		pods     []jobview.Pod
		reported commonv1.ReplicaStatus
		want     jobview.Tally
	}{
		{
			reason: "replicas that have ended count, although their pods are gone", wanted: 5, pods: []jobview.Pod{worker(corev1.PodRunning), worker(corev1.PodSucceeded)},
			reported: commonv1.ReplicaStatus{Active: 1, Succeeded: 3, Failed: 1}, want: jobview.Tally{Running: 1, Succeeded: 3, Failed: 1},
		},
		{
			reason: "without a pod, too", wanted: 2, pods: []jobview.Pod{}, reported: commonv1.ReplicaStatus{Succeeded: 1}, want: jobview.Tally{Succeeded: 1},
		},
		{
			reason: "a status that is older than the pods counts none twice", wanted: 2, pods: []jobview.Pod{worker(corev1.PodRunning), worker(corev1.PodPending)},
			reported: commonv1.ReplicaStatus{Active: 1, Succeeded: 1}, want: jobview.Tally{Running: 1, Pending: 1},
		},
		{
			reason: "pods that the status has not seen", wanted: 2, pods: []jobview.Pod{worker(corev1.PodSucceeded), worker(corev1.PodFailed)},
			want: jobview.Tally{Succeeded: 1, Failed: 1},
		},
		{
			reason: "a job of unknown form", pods: []jobview.Pod{worker(corev1.PodRunning)}, reported: commonv1.ReplicaStatus{Succeeded: 1},
			want: jobview.Tally{Running: 1, Succeeded: 1},
		},
	} {
		job := jobview.Job{Pods: c.pods, Status: commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{"Worker": &c.reported, "PS": {}}}}
		if c.wanted > 0 {
			job.Replicas = map[commonv1.ReplicaType]int{"Worker": c.wanted}
		}
		if diff := cmp.Diff(map[commonv1.ReplicaType]jobview.Tally{"Worker": c.want}, job.Tallies()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}
