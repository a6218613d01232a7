//go:build live

package live

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/devenv"
)

// coschedulingConfig is that of a scheduler with the plugin, with the path of a kubeconfig. Its name
// is that of the Helm chart of scheduler-plugins.
const coschedulingConfig = `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
leaderElection: {leaderElect: false}
clientConnection: {kubeconfig: %q}
profiles:
- schedulerName: scheduler-plugins-scheduler
  plugins:
    multiPoint:
      enabled: [{name: Coscheduling}]
      disabled: [{name: PrioritySort}]
  pluginConfig:
  - name: Coscheduling
    args: {permitWaitingTimeSeconds: 10}
`

// TestCoscheduling runs jobs whose pods the real coscheduling plugin places.
func TestCoscheduling(t *testing.T) {
	scheduler := program{name: "coscheduling", module: "coscheduling", path: "sigs.k8s.io/scheduler-plugins/cmd/scheduler", flags: ofKubernetes(34, 7)}.build(t)
	controller := program{name: "coscheduling-controller", module: "coscheduling", path: "sigs.k8s.io/scheduler-plugins/cmd/controller", flags: stripped}.build(t)
	tests := map[string]gangTest{
		"Kinds": gangKinds, "Contention": gangContention, "Room": gangRoom("3 of 3 pods", "to fit"), "Deletion": gangDeletion,
		"Scaling": gangScaling("to fit", "resource"), "Restart": gangRestart, "Replica": gangReplica, "Suspension": gangSuspension,
		"MinAvailable": gangMinAvailable, "Marks": coschedulingMarks,
	}
	w := start(t, devenv.Options{
		Nodes: len(tests), NodeCPU: strconv.Itoa(room), CRDs: []string{filepath.Join(source(t, "coscheduling", "sigs.k8s.io/scheduler-plugins"), "config/crd/bases")},
	}, "--gang-scheduler-name=coscheduling")
	w.nodes(t, tests)
	w.run(t, "coscheduling", scheduler, "--config="+write(t, "config.yaml", fmt.Sprintf(coschedulingConfig, w.kubeconfig)), "--secure-port=0", "-v=3")
	health := freePort(t)
	w.run(t, "coscheduling-controller", controller, "--kubeconfig="+w.kubeconfig, "--metricsAddr=0", fmt.Sprintf("--probeAddr=127.0.0.1:%d", health))
	answers(t, fmt.Sprintf("http://127.0.0.1:%d/readyz", health))
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := &gangs{world: w, ns: w.namespace(t), pool: strings.ToLower(name), version: "scheduling.x-k8s.io/v1alpha1"}
			g.within(t)
			test(t, g)
		})
	}
}

// coschedulingMarks: the pods carry what the plugin reads, and its controller knows the group.
func coschedulingMarks(t *testing.T, g *gangs) {
	j := g.workers(t, "marks", 3, "10m")
	g.reaches(t, j, commonv1.JobRunning)
	g.whole(t, j, 3)
	for _, p := range g.pods(t, g.ns) {
		if p.Spec.SchedulerName != "scheduler-plugins-scheduler" || p.Labels["scheduling.x-k8s.io/pod-group"] != "marks-jaxjob" {
			t.Errorf("pod %s has the scheduler %q and the labels %v", p.Name, p.Spec.SchedulerName, p.Labels)
		}
	}
	eventually(t, "the group runs", func() error {
		group := g.group(t, 3)
		if phase, _, _ := unstructured.NestedString(group.Object, "status", "phase"); phase != "Running" {
			return fmt.Errorf("its status is %v", group.Object["status"])
		}
		return nil
	})
	g.quiet(t, j, 3)
}
