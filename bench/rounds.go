package main

import (
	"cmp"
	"slices"
	"strings"
)

// rounds are measurements of the same thing, one after the other. In each the floor came
// right after the operator.
type rounds []*figures

// inRounds measures as often as the options ask for, and reports the round in the middle.
func (b *bench) inRounds(measure func() (*figures, error)) (rounds, error) {
	var r rounds
	for range b.options.rounds {
		f, err := measure()
		if err != nil {
			return nil, err
		}
		r = append(r, f)
	}
	b.report.add(b, r.middle())
	return r, nil
}

// createRate, runningRate and controlPlaneCPU compare an operator with its floor.
func createRate(f *figures) float64 { return f.floor.created.Seconds() / f.created.Seconds() }

func runningRate(f *figures) float64 { return f.floor.running.Seconds() / f.running.Seconds() }

func controlPlaneCPU(f *figures) float64 {
	return ratio(f.spent.controlPlaneCPU, f.floor.spent.controlPlaneCPU)
}

// medianRatio adds a measure: its median over the rounds.
func (b *bench) medianRatio(name string, r rounds, value func(*figures) float64) {
	values := make([]float64, len(r))
	for i, f := range r {
		values[i] = value(f)
	}
	b.median(name, values)
}

// times adds what is no ratio: how long it took until all pods existed and ran, and the CPU time
// of an operator that is a process of its own.
func (b *bench) times(of string, r rounds) {
	s := of + r[0].suffix()
	b.medianRatio("seconds-to-created"+s, r, func(f *figures) float64 { return f.created.Seconds() })
	b.medianRatio("seconds-to-running"+s, r, func(f *figures) float64 { return f.running.Seconds() })
	if b.options.operator != operatorBatchJob {
		b.medianRatio("operator-cpu-seconds"+s, r, func(f *figures) float64 { return f.spent.operatorCPU })
	}
}

// median adds a measure. A shared machine is fast at one time and slow at another. Within
// a round that affects operator and floor alike, while the best of each may come from
// different times.
func (b *bench) median(name string, values []float64) {
	b.report.ratio(name, median(values))
	if slices.Min(values) == slices.Max(values) {
		return
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = number(v)
	}
	b.report.notef("%s in each round: %s", name, strings.Join(texts, " "))
}

// middle is the round whose time until all runs, against that of its floor, is in the middle.
func (r rounds) middle() *figures {
	sorted := slices.SortedFunc(slices.Values(r), func(f, g *figures) int {
		return cmp.Compare(runningRate(f), runningRate(g))
	})
	return sorted[len(sorted)/2]
}

// median is the value in the middle, or between the two in the middle.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
