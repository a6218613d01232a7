//go:build integration

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// documentedStep is a command of README or of a page for users, as it is written there.
type documentedStep struct {
	// args are those of jobkit, without the comment at the end of the line.
	args string
	// before are commands that bring about what the page assumes.
	before []string
	code   int
	// out and errs are what the command prints, beside what the page says it prints.
	out, errs string
	// until is what the command prints before it is interrupted, as a user does who has seen enough.
	until string
	// later is true if what the command prints is that of the page in a moment only, as when a job has
	// succeeded while its last replicas still run.
	later bool
}

// documentedSteps are all documented commands that need a cluster, in the order of a story: torch-ddp
// runs to its end, then a job of the same name that does not end by itself is steered.
func documentedSteps(endless string) []documentedStep {
	return []documentedStep{
		{args: "run -f examples/recipes/first-job.yaml"},
		{args: "get", out: "first-job PyTorchJob Succeeded", later: true},
		{args: "describe first-job", later: true},
		{args: "delete first-job"},
		{
			args: "wait torch-ddp --timeout 1h", before: []string{"run --detach -f " + all + "pytorchjob/torch-ddp.yaml"},
			out: "PyTorchJob default/torch-ddp: Succeeded",
		},
		{args: "wait torch-ddp --for running", before: []string{"run --replace --detach -f " + endless}, out: "PyTorchJob default/torch-ddp: Running"},
		{args: "get -A -w", until: "torch-ddp"},
		{args: "get pytorchjobs -l team=vision -o yaml", out: "name: torch-ddp"},
		{args: "get --kinds SimJob.v1.sim.example.com", code: 1, errs: "the cluster does not serve the kind SimJob of sim.example.com/v1"},
		{args: "describe torch-ddp", out: "next The job runs to its end."},
		// No container runs on the dev control plane: the name of the pod shows that the right one was asked.
		{args: "logs torch-ddp -f", code: 1, errs: "cannot read the log of torch-ddp-master-0"},
		{args: "logs torch-ddp worker --tail 20", code: 1, errs: "cannot read the log of torch-ddp-worker-0"},
		{args: "logs torch-ddp worker-1 --previous", code: 1, errs: "torch-ddp-worker-1"},
		{args: "top -A", out: "torch-ddp"},
		{args: "restart torch-ddp worker-1", out: "PyTorchJob default/torch-ddp: restarted worker-1"},
		{args: "restart torch-ddp", before: []string{"wait torch-ddp --for running"}, out: "PyTorchJob default/torch-ddp restarted"},
		{args: "suspend torch-ddp", before: []string{"wait torch-ddp --for running"}, out: "PyTorchJob default/torch-ddp suspended"},
		{args: "wait torch-ddp --for suspended", out: "PyTorchJob default/torch-ddp: Suspended"},
		{args: "resume torch-ddp", out: "PyTorchJob default/torch-ddp resumed"},
		{args: "delete torch-ddp", before: []string{"wait torch-ddp --for running"}, out: "PyTorchJob default/torch-ddp deleted"},
		{args: "doctor", out: "ok webhooks"},
		{args: "doctor -n research -o yaml", out: "check: webhooks"},
	}
}

// documentedElsewhere are verbs whose commands other tests run.
var documentedElsewhere = map[string]string{
	"demo": "TestDemo", "dev": "TestOnRunningControlPlane", "ui": "test/page, in a browser", "new": "hack/stranger",
	"simulate": "needs no cluster", "explain": "needs no cluster", "completion": "needs no cluster",
}

// runDocumented runs the documented commands on a control plane whose operator runs.
func runDocumented(t *testing.T, w workplace, kubeconfig string) {
	t.Helper()
	pages := documentedPages(t)
	endless := filepath.Join(t.TempDir(), "endless.yaml")
	text, err := os.ReadFile(all + "pytorchjob/torch-ddp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`run-for: \ds`).ReplaceAll(text, []byte("run-for: 1h"))
	text = bytes.Replace(text, []byte("  name: torch-ddp\n"), []byte("  name: torch-ddp\n  labels: {team: vision}\n"), 1)
	if err := os.WriteFile(endless, text, 0o600); err != nil {
		t.Fatal(err)
	}
	w.environment = append(slices.Clone(w.environment), "KUBECONFIG="+kubeconfig)
	steps := documentedSteps(endless)
	for _, s := range steps {
		output, found := pages.output(s.args)
		if !found {
			t.Errorf("no page has the command jobkit %s: remove it here", s.args)
			continue
		}
		s.run(t, w, output)
	}
	for _, args := range pages.commands {
		verb, _, _ := strings.Cut(args, " ")
		known := slices.ContainsFunc(steps, func(s documentedStep) bool { return s.args == args })
		if documentedElsewhere[verb] == "" && !known && !strings.HasSuffix(args, "--help") {
			t.Errorf("a page has the command jobkit %s, which documentedSteps does not run", args)
		}
	}
}

// run runs a command in the checkout, as the pages do, and compares what it prints with the page.
func (s *documentedStep) run(t *testing.T, w workplace, page string) {
	t.Helper()
	for _, before := range s.before {
		if code, _, _ := w.run(t, strings.Fields(before)...); code != 0 {
			t.Errorf("jobkit %s: exit code %d", before, code)
		}
	}
	if s.until != "" {
		if code := endOn(t, s.command(t, w), syscall.SIGINT, s.until); code != 0 && code != 3 {
			t.Errorf("jobkit %s, interrupted: exit code %d", s.args, code)
		}
		return
	}
	deadline := time.Now().Add(s.patience())
	for {
		problems := s.compare(t, w, page)
		if len(problems) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("jobkit %s: %s", s.args, strings.Join(problems, "\n"))
			return
		}
	}
}

