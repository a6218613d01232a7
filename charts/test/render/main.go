// Command render renders the Helm chart, or config/default with components, for the tests that
// apply them. It reads a list of [request] from standard input, and writes the objects of each to
// standard output, as JSON. It runs in the folder of this module.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	charts "github.com/jobkit/jobkit/charts/test"
)

// request says what to render: the chart with values, or config/default with components.
type request struct {
	Values     charts.Values `json:"values,omitempty"`
	CRDs       bool          `json:"crds,omitempty"`
	Components []string      `json:"components,omitempty"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	var requests []request
	if err := json.NewDecoder(in).Decode(&requests); err != nil {
		return fmt.Errorf("cannot read the requests: %w", err)
	}
	chart, err := charts.Load()
	if err != nil {
		return err
	}
	answers := make([][]charts.Object, 0, len(requests))
	for _, r := range requests {
		var objects map[string]charts.Object
		switch {
		case r.CRDs:
			objects, err = charts.CRDs(chart)
		case len(r.Components) > 0:
			objects, err = charts.Overlay(r.Components...)
		default:
			objects, err = charts.Helm(chart, r.Values)
		}
		if err != nil {
			return err
		}
		var sorted []charts.Object
		for _, k := range slices.Sorted(maps.Keys(objects)) {
			sorted = append(sorted, objects[k])
		}
		answers = append(answers, sorted)
	}
	if err := json.NewEncoder(out).Encode(answers); err != nil {
		return fmt.Errorf("cannot write the objects: %w", err)
	}
	return nil
}
