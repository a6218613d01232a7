package jobtest

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestStartsAreTold: 30 seconds after its pods were created a job says why they do not start,
// once, and says it no longer when they start.
func TestStartsAreTold(t *testing.T) {
	for name, tc := range map[string]struct {
		waits Waits
		want  string
	}{
		"Room":   {WaitsForRoom, "the scheduler finds no node for it: 0/3 nodes are available: 3 Insufficient cpu."},
		"Claim":  {WaitsForClaim, "the scheduler finds no node for it: pod has unbound immediate PersistentVolumeClaims."},
		"Image":  {WaitsForImage, `image "test" of container test-container cannot be pulled: dial tcp 10.0.0.1:40005: i/o timeout`},
		"Secret": {WaitsForSecret, `container test-container cannot be configured: secret "keys" not found`},
		"Volume": {WaitsForVolume, "node node-0 does not get its volumes or its network ready, the events of the pod say why"},
		"Init":   {WaitsForInit, "init container setup fails again and again: exit code 1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := story(t, Options{Fate: func(*corev1.Pod) Fate {
				return Fate{Waits: tc.waits, Start: 5 * time.Minute, Run: time.Minute}
			}}, newJob("j", 2))
			var told []string
			w.onStatus = func(before, after client.Object) {
				var was, is commonv1.JobCondition
				if c := w.parts(before).Status.Condition(commonv1.JobStalled); c != nil {
					was = *c
				}
				if c := w.parts(after).Status.Condition(commonv1.JobStalled); c != nil {
					is = *c
				}
				if was.Message != is.Message {
					told = append(told, w.now.Sub(w.start).Truncate(time.Second).String()+" "+is.Message)
				}
			}
			pass(t, w, 10*time.Minute)
			want := "30s TestJob default/j waits for 2 of 2 pods to start, the first of them j-worker-0: " + tc.want
			if len(told) != 2 || told[0] != want || told[1] != "5m0s " {
				t.Errorf("want %q, and nothing from 5m0s on, got %q\n%s", want, told, w.Transcript())
			}
		})
	}
}

// TestSlowStartsAreNotReported: pods that start in time are not reported.
func TestSlowStartsAreNotReported(t *testing.T) {
	w := story(t, Options{Fate: func(*corev1.Pod) Fate {
		return Fate{Waits: WaitsForImage, Start: 29 * time.Second, Run: time.Minute}
	}}, newJob("j", 2, func(j *testv1.TestJob) {
		j.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
	}))
	pass(t, w, 10*time.Minute)
	for _, e := range w.Events() {
		if strings.HasSuffix(e.Reason, reasonNotStarting) {
			t.Errorf("got %+v", e)
		}
	}
}

// TestAdoptedPodsStartOthers: an operator learns from the answer to its own write that a pod runs, when it
// adopts one whose label someone took off. The pods that start after it are created at once.
func TestAdoptedPodsStartOthers(t *testing.T) {
	Search(t, 60, func(c *Chance) error {
		w, err := NewWorld(testjob.Controller{}, testScheme, Options{Chance: c, Fate: forever})
		if err != nil {
			return err
		}
		job := newJob("j", 1, withMaster, func(j *testv1.TestJob) {
			j.Spec.TestReplicaSpecs[testv1.Master].StartAfter = &commonv1.StartAfter{ReplicaType: testv1.Worker, State: commonv1.StartAfterRunning}
		})
		if err := w.Client().Create(context.Background(), job); err != nil {
			return err
		}
		w.At(100*time.Millisecond, "takes the operator's label off a pod", relabel(commonv1.OperatorNameLabel, ""))
		w.At(5*time.Second, "restarts the operator", func(context.Context, client.Client) error {
			restart(w)
			return nil
		})
		return w.Run(context.Background())
	})
}
