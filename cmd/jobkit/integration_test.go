//go:build integration

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/internal/devenv"
	"github.com/jobkit/jobkit/operators"
)

// The tests in this file run jobkit against real control planes:
//
//	go test -tags integration ./cmd/jobkit

// examples is where the example jobs are: those of TestJob, and those of all kinds.
const (
	examples = all + "testjob/"
	all      = "../../examples/jobs/"
)

// workplace is what a test has for itself: its own control plane and temporary folder, and
// a mark on all processes that it starts.
type workplace struct {
	mark, temp  string
	environment []string
}

func newWorkplace(t *testing.T) workplace {
	t.Helper()
	binary, err := devenv.Build(t.Context(), devenv.BuildOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w := workplace{mark: fmt.Sprintf("JOBKIT_TEST_MARK=%s-%d", t.Name(), time.Now().UnixNano()), temp: t.TempDir()}
	w.environment = []string{
		w.mark, "JOBKIT_DEVCLUSTER=" + binary, "XDG_CACHE_HOME=" + t.TempDir(), "TMPDIR=" + w.temp, "KUBECONFIG=", "HOME=" + w.temp,
	}
	return w
}

// processes are those that carry the mark.
func (w workplace) processes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		environment, err := os.ReadFile(file)
		if err == nil && bytes.Contains(environment, []byte(w.mark)) {
			command, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			found = append(found, string(bytes.ReplaceAll(command, []byte{0}, []byte{' '})))
		}
	}
	return found
}

// nothingLeft fails the test if a process or a file is left.
func (w workplace) nothingLeft(t *testing.T) {
	t.Helper()
	// A process that is killed takes a moment to be gone.
	for deadline := time.Now().Add(20 * time.Second); len(w.processes(t)) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("left running: %q", w.processes(t))
		}
	}
}

// run runs jobkit to its end.
func (w workplace) run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := runJobkit(t.Context(), t, w.environment, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	code = exitCode(t, cmd.Run())
	t.Logf("jobkit %s: exit code %d\n%s%s", strings.Join(args, " "), code, &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

// hangLimit is when a demo is taken to hang, on however slow a machine.
const hangLimit = "--timeout=20m"

// browser opens the first address that a command prints, as a user would.
type browser struct {
	screen bytes.Buffer
	shown  chan string
}

func (b *browser) Write(p []byte) (int, error) {
	n, err := b.screen.Write(p)
	if address := regexp.MustCompile(`http://127\S+`).Find(b.screen.Bytes()); address != nil && b.shown == nil {
		b.shown = make(chan string, 1)
		go func() { b.shown <- open(string(address)) }()
	}
	return n, err
}

// open is what a browser gets at an address.
func open(address string) string {
	cookies, _ := cookiejar.New(nil)
	client := http.Client{Jar: cookies, Timeout: time.Minute}
	text := ""
	for range 2 { // The address works once.
		reply, err := client.Get(address)
		if err != nil {
			return text + err.Error()
		}
		_ = reply.Body.Close()
		text += reply.Status + "; "
	}
	return text
}

func TestDemo(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t)
	var user browser
	var errs bytes.Buffer
	cmd := runJobkit(t.Context(), t, w.environment, "demo", hangLimit)
	cmd.Stdout, cmd.Stderr = &user, &errs
	code := exitCode(t, cmd.Run())
	out := user.screen.String()
	t.Logf("jobkit demo: exit code %d\n%s%s", code, out, &errs)
	if user.shown == nil {
		t.Error("the demo should print the address of its page")
	} else if got, want := <-user.shown, "200 OK; 403 Forbidden; "; got != want {
		t.Errorf("the page answers %q, want %q", got, want)
	}
	if code != 0 || !strings.Contains(out, "\n31 of 31 jobs ended as expected, ") {
		t.Errorf("the demo should succeed: exit code %d", code)
	}
	if strings.Contains(out, "\x1b") {
		t.Error("a pipe must get no control sequences")
	}
	w.nothingLeft(t)
	if left, _ := os.ReadDir(w.temp); len(left) > 0 {
		t.Errorf("files are left: %v", left)
	}
}

func TestDemoEndedEarly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, reason string
		signal       syscall.Signal
		code         int
	}{
		{"interrupted", "Ctrl-C cleans up", syscall.SIGINT, 3},
		{"killed", "even kill -9 leaves no process", syscall.SIGKILL, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorkplace(t)
			cmd := runJobkit(t.Context(), t, w.environment, "demo", hangLimit)
			code := endOn(t, cmd, c.signal, "Running")
			if code != c.code {
				t.Errorf("%s: exit code %d, want %d", c.reason, code, c.code)
			}
			w.nothingLeft(t)
		})
	}
}

