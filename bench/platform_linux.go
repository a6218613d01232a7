package main

import (
	"syscall"
	"time"
)

// diesWithParent makes sure that no operator outlives the bench.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// ownCPU is the CPU time that the bench has used, by which a machine that others use, too, is
// as fast as one that no one else uses.
func ownCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // cannot fail with these arguments
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
