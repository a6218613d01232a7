//go:build !linux

package main

import (
	"syscall"
	"time"
)

// diesWithParent has no equivalent here.
func diesWithParent() *syscall.SysProcAttr { return nil }

//nolint:gochecknoglobals // a constant
var began = time.Now()

// ownCPU is the time that has passed, because the CPU time is unknown.
func ownCPU() time.Duration { return time.Since(began) }
