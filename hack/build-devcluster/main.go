// Command build-devcluster builds the dev control plane into its cache, if it is not there
// yet, so that the first build, which takes minutes, shows its progress and does not happen
// inside a test.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/jobkit/jobkit/internal/devenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if _, err := devenv.Build(ctx, devenv.BuildOptions{}); err != nil {
		fmt.Fprintln(os.Stderr, "build-devcluster:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}
