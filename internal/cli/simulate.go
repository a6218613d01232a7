package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/internal/cli/run/manifest"
	"github.com/jobkit/jobkit/internal/cli/simulate"
)

const simulateHelp = `Run the jobs of a manifest in the simulator, and show what happens: the real operator, in
virtual time, without a cluster. An hour of a job takes a moment.

Every pod starts after two seconds and succeeds after a minute, unless a flag says otherwise.
REPLICA is a name like worker-1; NODE is a name like node-1, or a replica whose node it is;
times count from the start. Flags that say what happens can be repeated.

Exit codes:
  0  every job succeeded
  1  a job failed
  2  the command line or a manifest is wrong
  3  a job had not ended when the simulation was over`

const simulateExample = `  jobkit simulate -f job.yaml
  jobkit simulate -f job.yaml --fail worker-1@30s=137
  jobkit simulate -f job.yaml --node-loss worker-0@45s --node-removal worker-0@2m
  jobkit simulate -f job.yaml --run-for 1h --hang worker-1@10m
  jobkit simulate -f job.yaml --suspend 20s --resume 40s -o yaml`

// simulateFlags are the flags of jobkit simulate.
type simulateFlags struct {
	files, runFor []string
	faults        map[simulate.FaultKind]*[]string
	options       simulate.Options
	output        string
}

// simulateFaults are the flags for faults, with what they do.
func simulateFaults() []struct {
	kind  simulate.FaultKind
	usage string
} {
	return []struct {
		kind  simulate.FaultKind
		usage string
	}{
		{simulate.Fail, "the program of a replica ends with an exit code, as `%s`"},
		{simulate.Hang, "the program of a replica does nothing any more, as `%s`; with runPolicy.progressPolicy something follows"},
		{simulate.Evict, "the pod of a replica is evicted, as `%s`"},
		{simulate.Preempt, "the scheduler takes the place of a replica for something more important, as `%s`"},
		{simulate.Drain, "all pods of a node are evicted, as `%s`"},
		{simulate.NodeLoss, "a node no longer answers, for as long as BACK says or for good, as `%s`"},
		{simulate.NodeRemoval, "a node is removed with its pods, as a cloud does with one that is lost, as `%s`"},
		{simulate.Suspend, "the job is suspended, at `%s`"},
		{simulate.Resume, "the job is resumed, at `%s`"},
	}
}

// simulateCommand is jobkit simulate.
func (a *app) simulateCommand() *cobra.Command {
	f := simulateFlags{faults: map[simulate.FaultKind]*[]string{}}
	cmd := &cobra.Command{
		Use:     "simulate -f FILE",
		Short:   "show what would happen to a job, without a cluster",
		Long:    simulateHelp,
		Example: simulateExample,
		Args:    noFiles,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.simulate(cmd, f) },
	}
	const (
		startAfter = 2 * time.Second
		duration   = 24 * time.Hour
		nodes      = 3
	)
	flags := cmd.Flags()
	addFiles(flags, &f.files)
	for _, fault := range simulateFaults() {
		f.faults[fault.kind] = flags.StringArray(string(fault.kind), nil, fmt.Sprintf(fault.usage, fault.kind.Form()))
	}
	flags.StringArrayVar(&f.runFor, "run-for", nil, "how long pods run, as `TIME or TYPE=TIME`, for example master=90s (default 1m)")
	flags.DurationVar(&f.options.StartAfter, "start-after", startAfter, "how long pods take to start")
	flags.IntVar(&f.options.Nodes, "nodes", nodes, "how many nodes there are, named node-0 and so on")
	flags.DurationVar(&f.options.Duration, "duration", duration, "how long the simulation goes on at most, in virtual time")
	addOutput(cmd, &f.output, formJSON, formYAML)
	return cmd
}

