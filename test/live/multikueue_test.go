//go:build live

package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// pair is a control plane whose jobs run on another.
type pair struct {
	manager, worker *world
	line            *line
}

// TestMultiKueue creates jobs on one control plane, which run on another. Both have Kueue and the
// operator.
func TestMultiKueue(t *testing.T) {
	c := pair{worker: startKueue(t, "a", "a", "a"), manager: startKueue(t, "a", "a", "a")}
	c.connect(t)
	t.Run("jobs", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T, pair){
			"Kinds": multiKueueKinds, "JAXJob": multiKueueJAXJob, "Failure": multiKueueFailure, "Deletion": multiKueueDeletion,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, c)
			})
		}
	})
	t.Run("Away", func(t *testing.T) { multiKueueAway(t, c) }) // nothing else runs meanwhile
}

// connect makes the worker known to the manager.
func (c *pair) connect(t *testing.T) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(c.worker.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range config.Clusters {
		c.line = newLine(t, strings.TrimPrefix(cluster.Server, "https://"))
		cluster.Server = "https://" + c.line.Addr().String()
	}
	text, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	c.manager.create(t, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kueue-system", Name: "worker"}, Data: map[string][]byte{"kubeconfig": text},
	})
	c.manager.apply(t, strings.NewReplacer("VERSION", kueueVersion).Replace(`
{apiVersion: VERSION, kind: MultiKueueCluster, metadata: {name: worker}, spec: {clusterSource: {kubeConfig: {locationType: Secret, location: worker}}}}
---
{apiVersion: VERSION, kind: MultiKueueConfig, metadata: {name: workers}, spec: {clusters: [worker]}}
---
apiVersion: VERSION
kind: AdmissionCheck
metadata: {name: elsewhere}
spec:
  controllerName: kueue.x-k8s.io/multikueue
  parameters: {apiGroup: kueue.x-k8s.io, kind: MultiKueueConfig, name: workers}
`))
	c.connected(t, metav1.ConditionTrue)
	c.manager.active(t, "AdmissionCheck", "elsewhere", metav1.ConditionTrue)
}

// connected waits until the manager says that it reaches the worker, or does not.
func (c *pair) connected(t *testing.T, want metav1.ConditionStatus) {
	t.Helper()
	c.manager.active(t, "MultiKueueCluster", "worker", want)
}

// active waits until the condition Active of an object of Kueue has a status.
func (w *world) active(t *testing.T, kind, name string, want metav1.ConditionStatus) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s %s is Active=%s", kind, name, want), func() error {
		u := &unstructured.Unstructured{}
		u.SetAPIVersion(kueueVersion)
		u.SetKind(kind)
		u.SetName(name)
		w.get(t, u)
		var holder struct {
			Status struct {
				Conditions []metav1.Condition `json:"conditions"`
			} `json:"status"`
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &holder); err != nil {
			return err
		}
		if a := meta.FindStatusCondition(holder.Status.Conditions, "Active"); a == nil || a.Status != want {
			return fmt.Errorf("its conditions are %+v", holder.Status.Conditions)
		}
		return nil
	})
}

// queue makes a namespace on both, with a queue that has CPUs.
func (c *pair) queue(t *testing.T, cpus int) string {
	t.Helper()
	ns := c.manager.namespace(t)
	c.manager.queueIn(t, ns, "a", cpus, "elsewhere")
	c.worker.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})
	c.worker.queueIn(t, ns, "a", cpus, "")
	t.Cleanup(func() {
		if t.Failed() {
			c.worker.report(t, ns)
		}
	})
	return ns
}

// elsewhere is the job of the worker that a job of the manager stands for.
func elsewhere(j *unstructured.Unstructured) *unstructured.Unstructured {
	remote := &unstructured.Unstructured{}
	remote.SetGroupVersionKind(j.GroupVersionKind())
	remote.SetNamespace(j.GetNamespace())
	remote.SetName(j.GetName())
	return remote
}

// runs waits until a job runs on the worker and the manager says so, and returns it.
func (c *pair) runs(t *testing.T, j *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	c.manager.says(t, j, commonv1.JobRunning)
	remote := elsewhere(j)
	c.worker.reaches(t, remote, commonv1.JobRunning)
	if !written(remote) {
		t.Errorf("the worker's operator has written nothing: %v", remote.GetManagedFields())
	}
	return remote
}

// written reports whether an operator has written to a job.
func written(j *unstructured.Unstructured) bool {
	return slices.ContainsFunc(j.GetManagedFields(), func(f metav1.ManagedFieldsEntry) bool { return f.Manager == strings.ToLower(j.GetKind())+"-controller" })
}

