//go:build integration

package progress

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
)

// TestHang: a job whose program reports no more is restarted once. A job that goes on to report
// is not, through a restart of the operator, nor is one that never reported and has no limit for
// that.
func TestHang(t *testing.T) {
	const limit = "{stallTimeoutSeconds: 30, action: RestartJob}"
	apply(t)
	api, behind := count(t), newService(t)
	first := startReplica(t, behind, api)
	namespace(t, "hangs")
	hung, pod := job(t, "hangs", "hung", limit)
	lively, livelyPod := job(t, "hangs", "lively", limit)
	silent, _ := job(t, "hangs", "silent", limit)
	alive := mount(t, livelyPod)
	report(t, mount(t, pod), "10")

	next := &corev1.Pod{}
	n, killed := 0, false
	eventually(t, "the job that hangs is restarted", func(ctx context.Context) error {
		if n++; n%20 == 0 { // every two seconds, more or less
			report(t, alive, strconv.Itoa(min(n/20, 99)))
		}
		if n == 60 && !killed {
			killed = true
			first.kill(t) // Its successor judges by the reports in the status, and by how long it runs itself.
			startReplica(t, behind, api)
		}
		if err := cluster.client.Get(ctx, client.ObjectKey{Namespace: "hangs", Name: pod.Name}, next); err != nil {
			return err
		}
		if next.Labels[commonv1.AttemptLabel] != "1" || next.Status.Phase != corev1.PodRunning {
			return errNotYet
		}
		return nil
	})
	report(t, mount(t, next), "100")
	ends(t, next)
	now := &kubeflowv1.TFJob{}
	eventually(t, "it finishes", func(ctx context.Context) error {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(hung), now); err != nil {
			return err
		}
		if now.Status.State != commonv1.JobSucceeded {
			return fmt.Errorf("its state is %s", now.Status.State)
		}
		return nil
	})
	if s := now.Status; s.Restarts != 1 || s.TrainerStatus == nil || *s.TrainerStatus.ProgressPercentage != 100 || !recorded(t, &s, "Hung") {
		t.Errorf("the status is %+v, want one restart, for the reason Hung, and 100 %%", s)
	}
	for _, j := range []*kubeflowv1.TFJob{lively, silent} {
		if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(j), now); err != nil {
			t.Fatal(err)
		}
		if now.Status.Restarts != 0 {
			t.Errorf("%s was restarted, but it does not hang", j.Name)
		}
	}
}

// recorded reports whether the failures in a status have one with a reason.
func recorded(t *testing.T, s *commonv1.JobStatus, reason string) bool {
	t.Helper()
	text, err := json.Marshal(s.Failures)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), `"`+reason+`"`)
}

// report has the client program report a percentage.
func report(t *testing.T, m mounted, percent string) {
	t.Helper()
	if out, err := m.client(t.Context(), cluster.reporter, percent); err != nil {
		t.Errorf("the client says %s: %v", out, err)
	}
}

// ends does what the kubelet does when the program of a pod ends well.
func ends(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	name := pod.Spec.Containers[0].Name
	patch := fmt.Sprintf(`{"status":{"phase":"Succeeded","containerStatuses":[{"name":%q,"image":"busybox","imageID":"","ready":false,"restartCount":0,
		"state":{"running":null,"terminated":{"exitCode":0,"reason":"Completed"}}}]}}`, name)
	if err := cluster.client.Status().Patch(t.Context(), pod, client.RawPatch(types.StrategicMergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
}
