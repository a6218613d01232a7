package jobview

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/console"
)

// stateWidth is the width of the longest state that jobs usually have.
const stateWidth = len("Restarting")

// Lines renders what changed from one snapshot to the next, one line for each job
// that did: time, job, state, replicas, restarts, and the note if it is new. A new job has
// changed. The lines have no line ends.
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
		news, note := change(job), console.OneLine(job.Note())
		if known && note == console.OneLine(was.Note()) {
			if news == change(was) {
				continue
			}
			note = "" // a long one need not be read twice
		}
		line := fmt.Sprintf("%s  %s  %s  %s", next.At.Format(time.TimeOnly), pad(name(job), width, false), news, note)
		lines = append(lines, trimRight(console.Clean(line)))
	}
	return lines
}

// identity distinguishes jobs.
func identity(j Job) string { return j.Kind + "/" + j.Namespace + "/" + j.Name }

// change is what is reported of a job. Nothing in it changes with time alone.
func change(j Job) string {
	text := pad(j.State(), stateWidth, false)
	if replicas := tallies(j); replicas != "" {
		text += "  " + replicas
	}
	if restarts := j.Restarts(); restarts > 0 {
		text += fmt.Sprintf("  (%s)", Plural(restarts, "restart"))
	}
	if ignored := j.Ignored(); ignored > 0 {
		text += fmt.Sprintf("  (%s ignored)", Plural(ignored, "failure"))
	}
	return text
}

// tallies lists the counts that are not zero: by type in a job that has several, for
// example "1 Launcher, 2 Worker running".
func tallies(j Job) string {
	counts := j.Tallies()
	if len(counts) < 2 && len(j.Replicas) < 2 {
		return j.Tally().String()
	}
	var parts []string
	for _, phase := range phases() {
		if of := typesIn(counts, phase.count); of != "" {
			parts = append(parts, of+" "+phase.name)
		}
	}
	return strings.Join(parts, "; ")
}

// typesIn lists the number of replicas of each type; types without any are left out.
func typesIn[T any](of map[commonv1.ReplicaType]T, count func(T) int) string {
	var parts []string
	for _, t := range slices.Sorted(maps.Keys(of)) {
		if n := count(of[t]); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, cmp.Or(t, "other")))
		}
	}
	return strings.Join(parts, ", ")
}

// phase is a phase that replicas are counted by.
type phase struct {
	name  string
	count func(Tally) int
}

// phases are all of them, in the order of a replica's life.
func phases() []phase {
	return []phase{
		{"pending", func(t Tally) int { return t.Pending }},
		{"running", func(t Tally) int { return t.Running }},
		{"succeeded", func(t Tally) int { return t.Succeeded }},
		{"failed", func(t Tally) int { return t.Failed }},
	}
}

// String lists the counts that are not zero, for example "1 running, 2 succeeded".
func (t Tally) String() string {
	var parts []string
	for _, phase := range phases() {
		if n := phase.count(t); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, phase.name))
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
