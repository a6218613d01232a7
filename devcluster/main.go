// Command devcluster is a real Kubernetes control plane for development and
// tests, in one process and from Go modules alone: etcd, kube-apiserver,
// kube-controller-manager, kube-scheduler, and fake nodes on which pods live the
// life that their annotations ask for.
//
//	devcluster up [flags]   run a cluster until it is interrupted
//	devcluster version      print the versions of what is inside
//
// README.md lists the annotations and says how to build it. Everything listens
// on the loopback interface only.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/component-base/version"

	"github.com/jobkit/jobkit/devcluster/internal/cluster"
	"github.com/jobkit/jobkit/devcluster/internal/stdio"
)

const usage = `devcluster runs a Kubernetes control plane with fake nodes in one process.

  devcluster up [flags]   run a cluster until it is interrupted
  devcluster up --help    list the flags
  devcluster version      print the versions of what is inside
`

func main() {
	os.Exit(run(os.Args[1:], time.Now()))
}

// run returns the exit code: 0, 1 after a failure, 2 after wrong usage.
func run(args []string, start time.Time) int {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case "up":
		return up(args[1:], start)
	case "version", "--version":
		printVersions(os.Stdout)
		return 0
	case "help", "--help", "-h":
		fmt.Print(usage)
		return 0
	}
	fmt.Fprintf(os.Stderr, "devcluster: unknown command %q\n\n%s", command, usage)
	return 2
}

func up(args []string, start time.Time) int {
	options, err := parseUp(args)
	if errors.Is(err, pflag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "devcluster up: %v\n", err)
		return 2
	}
	streams, err := stdio.Save()
	if err != nil {
		fmt.Fprintf(os.Stderr, "devcluster up: %v\n", err)
		return 1
	}
	defer runtime.KeepAlive(collectSeldom())
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	// Listen before anything is made that must be removed: a signal that no one
	// listens for kills at once.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go cancelOnSignal(signals, cancel)
	if options.lifeline {
		go cancelOnEOF(os.Stdin, cancel)
	}
	reporter := cluster.NewReporter(streams.Out, options.json, start)
	if err := cluster.Run(ctx, options.cluster, reporter, streams.Err); err != nil {
		return 1 // the reporter has said why
	}
	return 0
}

// collectSeldom returns memory that counts as live as long as the caller keeps it, so that the heap grows by twice
// as much before it is collected. It is never written to, so the system never provides it. A cluster for
// development has a small heap and makes much garbage: without this, collecting it takes an eighth of all CPU
// time. (GOGC would do the same, but multiplies what a large cluster takes, too.)
func collectSeldom() []byte { return make([]byte, 256<<20) }

// cancelOnSignal ends the cluster in order at the first signal, and lets the
// second one kill.
func cancelOnSignal(signals chan os.Signal, cancel context.CancelCauseFunc) {
	s := <-signals
	signal.Stop(signals)
	cancel(fmt.Errorf("%w by signal %s", cluster.ErrStop, s))
}

// cancelOnEOF ends the cluster when the other end of the lifeline is closed. The
// kernel closes it however that process ends, so this works where signals and
// deferred functions do not: after kill -9, a panic, a test's os.Exit.
func cancelOnEOF(lifeline io.Reader, cancel context.CancelCauseFunc) {
	_, _ = io.Copy(io.Discard, lifeline)
	cancel(fmt.Errorf("%w by the end of the lifeline", cluster.ErrStop))
}

// printVersions prints what is inside, one "name version" a line.
func printVersions(w io.Writer) {
	fmt.Fprintln(w, "kubernetes", version.Get().GitVersion)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	for _, m := range info.Deps {
		switch m.Path {
		case "go.etcd.io/etcd/server/v3":
			fmt.Fprintln(w, "etcd", m.Version)
		case "sigs.k8s.io/kwok":
			fmt.Fprintln(w, "kwok", m.Version)
		}
	}
	fmt.Fprintln(w, "go", info.GoVersion)
}
