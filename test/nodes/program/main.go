// Command program is what the jobs of test/nodes run: a number of processes that find each
// other by what the job's kind puts into their environment, and then step together as a
// training job does. Each step is an all-reduce over TCP, whose result every process
// checks. The first process writes checkpoints, from which its successor continues.
//
//	program           take part as the environment says
//	program mpirun    be the launcher of an MPIJob: start a process a slot, and lead them
//	program rank ...  be one of those
//
// Each process writes what it does to <JOBKIT_DIR>/<host name>.log, a line "<Unix time in
// ms> <rank> <word> <number>" an event, and does what it finds in
// <JOBKIT_DIR>/<host name>.command: "exit <code>", "crash" or "hang".
//
//	JOBKIT_DIR     a folder that all processes share
//	JOBKIT_STEPS   how many steps there are
//	JOBKIT_PAUSE   how long each takes, at least
//	JOBKIT_PEERS   what a process does that loses another: "wait", or an exit code
//	JOBKIT_THEN    what a process does at the end: "exit" (with 0), or "stay"
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	s, err := settingsOf(os.Getenv)
	if err == nil {
		err = run(context.Background(), s, os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		_ = os.WriteFile("/dev/termination-log", []byte(err.Error()), 0o600)
		os.Exit(max(s.peerExit, 1))
	}
	for s.stay {
		time.Sleep(time.Hour)
	}
}

// settings are what the test asks for.
type settings struct {
	dir   string
	steps int
	pause time.Duration
	// peerExit is the exit code of a process that loses another; 0 waits for it to come
	// back.
	peerExit int
	stay     bool
}

func settingsOf(getenv func(string) string) (settings, error) {
	s := settings{dir: getenv("JOBKIT_DIR"), stay: getenv("JOBKIT_THEN") == "stay"}
	var err error
	if s.steps, err = strconv.Atoi(getenv("JOBKIT_STEPS")); err != nil {
		return s, fmt.Errorf("cannot read JOBKIT_STEPS: %w", err)
	}
	if s.pause, err = time.ParseDuration(getenv("JOBKIT_PAUSE")); err != nil {
		return s, fmt.Errorf("cannot read JOBKIT_PAUSE: %w", err)
	}
	if peers := getenv("JOBKIT_PEERS"); peers != "" && peers != "wait" {
		if s.peerExit, err = strconv.Atoi(peers); err != nil {
			return s, fmt.Errorf("cannot read JOBKIT_PEERS: %w", err)
		}
	}
	return s, nil
}

func run(ctx context.Context, s settings, args []string) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("cannot find the host's name: %w", err)
	}
	d := &diary{settings: s, host: host, exit: os.Exit}
	switch {
	case len(args) == 1 && args[0] == "mpirun":
		return mpirun(ctx, d)
	case len(args) == 4 && args[0] == "rank":
		t, err := taskOfArguments(args[1:])
		if err != nil {
			return err
		}
		return follow(ctx, d, t)
	}
	t, err := taskOf(os.Getenv)
	if err != nil {
		return err
	}
	if t.leads {
		return lead(ctx, d, t)
	}
	return follow(ctx, d, t)
}
