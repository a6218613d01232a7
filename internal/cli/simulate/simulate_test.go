package simulate_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit/examples/jobs"
	"github.com/jobkit/jobkit/internal/cli/run/manifest"
	"github.com/jobkit/jobkit/internal/cli/simulate"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files again")

// decode reads the only job of a manifest.
func decode(t *testing.T, name, text string) *simulate.Decoded {
	t.Helper()
	documents, err := manifest.Parse(name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	job, err := simulate.Decode(documents[0])
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// example is the text of an example job.
func example(t *testing.T, name string) string {
	t.Helper()
	text, err := fs.ReadFile(jobs.Files, name)
	if strings.HasPrefix(name, "../") {
		text, err = os.ReadFile(filepath.Join("../../../examples/jobs", name))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// options are those of the command without flags, with faults.
func options(t *testing.T, faults ...string) simulate.Options {
	t.Helper()
	o := simulate.Options{
		RunFor: simulate.RunFor{All: simulate.DefaultRunFor}, StartAfter: 2 * time.Second, Nodes: 3, Duration: 24 * time.Hour,
	}
	for _, text := range faults {
		kind, value, _ := strings.Cut(text, " ")
		fault, err := simulate.ReadFault(simulate.FaultKind(kind), value)
		if err != nil {
			t.Fatal(err)
		}
		o.Faults = append(o.Faults, fault)
	}
	return o
}

// TestShow compares whole outputs with those in testdata, which "go test -rewrite" writes.
func TestShow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, reason, job string
		faults            []string
		runFor            []string
	}{
		{name: "gang", reason: "one failure restarts the whole job", job: "jaxjob/jax-gang.yaml", faults: []string{"fail worker-1@30s=137"}},
		{name: "in-place", reason: "the node restarts containers in place", job: "pytorchjob/torch-ddp.yaml", faults: []string{"fail worker-1@30s=1"}},
		{name: "backoff", reason: "later restarts are delayed", job: "paddlejob/paddle-backoff.yaml", faults: []string{
			"fail worker-0@10s=137", "fail worker-0@30s=137", "fail worker-0@2s=137",
		}},
		{name: "objects", reason: "objects of the kind, and a start order", job: "mpijob/mpi-allreduce.yaml", faults: []string{"evict worker-0@20s"}},
		{name: "many-types", reason: "a node with several replicas is lost", job: "tfjob/tf-all-types.yaml", faults: []string{
			"node-loss worker-0@30s=1m", "drain node-0@40s",
		}, runFor: []string{"chief=3m"}},
		{name: "launcher", reason: "a replica without a number; two nodes come back", job: "mpijob/mpi-retry.yaml", faults: []string{
			"fail launcher@20s=139", "node-loss node-0@30s=10s", "node-loss node-1@35s=20s",
		}},
		{name: "suspend", reason: "a user suspends and resumes", job: "tfjob/tf-suspend.yaml", faults: []string{"suspend 20s", "resume 40s"}},
		{name: "stalled", reason: "what never ends says what it waits for", job: "pytorchjob/torch-volumes.yaml", faults: []string{
			"preempt worker-0@20s", "node-loss worker-1@30s",
		}},
		{name: "hang", reason: "a program that hangs; the checkpoints that it reads exist", job: "../recipes/hang.yaml", faults: []string{"hang master-0@10m"}, runFor: []string{"30m"}},
		{name: "ignored", reason: "disruptions restart all replicas and do not count", job: "../recipes/spot-nodes.yaml", faults: []string{
			"preempt worker-1@20s", "node-removal worker-2@50s", "fail worker-0@90s=1",
		}},
		{name: "removed", reason: "a node that is removed takes its pods with it", job: "pytorchjob/torch-volumes.yaml", faults: []string{
			"node-loss worker-1@30s", "node-removal worker-1@2m",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := options(t, c.faults...)
			var err error
			o.RunFor, err = simulate.ReadRunFor(c.runFor)
			if err != nil {
				t.Fatal(err)
			}
			timeline, err := simulate.Job(t.Context(), decode(t, c.job, example(t, c.job)), o)
			if err != nil {
				t.Fatal(err)
			}
			lines := simulate.Show(timeline, simulate.Layout{})
			for _, line := range lines {
				if n := utf8.RuneCountInString(line); n > 100 {
					t.Errorf("a line has %d columns: %q", n, line)
				}
			}
			golden(t, c.reason, filepath.Join("testdata", c.name+".txt"), strings.Join(lines, "\n")+"\n")
		})
	}
}

// golden compares a text with that of a file.
func golden(t *testing.T, reason, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s: if this is right, go test -rewrite (-want +got):\n%s", reason, diff)
	}
}

// TestExamples has each example end well where nothing goes wrong: the simulator knows all that
// jobs of this module use, and the operator keeps its promises there.
func TestExamples(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(jobs.Files, "*/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			o := options(t, "resume 90s")
			if strings.Contains(example(t, file), "startDeadlineSeconds") {
				o.StartAfter = 0
			}
			timeline, err := simulate.Job(t.Context(), decode(t, file, example(t, file)), o)
			if err != nil || timeline.State != "Succeeded" {
				t.Errorf("it should succeed, is %s, error %v", timeline.State, err)
			}
		})
	}
}

