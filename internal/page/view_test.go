package page_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit/internal/page"
)

const created = "{type: Created, status: 'True', reason: C, message: created, lastTransitionTime: @-100@}"

// said is what the steps say, and in how many seconds.
func said(steps []page.Step) string {
	lines := make([]string, 0, len(steps))
	for _, s := range steps {
		line := s.Text
		if s.At != 0 {
			line += fmt.Sprintf(" in %ds", (s.At-noon().UnixMilli())/1000)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestNext(t *testing.T) {
	t.Parallel()
	const workers = "{runPolicy: {backoffLimit: 5}, testReplicaSpecs: {Worker: {replicas: 2}}}"
	for _, c := range []struct {
		name, reason, spec, status string
		pods                       []*corev1.Pod
		want, budget               string
	}{
		{
			name: "restart", reason: "the second restart of a replica comes 10 s after its failure", spec: workers,
			status: "{restarts: 2, conditions: [" + created + "], replicaStatuses: {Worker: {attempts: {'1': 2}}}, failures: [{time: @-5@, type: Worker, index: 1, attempt: 1}]}",
			pods:   []*corev1.Pod{pod(0, 0, corev1.PodRunning), pod(1, 1, corev1.PodFailed)},
			want:   "Restart of worker-1, attempt 2 in 5s", budget: "2 of 5 restarts of the job",
		},
		{
			name: "not counted", reason: "a failure that the operator has not seen yet promises nothing", spec: workers,
			status: "{conditions: [" + created + "]}",
			pods:   []*corev1.Pod{pod(0, 0, corev1.PodRunning), pod(1, 0, corev1.PodFailed)},
			want:   "The job runs to its end.", budget: "0 of 5 restarts of the job",
		},
		{
			name: "window", reason: "only restarts in the window count", spec: "{runPolicy: {backoffLimit: 3, backoffLimitWindowSeconds: 60}}",
			status: "{restarts: 9, conditions: [" + created + "], restartTimes: [@-90@, @-30@, @-10@]}",
			want:   "The job runs to its end.", budget: "2 of 3 restarts of the job in 1m00s",
		},
		{
			name: "not taken up", reason: "a job that no operator takes up says so", spec: workers, status: "{}",
			want: "An operator has to take up the job: none has so far. Is the one for TestJob running?", budget: "0 of 5 restarts of the job",
		},
		{
			name: "suspended", reason: "nothing happens by itself", spec: "{runPolicy: {suspend: true}}", status: "{}",
			want: "Nothing runs until the job is resumed.",
		},
		{
			name: "start", reason: "what is missing, and what it waits for", status: "{conditions: [" + created + "]}",
			spec: "{testReplicaSpecs: {Master: {}, Worker: {replicas: 2, startAfter: {replicaType: Master, state: Running}}}}",
			pods: []*corev1.Pod{pod(0, 0, corev1.PodPending, func(p *corev1.Pod) { p.Spec.NodeName = "" })},
			want: "Master: 1 to be created\nWorker: 1 to be created, when all of Master are Running\nWorker: 1 waiting for a node",
		},
		{
			name: "stalled", reason: "the cause first, then the deadline", spec: "{runPolicy: {activeDeadlineSeconds: 120}}",
			status: "{startTime: @-100@, conditions: [" + created + ", {type: Stalled, status: 'True', message: no quota}]}",
			want:   "The job is stalled, and goes on by itself when the cause is gone: no quota\nThe job fails unless it has ended (activeDeadlineSeconds 120). in 20s",
		},
		{
			name: "ended", reason: "when it is deleted", spec: "{runPolicy: {ttlSecondsAfterFinished: 60}}",
			status: "{completionTime: @-10@, conditions: [{type: Succeeded, status: 'True'}]}",
			want:   "The job is deleted (ttlSecondsAfterFinished 60). in 50s",
		},
		{
			name: "late start", reason: "what has to start by when; a pod that a gang holds back has no time yet",
			spec: "{runPolicy: {startDeadlineSeconds: 100, onStartDeadline: RestartJob}, testReplicaSpecs: {Worker: {replicas: 2}}}", status: "{conditions: [" + created + "]}",
			pods: []*corev1.Pod{pod(0, 0, corev1.PodPending), pod(1, 0, corev1.PodPending, func(p *corev1.Pod) {
				p.Spec.NodeName, p.Spec.SchedulerName, p.CreationTimestamp = "", "volcano", at(-99)
			})},
			want: "Worker: 1 waiting for a node\nWorker: 1 starting\nThe whole job restarts unless worker-0 has started (startDeadlineSeconds 100). in 10s",
		},
		{
			name: "first report", reason: "the first report is due after all replicas run",
			spec:   "{runPolicy: {progressPolicy: {startTimeoutSeconds: 90, action: RestartReplica}}, testReplicaSpecs: {Worker: {replicas: 2}}}",
			status: "{conditions: [" + created + "]}", pods: []*corev1.Pod{pod(0, 0, corev1.PodRunning), pod(1, 0, corev1.PodRunning)},
			want: "worker-0 restarts unless worker-0 reports progress (progressPolicy.startTimeoutSeconds 90). in 10s",
		},
		{
			name: "next report", reason: "the next one after the last",
			spec:   "{runPolicy: {progressPolicy: {stallTimeoutSeconds: 60}}, testReplicaSpecs: {Worker: {replicas: 2}}}",
			status: "{conditions: [" + created + "], trainerStatus: {progressPercentage: 40, receivedTime: '2026-01-02T11:59:30.000000Z', reporter: {pod: a-worker-1, podUID: pod-1, index: 1}}}",
			pods:   []*corev1.Pod{pod(0, 0, corev1.PodRunning), pod(1, 0, corev1.PodRunning)},
			want:   "The job is Hung unless worker-1 reports progress (progressPolicy.stallTimeoutSeconds 60). in 30s",
		},
		{
			name: "last report", reason: "after 100 percent none is due",
			spec:   "{runPolicy: {progressPolicy: {stallTimeoutSeconds: 60, startTimeoutSeconds: 60}}, testReplicaSpecs: {Worker: {replicas: 1}}}",
			status: "{conditions: [" + created + "], trainerStatus: {progressPercentage: 100, receivedTime: '2026-01-02T11:59:30.000000Z', reporter: {pod: a-worker-0, podUID: pod-0, index: 0}}}",
			pods:   []*corev1.Pod{pod(0, 0, corev1.PodRunning)}, want: "The job runs to its end.",
		},
		{
			name: "silence while others start", reason: "reports are not due while a replica starts again",
			spec:   "{runPolicy: {progressPolicy: {stallTimeoutSeconds: 60}}, testReplicaSpecs: {Worker: {replicas: 2}}}",
			status: "{conditions: [" + created + "], trainerStatus: {receivedTime: '2026-01-02T11:59:30.000000Z', reporter: {pod: a-worker-0, podUID: pod-0, index: 0}}}",
			pods:   []*corev1.Pod{pod(0, 0, corev1.PodRunning), pod(1, 1, corev1.PodPending)}, want: "Worker: 1 starting",
		},
		{
			name: "hung", reason: "what the job says itself", spec: "{runPolicy: {progressPolicy: {stallTimeoutSeconds: 60}}, testReplicaSpecs: {Worker: {replicas: 1}}}",
			status: "{conditions: [" + created + ", {type: Hung, status: 'True', message: pod a-worker-0 hangs}]}",
			pods:   []*corev1.Pod{pod(0, 0, corev1.PodRunning)}, want: "pod a-worker-0 hangs",
		},
		{
			name: "avoided", reason: "nodes with enough failures that are not over, the newest first",
			spec:   "{runPolicy: {avoidNodes: {mode: Required, forSeconds: 60, afterFailures: 2}}, testReplicaSpecs: {Worker: {replicas: 1}}}",
			status: "{conditions: [" + created + "], failedNodes: [{name: old, failures: 3, time: @-70@}, {name: n-1, failures: 2, time: @-20@}, {name: once, failures: 1, time: @-10@}, {name: n-2, failures: 2, time: @-5@}]}",
			pods:   []*corev1.Pod{pod(0, 0, corev1.PodRunning)},
			want:   "New pods avoid n-2, n-1, even if they have to wait, each for 1m00s after its last failure (avoidNodes).",
		},
		{
			name: "odd", reason: "fields of another form are as if they were absent", spec: "{runPolicy: 7, testReplicaSpecs: {Worker: 3}}", status: "{conditions: 5}",
			want: "An operator has to take up the job: none has so far. Is the one for TestJob running?",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pods := c.pods
			if pods == nil {
				pods = []*corev1.Pod{}
			}
			if c.name == "not taken up" || c.name == "odd" || c.name == "window" {
				pods = nil
			}
			head := page.ViewOf(page.Input{Ref: ref("a"), Job: page.Job{Object: object(t, "a", c.spec, c.status), Pods: pods}, Now: noon()}).Head
			if diff := cmp.Diff(c.want, said(head.Next)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			var budgets []string
			for _, b := range head.Budgets {
				budgets = append(budgets, fmt.Sprintf("%d of %d %s", b.Used, b.Limit, b.Text))
			}
			if diff := cmp.Diff(c.budget, strings.Join(budgets, "\n")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestGrid(t *testing.T) {
	t.Parallel()
	deleted := func(p *corev1.Pod) { p.DeletionTimestamp = new(at(-1)) }
	broken := func(p *corev1.Pod) {
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}
	}
	pods := []*corev1.Pod{
		pod(0, 0, corev1.PodRunning), pod(1, 1, corev1.PodFailed), pod(2, 0, corev1.PodFailed), pod(3, 12, corev1.PodSucceeded),
		pod(4, 0, corev1.PodRunning, deleted), pod(5, 0, corev1.PodPending, broken), pod(6, 0, corev1.PodPending),
		pod(7, 0, corev1.PodPending, func(p *corev1.Pod) { p.Spec.NodeName = "" }), pod(10, 0, corev1.PodRunning),
		pod(0, 0, corev1.PodRunning, func(p *corev1.Pod) { p.Labels = nil }),
	}
	job := page.Job{Pods: pods, Object: object(t, "a", "{testReplicaSpecs: {Worker: {replicas: 10}, Master: {}}}",
		"{conditions: ["+created+"], replicaStatuses: {Worker: {attempts: {'1': 2}, succeededIndexes: '3,8'}}}")}
	want := []page.Role{
		{Type: "Master", Wanted: 1, Squares: "-", Attempts: "0"},
		{Type: "Worker", Wanted: 10, Squares: "rnfstpbws-r", Attempts: "01090000000"},
	}
	in := page.Input{Ref: ref("a"), Job: job, Now: noon()}
	if diff := cmp.Diff(want, page.ViewOf(in).Roles); diff != "" {
		t.Errorf("one letter for each replica, those being scaled away too (-want +got):\n%s", diff)
	}
	detail, _ := page.DetailOf(in, "Worker", 1)
	if detail.Failure != "exit code 137, OOMKilled" || detail.Due == 0 || detail.Node != "node-1" {
		t.Errorf("a replica says why it failed, where, and when it restarts: %+v", detail)
	}
	if _, ok := page.DetailOf(in, "Worker", 99); ok {
		t.Error("a replica that is not there was found")
	}
	large := page.Job{Pods: []*corev1.Pod{}, Object: object(t, "a", "{testReplicaSpecs: {Worker: {replicas: 2000000000}}}", "{}")}
	role := page.ViewOf(page.Input{Ref: ref("a"), Job: large, Now: noon()}).Roles[0]
	if len(role.Squares) != 20_000 || role.More != 2_000_000_000-20_000 {
		t.Errorf("the grid of the largest number has %d squares and %d more", len(role.Squares), role.More)
	}
}

// drawn are the bars of a lane in seconds from noon.
func drawn(lane page.Lane) string {
	var out []string
	second := func(ms int64) string {
		if ms == 0 {
			return "now"
		}
		return strconv.FormatInt((ms-noon().UnixMilli())/1000, 10)
	}
	for _, b := range lane.Bars {
		out = append(out, fmt.Sprintf("%s %s..%s", b.State, second(b.From), second(b.To)))
	}
	for _, m := range lane.Marks {
		out = append(out, fmt.Sprintf("%s %s", m.Kind, second(m.At)))
	}
	return strings.Join(out, ", ")
}

func TestTimeline(t *testing.T) {
	t.Parallel()
	const worker = "{testReplicaSpecs: {Worker: {replicas: 2}}}"
	running := "{type: Running, status: 'True', lastTransitionTime: @-80@}"
	for _, c := range []struct {
		name, reason, status string
		pods                 []*corev1.Pod
		history              []page.Point
		job, replica         string
	}{
		{
			name: "runs", reason: "it waited, then it ran", status: "{conditions: [" + created + ", " + running + "]}",
			pods: []*corev1.Pod{pod(0, 0, corev1.PodRunning)}, job: "waiting -100..-80, running -80..now",
			replica: "waiting -90..-85, starting -85..-80, running -80..now",
		},
		{
			name: "restarts", reason: "the attempt that failed ends with a mark, and the job restarts", pods: []*corev1.Pod{pod(0, 0, corev1.PodFailed)},
			status: "{conditions: [" + created + ", " + running + ", {type: Restarting, status: 'True', lastTransitionTime: @-5@}]," +
				" replicaStatuses: {Worker: {attempts: {'0': 1}}}, failures: [{time: @-5@, type: Worker, index: 0, attempt: 0, exitCode: 137}]}",
			job:     "waiting -100..-80, running -80..-5, restarting -5..now, failed -5",
			replica: "waiting -90..-85, starting -85..-80, running -80..-5, restarting -5..now, failed -5",
		},
		{
			name: "earlier attempts", reason: "of an attempt whose pod is gone only the end is known",
			pods: []*corev1.Pod{pod(0, 1, corev1.PodRunning, func(p *corev1.Pod) {
				p.CreationTimestamp, p.Status.Conditions[0].LastTransitionTime = at(-30), at(-29)
				p.Status.ContainerStatuses[0].State.Running.StartedAt = at(-28)
			})},
			status: "{startTime: @-99@, conditions: [" + created + ", {type: Restarting, status: 'False', lastTransitionTime: @-28@}, " + running + "]," +
				" failures: [{time: @-40@, type: Worker, index: 0, attempt: 0}]}",
			job:     "waiting -100..-80, running -80..-40, restarting -40..-28, running -28..now, failed -40",
			replica: "earlier -99..-40, restarting -40..-30, waiting -30..-29, starting -29..-28, running -28..now, failed -40",
		},
		{
			name: "resumed", reason: "what was before a suspension is in no status", pods: []*corev1.Pod{},
			status: "{conditions: [" + created + ", {type: Suspended, status: 'False', lastTransitionTime: @-60@}, {type: Running, status: 'True', lastTransitionTime: @-50@}]}",
			job:    "unknown -100..-60, waiting -60..-50, running -50..now",
		},
		{
			name: "resumed and seen", reason: "what this process has seen it shows", pods: []*corev1.Pod{},
			status: "{conditions: [" + created + ", {type: Suspended, status: 'False', lastTransitionTime: @-60@}, {type: Running, status: 'True', lastTransitionTime: @-50@}]}",
			history: []page.Point{
				{At: at(-90).Time, State: "running"},
				{At: at(-70).Time, State: "suspended"},
				{At: at(-60).Time, State: "waiting"},
				{At: at(-50).Time, State: "running"},
			},
			job: "unknown -100..-90, running -90..-70, suspended -70..-60, waiting -60..-50, running -50..now",
		},
		{
			name: "ended", reason: "nothing goes on after the end", pods: []*corev1.Pod{},
			status: "{completionTime: @-10@, conditions: [" + created + ", {type: Running, status: 'False', lastTransitionTime: @-10@}, {type: Succeeded, status: 'True', lastTransitionTime: @-10@}]}",
			job:    "waiting -100..-10, succeeded -10",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			line := page.ViewOf(page.Input{Ref: ref("a"), Job: page.Job{Object: object(t, "a", worker, c.status), Pods: c.pods}, History: c.history, Now: noon()}).Timeline
			if diff := cmp.Diff([]string{c.job, c.replica}, []string{drawn(line.Lanes[0]), drawn(line.Lanes[1])}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

// TestNothingButText: no text of a job, a pod or an event has characters that change how
// others are shown, and none is longer than a bound.
func TestNothingButText(t *testing.T) {
	t.Parallel()
	evil := "<b>\x1b[2J\u202e\u2066\u0007" + strings.Repeat("x", 100_000)
	o := object(t, "a", "{testReplicaSpecs: {Worker: {replicas: 1}}}", "{}")
	o.Object["status"] = map[string]any{
		"conditions":    []any{map[string]any{"type": evil, "status": "True", "reason": evil, "message": evil}, map[string]any{"type": "Stalled", "status": "True", "message": evil}},
		"failures":      []any{map[string]any{"time": stamp(-1), "type": evil, "node": evil, "reason": evil, "message": evil}},
		"trainerStatus": map[string]any{"progressPercentage": int64(700), "metrics": []any{map[string]any{"name": evil, "value": evil}}},
		"seconds":       map[string]any{evil: int64(7), "since": stamp(-9), "running": int64(7), "restarting": map[string]any{"hung": int64(3)}},
	}
	p := pod(0, 0, corev1.PodPending, func(p *corev1.Pod) {
		p.Spec.NodeName = evil
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: evil, Message: evil}}}}
	})
	event := corev1.Event{Reason: evil, Message: evil, InvolvedObject: corev1.ObjectReference{Kind: evil, Name: evil}}
	in := page.Input{Ref: ref("a"), Job: page.Job{Object: o, Pods: []*corev1.Pod{p}}, Events: []corev1.Event{event}, Now: noon()}
	view := page.ViewOf(in)
	detail, _ := page.DetailOf(in, "Worker", 0)
	if *view.Head.Progress.Percent != 100 || len(view.Head.Failures) != 1 || len(view.Events.List) != 1 {
		t.Errorf("the view is not whole: %+v", view.Head)
	}
	if diff := cmp.Diff([]page.Fact{{Name: "running", Value: "7s"}, {Name: "restarting, hung", Value: "3s"}}, view.Head.Facts); diff != "" {
		t.Errorf("where the time of the job went (-want +got):\n%s", diff)
	}
	if strings.Contains(fmt.Sprint(view, detail, page.RowOf(in)), strings.Repeat("x", 2001)) {
		t.Error("a text is longer than 2,000 characters")
	}
	whole := fmt.Sprint(view, detail, page.RowOf(in))
	if i := strings.IndexFunc(whole, func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }); i >= 0 {
		t.Errorf("the view holds %q", whole[max(0, i-20):i+10])
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	var history []page.Point
	in := func(status string) {
		row := object(t, "a", "{}", status)
		history = page.Observe(history, statusOf(t, row), at(-100).Time)
	}
	in("{}")
	in("{conditions: [" + created + "]}")
	in("{conditions: [" + created + ", {type: Running, status: 'True', lastTransitionTime: @-50@}]}")
	in("{conditions: [" + created + ", {type: Running, status: 'True', lastTransitionTime: @-50@}, {type: Restarting, status: 'True', lastTransitionTime: @-40@}]}")
	in("{conditions: [" + created + ", {type: Restarting, status: 'False', lastTransitionTime: @-30@}, {type: Running, status: 'True', lastTransitionTime: @-50@}]}")
	var got []string
	for _, p := range history {
		got = append(got, fmt.Sprintf("%s %d", p.State, int(p.At.Sub(noon())/time.Second)))
	}
	if diff := cmp.Diff("waiting -100, running -50, restarting -40, running -30", strings.Join(got, ", ")); diff != "" {
		t.Errorf("each state once, since its last change (-want +got):\n%s", diff)
	}
}
