//go:build !linux

package main

import "syscall"

// diesWithParent has no equal here.
func diesWithParent() *syscall.SysProcAttr { return nil }
