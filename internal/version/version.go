// Package version reports what a program of this module was built from.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Line describes a program in one line: its version, and what it was built with.
func Line(program string) string { return LineOf(program, String()) }

// LineOf is Line for a program that knows its version.
func LineOf(program, version string) string {
	return fmt.Sprintf("%s %s (Kubernetes libraries %s, %s %s/%s)",
		program, version, library("k8s.io/client-go"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// String is the version of this module, or the commit that it was built from.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}

	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}

	const short = 12 // digits of a commit

	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return "devel-" + setting.Value[:min(short, len(setting.Value))]
		}
	}

	return "devel"
}

// library is the version of a library that the program was built with.
func library(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}

	for _, module := range info.Deps {
		if module.Path == path {
			if module.Replace != nil {
				return cmp.Or(module.Replace.Version, "local")
			}

			return module.Version
		}
	}

	return "unknown"
}

// modulePath is the path of this module.
const modulePath = "github.com/jobkit/jobkit"

// Published is the version of this module that the program was built with, if that came from a
// module proxy; otherwise, as in a checkout, it is "".
func Published() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}

	for _, module := range append([]*debug.Module{&info.Main}, info.Deps...) {
		if module.Path == modulePath && module.Replace == nil && module.Sum != "" {
			return module.Version
		}
	}

	return ""
}
