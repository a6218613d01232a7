package console

import (
	"strings"
	"testing"
)

func TestPlainWriter(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		reason string
		writes []string
		want   string
	}{
		"Text":      {"text and its lines stay", []string{"größe: żółć\n\tb\n"}, "größe: żółć\n\tb\n"},
		"Sequence":  {"what moves the cursor or erases is text", []string{"a\x1b[2Jb\x1b]0;title\x07c\rd"}, "a [2Jb ]0;title c d"},
		"C1":        {"so are the controls of eight bits", []string{"a\u009b2Jb"}, "a 2Jb"},
		"Bidi":      {"nothing is shown in another order", []string{"a\u202eb\u2066c\u200fd"}, "abcd"},
		"Split":     {"a character may come in two writes", []string{"\xe2\x80", "\xaea\xc3", "\xb6b"}, "aöb"},
		"SplitC1":   {"and so may a control", []string{"a\xc2", "\x9b2J"}, "a 2J"},
		"NotUTF8":   {"what is not UTF-8 is shown as such", []string{"a\x9bb"}, "a\ufffdb"},
		"Separator": {"a line ends where it should", []string{"a\u2028b"}, "a b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			w := &plainWriter{to: &b}
			for _, text := range tc.writes {
				if n, err := w.Write([]byte(text)); err != nil || n != len(text) {
					t.Fatalf("%s: wrote %d, %v", tc.reason, n, err)
				}
			}
			if b.String() != tc.want {
				t.Errorf("%s: want %q, got %q", tc.reason, tc.want, b.String())
			}
		})
	}
}
