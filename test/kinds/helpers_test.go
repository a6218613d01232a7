//go:build integration

package kinds

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// patience is how long a test waits for what must happen. It is generous because
// the machine may be busy; nothing waits longer than it must.
const patience = 3 * time.Minute

// eventually waits until a check returns "", and fails with what it said last.
func eventually(t *testing.T, what string, check func(context.Context) string) {
	t.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		// What is said after the time is up is only that it is up.
		if said := check(ctx); ctx.Err() == nil || said == "" {
			last = said
		}
		return last == "", nil
	})
	if err != nil {
		t.Fatalf("%s: %s", what, last)
	}
}

// create makes an object.
func create(t *testing.T, o client.Object) {
	t.Helper()
	if err := cluster.client.Create(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

// get reads an object from the API server, and reports whether it exists.
func get(ctx context.Context, t *testing.T, ns, name string, o client.Object) bool {
	t.Helper()
	err := cluster.client.Get(ctx, client.ObjectKey{Namespace: ns, Name: name}, o)
	if client.IgnoreNotFound(err) != nil && ctx.Err() == nil {
		t.Error(err)
	}
	return err == nil
}

// namespace makes a namespace. It is not deleted: the cluster ends with the tests.
func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	create(t, ns)
	return ns.Name
}

// job is a job on the API server.
type job struct {
	*kind
	namespace, name string
}

// submit makes a job from a manifest, in a namespace of its own.
func submit(t *testing.T, k *kind, manifest string) *job {
	t.Helper()
	return submitTo(t, k, namespace(t), manifest)
}

func submitTo(t *testing.T, k *kind, ns, manifest string) *job {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &u.Object); err != nil {
		t.Fatalf("the test's manifest: %v\n%s", err, manifest)
	}
	u.SetNamespace(ns)
	create(t, u)
	return &job{kind: k, namespace: ns, name: u.GetName()}
}

// patch changes the job as its user, by a merge patch in YAML.
func (j *job) patch(t *testing.T, patch string) {
	t.Helper()
	if err := cluster.client.Patch(t.Context(), j.shell(), mergePatch(t, patch)); err != nil {
		t.Fatal(err)
	}
}

// shell is an object that names the job.
func (j *job) shell() *unstructured.Unstructured {
	u := j.object()
	u.SetNamespace(j.namespace)
	u.SetName(j.name)
	return u
}