// command is the command, in the checkout.
func (s *documentedStep) command(t *testing.T, w workplace) *exec.Cmd {
	t.Helper()
	cmd := runJobkit(t.Context(), t, w.environment, strings.Fields(s.args)...)
	cmd.Dir = "../.."
	return cmd
}

// patience is how long the output may differ from the page.
func (s *documentedStep) patience() time.Duration {
	if s.later {
		return 30 * time.Second
	}
	return 0
}

// compare runs the command, and says what differs from the page.
func (s *documentedStep) compare(t *testing.T, w workplace, page string) []string {
	t.Helper()
	cmd := s.command(t, w)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	code := exitCode(t, cmd.Run())
	t.Logf("jobkit %s: exit code %d\n%s%s", s.args, code, &out, &errs)
	var problems []string
	if code != s.code || !strings.Contains(shape(out.String()), shape(s.out)) || !strings.Contains(errs.String(), s.errs) {
		problems = append(problems, fmt.Sprintf("exit code %d, want %d; the output should have %q, the errors %q", code, s.code, s.out, s.errs))
	}
	printed := strings.Split(shape(out.String()), "\n")
	for line := range strings.SplitSeq(shape(page), "\n") {
		if line == "" || line == "..." {
			continue
		}
		i := slices.Index(printed, line)
		if i < 0 {
			problems = append(problems, "the page shows a line, in this order, that was not printed: "+line)
			continue
		}
		printed = printed[i+1:]
	}
	return problems
}

var (
	// Times and durations; a table is as wide as its contents.
	shapeTime  = regexp.MustCompile(`\b(?:\d+:\d\d:\d\d|(?:\d+h)?(?:\d+m)?\d+(?:\.\d+)?s|\d+[hm])\b`)
	shapeSpace = regexp.MustCompile(`[ \t]+`)
	// What is counted between two states depends on the machine.
	shapeProgress = regexp.MustCompile(`(?m)^(N \S+ \S+) \d.*$`)
)

// shape is what of an output does not depend on time.
func shape(output string) string {
	output = shapeSpace.ReplaceAllString(shapeTime.ReplaceAllString(output, "N"), " ")
	output = shapeProgress.ReplaceAllString(output, "$1")
	lines := strings.Split(output, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(slices.Compact(lines), "\n")
}

// documentedCommands are what the pages have.
type documentedCommands struct {
	// commands are those in blocks, and outputs what follows them there.
	commands []string
	outputs  map[string]string
	// text is that of all pages.
	text string
}

// output is what the pages show of a command; it may also stand in the text, without an output.
func (d *documentedCommands) output(args string) (string, bool) {
	output, found := d.outputs[args]
	return output, found || strings.Contains(d.text, "`jobkit "+args+"`")
}

// documentedPages reads README and the pages for users.
func documentedPages(t *testing.T) *documentedCommands {
	t.Helper()
	paths := []string{"../../README.md"}
	err := filepath.WalkDir("../../docs/users", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &documentedCommands{outputs: map[string]string{}}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		d.text += string(text)
		d.read(string(text))
	}
	if len(d.commands) < 20 {
		t.Fatalf("only %d commands are found", len(d.commands))
	}
	return d
}

// read reads the blocks of a page: lines that begin with jobkit, or with a prompt and jobkit.
func (d *documentedCommands) read(page string) {
	block, args := "", ""
	lines := bufio.NewScanner(strings.NewReader(page))
	for lines.Scan() {
		line := lines.Text()
		if language, fence := strings.CutPrefix(strings.TrimSpace(line), "```"); fence {
			if block != "" {
				language = ""
			}
			block, args = language, ""
			continue
		}
		if block != "console" && block != "sh" && block != "bash" {
			continue
		}
		command, prompted := strings.CutPrefix(line, "$ ")
		if prompted || block != "console" {
			args = ""
			command, _, _ = strings.Cut(command, "  #")
			command = strings.Replace(strings.TrimSpace(command), "go run ./cmd/jobkit ", "jobkit ", 1)
			if is := strings.HasPrefix(command, "jobkit "); is {
				args = strings.TrimPrefix(command, "jobkit ")
				d.commands = append(d.commands, args)
				d.outputs[args] += ""
			}
			continue
		}
		if args != "" {
			d.outputs[args] += line + "\n"
		}
	}
}

// TestShape: outputs that differ in times and widths are alike, and others are not.
func TestShape(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		reason, a, b string
		alike        bool
	}{
		{"times and widths", "first-job  Succeeded for 3s, age 1m14s\n", "first-job Succeeded   for 11s, age 12s\n", true},
		{"what a job did in between", "20:22:16  a  Running  2 Worker pending\n20:22:17  a  Running  2 Worker running\n", "20:22:18  a  Running  2 Worker running\n", true},
		{"another state", "a  Running\n", "a  Failed\n", false},
		{"another count", "a  PyTorchJob  3  -\n", "a  PyTorchJob  2  -\n", false},
	} {
		if got := shape(tt.a) == shape(tt.b); got != tt.alike {
			t.Errorf("%s: %q and %q are alike: %t, want %t", tt.reason, shape(tt.a), shape(tt.b), got, tt.alike)
		}
	}
}
