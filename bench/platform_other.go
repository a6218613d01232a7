//go:build !linux

package main

import "syscall"

// diesWithParent has no equivalent here.
func diesWithParent() *syscall.SysProcAttr { return nil }
