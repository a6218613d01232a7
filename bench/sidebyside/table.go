package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// results are the measures of each contender, by name, in the order of the rounds.
type results map[string]map[string][]float64

// add adds the measures that the bench printed after its line "ratios:".
func (r results) add(contender, text string) {
	_, lines, _ := strings.Cut(text, "\nratios:\n")
	for line := range strings.Lines(lines) {
		name, number, ok := strings.Cut(strings.TrimSpace(line), " ")
		value, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil {
			continue
		}
		if r[contender] == nil {
			r[contender] = map[string][]float64{}
		}
		r[contender][name] = append(r[contender][name], value)
	}
}

// row is what a scenario calls its measures, without the suffix of the distance and the services.
type row struct {
	title string
	// of is the suffix of its times.
	of string
	// created and running are rates against the bare client, whose inverse the table shows.
	created, running, controlPlaneCPU string
}

// rows are those of the table.
func rows() []row {
	return []row{
		{"one large job", "", "create-rate-vs-floor", "running-rate-vs-floor", "control-plane-cpu-vs-floor"},
		{
			"many small jobs", "-many-jobs", "create-rate-vs-floor-many-jobs", "running-rate-vs-floor-many-jobs",
			"control-plane-cpu-vs-floor-many-jobs",
		},
		{
			"a job restarts as a whole", "-gang-restart", "gang-restart-create-rate-vs-floor", "gang-restart-rate-vs-floor",
			"gang-restart-control-plane-cpu-vs-floor",
		},
	}
}

// table is a Markdown table of all results: a line for each scenario, distance and contender.
func (r results) table(contenders []string) string {
	var out strings.Builder
	out.WriteString("| | | created, s | times the bare client's | all run, s | times the bare client's | operator CPU s | control plane CPU, times the bare client's |\n" +
		"|---|---|---|---|---|---|---|---|\n")
	for _, row := range rows() {
		for _, distance := range []string{"", "-10ms"} {
			for _, c := range contenders {
				for _, services := range []string{"", "-service-each"} {
					r.line(&out, row, c, distance, services)
				}
			}
		}
	}
	return out.String()
}

// line writes a line of the table, if there is a result for it.
func (r results) line(out *strings.Builder, row row, contender, distance, services string) {
	of := func(name string) []float64 { return r[contender][name+services+distance] }
	if len(of(row.running)) == 0 {
		return
	}
	inverse := func(rates []float64) []float64 {
		times := slices.Clone(rates)
		for i := range times {
			times[i] = 1 / times[i]
		}
		return times
	}
	title, who := row.title, contender
	if distance != "" {
		title += ", 10 ms away"
	}
	if services != "" {
		who += ", a service each"
	}
	fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", title, who,
		cell(of("seconds-to-created"+row.of), 1), cell(inverse(of(row.created)), 2),
		cell(of("seconds-to-running"+row.of), 1), cell(inverse(of(row.running)), 2),
		cell(of("operator-cpu-seconds"+row.of), 1), cell(of(row.controlPlaneCPU), 2))
}

// cell is the median, and with several rounds each of them.
func cell(values []float64, digits int) string {
	if len(values) == 0 {
		return "-"
	}
	number := func(x float64) string { return strconv.FormatFloat(x, 'f', digits, 64) }
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	middle := number((sorted[(n-1)/2] + sorted[n/2]) / 2)
	if n == 1 {
		return middle
	}
	each := make([]string, n)
	for i, v := range values {
		each[i] = number(v)
	}
	return fmt.Sprintf("**%s** (%s)", middle, strings.Join(each, " "))
}
