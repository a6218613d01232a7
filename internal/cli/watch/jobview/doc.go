// Package jobview turns what is known about jobs into what a person reads. It is
// pure: a [Snapshot] goes in, lines of text come out. It does not read the clock, call a
// server or write to a terminal.
//
// It works with every job kind that reports a commonv1.JobStatus, because it
// reads jobs as unstructured objects.
//
//   - [FromObject] reads a job and its pods.
//   - [Table] renders a snapshot as a table, for a terminal of a given size.
//   - [Lines] renders what changed between two snapshots, for a pipe.
//   - [Job.Outcome] and [OutcomeOf] say how jobs ended.
package jobview
