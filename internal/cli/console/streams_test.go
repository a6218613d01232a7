package console_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jobkit/jobkit/internal/cli/console"
)

func TestNewKnowsFiles(t *testing.T) {
	t.Setenv("TERM", "xterm")
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if s := console.New(os.Stdin, file, os.Stderr); s.Size != nil || s.Color {
		t.Error("a file is not a terminal")
	}
}
