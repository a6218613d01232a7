package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// printed is what the bench prints at the end of a round.
func printed(ratios ...string) string {
	return "date     2026-12-01T00:00:00Z\n\n  JOBS  BY\n\ncreate-rate-vs-floor in each round: 9 9\n\nratios:\n" + strings.Join(ratios, "\n") + "\n"
}

func TestTable(t *testing.T) {
	r := results{}
	r.add("jobkit", printed("create-rate-vs-floor-service-each 2", "running-rate-vs-floor-service-each 1", "seconds-to-created-service-each 10",
		"seconds-to-running-service-each 20.44", "operator-cpu-seconds-service-each 1.5", "control-plane-cpu-vs-floor-service-each 0.90",
		"running-rate-vs-floor-many-jobs-service-each-10ms 0.80"))
	r.add("jobkit", printed("create-rate-vs-floor-service-each 1", "running-rate-vs-floor-service-each 0.5", "seconds-to-created-service-each 30",
		"seconds-to-running-service-each 30.44", "operator-cpu-seconds-service-each 2.5", "control-plane-cpu-vs-floor-service-each 1.10"))
	r.add("job", printed("running-rate-vs-floor 1.25"))
	r.add("jobset", "nothing was measured\n")

	head, lines, _ := strings.Cut(r.table([]string{"job", "jobkit", "jobset"}), "|---|---|---|---|---|---|---|---|\n")
	if columns := strings.Count(head, "|"); columns != 9 {
		t.Errorf("the head has %d bars, want 9: %s", columns, head)
	}
	want := []string{
		"| one large job | job | - | - | - | 0.80 | - | - |",
		"| one large job | jobkit, a service each | **20.0** (10.0 30.0) | **0.75** (0.50 1.00) | **25.4** (20.4 30.4) | **1.50** (1.00 2.00) | **2.0** (1.5 2.5) | **1.00** (0.90 1.10) |",
		"| many small jobs, 10 ms away | jobkit, a service each | - | - | - | 1.25 | - | - |",
	}
	if diff := cmp.Diff(want, strings.Split(strings.TrimSpace(lines), "\n")); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		reason string
		args   []string
		want   options
		chosen []string
		err    string
	}{
		{reason: "without flags, all that is comparable", want: options{rounds: 1, bench: []string{"--scale=0.2"}}, chosen: []string{"jobkit", "training-operator", "jobset", "job"}},
		{
			reason: "some, and flags of the bench", args: []string{"--rounds=3", "--only=jobset,testjob", "--scale=1", "--", "--scenarios=gang-restart"},
			want: options{rounds: 3, only: []string{"jobset", "testjob"}, bench: []string{"--scale=1", "--scenarios=gang-restart"}}, chosen: []string{"jobset", "testjob"},
		},
		{reason: "one that is not known", args: []string{"--only=kueue"}, err: `--only names "kueue": use [jobkit training-operator jobset job testjob]`},
		{reason: "no rounds", args: []string{"--rounds=0"}, err: "--rounds is 0: use 1 or more"},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			got, err := parse(tc.args, &bytes.Buffer{})
			if tc.err != "" {
				if err == nil || err.Error() != tc.err {
					t.Fatalf("error is %v, want %s", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			chosen, err := choose(got.only)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(options{})); diff != "" {
				t.Errorf("flags (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.chosen, names(chosen)); diff != "" {
				t.Errorf("contenders (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var help bytes.Buffer
	if _, err := parse([]string{"--help"}, &help); !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("error is %v", err)
	}
	if !strings.Contains(help.String(), "-- flags of the bench") {
		t.Errorf("help is %s", help.String())
	}
}
