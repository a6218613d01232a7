//go:build integration

package kinds

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const withClaims = `
apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: job}
spec:
  pytorchReplicaSpecs:
    Worker:
      replicas: 2
      restartPolicy: ExitCode
      volumeClaimTemplates:
      - metadata: {name: data, labels: {tier: fast}}
        spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
      persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Delete}
      template:
        spec:
          containers: [{name: pytorch, image: registry.example.com/train:v1}]`

// claims are the volume claims of a job that are not being deleted.
func (j *job) claims(ctx context.Context, t *testing.T) map[string]types.UID {
	t.Helper()
	var list corev1.PersistentVolumeClaimList
	if err := cluster.client.List(ctx, &list, client.InNamespace(j.namespace)); err != nil && ctx.Err() == nil {
		t.Error(err)
	}
	claims := map[string]types.UID{}
	for i := range list.Items {
		if list.Items[i].DeletionTimestamp == nil {
			claims[list.Items[i].Name] = list.Items[i].UID
		}
	}
	return claims
}

// awaitClaims waits until a job has exactly these volume claims.
func (j *job) awaitClaims(t *testing.T, names ...string) map[string]types.UID {
	t.Helper()
	var claims map[string]types.UID
	eventually(t, fmt.Sprintf("the claims are %v", names), func(ctx context.Context) string {
		claims = j.claims(ctx, t)
		for _, name := range names {
			if claims[name] == "" {
				return fmt.Sprintf("%v", claims)
			}
		}
		if len(claims) != len(names) {
			return fmt.Sprintf("%v", claims)
		}
		return ""
	})
	return claims
}

// TestVolumeClaims: each replica has a claim of its own, which its next pod uses too; the claim
// goes when its replica is scaled away, and with the job.
func TestVolumeClaims(t *testing.T) {
	t.Parallel()
	j := submit(t, kindOf("PyTorchJob"), withClaims)
	worker := func(i int) string { return fmt.Sprintf("%s-worker-%d", j.name, i) }
	first := j.awaitClaims(t, "data-"+worker(0), "data-"+worker(1))
	j.awaitCounts(t, map[string]counts{"Worker": {active: 2}})
	var pod corev1.Pod // The cache holds no volumes.
	if err := cluster.client.Get(t.Context(), client.ObjectKey{Namespace: j.namespace, Name: worker(0)}, &pod); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.Name == "data" && v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == "data-"+worker(0)
	}) {
		t.Errorf("the volumes of %s are %+v, want one of its claim", worker(0), pod.Spec.Volumes)
	}
	j.end(t, 137, worker(0))
	eventually(t, "worker 0 has a new pod", func(ctx context.Context) string {
		if again := j.pods(ctx, t)[worker(0)]; again.UID == pod.UID || again.Status.Phase != corev1.PodRunning {
			return string(again.Status.Phase)
		}
		return ""
	})
	again := j.awaitClaims(t, "data-"+worker(0), "data-"+worker(1))
	if again["data-"+worker(0)] != first["data-"+worker(0)] {
		t.Errorf("after a restart %s has another claim", worker(0))
	}
	j.patch(t, `{"spec": {"pytorchReplicaSpecs": {"Worker": {"replicas": 1}}}}`)
	j.awaitClaims(t, "data-"+worker(0))
	if err := cluster.client.Delete(t.Context(), j.shell(), client.PropagationPolicy("Background")); err != nil {
		t.Fatal(err)
	}
	j.awaitClaims(t)
}

// TestVolumeClaimsThatAreNotValid: the API server refuses what contradicts itself.
func TestVolumeClaimsThatAreNotValid(t *testing.T) {
	t.Parallel()
	j := submit(t, kindOf("PyTorchJob"), withClaims)
	err := cluster.client.Patch(t.Context(), j.shell(), mergePatch(t,
		`{"spec": {"pytorchReplicaSpecs": {"Worker": {"persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenFinished": "Delete"}}}}}`))
	const want = "whenScaled, whenSuspended and whenFinished can be Delete only where whenDeleted is Delete: set whenDeleted to Delete, or remove them"
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}
