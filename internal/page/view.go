package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/explain"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
	"github.com/jobkit/jobkit/internal/plan"
)

// Times in what is sent are milliseconds since 1970, 0 for none: the browser knows the
// reader's time zone and language.

const (
	maxText    = 2000 // characters of one text from the cluster
	maxEvents  = 100  // the last events that are shown
	maxMetrics = 60
)

// Row is a job in the list.
type Row struct {
	Key       string `json:"key"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// State of the job in one word.
	State     string `json:"state"`
	Created   int64  `json:"created"`
	Completed int64  `json:"completed,omitempty"`
	Restarts  int    `json:"restarts,omitempty"`
	Wanted    int    `json:"wanted"`
	Pending   int    `json:"pending,omitempty"`
	Running   int    `json:"running,omitempty"`
	Succeeded int    `json:"succeeded,omitempty"`
	Failed    int    `json:"failed,omitempty"`
	// Note is the one thing that the reader should know now.
	Note string `json:"note,omitempty"`
	// Percent is the progress that the job reports, if it does.
	Percent *int64 `json:"percent,omitempty"`
}

// View is the page of one job. Each part is sent when it has changed.
type View struct {
	Head     Head      `json:"head"`
	Roles    []Role    `json:"roles"`
	Pods     []LogPods `json:"pods"`
	Timeline Timeline  `json:"timeline"`
	Events   Events    `json:"events"`
}

// Head is what is known of the job as a whole.
type Head struct {
	Row

	UID       string `json:"uid"`
	Suspended bool   `json:"suspended"`
	Finished  bool   `json:"finished"`
	Deleting  bool   `json:"deleting"`
	// Queued means that a queue (Kueue) decides when the job runs.
	Queued     bool        `json:"queued"`
	Next       []Step      `json:"next"`
	Budgets    []Budget    `json:"budgets"`
	Conditions []Condition `json:"conditions"`
	Failures   []Failure   `json:"failures"`
	Progress   *Progress   `json:"progress,omitempty"`
	Facts      []Fact      `json:"facts"`
	Rights     *Rights     `json:"rights,omitempty"`
}

// Condition is a condition of the job.
type Condition struct {
	Type    string `json:"type"`
	Status  string `json:"status"`
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	Since   int64  `json:"since,omitempty"`
}

// Failure is a failure of a replica, in words.
type Failure struct {
	At      int64  `json:"at"`
	Replica string `json:"replica"`
	Attempt int32  `json:"attempt"`
	What    string `json:"what"`
	Node    string `json:"node,omitempty"`
	Message string `json:"message,omitempty"`
}

// Progress is what the training program reports.
type Progress struct {
	Percent   *int64 `json:"percent,omitempty"`
	Remaining *int64 `json:"remaining,omitempty"` // seconds, when it was reported
	Updated   int64  `json:"updated,omitempty"`
	Metrics   []Fact `json:"metrics"`
}

// Fact is a name and its value.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Events are the last events.
type Events struct {
	List []Event `json:"list"`
	// Trouble says why there may be others; empty if all is well.
	Trouble string `json:"trouble,omitempty"`
}

// Event is an event of the job or of one of its pods.
type Event struct {
	At      int64  `json:"at"`
	Warning bool   `json:"warning,omitempty"`
	About   string `json:"about"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Count   int32  `json:"count,omitempty"`
}

// Input is all that a view is made of.
type Input struct {
	Ref Ref
	Job Job
	// History is what this process has seen of the job's states before.
	History []Point
	Events  []corev1.Event
	// EventsTrouble says why there may be other events; empty if all is well.
	EventsTrouble string
	Now           time.Time
}

// known is an input, read.
type known struct {
	Input

	job    jobview.Job
	status *commonv1.JobStatus // unpacked
	policy commonv1.RunPolicy
	specs  map[commonv1.ReplicaType]*commonv1.ReplicaSpec
	roles  []commonv1.ReplicaType
}

// read reads what is needed of a job, as far as it has the form of one.
func read(in Input) *known {
	k := &known{Input: in, job: jobview.FromObject(in.Job.Object, in.Job.Pods)}
	status := plan.UnpackStatus(k.job.Status)
	k.status = &status
	spec, _ := in.Job.Object.Object["spec"].(map[string]any)
	if policy, ok := spec["runPolicy"].(map[string]any); ok {
		if runtime.DefaultUnstructuredConverter.FromUnstructured(policy, &k.policy) != nil {
			k.policy = commonv1.RunPolicy{}
		}
	}
	k.specs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}
	for name, one := range jobview.ReplicaSpecs(in.Job.Object) {
		read := &commonv1.ReplicaSpec{}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(one, read) != nil {
			read = &commonv1.ReplicaSpec{}
		}
		k.specs[name] = read
	}
	for t := range k.job.Replicas {
		k.roles = append(k.roles, t)
	}
	slices.SortFunc(k.roles, func(a, b commonv1.ReplicaType) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	return k
}

// rank puts the replicas that lead a job before those that work.
func rank(t commonv1.ReplicaType) int {
	switch strings.ToLower(string(t)) {
	case "master", "chief", "launcher":
		return 0
	case "ps":
		return 1
	case "worker":
		return 2
	default:
		return 3
	}
}

// RowOf is a job in the list.
func RowOf(in Input) Row { return read(in).row() }

func (k *known) row() Row {
	tally := k.job.Tally()
	row := Row{
		Key: k.Ref.String(), Kind: text(k.job.Kind), Namespace: k.job.Namespace, Name: text(k.job.Name), State: text(k.job.State()),
		Created: millis(k.job.Created), Restarts: k.job.Restarts(), Note: text(k.job.Note()),
		Pending: tally.Pending, Running: tally.Running, Succeeded: tally.Succeeded, Failed: tally.Failed,
	}
	if at := k.status.CompletionTime; at != nil {
		row.Completed = millis(at.Time)
	}
	for _, n := range k.job.Replicas {
		row.Wanted += max(n, 0)
	}
	if p := k.progress(); p != nil {
		row.Percent = p.Percent
	}
	return row
}

