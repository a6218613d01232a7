package plan_test

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// exampleJob is a job with one Master and two Workers, before anything was done.
func exampleJob() *plan.Input {
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "train:1"}}}}
	in := &plan.Input{
		Kind: jobkit.Kind{
			Name: "TrainJob", APIVersion: "example.com/v1", ContainerName: "main",
			Roles: []jobkit.Role{{Type: "Master"}, {Type: "Worker"}},
		},
		Job: plan.Job{Namespace: "team", Name: "bert", UID: "1234", Generation: 1},
		Replicas: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
			"Master": {Template: template},
			"Worker": {Replicas: new(int32(2)), Template: template},
		},
		Backoff: plan.DefaultBackoff(),
		Now:     time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
	}
	in.Kind.SetDefaults()
	plan.SetDefaults(&in.Kind, &in.RunPolicy, in.Replicas)
	return in
}

// What is to be done for a job that is new?
func ExampleDecide() {
	in := exampleJob()
	p := plan.Decide(in, plan.TallyOf(in), nil)

	for _, a := range p.Actions {
		fmt.Println(a)
	}
	fmt.Printf("the status is %s; the write may wait: %t\n", p.Status.State, p.StatusChange == plan.StatusProgress)
	// Output:
	// create service bert: the job has one
	// create pod bert-master-0 (attempt 0): replica 0 of Master is missing
	// create pod bert-worker-0 (attempt 0): replica 0 of Worker is missing
	// create pod bert-worker-1 (attempt 0): replica 1 of Worker is missing
	// the status is Created; the write may wait: true
}

// What if a worker was evicted? It is counted now, and deleted: the next attempt
// is created when it is gone.
func ExampleDecide_restart() {
	in := exampleJob()
	in.Replicas["Worker"].RestartPolicy = commonv1.RestartPolicyOnFailure
	for _, a := range plan.Decide(in, plan.TallyOf(in), nil).Actions {
		if a, ok := a.(plan.CreatePod); ok {
			pod := plan.NewPod(in, a, in.Replicas[a.Type].Template.DeepCopy())
			pod.Status.Phase = corev1.PodRunning
			in.Pods = append(in.Pods, pod)
		}
	}
	in.Pods[2].Status = corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted"}
	p := plan.Decide(in, plan.TallyOf(in), nil)

	fmt.Println(p.Status.State, "restarts:", p.Status.Restarts, "attempts:", p.Status.ReplicaStatuses["Worker"].Attempts)
	for _, a := range p.Actions {
		if a, ok := a.(plan.DeletePod); ok {
			fmt.Println(a)
		}
	}
	// Output:
	// Restarting restarts: 1 attempts: map[1:1]
	// delete pod bert-worker-1: attempt 1 takes its place
}

// Mistakes are errors that name the field, the value and the fix.
func ExampleValidate() {
	in := exampleJob()
	in.Replicas["Worker"].Template.Spec.Containers[0].Name = "app"
	fmt.Println(plan.Validate(in)[0])
	// Output:
	// spec.replicaSpecs[Master].template.spec.containers: Invalid value: "app": no container is named "main": name the main container "main"
}

// The exit codes that restart policy ExitCode retries.
func ExampleRetryableExitCode() {
	for _, code := range []int32{1, 127, 128, 137, 255} {
		fmt.Println(code, plan.RetryableExitCode(code))
	}
	// Output:
	// 1 false
	// 127 false
	// 128 true
	// 137 true
	// 255 true
}
