package jobview

import (
	"strings"
	"unicode/utf8"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// style is how a piece of text is set on a terminal that has colours.
type style string

// The styles, as ANSI "select graphic rendition" sequences.
const (
	plain  style = ""
	bold   style = "\x1b[1m"
	dim    style = "\x1b[2m"
	red    style = "\x1b[31m"
	green  style = "\x1b[32m"
	yellow style = "\x1b[33m"
	cyan   style = "\x1b[36m"

	reset = "\x1b[0m"
)

// paint sets text in a style, or leaves it alone where there are no colours.
func paint(text string, s style, color bool) string {
	if !color || s == plain || text == "" {
		return text
	}
	return string(s) + text + reset
}

// stateStyle is the style of a state's name.
func stateStyle(state string) style {
	switch commonv1.JobConditionType(state) {
	case commonv1.JobSucceeded:
		return green
	case commonv1.JobFailed:
		return red
	case commonv1.JobRunning:
		return cyan
	case commonv1.JobRestarting, commonv1.JobStalled:
		return yellow
	case commonv1.JobCreated, commonv1.JobSuspended:
		return plain
	default:
		return plain
	}
}

// pad fills text with spaces up to width, on its right or, for numbers, its left.
func pad(text string, width int, right bool) string {
	spaces := strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
	if right {
		return spaces + text
	}
	return text + spaces
}

// clip cuts text to width and marks the cut with an ellipsis.
func clip(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	if width < 1 {
		return ""
	}
	return string([]rune(text)[:width-1]) + "…"
}
