package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/jobkit/jobkit/examples/jobs"
	"github.com/jobkit/jobkit/internal/cli/run/manifest"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// The annotations of an example; package examples/jobs documents them.
const (
	annotationShows    = "jobkit.dev/demo-shows"
	annotationExpect   = "jobkit.dev/demo-expect"
	annotationRestarts = "jobkit.dev/demo-expect-restarts"
	annotationIgnored  = "jobkit.dev/demo-expect-ignored"
	annotationPods     = "jobkit.dev/demo-expect-pods"
	annotationSteps    = "jobkit.dev/demo-steps"
)

// Example is a job that the demo runs.
type Example struct {
	manifest.Document

	// Shows is what the example shows, in one line.
	Shows string
	// Outcome is how it ends.
	Outcome jobview.Outcome
	// Restarts is how many restarts it has then, Ignored how many failures were ignored,
	// and Pods how many pods are left; nil if any number is accepted.
	Restarts, Ignored, Pods *int
	// Steps are what the demo does to it, in order. Default: nothing.
	Steps []Step
}

// Examples returns the examples of this module, by kind and name. An error means
// that the program was built from a broken file.
func Examples() ([]Example, error) { return ReadExamples(jobs.Files) }

// ReadExamples reads the examples in a tree of files.
func ReadExamples(files fs.FS) ([]Example, error) {
	names, err := fs.Glob(files, "*/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("cannot list the examples: %w", err)
	}
	var (
		examples []Example
		errs     []error
	)
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("cannot read the example %s: %w", name, err)
		}
		documents, err := manifest.Parse(path.Join("examples/jobs", name), text)
		errs = append(errs, err)
		for _, document := range documents {
			example, err := readExample(document)
			errs = append(errs, err)
			examples = append(examples, example)
		}
	}
	return examples, errors.Join(errs...)
}

// readExample reads the annotations of an example.
func readExample(d manifest.Document) (Example, error) {
	notes := d.Object.GetAnnotations()
	e := Example{Document: d, Shows: notes[annotationShows], Outcome: jobview.Outcome(notes[annotationExpect])}
	var errs []error
	if e.Shows == "" {
		errs = append(errs, fmt.Errorf("%s: annotation %s is missing", d.Place(), annotationShows))
	}
	if e.Outcome != jobview.Succeeded && e.Outcome != jobview.Failed {
		errs = append(errs, fmt.Errorf("%s: annotation %s is %q, and must be Succeeded or Failed",
			d.Place(), annotationExpect, e.Outcome))
	}
	for _, number := range []struct {
		annotation string
		into       **int
	}{{annotationRestarts, &e.Restarts}, {annotationIgnored, &e.Ignored}, {annotationPods, &e.Pods}} {
		text, given := notes[number.annotation]
		if !given {
			continue
		}
		value, err := strconv.Atoi(text)
		if err != nil || value < 0 {
			errs = append(errs, fmt.Errorf("%s: annotation %s is %q, and must be a whole number from 0",
				d.Place(), number.annotation, text))
		}
		*number.into = &value
	}
	if text, given := notes[annotationSteps]; given {
		var err error
		e.Steps, err = readSteps(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: annotation %s: %w", d.Place(), annotationSteps, err))
		}
	}
	return e, errors.Join(errs...)
}

// Select picks the examples with the given names or kinds; all without any. It is
// an error if a name matches no example, and the error lists the existing ones.
func Select(examples []Example, names []string) ([]Example, error) {
	if len(names) == 0 {
		return examples, nil
	}
	fits := func(e Example, name string) bool {
		return e.Object.GetName() == name || strings.EqualFold(e.Object.GetKind(), name)
	}
	for _, name := range names {
		if slices.ContainsFunc(examples, func(e Example) bool { return fits(e, name) }) {
			continue
		}
		var known []string
		for _, e := range examples {
			known = append(known, e.Object.GetName())
		}
		return nil, fmt.Errorf("unknown example %q: choose from %s", name, strings.Join(known, ", "))
	}
	return slices.DeleteFunc(slices.Clone(examples), func(e Example) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return fits(e, name) })
	}), nil
}
