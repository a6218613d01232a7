//go:build integration

package operator

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// pageOf is the page of the cluster, in a process of its own.
type pageOf struct {
	plain, secure string
	log           string
}

// applyComponent applies a component of config/, which has nothing but resources.
func applyComponent(t *testing.T, name string) []client.Object {
	t.Helper()
	documents, err := manifests("../../config/components/" + name)
	if err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var all []client.Object
	for _, d := range documents {
		o, _, err := decoder.Decode(d, nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, d)
		}
		object := o.(client.Object)
		if err := cluster.client.Create(t.Context(), object, client.FieldValidation(metav1.FieldValidationStrict)); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatalf("cannot apply %T %s: %v", object, object.GetName(), err)
		}
		all = append(all, object)
	}
	return all
}

// startPage runs the page with the arguments of its Deployment. Its kubeconfig is an
// administrator's: nothing may be shown by those credentials.
func startPage(t *testing.T, deployment *appsv1.Deployment) *pageOf {
	t.Helper()
	plain, secure := address(t), address(t)
	p := &pageOf{plain: "http://" + plain, secure: "https://" + secure, log: filepath.Join(t.TempDir(), "log")}
	_, port, _ := net.SplitHostPort(plain)
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(cluster.binary, append(slices.Clone(deployment.Spec.Template.Spec.Containers[0].Args),
		"--kubeconfig="+cluster.Kubeconfig(), "--bind-address="+secure, "--loopback-port="+port, "--health-probe-bind-address="+address(t), "--recheck=1s")...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("the page ends with %v", err)
			}
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Error("the page does not end")
		}
		text, _ := os.ReadFile(p.log)
		if t.Failed() || strings.Contains(string(text), "DATA RACE") {
			t.Errorf("the page's log:\n%s", text)
		}
	})
	eventually(t, "the page is served", func(ctx context.Context) error {
		code, body := p.get(ctx, p.plain, "/", "")
		if code != http.StatusOK {
			return fmt.Errorf("%d: %s", code, body)
		}
		return nil
	})
	return p
}

// request makes a request with a token.
func (p *pageOf) request(ctx context.Context, method, url, token string, headers ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	// The page signs its own certificate unless it is given one.
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableKeepAlives: true}} //nolint:gosec // see above
	return c.Do(r)
}

func (p *pageOf) get(ctx context.Context, base, path, token string, headers ...string) (int, string) {
	resp, err := p.request(ctx, http.MethodGet, base+path, token, headers...)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

// jobs are those that the page shows, "namespace/name", once they are as many as wanted; or
// after a while. ended is closed when the page ends the stream.
func (p *pageOf) jobs(t *testing.T, base, token string, want int, headers ...string) (shown []string, ended <-chan struct{}) {
	t.Helper()
	resp, err := p.request(t.Context(), http.MethodGet, base+"/api/jobs", token, headers...) //nolint:bodyclose // closed by the goroutine that reads it
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		t.Fatalf("the list answers %s: %s", resp.Status, body)
	}
	rows, over := make(chan string), make(chan struct{})
	go func() {
		defer close(over)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			data, found := strings.CutPrefix(lines.Text(), "data: ")
			if !found {
				continue
			}
			var update struct {
				Rows []struct {
					Namespace string `json:"namespace"`
					Name      string `json:"name"`
				} `json:"rows"`
			}
			if json.Unmarshal([]byte(data), &update) != nil {
				return
			}
			for _, r := range update.Rows {
				select {
				case rows <- r.Namespace + "/" + r.Name:
				case <-t.Context().Done():
					return
				case <-time.After(patience):
				}
			}
		}
	}()
	late := time.After(patience)
	for len(shown) < want {
		select {
		case r := <-rows:
			if !slices.Contains(shown, r) {
				shown = append(shown, r)
			}
		case <-late:
			t.Fatalf("the page shows %v, want %d jobs", shown, want)
		}
	}
	// What should not be there would come with the rest, or soon after.
	for soon := time.After(time.Second); ; {
		select {
		case r := <-rows:
			if !slices.Contains(shown, r) {
				shown = append(shown, r)
			}
			continue
		case <-soon:
		}
		break
	}
	slices.Sort(shown)
	return shown, over
}

