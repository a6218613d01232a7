//go:build live

package live

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/devenv"
)

const volcanoVersion = "scheduling.volcano.sh/v1beta1"

// volcanoConfig is that of Volcano's Helm chart, and preemption.
const volcanoConfig = `
actions: "enqueue, allocate, preempt, backfill"
tiers:
- plugins:
  - name: priority
  - name: gang
    enablePreemptable: false
  - name: conformance
- plugins:
  - name: overcommit
  - name: drf
    enablePreemptable: false
  - name: predicates
  - name: proportion
  - name: nodeorder
  - name: binpack
`

// TestVolcano runs jobs in queues of the real Volcano.
func TestVolcano(t *testing.T) {
	scheduler := program{name: "volcano", module: "volcano", path: "volcano.sh/volcano/cmd/scheduler", flags: stripped}.build(t)
	controllers := program{name: "volcano-controllers", module: "volcano", path: "volcano.sh/volcano/cmd/controller-manager", flags: stripped}.build(t)
	const admitted = "can start together"
	tests := map[string]gangTest{
		"Kinds": gangKinds, "Contention": gangContention, "Queue": gangRoom(admitted), "Deletion": gangDeletion,
		"Scaling": gangScaling(admitted), "Restart": gangRestart, "Replica": gangReplica, "Suspension": gangSuspension,
		"MinAvailable": gangMinAvailable, "LateQueue": volcanoLateQueue, "Priority": volcanoPriority,
		"Node": gangRoom("3 of 3 pods", "to fit"), "Preemption": volcanoPreemption,
	}
	crds := filepath.Join(source(t, "volcano", "volcano.sh/volcano"), "config/crd")
	w := start(t, devenv.Options{
		Nodes: len(tests), NodeCPU: strconv.Itoa(room),
		// Its controllers wait for all kinds that they know.
		CRDs: []string{filepath.Join(crds, "volcano/bases"), filepath.Join(crds, "jobflow/bases")},
	}, "--gang-scheduler-name=volcano")
	w.nodes(t, tests)
	w.apply(t, `
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: top}, value: 2000}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: high}, value: 1000}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: low}, value: 10}
`)
	w.create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "volcano-system"}})
	w.volcano(t, "volcano-controllers", controllers)
	w.volcano(t, "volcano", scheduler, "--scheduler-conf="+write(t, "volcano.conf", volcanoConfig), "--cache-dumper=false", "--schedule-period=500ms")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := w.namespace(t)
			g := &gangs{world: w, ns: ns, pool: strings.ToLower(name), version: volcanoVersion, policy: map[string]any{"queue": ns}}
			switch name {
			case "LateQueue":
			case "Node", "Preemption": // the queue has room
				w.apply(t, fmt.Sprintf(`{apiVersion: %s, kind: Queue, metadata: {name: %s}, spec: {weight: 1}}`, volcanoVersion, ns))
			default:
				g.queue(t)
			}
			g.within(t)
			test(t, g)
		})
	}
}

// volcano runs one of Volcano's programs, and waits until it answers.
func (w *world) volcano(t *testing.T, name, binary string, args ...string) {
	t.Helper()
	health := freePort(t)
	// A socket for its log level would stay in /tmp.
	w.run(t, name, "env", append([]string{
		"DEBUG_SOCKET_DIR=" + t.TempDir(), binary, "--kubeconfig=" + w.kubeconfig, "--leader-elect=false", "--logtostderr", "-v=3",
		"--enable-healthz", fmt.Sprintf("--healthz-address=127.0.0.1:%d", health),
	}, args...)...)
	answers(t, fmt.Sprintf("http://127.0.0.1:%d/healthz", health))
}

// queue makes the queue of the test, which may have as many CPUs as its node.
func (g *gangs) queue(t *testing.T) {
	t.Helper()
	g.apply(t, fmt.Sprintf(`{apiVersion: %s, kind: Queue, metadata: {name: %s}, spec: {weight: 1, capability: {cpu: %d}}}`, volcanoVersion, g.ns, room))
}

// classed is a job of three workers with a priority.
func (g *gangs) classed(t *testing.T, class, life string) *unstructured.Unstructured {
	t.Helper()
	j := g.jobOf(jobSpec{
		kind: "JAXJob", name: class, replicas: map[string]int{"Worker": 3}, life: lasts(life),
		replica: map[string]any{"restartPolicy": "OnFailure", "restartScope": "Job"},
		policy:  map[string]any{"schedulingPolicy": map[string]any{"priorityClass": class}},
		pod:     map[string]any{"priorityClassName": class},
	})
	g.create(t, j)
	return j
}

// volcanoLateQueue: a job exists before its queue: it says which, and starts when that exists.
func volcanoLateQueue(t *testing.T, g *gangs) {
	j := g.workers(t, "early", 3, "2s")
	g.nothing(t, j, fmt.Sprintf("its queue %q exists", g.ns))
	if n := len(g.pods(t, g.ns)); n > 0 {
		t.Errorf("%d pods exist before their group is admitted", n)
	}
	g.queue(t)
	g.reaches(t, j, commonv1.JobSucceeded)
	g.clear(t, j)
	g.alone(t)
}

// volcanoPriority: of two jobs that wait, the one with the higher priority is first.
func volcanoPriority(t *testing.T, g *gangs) {
	top := g.classed(t, "top", "40s")
	g.whole(t, top, 3)
	low := g.classed(t, "low", "3s")
	g.nothing(t, low)
	high := g.classed(t, "high", "5s")
	g.whole(t, high, 3)
	if n := g.bound(t, low); n > 0 {
		t.Errorf("%d pods of the job with the lower priority were first", n)
	}
	for _, j := range []*unstructured.Unstructured{top, high, low} {
		g.reaches(t, j, commonv1.JobSucceeded)
	}
	if n := g.status(t, top).Restarts; n != 0 {
		t.Errorf("the job with the highest priority has %d restarts", n)
	}
}

// volcanoPreemption: a job with a higher priority takes the room of another, which starts again as
// a whole when there is room.
func volcanoPreemption(t *testing.T, g *gangs) {
	low := g.classed(t, "low", "20s")
	g.reaches(t, low, commonv1.JobRunning)
	g.whole(t, low, 3)
	high := g.classed(t, "high", "25s")
	g.whole(t, high, 3)
	stays(t, "the preempted job has no node", 5*time.Second, func() error {
		if n := g.bound(t, low); n > 1 {
			return fmt.Errorf("%d pods have one", n)
		}
		return nil
	})
	g.reaches(t, high, commonv1.JobSucceeded)
	if s := g.reaches(t, low, commonv1.JobSucceeded); s.Restarts != 1 {
		t.Errorf("%d restarts are counted, want 1", s.Restarts)
	}
	if n := g.status(t, high).Restarts; n != 0 {
		t.Errorf("the other has %d restarts", n)
	}
	g.alone(t)
}
