package jobview

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jobkit/jobkit/internal/cli/console"
)

// TableOptions says for which terminal a table is rendered.
type TableOptions struct {
	// Width is how many columns a line may have. Default: 0, no limit.
	Width int
	// Height is how many lines the table may have. Default: 0, no limit.
	Height int
	// HideNotes leaves the notes out, for where they were said before.
	HideNotes bool
	// Color allows ANSI colours. Default: none.
	Color bool
}

const (
	gap          = 2  // spaces between columns
	minNoteWidth = 40 // a narrower note says too little
	minNameWidth = 8  // a job's name is never cut shorter
	lastDrop     = 6  // highest dropAt
	minHeight    = 3  // heading, a job, and how many more there are
)

// column is one column of the table.
type column struct {
	heading string
	// short replaces the heading where the terminal is narrow.
	short string
	// least is the least width, so that a cell which changes does not move the rest.
	least int
	// right aligns the cells to the right, for numbers.
	right bool
	// dropAt is the order in which columns go when the terminal is too narrow;
	// 0 is never.
	dropAt int
	// grows takes the width that the other columns leave.
	grows bool
	text  func(Job) string
	style func(Job) style
}

// Table renders a snapshot as a table with a heading. Columns get narrower, and the less
// important ones are dropped, until the lines fit in the width; if the jobs do not fit in
// the height, those that have finished are left out first and counted in a last line.
// Notes without a column come below the table. The lines have no line ends.
func Table(s Snapshot, o TableOptions) []string {
	columns := columnsOf(s)
	if o.HideNotes {
		columns = columns[:len(columns)-1]
	}
	return render(s, fit(columns, s.Jobs, o.Width), o)
}

// render renders a table whose columns have their widths.
func render(s Snapshot, columns []sized, o TableOptions) []string {
	shown, hidden := choose(s.Jobs, o.Height)
	heading := make([]string, len(columns))
	for i, c := range columns {
		heading[i] = paint(cell(c.heading, c, i == len(columns)-1), dim, o.Color)
	}
	lines := []string{trimRight(strings.Join(heading, spaces(gap)))}
	for _, job := range shown {
		cells := make([]string, len(columns))
		for i, c := range columns {
			text := cell(c.text(job), c, i == len(columns)-1)
			cells[i] = paint(text, c.style(job), o.Color)
		}
		lines = append(lines, trimRight(strings.Join(cells, spaces(gap))))
	}
	if hidden > 0 {
		lines = append(lines, paint(clip(fmt.Sprintf("and %d more", hidden), limit(o.Width)), dim, o.Color))
	}
	if o.Width > 0 && !o.HideNotes && !columns[len(columns)-1].grows {
		lines = append(lines, footnotes(shown, o, o.Height-len(lines))...)
	}
	return lines
}

// footnotes are the notes of the jobs where the table has no column for them: one
// line for each, as far as they fit in the height.
func footnotes(jobs []Job, o TableOptions, room int) []string {
	var lines []string
	name := nameIn(jobs)
	for _, job := range jobs {
		if note := console.OneLine(job.Note()); note != "" && (o.Height <= 0 || len(lines) < room) {
			lines = append(lines, paint(clip(console.Clean(name(job))+": "+note, o.Width), dim, o.Color))
		}
	}
	return lines
}

// cell fits text into a column; the last one of a line gets no spaces at its end.
func cell(text string, c sized, last bool) string {
	text = clip(text, c.width)
	if last && !c.right {
		return text
	}
	return pad(text, c.width, c.right)
}

// columnsOf are the columns that a snapshot needs.
func columnsOf(s Snapshot) []column {
	count := func(heading, short string, of func(Tally) int, strong style) column {
		return column{
			heading: heading, short: short, right: true,
			text: func(j Job) string { return number(of(j.Tally())) },
			style: func(j Job) style {
				if of(j.Tally()) == 0 {
					return dim
				}
				return strong
			},
		}
	}
	columns := []column{
		{heading: "JOB", text: nameIn(s.Jobs), style: always(bold)},
		{heading: "KIND", dropAt: 4, text: func(j Job) string { return j.Kind }, style: always(plain)},
		{heading: "STATE", least: stateWidth, text: Job.State, style: func(j Job) style { return stateStyle(j.State()) }},
		count("PENDING", "PEND", func(t Tally) int { return t.Pending }, plain),
		count("RUNNING", "RUN", func(t Tally) int { return t.Running }, cyan),
		count("SUCCEEDED", "DONE", func(t Tally) int { return t.Succeeded }, green),
		count("FAILED", "FAIL", func(t Tally) int { return t.Failed }, red),
		{
			heading: "RESTARTS", short: "RST", right: true, dropAt: 6,
			text: restarts,
			style: func(j Job) style {
				if j.Restarts() == 0 && j.Ignored() == 0 {
					return dim
				}
				return yellow
			},
		},
		{
			heading: "AGE", right: true, dropAt: 3,
			text:  func(j Job) string { return Duration(j.Age(s.At)) },
			style: always(plain),
		},
	}
	if slices.ContainsFunc(s.Jobs, func(j Job) bool { return j.Expect != "" }) {
		columns = append(columns, column{
			heading: "EXPECTED", dropAt: 5,
			text: func(j Job) string { return j.Expect }, style: always(dim),
		})
	}
	if slices.ContainsFunc(s.Jobs, func(j Job) bool { return len(j.Replicas) > 0 }) {
		columns = append(columns, column{heading: "REPLICAS", dropAt: 1, text: wanted, style: always(plain)})
	}
	columns = append(columns, column{
		heading: "NOTE", dropAt: 2, grows: true,
		text: func(j Job) string { return console.OneLine(j.Note()) }, style: always(dim),
	})

	// Names, states and types come from elsewhere, too.
	for i, c := range columns {
		columns[i].text = func(j Job) string { return console.Clean(c.text(j)) }
	}
	return columns
}

