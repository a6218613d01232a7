//go:build versions

// Package versions runs the operator against the API servers of several Kubernetes releases.
// README.md says what that needs.
package versions

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/devenv"
	ownenv "github.com/jobkit/jobkit/internal/devenv"
)

const (
	root = "../.."
	// patience is how long a test waits for what must happen, on a busy machine.
	patience = 2 * time.Minute
	poll     = 100 * time.Millisecond
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// TestVersions runs the operator against the oldest release that is supported, one in between and
// the newest.
func TestVersions(t *testing.T) {
	for _, release := range []string{"v1.31", "v1.34", "v1.37"} {
		t.Run(release, func(t *testing.T) {
			w := start(t, release)
			t.Run("Rules", w.rules)
			t.Run("Refused", w.refused)
			t.Run("Gang", w.gang)
			w.operate(t)
			t.Run("Kinds", w.kinds)
			t.Run("Restart", w.restart)
			t.Run("Suspend", w.suspend)
		})
	}
}

// world is the API server of a release. There is no scheduler, no kubelet and no controller: what
// they do to pods, the tests do.
type world struct {
	client             client.Client
	config             *rest.Config
	kubeconfig, binary string
	crds               []string
}

// start builds and starts the API server of a release.
func start(t *testing.T, release string) *world {
	t.Helper()
	t.Setenv("KUBEBUILDER_ASSETS", assets(t, release))
	w := &world{}
	files, err := filepath.Glob(filepath.Join(root, "config", "crd", "kubeflow.org_*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.crds = files
	w.config = devenv.Start(t, devenv.Options{CRDs: w.crds})
	all := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(all); err != nil {
			t.Fatal(err)
		}
	}
	if w.client, err = client.New(w.config, client.Options{Scheme: all}); err != nil {
		t.Fatal(err)
	}
	served, err := discovery.NewDiscoveryClientForConfigOrDie(w.config).ServerVersion()
	if err != nil || !strings.HasPrefix(served.GitVersion, release+".") {
		t.Fatalf("the server is %v, %v; want %s", served, err, release)
	}
	t.Log("the server is", served.GitVersion)
	w.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	access := clientcmdapi.NewConfig()
	access.Clusters["c"] = &clientcmdapi.Cluster{Server: w.config.Host, CertificateAuthorityData: w.config.CAData}
	if !strings.Contains(w.config.Host, "://") {
		access.Clusters["c"].Server = "https://" + w.config.Host
	}
	access.AuthInfos["u"] = &clientcmdapi.AuthInfo{ClientCertificateData: w.config.CertData, ClientKeyData: w.config.KeyData, Token: w.config.BearerToken}
	access.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	access.CurrentContext = "x"
	if err := clientcmd.WriteToFile(*access, w.kubeconfig); err != nil {
		t.Fatal(err)
	}
	w.binary = filepath.Join(t.TempDir(), "operator")
	output(t, root, nil, "go", "build", "-o", w.binary, "./cmd/operator")
	return w
}

// assets is a folder with the API server of a release and an etcd.
func assets(t *testing.T, release string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	cache = filepath.Join(cache, "jobkit", "versions")
	dir := filepath.Join(cache, release)
	version, err := ownenv.KubernetesVersion(release)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	output(t, release, []string{"GOWORK=off", "CGO_ENABLED=0"}, "go", "build", "-buildvcs=false", "-ldflags", ownenv.LinkFlags(version),
		"-o", filepath.Join(dir, "kube-apiserver"), "k8s.io/kubernetes/cmd/kube-apiserver")
	t.Logf("kube-apiserver %s is built after %s", version, time.Since(began).Round(time.Second))
	link := filepath.Join(dir, "etcd")
	_ = os.Remove(link)
	if err := os.Symlink(etcd(t, cache), link); err != nil {
		t.Fatal(err)
	}
	return dir
}

// etcd is the one that is installed, or else Debian's, unpacked into the cache: installed, it
// would start with the machine.
func etcd(t *testing.T, cache string) string {
	t.Helper()
	if path, err := exec.LookPath("etcd"); err == nil {
		return path
	}
	path := filepath.Join(cache, "etcd-server", "usr", "bin", "etcd")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	dir := t.TempDir()
	output(t, dir, nil, "apt-get", "-o", "APT::Sandbox::User=root", "download", "etcd-server")
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) != 1 {
		t.Fatalf("cannot find the package etcd-server: %v, %v", files, err)
	}
	output(t, dir, nil, "dpkg-deb", "-x", files[0], filepath.Join(cache, "etcd-server"))
	return path
}

// output runs a command, and fails the test with what it says if it fails.
func output(t *testing.T, dir string, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot run %s %v: %v\n%s", name, args, err, out)
	}
}

