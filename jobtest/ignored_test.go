package jobtest

import (
	"context"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestIgnoredRestartsOfAll: failures that a rule ignores restart several replicas together, and
// count against no limit. The checks of the World know that.
func TestIgnoredRestartsOfAll(t *testing.T) {
	for _, scope := range []commonv1.RestartScope{commonv1.RestartScopeJob, commonv1.RestartScopeRole} {
		t.Run(string(scope), func(t *testing.T) {
			w := story(t, Options{Nodes: 4, Fate: func(*corev1.Pod) Fate { return Fate{Start: time.Second, Run: time.Minute} }},
				newJob("j", 2, func(j *testv1.TestJob) {
					j.Spec.RunPolicy.RestartScope = &scope
					j.Spec.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{{
						Action:          commonv1.PodFailurePolicyActionIgnore,
						OnPodConditions: []batchv1.PodFailurePolicyOnPodConditionsPattern{{Type: corev1.DisruptionTarget}},
					}}}
				}))
			w.At(10*time.Second, "a node goes", func(ctx context.Context, c client.Client) error {
				pod := &corev1.Pod{}
				if err := c.Get(ctx, types.NamespacedName{Namespace: "default", Name: "j-worker-0"}, pod); err != nil {
					return err
				}
				w.RemoveNode(pod.Spec.NodeName)
				return nil
			})
			pass(t, w, 5*time.Minute)
			if got := read(t, w, "j"); got.Status.Restarts != 0 || got.Status.State != commonv1.JobSucceeded || len(got.Status.Failures) != 1 {
				t.Errorf("the job is %s with %d restarts and %d failures\n%s", got.Status.State, got.Status.Restarts, len(got.Status.Failures), w.Transcript())
			}
		})
	}
}
