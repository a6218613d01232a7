//go:build integration

package kinds

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestRestricted: in a namespace that enforces the restricted Pod Security Standard, jobs of all
// kinds get all their pods if their templates fit it, those with added init containers too.
func TestRestricted(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		t.Run(k.kind+k.shape, func(t *testing.T) {
			t.Parallel()
			ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "restricted-", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
			create(t, ns)
			j := submitTo(t, k, ns.Name, strings.ReplaceAll(k.manifest(manifest{}), "            command: [train]", `            command: [train]
            securityContext:
              allowPrivilegeEscalation: false
              capabilities: {drop: [ALL]}
              runAsNonRoot: true
              runAsUser: 1000
              seccompProfile: {type: RuntimeDefault}`))
			pods, _ := k.names(2)
			eventually(t, "the pods", func(ctx context.Context) string {
				if got := len(j.pods(ctx, t)); got != len(pods) {
					return fmt.Sprintf("%d pods, want %d; %v", got, len(pods), conditions(j.status(ctx, t)))
				}
				return ""
			})
		})
	}
}