// user makes a service account, and returns a token of it.
func user(t *testing.T, namespace, name string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	create(t, account)
	request := &authenticationv1.TokenRequest{}
	if err := cluster.client.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// TestPage runs the page as its manifests have it run, and looks at it as several people.
func TestPage(t *testing.T) {
	apply(t)
	var deployment *appsv1.Deployment
	for _, o := range applyComponent(t, "page") {
		if d, ok := o.(*appsv1.Deployment); ok {
			deployment = d
		}
	}
	for _, namespace := range []string{"page-a", "page-b", "page-c"} {
		create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
		o := job(t, "PyTorchJob", `{pytorchReplicaSpecs: {Worker: {template: {spec: {containers: [{name: pytorch, image: busybox}]}}}}}`)
		o.SetNamespace(namespace)
		o.SetName("job-" + namespace)
		create(t, o)
	}
	viewer := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "jobkit-viewer"}
	subject := func(namespace, name string) []rbacv1.Subject {
		return []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}}
	}
	noRights, one, two, all := user(t, "page-c", "no-rights"), user(t, "page-a", "one"), user(t, "page-c", "two"), user(t, "page-c", "all")
	ofOne := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: "page-a", Name: "one"}, RoleRef: viewer, Subjects: subject("page-a", "one")}
	create(t, ofOne)
	for _, namespace := range []string{"page-a", "page-b"} {
		create(t, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "two"}, RoleRef: viewer, Subjects: subject("page-c", "two")})
	}
	create(t, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "page-all"}, RoleRef: viewer, Subjects: subject("page-c", "all")})
	p := startPage(t, deployment)

	const about = "/api/about"
	for _, c := range []struct {
		reason, token string
		headers       []string
		code          int
		says          string
	}{
		{"whoever has no token sees nothing, though the page's own kubeconfig is an administrator's", "", nil, http.StatusUnauthorized, "no bearer token"},
		{"a token that the API server does not know", "nonsense", nil, http.StatusUnauthorized, "does not accept the token"},
		{"a known user without rights", noRights, nil, http.StatusForbidden, "jobkit-viewer"},
		{"a namespace in which the user has no rights", one, []string{"Jobkit-Namespaces", "page-b"}, http.StatusForbidden, "page-b"},
		{"a name that is no namespace", one, []string{"Jobkit-Namespaces", "../../x"}, http.StatusBadRequest, "no namespace"},
		{"another site", all, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusBadRequest, "other sites"},
		{"a user with rights", one, nil, http.StatusOK, `"readOnly":true`},
	} {
		code, body := p.get(t.Context(), p.secure, about, c.token, c.headers...)
		if code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s, want %d %s", c.reason, code, body, c.code, c.says)
		}
	}
	for reason, c := range map[string]struct {
		token, namespaces string
		want              []string
	}{
		"the own namespace of a service account, the only one it may see": {one, "", []string{"page-a/job-page-a"}},
		"two namespaces, by their names, and not the third":               {two, "page-a, page-b, page-c", []string{"page-a/job-page-a", "page-b/job-page-b"}},
	} {
		shown, _ := p.jobs(t, p.secure, c.token, len(c.want), "Jobkit-Namespaces", c.namespaces)
		if diff := cmp.Diff(c.want, shown); diff != "" {
			t.Errorf("%s (-want +got):\n%s", reason, diff)
		}
	}
	shown, _ := p.jobs(t, p.plain, all, 3, "Sec-Fetch-Site", "same-origin")
	for _, want := range []string{"page-a/job-page-a", "page-b/job-page-b", "page-c/job-page-c"} {
		if !slices.Contains(shown, want) {
			t.Errorf("whoever may see all namespaces sees %v", shown)
		}
	}

	const path = "/api/jobs/pytorchjobs.v1.kubeflow.org/page-b/job-page-b"
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		resp, err := p.request(t.Context(), method, p.secure+path+"/delete", all)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s answers %s: nothing may be changed here", method, resp.Status)
		}
	}
	if code, _ := p.get(t.Context(), p.plain, about, all, "Jobkit-Token", all, "Authorization", "Basic x"); code != http.StatusOK {
		t.Errorf("a token in the page's own header: %d, want 200: the API server's proxy takes Authorization for itself", code)
	}

	// Whoever loses their rights sees nothing from then on, in an open page too.
	_, ended := p.jobs(t, p.secure, one, 1)
	if err := cluster.client.Delete(t.Context(), ofOne); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("a stream goes on although the rights are gone")
	}
	eventually(t, "the user is refused", func(ctx context.Context) error {
		if code, body := p.get(ctx, p.secure, about, one); code != http.StatusForbidden {
			return fmt.Errorf("%d: %s", code, body)
		}
		return nil
	})

	// The page itself may do nothing.
	for _, what := range []authorizationv1.ResourceAttributes{
		{Verb: "list", Group: "kubeflow.org", Resource: "pytorchjobs"},
		{Verb: "list", Resource: "pods"},
		{Verb: "get", Resource: "secrets"},
		{Verb: "create", Group: "authentication.k8s.io", Resource: "tokenreviews"},
	} {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: "system:serviceaccount:" + home + ":jobkit-page", Groups: []string{"system:serviceaccounts", "system:authenticated"}, ResourceAttributes: &what,
		}}
		create(t, review)
		if review.Status.Allowed {
			t.Errorf("the service account of the page may %s %s", what.Verb, what.Resource)
		}
	}
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{noRights, one, two, all} {
		if strings.Contains(string(text), token) {
			t.Error("a token is in the log")
		}
	}
}
