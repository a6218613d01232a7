package steer_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/internal/cli/jobs"
	"github.com/jobkit/jobkit/internal/cli/steer"
)

func jaxjobs() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: "jaxjobs"}
}

// cluster has one job, in a state.
func cluster(t *testing.T, labels, state string, suspend bool) (*fake.FakeDynamicClient, *jobs.Found) {
	t.Helper()
	text := "{apiVersion: kubeflow.org/v1, kind: JAXJob, metadata: {name: a, namespace: ns, uid: u, labels: {" + labels + "}}, " +
		"status: {state: " + state + ", conditions: [{type: " + state + ", status: 'True'}]}}"
	u := &unstructured.Unstructured{}
	if data, err := yaml.YAMLToJSON([]byte(text)); err != nil || u.UnmarshalJSON(data) != nil {
		t.Fatal(err)
	}
	if suspend {
		if err := unstructured.SetNestedField(u.Object, true, "spec", "runPolicy", "suspend"); err != nil {
			t.Fatal(err)
		}
	}
	pod := &corev1.Pod{}
	pod.Name, pod.Namespace, pod.UID = "a-worker-0", "ns", "p"
	pod.Labels = map[string]string{"training.kubeflow.org/replica-type": "worker"}
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{jaxjobs(): "JAXJobList"}, u)
	return client, &jobs.Found{Kind: jobs.Kind{Name: "JAXJob", Resource: jaxjobs()}, Object: u, Pods: []*corev1.Pod{pod}}
}

// writes are those that a client made.
func writes(c *fake.FakeDynamicClient) []string {
	var out []string
	for _, a := range c.Actions() {
		switch a := a.(type) {
		case clienttesting.PatchAction:
			out = append(out, "patch "+a.GetName()+" "+string(a.GetPatch()))
		case clienttesting.DeleteActionImpl:
			out = append(out, "delete "+a.GetResource().Resource+" "+a.GetName()+" uid "+string(*a.DeleteOptions.Preconditions.UID))
		}
	}
	return out
}

func TestDo(t *testing.T) {
	t.Parallel()
	const on, off = `patch a {"metadata":{"uid":"u"},"spec":{"runPolicy":{"suspend":true}}}`, `patch a {"metadata":{"uid":"u"},"spec":{"runPolicy":{"suspend":false}}}`
	suspend := func(on bool) func(dynamic.Interface) steer.Do {
		return func(c dynamic.Interface) steer.Do { return steer.Suspend(c, on) }
	}
	restart := func(c dynamic.Interface) steer.Do { return steer.Restart(c) }
	for _, c := range []struct {
		reason, labels, state string
		suspended             bool
		do                    func(dynamic.Interface) steer.Do
		writes                []string
		out, err              string
	}{
		{reason: "suspend", state: "Running", do: suspend(true), writes: []string{on}, out: "JAXJob ns/a suspended\n"},
		{reason: "suspend again", state: "Suspended", suspended: true, do: suspend(true), out: "JAXJob ns/a is suspended already\n"},
		{reason: "resume", state: "Suspended", suspended: true, do: suspend(false), writes: []string{off}, out: "JAXJob ns/a resumed\n"},
		{
			reason: "Kueue undoes it", labels: "kueue.x-k8s.io/queue-name: q", state: "Running", do: suspend(true), writes: []string{on},
			out: "JAXJob ns/a suspended, but Kueue resumes it while it is admitted to the queue q: to hold it, set spec.active of its Workload to false\n",
		},
		{
			reason: "nor does it admit the job", labels: "kueue.x-k8s.io/queue-name: q", state: "Suspended", suspended: true, do: suspend(false),
			writes: []string{off}, out: "JAXJob ns/a resumed, but Kueue suspends it again until it is admitted to the queue q\n",
		},
		{
			reason: "what has ended cannot be steered", state: "Failed", do: suspend(true),
			err: "JAXJob ns/a has failed already, and cannot be suspended: to run it again, submit it again: jobkit run --replace -f FILE",
		},
		{reason: "delete this job, not another of its name", state: "Failed", do: steer.Delete, writes: []string{"delete jaxjobs a uid u"}, out: "JAXJob ns/a deleted\n"},
		{
			reason: "restart: the pods that have not succeeded go", state: "Running", do: restart, writes: []string{"delete pods a-worker-0 uid p"},
			out: "JAXJob ns/a restarted\n",
		},
		{reason: "restart what has ended", state: "Succeeded", do: restart, err: "JAXJob ns/a has succeeded already, and cannot be restarted: to run it again, submit it again: jobkit run --replace -f FILE"},
		{reason: "restart what is suspended", state: "Suspended", suspended: true, do: restart, err: "JAXJob ns/a is suspended: start it with: jobkit resume a"},
		{
			reason: "a restart leaves suspend to the queue", state: "Running", labels: "kueue.x-k8s.io/queue-name: q", do: restart,
			writes: []string{"delete pods a-worker-0 uid p"}, out: "JAXJob ns/a restarted\n",
		},
		{
			reason: "replicas", state: "Running", do: func(c dynamic.Interface) steer.Do { return steer.Restart(c, "worker") },
			writes: []string{"delete pods a-worker-0 uid p"}, out: "JAXJob ns/a: restarted worker-0\n",
		},
		{
			reason: "a replica that there is not", state: "Running", do: func(c dynamic.Interface) steer.Do { return steer.Restart(c, "ps") },
			err: `JAXJob ns/a has no pod of replica "ps": it has worker-0`,
		},
	} {
		client, job := cluster(t, c.labels, c.state, c.suspended)
		var out strings.Builder
		err := steer.Each(t.Context(), &out, []jobs.Found{*job}, c.do(client))
		message := ""
		if err != nil {
			message = err.Error()
		}
		if diff := cmp.Diff([]any{c.writes, c.out, c.err}, []any{writes(client), out.String(), message}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

// TestRestart: what has succeeded stays, and what does not answer is reported.
func TestRestart(t *testing.T) {
	t.Parallel()
	client, job := cluster(t, "", "Running", false)
	job.Pods[0].Status.Phase = corev1.PodSucceeded
	said, err := steer.Restart(client)(t.Context(), job)
	if err != nil || !strings.Contains(said, "nothing to restart") || len(writes(client)) != 0 {
		t.Errorf("a pod that has succeeded stays, got %q, %v, %v", said, err, writes(client))
	}
	job.Pods[0].Status.Phase = corev1.PodRunning
	client.PrependReactor("delete", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("no")
	})
	if said, err := steer.Restart(client)(t.Context(), job); err == nil || err.Error() != "cannot restart JAXJob ns/a: no" {
		t.Errorf("a pod that cannot be deleted: %q, %v", said, err)
	}
	job.Pods, job.NoPods = nil, errors.New("forbidden")
	if said, err := steer.Restart(client)(t.Context(), job); err == nil {
		t.Errorf("pods that may not be listed: %q", said)
	}
}
