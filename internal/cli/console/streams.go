package console

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Streams are the standard streams of the command, and what is known about them.
type Streams struct {
	// In, Out and Err are standard input, output and error.
	In       io.Reader
	Out, Err io.Writer
	// Size is the width and height of the terminal that Out is; nil if Out is none
	// or cannot be drawn on.
	Size func() (width, height int)
	// Interactive is true when In is a terminal, too, so that someone can answer.
	Interactive bool
	// Color allows ANSI colours on Out.
	Color bool

	// terminal is Out as it is, for what is drawn in place.
	terminal io.Writer
}

// New returns the given streams with their properties. Out counts
// as a terminal unless it is a pipe or a file, or TERM is "dumb" or not set; there
// are colours on a terminal unless NO_COLOR is set to anything.
func New(in io.Reader, out, errors *os.File) Streams {
	s := Streams{In: in, Out: &plainWriter{to: out}, Err: &plainWriter{to: errors}, terminal: out}
	fd := int(out.Fd())
	if name := os.Getenv("TERM"); name == "" || name == "dumb" || !term.IsTerminal(fd) {
		return s
	}
	s.Size = func() (int, int) {
		width, height, err := term.GetSize(fd)
		if err != nil || width <= 0 || height <= 0 {
			return defaultWidth, defaultHeight
		}
		return width, height
	}
	if file, ok := in.(*os.File); ok {
		s.Interactive = term.IsTerminal(int(file.Fd()))
	}
	s.Color = os.Getenv("NO_COLOR") == ""
	return s
}

// Painted is where text goes that has colours, and was made safe to show where it was read.
func (s Streams) Painted() io.Writer {
	if s.terminal != nil {
		return s.terminal
	}
	return s.Out
}

// The size of a terminal that does not report its own.
const (
	defaultWidth  = 80
	defaultHeight = 24
)
