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

// Block is a block of lines at the bottom of a terminal's text that is redrawn in
// place. Each redraw is one write and overwrites line by line, without clearing
// first, so that nothing flickers.
type Block struct {
	out   io.Writer
	size  func() (int, int)
	drawn []string
	open  bool
}

// Block is a block on the terminal of the streams, or nil if they have none.
func (s Streams) Block() *Block {
	if s.Size == nil {
		return nil
	}
	if s.terminal != nil {
		return &Block{out: s.terminal, size: s.Size}
	}
	return &Block{out: s.Out, size: s.Size}
}

// Draw replaces the block.
func (b *Block) Draw(lines []string) {
	if b.open && slices.Equal(lines, b.drawn) {
		return
	}
	b.write(nil, lines)
}

// Above puts lines above the block, where they stay.
func (b *Block) Above(lines []string) { b.write(lines, b.drawn) }

// Close leaves the block as it is and gives the terminal back.
// It can be called more than once.
func (b *Block) Close() {
	if !b.open {
		return
	}
	b.open, b.drawn = false, nil
	_, _ = io.WriteString(b.out, showCursor)
}

// write writes lines that stay and then the block, over the existing block.
// An error is not reported: it could only be written to the same terminal.
func (b *Block) write(over, block []string) {
	var text strings.Builder
	text.WriteString(beginUpdate)
	if !b.open {
		text.WriteString(hideCursor)
	}
	if up := b.rows(); up > 0 {
		fmt.Fprintf(&text, "\r"+cursorUp, up)
	}
	for _, line := range slices.Concat(over, block) {
		text.WriteString(line + eraseLineEnd + "\n")
	}
	text.WriteString(eraseBelow + endUpdate)
	_, _ = io.WriteString(b.out, text.String())
	b.drawn, b.open = block, true
}

// rows is how many rows of the terminal the block takes. They are more than its
// lines if the terminal was made narrower since.
func (b *Block) rows() int {
	width, _ := b.size()
	rows := 0
	for _, line := range b.drawn {
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
