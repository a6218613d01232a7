// Package devenv gives integration tests an API server: one of their own, which starts and ends
// with them, or one that exists.
//
//	func TestOperator(t *testing.T) {
//		config := devenv.Start(t, devenv.Options{CRDs: []string{"../../config/crd"}})
//		...
//	}
//
// The environment chooses which, so that the same tests run everywhere:
//
//   - By default it is the dev control plane of jobkit, of the version that the module
//     requires: API server, scheduler, controllers and simulated nodes in one process, without
//     root or containers. It is built when it is first needed, which takes minutes, and then
//     cached. Pods live as their annotations say; see the README of devcluster.
//   - If KUBEBUILDER_ASSETS names a folder, as setup-envtest prints it, that folder's etcd and
//     kube-apiserver are run. There is no scheduler and no node: see [RunsPods].
//   - If USE_EXISTING_CLUSTER is true, it is the cluster that KUBECONFIG names, where pods run
//     for real. The CRDs are installed there and stay.
package devenv

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	own "github.com/jobkit/jobkit/internal/devenv"
)

// The environment variables. They are those of controller-runtime's package envtest.
const (
	existingEnv = "USE_EXISTING_CLUSTER"
	assetsEnv   = "KUBEBUILDER_ASSETS"
)

// longest is how long a start takes at most: a build of Kubernetes from nothing on a slow
// machine, and more.
const longest = 35 * time.Minute

// TB is what Start needs of a *testing.T.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(f func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Options say what the tests need. The zero value is ready for use.
type Options struct {
	// CRDs are YAML files, or folders of them, with CustomResourceDefinitions, which are
	// served when Start returns.
	CRDs []string
	// Nodes is how many simulated nodes the dev control plane has. Default: 20.
	Nodes int
	// FeatureGates of all components of the dev control plane. Default: those of Kubernetes.
	FeatureGates map[string]bool
}

// Start gives the test an API server, until it ends, and returns how to reach it as its
// administrator. The test fails at once if that cannot be had.
func Start(t TB, o Options) *rest.Config {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	start := startOwn
	switch existing, err := useExisting(); {
	case err != nil:
		t.Fatalf("%v", err)
		return nil
	case existing:
		start = startExisting
	case os.Getenv(assetsEnv) != "":
		start = startEnvtest
	}
	config, stop, err := start(ctx, o)
	if err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("%v", err)
		}
	})
	return config
}

// RunsPods reports whether the API server that Start gives has nodes, so that pods run and end.
// Tests that need that skip otherwise.
func RunsPods() bool {
	existing, err := useExisting()
	return err == nil && existing || os.Getenv(assetsEnv) == ""
}

// useExisting reports whether the user wants to test on a cluster of theirs.
func useExisting() (bool, error) {
	value := os.Getenv(existingEnv)
	if value == "" {
		return false, nil
	}
	existing, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s is %q: set it to true or false", existingEnv, value)
	}
	return existing, nil
}

// startOwn starts a dev control plane.
func startOwn(ctx context.Context, o Options) (*rest.Config, func() error, error) {
	cluster, err := own.Start(ctx, own.Options{CRDs: o.CRDs, Nodes: o.Nodes, FeatureGates: o.FeatureGates})
	if err != nil {
		return nil, nil, fmt.Errorf("cannot start a control plane: %w", err)
	}
	config, err := cluster.RESTConfig()
	if err != nil {
		_ = cluster.Stop()
		return nil, nil, fmt.Errorf("cannot start a control plane: %w", err)
	}
	return config, cluster.Stop, nil
}

// startEnvtest starts the programs of setup-envtest.
func startEnvtest(_ context.Context, o Options) (*rest.Config, func() error, error) {
	environment := &envtest.Environment{UseExistingCluster: new(false), CRDDirectoryPaths: o.CRDs, ErrorIfCRDPathMissing: true}
	config, err := environment.Start()
	if err != nil {
		return nil, nil, fmt.Errorf("cannot start the API server of %s, %s: %w", assetsEnv, os.Getenv(assetsEnv), err)
	}
	return config, environment.Stop, nil
}

// startExisting installs the CRDs on the cluster of KUBECONFIG. It takes no other cluster, such
// as the default one of kubectl: tests change the cluster, so the user must name it.
func startExisting(_ context.Context, o Options) (*rest.Config, func() error, error) {
	path := os.Getenv(clientcmd.RecommendedConfigPathEnvVar)
	if path == "" {
		return nil, nil, fmt.Errorf("%s is true and KUBECONFIG is not set: name the kubeconfig of the cluster there", existingEnv)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot use the cluster of KUBECONFIG: %w", err)
	}
	if len(o.CRDs) > 0 {
		if _, err := envtest.InstallCRDs(config, envtest.CRDInstallOptions{Paths: o.CRDs, ErrorIfPathMissing: true}); err != nil {
			return nil, nil, fmt.Errorf("cannot install the CRDs on the cluster of KUBECONFIG: %w", err)
		}
	}
	return config, func() error { return nil }, nil
}
