package jobview

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// stateWidth is the width of the longest state that jobs usually have.
const stateWidth = len("Restarting")

// Lines renders what changed from one snapshot to the next, one line for each job
// that did: time, job, state, replicas, restarts, and the note if it is new. A job that is new has
// changed. There is no line end in the lines.
func Lines(previous, next Snapshot) []string {
	before := map[string]Job{}
	for _, job := range previous.Jobs {
		before[identity(job)] = job
	}

	name := nameIn(next.Jobs)

	width := 0
	for _, job := range next.Jobs {
		width = max(width, utf8.RuneCountInString(name(job)))
	}

	var lines []string

	for _, job := range next.Jobs {
		was, known := before[identity(job)]
		news, note := change(job), OneLine(job.Note())

		if known && note == OneLine(was.Note()) {
			if news == change(was) {
				continue
			}

			note = "" // a long one need not be read twice
		}

		line := fmt.Sprintf("%s  %s  %s  %s", next.At.Format(time.TimeOnly), pad(name(job), width, false), news, note)
		lines = append(lines, trimRight(line))
	}

	return lines
}

// identity tells jobs apart.
func identity(j Job) string { return j.Kind + "/" + j.Namespace + "/" + j.Name }

// change is what the reader is told of a job. Nothing in it changes with time alone.
func change(j Job) string {
	text := pad(j.State(), stateWidth, false)
	if replicas := j.Tally().String(); replicas != "" {
		text += "  " + replicas
	}

	if restarts := j.Restarts(); restarts > 0 {
		text += fmt.Sprintf("  (%s)", Plural(restarts, "restart"))
	}

	return text
}

// String lists the counts that are not zero, for example "1 running, 2 succeeded".
func (t Tally) String() string {
	var parts []string

	for _, part := range []struct {
		count int
		phase string
	}{
		{t.Pending, "pending"},
		{t.Running, "running"},
		{t.Succeeded, "succeeded"},
		{t.Failed, "failed"},
	} {
		if part.count > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.count, part.phase))
		}
	}

	return strings.Join(parts, ", ")
}

// Plural writes a count with its noun, for example "2 restarts".
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}

	return fmt.Sprintf("%d %ss", n, noun)
}
