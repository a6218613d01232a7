package jobtest_test

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest"
)

// A job whose only worker is killed in its first attempt runs to its end, in virtual
// time.
func Example() {
	known := runtime.NewScheme()
	_ = scheme.AddToScheme(known)
	_ = testv1.AddToScheme(known)
	world, err := jobtest.NewWorld[*testv1.TestJob](testjob.Controller{}, known, jobtest.Options{
		Fate: func(pod *corev1.Pod) jobtest.Fate {
			if pod.Labels[commonv1.AttemptLabel] == "0" {
				return jobtest.Fate{Run: time.Minute, Exits: []int32{137}}
			}
			return jobtest.Fate{Run: time.Hour}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	job := &testv1.TestJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "train"},
		Spec: testv1.TestJobSpec{TestReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
			testv1.Worker: {RestartPolicy: commonv1.RestartPolicyExitCode, Template: corev1.PodTemplateSpec{
				Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: testv1.ContainerName, Image: "train"}}},
			}},
		}},
	}
	if err := world.Client().Create(ctx, job); err != nil {
		fmt.Println(err)
	}
	if err := world.Run(ctx); err != nil {
		fmt.Println(err)
	}
	if err := world.Client().Get(ctx, client.ObjectKeyFromObject(job), job); err != nil {
		fmt.Println(err)
	}
	fmt.Println("after", world.Now().Sub(job.CreationTimestamp.Time).Round(time.Minute))
	for _, c := range job.Status.Conditions {
		fmt.Println(c.Type, c.Status, c.Reason)
	}
	fmt.Println("restarts:", job.Status.Restarts)
	// Output:
	// after 1h1m0s
	// Created True TestJobCreated
	// Running False TestJobRunning
	// Succeeded True TestJobSucceeded
	// restarts: 1
}
