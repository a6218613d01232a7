package simulate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// maxLanes is how many replicas a chart shows.
const maxLanes = 16

// minBar is the narrowest chart.
const minBar = 20

// scale maps times to the columns of a chart.
type scale struct {
	end  time.Duration
	cols int
}

// col is the column of a time.
func (s scale) col(at time.Duration) int {
	return min(s.cols-1, max(0, int(float64(at)/float64(s.end)*float64(s.cols))))
}

// chart draws the lives of the replicas to scale.
func chart(t *Timeline, layout Layout) []string {
	lanes, more := chosen(t.lanes)
	names := len("job")
	for _, l := range lanes {
		names = max(names, width(l.name))
	}
	s := scale{end: endOf(t), cols: max(minBar, layout.Width-names-4)} //nolint:mnd // two gaps
	if s.end <= 0 || len(lanes) == 0 {
		return nil
	}
	lead := func(name string) string { return "  " + console.Pad(name, names, false) + "  " }
	lines := []string{lead("") + axis(s), lead("job") + stateBar(t.states, s, layout)}
	used := map[string]bool{}
	for _, l := range lanes {
		lines = append(lines, lead(console.Clean(l.name))+bar(l, s, layout, used))
	}
	if more > 0 {
		lines = append(lines, lead("")+console.Paint(fmt.Sprintf("and %d more replicas", more), console.Dim, layout.Color))
	}
	return append(lines, lead("")+console.Paint(legend(used), console.Dim, layout.Color))
}

// endOf is where the chart ends.
func endOf(t *Timeline) time.Duration {
	if len(t.states) > 0 && (t.State == "Succeeded" || t.State == "Failed") {
		return t.took
	}
	// What does not end is drawn until a little after its last change.
	var last time.Duration
	for _, e := range t.Entries {
		if e.What != StillGoing {
			last = e.at
		}
	}
	return min(t.took, last+last/4+10*time.Second) //nolint:mnd // a quarter
}

// chosen are the lanes to draw, those in which something went wrong first among them, and how
// many are left out.
func chosen(lanes []lane) ([]lane, int) {
	if len(lanes) <= maxLanes {
		return lanes, 0
	}
	var picked []int
	for _, eventful := range []bool{true, false} {
		for i := range lanes {
			if len(picked) < maxLanes && lanes[i].eventful() == eventful {
				picked = append(picked, i)
			}
		}
	}
	slices.Sort(picked)
	out := make([]lane, 0, len(picked))
	for _, i := range picked {
		out = append(out, lanes[i])
	}
	return out, len(lanes) - len(out)
}

// axis writes some times above the chart.
func axis(s scale) string {
	step := time.Second
	for _, seconds := range []int{1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600} {
		step = time.Duration(seconds) * time.Second
		if s.end/step <= 7 { //nolint:mnd // as many labels
			break
		}
	}
	line := []rune(strings.Repeat(" ", s.cols+10)) //nolint:mnd // room for the last
	for at := time.Duration(0); at <= s.end; at += step {
		col, label := s.col(at), []rune(clock(at))
		if at == s.end || col+len(label) > s.cols {
			continue
		}
		copy(line[col:], label)
	}
	return string(line[:s.cols])
}

// stateBar writes the names of the job's states from where they begin.
func stateBar(states []span, s scale, layout Layout) string {
	var b strings.Builder
	for i, st := range states {
		from, to := s.col(st.from), s.cols
		if i == 0 {
			b.WriteString(strings.Repeat(" ", from))
		}
		if i+1 < len(states) {
			to = s.col(states[i+1].from)
		}
		if to <= from {
			continue
		}
		text := console.Pad(clipWord("╷"+st.state, to-from), to-from, false)
		b.WriteString(console.Paint(text, jobview.StateStyle(st.state), layout.Color))
	}
	return b.String()
}

// clipWord cuts a word to a width; a short rest of a word says nothing.
func clipWord(word string, w int) string {
	if width(word) <= w {
		return word
	}
	return string([]rune(word)[:min(w, 1)])
}

// cells are how the states of a replica are drawn.
func cells(state string) (string, console.Style) {
	switch state {
	case laneWaits:
		return "░", console.Dim
	case laneRuns:
		return "█", console.Cyan
	case laneStops:
		return "▒", console.Dim
	case laneNoReply:
		return "?", console.Yellow
	}
	return " ", console.Plain
}

// bar draws the life of a replica.
func bar(l lane, s scale, layout Layout, used map[string]bool) string {
	states, marks := l.statesIn(s), l.marksIn(s)
	var b strings.Builder
	for c := range states {
		text, style := cells(states[c])
		switch marks[c] {
		case "✔":
			text, style = marks[c], console.Green
		case "✘":
			text, style = marks[c], console.Red
		}
		used[text] = true
		b.WriteString(console.Paint(text, style, layout.Color))
	}
	return b.String()
}

// statesIn are the states of a replica, for each column.
func (l *lane) statesIn(s scale) []string {
	states := make([]string, s.cols)
	for i, sp := range l.spans {
		from, to := s.col(sp.from), s.cols
		if sp.from >= s.end {
			break
		}
		if i+1 < len(l.spans) {
			to = s.col(l.spans[i+1].from)
		}
		for c := from; c < to; c++ {
			states[c] = sp.state
		}
		if to == from && sp.state == laneWaits && from < s.cols {
			states[from] = sp.state
		}
	}
	return states
}

// marksIn are the ends of a replica, for each column. A failure hides a success.
func (l *lane) marksIn(s scale) []string {
	marks := make([]string, s.cols)
	for _, m := range l.marks {
		if m.at > s.end {
			continue
		}
		if c := s.col(m.at); m.ok && marks[c] == "" {
			marks[c] = "✔"
		} else if !m.ok {
			marks[c] = "✘"
		}
	}
	return marks
}

// legend explains the signs that were used.
func legend(used map[string]bool) string {
	var parts []string
	for _, sign := range [][2]string{
		{"░", "starts"},
		{"█", "runs"},
		{"▒", "is stopped"},
		{"?", "does not answer"},
		{"✘", "fails"},
		{"✔", "succeeds"},
	} {
		if used[sign[0]] {
			parts = append(parts, sign[0]+" "+sign[1])
		}
	}
	return strings.Join(parts, "   ")
}