// command is the operator as a process.
func (w *world) command(ctx context.Context, flags ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.binary, append([]string{"--kubeconfig=" + w.kubeconfig, "--metrics-bind-address=0", "--health-probe-bind-address=0"}, flags...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// operate runs the operator until the test is over.
func (w *world) operate(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "log")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := w.command(ctx)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
		text, _ := os.ReadFile(path)
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the operator ended with %d:\n%s", code, text[max(0, len(text)-3000):])
		}
	})
}

// rules: the server has taken every rule of the CRDs, and lost none.
func (w *world) rules(t *testing.T) {
	total := 0
	for _, file := range w.crds {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		ours := &unstructured.Unstructured{Object: map[string]any{}}
		if err := yaml.Unmarshal(text, &ours.Object); err != nil {
			t.Fatal(err)
		}
		there := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: ours.GetName()}}
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(there), there); err != nil {
			t.Fatal(err)
		}
		for _, c := range there.Status.Conditions {
			if (c.Type == apiextensionsv1.Established || c.Type == apiextensionsv1.NamesAccepted) && c.Status != apiextensionsv1.ConditionTrue ||
				c.Type == apiextensionsv1.NonStructuralSchema && c.Status == apiextensionsv1.ConditionTrue {
				t.Errorf("%s: %s: %s", there.Name, c.Reason, c.Message)
			}
		}
		served, err := runtime.DefaultUnstructuredConverter.ToUnstructured(there)
		if err != nil {
			t.Fatal(err)
		}
		want, got := count(ours.Object["spec"]), count(served["spec"])
		if want == 0 || got != want {
			t.Errorf("%s has %d rules on the server, want %d", there.Name, got, want)
		}
		total += got
	}
	t.Logf("%d CRDs have %d rules", len(w.crds), total)
}

// count is how many CEL rules are below a part of a schema.
func count(part any) int {
	n := 0
	switch part := part.(type) {
	case map[string]any:
		for key, value := range part {
			if rules, ok := value.([]any); ok && key == "x-kubernetes-validations" {
				n += len(rules)
				continue
			}
			n += count(value)
		}
	case []any:
		for _, value := range part {
			n += count(value)
		}
	}
	return n
}

// refused: the rules decide.
func (w *world) refused(t *testing.T) {
	ns := w.namespace(t)
	for _, tt := range []struct{ reason, kind, spec, want string }{
		{"an unknown type", "PyTorchJob", "{pytorchReplicaSpecs: {Foo: POD}}", "Master and Worker only: remove or rename it"},
		{"the wrong spelling", "TFJob", "{tfReplicaSpecs: {worker: POD}}", "the letter case counts, write Worker"},
		{"two Masters", "XGBoostJob", "{xgbReplicaSpecs: {Master: {replicas: 2, TEMPLATE}}}", "exactly one Master"},
		{"no Launcher", "MPIJob", "{mpiReplicaSpecs: {Worker: POD}}", "Launcher"},
		{"the name of the container", "JAXJob", "{jaxReplicaSpecs: {Worker: {template: {spec: {containers: [{name: other, image: x}]}}}}}", "jax"},
		{"a type after itself", "PaddleJob", "{paddleReplicaSpecs: {Worker: {startAfter: {replicaType: Worker, state: Ready}, TEMPLATE}}}", "startAfter"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			err := w.client.Create(t.Context(), manifest(t, ns, tt.kind, "bad", tt.spec), client.DryRunAll)
			if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("want %q, got %v", tt.want, err)
			}
		})
	}
	t.Run("replicas within their bounds", func(t *testing.T) {
		if err := w.client.Create(t.Context(), manifest(t, ns, "XGBoostJob", "good", "{xgbReplicaSpecs: {Master: POD}}"), client.DryRunAll); err != nil {
			t.Error(err)
		}
	})
}

