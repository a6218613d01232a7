//go:build live

package live

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

const (
	rackLabel         = "example.com/rack"
	requiredTopology  = "kueue.x-k8s.io/podset-required-topology"
	preferredTopology = "kueue.x-k8s.io/podset-preferred-topology"
	// third is what a pod wants of which three fit on a node of 64 CPUs; of half only one does.
	third, half = "20", "40"
)

// topologyPools are the pools of the nodes in racks: two racks of two nodes in each.
var topologyPools = []string{
	"kinds", "kinds", "kinds", "kinds", "room", "room", "room", "room", "again", "again", "again", "again", "one", "one", "one", "one",
}

// topology says in which block and rack the nodes of these pools are, and makes a flavor of each
// block.
func (w *world) topology(t *testing.T, pools []string) {
	t.Helper()
	racks := make([]string, len(pools))
	for i := range racks {
		racks[i] = fmt.Sprintf("%s-%d", pools[i], (i-slices.Index(pools, pools[i]))/2)
	}
	w.label(t, "example.com/block", pools...)
	w.label(t, rackLabel, racks...)
	w.apply(t, strings.NewReplacer("VERSION", kueueVersion).Replace(`
apiVersion: VERSION
kind: Topology
metadata: {name: cluster}
spec:
  levels: [{nodeLabel: example.com/block}, {nodeLabel: example.com/rack}, {nodeLabel: kubernetes.io/hostname}]
`))
	for _, pool := range slices.Compact(slices.Clone(topologyPools)) {
		w.apply(t, strings.NewReplacer("VERSION", kueueVersion, "POOL", pool).Replace(
			`{apiVersion: VERSION, kind: ResourceFlavor, metadata: {name: POOL}, spec: {nodeLabels: {pool: POOL}, topologyName: cluster}}`))
	}
}

// inRacks are the annotations of templates whose pods want to be in one rack.
func inRacks(annotation string) map[string]map[string]string {
	return map[string]map[string]string{"annotations": {annotation: rackLabel}}
}

// placed waits until a job has as many pods with a node, and returns them in the order of type and
// index. All have lost their gate and run where Kueue says.
func (w *world) placed(t *testing.T, j *unstructured.Unstructured, want int) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	eventually(t, fmt.Sprintf("%d pods of %s have a node", want, j.GetName()), func() error {
		pods = slices.DeleteFunc(w.pods(t, j.GetNamespace()), func(p corev1.Pod) bool {
			return p.Labels[commonv1.JobNameLabel] != j.GetName() || p.Spec.NodeName == "" || p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed
		})
		if len(pods) != want {
			return fmt.Errorf("%d have one", len(pods))
		}
		return nil
	})
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(a.Labels[commonv1.ReplicaTypeLabel], b.Labels[commonv1.ReplicaTypeLabel]),
			cmp.Compare(a.Labels[commonv1.ReplicaIndexLabel], b.Labels[commonv1.ReplicaIndexLabel]))
	})
	for _, p := range pods {
		if host := p.Spec.NodeSelector[corev1.LabelHostname]; host != p.Spec.NodeName || len(p.Spec.SchedulingGates) > 0 {
			t.Errorf("the pod %s is on %s, and Kueue says %q; its gates are %v", p.Name, p.Spec.NodeName, host, p.Spec.SchedulingGates)
		}
	}
	return pods
}

// racks are those in which pods are, by the label of their nodes.
func (w *world) racks(t *testing.T, pods []corev1.Pod) []string {
	t.Helper()
	found := map[string]bool{}
	for _, p := range pods {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: p.Spec.NodeName}}
		w.get(t, node)
		found[node.Labels[rackLabel]] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// ofType are the pods of a replica type.
func ofType(pods []corev1.Pod, typ string) []corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(p corev1.Pod) bool { return p.Labels[commonv1.ReplicaTypeLabel] != strings.ToLower(typ) })
}

