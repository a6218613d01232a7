// Package cli is the command line of jobkit: its commands, flags and exit codes.
//
//	jobkit simulate -f FILE   show what would happen to a job, without a cluster
//	jobkit demo               run the example jobs on a control plane on this machine
//	jobkit dev up             run such a control plane until jobkit dev down
//	jobkit run -f FILE        run jobs on any cluster and exit with their outcome
//	jobkit explain -f FILE    list what a job would have, without a cluster
//	jobkit get, describe      show the jobs of a cluster; logs and top, too
//	jobkit suspend, resume    steer jobs; restart and delete, too
//	jobkit wait JOB           wait until jobs are in a state
//	jobkit doctor             find what in a cluster would make jobs hang
//	jobkit migrate            move a cluster from training-operator v1
//	jobkit new                write the module of an operator for a job kind of one's own
//	jobkit install-crds       install the job kinds of this version on a cluster
//
// What the commands do is in the packages below, one for each thing that a person does.
// Each imports only those below it:
//
//   - demo runs the examples; run submits jobs (run/manifest reads them).
//   - simulate runs jobs in the simulator and shows what happens, and what a job would have.
//   - get, describe, logs and top show jobs; steer changes them; await waits for them.
//     jobs finds them.
//   - dev starts and finds control planes on this machine.
//   - explain says what is known of a job that went wrong.
//   - watch follows jobs; watch/jobview makes the text that shows them, and is pure.
//   - doctor checks a cluster; migrate takes it over from training-operator v1.
//   - scaffold writes the modules of new operators.
//   - install applies the CRDs; cluster connects to a cluster.
//   - console writes to a terminal or a pipe.
//
// A new job kind of package operators needs a folder in examples/jobs, and nothing here.
package cli