// endOn starts a command, signals it when its output has the text, and returns its
// exit code.
func endOn(t *testing.T, cmd *exec.Cmd, signal syscall.Signal, text string) int {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if strings.Contains(lines.Text(), text) {
			err = cmd.Process.Signal(signal)
			if err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	_, _ = io.Copy(io.Discard, out)
	return exitCode(t, cmd.Wait())
}

// up starts a control plane with "jobkit dev up" until the end of the test, and returns its kubeconfig.
func (w workplace) up(t *testing.T) (kubeconfig string) {
	t.Helper()
	t.Cleanup(func() {
		// The test's context has ended by now.
		cmd := runJobkit(context.WithoutCancel(t.Context()), t, w.environment, "dev", "down")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("dev down: %v: %s", err, text)
		}
		w.nothingLeft(t)
	})
	if code, _, _ := w.run(t, "dev", "up", "--nodes=3"); code != 0 {
		t.Fatal("dev up failed")
	}
	_, out, _ := w.run(t, "dev", "kubeconfig")
	return strings.TrimSpace(out)
}

// TestOnRunningControlPlane uses a control plane of "jobkit dev up" as a user does.
func TestOnRunningControlPlane(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t)
	kubeconfig := w.up(t)
	if code, out, _ := w.run(t, "dev", "up"); code != 0 || !strings.Contains(out, "was up already") {
		t.Error("dev up again should be fine")
	}
	if code, out, _ := w.run(t, "dev", "status"); code != 0 || !strings.Contains(out, kubeconfig) {
		t.Error("dev status should name the kubeconfig")
	}
	t.Run("before the operator", func(t *testing.T) { // Demos have operators for their own namespaces only.
		t.Run("demo", func(t *testing.T) { t.Parallel(); demoOnShared(t, w, kubeconfig) })
		t.Run("no operator", func(t *testing.T) {
			t.Parallel()
			code, out, _ := w.run(t, "run", "--kubeconfig", kubeconfig, "-f", examples+"all-workers.yaml", "--timeout", "11s")
			if code != 3 || !strings.Contains(out, "no operator has taken up TestJob default/all-workers within 10s") {
				t.Errorf("exit code %d", code)
			}
		})
	})
	startOperator(t, kubeconfig)
	t.Run("jobs", func(t *testing.T) { // of different names, so at the same time
		t.Run("run", func(t *testing.T) { t.Parallel(); runJobs(t, w, kubeconfig) })
		t.Run("steer", func(t *testing.T) { t.Parallel(); steerJob(t, w, kubeconfig) })
	})
	t.Run("migrate", func(t *testing.T) { migrateCluster(t, w, kubeconfig) })
}

// TestDocumentedOnControlPlane runs what README and the pages for users show. They speak of jobs of the
// names that other tests use, so it has a control plane for itself; that starts in 3 s of processor time.
func TestDocumentedOnControlPlane(t *testing.T) {
	t.Parallel()
	w := newWorkplace(t)
	kubeconfig := w.up(t)
	startOperator(t, kubeconfig)
	runDocumented(t, w, kubeconfig)
}

