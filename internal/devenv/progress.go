package devenv

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// terminalInterval is how often the line on a terminal is redrawn.
	terminalInterval = 200 * time.Millisecond
	// plainInterval is how often a line is written anywhere else: often enough to
	// see that it continues, rarely enough for the log of a CI run.
	plainInterval = 15 * time.Second
	// eraseLine returns to the beginning of the line and clears it.
	eraseLine = "\r\x1b[K"
)

// progress shows how far a long task is: as one line that changes on a terminal,
// as a line now and then elsewhere. It may be used from any goroutine.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	now      func() time.Time

	task        string
	done, total int
	begun, last time.Time
}

func newProgress(w io.Writer) *progress {
	return &progress{w: w, terminal: isTerminal(w), now: time.Now}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// linef writes a line of its own.
func (p *progress) linef(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.write("devcluster: " + fmt.Sprintf(format, args...))
}

// begin starts a task of total steps; 0 if that is not known.
func (p *progress) begin(task string, total int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if p.begun.IsZero() {
		p.begun = now
	}
	p.task, p.done, p.total, p.last = task, 0, total, now
}

// add counts one step.
func (p *progress) add() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
}

// end reports how long it all took.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.write(fmt.Sprintf("devcluster: built in %s", p.now().Sub(p.begun).Round(time.Second)))
}

// watch shows progress by the clock until the returned function is called.
func (p *progress) watch() (stop func()) {
	interval := plainInterval
	if p.terminal {
		interval = terminalInterval
	}
	ticker := time.NewTicker(interval)
	quit, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-ticker.C:
				p.show()
			case <-quit:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(quit)
		<-stopped
		p.erase()
	}
}

// show draws or writes the state of the task.
func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	line := "devcluster: " + p.state()
	if p.terminal {
		_, _ = io.WriteString(p.w, eraseLine+line)
		return
	}
	p.write(line)
}

func (p *progress) erase() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.terminal {
		_, _ = io.WriteString(p.w, eraseLine)
	}
}

// state is, for example, "compiling, 120 of 2669 packages, 1m5s".
func (p *progress) state() string {
	elapsed := p.now().Sub(p.begun).Round(time.Second)
	switch {
	case p.total > 0 && p.done >= p.total:
		return fmt.Sprintf("linking, %s", elapsed)
	case p.total > 0:
		return fmt.Sprintf("%s, %d of %d packages, %s", p.task, p.done, p.total, elapsed)
	case p.done > 0:
		return fmt.Sprintf("%s, %d so far, %s", p.task, p.done, elapsed)
	}
	return fmt.Sprintf("%s, %s", p.task, elapsed)
}

// write writes a whole line; the caller holds the mutex. Errors are ignored:
// a failure to show progress cannot be reported anywhere.
func (p *progress) write(line string) {
	if p.terminal {
		line = eraseLine + line
	}
	_, _ = io.WriteString(p.w, line+"\n")
}
