package devenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// stopPoll is how often Down checks whether the cluster has ended.
const stopPoll = 50 * time.Millisecond

// ErrRunning says that there is a detached cluster already.
var ErrRunning = errors.New("a dev cluster is running already")

// current is the content of the state file: where the detached cluster is.
type current struct {
	DataDir string `json:"dataDir"`
	// Temporary makes Down remove the data.
	Temporary bool `json:"temporary"`
}

// StateDir returns the folder that holds the state and, by default, the data of
// the detached cluster: jobkit/dev in the user's cache folder.
func StateDir() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(cache, "dev"), nil
}

// Up runs a cluster that outlives this process and returns when it is ready. It
// returns ErrRunning if there is one; Find finds it and Down ends it.
func Up(ctx context.Context, o Options) (*Cluster, error) {
	state, err := StateDir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create the state folder: %w", err)
	}
	unlock, err := lock(ctx, filepath.Join(state, "up.lock"), func() {
		newProgress(o.progress()).linef("another process is starting a cluster; waiting for it")
	})
	if err != nil {
		return nil, err
	}
	defer unlock()
	if running, err := Find(); err != nil {
		return nil, err
	} else if running != nil {
		return nil, fmt.Errorf("%w: process %d, kubeconfig %s", ErrRunning, running.PID(), running.Kubeconfig())
	}
	cur := current{DataDir: o.Dir, Temporary: o.Dir == ""}
	if cur.Temporary {
		cur.DataDir = filepath.Join(state, "data")
		if err := os.RemoveAll(cur.DataDir); err != nil {
			return nil, fmt.Errorf("cannot remove the data of the last cluster: %w", err)
		}
	}
	if cur.DataDir, err = filepath.Abs(cur.DataDir); err != nil {
		return nil, fmt.Errorf("cannot resolve the data folder: %w", err)
	}
	o.Dir = cur.DataDir
	binary, err := build(ctx, o)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, o.args()...) //nolint:noctx // the cluster outlives ctx; launch respects it
	cmd.SysProcAttr = ownSession()
	c, err := launch(ctx, cmd, o.progress())
	if err != nil {
		return nil, err
	}
	if err := writeCurrent(state, cur); err != nil {
		return nil, errors.Join(err, c.child.terminate(stopGrace))
	}
	return detached(c.info, cur), nil
}

// Find returns the detached cluster, or nil if none is running.
//
//nolint:nilnil // "None runs" is an answer, not an error.
func Find() (*Cluster, error) {
	state, err := StateDir()
	if err != nil {
		return nil, err
	}
	cur, err := readCurrent(state)
	if err != nil || cur.DataDir == "" {
		return nil, err
	}
	pid, err := holder(cur.DataDir)
	if err != nil || pid == 0 {
		return nil, err
	}
	var i info
	data, err := os.ReadFile(filepath.Join(cur.DataDir, stateFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // it is starting or stopping
	}
	if err == nil {
		err = json.Unmarshal(data, &i)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the state of the dev cluster: %w", err)
	}
	i.PID = pid
	return detached(i, cur), nil
}

// Down stops the detached cluster and removes its data, unless Up was given a
// folder for them. It does nothing if none is running.
func Down(ctx context.Context) error {
	state, err := StateDir()
	if err != nil {
		return err
	}
	cur, err := readCurrent(state)
	if err != nil || cur.DataDir == "" {
		return err
	}
	if err := stopDetached(ctx.Done(), cur); err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	if err := os.Remove(filepath.Join(state, currentFile)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove the state of the dev cluster: %w", err)
	}
	return nil
}

func detached(i info, cur current) *Cluster {
	return &Cluster{info: i, stop: sync.OnceValue(func() error { return stopDetached(nil, cur) })}
}

// stopDetached ends the process that holds the data folder, if any, by SIGTERM
// and after stopGrace by SIGKILL. It gives up when quit is closed.
func stopDetached(quit <-chan struct{}, cur current) error {
	ticker := time.NewTicker(stopPoll)
	defer ticker.Stop()
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	signal := syscall.SIGTERM
	signalled := false
	for {
		// Ask again each time: only the process that holds the lock now may get a signal.
		pid, err := holder(cur.DataDir)
		if err != nil {
			return err
		}
		if pid == 0 {
			break
		}
		if !signalled {
			if err := kill(pid, signal); err != nil {
				return err
			}
			signalled = true
		}
		select {
		case <-ticker.C:
		case <-grace.C:
			signal, signalled = syscall.SIGKILL, false
		case <-quit:
			return fmt.Errorf("cannot stop the dev cluster: process %d has not ended yet", pid)
		}
	}
	if !cur.Temporary {
		return nil
	}
	if err := os.RemoveAll(cur.DataDir); err != nil {
		return fmt.Errorf("cannot remove the data of the dev cluster: %w", err)
	}
	return nil
}

// kill signals a process; it is not an error if the process has ended.
func kill(pid int, signal syscall.Signal) error {
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Signal(signal)
	}
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot stop the dev cluster, process %d: %w", pid, err)
	}
	return nil
}

// currentFile in the state folder says where the detached cluster is.
const currentFile = "current.json"

func readCurrent(state string) (current, error) {
	var cur current
	data, err := os.ReadFile(filepath.Join(state, currentFile))
	if errors.Is(err, os.ErrNotExist) {
		return cur, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &cur)
	}
	if err != nil {
		return cur, fmt.Errorf("cannot read the state of the dev cluster: %w", err)
	}
	return cur, nil
}

func writeCurrent(state string, cur current) error {
	data, err := json.Marshal(cur)
	if err == nil {
		tmp := filepath.Join(state, currentFile+".tmp")
		if err = os.WriteFile(tmp, data, 0o600); err == nil {
			err = os.Rename(tmp, filepath.Join(state, currentFile))
		}
	}
	if err != nil {
		return fmt.Errorf("cannot write the state of the dev cluster: %w", err)
	}
	return nil
}
