package main

import "syscall"

// diesWithParent makes sure that no operator outlives the bench.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
