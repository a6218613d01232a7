// Jobkit is the command line of the project: it shows the example jobs (demo), runs
// a control plane on this machine (dev) and runs jobs on a cluster (run).
//
// Its commands are in internal/cli; "jobkit --help" describes them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/jobkit/jobkit/internal/cli"
	"github.com/jobkit/jobkit/internal/cli/console"
)

func main() { os.Exit(run()) }

func run() int {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	// A second signal ends the process at once: the first one may wait for clean-up.
	context.AfterFunc(ctx, stop)
	return cli.Main(ctx, os.Args, console.New(os.Stdin, os.Stdout, os.Stderr))
}
