package jobview_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// noon is now in these tests.
func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// job makes a job that was created 10 s ago and that the options then change.
func job(name string, options ...func(*jobview.Job)) jobview.Job {
	j := jobview.Job{Kind: "TestJob", Namespace: "demo", Name: name, Created: noon().Add(-10 * time.Second), Pods: []jobview.Pod{}}
	for _, option := range options {
		option(&j)
	}
	return j
}

// is adds conditions that are True.
func is(types ...commonv1.JobConditionType) func(*jobview.Job) {
	return func(j *jobview.Job) {
		for _, t := range types {
			j.Status.Conditions = append(j.Status.Conditions, commonv1.JobCondition{
				Type: t, Status: corev1.ConditionTrue, Reason: "TestJob" + string(t), Message: "TestJob " + j.Name + " is " + string(t) + ".",
			})
		}
	}
}

// message sets the message of the last condition.
func message(text string) func(*jobview.Job) {
	return func(j *jobview.Job) { j.Status.Conditions[len(j.Status.Conditions)-1].Message = text }
}

// pods adds pods in the given phases.
func pods(phases ...corev1.PodPhase) func(*jobview.Job) {
	return func(j *jobview.Job) {
		for _, phase := range phases {
			j.Pods = append(j.Pods, jobview.Pod{Name: j.Name + "-worker-" + string('0'+rune(len(j.Pods))), Phase: phase})
		}
	}
}

// took sets the completion time.
func took(d time.Duration) func(*jobview.Job) {
	return func(j *jobview.Job) {
		end := metav1.NewTime(j.Created.Add(d))
		j.Status.CompletionTime = &end
	}
}

func restarts(n int32) func(*jobview.Job) {
	return func(j *jobview.Job) { j.Status.Restarts = n }
}

func ignored(n int32) func(*jobview.Job) {
	return func(j *jobview.Job) {
		j.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{
			"PS": nil, "Worker": {IgnoredAttempts: map[string]int32{"1": n}},
		}
	}
}

// typed is a job that wants a Chief, which runs, and two Workers, of which one waits.
func typed() jobview.Job {
	return job("a", is(commonv1.JobRunning), ignored(3), func(j *jobview.Job) {
		j.Replicas = map[commonv1.ReplicaType]int{"Worker": 2, "Chief": 1, "PS": 0}
		j.Pods = []jobview.Pod{{Type: "Chief", Phase: corev1.PodRunning}, {Type: "Worker", Phase: corev1.PodPending}}
	})
}

func expect(state string) func(*jobview.Job) {
	return func(j *jobview.Job) { j.Expect = state }
}

func problem(text string) func(*jobview.Job) {
	return func(j *jobview.Job) { j.Pods[0].Problem = text }
}