// sized is a column with its width.
type sized struct {
	column

	width int
}

// fit gives each column its width, so that together they fit in the given one.
// The widths depend on the names of the jobs and the width, and hardly on the states of
// the jobs, so that a table that is redrawn does not jump.
func fit(columns []column, jobs []Job, width int) []sized {
	laid := measure(columns, jobs)
	if width <= 0 {
		return unlimited(laid, jobs)
	}
	if total(laid) > width {
		for i := range columns {
			columns[i].heading = cmp.Or(columns[i].short, columns[i].heading)
		}
		laid = measure(columns, jobs)
	}
	for drop := 1; total(laid) > width && drop <= lastDrop; drop++ {
		laid = slices.DeleteFunc(laid, func(c sized) bool { return c.dropAt == drop })
	}
	if over := total(laid) - width; over > 0 {
		laid[0].width = max(minNameWidth, laid[0].width-over)
	}
	// A terminal that is narrower than the remaining columns still gets whole lines.
	for len(laid) > 1 && total(laid) > width {
		laid = laid[:len(laid)-1]
	}
	laid[0].width = min(laid[0].width, max(1, width))
	if last := &laid[len(laid)-1]; last.grows {
		last.width += width - total(laid)
	}
	return laid
}

// unlimited gives the last column all the width it wants, or leaves it out if it
// has nothing to say.
func unlimited(laid []sized, jobs []Job) []sized {
	last := &laid[len(laid)-1]
	if !last.grows {
		return laid
	}
	if !slices.ContainsFunc(jobs, func(j Job) bool { return last.text(j) != "" }) {
		return laid[:len(laid)-1]
	}
	last.width = 0
	for _, job := range jobs {
		last.width = max(last.width, utf8.RuneCountInString(last.text(job)))
	}
	return laid
}

// measure gives each column the width of its widest cell; one that grows, its least.
func measure(columns []column, jobs []Job) []sized {
	laid := make([]sized, 0, len(columns))
	for _, c := range columns {
		width := max(c.least, utf8.RuneCountInString(c.heading))
		for _, job := range jobs {
			width = max(width, utf8.RuneCountInString(c.text(job)))
		}
		if c.grows {
			width = minNoteWidth // for the notes to come
		}
		laid = append(laid, sized{column: c, width: width})
	}
	return laid
}

// total is the width of the columns with the gaps between them.
func total(columns []sized) int {
	sum := gap * (len(columns) - 1)
	for _, c := range columns {
		sum += c.width
	}
	return sum
}

// choose picks the jobs that fit in the height, finished ones last, and says how
// many do not.
func choose(jobs []Job, height int) ([]Job, int) {
	if height <= 0 || len(jobs)+1 <= height {
		return jobs, 0
	}
	keep := max(minHeight, height) - 2 // heading and last line
	rank := slices.Clone(jobs)
	slices.SortStableFunc(rank, func(a, b Job) int { return finishedRank(a) - finishedRank(b) })
	return rank[:keep], len(jobs) - keep
}

// finishedRank sorts jobs that have finished behind the others.
func finishedRank(j Job) int {
	if j.Outcome() == Unfinished {
		return 0
	}
	return 1
}

// nameIn names a job: with its namespace only where the jobs are in several.
func nameIn(jobs []Job) func(Job) string {
	several := slices.ContainsFunc(jobs, func(j Job) bool { return j.Namespace != jobs[0].Namespace })
	return func(j Job) string {
		if several {
			return j.Namespace + "/" + j.Name
		}
		return j.Name
	}
}

// Duration writes a duration in a short form: "8s", "2m05s", "3h10m", "4d02h".
func Duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < day:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%02dh", int(d/day), int(d.Hours())%24)
	}
}

// wanted are the replicas that a job wants, for example "1 Master, 3 Worker".
func wanted(j Job) string { return typesIn(j.Replicas, func(n int) int { return n }) }

// restarts are the restarts of a job, and in brackets those that do not count.
func restarts(j Job) string {
	ignored := j.Ignored()
	switch {
	case ignored == 0:
		return number(j.Restarts())
	case j.Restarts() == 0:
		return fmt.Sprintf("(%d)", ignored)
	}
	return fmt.Sprintf("%d (%d)", j.Restarts(), ignored)
}

// number writes a count; a zero is a dash, so that the eye finds the others.
func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func always(s style) func(Job) style { return func(Job) style { return s } }

func spaces(n int) string { return strings.Repeat(" ", n) }

func trimRight(line string) string { return strings.TrimRight(line, " ") }

// limit is a width, where 0 means none.
func limit(width int) int {
	if width <= 0 {
		return 1 << 16
	}
	return width
}