// demoOnShared runs demos on a control plane that runs: nothing of them is left.
func demoOnShared(t *testing.T, w workplace, kubeconfig string) {
	t.Helper()
	if code, _, errs := w.run(t, "demo", hangLimit, "all-workers"); code != 0 || !strings.Contains(errs, "using the control plane that is running") {
		t.Errorf("demo: exit code %d", code)
	}
	if code := endOn(t, runJobkit(t.Context(), t, w.environment, "demo", hangLimit), syscall.SIGINT, "Running"); code != 3 {
		t.Errorf("demo, interrupted: exit code %d", code)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	namespaces, err := kubernetes.NewForConfigOrDie(config).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, namespace := range namespaces.Items {
		if strings.HasPrefix(namespace.Name, "demo-") {
			t.Errorf("namespace %s is left", namespace.Name)
		}
	}
}

// migrateCluster moves a cluster on which objects of training-operator v1 are, without its program.
func migrateCluster(t *testing.T, w workplace, kubeconfig string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	labels := map[string]string{"control-plane": "kubeflow-training-operator"}
	_, err = client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kubeflow"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.AppsV1().Deployments("kubeflow").Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "training-operator"},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "operator", Image: "v1"}}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	none := admissionregistrationv1.SideEffectClassNone
	_, err = client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "validator.training-operator.kubeflow.org"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "validator.tfjob.training-operator.kubeflow.org", SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "kubeflow", Name: "training-operator"}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"kubeflow.org"}, APIVersions: []string{"v1"}, Resources: []string{"tfjobs"}},
			}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	backup := filepath.Join(t.TempDir(), "webhooks.yaml")
	for _, c := range []struct {
		reason, args string
		code         int
		out          string
	}{
		{reason: "what is wrong is found", args: "doctor -o yaml", code: 1, out: "validator.training-operator.kubeflow.org asks the service kubeflow/training-operator about tfjobs"},
		{reason: "a dry run says what it would do", args: "migrate --dry-run", out: "1. stop training-operator v1 (kubeflow/training-operator)"},
		{reason: "it is asked, and no one says yes", args: "migrate", code: 3, out: "[y/N]"},
		{reason: "it is done", args: "migrate --yes --backup " + backup, out: "   done\n"},
		{reason: "it can be done again", args: "migrate --yes --backup " + backup, out: "   nothing to do: there are none\n"},
		{reason: "all is well", args: "doctor", out: "ok       webhooks "},
	} {
		code, out, _ := w.run(t, append(strings.Fields(c.args), "--kubeconfig", kubeconfig)...)
		if code != c.code || !strings.Contains(strings.Join(strings.Fields(out), " "), strings.Join(strings.Fields(c.out), " ")) {
			t.Errorf("%s: jobkit %s: exit code %d, want %d; output should have %q", c.reason, c.args, code, c.code, c.out)
		}
	}
	if text, err := os.ReadFile(backup); err != nil || !strings.Contains(string(text), "validator.tfjob.training-operator.kubeflow.org") {
		t.Errorf("the webhooks are kept for the way back: %v, %s", err, text)
	}
}

// startOperator runs the operators of all kinds until the end of the test.
func startOperator(t *testing.T, kubeconfig string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	kinds := append(operators.Kinds(), operators.Kind{
		AddToScheme:      testv1.AddToScheme,
		SetupWithManager: func(manager ctrl.Manager, _ operators.Options) error { return testjob.SetupWithManager(manager) },
	})
	scheme := runtime.NewScheme()
	errs := []error{clientgoscheme.AddToScheme(scheme)}
	var objects []jobkit.Object
	for _, k := range kinds {
		errs = append(errs, k.AddToScheme(scheme))
		objects = append(objects, k.ObjectKinds...)
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Cache: controller.CacheOptions(objects...), Metrics: server.Options{BindAddress: "0"},
		// Two tests have an operator, each on its own control plane.
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		err := k.SetupWithManager(manager, operators.Options{})
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the operator: %v", err)
		}
	})
}

// runJobs runs good and bad jobs.
func runJobs(t *testing.T, w workplace, kubeconfig string) {
	t.Helper()
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	text, err := os.ReadFile(examples + "all-workers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("Worker:"), []byte("Slave:"))
	text = bytes.ReplaceAll(text, []byte("name: all-workers"), []byte("name: bad"))
	err = os.WriteFile(bad, text, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, reason string
		args         []string
		code         int
		out, errs    string
	}{
		{
			name: "replace", reason: "the job that no operator took up is replaced", args: []string{"--replace", "-f", examples + "all-workers.yaml"},
			out: "TestJob default/all-workers: Succeeded after ",
		},
		{
			name: "all kinds", reason: "a job of any kind is run, several at once too", args: []string{
				"-f", all + "jaxjob/jax-train.yaml", "-f", all + "mpijob/mpi-allreduce.yaml", "-f", all + "paddlejob/paddle-train.yaml",
				"-f", all + "pytorchjob/torch-ddp.yaml", "-f", all + "tfjob/tf-workers.yaml", "-f", all + "xgboostjob/xgb-train.yaml",
			},
			out: "MPIJob default/mpi-allreduce: Succeeded after ",
		},
		{
			name: "again", reason: "a name is taken once", args: []string{"-f", examples + "all-workers.yaml"}, code: 2,
			errs: "all-workers.yaml:5: TestJob all-workers: exists in namespace default already: delete it before (--replace does)",
		},
		{
			name: "fails", reason: "the cause is reported", args: []string{"-f", examples + "worker-fails.yaml", "--delete"}, code: 1,
			out: "TestJob default/worker-fails: Failed after ", errs: "First failure: pod worker-fails-worker-0, exit code 1",
		},
		{
			name: "deleted", reason: "--delete has deleted it, so that the name is free", args: []string{"-f", examples + "worker-fails.yaml", "--detach"},
			out: "TestJob default/worker-fails submitted\n",
		},
		{
			name: "refused", reason: "the server's reason is reported with its field", args: []string{"-f", bad}, code: 2,
			errs: "bad.yaml:5: TestJob bad: the server refused it: spec.testReplicaSpecs: Invalid value: " +
				"the replica types of a TestJob are Master and Worker, spelled so: remove or rename the others",
		},
		{
			name: "no namespace", reason: "the namespace is named", args: []string{"-f", examples + "suspended.yaml", "-n", "nosuch"}, code: 2,
			errs: `suspended.yaml:7: TestJob suspended: the server refused it: namespaces "nosuch" not found`,
		},
		{
			name: "suspended", reason: "a job that waits is given up after the time", args: []string{"-f", examples + "suspended.yaml", "--timeout", "2s"},
			code: 3, out: "Suspended", errs: "kubectl --kubeconfig=" + kubeconfig + " delete testjobs.kubeflow.org/suspended -n default",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := w.run(t, append([]string{"run", "--kubeconfig", kubeconfig}, c.args...)...)
			if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) {
				t.Errorf("%s: exit code %d, want %d; output should have %q, errors %q", c.reason, code, c.code, c.out, c.errs)
			}
		})
	}
}

