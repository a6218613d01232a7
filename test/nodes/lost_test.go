//go:build linux && nodes

package nodes

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// These tests disturb a node, which would affect others, so they are not parallel: they run
// before those that are.

// TestKubeletRestart: a job does not notice that a kubelet dies and comes back.
func TestKubeletRestart(t *testing.T) {
	j := submit(t, settings{kind: pytorchJob, policy: exitCode, steps: 60, runPolicy: map[string]any{"restartScope": jobScope}})
	j.stepped(3)
	before := j.pods()
	node := world.Nodes[1]
	if len(on(before, node)) == 0 {
		t.Fatalf("no pod is on %s", node.Name)
	}
	node.KillKubelet()
	j.stepped(15)
	if err := node.StartKubelet(); err != nil {
		t.Fatal(err)
	}
	s := j.finish(commonv1.JobSucceeded)
	if s.Restarts != 0 || s.Attempt != 0 {
		t.Errorf("%d restarts, attempt %d", s.Restarts, s.Attempt)
	}
	j.complete()
	if diff := cmp.Diff(uids(before), uids(j.pods())); diff != "" {
		t.Errorf("pods are new (-before +after):\n%s", diff)
	}
}

// TestPowerOff: a node loses its power while jobs run on it. Their pods there fail by
// disruption, which counts once each, or once for a job that restarts as a whole, and start
// on the other node.
func TestPowerOff(t *testing.T) {
	lost := world.Nodes[1]
	jobs := map[string]*job{}
	before := map[string]map[string]*corev1.Pod{}
	for _, scope := range []string{replicaScope, jobScope} {
		jobs[scope] = submit(t, settings{name: strings.ToLower(scope), kind: pytorchJob, policy: exitCode, steps: 60, runPolicy: map[string]any{
			"restartScope": scope, "forceDeleteAfterSeconds": int64(1),
		}})
	}
	for scope, j := range jobs {
		j.stepped(6)
		before[scope] = j.pods()
		if len(on(before[scope], lost)) == 0 {
			t.Fatalf("no pod of %s is on %s", j.name, lost.Name)
		}
	}
	off := time.Now()
	if err := lost.PowerOff(t.Context()); err != nil {
		t.Fatal(err)
	}
	for scope, j := range jobs {
		s := j.finish(commonv1.JobSucceeded)
		restarts, attempt := int32(len(on(before[scope], lost))), int32(0)
		if scope == jobScope {
			restarts, attempt = 1, 1
		}
		if s.Restarts != restarts || s.Attempt != attempt {
			t.Errorf("%s: %d restarts and attempt %d, want %d and %d", scope, s.Restarts, s.Attempt, restarts, attempt)
		}
		j.complete()
		j.recovery("its node lost its power, "+scope, off)
		after := j.pods()
		if names := on(after, lost); len(names) > 0 {
			t.Errorf("%s: %v are still on %s", scope, names, lost.Name)
		}
		for name, p := range after {
			same := p.UID == before[scope][name].UID
			if stayed := scope == replicaScope && before[scope][name].Spec.NodeName != lost.Name; same != stayed {
				t.Errorf("%s: that %s is the pod it was is %t", scope, name, same)
			}
		}
	}
	if err := lost.PowerOn(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s is back %.1f s after it lost its power", lost.Name, time.Since(off).Seconds())
	for scope, pods := range before {
		for _, name := range on(pods, lost) {
			if n := Kill(pods[name], program); n != 0 {
				t.Errorf("%s: %s lives again", scope, name)
			}
		}
	}
}

// on names the pods that are on a node.
func on(pods map[string]*corev1.Pod, n *Node) []string {
	var names []string
	for name, p := range pods {
		if p.Spec.NodeName == n.Name {
			names = append(names, name)
		}
	}
	return names
}