// gang: a server that does not serve the objects is named at the start.
func (w *world) gang(t *testing.T) {
	groups, err := discovery.NewDiscoveryClientForConfigOrDie(w.config).ServerGroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups.Groups {
		if g.Name == "scheduling.k8s.io" {
			t.Logf("%s is served in %v", g.Name, g.Versions)
		}
	}
	for _, name := range []string{"kubernetes", "volcano", "coscheduling"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		out, err := w.command(ctx, "--gang-scheduler-name="+name).CombinedOutput()
		cancel()
		if want := "--gang-scheduler-name is " + name + ", but the cluster does not serve its objects"; err == nil || !strings.Contains(string(out), want) {
			t.Errorf("want %q, got %v\n%s", want, err, out)
		}
	}
}

func (w *world) namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "versions-"}}
	if err := w.client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// manifest is a job; POD stands for a replica spec with a template, TEMPLATE for the template.
func manifest(t *testing.T, ns, kind, name, spec string) *unstructured.Unstructured {
	t.Helper()
	container := map[string]string{
		"TFJob": "tensorflow", "PyTorchJob": "pytorch", "MPIJob": "mpi", "XGBoostJob": "xgboost", "PaddleJob": "paddle", "JAXJob": "jax",
	}[kind]
	spec = strings.ReplaceAll(spec, "POD", "{replicas: 1, TEMPLATE}")
	spec = strings.ReplaceAll(spec, "TEMPLATE", "template: {spec: {containers: [{name: "+container+", image: busybox}]}}")
	u := &unstructured.Unstructured{Object: map[string]any{}}
	text := fmt.Sprintf("{apiVersion: kubeflow.org/v1, kind: %s, metadata: {namespace: %s, name: %s}, spec: %s}", kind, ns, name, spec)
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return u
}

// create creates a job. An unknown field is an error.
func (w *world) create(t *testing.T, j *unstructured.Unstructured) {
	t.Helper()
	if err := w.client.Create(t.Context(), j, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
		t.Fatal(err)
	}
}

// kinds: jobs of all kinds run to their end.
func (w *world) kinds(t *testing.T) {
	ns := w.namespace(t)
	for kind, spec := range map[string]string{
		"TFJob":      "{tfReplicaSpecs: {Chief: POD, PS: POD, Worker: {replicas: 2, TEMPLATE}}}",
		"PyTorchJob": "{pytorchReplicaSpecs: {Master: POD, Worker: {replicas: 2, TEMPLATE}}}",
		"MPIJob":     "{mpiReplicaSpecs: {Launcher: POD, Worker: {replicas: 2, TEMPLATE}}}",
		"XGBoostJob": "{xgbReplicaSpecs: {Master: POD, Worker: {replicas: 2, TEMPLATE}}}",
		"PaddleJob":  "{paddleReplicaSpecs: {Master: POD, Worker: {replicas: 2, TEMPLATE}}}",
		"JAXJob":     "{jaxReplicaSpecs: {Worker: {replicas: 2, TEMPLATE}}}",
	} {
		t.Run(kind, func(t *testing.T) {
			j := manifest(t, ns, kind, strings.ToLower(kind), spec)
			w.create(t, j)
			w.lives(t, j, commonv1.JobRunning, corev1.PodRunning)
			if s := w.lives(t, j, commonv1.JobSucceeded, corev1.PodSucceeded); s.Restarts != 0 {
				t.Errorf("%d restarts are counted", s.Restarts)
			}
		})
	}
}

