// Package demo runs the example jobs from end to end: a cluster, the CRDs, the
// operators, the jobs, and a check of how each of them ends.
//
//   - [Examples] reads the examples and what each says of its end.
//   - [Example.Check] compares a job with that; it is pure.
//   - [Run] does it all and cleans up, however it ends.
//   - [Local] does it on a control plane on this machine.
package demo
