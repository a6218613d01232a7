package simjob_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	simv1 "github.com/jobkit/jobkit/examples/simjob/api/v1"
	"github.com/jobkit/jobkit/examples/simjob/internal/simjob"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/jobtest/conformance"
)

// TestSimulated runs the example with the real controller in a simulated cluster, in virtual
// time: an hour takes milliseconds.
func TestSimulated(t *testing.T) {
	hour := func(*corev1.Pod) jobtest.Fate { return jobtest.Fate{Start: time.Second, Run: time.Hour} }
	for _, tt := range []struct {
		reason   string
		fate     func(*corev1.Pod) jobtest.Fate
		state    commonv1.JobConditionType
		restarts int32
	}{
		{"all goes well", hour, commonv1.JobSucceeded, 0},
		{"a replica that is killed starts again", func(pod *corev1.Pod) jobtest.Fate {
			f := hour(pod)
			if pod.Name == "try-simjob-solver-0" && pod.Labels[commonv1.AttemptLabel] == "0" {
				f.Run, f.Exits = time.Minute, []int32{137}
			}
			return f
		}, commonv1.JobSucceeded, 1},
		{"a replica that fails by itself fails the job", func(pod *corev1.Pod) jobtest.Fate {
			f := hour(pod)
			if pod.Name == "try-simjob-solver-0" {
				f.Run, f.Exits = time.Minute, []int32{1}
			}
			return f
		}, commonv1.JobFailed, 0},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			world, err := jobtest.NewWorld[*simv1.SimJob](simjob.Controller{}, knownTypes(t), jobtest.Options{Fate: tt.fate})
			if err != nil {
				t.Fatal(err)
			}
			job := exampleJob(t)
			if err := world.Client().Create(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			if err := world.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := world.Client().Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
				t.Fatal(err)
			}
			if job.Status.State != tt.state || job.Status.Restarts != tt.restarts {
				t.Errorf("the job is %s after %d restarts, want %s after %d\n%s",
					job.Status.State, job.Status.Restarts, tt.state, tt.restarts, world.Transcript())
			}
		})
	}
}

// TestConformance puts the controller through what jobkit promises, with crashes at every call,
// stale caches, lost replies, suspension, deletion, and hooks that must be pure.
func TestConformance(t *testing.T) {
	conformance.Suite[*simv1.SimJob]{Author: simjob.Controller{}, Job: exampleJob(t), Scheme: knownTypes(t)}.Run(t)
}
