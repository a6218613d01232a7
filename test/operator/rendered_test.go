//go:build integration

package operator

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// installation is a way to install the operator that the chart or config/ offers.
type installation struct {
	name    string
	request map[string]any // what is rendered (see charts/test/render)
	// namespace is the only one whose jobs are run, or "".
	namespace string
	// everything is true if all that is optional is installed.
	everything bool
}

// TestInstallations applies all that the chart and config/ offer, strictly, and runs the operator
// with the arguments of the Deployment and the rights of its service account, and no others: jobs of
// all kinds succeed, and nothing that the operator asks for is forbidden. Their pods fulfil the Pod
// Security Standard "restricted", with all that the operator adds to them.
func TestInstallations(t *testing.T) {
	installations := []installation{
		{name: "helm", everything: true, request: map[string]any{"values": map[string]any{
			"replicas": 2, "podDisruptionBudget": map[string]any{"enabled": true}, "networkPolicy": map[string]any{"enabled": true},
			"progress": map[string]any{"enabled": true}, "page": map[string]any{"enabled": true},
			"metrics": map[string]any{
				"secure": true, "service": map[string]any{"enabled": true}, "serviceMonitor": map[string]any{"enabled": true},
				"prometheusRule": map[string]any{"enabled": true}, "dashboards": map[string]any{"enabled": true},
			},
		}}},
		{name: "helm-one-namespace", namespace: "team-a", request: map[string]any{"values": map[string]any{
			"operator": map[string]any{"watchNamespace": "team-a"},
		}}},
		{name: "kustomize", everything: true, request: map[string]any{
			"components": []string{"high-availability", "network-policy", "monitoring", "secure-metrics", "progress", "page"},
		}},
		{name: "kustomize-one-namespace", namespace: "team-a", request: map[string]any{"components": []string{"namespace-scoped"}}},
	}
	requests := []map[string]any{{"crds": true}}
	for _, i := range installations {
		requests = append(requests, i.request)
	}
	components, err := os.ReadDir("../../config/components")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range components {
		if !slices.ContainsFunc(installations, func(i installation) bool {
			list, _ := i.request["components"].([]string)
			return slices.Contains(list, c.Name())
		}) {
			t.Errorf("no installation has config/components/%s", c.Name())
		}
	}
	answers := render(t, requests)
	for _, crd := range append(answers[0], monitoringCRD("ServiceMonitor"), monitoringCRD("PrometheusRule")) {
		applyCRD(t.Context(), t, crd, "kubectl")
	}
	for _, name := range []string{home, "team-a", "elsewhere"} {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := client.IgnoreAlreadyExists(cluster.client.Create(t.Context(), ns)); err != nil {
			t.Fatal(err)
		}
	}
	for n, i := range installations {
		t.Run(i.name, func(t *testing.T) { i.test(t, answers[n+1]) })
	}
}

// render renders the chart, or config/default with components, in their module.
func render(t *testing.T, requests []map[string]any) [][]*unstructured.Unstructured {
	t.Helper()
	text, err := json.Marshal(requests)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./render")
	cmd.Dir, cmd.Stdin = "../../charts/test", bytes.NewReader(text)
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot render: %v\n%s", err, &errs)
	}
	var answers [][]json.RawMessage
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	all := make([][]*unstructured.Unstructured, len(answers))
	for n, objects := range answers {
		for _, text := range objects {
			o := &unstructured.Unstructured{}
			if err := o.UnmarshalJSON(text); err != nil {
				t.Fatal(err)
			}
			all[n] = append(all[n], o)
		}
	}
	return all
}

// monitoringCRD is the least CRD for a kind of the Prometheus operator.
func monitoringCRD(kind string) *unstructured.Unstructured {
	singular := strings.ToLower(kind)
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": singular + "s.monitoring.coreos.com"},
		"spec": map[string]any{
			"group": "monitoring.coreos.com", "scope": "Namespaced",
			"names": map[string]any{"kind": kind, "listKind": kind + "List", "plural": singular + "s", "singular": singular},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "required": []any{"spec"}, "properties": map[string]any{
						"spec": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
					},
				}},
			}},
		},
	}}
}

