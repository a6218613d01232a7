//go:build integration

package integration

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestOwnedByAnEarlierVersion: when a kind gets a new version, the pods of running jobs name the old one
// as that of their owner. They are still the job's pods.
func TestOwnedByAnEarlierVersion(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "job", replicas(1), replicas(2))
	create(t, job)
	waitForCounts(t, job, testv1.Worker, commonv1.ReplicaStatus{Active: 2})
	uids := func() map[string]types.UID {
		out := map[string]types.UID{}
		for name, pod := range pods(t.Context(), t, ns) {
			out[name] = pod.UID
		}
		return out
	}
	before := uids()
	earlier := client.RawPatch(types.JSONPatchType,
		[]byte(`[{"op":"replace","path":"/metadata/ownerReferences/0/apiVersion","value":"`+testv1.GroupVersion.Group+`/v0"}]`))
	for _, name := range []string{"job-master-0", "job-worker-0", "job-worker-1"} {
		pod := &corev1.Pod{}
		pod.Namespace, pod.Name = ns, name
		if err := cluster.client.Patch(t.Context(), pod, earlier); err != nil {
			t.Fatal(err)
		}
	}
	finish(t, ns, "job-worker-0")
	waitForCounts(t, job, testv1.Worker, commonv1.ReplicaStatus{Active: 1, Succeeded: 1})
	if diff := cmp.Diff(before, uids()); diff != "" {
		t.Errorf("the pods are those of before (-before +after):\n%s", diff)
	}
	finish(t, ns, "job-master-0")
	waitFor(t, job, commonv1.JobSucceeded)
}