// restart: a replica that fails is created again, and counted once.
func (w *world) restart(t *testing.T) {
	j := manifest(t, w.namespace(t), "PyTorchJob", "again", "{pytorchReplicaSpecs: {Master: POD, Worker: {replicas: 2, restartPolicy: ExitCode, TEMPLATE}}}")
	w.create(t, j)
	w.lives(t, j, commonv1.JobRunning, corev1.PodRunning)
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: j.GetNamespace(), Name: "again-worker-1"}}
	if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
		t.Fatal(err)
	}
	old := p.UID
	w.set(t, p, corev1.PodFailed, 137)
	w.eventually(t, "the Worker is created again", func() error {
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		if p.UID == old {
			return fmt.Errorf("it is %s, attempt %s", p.Status.Phase, p.Labels[commonv1.AttemptLabel])
		}
		return nil
	})
	w.lives(t, j, commonv1.JobRunning, corev1.PodRunning)
	if s := w.lives(t, j, commonv1.JobSucceeded, corev1.PodSucceeded); s.Restarts != 1 {
		t.Errorf("%d restarts are counted, want 1", s.Restarts)
	}
}

// suspend: a job is suspended and goes on.
func (w *world) suspend(t *testing.T) {
	j := manifest(t, w.namespace(t), "JAXJob", "paused", "{runPolicy: {suspend: true}, jaxReplicaSpecs: {Worker: {replicas: 2, TEMPLATE}}}")
	w.create(t, j)
	w.lives(t, j, commonv1.JobSuspended, corev1.PodRunning)
	if err := w.client.Patch(t.Context(), j, client.RawPatch(types.MergePatchType, []byte(`{"spec": {"runPolicy": {"suspend": false}}}`))); err != nil {
		t.Fatal(err)
	}
	w.lives(t, j, commonv1.JobRunning, corev1.PodRunning)
	w.lives(t, j, commonv1.JobSucceeded, corev1.PodSucceeded)
}

// lives brings the pods of a job to a phase, until the job is in a state.
func (w *world) lives(t *testing.T, j *unstructured.Unstructured, want commonv1.JobConditionType, phase corev1.PodPhase) *commonv1.JobStatus {
	t.Helper()
	var holder struct {
		Status commonv1.JobStatus `json:"status"`
	}
	w.eventually(t, fmt.Sprintf("%s %s is %s", j.GetKind(), j.GetName(), want), func() error {
		var pods corev1.PodList
		if err := w.client.List(t.Context(), &pods, client.InNamespace(j.GetNamespace()), client.MatchingLabels{commonv1.JobNameLabel: j.GetName()}); err != nil {
			return err
		}
		for i := range pods.Items {
			if p := &pods.Items[i]; p.Status.Phase != phase && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed {
				w.set(t, p, phase, 0)
			}
		}
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(j), j); err != nil {
			return err
		}
		holder.Status = commonv1.JobStatus{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(j.Object, &holder); err != nil {
			return err
		}
		if holder.Status.State != want {
			return fmt.Errorf("it is %q with %d pods: %+v", holder.Status.State, len(pods.Items), holder.Status.Conditions)
		}
		return nil
	})
	return &holder.Status
}

// set writes the status of a pod as a kubelet does.
func (w *world) set(t *testing.T, p *corev1.Pod, phase corev1.PodPhase, code int32) {
	t.Helper()
	p.Status.Phase = phase
	state, ready := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}, corev1.ConditionTrue
	if phase != corev1.PodRunning {
		state, ready = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, FinishedAt: metav1.Now()}}, corev1.ConditionFalse
	}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Now()}}
	p.Status.ContainerStatuses = nil
	for _, c := range p.Spec.Containers {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, State: state, Ready: phase == corev1.PodRunning, Started: new(phase == corev1.PodRunning),
		})
	}
	if err := w.client.Status().Update(t.Context(), p); err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
}

// eventually waits until something holds.
func (w *world) eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(poll) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}