// kueueTopology: the pods of each type, or of the whole job where Kueue can group them, are in one
// rack, in the order of their index.
func kueueTopology(t *testing.T, w *world) {
	ns := w.queue(t, "kinds", 10000)
	for _, test := range []struct {
		kind     string
		replicas map[string]int
		meta     map[string]string
		together bool // Kueue groups two pod sets, of which one has one pod; it then goes by no index
	}{
		{kind: "TFJob", replicas: map[string]int{"Chief": 1, "PS": 1, "Worker": 4}},
		{kind: "PyTorchJob", replicas: map[string]int{"Master": 1, "Worker": 4}, meta: map[string]string{"kueue.x-k8s.io/podset-group-name": "all"}, together: true},
		{kind: "XGBoostJob", replicas: map[string]int{"Master": 1, "Worker": 4}},
		{kind: "PaddleJob", replicas: map[string]int{"Master": 1, "Worker": 4}},
		{kind: "JAXJob", replicas: map[string]int{"Worker": 4}},
		{kind: "MPIJob", replicas: map[string]int{"Launcher": 1, "Worker": 4}, meta: map[string]string{
			"kueue.x-k8s.io/pod-group-total-count": "5", "kueue.x-k8s.io/pod-group-pod-index-label": commonv1.ReplicaIndexLabel,
		}},
	} {
		t.Run(test.kind, func(t *testing.T) {
			t.Parallel()
			spec := jobSpec{
				kind: test.kind, name: "racks-" + strings.ToLower(test.kind), cpu: third, replicas: test.replicas, labels: queued(""), meta: inRacks(requiredTopology),
				life: map[string]map[string]string{"": {"run-for": "8s"}, "PS": {"run-for": "10m"}},
			}
			maps.Copy(spec.meta["annotations"], test.meta)
			if test.kind == "MPIJob" { // by the pod integration
				spec.labels, spec.meta["labels"] = nil, map[string]string{queueLabel: "q", "kueue.x-k8s.io/pod-group-name": spec.name}
				spec.life["Worker"] = map[string]string{"run-for": "10m"}
			}
			j, all := spec.job(ns), 0
			w.create(t, j)
			for _, n := range test.replicas {
				all += n
			}
			pods := w.placed(t, j, all)
			if r := w.racks(t, pods); test.together && len(r) != 1 {
				t.Errorf("the pods are in the racks %v, want one", r)
			}
			for typ := range test.replicas {
				if r := w.racks(t, ofType(pods, typ)); len(r) != 1 {
					t.Errorf("the pods of %s are in the racks %v, want one", typ, r)
				}
			}
			byIndex := func(a, b corev1.Pod) int { return cmp.Compare(a.Spec.NodeName, b.Spec.NodeName) }
			if workers := ofType(pods, "Worker"); !test.together && !slices.IsSortedFunc(workers, byIndex) {
				for _, p := range workers {
					t.Errorf("the pod %s is on %s: neighbours by index are not neighbours in the topology", p.Name, p.Spec.NodeName)
				}
			}
			if s := w.reaches(t, j, commonv1.JobSucceeded); s.Restarts != 0 {
				t.Errorf("%d restarts are counted", s.Restarts)
			}
		})
	}
}

