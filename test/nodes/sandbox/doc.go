// Package sandbox runs a program in namespaces of its own, as root of a machine that it
// may change freely: it sees its own processes, network and mounts only, and when it
// ends, however it ends, the kernel removes all of them.
//
// What the kernel leaves, control groups, the sandbox removes. Snapshot shows that nothing
// else has changed.
package sandbox
