package devenv

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBuild builds a small program with the real go command.
func TestBuild(t *testing.T) {
	good := map[string]string{
		"go.mod":    "module github.com/jobkit/jobkit/devcluster\n\ngo 1.26\n\nrequire k8s.io/kubernetes v1.2.3\n\nreplace k8s.io/kubernetes => ./k\n",
		"k/go.mod":  "module k8s.io/kubernetes\n",
		"main.go":   "package main\n\nfunc main() {}\n",
		"README.md": "",
	}
	t.Run("a cache that has none is filled, once", func(t *testing.T) {
		var out bytes.Buffer
		o := BuildOptions{SourceDir: write(t, good), CacheDir: filepath.Join(t.TempDir(), "cache"), Progress: &out}
		path, err := Build(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if base := filepath.Base(path); !strings.HasPrefix(base, "devcluster-v1.2.3-") {
			t.Errorf("name %s", base)
		}
		if !strings.Contains(out.String(), "minutes") || !strings.Contains(out.String(), "built in") {
			t.Errorf("progress: %s", out.String())
		}
		out.Reset()
		again, err := Build(t.Context(), o)
		if err != nil || again != path || out.Len() > 0 {
			t.Errorf("second build: %s, %v, progress %q", again, err, out.String())
		}
	})
	t.Run("a compile error is shown", func(t *testing.T) {
		files := map[string]string{"go.mod": good["go.mod"], "k/go.mod": good["k/go.mod"], "main.go": "package main\n\nfunc main() { undefinedThing() }\n"}
		cache := t.TempDir()
		_, err := Build(t.Context(), BuildOptions{SourceDir: write(t, files), CacheDir: cache, Progress: io.Discard})
		if err == nil || !strings.Contains(err.Error(), "undefined: undefinedThing") {
			t.Errorf("error %v", err)
		}
		left, _ := filepath.Glob(filepath.Join(cache, binaryPrefix+"*"))
		if len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
	t.Run("without the go command the error says what to do", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := Build(t.Context(), BuildOptions{SourceDir: write(t, good), CacheDir: t.TempDir(), Progress: io.Discard})
		if err == nil || !strings.Contains(err.Error(), "install Go") || !strings.Contains(err.Error(), binaryEnv) {
			t.Errorf("error %v", err)
		}
	})
}

func TestReadyBinary(t *testing.T) {
	dir := write(t, map[string]string{"binary": "", "text": ""})
	if err := os.Chmod(filepath.Join(dir, "binary"), 0o700); err != nil { //nolint:gosec // a program must be executable
		t.Fatal(err)
	}
	for _, tt := range []struct{ reason, name, err string }{
		{"an executable is used as it is", "binary", ""},
		{"a file that cannot be run", "text", "not an executable"},
		{"a folder", ".", "not an executable"},
		{"nothing", "none", "no such file"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			path := filepath.Join(dir, tt.name)
			t.Setenv(binaryEnv, path)
			got, err := Build(t.Context(), BuildOptions{SourceDir: "/does/not/matter"})
			if tt.err == "" && (err != nil || got != path) {
				t.Errorf("got %s, %v", got, err)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), binaryEnv)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	cache := t.TempDir()
	now := time.Now()
	for name, hours := range map[string]int{"devcluster-mine": 9, "devcluster-a": 1, "devcluster-b": 2, "devcluster-c": 3, "devcluster-d": 4, "other": 5} {
		path := filepath.Join(cache, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now.Add(-time.Duration(hours)*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	b := &builder{cache: cache, binary: filepath.Join(cache, "devcluster-mine")}
	if err := b.prune(); err != nil {
		t.Fatal(err)
	}
	var left []string
	entries, _ := os.ReadDir(cache)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if diff := cmp.Diff([]string{"devcluster-a", "devcluster-b", "devcluster-mine", "other"}, left); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

func TestCounts(t *testing.T) {
	for line, want := range map[string]bool{
		"k8s.io/api/core/v1":                       true,
		"runtime":                                  true,
		"go: downloading k8s.io/api v0.37.1":       true,
		"# github.com/jobkit/jobkit/devcluster":    false,
		"./main.go:3:15: undefined: x":             false,
		"":                                         false,
		"go: module lookup disabled by GOPROXY":    false,
		"package foo is not in std (/usr/lib/foo)": false,
	} {
		if got := counts(line); got != want {
			t.Errorf("%q: got %t", line, got)
		}
	}
}

func TestLdflags(t *testing.T) {
	const want = "-s -w -X k8s.io/component-base/version.gitVersion=v1.37.1 -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37"
	if diff := cmp.Diff(want, LinkFlags("v1.37.1")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	never := func() { t.Error("a free lock is busy") }
	unlock, err := lock(t.Context(), path, never)
	if err != nil {
		t.Fatal(err)
	}
	busy := make(chan struct{})
	second := make(chan error)
	go func() {
		unlock, err := lock(t.Context(), path, func() { close(busy) })
		if err == nil {
			unlock()
		}
		second <- err
	}()
	<-busy // it has reported that it has to wait
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := lock(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("giving up: %v", err)
	}
	unlock()
	if err := <-second; err != nil {
		t.Errorf("after the first let go: %v", err)
	}
}
