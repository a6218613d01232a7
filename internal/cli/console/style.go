package console

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Style is how a piece of text is set on a terminal that has colours.
type Style string

// The styles, as ANSI "select graphic rendition" sequences.
const (
	Plain  Style = ""
	Bold   Style = "\x1b[1m"
	Dim    Style = "\x1b[2m"
	Red    Style = "\x1b[31m"
	Green  Style = "\x1b[32m"
	Yellow Style = "\x1b[33m"
	Cyan   Style = "\x1b[36m"

	reset = "\x1b[0m"
)

// Paint sets text in a style, or leaves it alone where there are no colours.
func Paint(text string, s Style, color bool) string {
	if !color || s == Plain || text == "" {
		return text
	}
	return string(s) + text + reset
}

// Pad fills text with spaces up to width, on its right or, for numbers, its left.
func Pad(text string, width int, right bool) string {
	spaces := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
	if right {
		return spaces + text
	}
	return text + spaces
}

// Clip cuts text to width and marks the cut with an ellipsis.
func Clip(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	if width < 1 {
		return ""
	}
	return string([]rune(text)[:width-1]) + "…"
}

// Wrap breaks text into lines of at most width, between words.
func Wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// Columns lays rows out as a table: cells of a column below each other, those of the columns
// named by their numbers at their right.
func Columns(rows [][]string, right ...int) []string {
	widths := map[int]int{}
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = Pad(cell, widths[i], slices.Contains(right, i))
		}
		lines = append(lines, strings.TrimRight(strings.Join(cells, "  "), " "))
	}
	return lines
}
