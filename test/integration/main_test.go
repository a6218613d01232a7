//go:build integration

// Package integration runs the TestJob operator, as the program that its users
// run, on a real control plane.
package integration

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/internal/devenv"
)

// cluster is what all tests share. Each test has a namespace of its own.
var cluster struct {
	client   client.WithWatch
	config   *rest.Config
	operator *operator
}

func TestMain(m *testing.M) {
	// By default as many tests of a package run at the same time as the machine has
	// processors. Ours mostly wait, so more can.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "jobkit-integration-")
	if err != nil {
		return 1, err
	}
	defer func() {
		if code == 0 {
			_ = os.RemoveAll(dir)
		} else {
			fmt.Fprintln(os.Stderr, "integration: the logs are in", dir)
		}
	}()
	env, err := devenv.Start(ctx, devenv.Options{CRDs: []string{"../../config/crd"}})
	if err != nil {
		return 1, err
	}
	defer func() { _ = env.Stop() }()
	config, err := env.RESTConfig()
	if err != nil {
		return 1, err
	}
	cluster.config = config
	if err := testv1.AddToScheme(scheme.Scheme); err != nil {
		return 1, err
	}
	if err := kubeflowv1.AddToScheme(scheme.Scheme); err != nil {
		return 1, err
	}
	if cluster.client, err = client.NewWithWatch(config, client.Options{}); err != nil {
		return 1, err
	}
	cluster.operator = &operator{binary: filepath.Join(dir, "operator"), log: filepath.Join(dir, "operator.log"), kubeconfig: filepath.Join(dir, "kubeconfig")}
	if err := giveRights(ctx, env.Kubeconfig(), cluster.operator.kubeconfig); err != nil {
		return 1, err
	}
	build := exec.CommandContext(ctx, "go", "build", "-race", "-ldflags=-w", "-o", cluster.operator.binary, "../../examples/testjob/operator")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("cannot build the operator: %w\n%s", err, out)
	}
	if err := cluster.operator.start(); err != nil {
		return 1, err
	}
	code = m.Run()
	cluster.operator.kill()
	log, _ := os.ReadFile(cluster.operator.log)
	if containsRace(log) {
		return 1, fmt.Errorf("the race detector spoke in the operator's log:\n%s", log)
	}
	// A quota forbids things, too; this is what a role that lacks something does.
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(operatorUser)) && bytes.Contains(line, []byte(" cannot ")) {
			return 1, fmt.Errorf("config/rbac/testjob lacks a permission: %s", line)
		}
	}
	return code, nil
}

// operatorUser is who the operator is.
const operatorUser = "system:serviceaccount:testjob:operator"

// giveRights gives the operator those of config/rbac/testjob, and no others: it writes a kubeconfig
// with which it is the user that has them.
func giveRights(ctx context.Context, admin, path string) error {
	text, err := os.ReadFile("../../config/rbac/testjob/role.yaml")
	if err != nil {
		return err
	}
	role := &rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict(text, role); err != nil {
		return err
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: operatorUser}},
	}
	if err := errors.Join(cluster.client.Create(ctx, role), cluster.client.Create(ctx, binding)); err != nil {
		return err
	}
	config, err := clientcmd.LoadFromFile(admin)
	if err != nil {
		return err
	}
	for _, user := range config.AuthInfos {
		user.Impersonate, user.ImpersonateGroups = operatorUser, []string{"system:authenticated"}
	}
	return clientcmd.WriteToFile(*config, path)
}

// operator is the TestJob operator in a process of its own.
type operator struct {
	binary, log, kubeconfig string

	mu      sync.Mutex
	process *exec.Cmd
}

// start starts the operator. Its log goes to a file.
func (o *operator) start() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	log, err := os.OpenFile(o.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	o.process = exec.Command(o.binary, "--metrics-bind-address=0", "--health-probe-bind-address=0")
	o.process.Env = append(os.Environ(), "KUBECONFIG="+o.kubeconfig)
	o.process.Stdout, o.process.Stderr = io.Discard, log
	o.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return o.process.Start()
}

// kill ends the operator as a crash does.
func (o *operator) kill() {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.process.Process.Kill()
	_ = o.process.Wait()
}

// namespace makes a namespace for a test, and has it deleted at the end.
func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := cluster.client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.client.Delete(context.Background(), ns) })
	return ns.Name
}
