package devenv

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// sourceFolder is where the devcluster module is within a checkout.
	sourceFolder = "devcluster"
	// sourceModule is its module path.
	sourceModule = "github.com/jobkit/jobkit/devcluster"
)

var (
	moduleLine     = regexp.MustCompile(`(?m)^module\s+(\S+)`)
	kubernetesLine = regexp.MustCompile(`(?m)^\s*(?:require\s+)?k8s\.io/kubernetes\s+(v[0-9][^\s/]*)`)
)

// findSource returns the devcluster module of the checkout that holds dir.
func findSource(dir string) (string, error) {
	for d := dir; ; d = filepath.Dir(d) {
		candidate := filepath.Join(d, sourceFolder)
		mod, err := os.ReadFile(filepath.Join(candidate, "go.mod"))
		if m := moduleLine.FindSubmatch(mod); err == nil && m != nil && string(m[1]) == sourceModule {
			return candidate, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("cannot find the source of the dev cluster: neither %s nor a folder above it holds %s/go.mod; "+
				"run this inside a checkout of jobkit or a module that requires it, or name a ready binary in the environment variable %s",
				dir, sourceFolder, binaryEnv)
		}
	}
}

// KubernetesVersion reads the version from a module's go.mod, for example "v1.37.1".
func KubernetesVersion(source string) (string, error) {
	mod, err := os.ReadFile(filepath.Join(source, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("cannot read the Kubernetes version: %w", err)
	}
	m := kubernetesLine.FindSubmatch(mod)
	if m == nil {
		return "", fmt.Errorf("cannot read the Kubernetes version: %s/go.mod does not require k8s.io/kubernetes", source)
	}
	return string(m[1]), nil
}

// hashSource identifies a build: what is compiled and by which toolchain.
func hashSource(source, toolchain string) (string, error) {
	files, err := sourceFiles(source)
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", errors.New("cannot hash the source of the dev cluster: " + source + " holds no Go files")
	}
	all := sha256.New()
	fmt.Fprintln(all, toolchain)
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(source, filepath.FromSlash(name)))
		if err != nil {
			return "", fmt.Errorf("cannot hash the source of the dev cluster: %w", err)
		}
		fmt.Fprintf(all, "%x %s\n", sha256.Sum256(data), name)
	}
	return hex.EncodeToString(all.Sum(nil)[:6]), nil
}

// sourceFiles returns the files that are compiled, relative to source, in order.
func sourceFiles(source string) ([]string, error) {
	var files []string
	err := fs.WalkDir(os.DirFS(source), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "testdata" || name != "." && strings.HasPrefix(e.Name(), ".")):
			return fs.SkipDir
		case !e.IsDir() && compiled(e.Name()):
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("cannot list the source of the dev cluster: %w", err)
	}
	return files, nil
}

// compiled reports whether a file is part of the binary.
func compiled(name string) bool {
	switch {
	case strings.HasSuffix(name, "_test.go"):
		return false
	case name == "go.mod", name == "go.sum":
		return true
	}
	return strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".yaml")
}