// several are jobs in many states.
func several() []jobview.Job {
	return []jobview.Job{
		job("new"),
		job("pending", is(commonv1.JobCreated), pods(corev1.PodPending, corev1.PodPending),
			problem("ImagePullBackOff: Back-off pulling image \"nosuch\"")),
		job("running", is(commonv1.JobCreated, commonv1.JobRunning), pods(corev1.PodRunning, corev1.PodPending), restarts(2)),
		job("good", is(commonv1.JobCreated, commonv1.JobSucceeded), pods(corev1.PodSucceeded), took(4*time.Second)),
		job("bad", is(commonv1.JobCreated, commonv1.JobFailed), message("TestJob demo/bad has failed because 1 Worker replica(s) failed."),
			pods(corev1.PodFailed), took(6*time.Second)),
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, reason string
		jobs         []jobview.Job
		options      jobview.TableOptions
		want         string
	}{
		{
			name:   "unlimited",
			reason: "a pipe gets everything, whatever the width",
			jobs:   several(),
			want: `
JOB      KIND     STATE       PENDING  RUNNING  SUCCEEDED  FAILED  RESTARTS  AGE  NOTE
new      TestJob  Submitted         -        -          -       -         -  10s
pending  TestJob  Created           2        -          -       -         -  10s  pending-worker-0: ImagePullBackOff: Back-off pulling image "nosuch"
running  TestJob  Running           1        1          -       -         2  10s
good     TestJob  Succeeded         -        -          1       -         -   4s
bad      TestJob  Failed            -        -          -       1         -   6s  1 Worker replica(s) failed.
`,
		},
		{
			name:    "wide",
			reason:  "the note takes the room that is left, and is cut",
			jobs:    several(),
			options: jobview.TableOptions{Width: 130},
			want: `
JOB      KIND     STATE       PENDING  RUNNING  SUCCEEDED  FAILED  RESTARTS  AGE  NOTE
new      TestJob  Submitted         -        -          -       -         -  10s
pending  TestJob  Created           2        -          -       -         -  10s  pending-worker-0: ImagePullBackOff: Back-off pu…
running  TestJob  Running           1        1          -       -         2  10s
good     TestJob  Succeeded         -        -          1       -         -   4s
bad      TestJob  Failed            -        -          -       1         -   6s  1 Worker replica(s) failed.
`,
		},
		{
			name:    "80 columns",
			reason:  "headings get shorter; notes go below the table",
			jobs:    several(),
			options: jobview.TableOptions{Width: 80},
			want: `
JOB      KIND     STATE       PEND  RUN  DONE  FAIL  RST  AGE
new      TestJob  Submitted      -    -     -     -    -  10s
pending  TestJob  Created        2    -     -     -    -  10s
running  TestJob  Running        1    1     -     -    2  10s
good     TestJob  Succeeded      -    -     1     -    -   4s
bad      TestJob  Failed         -    -     -     1    -   6s
pending: pending-worker-0: ImagePullBackOff: Back-off pulling image "nosuch"
bad: 1 Worker replica(s) failed.
`,
		},
		{
			name:    "50 columns",
			reason:  "a narrow terminal loses the age and the kind, never the notes",
			jobs:    several()[:2],
			options: jobview.TableOptions{Width: 50},
			want: `
JOB      STATE       PEND  RUN  DONE  FAIL  RST
new      Submitted      -    -     -     -    -
pending  Created        2    -     -     -    -
pending: pending-worker-0: ImagePullBackOff: Back…
`,
		},
		{
			name:    "20 columns",
			reason:  "a tiny terminal still gets whole lines",
			jobs:    several()[:2],
			options: jobview.TableOptions{Width: 20},
			want: `
JOB       STATE
new       Submitted
pending   Created
pending: pending-wo…
`,
		},
		{
			name:    "expected",
			reason:  "what the demo expects is a column, and goes after the note",
			jobs:    []jobview.Job{job("a", expect("Failed"), is(commonv1.JobRunning), pods(corev1.PodRunning))},
			options: jobview.TableOptions{Width: 74},
			want: `
JOB  KIND     STATE       PEND  RUN  DONE  FAIL  RST  AGE  EXPECTED
a    TestJob  Running        -    1     -     -    -  10s  Failed
`,
		},
		{
			name:    "expected, narrow",
			reason:  "how it should end is more than what kind it is",
			jobs:    []jobview.Job{job("a", expect("Failed"), is(commonv1.JobRunning), pods(corev1.PodRunning))},
			options: jobview.TableOptions{Width: 58},
			want: `
JOB  STATE       PEND  RUN  DONE  FAIL  RST  EXPECTED
a    Running        -    1     -     -    -  Failed
`,
		},
		{
			name:   "types",
			reason: "what types a job has is shown where there is room, and restarts that do not count are in brackets",
			jobs:   []jobview.Job{typed(), job("b", restarts(2), ignored(1))},
			want: `
JOB  KIND     STATE       PENDING  RUNNING  SUCCEEDED  FAILED  RESTARTS  AGE  REPLICAS
a    TestJob  Running           1        1          -       -       (3)  10s  1 Chief, 2 Worker
b    TestJob  Submitted         -        -          -       -     2 (1)  10s
`,
		},
		{
			name:    "low",
			reason:  "jobs that do not fit are counted, finished ones first",
			jobs:    several(),
			options: jobview.TableOptions{Width: 80, Height: 5},
			want: `
JOB      KIND     STATE       PEND  RUN  DONE  FAIL  RST  AGE
new      TestJob  Submitted      -    -     -     -    -  10s
pending  TestJob  Created        2    -     -     -    -  10s
running  TestJob  Running        1    1     -     -    2  10s
and 2 more
`,
		},
		{
			name:   "namespaces",
			reason: "the namespace is shown only where the jobs are in several",
			jobs:   []jobview.Job{job("a"), job("a", func(j *jobview.Job) { j.Namespace = "other" })},
			want: `
JOB      KIND     STATE       PENDING  RUNNING  SUCCEEDED  FAILED  RESTARTS  AGE
demo/a   TestJob  Submitted         -        -          -       -         -  10s
other/a  TestJob  Submitted         -        -          -       -         -  10s
`,
		},
		{
			name:    "colours",
			reason:  "colours do not count as width, and what matters stands out",
			jobs:    []jobview.Job{job("a", is(commonv1.JobSucceeded), pods(corev1.PodSucceeded))},
			options: jobview.TableOptions{Width: 40, Color: true},
			want: "\n" +
				"\x1b[2mJOB\x1b[0m  \x1b[2mSTATE     \x1b[0m  \x1b[2mPEND\x1b[0m  \x1b[2mRUN\x1b[0m  \x1b[2mDONE\x1b[0m  \x1b[2mFAIL\x1b[0m\n" +
				"\x1b[1ma  \x1b[0m  \x1b[32mSucceeded \x1b[0m  \x1b[2m   -\x1b[0m  \x1b[2m  -\x1b[0m  \x1b[32m   1\x1b[0m  \x1b[2m   -\x1b[0m\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := "\n" + strings.Join(jobview.Table(jobview.Snapshot{At: noon(), Jobs: c.jobs}, c.options), "\n") + "\n"
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

// TestTableFits renders for every width and height: a line that is too long, or a
// line too many, would destroy the live table.
func TestTableFits(t *testing.T) {
	t.Parallel()
	s := jobview.Snapshot{At: noon(), Jobs: several()}
	for width := 1; width <= 150; width++ {
		for height := 3; height <= 8; height++ {
			lines := jobview.Table(s, jobview.TableOptions{Width: width, Height: height})
			if len(lines) > height {
				t.Errorf("width %d, height %d: %d lines", width, height, len(lines))
			}
			for _, line := range lines {
				if n := utf8.RuneCountInString(line); n > width {
					t.Errorf("width %d, height %d: a line has %d columns: %q", width, height, n, line)
				}
			}
		}
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	running := job("a", is(commonv1.JobCreated, commonv1.JobRunning), pods(corev1.PodRunning, corev1.PodRunning))
	bb := job("bb")
	for _, c := range []struct {
		name, reason   string
		previous, next []jobview.Job
		want           []string
	}{
		{
			name: "first", reason: "every job is new at first",
			next: []jobview.Job{running, bb},
			want: []string{"12:00:00  a   Running     2 running", "12:00:00  bb  Submitted"},
		},
		{
			name: "nothing", reason: "what has not changed is not repeated",
			previous: []jobview.Job{running, bb}, next: []jobview.Job{running, bb},
		},
		{
			name: "age", reason: "time alone is not a change",
			previous: []jobview.Job{bb},
			next:     []jobview.Job{job("bb", func(j *jobview.Job) { j.Created = noon() })},
		},
		{
			name: "replicas", reason: "a change of the replicas is one, and its line says what is so now",
			previous: []jobview.Job{running, bb},
			next:     []jobview.Job{job("a", is(commonv1.JobCreated, commonv1.JobRunning), pods(corev1.PodRunning, corev1.PodSucceeded)), bb},
			want:     []string{"12:00:00  a   Running     1 running, 1 succeeded"},
		},
		{
			name: "types", reason: "replicas of several types are distinguished",
			next: []jobview.Job{typed()},
			want: []string{"12:00:00  a  Running     1 Worker pending; 1 Chief running  (3 failures ignored)"},
		},
		{
			name: "restart", reason: "restarts are reported with the reason",
			previous: []jobview.Job{running},
			next: []jobview.Job{job("a", is(commonv1.JobRestarting), message("job a is restarting because Worker replica(s) failed."),
				pods(corev1.PodPending), restarts(1))},
			want: []string{"12:00:00  a  Restarting  1 pending  (1 restart)  Worker replica(s) failed."},
		},
		{
			name: "same note", reason: "a note that stays is not repeated with each change",
			previous: []jobview.Job{job("a", is(commonv1.JobFailed), message("why"), pods(corev1.PodRunning))},
			next:     []jobview.Job{job("a", is(commonv1.JobFailed), message("why"))},
			want:     []string{"12:00:00  a  Failed"},
		},
		{
			name: "new note", reason: "a new note is reported, though nothing else is new",
			previous: []jobview.Job{job("a", pods(corev1.PodPending))},
			next:     []jobview.Job{job("a", pods(corev1.PodPending), problem("not scheduled: full"))},
			want:     []string{"12:00:00  a  Submitted   1 pending  a-worker-0: not scheduled: full"},
		},
		{
			name: "gone", reason: "a job that someone deleted is not passed over",
			previous: []jobview.Job{running},
			next:     []jobview.Job{job("a", is(commonv1.JobRunning), func(j *jobview.Job) { j.Gone = true })},
			want:     []string{"12:00:00  a  Deleted     it was deleted before it finished"},
		},
		{
			name: "control", reason: "a message from the cluster cannot break lines or steer the terminal",
			next: []jobview.Job{job("a", is(commonv1.JobFailed), message("one\ntwo\x1b[2Jthree\u009b4"))},
			want: []string{"12:00:00  a  Failed      one two [2Jthree 4"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := jobview.Lines(jobview.Snapshot{At: noon(), Jobs: c.previous}, jobview.Snapshot{At: noon(), Jobs: c.next})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0s": 0, "59s": 59*time.Second + 900*time.Millisecond, "1m00s": time.Minute, "2m05s": 125 * time.Second,
		"1h00m": time.Hour, "23h59m": 24*time.Hour - time.Second, "4d02h": 98 * time.Hour,
	} {
		if got := jobview.Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}
