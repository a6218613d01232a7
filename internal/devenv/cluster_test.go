package devenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fakeEnv says how the test binary plays devcluster.
const fakeEnv = "DEVENV_TEST_FAKE"

// fakeDevcluster speaks like devcluster.
func fakeDevcluster() int {
	say := func(event, more string) { fmt.Printf(`{"event":%q%s}`+"\n", event, more) }
	dir := os.Getenv("DEVENV_TEST_DIR")
	where := fmt.Sprintf(`,"info":{"pid":%d,"kubeconfig":%q,"dataDir":%q,"logFile":%q,"version":"v1"}`,
		os.Getpid(), filepath.Join(dir, "kubeconfig"), dir, filepath.Join(dir, "log"))
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	switch os.Getenv(fakeEnv) {
	case "fails":
		say("started", where)
		say("failed", `,"message":"etcd died: no disk","log":["line 1","line 2"]`)
		return 1
	case "crashes":
		say("started", where)
		fmt.Fprintln(os.Stderr, "panic: oops")
		return 2
	case "hangs":
		say("started", where)
		<-term
		return 0
	}
	say("started", where)
	say("ready", where)
	if os.Getenv(fakeEnv) == "dies" {
		say("failed", `,"message":"etcd died: no disk","log":["line 1"]`)
		return 1
	}
	<-term
	say("stopped", "")
	return 0
}

// fake makes Start run the fake in place of the real binary.
func fake(t *testing.T, how string) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv(binaryEnv, os.Args[0])
	t.Setenv(helperEnv, "devcluster")
	t.Setenv(fakeEnv, how)
	t.Setenv("DEVENV_TEST_DIR", dir)
	return dir
}

func TestStart(t *testing.T) {
	dir := fake(t, "runs")
	c, err := Start(t.Context(), Options{Progress: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if c.Kubeconfig() != filepath.Join(dir, "kubeconfig") || c.LogFile() != filepath.Join(dir, "log") || c.PID() == 0 {
		t.Errorf("%+v", c.info)
	}
	for range 2 {
		if err := c.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary data after Stop: %v", err)
	}
}

func TestStopKeepsTheUsersFolder(t *testing.T) {
	dir := fake(t, "runs")
	c, err := Start(t.Context(), Options{Progress: io.Discard, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

func TestStopReportsADeath(t *testing.T) {
	fake(t, "dies")
	c, err := Start(t.Context(), Options{Progress: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err == nil || !strings.Contains(err.Error(), "etcd died: no disk") {
		t.Errorf("error %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	for _, tt := range []struct {
		how  string
		want []string
	}{
		{"fails", []string{"cannot start the dev cluster: etcd died: no disk", "| line 1", "| line 2"}},
		{"crashes", []string{"cannot start the dev cluster: exit status 2", "| panic: oops", "log is "}},
	} {
		t.Run(tt.how, func(t *testing.T) {
			fake(t, tt.how)
			_, err := Start(t.Context(), Options{Progress: io.Discard})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

func TestStartGivesUp(t *testing.T) {
	fake(t, "hangs")
	why := errors.New("no patience")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err := Start(ctx, Options{Progress: io.Discard})
	if !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
}

func TestParseEvent(t *testing.T) {
	for line, want := range map[string]string{
		`{"event":"ready","info":{"pid":1}}`:  "ready",
		`{"level":"warn","msg":"a log line"}`: "",
		`panic: oops`:                         "",
		`{"event":`:                           "",
		``:                                    "",
	} {
		e, ok := parseEvent(line)
		if e.Event != want || ok != (want != "") {
			t.Errorf("%s: %+v, %t", line, e, ok)
		}
	}
}

func TestFindWithoutState(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	if c, err := Find(); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	if err := Down(t.Context()); err != nil {
		t.Errorf("nothing to stop: %v", err)
	}
}

// TestStaleState has the state file that a killed cluster or a restart of the machine leaves,
// perhaps with the id of another process by now.
func TestStaleState(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	state, err := StateDir()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(state, "data")
	if err := os.MkdirAll(data, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{lockFile: "", stateFile: fmt.Sprintf(`{"pid":%d}`, os.Getpid())} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeCurrent(state, current{DataDir: data, Temporary: true}); err != nil {
		t.Fatal(err)
	}
	if c, err := Find(); c != nil || err != nil {
		t.Errorf("found %v, %v", c, err)
	}
	if err := Down(t.Context()); err != nil {
		t.Errorf("down: %v", err)
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is left: %v", err)
	}
}

// parent starts a real cluster for TestKilledParent, prints its data folder and
// process id, and waits to be killed.
func parent() int {
	c, err := Start(context.Background(), Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(c.info.DataDir, c.PID())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}
