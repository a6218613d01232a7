//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// freeze refuses the new pods of jobs of a name in a namespace, as a maintenance policy
// does, with the default reason of a policy.
func freeze(t *testing.T, ns string) (end func()) {
	t.Helper()
	policy := &admissionregistrationv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "freeze-" + ns}}
	policy.Spec = admissionregistrationv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: new(admissionregistrationv1.Fail),
		MatchConstraints: &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
		}}}},
		Validations: []admissionregistrationv1.Validation{{Expression: "!object.metadata.name.startsWith('frozen')", Message: "no new pods during maintenance"}},
	}
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: policy.Name}}
	binding.Spec = admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: policy.Name, ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		MatchResources: &admissionregistrationv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: ns}}},
	}
	create(t, policy)
	create(t, binding)
	eventually(t, "the policy is in force", func(ctx context.Context) string {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "frozen-probe"}}
		pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "x"}}
		if err := cluster.client.Create(ctx, pod, client.DryRunAll); !apierrors.IsInvalid(err) {
			return "a pod is not refused as invalid: " + fmt.Sprint(err)
		}
		return ""
	})
	return func() {
		for _, o := range []client.Object{binding, policy} {
			if err := cluster.client.Delete(context.WithoutCancel(t.Context()), o); client.IgnoreNotFound(err) != nil {
				t.Error(err)
			}
		}
	}
}

// TestAdmissionPolicy: a policy refuses a pod of a running job, with the code and reason
// of an invalid object. The job is stalled until the policy is gone, and never fails.
func TestAdmissionPolicy(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "frozen", nil, replicas(2))
	create(t, job)
	waitFor(t, job, commonv1.JobRunning)
	end := freeze(t, ns)
	defer end()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "frozen-worker-1"}}
	if err := cluster.client.Delete(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	waitFor(t, job, commonv1.JobStalled)
	c := job.Status.Condition(commonv1.JobStalled)
	if c.Reason != "TestJobCreateRefused" || !strings.Contains(c.Message, "denied request: no new pods during maintenance") {
		t.Errorf("the job says what the policy says: %s", conditions(job))
	}
	end()
	waitFor(t, job, commonv1.JobRunning)
}

// TestUpdateRefused: an edit asks for a service that is not valid. The job is stalled
// with the server's words, once, and continues when it is edited again.
func TestUpdateRefused(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	job := newJob(ns, "refused", nil, replicas(1))
	create(t, job)
	waitFor(t, job, commonv1.JobRunning)
	ports := func(list ...corev1.ContainerPort) {
		update(t, job, func(j *testv1.TestJob) {
			j.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Containers[0].Ports = list
		})
	}
	ports(corev1.ContainerPort{Name: "Bad_Name", ContainerPort: 1234})
	waitFor(t, job, commonv1.JobStalled)
	c := *job.Status.Condition(commonv1.JobStalled)
	if !strings.Contains(c.Message, "cannot update service refused: ") || !strings.Contains(c.Message, "Bad_Name") {
		t.Errorf("the job says what the API server says: %s", conditions(job))
	}
	version := job.ResourceVersion
	select {
	case <-time.After(3 * time.Second): // in which it was written 300 times
	case <-t.Context().Done():
	}
	if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
	if job.ResourceVersion != version {
		t.Errorf("the job is written again and again: %s", conditions(job))
	}
	recorded := func() (n int) {
		for _, e := range events(t, job) {
			if strings.Contains(e, "cannot update service") {
				n++
			}
		}
		return n
	}
	// The operator writes the events of all tests one after the other.
	eventually(t, "the event is written", func(context.Context) string {
		if recorded() == 0 {
			return fmt.Sprintf("got %q", events(t, job))
		}
		return ""
	})
	if recorded() != 1 {
		t.Errorf("want one event, got %q", events(t, job))
	}
	ports()
	waitFor(t, job, commonv1.JobRunning)
}

// TestTooLargePod checks the answers of a real API server, and of its store, to a pod that is
// too large: the controller knows both.
func TestTooLargePod(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	for _, size := range []int{1800 << 10, 2200 << 10, 4 << 20} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "large"}}
		pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "x", Env: []corev1.EnvVar{{Name: "TF_CONFIG", Value: strings.Repeat("x", size)}}}}
		err := cluster.client.Create(t.Context(), pod)
		if err == nil {
			t.Fatalf("a pod of %d bytes is admitted", size)
		}
		if m := err.Error(); !apierrors.IsRequestEntityTooLargeError(err) &&
			!strings.Contains(m, "etcdserver: request is too large") && !strings.Contains(m, "trying to send message larger than max") {
			t.Errorf("%d bytes: an answer that the controller does not know: %.300s", size, m)
		}
		t.Logf("%d bytes: %.200s", size, err.Error())
	}
}