// kueueTopologyRoom: a job that fits in no rack waits, and its Workload says why; one that only
// prefers a rack runs in two; the first runs when it is scaled to what fits.
func kueueTopologyRoom(t *testing.T, w *world) {
	ns := w.queue(t, "room", 10000)
	job := func(name, annotation string) *unstructured.Unstructured {
		j := jobSpec{
			kind: "JAXJob", name: name, cpu: half, replicas: map[string]int{"Worker": 3}, life: lasts("4s"), labels: queued(""), meta: inRacks(annotation),
		}.job(ns)
		w.create(t, j)
		return j
	}
	required := job("required", requiredTopology)
	w.workload(t, required, "QuotaReserved", metav1.ConditionFalse, "", `topology "cluster" allows to fit only 2 out of 3 pod(s)`)
	preferred := job("preferred", preferredTopology)
	if r := w.racks(t, w.placed(t, preferred, 3)); len(r) != 2 {
		t.Errorf("the pods that prefer one rack are in %v, want both", r)
	}
	w.reaches(t, preferred, commonv1.JobSucceeded)
	w.waits(t, required, 2*time.Second)
	w.patch(t, required, `{"spec": {"jaxReplicaSpecs": {"Worker": {"replicas": 2}}}}`)
	if r := w.racks(t, w.placed(t, required, 2)); len(r) != 1 {
		t.Errorf("the pods are in the racks %v, want one", r)
	}
	w.reaches(t, required, commonv1.JobSucceeded)
}

// kueueTopologyRestart: when all replicas restart, the new pods get the places of the old ones.
func kueueTopologyRestart(t *testing.T, w *world) {
	ns := w.queue(t, "again", 10000)
	j := jobSpec{
		kind: "PyTorchJob", name: "again", cpu: third, replicas: map[string]int{"Master": 1, "Worker": 4}, labels: queued(""), meta: inRacks(requiredTopology),
		life:    map[string]map[string]string{"": {"run-for": "8s"}, "Worker": {"run-for": "5s", "exit-code": "137", "fail-until-attempt": "1"}},
		replica: map[string]any{"restartPolicy": "ExitCode", "restartScope": "Job"},
	}.job(ns)
	w.create(t, j)
	before := w.placed(t, j, 5)
	eventually(t, "the restart is counted", func() error {
		if s := w.status(t, j); s.Restarts != 1 {
			return fmt.Errorf("%d restarts are counted", s.Restarts)
		}
		return nil
	})
	var after []corev1.Pod
	eventually(t, "all pods are new", func() error {
		after = w.placed(t, j, 5)
		for _, p := range after {
			if slices.ContainsFunc(before, func(old corev1.Pod) bool { return old.UID == p.UID }) {
				return fmt.Errorf("%s is not", p.Name)
			}
		}
		return nil
	})
	for i := range after {
		if after[i].Name != before[i].Name || after[i].Spec.NodeName != before[i].Spec.NodeName {
			t.Errorf("%s on %s follows %s on %s", after[i].Name, after[i].Spec.NodeName, before[i].Name, before[i].Spec.NodeName)
		}
	}
	if s := w.reaches(t, j, commonv1.JobSucceeded); s.Restarts != 1 {
		t.Errorf("%d restarts are counted, want 1", s.Restarts)
	}
	w.keptRoom(t, j)
}

// kueueTopologyReplica: the pod that takes the place of another gets its node, and the others stay.
func kueueTopologyReplica(t *testing.T, w *world) {
	ns := w.queue(t, "one", 10000)
	j := jobSpec{
		kind: "JAXJob", name: "one", cpu: third, replicas: map[string]int{"Worker": 4}, labels: queued(""), meta: inRacks(requiredTopology), life: lasts("15s"),
	}.job(ns)
	w.create(t, j)
	before := w.placed(t, j, 4)
	w.reaches(t, j, commonv1.JobRunning)
	uid := before[2].UID
	w.remove(t, &before[2])
	var after []corev1.Pod
	eventually(t, "the pod has a successor", func() error {
		if after = w.placed(t, j, 4); after[2].UID == uid {
			return errors.New("it has none")
		}
		return nil
	})

	for i := range after {
		if after[i].Spec.NodeName != before[i].Spec.NodeName || i != 2 && after[i].UID != before[i].UID {
			t.Errorf("%s (%s) on %s was %s on %s", after[i].Name, after[i].UID, after[i].Spec.NodeName, before[i].UID, before[i].Spec.NodeName)
		}
	}
	w.reaches(t, j, commonv1.JobSucceeded)
	w.keptRoom(t, j)
}
