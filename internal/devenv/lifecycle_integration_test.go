//go:build integration

package devenv_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/jobkit/jobkit/internal/devenv"
)

// TestKilledParent kills a process that runs a cluster with SIGKILL: cluster and temporary
// data must still be removed.
func TestKilledParent(t *testing.T) {
	t.Parallel()
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), "DEVENV_TEST_HELPER=parent")
	parent.Stderr = os.Stderr
	if _, err := parent.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var dir string
	var pid int
	if _, err := fmt.Fscanln(bufio.NewReader(out), &dir, &pid); err != nil {
		t.Fatalf("cannot read what the parent says: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	eventually(t, 20*time.Second, "the data folder is gone", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, os.ErrNotExist)
	})
	eventually(t, 20*time.Second, "the process is gone", func() bool {
		return errors.Is(find(pid), os.ErrProcessDone)
	})
}

// TestKeptData restarts on a kept folder, after an orderly end and after a kill.
func TestKeptData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, client := startFor(t, devenv.Options{Dir: dir})
	pods := client.CoreV1().Pods("default")
	running, err := pods.Create(t.Context(), newPod("survivor", corev1.RestartPolicyNever, nil, nil), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := await(t.Context(), client, running, inPhase(corev1.PodRunning)); err != nil {
		t.Fatal(err)
	}
	if _, err := devenv.Start(t.Context(), devenv.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d", c.PID())) {
		t.Errorf("a second cluster on the same folder: %v", err)
	}
	for _, end := range []string{"stop", "kill"} {
		if end == "kill" {
			p, _ := os.FindProcess(c.PID())
			_ = p.Kill()
		}
		if err := c.Stop(); (err != nil) != (end == "kill") {
			t.Fatalf("Stop after %s: %v", end, err)
		}
		c, client = startFor(t, devenv.Options{Dir: dir})
		if got, err := client.CoreV1().Pods("default").Get(t.Context(), "survivor", metav1.GetOptions{}); err != nil || got.UID != running.UID {
			t.Fatalf("after %s: %v", end, err)
		}
		fresh, err := client.CoreV1().Pods("default").Create(t.Context(), newPod("after-"+end, corev1.RestartPolicyNever, nil, nil), metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, err := await(t.Context(), client, fresh, inPhase(corev1.PodRunning)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("after %s a new pod ran only after %s", end, took)
		}
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
}

// TestStartFails checks the errors that a user sees.
func TestStartFails(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	for _, tt := range []struct {
		reason  string
		options devenv.Options
		want    []string
	}{
		{"a gate that Kubernetes does not know", devenv.Options{FeatureGates: map[string]bool{"NoSuchGate": true}}, []string{"NoSuchGate"}},
		{"a flag that devcluster does not know", devenv.Options{Args: []string{"--no-such-flag"}}, []string{"--no-such-flag"}},
		{"a component that dies is named", devenv.Options{Args: []string{"--scheduler-arg=--no-such-flag"}}, []string{"kube-scheduler died", "--no-such-flag"}},
		{"a port that is taken", devenv.Options{Args: []string{"--port=" + strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)}}, []string{"address already in use"}},
		{"a quantity that is none", devenv.Options{NodeCPU: "many"}, []string{"cpu=many"}},
		{"a CRD file that is missing", devenv.Options{CRDs: []string{"/no/such/crd"}}, []string{"/no/such/crd"}},
		{"a stages file that is missing", devenv.Options{Stages: []string{"/no/such/file"}}, []string{"/no/such/file"}},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			t.Parallel()
			c, err := devenv.Start(t.Context(), tt.options)
			if err == nil {
				_ = c.Stop()
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

// TestCancelledStart cancels the start at various moments, which must leave nothing behind.
func TestCancelledStart(t *testing.T) {
	if _, err := devenv.Build(t.Context(), devenv.BuildOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	for _, ms := range []int{50, 500, 1000, 1500, 2000} {
		after := time.Duration(ms) * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), after)
		begun := time.Now()
		_, err := devenv.Start(ctx, devenv.Options{})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %s: error %v", after, err)
		}
		cancel()
		took := time.Since(begun)
		t.Logf("given up after %s, gone after %s: %v", after, took, err)
		if took > 15*time.Second {
			t.Errorf("it took %s to give up", took)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestGangScheduling starts with the gate of Kubernetes's own gang scheduling.
func TestGangScheduling(t *testing.T) {
	t.Parallel()
	_, client := start(t, devenv.Options{
		FeatureGates:  map[string]bool{"GenericWorkload": true},
		RuntimeConfig: map[string]bool{"scheduling.k8s.io/v1beta1": true},
		Nodes:         2,
		NodeResources: map[string]string{"nvidia.com/gpu": "8"},
	})
	resources, err := client.Discovery().ServerResourcesForGroupVersion("scheduling.k8s.io/v1beta1")
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, r := range resources.APIResources {
		kinds = append(kinds, r.Kind)
	}
	if all := strings.Join(kinds, " "); !strings.Contains(all, "Workload") || !strings.Contains(all, "PodGroup") {
		t.Errorf("kinds: %s", all)
	}
	nodes, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(nodes.Items) != 2 {
		t.Fatalf("%d nodes, error %v", len(nodes.Items), err)
	}
	if gpus := nodes.Items[0].Status.Allocatable["nvidia.com/gpu"]; gpus.Value() != 8 {
		t.Errorf("gpus: %s", gpus.String())
	}
}

const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: tests.example.org
spec:
  group: example.org
  scope: Namespaced
  names: {plural: tests, singular: test, kind: Test}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object}}
`

// TestCustomResources creates an object of a custom kind at once, and lets the
// garbage collector delete what it owns. It does so twice on one data folder.
func TestCustomResources(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "crd.yaml")
	if err := os.WriteFile(file, []byte(crd), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for range 2 {
		c, client := start(t, devenv.Options{Dir: dir, CRDs: []string{file}})
		config, err := c.RESTConfig()
		if err != nil {
			t.Fatal(err)
		}
		dyn, err := dynamic.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		tests := dyn.Resource(schema.GroupVersionResource{Group: "example.org", Version: "v1", Resource: "tests"}).Namespace("default")
		owner, err := tests.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "example.org/v1", "kind": "Test", "metadata": map[string]any{"name": "owner"},
		}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		pod := newPod("owned", corev1.RestartPolicyNever, nil, nil)
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "example.org/v1", Kind: "Test", Name: "owner", UID: owner.GetUID()}}
		if _, err := client.CoreV1().Pods("default").Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := tests.Delete(t.Context(), "owner", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		eventually(t, 10*time.Second, "the owned pod is collected", func() bool {
			_, err := client.CoreV1().Pods("default").Get(t.Context(), "owned", metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
		t.Logf("collected after %s", time.Since(begun))
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDetached goes through the life of a cluster that outlives its starter.
func TestDetached(t *testing.T) {
	binary, err := devenv.Build(t.Context(), devenv.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOBKIT_DEVCLUSTER", binary)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	if c, err := devenv.Find(); c != nil || err != nil {
		t.Fatalf("before: %v, %v", c, err)
	}
	if err := devenv.Down(t.Context()); err != nil {
		t.Fatalf("nothing to stop: %v", err)
	}
	up, err := devenv.Up(t.Context(), devenv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Stop() })
	found, err := devenv.Find()
	if err != nil || found == nil || found.PID() != up.PID() || found.Kubeconfig() != up.Kubeconfig() {
		t.Fatalf("found %+v, %v", found, err)
	}
	if _, err := clientOf(t, found).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := devenv.Up(t.Context(), devenv.Options{}); !errors.Is(err, devenv.ErrRunning) {
		t.Errorf("second Up: %v", err)
	}
	if err := devenv.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err := devenv.Find(); c != nil || err != nil {
		t.Errorf("after: %v, %v", c, err)
	}
	if _, err := os.Stat(up.Kubeconfig()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is left: %v", err)
	}
}

// TestStopWithWatchers stops while clients watch, which must not delay it.
func TestStopWithWatchers(t *testing.T) {
	t.Parallel()
	c, client := start(t, devenv.Options{})
	for range 10 {
		if _, err := client.CoreV1().Pods("").Watch(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	begun := time.Now()
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	took := time.Since(begun)
	t.Logf("stopped in %s", took)
	if took > 10*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("%s: not within %s", what, limit)
		}
	}
}

// find returns os.ErrProcessDone if there is no process of that id.
func find(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Signal(syscall.Signal(0))
}
