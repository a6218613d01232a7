//go:build integration

package operator

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestSecureMetrics: with the component secure-metrics a service account reads the metrics if it
// is bound to the role for readers, and no one else does.
func TestSecureMetrics(t *testing.T) {
	apply(t)
	applyComponent(t, "secure-metrics")
	create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "prometheus-reads-metrics"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "jobkit-operator-metrics-reader"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: home, Name: "prometheus"}},
	})
	p := start(t, "--metrics-secure")
	for _, tt := range []struct {
		reason, token string
		code          int
	}{
		{"no token", "", http.StatusUnauthorized},
		{"a token that no one issued", "abc", http.StatusUnauthorized},
		{"a service account without the right", tokenOf(t, "curious"), http.StatusForbidden},
		{"one with it", tokenOf(t, "prometheus"), http.StatusOK},
	} {
		eventually(t, tt.reason, func(ctx context.Context) error { return p.metricsAnswer(ctx, tt.token, tt.code) })
	}
	p.ends(t)
	if log := p.log(); strings.Contains(log, "forbidden") || strings.Contains(log, "DATA RACE") {
		t.Errorf("the operator lacks permissions, or has a data race:\n%s", log)
	}
}

// tokenOf makes a service account, and a token of it.
func tokenOf(t *testing.T, name string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: home, Name: name}}
	create(t, account)
	request := &authenticationv1.TokenRequest{}
	if err := cluster.client.SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// metricsAnswer reads the metrics with a token, and wants the answer to have a code.
func (p *process) metricsAnswer(ctx context.Context, token string, code int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+p.metrics+"/metrics", http.NoBody)
	if err != nil {
		return err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	self := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // it signs its certificate itself
	defer self.CloseIdleConnections()
	resp, err := self.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != code || (code == http.StatusOK) != strings.Contains(string(text), "leader_election_master_status")) {
		err = fmt.Errorf("the answer is %d, want %d", resp.StatusCode, code)
	}
	return err
}