func (i *installation) test(t *testing.T, objects []*unstructured.Unstructured) {
	ns := "all-" + i.name
	if i.namespace != "" {
		ns = i.namespace
	} else {
		// What the operator adds to pods that fulfil the standard must fulfil it, too.
		create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: map[string]string{
			"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "latest",
		}}})
		enforced(t, ns)
	}
	withdraw(t)
	flags := slices.Clone(install(t, objects))
	token := ""
	if i.everything {
		// What a pod finds out by itself: it runs outside of one.
		flags = append(flags, "--progress-bind-address="+address(t), "--progress-url=https://jobkit-operator-progress."+home+".svc", "--progress-secret-namespace="+home)
		token = i.reader(t)
	}
	p := start(t, flags...)
	jobs := i.jobs(t, ns)
	for _, j := range jobs {
		create(t, j)
	}
	for _, j := range jobs {
		ends(t, j)
	}
	if i.everything {
		eventually(t, "the operator has written its certificate authority into the Secret", func(ctx context.Context) error {
			secret := &corev1.Secret{}
			err := cluster.client.Get(ctx, client.ObjectKey{Namespace: home, Name: "jobkit-operator-progress"}, secret)
			if err == nil && len(secret.Data) == 0 {
				err = errors.New("it is empty")
			}
			return err
		})
	}
	if i.namespace != "" {
		i.otherNamespaces(t)
	}
	refused, err := p.refused(t.Context(), token)
	if err != nil || refused != "" {
		t.Errorf("the operator lacks permissions (error %v): %s", err, refused)
	}
	if i.namespace != "" {
		i.takesRights(t, p, ns)
	}
	p.ends(t)
	if log := p.log(); strings.Contains(log, "DATA RACE") {
		t.Errorf("the operator has a data race:\n%s", log)
	}
}

// withdraw takes all rights from the operator's service account.
func withdraw(t *testing.T) {
	t.Helper()
	of := func(subjects []rbacv1.Subject) bool {
		return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool { return s.Namespace == home && s.Name == "jobkit-operator" })
	}
	var clusterWide rbacv1.ClusterRoleBindingList
	var namespaced rbacv1.RoleBindingList
	if err := errors.Join(cluster.client.List(t.Context(), &clusterWide), cluster.client.List(t.Context(), &namespaced)); err != nil {
		t.Fatal(err)
	}
	for _, b := range clusterWide.Items {
		if of(b.Subjects) {
			remove(t, &b)
		}
	}
	for _, b := range namespaced.Items {
		if of(b.Subjects) {
			remove(t, &b)
		}
	}
}

func remove(t *testing.T, o client.Object) {
	t.Helper()
	err := cluster.client.Delete(context.WithoutCancel(t.Context()), o, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
}

// install applies objects, in place of those of an installation before, until the test ends. It
// returns the arguments of the operator.
func install(t *testing.T, objects []*unstructured.Unstructured) []string {
	t.Helper()
	var args []string
	for _, o := range objects {
		switch o.GetKind() {
		case "CustomResourceDefinition", "Namespace":
			continue // They exist, and stay.
		case "Deployment":
			if o.GetName() == "jobkit-operator" {
				args = argsOf(t, o)
			}
		}
		remove(t, o)
		if err := cluster.client.Create(t.Context(), o.DeepCopy(), client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
			t.Fatalf("cannot apply %s %s: %v", o.GetKind(), o.GetName(), err)
		}
		t.Cleanup(func() { remove(t, o) })
	}
	return args
}

// argsOf are the arguments of the operator, which runs as the service account that has the rights.
func argsOf(t *testing.T, deployment *unstructured.Unstructured) []string {
	t.Helper()
	var spec struct {
		Spec struct {
			Template corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(deployment.Object, &spec); err != nil {
		t.Fatal(err)
	}
	pod := spec.Spec.Template.Spec
	if pod.ServiceAccountName != "jobkit-operator" || deployment.GetNamespace() != home {
		t.Fatalf("the operator runs as %s/%s", deployment.GetNamespace(), pod.ServiceAccountName)
	}
	return pod.Containers[0].Args
}

// reader is a token of who may read the metrics.
func (i *installation) reader(t *testing.T) string {
	t.Helper()
	create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "reader-" + i.name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "jobkit-operator-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: home, Name: "reader-" + i.name}},
	})
	return tokenOf(t, "reader-"+i.name)
}

// enforced checks that no other pods are admitted to a namespace.
func enforced(t *testing.T, ns string) {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "free"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "busybox"}}}}
	if err := cluster.client.Create(t.Context(), pod); !apierrors.IsForbidden(err) {
		t.Fatalf("a pod that may do anything is admitted to a namespace that enforces the standard: %v", err)
	}
}