func mergePatch(t *testing.T, patch string) client.Patch {
	t.Helper()
	body, err := yaml.YAMLToJSON([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	return client.RawPatch("application/merge-patch+json", body)
}

// status is the status of the job.
func (j *job) status(ctx context.Context, t *testing.T) *commonv1.JobStatus {
	t.Helper()
	u := j.object()
	if err := cluster.cache.Get(ctx, client.ObjectKeyFromObject(j.shell()), u); err != nil {
		if client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
		return &commonv1.JobStatus{}
	}
	return statusOf(u)
}

func statusOf(u *unstructured.Unstructured) *commonv1.JobStatus {
	var holder struct {
		Status commonv1.JobStatus `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &holder); err != nil {
		panic(err) // the CRD and the type are two things
	}
	return &holder.Status
}

// await waits until the conditions of the job are these, each "<type> <status>
// <reason>: <message>", and returns the status.
func (j *job) await(t *testing.T, want ...string) *commonv1.JobStatus {
	t.Helper()
	var status *commonv1.JobStatus
	eventually(t, "the job has the conditions that it should have, in their order", func(ctx context.Context) string {
		status = j.status(ctx, t)
		return cmp.Diff(want, conditions(status))
	})
	return status
}

// conditions writes the conditions of a job.
func conditions(status *commonv1.JobStatus) []string {
	var out []string
	for _, c := range status.Conditions {
		out = append(out, fmt.Sprintf("%s %s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return out
}

// counts are the active, succeeded and failed replicas.
type counts struct{ active, succeeded, failed int32 }

// awaitCounts waits until the job has these counts of its replicas, and counts of no other
// types.
func (j *job) awaitCounts(t *testing.T, want map[string]counts) {
	t.Helper()
	eventually(t, "the replicas are counted", func(ctx context.Context) string {
		return cmp.Diff(want, countsOf(j.status(ctx, t)), cmp.AllowUnexported(counts{}))
	})
}

func countsOf(status *commonv1.JobStatus) map[string]counts {
	out := map[string]counts{}
	for t, rs := range status.ReplicaStatuses {
		out[string(t)] = counts{rs.Active, rs.Succeeded, rs.Failed}
	}
	return out
}

// pods are the pods of the job's namespace, by name.
func (j *job) pods(ctx context.Context, t *testing.T) map[string]corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := cluster.cache.List(ctx, &list, client.InNamespace(j.namespace)); err != nil {
		t.Error(err)
	}
	out := map[string]corev1.Pod{}
	for _, p := range list.Items {
		out[p.Name] = p
	}
	return out
}

// services are the services of the job's namespace, by name.
func (j *job) services(ctx context.Context, t *testing.T) map[string]corev1.Service {
	t.Helper()
	var list corev1.ServiceList
	if err := cluster.cache.List(ctx, &list, client.InNamespace(j.namespace)); err != nil {
		t.Error(err)
	}
	out := map[string]corev1.Service{}
	for _, s := range list.Items {
		out[s.Name] = s
	}
	return out
}

// awaitObjects waits until the job has these pods and services, and no others.
func (j *job) awaitObjects(t *testing.T, pods, services []string) {
	t.Helper()
	slices.Sort(pods)
	slices.Sort(services)
	want := fmt.Sprintf("pods %v and services %v", pods, services)
	eventually(t, "the pods and services are those that should be there", func(ctx context.Context) string {
		got := fmt.Sprintf("pods %v and services %v", slices.Sorted(maps.Keys(j.pods(ctx, t))), slices.Sorted(maps.Keys(j.services(ctx, t))))
		if got == want {
			return ""
		}
		return "there are " + got + ", want " + want
	})
}

// Pods run until a test ends them: it can first wait for what must have happened before,
// however slow the machine is.

// evict fails a pod as a kubelet under pressure does.
func (j *job) evict(t *testing.T, name string) {
	t.Helper()
	j.report(t, name, func(status *corev1.PodStatus) {
		status.Phase, status.Reason, status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
	})
}

// end ends the containers of pods with an exit code.
func (j *job) end(t *testing.T, exitCode int32, names ...string) {
	t.Helper()
	for _, name := range names {
		j.report(t, name, func(status *corev1.PodStatus) {
			status.Phase = corev1.PodSucceeded
			terminated := &corev1.ContainerStateTerminated{ExitCode: exitCode, Reason: "Completed", FinishedAt: metav1.Now()}
			if exitCode != 0 {
				status.Phase, terminated.Reason = corev1.PodFailed, "Error"
			}
			for i := range status.ContainerStatuses {
				c := &status.ContainerStatuses[i]
				c.Ready, c.State = false, corev1.ContainerState{Terminated: terminated}
			}
		})
	}
}

// report changes the status of a pod as its kubelet.
func (j *job) report(t *testing.T, name string, change func(*corev1.PodStatus)) {
	t.Helper()
	pod := &corev1.Pod{}
	if !get(t.Context(), t, j.namespace, name, pod) {
		t.Fatalf("there is no pod %s", name)
	}
	before := pod.DeepCopy()
	change(&pod.Status)
	if err := cluster.client.Status().Patch(t.Context(), pod, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

// eventReasons are the reasons of the events about the job, sorted, each as often as
// there are different events.
func (j *job) eventReasons(ctx context.Context, t *testing.T) []string {
	t.Helper()
	u := j.object()
	get(ctx, t, j.namespace, j.name, u)
	var list corev1.EventList
	if err := cluster.client.List(ctx, &list, client.InNamespace(j.namespace)); err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, e := range list.Items {
		if e.InvolvedObject.Kind == j.kind.kind && e.InvolvedObject.UID == u.GetUID() {
			out = append(out, e.Reason)
		}
	}
	slices.Sort(out)
	return out
}

// histories remembers every version of the status of every job. A watch that begins
// again may bring versions that came before; each counts once.
type histories struct {
	mu   sync.Mutex
	jobs map[client.ObjectKey][]*commonv1.JobStatus
	seen map[string]bool // resource versions
}

// OnAdd implements cache.ResourceEventHandler.
func (h *histories) OnAdd(o any, _ bool) { h.add(o) }

// OnUpdate implements cache.ResourceEventHandler.
func (h *histories) OnUpdate(_, o any) { h.add(o) }

// OnDelete implements cache.ResourceEventHandler.
func (*histories) OnDelete(any) {}

func (h *histories) add(o any) {
	u, ok := o.(*unstructured.Unstructured)
	if !ok {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.jobs == nil {
		h.jobs, h.seen = map[client.ObjectKey][]*commonv1.JobStatus{}, map[string]bool{}
	}
	if h.seen[u.GetResourceVersion()] {
		return
	}
	h.seen[u.GetResourceVersion()] = true
	key := client.ObjectKeyFromObject(u)
	h.jobs[key] = append(h.jobs[key], statusOf(u))
}

// history is every status that the job has had.
func (j *job) history() []*commonv1.JobStatus {
	cluster.histories.mu.Lock()
	defer cluster.histories.mu.Unlock()
	return slices.Clone(cluster.histories.jobs[client.ObjectKeyFromObject(j.shell())])
}

// states are the conditions that the job has had, as "Created+ Running-", in the
// order of time.
func (j *job) states() []string {
	var out []string
	for _, s := range j.history() {
		var words []string
		for _, c := range s.Conditions {
			words = append(words, string(c.Type)+map[corev1.ConditionStatus]string{corev1.ConditionTrue: "+", corev1.ConditionFalse: "-"}[c.Status])
		}
		if line := strings.Join(words, " "); line != "" && (len(out) == 0 || out[len(out)-1] != line) {
			out = append(out, line)
		}
	}
	return out
}

// checkStates checks which conditions the job has had since it ran. Whether the condition
// Created was seen before depends on how fast that was.
func (j *job) checkStates(t *testing.T, want ...string) {
	t.Helper()
	eventually(t, "the conditions over time", func(context.Context) string {
		got := j.states()
		if len(got) > 0 && got[0] == "Created+" {
			got = got[1:]
		}
		return cmp.Diff(want, got)
	})
}

// checkRestartedOnce checks the conditions over time of a job that was restarted once, in
// part or as a whole: it is Running beside Restarting while the deciding replicas run.
func (j *job) checkRestartedOnce(t *testing.T, whole bool) {
	t.Helper()
	const both = "Created+ Running+ Restarting+"
	eventually(t, "the conditions over time", func(context.Context) string {
		got := j.states()
		if len(got) > 0 && got[0] == "Created+" {
			got = got[1:]
		}
		switch {
		case len(got) == 4 && got[1] == restartedOnce[1] && got[2] == both: // Some ran before all did.
			got = slices.Delete(slices.Clone(got), 2, 3)
		case len(got) == 3 && got[1] == both && !whole: // Others ran all the time.
			got = []string{got[0], restartedOnce[1], got[2]}
		}
		return cmp.Diff(restartedOnce, got)
	})
}

// text is a value as JSON.
func text(t *testing.T, v any) string {
	t.Helper()
	out, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
