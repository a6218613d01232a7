package page

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestLinesOfALog: lines come as soon as they end, in whatever parts the log comes.
func TestLinesOfALog(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLogLine)
	for _, c := range []struct {
		reason, log string
		// want are the lines that are sent before the log ends, and rest is what its end adds.
		want []string
		rest string
	}{
		{reason: "lines", log: "a\nb\n", want: []string{"a", "b"}},
		{reason: "empty lines are kept", log: "a\n\nb\n\n", want: []string{"a", "", "b", ""}},
		{reason: "the last line may have no end", log: "a\nb", want: []string{"a"}, rest: "b"},
		{reason: "a bar that is written over and over shows as it comes", log: "\r 1%|#  |\r 2%|## |\r 3%|###|", want: []string{" 1%|#  |", " 2%|## |"}, rest: " 3%|###|"},
		{reason: "a bar that ends, and what follows", log: "\r99%\r100%\ndone\n", want: []string{"99%", "100%", "done"}},
		{reason: "lines of Windows are no two lines", log: "a\r\n\r\nb\r\n", want: []string{"a", "", "b"}},
		{reason: "returns without text are no lines", log: "a\r\r\rb\r\r\nc\n", want: []string{"a", "b", "c"}},
		{reason: "a line of the greatest length is whole", log: long + "\nb\n", want: []string{long, "b"}},
		{reason: "a longer one is cut", log: long + "yyy\nb\n", want: []string{long + " …", "b"}},
		{reason: "and is over at a return, too", log: long + long + "\rb\r\nc", want: []string{long + " …", "b"}, rest: "c"},
		{reason: "one that never ends shows its beginning", log: long + long + long, want: []string{long + " …"}},
	} {
		for _, size := range []int{1, 3, 1000, len(c.log)} {
			var (
				cutter lineCutter
				out    []byte
			)
			for rest := c.log; rest != ""; {
				n := min(size, len(rest))
				out = cutter.cut(out, []byte(rest[:n]))
				rest = rest[n:]
			}
			if diff := cmp.Diff(strings.Join(c.want, "\n")+"\n", string(out)); diff != "" {
				t.Errorf("%s, in parts of %d (-want +got):\n%s", c.reason, size, diff)
			}
			if diff := cmp.Diff(c.rest, strings.TrimSuffix(string(cutter.end(nil)), "\n")); diff != "" {
				t.Errorf("%s, in parts of %d, at its end (-want +got):\n%s", c.reason, size, diff)
			}
		}
	}
}
