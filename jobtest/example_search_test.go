package jobtest_test

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest"
)

func known() *runtime.Scheme {
	s := runtime.NewScheme()
	_ = scheme.AddToScheme(s)
	_ = testv1.AddToScheme(s)
	return s
}

func train(workers int32) *testv1.TestJob {
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: testv1.ContainerName, Image: "train"}}}}
	return &testv1.TestJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "train"},
		Spec: testv1.TestJobSpec{TestReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
			testv1.Worker: {Replicas: &workers, RestartPolicy: commonv1.RestartPolicyExitCode, Template: template},
		}},
	}
}

// oneLife runs a job once, in a world where calls fail, replies get lost, caches lag and two
// operators crash as Chance has it. It fails if a promise is broken.
func oneLife(chance *jobtest.Chance) error {
	world, err := jobtest.NewWorld[*testv1.TestJob](testjob.Controller{}, known(), jobtest.Options{Chance: chance, Operators: 2})
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := world.Client().Create(ctx, train(1+int32(chance.Pick(3)))); err != nil {
		return err
	}
	return world.Run(ctx)
}

// printer is the *testing.T of an example.
type printer struct{}

func (printer) Helper()                   {}
func (printer) Logf(string, ...any)       {}
func (printer) Fatalf(f string, a ...any) { fmt.Printf(f, a...) }

// Does my operator keep its promises whatever goes wrong? In a test, the first argument is
// the *testing.T. A seed that fails is shrunk to the shortest story, and printed.
func ExampleSearch() {
	jobtest.Search(printer{}, 20, oneLife)
	fmt.Println("20 lives, all promises kept")
	// Output:
	// 20 lives, all promises kept
}

// What does my operator create for a job? Written to a file, this is a golden test.
func ExampleRender() {
	objects, err := jobtest.Render(testjob.Controller{}, known(), train(2))
	if err != nil {
		fmt.Println(err)
	}
	for _, o := range objects {
		fmt.Printf("%T %s\n", o, o.GetName())
		if pod, ok := o.(*corev1.Pod); ok {
			fmt.Println("  ", pod.Spec.Containers[0].Env)
		}
	}
	// Output:
	// *v1.Pod train-worker-0
	//    [{REPLICA train-worker-0 nil} {FIRST_REPLICA train-worker-0.train nil}]
	// *v1.Pod train-worker-1
	//    [{REPLICA train-worker-1 nil} {FIRST_REPLICA train-worker-0.train nil}]
	// *v1.Service train
}
