package devenv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jobkit/jobkit/internal/version"
)

const (
	// binaryEnv names a ready binary, which is used unchecked.
	binaryEnv = "JOBKIT_DEVCLUSTER"
	// binaryPrefix begins the names of all binaries in the cache.
	binaryPrefix = "devcluster-"
	// keepOthers is how many binaries of other versions stay in the cache, 150 MB
	// each, so that going back and forth between branches does not build.
	keepOthers = 2
	// interruptGrace is how long go may take to stop before it is killed.
	interruptGrace = 10 * time.Second
	// shownLines of a failed command are shown.
	shownLines = 30
)

// BuildOptions of Build. The zero value is a good one.
type BuildOptions struct {
	// SourceDir is the devcluster module. Default: the folder devcluster of the
	// checkout that holds the working directory; outside of a checkout the module of
	// the version that this program was built from, or that the module around the
	// working directory requires, from the module cache.
	SourceDir string
	// CacheDir holds the binaries. Default: jobkit in the user's cache folder.
	CacheDir string
	// Progress is where progress is shown. Default: os.Stderr.
	Progress io.Writer
}

// Build returns the path of a devcluster binary for the source as it is now. It
// builds one if the cache has none, which takes minutes the first time and half
// a minute after an edit; two processes that ask at once build it once.
func Build(ctx context.Context, o BuildOptions) (string, error) {
	if path := os.Getenv(binaryEnv); path != "" {
		return path, checkBinary(path)
	}
	b, err := newBuilder(ctx, o)
	if err != nil {
		return "", err
	}
	if b.cached() {
		return b.binary, nil
	}
	unlock, err := lock(ctx, filepath.Join(b.cache, "build.lock"), func() {
		b.progress.linef("another process is building; waiting for it")
	})
	if err != nil {
		return "", fmt.Errorf("cannot wait for another build: %w", err)
	}
	defer unlock()
	if b.cached() {
		return b.binary, nil
	}
	if err := b.build(ctx); err != nil {
		return "", err
	}
	return b.binary, b.prune()
}

// checkBinary says what is wrong with a binary that the user named.
func checkBinary(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("cannot use the binary of %s: %w", binaryEnv, err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return fmt.Errorf("cannot use the binary of %s: %s is not an executable file", binaryEnv, path)
	}
	return nil
}

// builder builds one version of the binary.
type builder struct {
	source, cache string
	version       string // of Kubernetes
	binary        string // path in the cache
	goCommand     string
	progress      *progress
}

func newBuilder(ctx context.Context, o BuildOptions) (*builder, error) {
	b := &builder{source: o.SourceDir, cache: o.CacheDir, progress: newProgress(orStderr(o.Progress))}
	var err error
	if b.cache == "" {
		if b.cache, err = cacheDir(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(b.cache, 0o755); err != nil {
		return nil, fmt.Errorf("cannot create the cache folder: %w", err)
	}
	if b.goCommand, err = exec.LookPath("go"); err != nil {
		return nil, fmt.Errorf("building the dev cluster needs the go command: install Go and put it into PATH, "+
			"or name a ready binary in the environment variable %s: %w", binaryEnv, err)
	}
	if b.source == "" {
		wd, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("cannot find the source of the dev cluster: %w", err)
		}
		if b.source, err = locate(ctx, wd, b.cache, version.Published(), withGo(b.goCommand)); err != nil {
			return nil, err
		}
	}
	toolchain, err := b.command(ctx, "env", "GOVERSION", "GOOS", "GOARCH").Output()
	if err != nil {
		return nil, fmt.Errorf("cannot get the Go version: %w", explained(ctx, err))
	}
	if b.version, err = KubernetesVersion(b.source); err != nil {
		return nil, err
	}
	hash, err := hashSource(b.source, string(toolchain))
	if err != nil {
		return nil, err
	}
	b.binary = filepath.Join(b.cache, binaryPrefix+b.version+"-"+hash)
	return b, nil
}

// cacheDir is where binaries and state are kept by default.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cannot find the user's cache folder: %w", err)
	}
	return filepath.Join(dir, "jobkit"), nil
}

// cached reports whether the binary exists, and marks it as used for prune.
func (b *builder) cached() bool {
	now := time.Now()
	return os.Chtimes(b.binary, now, now) == nil
}

