package console

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// ANSI control sequences.
const (
	hideCursor   = "\x1b[?25l"
	showCursor   = "\x1b[?25h"
	cursorUp     = "\x1b[%dA"
	eraseLineEnd = "\x1b[K"
	eraseBelow   = "\x1b[J"
	// A terminal that knows these two shows what is between them at once.
	beginUpdate = "\x1b[?2026h"
	endUpdate   = "\x1b[?2026l"
)

// live is a block of lines at the bottom of a terminal's text that is redrawn in
// place. Each redraw is one write and overwrites line by line, without clearing
// first, so that nothing flickers.
type live struct {
	out   io.Writer
	size  func() (int, int)
	drawn []string
	open  bool
}

// draw replaces the block.
func (l *live) draw(lines []string) {
	if l.open && slices.Equal(lines, l.drawn) {
		return
	}
	l.write(nil, lines)
}

// above puts lines above the block, where they stay.
func (l *live) above(lines []string) { l.write(lines, l.drawn) }

// close leaves the block as it is and gives the terminal back.
func (l *live) close() {
	if !l.open {
		return
	}
	l.open, l.drawn = false, nil
	_, _ = io.WriteString(l.out, showCursor)
}

// write writes lines that stay and then the block, over the existing block.
// An error is not reported: there is no one to report it to but the same terminal.
func (l *live) write(over, block []string) {
	var b strings.Builder
	b.WriteString(beginUpdate)
	if !l.open {
		b.WriteString(hideCursor)
	}
	if up := l.rows(); up > 0 {
		fmt.Fprintf(&b, "\r"+cursorUp, up)
	}
	for _, line := range slices.Concat(over, block) {
		b.WriteString(line + eraseLineEnd + "\n")
	}
	b.WriteString(eraseBelow + endUpdate)
	_, _ = io.WriteString(l.out, b.String())
	l.drawn, l.open = block, true
}

// rows is how many rows of the terminal the block takes. They are more than its
// lines if the terminal was made narrower since.
func (l *live) rows() int {
	width, _ := l.size()
	rows := 0
	for _, line := range l.drawn {
		rows += max(1, (visibleLength(line)+width-1)/max(1, width))
	}
	return rows
}

// visibleLength is how many columns a line takes: the sequences that set colours
// take none.
func visibleLength(line string) int {
	length := 0
	for len(line) > 0 {
		if strings.HasPrefix(line, "\x1b[") {
			end := strings.IndexByte(line, 'm')
			line = line[end+1:]
			continue
		}
		_, size := utf8.DecodeRuneInString(line)
		line = line[size:]
		length++
	}
	return length
}
