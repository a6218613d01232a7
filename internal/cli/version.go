package cli

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// versionCommand is jobkit version.
func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the version",
		Args:  cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			fmt.Fprintf(a.streams.Out, "jobkit %s (Kubernetes libraries %s, %s %s/%s)\n",
				version(), library("k8s.io/client-go"), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		},
	}
}

// version is the version of jobkit: that of the module, or the commit that it was
// built from.
func version() string {
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

// library is the version of a library that jobkit was built with.
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
