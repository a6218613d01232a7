package console_test

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jobkit/jobkit/internal/cli/console"
)

// TestRedraws: each state of a line that is drawn again is a line, however the text comes.
func TestRedraws(t *testing.T) {
	for text, want := range map[string]string{
		"a\nb":            "a\nb",
		"10%\r20%\rend\n": "10%\n20%\nend\n",
		"a\r\nb\r\n\r\n":  "a\nb\n\n",
		"\n\na\r":         "\n\na\n",
		"":                "",
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "bytes": iotest.OneByteReader(strings.NewReader(text))} {
			got, err := io.ReadAll(console.Redraws(r))
			if err != nil || string(got) != want {
				t.Errorf("%q, %s: %q, %v; want %q", text, name, got, err, want)
			}
		}
	}
}
