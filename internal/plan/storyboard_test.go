package plan_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

var rewrite = flag.Bool("rewrite", false, "write the storyboards in testdata again")

// TestStoryboards plays the scripts in testdata: lines that start with ">" are
// commands, the lines below each are what follows from it. Run with -rewrite to
// write them again; the diff is then the review.
func TestStoryboards(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no storyboards in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the story has changed (-want +got); if it is meant to, run go test ./plan -rewrite:\n%s", diff)
			}
		})
	}
}

// play runs the commands of a script and returns the script with what followed.
func play(t *testing.T, script string) string {
	t.Helper()
	var out strings.Builder
	var m *model
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "> "):
			fmt.Fprintln(&out, line)
			words := strings.Fields(line[2:])
			if words[0] == "job" {
				m = newJobModel(t, words[1:])
				continue
			}
			m.command(t, words)
			m.reconcileAndRecord(&out)
		case strings.HasPrefix(line, "#"), line == "":
			fmt.Fprintln(&out, line)
		}
	}
	return out.String()
}

// newJobModel understands: job Worker=3 Master=1 restartPolicy=ExitCode backoffLimit=2 ...
func newJobModel(t *testing.T, words []string) *model {
	t.Helper()
	replicas := map[commonv1.ReplicaType]int32{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		if key == string(master) || key == string(worker) {
			replicas[commonv1.ReplicaType(key)] = int32(number(t, value))
		}
	}
	m := newModel(replicas)
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		if replicas[commonv1.ReplicaType(key)] == 0 {
			m.edit(t, key, value)
		}
	}
	return m
}

// edit changes a field of the job's specification.
func (m *model) edit(t *testing.T, key, value string) {
	t.Helper()
	p := &m.in.RunPolicy
	switch key {
	case "restartPolicy":
		for _, spec := range m.in.Replicas {
			spec.RestartPolicy = commonv1.RestartPolicy(value)
		}
	case "restartScope":
		p.RestartScope = new(commonv1.RestartScope(value))
	case "cleanPodPolicy":
		p.CleanPodPolicy = new(commonv1.CleanPodPolicy(value))
	case "serviceMode":
		p.ServiceMode = new(commonv1.ServiceMode(value))
	case "backoffLimit":
		p.BackoffLimit = new(int32(number(t, value)))
	case "ttlSecondsAfterFinished":
		p.TTLSecondsAfterFinished = new(int32(number(t, value)))
	case "activeDeadlineSeconds":
		p.ActiveDeadlineSeconds = new(int64(number(t, value)))
	case "suspend":
		p.Suspend = new(value == "true")
	case "managedBy":
		p.ManagedBy = &value
	case "success":
		m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(commonv1.ReplicaType(value)))}
	case string(master), string(worker):
		m.in.Replicas[commonv1.ReplicaType(key)].Replicas = new(int32(number(t, value)))
	default:
		t.Fatalf("storyboard: unknown field %q", key)
	}
}

// command lets something happen, or nothing ("reconcile").
func (m *model) command(t *testing.T, words []string) {
	t.Helper()
	switch words[0] {
	case "reconcile":
	case "run":
		m.run()
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			t.Fatal(err)
		}
		m.in.Now = m.in.Now.Add(d)
	case "set":
		for _, w := range words[1:] {
			key, value, _ := strings.Cut(w, "=")
			m.edit(t, key, value)
		}
		m.in.Job.Generation++
	default:
		pod := m.pod(words[1])
		if pod == nil {
			t.Fatalf("storyboard: no pod %q", words[1])
		}
		switch words[0] {
		case "end":
			m.end(pod, int32(number(t, words[2])))
		case "evict":
			m.evict(pod)
		case "restart":
			m.restartInPlace(pod)
		case "leave":
			m.terminate(pod)
		case "drop":
			m.drop(pod)
		default:
			t.Fatalf("storyboard: unknown command %q", words[0])
		}
	}
}

// reconcileAndRecord reconciles until nothing is left to do and writes down what was done.
func (m *model) reconcileAndRecord(out *strings.Builder) {
	for range 20 {
		p := m.reconcile()
		if m.wrote {
			fmt.Fprintf(out, "  write status: %s, restarts %d\n", p.Status.State, p.Status.Restarts)
			for _, e := range p.Events {
				fmt.Fprintf(out, "  %s\n", e)
			}
		}
		for _, a := range p.Actions {
			fmt.Fprintf(out, "  %s\n", a)
		}
		if !m.wrote && len(p.Actions) == 0 {
			if p.StatusChange != plan.StatusUnchanged {
				fmt.Fprintln(out, "  the status may wait")
			}
			if p.RequeueAfter > 0 {
				fmt.Fprintf(out, "  requeue after %s\n", p.RequeueAfter)
			}
			return
		}
	}
	fmt.Fprintln(out, "  NEVER AT REST")
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
