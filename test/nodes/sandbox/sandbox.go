//go:build linux

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

const (
	// roleEnv says what a process of the program is: the one that was called (absent),
	// the first one in the sandbox, the same of a probe, or the program in the sandbox.
	roleEnv                          = "JOBKIT_SANDBOX"
	roleInit, roleProbe, roleProgram = "init", "probe", "program"
	// idEnv is the name of the sandbox. Every process in it that was not given an
	// environment of its own has it.
	idEnv = "JOBKIT_SANDBOX_ID"

	// namePrefix begins the names of all sandboxes; the rest is the process that runs it.
	namePrefix = "jobkit-nodes-"

	// killGrace is how long the program may take to end after a signal.
	killGrace = 2 * time.Second
)

// Main is called first of all in a program that uses a sandbox. In the first process of a
// sandbox it does that process's work and does not return.
func Main() {
	var code int
	var err error
	switch os.Getenv(roleEnv) {
	case roleInit:
		code, err = serve()
	case roleProbe:
		if err = prepare(); err == nil {
			err = probe()
		}
	default:
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		code = 1
	}
	os.Exit(code) //nolint:forbidigo // it is the main of that process
}

// Inside reports whether this process runs in a sandbox.
func Inside() bool { return os.Getenv(roleEnv) == roleProgram }

// Name is the name of the sandbox in which this process runs.
func Name() string { return os.Getenv(idEnv) }

// Run runs this program once more, with the same arguments and more environment, in a
// sandbox, and returns its exit code. A signal or the end of ctx ends it early. It returns
// when nothing of the sandbox is left.
func Run(ctx context.Context, env ...string) (code int, err error) {
	return run(ctx, roleInit, nil, env...)
}

// run is Run, with the first process in a role. What it says goes into said, unless that is nil.
func run(ctx context.Context, role string, said io.Writer, env ...string) (code int, err error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("cannot make namespaces: this needs root")
	}
	RemoveStale()
	name := namePrefix + strconv.Itoa(os.Getpid())
	delegated := delegatedControllers()
	defer func() { err = errors.Join(err, removeGroups(name), withdraw(delegated)) }()

	self, err := os.Executable()
	if err != nil {
		return 1, fmt.Errorf("cannot find this program: %w", err)
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := exec.CommandContext(ctx, self, os.Args[1:]...)
	cmd.Env = append(append(os.Environ(), env...), roleEnv+"="+role, idEnv+"="+name)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if said != nil {
		cmd.Stdout, cmd.Stderr = said, said
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		// If this process is killed, the sandbox goes with it.
		Pdeathsig: syscall.SIGKILL,
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = killGrace
	// That signal is sent at the end of the thread which started the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return 1, fmt.Errorf("interrupted: %w", context.Cause(ctx))
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1), nil
	case err != nil:
		return 1, fmt.Errorf("cannot run in namespaces: %w", err)
	}
	return 0, nil
}

// serve is the first process of a sandbox: it prepares what the program finds there, runs
// it, and reaps every process whose parent has ended, as every first process must. When it
// ends, the kernel kills all others.
func serve() (int, error) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	if err := prepare(); err != nil {
		return 1, err
	}
	self, err := os.Executable()
	if err != nil {
		return 1, fmt.Errorf("cannot find this program: %w", err)
	}
	if err := os.Setenv(roleEnv, roleProgram); err != nil {
		return 1, fmt.Errorf("cannot set the environment: %w", err)
	}
	program, err := os.StartProcess(self, os.Args, &os.ProcAttr{Files: []*os.File{os.Stdin, os.Stdout, os.Stderr}})
	if err != nil {
		return 1, fmt.Errorf("cannot start the program: %w", err)
	}
	go func() {
		<-stop
		_ = program.Signal(os.Interrupt)
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 1, fmt.Errorf("cannot wait for the program: %w", err)
		case pid == program.Pid && status.Signaled():
			return 128 + int(status.Signal()), nil
		case pid == program.Pid:
			return status.ExitStatus(), nil
		}
	}
}
