package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// published are the modules of a release, and where they are in the checkout.
var published = map[string]string{ //nolint:gochecknoglobals // a table
	"github.com/jobkit/jobkit":            ".",
	"github.com/jobkit/jobkit/devcluster": "devcluster",
}

// publish makes a module proxy of the checkout, and the environment that uses it.
func (s *stranger) publish(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "git", "ls-files", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("cannot list the files of the checkout: %w", err)
	}
	files := strings.Split(strings.TrimSpace(string(out)), "\n")
	proxy := filepath.Join(s.dir, "proxy")
	for module, folder := range published {
		if err := s.publishModule(filepath.Join(proxy, filepath.FromSlash(module), "@v"), module, within(files, folder)); err != nil {
			return fmt.Errorf("cannot publish %s: %w", module, err)
		}
	}
	values, err := exec.CommandContext(ctx, "go", "env", "GOPROXY", "GOCACHE").Output()
	if err != nil {
		return fmt.Errorf("cannot read Go's environment: %w", err)
	}
	env := strings.Fields(string(values))
	s.env = append(os.Environ(),
		"GOPROXY=file://"+proxy+","+env[0],
		"GONOSUMDB=github.com/jobkit/jobkit",
		"GOWORK=off", "GOFLAGS=",
		// The cache of jobkit is empty, and a control plane of others on this machine is not touched.
		"GOCACHE="+env[1], "XDG_CACHE_HOME="+filepath.Join(s.dir, "cache"),
	)
	return nil
}

// file is one of a module.
type file struct {
	// Path is its place in the checkout, Name that in the module.
	path, name string
}

// within returns the files of the module in a folder: those of modules below it are not.
func within(files []string, folder string) []file {
	var nested []string
	for _, f := range files {
		if dir := path.Dir(f); path.Base(f) == "go.mod" && dir != folder {
			nested = append(nested, dir+"/")
		}
	}
	var out []file
	for _, f := range files {
		name := f
		if folder != "." {
			var ok bool
			if name, ok = strings.CutPrefix(f, folder+"/"); !ok {
				continue
			}
		}
		other := func(dir string) bool { return strings.HasPrefix(f, dir) && !strings.HasPrefix(folder+"/", dir) }
		if !slices.ContainsFunc(nested, other) {
			out = append(out, file{f, name})
		}
	}
	return out
}

// publishModule writes a module as a module proxy has it.
func (s *stranger) publishModule(dir, module string, files []file) error {
	archive, mod, err := s.archive(module, files)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make a folder: %w", err)
	}
	for name, text := range map[string][]byte{
		"list":              []byte(s.version + "\n"),
		s.version + ".zip":  archive,
		s.version + ".mod":  mod,
		s.version + ".info": []byte(`{"Version":"` + s.version + `","Time":"2026-01-01T00:00:00Z"}`),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return fmt.Errorf("cannot write to the proxy: %w", err)
		}
	}
	return nil
}

// archive returns the files of a module as a module proxy has them, and its go.mod.
func (s *stranger) archive(module string, files []file) (archive, mod []byte, err error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range files {
		text, err := os.ReadFile(f.path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed, and not yet committed
		}
		if err != nil {
			return nil, nil, fmt.Errorf("cannot read a file: %w", err)
		}
		if f.name == "go.mod" {
			mod = text
		}
		to, err := w.Create(module + "@" + s.version + "/" + f.name)
		if err == nil {
			_, err = to.Write(text)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("cannot write the archive: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, nil, fmt.Errorf("cannot write the archive: %w", err)
	}
	return out.Bytes(), mod, nil
}
