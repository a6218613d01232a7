package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// report is the result of a run.
type report struct {
	header []string
	rows   []*figures
	// details, notes and ratios are in the order in which they were found.
	details, notes []string
	ratios         []measure
	progress       io.Writer
}

// measure is a line below "ratios:".
type measure struct {
	name  string
	value float64
}

func newReport() *report { return &report{progress: io.Discard} }

// begin says what is measured, where and when.
func (r *report) begin(ctx context.Context, b *bench) {
	r.progress = b.progress
	version := "unknown"
	if out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output(); err == nil {
		version = strings.TrimSpace(string(out))
	}
	r.header = []string{
		"date     " + time.Now().UTC().Format(time.RFC3339),
		"machine  " + machine() + ", load " + load() + " at the start",
		"version  " + version + ", Kubernetes " + b.version,
		fmt.Sprintf("run      operator %s, kind %s, scale %s", b.options.describe(), b.kind.name, number(b.options.scale)),
	}
}

// add adds a measurement, and its floor.
func (r *report) add(b *bench, f *figures) {
	r.rows = append(r.rows, f)
	if f.floor != nil {
		r.rows = append(r.rows, f.floor)
	}
	jobs := float64(f.jobs)
	title := fmt.Sprintf("%s, %s%s", f.scenario, f.line, map[bool]string{true: ", services " + f.services}[f.services != noServices])
	if f.note != "" {
		r.details = append(r.details, title+": "+f.note)
	}
	if f.floor != nil && f.floor.note != "" {
		r.details = append(r.details, title+", floor: "+f.floor.note)
	}
	r.details = append(r.details, title+": calls per job:", "  operator       "+f.spent.calls.only(b.resources()...).per(jobs))
	if f.floor != nil {
		r.details = append(r.details, "  floor          "+f.floor.spent.calls.only(b.resources()...).per(jobs))
	}
	r.details = append(r.details, "  others         "+f.spent.calls.only(others()...).per(jobs))
	if f.floor != nil {
		r.details = append(r.details, "  others, floor  "+f.floor.spent.calls.only(others()...).per(jobs))
	}
}

// others are the resources that other components write because pods and services
// exist. Events are those of all components, the operator included.
func others() []string {
	return []string{"pods/status", "pods/binding", "events", "endpointslices", "leases"}
}

// notef adds a remark.
func (r *report) notef(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.notes = append(r.notes, text)
	fmt.Fprintln(r.progress, "          "+text)
}

// ratio adds a measure.
func (r *report) ratio(name string, value float64) {
	r.ratios = append(r.ratios, measure{name, value})
	fmt.Fprintln(r.progress, "          "+name, number(value))
}

// finish writes the report, and saves it in a file if asked to.
func (r *report) finish(w io.Writer, save string) error {
	var text strings.Builder
	r.write(&text)
	if _, err := io.WriteString(w, text.String()); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	if save == "" {
		return nil
	}
	name := filepath.Join(save, time.Now().UTC().Format(time.DateOnly)+".txt")
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644) //nolint:gosec // readable for all users
	if err == nil {
		_, err = io.WriteString(file, text.String()+"\n")
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		return fmt.Errorf("cannot save the report: %w", err)
	}
	return nil
}

func (r *report) write(w io.Writer) {
	for _, line := range r.header {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\tRTT\tSERVICES\tJOBS\tREPLICAS\tBY\tCREATED\tx FLOOR\tRUNNING\tx FLOOR\tRECONCILE p50\tp99\tCPU s\tPEAK MiB\tCONTROL PLANE CPU s/1000\tLOAD")
	for _, f := range r.rows {
		fmt.Fprintln(table, strings.Join(f.row(), "\t"))
	}
	_ = table.Flush()
	for _, lines := range [][]string{r.details, r.notes} {
		fmt.Fprintln(w)
		for _, line := range lines {
			fmt.Fprintln(w, line)
		}
	}
	fmt.Fprintln(w, "\nratios:")
	for _, m := range r.ratios {
		fmt.Fprintln(w, m.name, number(m.value))
	}
}

// row is a line of the table.
func (f *figures) row() []string {
	created, running := "", ""
	own := []string{"", "", "", ""}
	if f.floor != nil {
		created, running = times(f.created, f.floor.created), times(f.running, f.floor.running)
	}
	if f.floor != nil || f.alone {
		own = []string{
			round(f.spent.reconciles.quantile(0.5)), round(f.spent.reconciles.quantile(0.99)),
			number(f.spent.operatorCPU), fmt.Sprintf("%.0f", f.spent.peak),
		}
	}
	out := []string{
		f.scenario, f.line.rtt.String(), f.services, strconv.Itoa(f.jobs), strconv.Itoa(f.replicas), f.who,
		round(f.created), created, round(f.running), running,
	}
	return append(append(out, own...), number(f.spent.controlPlaneCPU*1000/float64(f.pods())), f.spent.load)
}

// times writes how many times the floor a time is.
func times(d, floor time.Duration) string {
	if d == 0 || floor == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", d.Seconds()/floor.Seconds())
}

// round writes a time with as many digits as matter; "-" if it was not measured.
func round(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}
