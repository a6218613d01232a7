//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	cgroupRoot = "/sys/fs/cgroup"
	procsFile  = "cgroup.procs"
	// v2Controllers exists in version 2 only.
	v2Controllers, v2Delegated = "cgroup.controllers", "cgroup.subtree_control"

	// groupTimeout bounds the wait until the kernel has removed the processes of a group.
	groupTimeout = 10 * time.Second
	groupPoll    = 20 * time.Millisecond
)

// hierarchies are the roots of the control groups: one in version 2, one a controller in
// version 1.
func hierarchies() []string {
	if isGroup(cgroupRoot) {
		return []string{cgroupRoot}
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return nil
	}
	var roots []string
	for _, e := range entries {
		// A link, such as cpu to cpu,cpuacct, is another name of the same.
		if dir := filepath.Join(cgroupRoot, e.Name()); e.IsDir() && isGroup(dir) {
			roots = append(roots, dir)
		}
	}
	return roots
}

func isGroup(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, procsFile))
	return err == nil
}

// Group makes a control group in the sandbox's own, in all hierarchies, and returns its
// path in them.
func Group(name string) (string, error) {
	for _, root := range hierarchies() {
		dir := root
		for _, part := range []string{Name(), name} {
			if err := delegate(dir); err != nil {
				return "", err
			}
			parent := dir
			dir = filepath.Join(dir, part)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return "", fmt.Errorf("cannot create the control group %s: %w", dir, err)
			}
			if err := errors.Join(inheritSets(parent, dir), weigh(dir)); err != nil {
				return "", err
			}
		}
	}
	return "/" + Name() + "/" + name, nil
}

// delegate lets the groups below have all controllers. Only version 2 asks for it.
func delegate(dir string) error {
	available, err := os.ReadFile(filepath.Join(dir, v2Controllers))
	if err != nil {
		return nil // version 1
	}
	for controller := range strings.FieldsSeq(string(available)) {
		if err := os.WriteFile(filepath.Join(dir, v2Delegated), []byte("+"+controller), 0); err != nil {
			return fmt.Errorf("cannot pass the controller %s on from %s: %w", controller, dir, err)
		}
	}
	return nil
}

// delegatedControllers are those that groups have at the top, in version 2.
func delegatedControllers() []string {
	text, _ := os.ReadFile(filepath.Join(cgroupRoot, v2Delegated)) // none in version 1
	return strings.Fields(string(text))
}

// withdraw undoes the delegation at the top.
func withdraw(before []string) error {
	for _, controller := range delegatedControllers() {
		if slices.Contains(before, controller) {
			continue
		}
		if err := os.WriteFile(filepath.Join(cgroupRoot, v2Delegated), []byte("-"+controller), 0); err != nil {
			return fmt.Errorf("cannot take back the controller %s: %w", controller, err)
		}
	}
	return nil
}

// inheritSets gives a group the processors and memory of its parent. In version 1 a new
// group has none, and so could hold no process.
func inheritSets(parent, dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, name))
		if err != nil || isGroup(cgroupRoot) {
			continue // another controller
		}
		if err := os.WriteFile(filepath.Join(dir, name), value, 0); err != nil {
			return fmt.Errorf("cannot set %s of %s: %w", name, dir, err)
		}
	}
	return nil
}

// weigh lets a group have as much of the processors as eight processes. On a busy machine it
// would get as much as one, however many are in it.
func weigh(dir string) error {
	for name, value := range map[string]string{"cpu.shares": "8192", "cpu.weight": "800"} { // versions 1 and 2
		file := filepath.Join(dir, name)
		if _, err := os.Stat(file); err != nil {
			continue // another version or controller
		}
		if err := os.WriteFile(file, []byte(value), 0); err != nil {
			return fmt.Errorf("cannot set %s: %w", file, err)
		}
	}
	return nil
}

// removeGroups removes the control groups of a sandbox, from the leaves up. Its processes
// are dead, but the kernel may not have removed them yet.
func removeGroups(name string) error {
	var errs []error
	for _, root := range hierarchies() {
		deadline := time.Now().Add(groupTimeout)
		for {
			err := removeGroup(filepath.Join(root, name))
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				errs = append(errs, err)
				break
			}
			time.Sleep(groupPoll)
		}
	}
	return errors.Join(errs...)
}

func removeGroup(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			dirs = append(dirs, path)
		}
		return nil // what vanished meanwhile need not be removed
	})
	if err != nil {
		return fmt.Errorf("cannot list the control group %s: %w", dir, err)
	}
	for _, d := range slices.Backward(dirs) {
		if err := syscall.Rmdir(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove the control group %s: %w", d, err)
		}
	}
	return nil
}

// RemoveStale removes the control groups of sandboxes that were killed before they could
// do it themselves.
func RemoveStale() {
	for _, root := range hierarchies() {
		dirs, _ := filepath.Glob(filepath.Join(root, namePrefix+"*"))
		for _, dir := range dirs {
			pid, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), namePrefix))
			if err == nil && syscall.Kill(pid, 0) != nil {
				_ = removeGroup(dir) // if it cannot be, a process in it lives
			}
		}
	}
}
