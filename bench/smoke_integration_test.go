//go:build integration

package main

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSmoke runs the bench as small as it goes, without the scenarios that take long.
// What it measures there means nothing, but for what is counted.
func TestSmoke(t *testing.T) {
	o, err := parse([]string{"--scenarios=one-large-job,recovery,soak,decide,write-cost", "--scale=0.005", "--forget=1s", "--writers=16", "--save=" + t.TempDir()}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run(t.Context(), o, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	t.Log(out.String())
	got := ratiosOf(t, out.String())
	for _, name := range []string{
		"create-rate-vs-floor", "create-rate-vs-floor-10ms", "create-rate-vs-floor-service-each", "create-rate-vs-floor-service-each-10ms",
		"control-plane-cpu-vs-floor",
		"recovery-counted-seconds-replica", "recovery-created-seconds-replica", "recovery-running-seconds-replica", "recovery-own-seconds-replica",
		"recovery-counted-seconds-job", "recovery-created-seconds-job", "recovery-running-seconds-job", "recovery-own-seconds-job",
		"decide-time-per-replica-10000-vs-100", "decide-seconds-10000-tfjob", "cluster-spec-time-of-another-vs-first-tfjob",
		"job-cost-vs-pod",
	} {
		if got[name] <= 0 {
			t.Errorf("%s is %v, want it measured", name, got[name])
		}
	}
	// How much it is says nothing here.
	if _, ok := got["soak-heap-kib-per-job"]; !ok {
		t.Error("soak-heap-kib-per-job is not measured")
	}
	replicas := float64((&bench{options: o}).scaled(2000, 8))
	for name, want := range map[string]float64{
		"creates-per-replica":                   1 + 1/replicas,
		"creates-per-replica-10ms":              1 + 1/replicas,
		"creates-per-replica-service-each":      2,
		"creates-per-replica-service-each-10ms": 2,
	} {
		if v, ok := got[name]; !ok || v < want-0.005 || v > want+0.005 {
			t.Errorf("%s is %v (found: %t), want %.2f", name, v, ok, want)
		}
	}
}

// TestBatchJob runs the reference of the field.
func TestBatchJob(t *testing.T) {
	o, err := parse([]string{"--operator=batch-job", "--scenarios=one-large-job", "--scale=0.005", "--writers=16"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	// The test's log shows how slow a machine may be.
	begun := time.Now()
	var out bytes.Buffer
	if err := run(t.Context(), o, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s\nafter %s", out.String(), time.Since(begun))
	if got := ratiosOf(t, out.String())["creates-per-replica"]; got != 1 {
		t.Errorf("creates-per-replica of a batch/v1 Job is %v, want 1: it has no services", got)
	}
}

// ratiosOf reads the lines below "ratios:".
func ratiosOf(t *testing.T, text string) map[string]float64 {
	t.Helper()
	_, lines, ok := strings.Cut(text, "\nratios:\n")
	if !ok {
		t.Fatalf("no line is \"ratios:\" in\n%s", text)
	}
	out := map[string]float64{}
	for line := range strings.Lines(lines) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Errorf("line %q is not NAME VALUE: %v", line, err)
		}
		if _, twice := out[name]; twice {
			t.Errorf("%s is listed twice", name)
		}
		out[name] = v
	}
	return out
}
