package jobtest

import (
	"context"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// withSidecar gives a job's Workers a native sidecar.
func withSidecar(j *testv1.TestJob) {
	j.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.InitContainers = []corev1.Container{
		{Name: "proxy", Image: "p", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)},
	}
}

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
		// The node starts no other container before the sidecar has started.
		"Sidecar": {WaitsForInit, "init container proxy fails again and again: exit code 1"},
	} {
		t.Run(name, func(t *testing.T) {
			var change []func(*testv1.TestJob)
			if name == "Sidecar" {
				change = append(change, withSidecar)
			}
			w := story(t, Options{Fate: func(*corev1.Pod) Fate {
				return Fate{Waits: tc.waits, Start: 5 * time.Minute, Run: time.Minute}
			}}, newJob("j", 2, change...))
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

// TestRuleThatNamesASidecar: a rule of podFailurePolicy finds the exit code of a sidecar that it names, also in
// a cache that holds little of a pod.
func TestRuleThatNamesASidecar(t *testing.T) {
	w := story(t, Options{Fate: func(p *corev1.Pod) Fate {
		if attemptLabel(p) == 0 {
			return Fate{Start: time.Second, Run: time.Second, Exits: []int32{3}}
		}
		return Fate{Start: time.Second, Run: time.Second}
	}}, newJob("j", 1, func(j *testv1.TestJob) {
		spec := j.Spec.TestReplicaSpecs[testv1.Worker]
		spec.RestartPolicy = commonv1.RestartPolicyNever
		withSidecar(j)
		j.Spec.RunPolicy.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: []commonv1.PodFailurePolicyRule{{
			Action: commonv1.PodFailurePolicyActionIgnore,
			OnExitCodes: &batchv1.PodFailurePolicyOnExitCodesRequirement{
				ContainerName: new("proxy"), Operator: batchv1.PodFailurePolicyOnExitCodesOpIn, Values: []int32{exitKilled},
			},
		}}}
	}))
	pass(t, w, time.Minute)
	job := &testv1.TestJob{}
	if err := w.Client().Get(context.Background(), client.ObjectKey{Namespace: "default", Name: "j"}, job); err != nil {
		t.Fatal(err)
	}
	if job.Status.State != commonv1.JobSucceeded || job.Status.Restarts != 0 {
		t.Errorf("the rule ignores the failure, and the next attempt succeeds: the job is %s, %d restarts\n%s",
			job.Status.State, job.Status.Restarts, w.Transcript())
	}
}
