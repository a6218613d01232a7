// Package jobs holds example jobs, one folder a kind. "jobkit demo" runs them all
// on the dev control plane, and "jobkit run -f FILE" runs one on any cluster.
//
// Annotations of a job say what the demo does with it. They do nothing elsewhere:
//
//	jobkit.dev/demo-shows            what the example shows, in one line; required
//	jobkit.dev/demo-expect           how it ends, Succeeded or Failed; required
//	jobkit.dev/demo-expect-restarts  how many restarts it has then; default: any number
//	jobkit.dev/demo-expect-ignored   how many failures podFailurePolicy has ignored then;
//	                                 default: any number
//	jobkit.dev/demo-expect-pods      how many of its pods are left then; default: any number
//	jobkit.dev/demo-steps            what the demo does to it, and how long after it was
//	                                 submitted at the earliest; default: nothing
//
// Steps are separated by commas, for example "suspend after 2s, resume after 5s". A
// step waits until the one before it has had its effect:
//
//	suspend         suspends the job, once it runs
//	resume          resumes the job, once it is suspended
//	autoscale to N  has N Workers run, once the job runs, as the job's
//	                HorizontalPodAutoscaler, which it must have, would
//	finish          ends the programs of all pods without run-for, once they all run, those
//	                with run-for have succeeded, and demo-expect-restarts are counted, so that
//	                the job cannot end before the steps and restarts it shows
//
// On the dev control plane no container runs. The annotations under
// devcluster.jobkit.dev/ say what a pod does there. For a TestJob the command of its
// container does the same on a real cluster; the images and commands of the other kinds
// are only examples, and the programs in them do not exist.
package jobs

import "embed"

// Files are the examples, as <kind in lower case>/<name of the job>.yaml.
//
//go:embed */*.yaml
var Files embed.FS
