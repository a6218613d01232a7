package watch

import (
	"fmt"
	"time"

	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// Reporter shows the progress of jobs. It is for one goroutine.
type Reporter struct {
	streams console.Streams
	block   *console.Block // nil in a pipe
	last    jobview.Snapshot
	said    bool // there are lines above the table
}

// NewReporter shows progress on the given streams. End it with Close.
func NewReporter(s console.Streams) *Reporter {
	return &Reporter{streams: s, block: s.Block()}
}

// Show shows a snapshot: it redraws the table on a terminal; in a pipe it writes a
// line for each job that changed since the last one.
func (r *Reporter) Show(s jobview.Snapshot) {
	if r.block == nil {
		for _, line := range jobview.Lines(r.last, s) {
			fmt.Fprintln(r.streams.Out, line)
		}
	} else {
		width, height := r.streams.Size()
		table := jobview.Table(s, jobview.TableOptions{
			// A line of the full width makes some terminals wrap. Two rows are for the
			// empty line above the table and for the cursor below it.
			Width: width - 1, Height: height - 2, Color: r.streams.Color,
		})
		if r.said {
			table = append([]string{""}, table...)
		}
		r.block.Draw(table)
	}
	r.last = s
}

// Say writes lines that stay, above the table on a terminal. In a pipe each line
// begins with the time, as those of Show do.
func (r *Reporter) Say(at time.Time, lines ...string) {
	cleaned := make([]string, len(lines))
	for i, line := range lines {
		cleaned[i] = console.Clean(line)
	}
	if r.block != nil {
		r.said = true
		r.block.Above(cleaned)
		return
	}
	for _, line := range cleaned {
		fmt.Fprintf(r.streams.Out, "%s  %s\n", at.Format(time.TimeOnly), line)
	}
}

// Close ends the live table, which stays as it was last drawn. What is written to
// the streams afterwards comes below it. It can be called more than once.
func (r *Reporter) Close() {
	if r.block != nil {
		r.block.Close()
	}
}
