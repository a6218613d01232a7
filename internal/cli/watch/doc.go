// Package watch follows jobs of any kind, and their pods, on a cluster, and shows them
// while they run. It never writes to the cluster.
//
//   - [Start] watches jobs; a [Watcher] has a snapshot of them at any moment.
//   - [Follow] takes the snapshots to a reporter until the caller has seen enough.
//   - [Reporter] shows them: a table that is redrawn in place on a terminal, plain
//     lines in a pipe. Package jobview makes the text.
package watch
