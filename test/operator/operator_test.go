//go:build integration

package operator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	authorizationv1 "k8s.io/api/authorization/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/devenv"
)

const (
	// late is the CRD that is missing when the operator starts.
	late = "kubeflow.org_jaxjobs.yaml"
	home = "jobkit-system"
	// patience is how long a test waits for what must happen, on a busy machine.
	patience = 3 * time.Minute
)

// cluster is the control plane that the tests share.
var cluster struct {
	*devenv.Cluster

	client client.Client
	binary string
}

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	ctx := context.Background()
	ctrl.SetLogger(logr.Discard())
	files, err := filepath.Glob("../../config/crd/kubeflow.org_*.yaml")
	if err != nil {
		return 1, err
	}
	var crds []string
	for _, f := range files {
		if filepath.Base(f) != late {
			crds = append(crds, f)
		}
	}
	if cluster.Cluster, err = devenv.Start(ctx, devenv.Options{CRDs: crds, NodeResources: map[string]string{
		"ephemeral-storage": "100Gi", // kubectl-delivery asks for some, and real nodes have it
	}}); err != nil {
		return 1, err
	}
	defer func() { _ = cluster.Stop() }()
	config, err := cluster.RESTConfig()
	if err != nil {
		return 1, err
	}
	if cluster.client, err = client.New(config, client.Options{Scheme: scheme.Scheme}); err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "jobkit-operator-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	cluster.binary = filepath.Join(dir, "operator")
	build := exec.CommandContext(ctx, "go", "build", "-race", "-ldflags=-w", "-o", cluster.binary, "../../cmd/operator")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("cannot build the operator: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// TestOperator runs the operator as its manifests have it run, with the permissions of
// its service account and no others, and has it run jobs.
func TestOperator(t *testing.T) {
	apply(t)
	p := start(t)

	p.serves(t)
	p.ready(t, http.StatusInternalServerError) // One CRD is missing.
	if log := p.log(); !strings.Contains(log, "jaxjobs.kubeflow.org") || !strings.Contains(log, "jobkit install-crds") {
		t.Errorf("the log does not say which CRD is missing, and how to fix it:\n%s", log)
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}
	create(t, ns)

	// One of each kind whose CRD is installed.
	create(t, job(t, "MPIJob", `{mpiReplicaSpecs: {
		Launcher: {template: {metadata: {annotations: {devcluster.jobkit.dev/run-for: 5s}}, spec: {containers: [{name: mpi, image: busybox}]}}},
		Worker: {replicas: 2, template: {spec: {containers: [{name: mpi, image: busybox}]}}}}, runPolicy: {cleanPodPolicy: Running}}`))
	create(t, job(t, "PyTorchJob", `{elasticPolicy: {minReplicas: 1, maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]},
		pytorchReplicaSpecs: {Worker: {replicas: 2, template: {metadata: {annotations: {devcluster.jobkit.dev/run-for: 5s}}, spec: {containers: [{name: pytorch, image: busybox}]}}}}}`))
	for kind, spec := range map[string]string{
		"TFJob": "tfReplicaSpecs: {Worker: TEMPLATE}", "XGBoostJob": "xgbReplicaSpecs: {Master: TEMPLATE}", "PaddleJob": "paddleReplicaSpecs: {Worker: TEMPLATE}",
	} {
		name := map[string]string{"TFJob": "tensorflow", "XGBoostJob": "xgboost", "PaddleJob": "paddle"}[kind]
		create(t, job(t, kind, "{"+strings.ReplaceAll(spec, "TEMPLATE",
			"{template: {metadata: {annotations: {devcluster.jobkit.dev/run-for: 1s}}, spec: {containers: [{name: "+name+", image: busybox}]}}}")+"}"))
	}
	scaler := &autoscalingv2.HorizontalPodAutoscaler{}
	eventually(t, "the PyTorchJob has an autoscaler", func(ctx context.Context) error {
		return cluster.client.Get(ctx, client.ObjectKey{Namespace: "team", Name: "pytorchjob"}, scaler)
	})
	eventually(t, "both Workers are discovered, and the launcher may reach them", func(ctx context.Context) error {
		config := &corev1.ConfigMap{}
		if err := cluster.client.Get(ctx, client.ObjectKey{Namespace: "team", Name: "mpijob-config"}, config); err != nil {
			return err
		}
		if want := "#!/bin/sh\necho mpijob-worker-0:1\necho mpijob-worker-1:1\n"; config.Data["discover_hosts.sh"] != want {
			return fmt.Errorf("discover_hosts.sh is %q, want %q", config.Data["discover_hosts.sh"], want)
		}
		return errors.Join(mayExec(ctx, "mpijob-worker-0", true), mayExec(ctx, "mpijob-worker-1", true), mayExec(ctx, "mpijob-worker-2", false), mayExec(ctx, "pytorchjob-worker-0", false))
	})
	for _, kind := range []string{"MPIJob", "PyTorchJob", "TFJob", "XGBoostJob", "PaddleJob"} {
		succeeds(t, kind)
	}
	eventually(t, "what only a running job needs is gone", func(ctx context.Context) error {
		for name, o := range map[string]client.Object{
			"pytorchjob": scaler, "mpijob-config": &corev1.ConfigMap{}, "mpijob-launcher": &rbacv1.Role{}, "mpijob-worker-0": &corev1.Pod{},
		} {
			if err := cluster.client.Get(ctx, client.ObjectKey{Namespace: "team", Name: name}, o); !apierrors.IsNotFound(err) {
				return fmt.Errorf("%T %s exists: %w", o, name, err)
			}
		}
		return nil
	})

	// The missing CRD is installed, and its jobs are run without a restart.
	text, err := os.ReadFile(filepath.Join("../../config/crd", late))
	if err != nil {
		t.Fatal(err)
	}
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &crd.Object); err != nil {
		t.Fatal(err)
	}
	create(t, crd)
	jax := job(t, "JAXJob", `{jaxReplicaSpecs: {Worker: {template: {metadata: {annotations: {devcluster.jobkit.dev/run-for: 1s}}, spec: {containers: [{name: jax, image: busybox}]}}}}}`)
	eventually(t, "the JAXJob is created", func(ctx context.Context) error { return cluster.client.Create(ctx, jax) })
	succeeds(t, "JAXJob")
	p.ready(t, http.StatusOK)

	p.ends(t)
	if log := p.log(); strings.Contains(log, "forbidden") || strings.Contains(log, "DATA RACE") {
		t.Errorf("the operator lacks permissions, or has a data race:\n%s", log)
	}
	lease := &coordinationv1.Lease{}
	if err := cluster.client.Get(t.Context(), client.ObjectKey{Namespace: home, Name: "1ca428e5.training-operator.kubeflow.org"}, lease); err != nil {
		t.Fatal(err)
	}
	if h := lease.Spec.HolderIdentity; h != nil && *h != "" {
		t.Errorf("the lease was not given back: %s holds it", *h)
	}
}

