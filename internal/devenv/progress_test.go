package devenv

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestProgressState(t *testing.T) {
	for _, tt := range []struct {
		reason      string
		task        string
		done, total int
		want        string
	}{
		{"nothing known yet", "fetching modules", 0, 0, "fetching modules, 1m5s"},
		{"a number without a total", "fetching modules", 17, 0, "fetching modules, 17 so far, 1m5s"},
		{"packages of a total", "compiling", 120, 2669, "compiling, 120 of 2669 packages, 1m5s"},
		{"after the last package comes the linker", "compiling", 2669, 2669, "linking, 1m5s"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			now := time.Unix(0, 0)
			p := &progress{w: &bytes.Buffer{}, now: func() time.Time { return now }}
			p.begin(tt.task, tt.total)
			for range tt.done {
				p.add()
			}
			now = now.Add(65*time.Second + 400*time.Millisecond)
			if diff := cmp.Diff(tt.want, p.state()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestProgressOutput(t *testing.T) {
	for _, tt := range []struct {
		reason   string
		terminal bool
		want     string
	}{
		{
			"a terminal redraws one line", true,
			"\r\x1b[Kdevcluster: hello\n\r\x1b[Kdevcluster: compiling, 1 of 2 packages, 0s\r\x1b[K\r\x1b[Kdevcluster: built in 0s\n",
		},
		{
			"a file gets lines", false,
			"devcluster: hello\ndevcluster: compiling, 1 of 2 packages, 0s\ndevcluster: built in 0s\n",
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			var out bytes.Buffer
			p := &progress{w: &out, terminal: tt.terminal, now: func() time.Time { return time.Unix(0, 0) }}
			p.linef("hello")
			p.begin("compiling", 2)
			p.add()
			p.show()
			p.erase()
			p.end()
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestIsTerminal(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if isTerminal(f) || isTerminal(&bytes.Buffer{}) {
		t.Error("a file is not a terminal")
	}
}
