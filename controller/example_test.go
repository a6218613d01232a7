package controller_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/controller"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// trainController is the least an author can write: what the kind is, and where the
// parts of a job are. The rest is embedded.
type trainController struct {
	jobkit.Defaults[*testv1.TestJob]
}

func (trainController) Kind() jobkit.Kind {
	return jobkit.Kind{Roles: []jobkit.Role{{Type: testv1.Worker}}, ReplicaSpecsField: "testReplicaSpecs", ContainerName: testv1.ContainerName}
}

func (trainController) Parts(job *testv1.TestJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.TestReplicaSpecs, Status: &job.Status}
}

// The three steps, with a loop of one's own: implement, instantiate, reconcile.
// Here the API server is a fake; an operator takes client and recorder from its
// manager by SetupWithManager.
func Example() {
	scheme := runtime.NewScheme()
	_, _ = testv1.AddToScheme(scheme), corev1.AddToScheme(scheme)
	job := testJob(2)
	c := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(job).WithObjects(job).Build()

	jobs := &controller.JobController[*testv1.TestJob]{
		Controller: trainController{},
		Config:     controller.Config{},
		Recorder:   &recorder{},
		Client:     c,
	}
	if err := jobs.Init(scheme); err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_ = c.Get(ctx, client.ObjectKeyFromObject(job), job)
	if _, err := jobs.ReconcileJobs(ctx, job); err != nil {
		fmt.Println(err)
	}

	var pods corev1.PodList
	_ = c.List(ctx, &pods)
	for i := range pods.Items {
		fmt.Println(pods.Items[i].Name)
	}
	// Output:
	// job-worker-0
	// job-worker-1
}
