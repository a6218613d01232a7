package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// tempPattern names the data folders that a cluster removes when it ends.
	tempPattern = "jobkit-devcluster-*"
	// lockFile is locked (fcntl) by the process that uses the folder. The kernel
	// knows its process id and unlocks it however that process ends, so it shows
	// others reliably who runs. The name is a contract with internal/devenv.
	lockFile = "lock"
	// orphanAge protects a folder that another process has just created and is
	// about to lock.
	orphanAge = time.Minute
)

// errLocked says that another process holds a lock.
var errLocked = errors.New("in use")

// dataDir is a locked folder that holds all state of one cluster.
type dataDir struct {
	path      string
	temporary bool
	lock      *os.File
}

// openDataDir creates and locks the folder. An empty path stands for a new
// temporary folder, which close removes unless keep is set.
func openDataDir(path string, keep bool) (*dataDir, error) {
	d := &dataDir{path: path}
	if path == "" {
		removeOrphans(os.TempDir(), time.Now())
		tmp, err := os.MkdirTemp("", tempPattern)
		if err != nil {
			return nil, fmt.Errorf("cannot create a data folder: %w", err)
		}
		d.path, d.temporary = tmp, !keep
	}
	abs, err := filepath.Abs(d.path)
	if err != nil {
		return nil, fmt.Errorf("cannot resolve data folder %s: %w", d.path, err)
	}
	d.path = abs
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return nil, fmt.Errorf("cannot create data folder: %w", err)
	}
	if d.lock, err = lockDir(d.path); err != nil {
		return nil, fmt.Errorf("cannot lock data folder %s: %w", d.path, err)
	}
	return d, nil
}

// in returns the path of a file in the folder.
func (d *dataDir) in(name string) string { return filepath.Join(d.path, name) }

// close unlocks the folder and removes it if it is temporary.
func (d *dataDir) close() error {
	// Remove first: an unlocked folder may be locked by the next process.
	var err error
	if d.temporary {
		err = os.RemoveAll(d.path)
	}
	return errors.Join(err, d.lock.Close())
}

// lockDir locks the folder for this process without waiting.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	want := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart}
	err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &want)
	if err == nil {
		return f, nil
	}
	defer f.Close()
	if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EACCES) {
		return nil, err
	}
	holder := want
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &holder); err == nil && holder.Type != unix.F_UNLCK {
		return nil, fmt.Errorf("%w by process %d", errLocked, holder.Pid)
	}
	return nil, fmt.Errorf("%w by another process", errLocked)
}

// removeOrphans removes temporary data folders below parent whose process was
// killed before it could do so. Best effort: they only waste space.
func removeOrphans(parent string, now time.Time) {
	dirs, err := filepath.Glob(filepath.Join(parent, tempPattern))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || now.Sub(info.ModTime()) < orphanAge {
			continue
		}
		if lock, err := lockDir(dir); err == nil {
			_ = os.RemoveAll(dir)
			_ = lock.Close()
		}
	}
}

// writeFile replaces a file in one step, readable by its owner only.
func writeFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
	}
	return err
}