// jobs are one of each kind, which use what needs rights of its own, and whose pods have things added
// to them. Their pods fulfil the Pod Security Standard "restricted", by themselves or by the pod.
func (i *installation) jobs(t *testing.T, ns string) []*unstructured.Unstructured {
	t.Helper()
	const (
		least  = "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}"
		rest   = "runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}"
		byPod  = "securityContext: {" + rest + "}, containers: [{name: NAME, image: busybox, securityContext: {" + least + "}}]"
		bySelf = "containers: [{name: NAME, image: busybox, securityContext: {" + least + ", runAsUser: 1000, " + rest + "}}]"
	)
	template := func(container, spec string) string {
		return "{template: {metadata: {annotations: {devcluster.jobkit.dev/run-for: 1s}}, spec: {" + strings.ReplaceAll(spec, "NAME", container) + "}}}"
	}
	policy := "runPolicy: {cleanPodPolicy: Running}"
	if i.everything {
		policy = "runPolicy: {cleanPodPolicy: Running, progressPolicy: {}}" // a volume with a token
	}
	var all []*unstructured.Unstructured
	for _, tt := range []struct{ kind, name, spec string }{
		{"MPIJob", "mpi", "mpiReplicaSpecs: {Launcher: " + template("mpi", byPod) + ", Worker: " + template("mpi", byPod) + "}"}, // kubectl-delivery
		{"MPIJob", "mpi-self", "mpiReplicaSpecs: {Launcher: " + template("mpi", bySelf) + ", Worker: " + template("mpi", bySelf) + "}"},
		{"PyTorchJob", "torch", "pytorchReplicaSpecs: {Master: " + template("pytorch", byPod) + ", Worker: " + template("pytorch", byPod) + "}"}, // init-pytorch
		{"PyTorchJob", "torch-self", "pytorchReplicaSpecs: {Master: " + template("pytorch", bySelf) + ", Worker: " + template("pytorch", bySelf) + "}"},
		{"PyTorchJob", "elastic", "elasticPolicy: {minReplicas: 1, maxReplicas: 3, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]}, " +
			"pytorchReplicaSpecs: {Worker: " + template("pytorch", byPod) + "}"},
		{"TFJob", "tf", "tfReplicaSpecs: {Worker: " + template("tensorflow", byPod) + "}"},
		{"XGBoostJob", "xgb", "xgbReplicaSpecs: {Master: " + template("xgboost", byPod) + "}"},
		{"PaddleJob", "paddle", "paddleReplicaSpecs: {Worker: " + template("paddle", byPod) + "}"},
		{"JAXJob", "jax", "jaxReplicaSpecs: {Worker: " + template("jax", byPod) + "}"},
	} {
		j := job(t, tt.kind, "{"+tt.spec+", "+policy+"}")
		j.SetNamespace(ns)
		j.SetName(tt.name + "-" + i.name)
		all = append(all, j)
	}
	return all
}

// ends waits until a job has succeeded.
func ends(t *testing.T, j *unstructured.Unstructured) {
	t.Helper()
	eventually(t, j.GetName()+" succeeds", func(ctx context.Context) error {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(j), j); err != nil {
			return err
		}
		if state, _, _ := unstructured.NestedString(j.Object, "status", "state"); state != string(commonv1.JobSucceeded) {
			return fmt.Errorf("its status is %v", j.Object["status"])
		}
		return nil
	})
}

// otherNamespaces checks that a job in another namespace is none of the operator's. It was created
// before those that have succeeded by now.
func (i *installation) otherNamespaces(t *testing.T) {
	t.Helper()
	j := i.jobs(t, "elsewhere")[5]
	create(t, j)
	more := i.jobs(t, i.namespace)[5]
	more.SetName("after-" + more.GetName())
	create(t, more)
	ends(t, more)
	if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(j), j); err != nil {
		t.Fatal(err)
	}
	if j.Object["status"] != nil {
		t.Errorf("the operator of %s has taken up a job of another namespace: %v", i.namespace, j.Object["status"])
	}
}

// takesRights checks that a right that the operator lacks is noticed by this test.
func (i *installation) takesRights(t *testing.T, p *process, ns string) {
	t.Helper()
	withdraw(t)
	j := job(t, "TFJob", "{tfReplicaSpecs: {Worker: {template: {spec: {containers: [{name: tensorflow, image: busybox}]}}}}}")
	j.SetNamespace(ns)
	j.SetName("forbidden-" + i.name)
	create(t, j)
	eventually(t, "it is noticed that something is forbidden", func(ctx context.Context) error {
		refused, err := p.refused(ctx, "")
		if err == nil && refused == "" {
			err = errors.New("it is not")
		}
		return err
	})
	remove(t, j)
}

// refused is what the API server has forbidden the operator, as its log and its metrics have it.
func (p *process) refused(ctx context.Context, token string) (string, error) {
	var lines []string
	for line := range strings.SplitSeq(p.log(), "\n") {
		if strings.Contains(line, "forbidden") {
			lines = append(lines, line)
		}
	}
	scheme := "http"
	if token != "" {
		scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+p.metrics+"/metrics", http.NoBody)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	self := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // it signs its certificate itself
	defer self.CloseIdleConnections()
	resp, err := self.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if !bytes.Contains(text, []byte("rest_client_requests_total{")) {
		return "", fmt.Errorf("the metrics do not count requests: %s", resp.Status)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if strings.HasPrefix(line, "rest_client_requests_total{") && strings.Contains(line, `code="403"`) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n"), nil
}