// endless is a job whose worker fails again and again, and whose master does not end.
const endless = `
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: endless}
spec:
  runPolicy: {backoffLimit: 50}
  pytorchReplicaSpecs:
    Master:
      restartPolicy: ExitCode
      template: &template
        metadata: {annotations: {devcluster.jobkit.dev/run-for: 1h}}
        spec: {containers: [{name: pytorch, image: a, resources: {requests: {cpu: 250m}}}]}
    Worker: {restartPolicy: ExitCode, template: *template}
`

// steerJob lists, describes and steers a job.
func steerJob(t *testing.T, w workplace, kubeconfig string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "endless.yaml")
	if err := os.WriteFile(file, []byte(endless), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := w.run(t, "run", "--kubeconfig", kubeconfig, "--detach", "-f", file); code != 0 {
		t.Fatal("it should be submitted")
	}
	for _, c := range []struct {
		reason, args string
		code         int
		out, errs    string
	}{
		{reason: "it runs", args: "wait endless --for running --timeout 1m", out: "PyTorchJob default/endless: Running\n"},
		{reason: "it is listed, in its state", args: "get pytorchjob/endless", out: "endless  PyTorchJob  Running"},
		{reason: "all kinds are listed", args: "get -A -o yaml", out: "  kind: PyTorchJob\n"},
		{reason: "what comes next is known", args: "describe endless", out: "  next        The job runs to its end.\n"},
		{reason: "what it requests is known", args: "top endless", out: "500m"},
		{reason: "a kubelet would know its log", args: "logs endless", code: 1, errs: "cannot read the log of endless-master-0"},
		{reason: "one replica restarts", args: "restart endless worker-0", out: "PyTorchJob default/endless: restarted worker-0\n"},
		{reason: "all restart", args: "restart endless", out: "PyTorchJob default/endless restarted\n"},
		{reason: "it runs again", args: "wait endless --for running --timeout 1m", out: "PyTorchJob default/endless: Running\n"},
		{reason: "it is suspended", args: "suspend endless", out: "PyTorchJob default/endless suspended\n"},
		{reason: "it stays so", args: "wait endless --for suspended --timeout 1m", out: "PyTorchJob default/endless: Suspended\n"},
		{reason: "it is resumed", args: "resume endless", out: "PyTorchJob default/endless resumed\n"},
		{reason: "it does not succeed", args: "wait endless --for succeeded --timeout 1s", code: 3, errs: "it is not so after 1s: the time was up"},
		{reason: "it is deleted", args: "delete endless", out: "PyTorchJob default/endless deleted\n"},
		{reason: "it is gone", args: "describe endless", code: 2, errs: `no job is named "endless" in namespace default`},
	} {
		code, out, errs := w.run(t, append(strings.Fields(c.args), "--kubeconfig", kubeconfig)...)
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) {
			t.Errorf("%s: jobkit %s: exit code %d, want %d; output should have %q, errors %q", c.reason, c.args, code, c.code, c.out, c.errs)
		}
	}
}
