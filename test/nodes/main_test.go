//go:build linux && nodes

package nodes

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/jobkit/jobkit/test/nodes/sandbox"
)

const (
	root = "../.."
	// binariesEnv hands the binaries, which are built outside of the sandbox, where there is
	// a network, to the tests inside.
	binariesEnv, logsEnv = "JOBKIT_NODES_BINARIES", "JOBKIT_NODES_LOGS"
	// installEnv allows to install packages; with trainingEnv there is training.
	installEnv, trainingEnv = "JOBKIT_NODES_INSTALL", "JOBKIT_NODES_TRAINING"
)

// world is what all tests share.
var world struct {
	*World

	client client.WithWatch
	core   kubernetes.Interface
}

func TestMain(m *testing.M) {
	sandbox.Main()
	run := outside
	if sandbox.Inside() {
		run = inside
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "nodes:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// unfit says why this machine cannot run jobs on real nodes. TestMachine is then the only test.
var unfit error

func TestMachine(t *testing.T) {
	if unfit != nil {
		t.Skip("this machine cannot run the tests on real nodes: ", unfit)
	}
}

// outside builds the binaries, runs the tests in a sandbox, and checks that nothing of it
// is left.
func outside(m *testing.M) (code int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	training := os.Getenv(trainingEnv) != ""
	if err := requirements(ctx, training); err != nil {
		if sandbox.Required() {
			return 1, err
		}
		unfit = err
		flag.Parse()
		if err := flag.Set("test.run", "^TestMachine$"); err != nil {
			return 1, err
		}
		return m.Run(), nil
	}
	checkout, err := filepath.Abs(root)
	if err != nil {
		return 1, err
	}
	bins, err := Build(ctx, checkout, training, os.Stderr)
	if err != nil {
		return 1, err
	}
	encoded, err := json.Marshal(bins)
	if err != nil {
		return 1, err
	}
	logs, err := os.MkdirTemp("", "jobkit-nodes-logs-")
	if err != nil {
		return 1, err
	}
	sandbox.RemoveStale()
	before := sandbox.Take()
	code, err = sandbox.Run(ctx, binariesEnv+"="+string(encoded), logsEnv+"="+logs)
	if changes := sandbox.Take().Changes(before); len(changes) > 0 {
		err = errors.Join(err, fmt.Errorf("left behind on this machine:\n%s", strings.Join(changes, "\n")))
	}
	if code != 0 || err != nil {
		fmt.Fprintln(os.Stderr, "nodes: the logs of all programs are in", logs)
		return code, err
	}
	return code, os.RemoveAll(logs)
}

// requirements checks the machine, and installs what is missing if that is asked for.
func requirements(ctx context.Context, training bool) error {
	err := Check(ctx, training)
	var missing *MissingPackagesError
	if !errors.As(err, &missing) || os.Getenv(installEnv) == "" {
		return err
	}
	install := [][]string{{"update"}}
	if len(missing.Packages) > 0 {
		install = append(install, append([]string{"install", "--yes", "--no-install-recommends"}, missing.Packages...))
	}
	for _, args := range install {
		fmt.Fprintln(os.Stderr, "nodes: apt-get", strings.Join(args, " "))
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-o", "DPkg::Lock::Timeout=300"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("apt-get fails: %w", err)
		}
	}
	return Check(ctx, training)
}

// inside runs the tests.
func inside(m *testing.M) (int, error) {
	log.SetLogger(logr.Discard()) // without one, a client says so half a minute later
	var bins Binaries
	if err := json.Unmarshal([]byte(os.Getenv(binariesEnv)), &bins); err != nil {
		return 1, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var err error
	if world.World, err = Start(ctx, &bins, root, os.Getenv(logsEnv), os.Stderr); err != nil {
		return 1, err
	}
	config, err := world.RESTConfig()
	if err != nil {
		return 1, err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return 1, err
	}
	if world.client, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		return 1, err
	}
	if world.core, err = kubernetes.NewForConfig(config); err != nil {
		return 1, err
	}
	// The tests mostly wait.
	if err := flag.Set("test.parallel", "8"); err != nil {
		return 1, err
	}
	return m.Run(), nil
}
