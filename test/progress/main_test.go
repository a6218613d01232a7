//go:build integration

package progress

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/internal/devenv"
)

// cluster is the control plane that the tests share.
var cluster struct {
	*devenv.Cluster

	config   *rest.Config
	client   client.Client
	core     kubernetes.Interface
	operator string
	reporter string
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "progress:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx := context.Background()
	ctrl.SetLogger(logr.Discard())
	var err error
	if cluster.Cluster, err = devenv.Start(ctx, devenv.Options{CRDs: []string{"../../config/crd"}}); err != nil {
		return 1, err
	}
	defer func() { _ = cluster.Stop() }()
	if cluster.config, err = cluster.RESTConfig(); err != nil {
		return 1, err
	}
	cluster.config.QPS = -1
	if err := kubeflowv1.AddToScheme(scheme.Scheme); err != nil {
		return 1, err
	}
	if cluster.client, err = client.New(cluster.config, client.Options{Scheme: scheme.Scheme}); err != nil {
		return 1, err
	}
	if cluster.core, err = kubernetes.NewForConfig(cluster.config); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "jobkit-progress-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	cluster.operator, cluster.reporter = filepath.Join(dir, "operator"), filepath.Join(dir, "client")
	for out, source := range map[string]string{cluster.operator: "../../cmd/operator", cluster.reporter: "./client"} {
		if text, err := exec.CommandContext(ctx, "go", "build", "-ldflags=-w", "-o", out, source).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("cannot build %s: %w\n%s", source, err, text)
		}
	}
	return m.Run(), nil
}
