package devenv

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestExplained: whoever gives up learns that, and not by which signal a command ended.
func TestExplained(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	<-ctx.Done()
	if err := explained(ctx, errors.New("signal: interrupt")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := explained(ctx, nil); err != nil {
		t.Errorf("what succeeded in time has: %v", err)
	}
	_, failed := exec.CommandContext(t.Context(), "go", "no-such-command").Output()
	if err := explained(t.Context(), failed); err == nil || !strings.Contains(err.Error(), "no-such-command") {
		t.Errorf("want what go says, got %v", err)
	}
}