// left checks that the operator of the manager has done nothing.
func (c *pair) left(t *testing.T, j *unstructured.Unstructured) {
	t.Helper()
	var services corev1.ServiceList
	if err := c.manager.client.List(t.Context(), &services, client.InNamespace(j.GetNamespace())); err != nil {
		t.Fatal(err)
	}
	if pods := c.manager.pods(t, j.GetNamespace()); len(pods)+len(services.Items) > 0 {
		t.Errorf("the manager has %d pods and %d services", len(pods), len(services.Items))
	}
	c.manager.get(t, j)
	if written(j) {
		t.Errorf("the manager's operator has written: %v", j.GetManagedFields())
	}
	var events corev1.EventList
	if err := c.manager.client.List(t.Context(), &events, client.InNamespace(j.GetNamespace())); err != nil {
		t.Fatal(err)
	}
	for _, e := range events.Items {
		if e.InvolvedObject.UID == j.GetUID() && strings.HasPrefix(e.Reason, j.GetKind()) {
			t.Errorf("the manager's operator has said %s: %s", e.Reason, e.Message)
		}
	}
}

// gone waits until the worker has neither a job nor its pods.
func (c *pair) gone(t *testing.T, j *unstructured.Unstructured) {
	t.Helper()
	eventually(t, "the worker has nothing left of "+j.GetName(), func() error {
		remote := elsewhere(j)
		switch err := c.worker.client.Get(t.Context(), client.ObjectKeyFromObject(remote), remote); {
		case err == nil:
			return errors.New("the job exists")
		case !apierrors.IsNotFound(err):
			return err
		}
		for _, p := range c.worker.pods(t, j.GetNamespace()) {
			if p.Labels[commonv1.JobNameLabel] == j.GetName() {
				return fmt.Errorf("the pod %s exists", p.Name)
			}
		}
		return nil
	})
}

// away is what the run policies of the jobs have. Kueue sets it where it is missing.
func away() map[string]any { return map[string]any{"managedBy": commonv1.ManagedByMultiKueue} }

// multiKueueJAXJob: Kueue refuses, on the worker, what its manager creates there for a JAXJob.
func multiKueueJAXJob(t *testing.T, c pair) {
	j := jobSpec{kind: "JAXJob", name: "jaxjob", replicas: map[string]int{"Worker": 2}, labels: queued("")}.job(c.queue(t, 4))
	j.SetAnnotations(map[string]string{"kueue.x-k8s.io/prebuilt-workload-name": "workload"})
	if err := c.worker.client.Create(t.Context(), j); err == nil || !strings.Contains(err.Error(), "Is not supported") {
		t.Errorf("Kueue accepts it now, which the documentation denies: %v", err)
	}
}

// multiKueueKinds: jobs of all kinds but JAXJob run on the worker to their end, and the manager says how.
func multiKueueKinds(t *testing.T, c pair) {
	ns := c.queue(t, 40)
	for kind, replicas := range map[string]map[string]int{
		"TFJob": {"Chief": 1, "Worker": 2}, "PyTorchJob": {"Master": 1, "Worker": 2}, "XGBoostJob": {"Master": 1, "Worker": 2},
		"PaddleJob": {"Master": 1, "Worker": 2},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			j := jobSpec{
				kind: kind, name: strings.ToLower(kind), replicas: replicas, life: lasts("15s"), labels: queued(""), policy: away(),
				replica: map[string]any{"restartPolicy": "ExitCode", "restartScope": "Job"},
			}.job(ns)
			c.manager.create(t, j)
			remote := c.runs(t, j)
			if m, found, _ := unstructured.NestedString(remote.Object, "spec", "runPolicy", "managedBy"); found {
				t.Errorf("the worker's job is managed by %q", m)
			}
			// Kueue copies by its own types of these kinds, and leaves out what they do not have.
			if text, err := json.Marshal(remote.Object["spec"]); err != nil || strings.Contains(string(text), "restartScope") {
				t.Errorf("Kueue copies restartScope now, which the documentation denies (%v): %s", err, text)
			}
			c.manager.says(t, j, commonv1.JobSucceeded)
			c.manager.workload(t, j, "Finished", metav1.ConditionTrue, "Succeeded")
			s := c.manager.status(t, j)
			if s.StartTime == nil || s.CompletionTime == nil || s.ReplicaStatuses["Worker"] == nil {
				t.Errorf("the manager lacks parts of the status: %+v", s)
			}
			c.gone(t, j)
			c.left(t, j)
		})
	}
}

