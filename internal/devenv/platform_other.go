//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package devenv

import (
	"context"
	"errors"
	"syscall"
)

var errPlatform = errors.New("the dev cluster does not run on this operating system")

func lock(context.Context, string, func()) (func(), error) { return nil, errPlatform }

func holder(string) (int, error) { return 0, errPlatform }

func ownGroup() *syscall.SysProcAttr { return nil }

func ownSession() *syscall.SysProcAttr { return nil }
