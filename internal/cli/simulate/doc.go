// Package simulate runs a job in the simulator: the real controller of its kind, in virtual
// time, without a cluster. It says what happened, and when.
//
//   - [Faults] are what goes wrong, read from the flags.
//   - [Job] runs one job and returns its [Timeline].
//   - [Show] makes the text that shows a timeline, and is pure.
package simulate
