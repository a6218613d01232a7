package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/internal/plan"
	"github.com/jobkit/jobkit/operators/tfjob"
)

// worker is the replica type of all jobs of the bench.
const worker = commonv1.ReplicaType("Worker")

// planGrows measures that a pass over a job takes as long per replica for 10,000
// replicas as for 100, whatever the machine: both are measured in turn, in CPU time, and the
// shortest count. A TestJob has one service, a TFJob one per replica.
func (b *bench) planGrows(context.Context) error {
	test := testjob.Controller{}.Kind()
	test.Name, test.APIVersion = "TestJob", testv1.GroupVersion.String()
	tf := tfjob.Controller{}.Kind()
	tf.Name, tf.APIVersion = "TFJob", kubeflowv1.GroupVersion.String()
	b.passes("", test, testjob.Controller{}.Rules(&testv1.TestJob{}))
	workers := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{worker: {}}
	b.passes("-tfjob", tf, tfjob.Controller{}.Rules(&kubeflowv1.TFJob{Spec: kubeflowv1.TFJobSpec{TFReplicaSpecs: workers}}))
	return b.clusterSpec()
}

// passes measures a kind.
func (b *bench) passes(suffix string, kind jobkit.Kind, rules jobkit.Rules) {
	sizes := []int32{100, 10_000}
	best := make([]time.Duration, len(sizes))
	inputs := []*plan.Input{restingJob(kind, rules, sizes[0]), restingJob(kind, rules, sizes[1])}
	const rounds = 20
	for range rounds {
		for i, n := range sizes {
			// The same number of replicas for both.
			repeat := int(sizes[len(sizes)-1] / n)
			begun := ownCPU()
			for range repeat {
				plan.Decide(inputs[i], plan.TallyOf(inputs[i]), nil)
			}
			if took := (ownCPU() - begun) / time.Duration(repeat); best[i] == 0 || took < best[i] {
				best[i] = took
			}
		}
	}
	b.report.notef("decide: a pass over a %s at rest takes CPU time: %s with %d replicas, %s with %d",
		kind.Name, round(best[0]), sizes[0], round(best[1]), sizes[1])
	b.report.ratio("decide-seconds-10000"+suffix, best[1].Seconds())
	b.report.ratio("decide-time-per-replica-10000-vs-100"+suffix,
		ratio(best[1].Seconds()/float64(sizes[1]), best[0].Seconds()/float64(sizes[0])))
}

// clusterSpec measures what it takes to say to each Worker of a TFJob where the others are: for
// the first, which lists them all, and for the others.
func (b *bench) clusterSpec() error {
	const n, more = 10_000, 100
	c, job := tfjob.Controller{}, &kubeflowv1.TFJob{}
	job.Name, job.Namespace = "mnist", nameDecide
	job.Spec.TFReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{worker: {Replicas: new(int32(n))}}
	replica := c.Parts(job).Replicas(c.Kind(), job)
	var length int
	render := func(i int32) error {
		template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: kubeflowv1.TFJobDefaultContainerName}}}}
		err := c.SetClusterSpec(job, replica(worker, i, 0), template)
		if env := template.Spec.Containers[0].Env; len(env) > 0 {
			length = len(env[0].Value)
		}
		return err
	}
	begun := ownCPU()
	err := render(0)
	first := ownCPU() - begun
	begun = ownCPU()
	for i := int32(1); i <= more && err == nil; i++ {
		err = render(i)
	}
	others := (ownCPU() - begun) / more
	if err != nil {
		return fmt.Errorf("cannot complete the pod template of a Worker: %w", err)
	}
	b.report.notef("decide: the cluster spec of a TFJob of %d Workers, %d KiB: %s for the first, %s for each other",
		n, length>>10, round(first), round(others))
	b.report.ratio("cluster-spec-time-of-another-vs-first-tfjob", ratio(others.Seconds(), first.Seconds()))
	return nil
}

// restingJob is a job whose pods all run and for which nothing is left to do.
func restingJob(kind jobkit.Kind, rules jobkit.Rules, workers int32) *plan.Input {
	kind.SetDefaults()
	spec := &commonv1.ReplicaSpec{Replicas: &workers}
	spec.Template.Spec.Containers = []corev1.Container{{Name: kind.ContainerName, Image: "busybox"}}
	specs, policy := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{worker: spec}, commonv1.RunPolicy{}
	plan.SetDefaults(&kind, &policy, specs)
	in := &plan.Input{
		Kind: kind, Job: plan.Job{Namespace: "bench", Name: "job", UID: "job-uid", Generation: 1},
		RunPolicy: policy, Replicas: specs, Rules: rules,
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