// multiKueueFailure: the manager says what has failed on the worker. Kueue says in the spec who
// manages the job.
func multiKueueFailure(t *testing.T, c pair) {
	ns := c.queue(t, 4)
	first := jobSpec{kind: "PaddleJob", name: "first", replicas: map[string]int{"Master": 1, "Worker": 1}, life: lasts("1s"), labels: queued(""), policy: away()}.job(ns)
	c.manager.create(t, first)
	c.manager.says(t, first, commonv1.JobSucceeded)
	second := jobSpec{
		kind: "PyTorchJob", name: "second", replicas: map[string]int{"Master": 1, "Worker": 1}, labels: queued(""),
		life:    map[string]map[string]string{"": {"run-for": "3s"}, "Worker": {"run-for": "1s", "exit-code": "3"}},
		replica: map[string]any{"restartPolicy": "Never"},
	}.job(ns)
	c.manager.create(t, second)
	if m, _, _ := unstructured.NestedString(second.Object, "spec", "runPolicy", "managedBy"); m != commonv1.ManagedByMultiKueue {
		t.Errorf("the job is managed by %q", m)
	}
	c.manager.says(t, second, commonv1.JobFailed, "second-worker-0")
	c.manager.workload(t, second, "Finished", metav1.ConditionTrue, "Failed")
	c.left(t, second)
}

// multiKueueDeletion: a job that is deleted on the manager ends on the worker, and leaves its room.
func multiKueueDeletion(t *testing.T, c pair) {
	ns := c.queue(t, 2)
	job := func(name, life string) *unstructured.Unstructured {
		j := jobSpec{kind: "XGBoostJob", name: name, replicas: map[string]int{"Master": 1, "Worker": 1}, life: lasts(life), labels: queued(""), policy: away()}.job(ns)
		c.manager.create(t, j)
		return j
	}
	first := job("first", "10m")
	c.runs(t, first)
	second := job("second", "2s")
	c.manager.workload(t, second, "QuotaReserved", metav1.ConditionFalse, "")
	c.left(t, first)
	c.manager.remove(t, first)
	c.gone(t, first)
	c.manager.says(t, second, commonv1.JobSucceeded)
}

// multiKueueAway: the worker cannot be reached for a while, and its jobs go on. Afterwards the
// manager says what has become of them, and what was deleted meanwhile goes.
func multiKueueAway(t *testing.T, c pair) {
	ns := c.queue(t, 10)
	job := func(name, life string) *unstructured.Unstructured {
		j := jobSpec{kind: "PyTorchJob", name: name, replicas: map[string]int{"Master": 1, "Worker": 2}, life: lasts(life), labels: queued(""), policy: away()}.job(ns)
		c.manager.create(t, j)
		return j
	}
	ends, deleted := job("ends", "40s"), job("deleted", "10m")
	remote := c.runs(t, ends)
	c.runs(t, deleted)
	c.line.cut(true)
	c.connected(t, metav1.ConditionFalse)
	c.manager.remove(t, deleted)
	c.worker.reaches(t, remote, commonv1.JobSucceeded)
	stays(t, "the manager knows nothing new", 2*time.Second, func() error {
		if s := c.manager.status(t, ends); s.CompletionTime != nil {
			return fmt.Errorf("the conditions are %+v", s.Conditions)
		}
		return nil
	})
	c.line.cut(false)
	c.connected(t, metav1.ConditionTrue)
	c.manager.says(t, ends, commonv1.JobSucceeded)
	want, got := c.manager.status(t, ends).CompletionTime, remote.Object["status"].(map[string]any)["completionTime"]
	if diff := cmp.Diff(want.UTC().Format(time.RFC3339), got); diff != "" {
		t.Errorf("the completion time (-manager +worker):\n%s", diff)
	}
	c.gone(t, ends)
	c.gone(t, deleted)
	c.left(t, ends)
	c.manager.keptRoom(t, ends)
}

// line leads to an API server, and can be cut.
type line struct {
	net.Listener
	target string

	mu    sync.Mutex
	isCut bool
	open  map[net.Conn]bool
}

func newLine(t *testing.T, target string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{Listener: listener, target: target, open: map[net.Conn]bool{}}
	go l.serve()
	t.Cleanup(func() {
		_ = listener.Close()
		l.cut(true)
	})
	return l
}

// cut ends all connections and lets no new ones through, or does.
func (l *line) cut(yes bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = yes
	for c := range l.open {
		_ = c.Close()
	}
	clear(l.open)
}

// serve takes connections until the listener is closed.
func (l *line) serve() {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp", l.target)
		if err != nil || !l.keeps(near, far) {
			_ = near.Close()
			if far != nil {
				_ = far.Close()
			}
			continue
		}
		for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
			go func() {
				_, _ = io.Copy(way[0], way[1])
				_ = way[0].Close()
			}()
		}
	}
}

// keeps notes connections to be closed when the line is cut, unless it is.
func (l *line) keeps(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		if !l.isCut {
			l.open[c] = true
		}
	}
	return !l.isCut
}
