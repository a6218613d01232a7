package devenv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// libraryModule is the module that this package is in.
const libraryModule = "github.com/jobkit/jobkit"

// module is what the go command says of a module.
type module struct {
	Path, Version, Dir string
	Replace            *module
	Error              string
}

// locate returns the devcluster module that belongs to this program: that of the checkout which
// holds dir, or that of the version own, which the program was built from (may be ""), or that of
// the version which the module around dir requires. It is downloaded if need be; the go command
// runs in folder then, because in a module it would change go.sum.
func locate(ctx context.Context, dir, folder string, own string, run goCommand) (string, error) {
	source, notThere := findSource(dir)
	if notThere == nil {
		return source, nil
	}
	used := module{Version: own}
	if own == "" {
		out, err := run(ctx, dir, "list", "-m", "-json", libraryModule)
		if err != nil {
			return "", notThere // no module that requires jobkit
		}
		used, err = effective(out)
		if err != nil {
			return "", err
		}
	}
	if used.Version == "" {
		if source, err := findSource(used.Dir); err == nil {
			return source, nil
		}
		return "", notThere
	}
	out, err := run(ctx, folder, "mod", "download", "-json", sourceModule+"@"+used.Version)
	got := module{}
	if parsed := json.Unmarshal(out, &got); parsed == nil && got.Error != "" { //nolint:musttag // the names are those of the go command
		err = errors.New(got.Error)
	}
	if err != nil {
		return "", fmt.Errorf("cannot fetch the source of the dev cluster, module %s at %s (the Go module proxy must be reachable the first time): %w",
			sourceModule, used.Version, err)
	}
	return got.Dir, nil
}

// effective is the module that takes the place of a listed one; it has no version if that is
// a folder.
func effective(listed []byte) (module, error) {
	var m module
	if err := json.Unmarshal(listed, &m); err != nil { //nolint:musttag // as above
		return m, fmt.Errorf("cannot find the version of %s: %w", libraryModule, err)
	}
	if m.Replace != nil {
		m.Replace.Dir = m.Dir
		m = *m.Replace
	}
	return m, nil
}

// goCommand runs the go command in a folder and returns its standard output.
type goCommand func(ctx context.Context, dir string, args ...string) ([]byte, error)

// withGo runs the go command of a path.
func withGo(path string) goCommand {
	return func(ctx context.Context, dir string, args ...string) ([]byte, error) {
		c := exec.CommandContext(ctx, path, args...)
		c.Dir = filepath.Clean(dir)
		out, err := c.Output()
		if err != nil {
			return out, explained(ctx, err)
		}
		return out, nil
	}
}
