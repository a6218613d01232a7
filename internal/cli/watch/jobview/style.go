package jobview

import (
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/console"
)

// style is how a piece of text is set on a terminal that has colours.
type style = console.Style

// The styles.
const (
	plain  = console.Plain
	bold   = console.Bold
	dim    = console.Dim
	red    = console.Red
	green  = console.Green
	yellow = console.Yellow
	cyan   = console.Cyan
)

func paint(text string, s style, color bool) string { return console.Paint(text, s, color) }

func pad(text string, width int, right bool) string { return console.Pad(text, width, right) }

func clip(text string, width int) string { return console.Clip(text, width) }

func stateStyle(state string) style { return StateStyle(state) }

// StateStyle is the style of a state's name.
func StateStyle(state string) console.Style {
	switch commonv1.JobConditionType(state) {
	case commonv1.JobSucceeded:
		return green
	case commonv1.JobFailed:
		return red
	case commonv1.JobRunning:
		return cyan
	case commonv1.JobRestarting, commonv1.JobHung, commonv1.JobStalled:
		return yellow
	case commonv1.JobCreated, commonv1.JobSuspended:
		return plain
	default:
		return plain
	}
}
