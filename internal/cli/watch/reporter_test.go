package watch_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/watch"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// snapshot has jobs of the given names, all in the same state.
func snapshot(state commonv1.JobConditionType, names ...string) jobview.Snapshot {
	s := jobview.Snapshot{At: noon()}
	for _, name := range names {
		job := jobview.Job{Kind: "TestJob", Name: name, Created: noon(), Pods: []jobview.Pod{}}
		job.Status.Conditions = []commonv1.JobCondition{{Type: state, Status: corev1.ConditionTrue}}
		s.Jobs = append(s.Jobs, job)
	}
	return s
}

// terminal is a screen that knows the few control sequences that are used. It fails the
// test on all others.
type terminal struct {
	t      *testing.T
	width  int
	rows   [][]rune
	row    int
	column int
	writes int
	hidden bool
}

func (m *terminal) Write(p []byte) (int, error) {
	m.writes++
	for text := string(p); text != ""; {
		if rest, found := strings.CutPrefix(text, "\x1b["); found {
			end := strings.IndexAny(rest, "ABCDHJKhlm")
			if end < 0 {
				m.t.Fatalf("unfinished control sequence %q", text)
			}
			m.control(rest[:end], rest[end])
			text = rest[end+1:]
			continue
		}
		r := []rune(text)[0]
		m.put(r)
		text = text[len(string(r)):]
	}
	return len(p), nil
}

func (m *terminal) control(argument string, command byte) {
	switch {
	case command == 'A':
		up := 0
		for _, digit := range argument {
			up = up*10 + int(digit-'0')
		}
		m.row -= up
		if m.row < 0 {
			m.t.Fatalf("cursor above the top")
		}
	case command == 'K':
		m.line(m.row)
		m.rows[m.row] = m.rows[m.row][:min(m.column, len(m.rows[m.row]))]
	case command == 'J':
		m.line(m.row)
		m.rows = m.rows[:m.row]
	case argument == "?25":
		m.hidden = command == 'l'
	case argument == "?2026", command == 'm':
	default:
		m.t.Fatalf("unknown control sequence %q%c", argument, command)
	}
}

func (m *terminal) put(r rune) {
	switch r {
	case '\r':
		m.column = 0
	case '\n':
		m.row, m.column = m.row+1, 0
	default:
		if m.column == m.width {
			m.row, m.column = m.row+1, 0
		}
		m.line(m.row)
		for len(m.rows[m.row]) <= m.column {
			m.rows[m.row] = append(m.rows[m.row], ' ')
		}
		m.rows[m.row][m.column] = r
		m.column++
	}
}

// line checks that a row exists.
func (m *terminal) line(n int) {
	for len(m.rows) <= n {
		m.rows = append(m.rows, nil)
	}
}

// screen is what the user sees.
func (m *terminal) screen() string {
	var b strings.Builder
	for _, row := range m.rows {
		b.WriteString(strings.TrimRight(string(row), " ") + "\n")
	}
	return b.String()
}

func TestLive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, reason string
		do           func(m *terminal, r *watch.Reporter)
		want         string
		writes       int
	}{
		{
			name: "redraw", reason: "the table is redrawn in place, each time with one write",
			do: func(_ *terminal, r *watch.Reporter) {
				r.Show(snapshot(commonv1.JobSuspended, "a", "b"))
				r.Show(snapshot(commonv1.JobRunning, "a", "b"))
			},
			want:   "JOB  STATE       PEND  RUN  DONE  FAIL\na    Running        -    -     -     -\nb    Running        -    -     -     -\n",
			writes: 2,
		},
		{
			name: "same", reason: "unchanged output is not written again",
			do: func(_ *terminal, r *watch.Reporter) {
				r.Show(snapshot(commonv1.JobRunning, "a"))
				r.Show(snapshot(commonv1.JobRunning, "a"))
			},
			want:   "JOB  STATE       PEND  RUN  DONE  FAIL\na    Running        -    -     -     -\n",
			writes: 1,
		},
		{
			name: "fewer", reason: "nothing is left of a table that was longer",
			do: func(_ *terminal, r *watch.Reporter) {
				r.Show(snapshot(commonv1.JobRunning, "a", "b", "c"))
				r.Show(snapshot(commonv1.JobRunning, "a"))
			},
			want:   "JOB  STATE       PEND  RUN  DONE  FAIL\na    Running        -    -     -     -\n",
			writes: 2,
		},
		{
			name: "say", reason: "what is said stays above the table",
			do: func(_ *terminal, r *watch.Reporter) {
				r.Say(noon(), "first")
				r.Show(snapshot(commonv1.JobRunning, "a"))
				r.Say(noon(), "second", "third")
				r.Show(snapshot(commonv1.JobSucceeded, "a"))
			},
			want: "first\nsecond\nthird\n\nJOB  STATE       PEND  RUN  DONE  FAIL\n" +
				"a    Succeeded      -    -     -     -\n",
			writes: 4,
		},
		{
			name: "narrower", reason: "lines that wrap because the terminal was made narrower are overwritten too",
			do: func(m *terminal, r *watch.Reporter) {
				r.Show(snapshot(commonv1.JobRunning, "a"))
				// The terminal wraps the 38 columns of the two lines into two rows each.
				m.width = 21
				m.rows = [][]rune{m.rows[0][:21], m.rows[0][21:], m.rows[1][:21], m.rows[1][21:]}
				m.row = 4
				r.Show(snapshot(commonv1.JobSucceeded, "a"))
			},
			want:   "JOB       STATE\na         Succeeded\n",
			writes: 2,
		},
		{
			name: "close", reason: "after the end, the cursor is back and output goes on below",
			do: func(m *terminal, r *watch.Reporter) {
				r.Show(snapshot(commonv1.JobRunning, "a"))
				r.Close()
				r.Close()
				if m.hidden {
					m.t.Error("the cursor is hidden")
				}
				_, _ = m.Write([]byte("done\n"))
			},
			want:   "JOB  STATE       PEND  RUN  DONE  FAIL\na    Running        -    -     -     -\ndone\n",
			writes: 3,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := &terminal{t: t, width: 40}
			r := watch.NewReporter(console.Streams{Out: m, Size: func() (int, int) { return m.width, 20 }, Color: true})
			c.do(m, r)
			if diff := cmp.Diff(c.want, m.screen()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			if m.writes != c.writes {
				t.Errorf("%s: %d writes, want %d", c.reason, m.writes, c.writes)
			}
		})
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	r := watch.NewReporter(console.Streams{Out: &out})
	r.Show(snapshot(commonv1.JobCreated, "a", "b"))
	r.Say(noon(), "something happened")
	r.Show(snapshot(commonv1.JobCreated, "a", "b"))
	r.Show(snapshot(commonv1.JobRunning, "a", "b"))
	r.Close()
	want := `12:00:00  a  Created
12:00:00  b  Created
12:00:00  something happened
12:00:00  a  Running
12:00:00  b  Running
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("one line for each change, without control sequences (-want +got):\n%s", diff)
	}
}
