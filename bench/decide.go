package main

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// planGrows measures that a pass over a job takes as long per replica for 10,000
// replicas as for 100, whatever the machine: both are measured in turn, and the
// shortest times count.
func (b *bench) planGrows(context.Context) error {
	sizes := []int32{100, 10_000}
	best := make([]time.Duration, len(sizes))
	inputs := []*plan.Input{restingJob(sizes[0]), restingJob(sizes[1])}
	const rounds = 20
	for range rounds {
		for i, n := range sizes {
			// The same number of replicas for both.
			repeat := int(sizes[len(sizes)-1] / n)
			begun := time.Now()
			for range repeat {
				plan.Decide(inputs[i], plan.TallyOf(inputs[i]), nil)
			}
			if took := time.Since(begun) / time.Duration(repeat); best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	b.report.notef("decide: a pass over a job at rest: %s with %d replicas, %s with %d", round(best[0]), sizes[0], round(best[1]), sizes[1])
	b.report.ratio("decide-time-per-replica-10000-vs-100",
		ratio(best[1].Seconds()/float64(sizes[1]), best[0].Seconds()/float64(sizes[0])))
	return nil
}

// restingJob is a job whose pods all run and for which nothing is left to do.
func restingJob(workers int32) *plan.Input {
	job := &testv1.TestJob{}
	job.Name, job.Namespace, job.UID, job.Generation = "job", "bench", "job-uid", 1
	kind := testjob.Controller{}.Kind()
	kind.Name, kind.APIVersion = "TestJob", testv1.GroupVersion.String()
	kind.SetDefaults()
	spec := &commonv1.ReplicaSpec{Replicas: &workers}
	spec.Template.Spec.Containers = []corev1.Container{{Name: testv1.ContainerName, Image: "busybox"}}
	job.Spec.TestReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{testv1.Worker: spec}
	plan.SetDefaults(&kind, &job.Spec.RunPolicy, job.Spec.TestReplicaSpecs)
	in := &plan.Input{
		Kind: kind, Job: plan.Job{Namespace: job.Namespace, Name: job.Name, UID: job.UID, Generation: job.Generation},
		RunPolicy: job.Spec.RunPolicy, Replicas: job.Spec.TestReplicaSpecs, Rules: testjob.Controller{}.Rules(job),
		Backoff: plan.DefaultBackoff(), Now: time.Now(),
	}
	const passes = 5 // more than a job needs to come to rest
	for range passes {
		p := plan.Decide(in, plan.TallyOf(in), nil)
		in.Status = p.Status
		for _, a := range p.Actions {
			switch a := a.(type) {
			case plan.CreatePod:
				pod := plan.NewPod(in, a, spec.Template.DeepCopy())
				pod.UID = types.UID(a.Name)
				pod.Status.Phase = corev1.PodRunning
				in.Pods = append(in.Pods, pod)
			case plan.CreateService:
				in.Services = append(in.Services, plan.NewService(in, a))
			}
		}
		in.Now = in.Now.Add(time.Minute)
	}
	return in
}