// command runs the go command in the module.
func (b *builder) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, b.goCommand, args...)
	// Interrupted, go stops its compilers and cleans up; killed, it does not.
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = interruptGrace
	c.Dir = b.source
	c.Env = append(os.Environ(),
		// A workspace would add other modules to this one, whose replacements do not
		// allow that.
		"GOWORK=off",
		// No C compiler needed, and the same build cache entries everywhere.
		"CGO_ENABLED=0",
	)
	return c
}

// build downloads, compiles and links, and puts the result in place at once.
func (b *builder) build(ctx context.Context) error {
	b.progress.linef("building the dev cluster, Kubernetes %s: the first time downloads 100 MB and takes 8 to 17 minutes, later less than one", b.version)
	b.progress.begin("fetching modules", 0)
	packages, err := b.stale(ctx)
	if err != nil {
		return err
	}
	b.progress.begin("compiling", packages)
	tmp := b.binary + fmt.Sprintf(".%d.tmp", os.Getpid())
	defer os.Remove(tmp)
	err = b.run(ctx, b.command(ctx, "build", "-v", "-buildvcs=false", "-ldflags", LinkFlags(b.version), "-o", tmp, "."))
	if err != nil {
		return fmt.Errorf("cannot build the dev cluster in %s: %w", b.source, err)
	}
	if err := os.Rename(tmp, b.binary); err != nil {
		return fmt.Errorf("cannot move the dev cluster binary into place: %w", err)
	}
	b.progress.end()
	return nil
}

// LinkFlags stamp the Kubernetes version, without which much of Kubernetes does
// not start, and strip what only debuggers need.
func LinkFlags(version string) string {
	const pkg = "k8s.io/component-base/version"
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	return fmt.Sprintf("-s -w -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s", pkg, version, major, minor)
}

// stale downloads the modules that are missing and returns how many packages
// have to be compiled, which is what "go build -v" will list.
func (b *builder) stale(ctx context.Context) (int, error) {
	c := b.command(ctx, "list", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", ".")
	var out bytes.Buffer
	c.Stdout = &out
	if err := b.run(ctx, c); err != nil {
		return 0, fmt.Errorf("cannot fetch the modules of the dev cluster (the Go module proxy must be reachable the first time): %w", err)
	}
	return len(bytes.Fields(out.Bytes())), nil
}

// run runs a go command, counts what it reports on standard error as progress,
// and shows the rest if it fails.
func (b *builder) run(ctx context.Context, c *exec.Cmd) error {
	stderr, err := c.StderrPipe()
	if err != nil {
		return fmt.Errorf("cannot read what go reports: %w", err)
	}
	if err := c.Start(); err != nil {
		return fmt.Errorf("cannot run go: %w", err)
	}
	stop := b.progress.watch()
	var tail []string
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		line := lines.Text()
		if counts(line) {
			b.progress.add()
			continue
		}
		tail = append(tail, line)
		tail = tail[max(0, len(tail)-shownLines):]
	}
	err = errors.Join(lines.Err(), c.Wait())
	stop()
	err = explained(ctx, err)
	if err != nil && ctx.Err() == nil && len(tail) > 0 {
		return fmt.Errorf("%w\n%s", err, indent(tail))
	}
	return err
}

// counts recognizes the lines that stand for one finished step: the import path of a
// package from "go build -v", or a module that is downloaded.
func counts(line string) bool {
	return strings.HasPrefix(line, "go: downloading ") ||
		line != "" && !strings.ContainsAny(line, " \t:#")
}

// prune removes old binaries; see keepOthers.
func (b *builder) prune() error {
	paths, err := filepath.Glob(filepath.Join(b.cache, binaryPrefix+"*"))
	if err != nil {
		return fmt.Errorf("cannot list old dev cluster binaries: %w", err)
	}
	type binary struct {
		path string
		used time.Time
	}
	var others []binary
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil || p == b.binary {
			continue
		}
		others = append(others, binary{p, info.ModTime()})
	}
	slices.SortFunc(others, func(x, y binary) int { return y.used.Compare(x.used) })
	for _, old := range others[min(keepOthers, len(others)):] {
		if err := os.Remove(old.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove an old dev cluster binary: %w", err)
		}
	}
	return nil
}

// explained is why a command failed: the end of its context, which stopped it, or else what it
// wrote to its standard error.
func explained(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && err != nil {
		return cause
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}

func indent(lines []string) string { return "  | " + strings.Join(lines, "\n  | ") }