// ViewOf is the page of a job.
func ViewOf(in Input) View {
	k := read(in)
	roles, replicas := k.grid()
	return View{
		Head: k.head(replicas), Roles: roles, Pods: k.logPods(replicas), Timeline: k.timeline(replicas),
		Events: Events{List: k.events(), Trouble: text(k.EventsTrouble)},
	}
}

func (k *known) head(replicas []replica) Head {
	h := Head{
		Row: k.row(), UID: string(k.Job.Object.GetUID()),
		Suspended: k.policy.Suspend != nil && *k.policy.Suspend, Finished: k.status.Finished(),
		Deleting: k.Job.Object.GetDeletionTimestamp() != nil, Queued: plan.Queued(k.Job.Object, k.specs),
		Next: k.next(replicas), Budgets: k.budgets(), Progress: k.progress(), Facts: k.facts(),
		Conditions: []Condition{}, Failures: []Failure{},
	}
	for _, c := range slices.Backward(k.status.Conditions) {
		h.Conditions = append(h.Conditions, Condition{
			Type: text(string(c.Type)), Status: text(string(c.Status)), Reason: text(c.Reason), Message: text(c.Message),
			Since: millis(c.LastTransitionTime.Time),
		})
	}
	for i := range slices.Backward(k.status.Failures) {
		f := &k.status.Failures[i]
		h.Failures = append(h.Failures, Failure{
			At: millis(f.Time.Time), Replica: replicaName(f.Type, f.Index), Attempt: f.Attempt, What: failureWords(f),
			Node: text(f.Node), Message: text(f.Message),
		})
	}
	return h
}

// failureWords say what kind of end it was.
func failureWords(f *commonv1.ReplicaFailure) string {
	reason := text(f.Reason)
	switch {
	case f.ExitCode == nil && reason == "":
		return "ended without an exit code"
	case f.ExitCode == nil:
		return reason
	case *f.ExitCode > 128 && reason == "Error", *f.ExitCode > 128 && reason == "":
		return fmt.Sprintf("exit code %d (signal %d)", *f.ExitCode, *f.ExitCode-128)
	case reason == "" || reason == "Error":
		return fmt.Sprintf("exit code %d", *f.ExitCode)
	default:
		return fmt.Sprintf("exit code %d, %s", *f.ExitCode, reason)
	}
}

// progress is status.trainerStatus; nil if the job reports none.
func (k *known) progress() *Progress {
	reported := k.status.TrainerStatus
	if reported == nil {
		return nil
	}
	p := &Progress{Metrics: []Fact{}}
	if n := reported.ProgressPercentage; n != nil {
		p.Percent = new(int64(min(max(*n, 0), 100)))
	}
	if n := reported.EstimatedRemainingSeconds; n != nil && *n >= 0 {
		p.Remaining = n
	}
	if at := reported.LastUpdatedTime; at != nil {
		p.Updated = millis(at.Time)
	}
	for _, m := range reported.Metrics[:min(len(reported.Metrics), maxMetrics)] {
		p.Metrics = append(p.Metrics, Fact{text(m.Name), text(m.Value)})
	}
	return p
}

// facts are where the job's time went until its present state began: status.seconds.
func (k *known) facts() []Fact {
	s := k.status.Seconds
	if s == nil {
		return []Fact{}
	}
	out := []Fact{}
	add := func(name string, seconds int64) {
		if seconds > 0 {
			out = append(out, Fact{name, jobview.Duration(time.Duration(seconds) * time.Second)})
		}
	}
	add("waiting", s.Waiting)
	add("starting", s.Starting)
	add("running", s.Running)
	for _, cause := range commonv1.RestartCauses() {
		add("restarting, "+strings.ToLower(string(cause)), s.Restarting.Of(cause))
	}
	add("hung", s.Hung)
	add("suspended", s.Suspended)
	return out
}

// events are the last events, the newest first.
func (k *known) events() []Event {
	list := slices.Clone(k.Events)
	slices.SortStableFunc(list, func(a, b corev1.Event) int { return explain.When(b).Compare(explain.When(a)) })
	out := []Event{}
	for i := range list[:min(len(list), maxEvents)] {
		e := &list[i]
		count := e.Count
		if e.Series != nil {
			count = e.Series.Count
		}
		out = append(out, Event{
			At: millis(explain.When(*e)), Warning: e.Type == corev1.EventTypeWarning, About: text(k.about(e.InvolvedObject)),
			Reason: text(e.Reason), Message: text(e.Message), Count: count,
		})
	}
	return out
}

// about names the object of an event, shortly where it is one of the job's.
func (k *known) about(o corev1.ObjectReference) string {
	if o.Name == k.job.Name {
		return o.Kind
	}
	return strings.TrimPrefix(o.Name, k.job.Name+"-")
}

// replicaName is how people call a replica, for example worker-3.
func replicaName(t commonv1.ReplicaType, index int32) string {
	return fmt.Sprintf("%s-%d", text(strings.ToLower(string(t))), index)
}

// text is text from the cluster as the page shows it: no character that changes how others
// are shown, and of bounded length.
func text(s string) string {
	if len(s) > 4*maxText {
		s = s[:4*maxText]
	}
	clean := []rune(strings.TrimSpace(console.CleanLines(s)))
	if len(clean) > maxText {
		return string(clean[:maxText]) + " …"
	}
	return string(clean)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
