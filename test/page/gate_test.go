//go:build integration

package page

import (
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit/internal/kinds"
	"github.com/jobkit/jobkit/internal/page/gate"
)

// token makes a service account that may do what a ClusterRole says, and returns a token of it.
func token(t *testing.T, name, role string) string {
	t.Helper()
	resource := func(group, of string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: group, Version: "v1", Resource: of}
	}
	account := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ServiceAccount", "metadata": map[string]any{"name": name, "namespace": "default"},
	}}
	accounts := world.dynamic.Resource(resource("", "serviceaccounts")).Namespace("default")
	if _, err := accounts.Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if role != "" {
		binding := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": name},
			"roleRef":  map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
			"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": name, "namespace": "default"}},
		}}
		if _, err := world.dynamic.Resource(resource("rbac.authorization.k8s.io", "clusterrolebindings")).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	request := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": map[string]any{"name": name}, "spec": map[string]any{},
	}}
	answer, err := accounts.Create(t.Context(), request, metav1.CreateOptions{}, "token")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := unstructured.NestedString(answer.Object, "status", "token")
	return text
}

// TestInCluster: the page of a cluster asks who its user is, shows what that user may see, and
// has no buttons that change anything.
func TestInCluster(t *testing.T) {
	create(t, pytorch(), "shared", 2, "{}")
	g, err := gate.New(t.Context(), gate.Options{Config: world.config, Kinds: kinds.All(), Cluster: "the dev control plane", Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(g)
	t.Cleanup(func() {
		g.Close()
		server.CloseClientConnections()
		server.Close()
	})
	may, mayNot := token(t, "may", "cluster-admin"), token(t, "may-not", "")
	ctx := browser(t, 1000, 800)
	enter := func(token string) []action {
		return []action{chromedp.SetValue(chromedp.CSS("#token"), token), click(".who button")}
	}
	run(ctx, t, chromedp.Navigate(server.URL), says("Who are you?"), picture(t, "who"))
	run(ctx, t, enter("nonsense")...)
	run(ctx, t, says("does not accept the token"))
	run(ctx, t, enter(mayNot)...)
	run(ctx, t, says("may list no jobs"))
	run(ctx, t, enter(may)...)
	run(ctx, t, says("shared"), says("read-only"), click(`a[href$="/shared"]`), says("What happens next"), says("2 running"),
		until(`[...document.querySelectorAll("[data-action]")].every((b) => b.disabled || b.hidden)`), picture(t, "in-cluster"),
		chromedp.Reload(), says("Who are you?"))
	kept, err := chromedp.Run(ctx, chromedp.Evaluate[bool](
		`[localStorage, sessionStorage].some((s) => Object.values(s).some((v) => v.includes("ey"))) || document.cookie !== ""`))
	if err != nil || kept {
		t.Errorf("a token is stored by the browser: %v", err)
	}
}