func TestReadFault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason string
		kind   simulate.FaultKind
		text   string
		want   simulate.Fault
		err    string
	}{
		{"all of it", simulate.Fail, "Worker-1@1m30s=137", simulate.Fault{Kind: simulate.Fail, Target: "worker-1", At: 90 * time.Second, ExitCode: 137}, ""},
		{"no end", simulate.NodeLoss, "node-1@45s", simulate.Fault{Kind: simulate.NodeLoss, Target: "node-1", At: 45 * time.Second}, ""},
		{"an end", simulate.NodeLoss, "node-1@45s=10m", simulate.Fault{Kind: simulate.NodeLoss, Target: "node-1", At: 45 * time.Second, Back: 10 * time.Minute}, ""},
		{"only a time", simulate.Suspend, "20s", simulate.Fault{Kind: simulate.Suspend, At: 20 * time.Second}, ""},
		{"no time", simulate.Fail, "worker-1=137", simulate.Fault{}, `--fail is "worker-1=137": it has no @ with a time: write REPLICA@TIME=CODE, for example worker-1@30s=137`},
		{"no target", simulate.Evict, "@3s", simulate.Fault{}, `--evict is "@3s": nothing is named before the @: write REPLICA@TIME, for example worker-1@30s`},
		{"no duration", simulate.Drain, "node-1@30", simulate.Fault{}, `--drain is "node-1@30": "30" is not a time since the start: write NODE@TIME, for example node-1@45s`},
		{"before the start", simulate.Suspend, "-1s", simulate.Fault{}, `--suspend is "-1s": "-1s" is not a time since the start: write TIME, for example 20s`},
		{"an exit code is below 256", simulate.Fail, "worker-1@1s=256", simulate.Fault{}, `--fail is "worker-1@1s=256": an exit code from 1 to 255 is missing at its end: write REPLICA@TIME=CODE, for example worker-1@30s=137`},
		{"0 is no failure", simulate.Fail, "worker-1@1s=0", simulate.Fault{}, `--fail is "worker-1@1s=0": an exit code from 1 to 255 is missing at its end: write REPLICA@TIME=CODE, for example worker-1@30s=137`},
		{"too much", simulate.Evict, "worker-1@1s=3", simulate.Fault{}, `--evict is "worker-1@1s=3": "=3" says more than there is to say: write REPLICA@TIME, for example worker-1@30s`},
		{"back at once", simulate.NodeLoss, "node-1@1s=0s", simulate.Fault{}, `--node-loss is "node-1@1s=0s": "0s" is not how long it is lost: write NODE@TIME[=BACK], for example node-1@45s or node-1@45s=10m`},
	} {
		got, err := simulate.ReadFault(c.kind, c.text)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if diff := cmp.Diff([]any{c.want, c.err}, []any{got, message}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

// TestRefused has jobs and options that cannot be simulated.
func TestRefused(t *testing.T) {
	t.Parallel()
	torch := example(t, "pytorchjob/torch-ddp.yaml")
	for _, c := range []struct {
		reason, text string
		faults       []string
		runFor       []string
		want         string
	}{
		{reason: "no such replica", text: torch, faults: []string{"fail worker-2@1s=1"}, want: `--fail: the job has no replica "worker-2": choose from master-0, worker-0…1`},
		{reason: "no such node", text: torch, faults: []string{"drain node-3@1s"}, want: `--drain: there is no node-3: the nodes are node-0 to node-2; --nodes sets how many there are`},
		{reason: "a pod cannot be a node's", text: torch, faults: []string{"evict node-1@1s"}, want: `--evict: the job has no replica "node-1": choose from master-0, worker-0…1`},
		{reason: "no such type", text: torch, runFor: []string{"chief=3s"}, want: `--run-for: the job has no replica type "chief": it has master-0, worker-0…1`},
		{reason: "no time", text: torch, runFor: []string{"0s"}, want: `--run-for is "0s": write a time above 0, for example 60s, or one for a replica type, for example master=90s`},
		{reason: "too large", text: strings.Replace(torch, "replicas: 2", "replicas: 5000", 1), want: `the job has more than 1000 replicas, too many for the simulator: lower replicas in a copy of the manifest`},
		{reason: "another kind", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", want: `a.yaml:1: Pod a: no operator here runs Pod of v1: the kinds are JAXJob, MPIJob, PaddleJob, PyTorchJob, TFJob, XGBoostJob, TestJob, of kubeflow.org/v1`},
		{reason: "a misspelled field", text: strings.Replace(torch, "nprocPerNode", "nprocs", 1), want: `a.yaml:7: PyTorchJob torch-ddp: unknown field "spec.nprocs": correct its name, or remove it`},
		{reason: "a letter in the wrong case", text: strings.Replace(torch, "restartPolicy", "restartpolicy", 1), want: `a.yaml:7: PyTorchJob torch-ddp: unknown field "spec.pytorchReplicaSpecs.Master.restartpolicy": write "spec.pytorchReplicaSpecs.Master.restartPolicy", or remove it`},
		{reason: "two letters changed places", text: strings.Replace(torch, "restartPolicy: OnFailure\n      template:", "restartPolicy: OnFailure\n      templaet:", 1), want: `a.yaml:7: PyTorchJob torch-ddp: unknown field "spec.pytorchReplicaSpecs.Master.templaet": write "spec.pytorchReplicaSpecs.Master.template", or remove it`},
		{reason: "a value of another form", text: strings.Replace(torch, "replicas: 2", "replicas: two", 1), want: `a.yaml:7: PyTorchJob torch-ddp: spec.pytorchReplicaSpecs.replicas is a string: it must be a value of type int32`},
	} {
		got := func() error {
			documents, err := manifest.Parse("a.yaml", []byte(c.text))
			if err != nil {
				return err
			}
			o := options(t, c.faults...)
			var errs [2]error
			o.RunFor, errs[0] = simulate.ReadRunFor(c.runFor)
			job, err := simulate.Decode(documents[0])
			errs[1] = err
			if err := errors.Join(errs[:]...); err != nil {
				return err
			}
			_, err = simulate.Job(t.Context(), job, o)
			return err
		}()
		if got == nil || got.Error() != c.want {
			t.Errorf("%s:\nwant %s\ngot  %v", c.reason, c.want, got)
		}
	}
}

// TestSimilar has a field of a container misspelled, which is in a list below structs that are inlined.
func TestSimilar(t *testing.T) {
	t.Parallel()
	documents, err := manifest.Parse("a.yaml", []byte(strings.Replace(example(t, "jaxjob/jax-train.yaml"), "image:", "imgae:", 1)))
	if err != nil {
		t.Fatal(err)
	}
	const want = `write "spec.jaxReplicaSpecs.Worker.template.spec.containers[0].image", or remove it`
	if _, err := simulate.Decode(documents[0]); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("want %s, got %v", want, err)
	}
}

// TestFromACluster has a job as "kubectl get -o yaml" prints it, after its end: it is simulated as
// if it were created.
func TestFromACluster(t *testing.T) {
	t.Parallel()
	text := strings.Replace(example(t, "jaxjob/jax-gang.yaml"), "metadata:\n", `metadata:
  creationTimestamp: "2026-11-02T08:15:00Z"
  deletionTimestamp: "2026-11-02T08:20:00Z"
  deletionGracePeriodSeconds: 0
  generation: 3
  managedFields: [{manager: kubectl, operation: Apply}]
  ownerReferences: [{apiVersion: example.com/v1, kind: Trial, name: a, uid: b, controller: true}]
  resourceVersion: "4711"
  uid: 0c6d5b51-3c44-4c55-8d5a-0a3f6b7e9c01
`, 1) + "\nstatus: {state: Failed, conditions: [{type: Failed, status: \"True\"}], unknown: 1}\n"
	timeline, err := simulate.Job(t.Context(), decode(t, "a.yaml", text), options(t))
	if err != nil || timeline.State != "Succeeded" {
		t.Errorf("it should succeed, is %+v, error %v", timeline, err)
	}
}

// TestTooLate has faults after the end of the job: it says that they do not happen.
func TestTooLate(t *testing.T) {
	t.Parallel()
	timeline, err := simulate.Job(t.Context(), decode(t, "a.yaml", example(t, "jaxjob/jax-gang.yaml")), options(t, "fail worker-1@10h=1", "resume 2h"))
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.Join(strings.Fields(strings.Join(simulate.Show(timeline, simulate.Layout{}), "\n")), " ")
	for _, want := range []string{
		"worker-1 --fail at 10h00m00s: it does not happen, because the simulation ended before",
		"job --resume at 2h00m00s: it does not happen, because the simulation ended before",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is missing:\n%s", want, shown)
		}
	}
}

// TestLarge has a job of hundreds of replicas shown on a screen.
func TestLarge(t *testing.T) {
	t.Parallel()
	text := strings.Replace(example(t, "jaxjob/jax-gang.yaml"), "replicas: 3", "replicas: 60", 1)
	timeline, err := simulate.Job(t.Context(), decode(t, "a.yaml", text), options(t, "fail worker-50@30s=1"))
	if err != nil {
		t.Fatal(err)
	}
	shown := strings.Join(simulate.Show(timeline, simulate.Layout{}), "\n")
	for _, want := range []string{"and 44 more replicas", "  worker-50  ", "worker-50               ✘ exit code 1"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q is missing: what went wrong is shown, whatever is left out:\n%s", want, shown)
		}
	}
	if n := strings.Count(shown, "\n"); n > 130 {
		t.Errorf("it has %d lines", n)
	}
}

// TestHostile has a job whose texts would steer a terminal.
func TestHostile(t *testing.T) {
	t.Parallel()
	text := strings.ReplaceAll(example(t, "jaxjob/jax-train.yaml"), "Worker:", "\"Work\\e[2Jer\":")
	timeline, err := simulate.Job(t.Context(), decode(t, "a.yaml", text), options(t))
	if err != nil {
		t.Fatal(err)
	}
	if shown := strings.Join(simulate.Show(timeline, simulate.Layout{}), "\n"); strings.Contains(shown, "\x1b") || timeline.State != "Failed" {
		t.Errorf("state %s, shown:\n%q", timeline.State, shown)
	}
}
