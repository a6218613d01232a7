package stdio

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTail(t *testing.T) {
	for _, tt := range []struct {
		reason, text string
		want         []string
	}{
		{"an empty file", "", nil},
		{"fewer lines than asked for", "a\n", []string{"a"}},
		{"the last lines", "a\nb\nc\n", []string{"b", "c"}},
		{"a last line without an end", "a\nb\nc", []string{"b", "c"}},
		{"a large file", strings.Repeat("x\n", 1<<20) + "y\n", []string{"x", "y"}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, Tail(path, 2)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := Tail(filepath.Join(t.TempDir(), "none"), 2); got != nil {
		t.Errorf("of no file: %v", got)
	}
}
