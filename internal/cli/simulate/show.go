package simulate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// Layout is how a timeline is shown.
type Layout struct {
	// Width is how many columns there are. Default: 100.
	Width int
	// Color allows ANSI colours.
	Color bool
}

// Limits of what is shown.
const (
	defaultWidth = 100
	// maxRows is how many rows a timeline has; beyond that its middle is left out.
	maxRows  = 80
	headRows = 50
	// together is how far apart two changes of the same kind may be that share a row.
	together = time.Second
	// whoWidth is the width of the column of replicas.
	whoWidth = 22
	// timeWidth is the width of the column of times.
	timeWidth = 8
)

// row is a line of the timeline: what happened to one or more at the same time.
type row struct {
	Entry

	who   []string
	nodes []string
}

// Show makes the lines that show a timeline.
func Show(t *Timeline, layout Layout) []string {
	layout.Width = cmp.Or(layout.Width, defaultWidth)
	lines := heading(t, layout)
	rows := rowsOf(t.Entries)
	skipped := max(0, len(rows)-maxRows)
	for i, r := range rows {
		if skipped > 0 && i >= headRows && i < headRows+skipped {
			if i == headRows {
				more := fmt.Sprintf("%*s  %d more, which -o yaml shows", timeWidth, "…", skipped)
				lines = append(lines, console.Paint(more, console.Dim, layout.Color))
			}
			continue
		}
		lines = append(lines, r.lines(layout)...)
	}
	lines = append(lines, "")
	if drawn := chart(t, layout); len(drawn) > 0 {
		lines = append(append(lines, drawn...), "")
	}
	lines = append(lines, conclusion(t, layout)...)
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// heading says what is simulated.
func heading(t *Timeline, layout Layout) []string {
	roles := make([]string, 0, len(t.Roles))
	for _, r := range t.Roles {
		roles = append(roles, fmt.Sprintf("%d %s", r.Replicas, r.Type))
	}
	title := fmt.Sprintf("%s %s", t.Kind, t.Name)
	lines := []string{console.Paint(console.Clean(title), console.Bold, layout.Color) + ": " + strings.Join(roles, ", ")}
	for _, line := range console.Wrap("Simulated, without a cluster: "+strings.Join(t.Setting, "; ")+".", layout.Width) {
		lines = append(lines, console.Paint(line, console.Dim, layout.Color))
	}
	return append(lines, "")
}

// rowsOf puts entries together that are about the same.
func rowsOf(entries []Entry) []row {
	var rows []row
	for _, e := range entries {
		if e.What == EventIs && (strings.HasPrefix(e.State, "Successful") || e.State == "ExitedWithCode") {
			continue // the rows of the pods and objects say it
		}
		if i := joins(rows, &e); i >= 0 {
			rows[i].who = append(rows[i].who, e.Subject)
			rows[i].nodes = append(rows[i].nodes, e.Node)
			continue
		}
		rows = append(rows, row{Entry: e, who: []string{e.Subject}, nodes: []string{e.Node}})
	}
	return rows
}

// joins is the row that an entry belongs to: the same thing happened to another replica, or
// another object, within a second, and nothing happened to the job meanwhile. Negative is none.
func joins(rows []row, e *Entry) int {
	if e.What == Condition || e.What == EventIs || e.What == Provoked {
		return -1
	}
	for i := len(rows) - 1; i >= 0; i-- {
		r := &rows[i]
		if e.at-r.at > together || slices.Contains(r.who, e.Subject) || r.What == Provoked {
			return -1
		}
		if r.pod() && r.says(e) {
			return i
		}
		if r.What == Condition {
			return -1
		}
	}
	return -1
}

// says reports whether a row says the same as an entry, about another of the same sort.
func (r *row) says(e *Entry) bool {
	return r.What == e.What && r.Message == e.Message && sameCode(r.ExitCode, e.ExitCode) && isReplica(r.Subject) == isReplica(e.Subject)
}

// isReplica distinguishes "worker-1" from "Service a-worker-1".
func isReplica(subject string) bool { return !strings.Contains(subject, " ") }

func sameCode(a, b *int32) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// lines are those of a row: one, or more if its text is long.
func (r *row) lines(layout Layout) []string {
	who := r.subject()
	text, style := r.text()
	if names := r.details(); names != "" {
		text += ": " + names
	}
	const gap = 2
	indent := timeWidth + gap + whoWidth + gap
	var lines []string
	if r.What == Condition {
		indent += stateWidth + gap
	}
	for i, part := range console.Wrap(console.OneLine(text), layout.Width-indent) {
		lead := strings.Repeat(" ", indent)
		if i == 0 {
			whoStyle := console.Plain
			if r.Subject == theJob {
				whoStyle = console.Bold
			}
			lead = console.Paint(console.Pad(clock(r.at), timeWidth, true), console.Dim, layout.Color) + "  " +
				console.Paint(console.Pad(console.Clip(who, whoWidth), whoWidth, false), whoStyle, layout.Color) + "  "
			if r.What == Condition {
				lead += console.Paint(console.Pad(console.Clean(r.State), stateWidth, false), style, layout.Color) + "  "
			}
		}
		if r.What != Condition {
			part = console.Paint(part, style, layout.Color)
		}
		lines = append(lines, lead+part)
	}
	return lines
}

// stateWidth is the width of the column of states, within the text of a row.
const stateWidth = len("Restarting")

// subject names what a row is about.
func (r *row) subject() string {
	if !isReplica(r.Subject) {
		return "objects"
	}
	if names := console.Clean(ranges(r.who)); width(names) <= whoWidth || len(r.who) == 1 {
		return names
	}
	return fmt.Sprintf("%d replicas", len(r.who))
}

// details are the names that the subject has no room for.
func (r *row) details() string {
	switch {
	case !isReplica(r.Subject):
		return objects(r.who)
	case width(ranges(r.who)) > whoWidth && len(r.who) > 1:
		return ranges(r.who)
	}
	return ""
}

// objects counts objects by kind, for example "ConfigMap, 3 Services".
func objects(names []string) string {
	kinds := map[string]int{}
	for _, w := range names {
		kind, _, _ := strings.Cut(w, " ")
		kinds[kind]++
	}
	var parts []string
	for _, kind := range sortedKeys(kinds) {
		if kinds[kind] == 1 {
			parts = append(parts, kind)
		} else {
			parts = append(parts, fmt.Sprintf("%d %ss", kinds[kind], kind))
		}
	}
	return strings.Join(parts, ", ")
}

// text is what a row says, and its style.
func (r *row) text() (string, console.Style) {
	switch r.What {
	case Condition:
		return r.Message, jobview.StateStyle(r.State)
	case EventIs:
		if r.Warning {
			return "event " + r.State + ": " + r.Message, console.Yellow
		}
		return "event " + r.State + ": " + r.Message, console.Dim
	case Provoked:
		return r.Message, console.Yellow
	case Runs:
		if len(r.who) == 1 {
			return "runs on " + r.nodes[0], console.Plain
		}
		return "run", console.Plain
	case Created:
		if isReplica(r.Subject) && r.Attempt > 0 {
			return fmt.Sprintf("created again (attempt %d)", r.Attempt+1), console.Plain
		}
		return "created", console.Plain
	case Succeeded:
		return "✔ exit code 0", console.Green
	case Failed:
		return "✘ " + r.code(), console.Red
	case InPlace:
		return "✘ " + r.code() + "; the node restarts it in place", console.Yellow
	case Disrupted:
		return "✘ disrupted: " + r.Message, console.Red
	case Stops:
		return "stopping", console.Dim
	case Gone:
		return "gone", console.Dim
	case Submitted, JobDeleted, StillGoing:
		return cmp.Or(r.Message, string(r.What)), console.Plain
	}
	return r.Message, console.Plain
}

// code is how a pod ended, in words.
func (r *row) code() string {
	if r.ExitCode == nil {
		return cmp.Or(r.Message, "ended without an exit code")
	}
	return "exit code " + strconv.Itoa(int(*r.ExitCode))
}

// conclusion says how the job ended.
func conclusion(t *Timeline, layout Layout) []string {
	state := t.State
	text := " after " + clock(t.took)
	if state != "Succeeded" && state != "Failed" {
		text = " at the end of the simulation, after " + clock(t.took)
	}
	counted := jobview.Plural(int(t.Status.Restarts), "restart")
	if t.limits != "" {
		counted += " (" + t.limits + ")"
	}
	lines := []string{console.Paint(console.Clean(state), jobview.StateStyle(state), layout.Color) + text + ", " + counted}
	for _, f := range t.Status.Failures {
		code := cmp.Or(f.Reason, "no exit code")
		if f.ExitCode != nil {
			code = "exit code " + strconv.Itoa(int(*f.ExitCode))
		}
		lines = append(lines, fmt.Sprintf("  failure of %s-%d, attempt %d on %s: %s", strings.ToLower(string(f.Type)), f.Index, f.Attempt+1, f.Node, code))
	}
	return lines
}

// width is how many columns text takes.
func width(text string) int { return utf8.RuneCountInString(text) }
