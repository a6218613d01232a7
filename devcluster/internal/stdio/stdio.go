// Package stdio parts this process's own words from its components' logs.
//
// Kubernetes, etcd and kwok log to the standard error of the process they run
// in. Here that goes to a file, and so does what they print; the terminal keeps
// what devcluster itself has to say.
package stdio

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Streams are standard output and error as the process got them.
type Streams struct{ Out, Err *os.File }

// Save returns copies of the streams that outlast Redirect.
func Save() (Streams, error) {
	out, err := duplicate(unix.Stdout, "stdout")
	if err != nil {
		return Streams{}, err
	}
	errOut, err := duplicate(unix.Stderr, "stderr")
	if err != nil {
		return Streams{}, err
	}
	return Streams{Out: out, Err: errOut}, nil
}

// Redirect sends file descriptors 1 and 2 to the log file permanently. The report
// of a crash goes there and to crash.
func Redirect(log, crash *os.File) error {
	for _, fd := range []int{unix.Stdout, unix.Stderr} {
		if err := unix.Dup2(int(log.Fd()), fd); err != nil {
			return fmt.Errorf("cannot redirect file descriptor %d to %s: %w", fd, log.Name(), err)
		}
	}
	if err := debug.SetCrashOutput(crash, debug.CrashOptions{}); err != nil {
		return fmt.Errorf("cannot keep crash reports on the terminal: %w", err)
	}
	return nil
}

// duplicate also moves the stream away from descriptors 1 and 2. Go ends a
// process that writes to a broken pipe on those, and a parent that is gone must
// not do that; see the lifeline for what it may do.
func duplicate(fd int, name string) (*os.File, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("cannot duplicate %s: %w", name, err)
	}
	return os.NewFile(uintptr(dup), name), nil
}

// Tail returns at most n last lines of a file, none if it cannot be read.
func Tail(path string, n int) []string {
	const most = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return nil
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil
	}
	text := strings.TrimRight(string(data), "\n")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}
