// Package cli is the command line of jobkit: its commands, flags and exit codes.
//
//	jobkit demo          run the example jobs on a control plane on this machine
//	jobkit dev up        run such a control plane until jobkit dev down
//	jobkit run -f FILE   run jobs on any cluster and exit with their outcome
//	jobkit install-crds  install the job kinds of this version on a cluster
//
// What the commands do is in other packages; here is only how they are asked for
// and how they answer:
//
//   - demo and jobrun do the work, with manifest, crds, jobwatch and diagnose.
//   - jobview makes the text that shows jobs, and decides how they ended; it is pure.
//   - console and progress bring that text to a terminal or a pipe.
//   - devenv has the control plane.
//
// A new job kind of package operators needs a folder in examples/jobs, and nothing here.
package cli