// apply applies config/default, whose CRDs are installed already. Unknown fields are
// errors.
func apply(t *testing.T) {
	t.Helper()
	for _, o := range objects(t) {
		if err := cluster.client.Create(t.Context(), o, client.FieldValidation(metav1.FieldValidationStrict)); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("cannot apply %T %s: %v", o, o.GetName(), err)
		}
	}
}

// mayExec checks whether the launcher may run commands in a pod.
func mayExec(ctx context.Context, pod string, want bool) error {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User:               "system:serviceaccount:team:mpijob-launcher",
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "team", Verb: "create", Resource: "pods", Subresource: "exec", Name: pod},
	}}
	if err := cluster.client.Create(ctx, review); err != nil {
		return err
	}
	if review.Status.Allowed != want {
		return fmt.Errorf("the launcher may run commands in %s: %t, want %t", pod, !want, want)
	}
	return nil
}

// job is a job of a kind, named after it.
func job(t *testing.T, kind, spec string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{}}
	manifest := fmt.Sprintf("{apiVersion: kubeflow.org/v1, kind: %s, metadata: {namespace: team, name: %s}, spec: %s}", kind, strings.ToLower(kind), strings.ReplaceAll(spec, "\t", " "))
	if err := yaml.Unmarshal([]byte(manifest), &u.Object); err != nil {
		t.Fatalf("%v\n%s", err, manifest)
	}
	return u
}

func create(t *testing.T, o client.Object) {
	t.Helper()
	if err := cluster.client.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// succeeds waits until the job of a kind has succeeded.
func succeeds(t *testing.T, kind string) {
	t.Helper()
	eventually(t, "the "+kind+" succeeds", func(ctx context.Context) error {
		u := &unstructured.Unstructured{}
		u.SetAPIVersion("kubeflow.org/v1")
		u.SetKind(kind)
		if err := cluster.client.Get(ctx, client.ObjectKey{Namespace: "team", Name: strings.ToLower(kind)}, u); err != nil {
			return err
		}
		if state, _, _ := unstructured.NestedString(u.Object, "status", "state"); state != string(commonv1.JobSucceeded) {
			return fmt.Errorf("its status is %v", u.Object["status"])
		}
		return nil
	})
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// process is the operator in a process of its own.
type process struct {
	cmd             *exec.Cmd
	out             string
	metrics, probes string
}

// start starts the operator as its service account, with more flags.
func start(t *testing.T, flags ...string) *process {
	t.Helper()
	p := &process{out: filepath.Join(t.TempDir(), "log"), metrics: address(t), probes: address(t)}
	out, err := os.Create(p.out)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(cluster.binary, append([]string{
		"--leader-elect", "--leader-election-namespace=" + home, "--metrics-bind-address=" + p.metrics, "--health-probe-bind-address=" + p.probes,
		"--webhook-server-port=9443", "--kubeconfig=" + impersonated(t),
	}, flags...)...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("the operator's log:\n%s", p.log())
		}
	})
	return p
}

// address is a free one that is not likely to be used by others on this machine.
func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// impersonated is a kubeconfig that has the rights of the operator's service account.
func impersonated(t *testing.T) string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(cluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.Impersonate = "system:serviceaccount:" + home + ":jobkit-operator"
		user.ImpersonateGroups = []string{"system:serviceaccounts", "system:serviceaccounts:" + home, "system:authenticated"}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func (p *process) log() string {
	text, _ := os.ReadFile(p.out)
	return string(text)
}

// serves checks what the operator serves.
func (p *process) serves(t *testing.T) {
	t.Helper()
	for url, want := range map[string]string{
		"http://" + p.probes + "/healthz":      "ok",
		"http://" + p.probes + "/readyz/tfjob": "ok",
		"http://" + p.metrics + "/metrics":     "leader_election_master_status",
	} {
		eventually(t, url+" is served", func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			if resp.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(want)) {
				return fmt.Errorf("the answer is %s: %s", resp.Status, body)
			}
			return nil
		})
	}
}

// ready checks that the readiness probe answers with a code.
func (p *process) ready(t *testing.T, code int) {
	t.Helper()
	eventually(t, fmt.Sprintf("/readyz answers %d", code), func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.probes+"/readyz", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != code {
			return fmt.Errorf("the answer is %s: %s", resp.Status, body)
		}
		return nil
	})
}

// ends asks the operator to end, which it must do soon and with exit code 0.
func (p *process) ends(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- p.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("the operator ended with %v, want exit code 0", err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the operator goes on for 5 s after SIGTERM")
	}
}