// simulate executes jobkit simulate.
func (a *app) simulate(cmd *cobra.Command, f simulateFlags) error {
	if err := f.read(); err != nil {
		return withCode(exitRefused, err)
	}
	documents, err := manifest.Read(f.files, a.streams.In)
	if err != nil {
		return withCode(exitRefused, err)
	}
	jobs, err := jobsOf(documents, a.streams.Err)
	if err != nil {
		return withCode(exitRefused, err)
	}
	code := exitOK
	for i, job := range jobs {
		timeline, err := simulate.Job(cmd.Context(), job, f.options)
		if err != nil {
			return withCode(exitRefused, err)
		}
		if i > 0 {
			fmt.Fprintln(a.streams.Out, map[string]string{formYAML: "---"}[f.output])
		}
		if err := a.showTimeline(timeline, f.output); err != nil {
			return withCode(exitFailed, err)
		}
		code = max(code, map[string]int{"Succeeded": exitOK, "Failed": exitFailed}[timeline.State])
		if timeline.State != "Succeeded" && timeline.State != "Failed" {
			code = exitUnknown
		}
	}
	switch code {
	case exitFailed:
		return withCode(code, errors.New("not every job succeeded in the simulation"))
	case exitUnknown:
		return withCode(code, fmt.Errorf("not every job ended within %s of the simulation", f.options.Duration))
	}
	return nil
}

// read reads the flags that are text.
func (f *simulateFlags) read() error {
	if err := checkOutput(f.output, formJSON, formYAML); err != nil {
		return err
	}
	switch {
	case len(f.files) == 0:
		return errNoManifest
	case f.options.Nodes < 1:
		return fmt.Errorf("--nodes is %d: it must be 1 or more", f.options.Nodes)
	case f.options.Duration <= 0:
		return fmt.Errorf("--duration is %s: it must be above 0", f.options.Duration)
	case f.options.StartAfter < 0:
		return fmt.Errorf("--start-after is %s: it must not be negative", f.options.StartAfter)
	}
	for _, flag := range simulateFaults() {
		for _, text := range *f.faults[flag.kind] {
			fault, err := simulate.ReadFault(flag.kind, text)
			if err != nil {
				return err
			}
			f.options.Faults = append(f.options.Faults, fault)
		}
	}
	var err error
	f.options.RunFor, err = simulate.ReadRunFor(f.runFor)
	return err
}

// jobsOf decodes the jobs of a manifest. Other objects beside them are left out, which a line
// says; a manifest without any job is a mistake.
func jobsOf(documents []manifest.Document, errOut io.Writer) ([]*simulate.Decoded, error) {
	var (
		jobs   []*simulate.Decoded
		errs   []error
		others []manifest.Document
	)
	for _, d := range documents {
		if !simulate.IsJob(d) && len(documents) > 1 {
			others = append(others, d)
			continue
		}
		job, err := simulate.Decode(d)
		errs = append(errs, err)
		jobs = append(jobs, job)
	}
	if len(jobs) == 0 {
		_, err := simulate.Decode(others[0])
		return nil, err
	}
	for _, d := range others {
		fmt.Fprintf(errOut, "%s is no job: it is left out\n", d.Place())
	}
	return jobs, errors.Join(errs...)
}

// showTimeline writes a timeline in the form that was asked for.
func (a *app) showTimeline(t *simulate.Timeline, output string) error {
	if output != "" {
		return writeAs(a.streams.Out, output, t)
	}
	layout := simulate.Layout{Color: a.streams.Color}
	if a.streams.Size != nil {
		width, _ := a.streams.Size()
		layout.Width = max(60, min(width, 100)) //nolint:mnd // what is well read
	}
	for _, line := range simulate.Show(t, layout) {
		fmt.Fprintln(a.streams.Painted(), line)
	}
	return nil
}

// writeAs writes a value as JSON or YAML.
func writeAs(out io.Writer, form string, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the result: %w", err)
	}
	text = append(text, '\n')
	if form == formYAML {
		if text, err = yaml.JSONToYAML(text); err != nil {
			return fmt.Errorf("cannot write the result: %w", err)
		}
	}
	_, err = out.Write(text)
	return err //nolint:wrapcheck // the stream's own
}
