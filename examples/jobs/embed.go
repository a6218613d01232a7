// Package jobs holds example jobs, one folder a kind. "jobkit demo" runs them all
// on the dev control plane, and "jobkit run -f FILE" runs one on any cluster.
//
// Annotations of a job tell the demo what to do with it. They do nothing elsewhere:
//
//	jobkit.dev/demo-shows            what the example shows, in one line; required
//	jobkit.dev/demo-expect           how it ends, Succeeded or Failed; required
//	jobkit.dev/demo-expect-restarts  how many restarts it has then; default: any number
//	jobkit.dev/demo-expect-pods      how many of its pods are left then; default: any number
//	jobkit.dev/demo-resume-after     when the demo resumes it, a duration such as "2s";
//	                                 default: never
//
// On the dev control plane no container runs. What a pod does there is said by its
// annotations under devcluster.jobkit.dev/, and the command of its container does
// the same on a real cluster.
package jobs

import "embed"

// Files are the examples, as <kind in lower case>/<name of the job>.yaml.
//
//go:embed */*.yaml
var Files embed.FS
