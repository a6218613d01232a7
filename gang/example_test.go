package gang_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/gang"
)

// batcher is a back end for a scheduler named batcher, which places the pods of a Batch
// together.
type batcher struct{}

func (batcher) batch() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "batcher.example.com/v1", "kind": "Batch"}}
}

func (b batcher) Kinds() []jobkit.Object { return []jobkit.Object{b.batch()} }

func (b batcher) Objects(job *gang.Job) []jobkit.Object {
	batch := b.batch()
	batch.SetName(job.GroupName())
	batch.Object["spec"] = map[string]any{"size": int64(job.MinMember())}
	return []jobkit.Object{batch}
}

// Patch leaves alone what others have set: the scheduler's API lets only the size change.
func (batcher) Patch(wanted, found jobkit.Object) map[string]any {
	size := func(o jobkit.Object) int64 {
		n, _, _ := unstructured.NestedInt64(o.(*unstructured.Unstructured).Object, "spec", "size")
		return n
	}
	if size(wanted) == size(found) {
		return nil
	}
	return map[string]any{"spec": map[string]any{"size": size(wanted)}}
}

func (batcher) Join(job *gang.Job, _ commonv1.ReplicaType, template *corev1.PodTemplateSpec) bool {
	if gang.Foreign(template, "batcher") {
		return false
	}
	template.Spec.SchedulerName = "batcher"
	gang.SetLabel(template, "batcher.example.com/batch", job.GroupName())
	return true
}

func (batcher) State(_ *gang.Job, found []jobkit.Object) gang.State {
	for _, o := range found {
		why, _, _ := unstructured.NestedString(o.(*unstructured.Unstructured).Object, "status", "waitsFor")
		return gang.State{Why: why}
	}
	return gang.State{}
}

// How is a gang scheduler of one's own supported? By a type with five methods, without any
// I/O. Set it as controller.Config.GangScheduler, and test it with gangtest.Exercise.
func ExampleScheduler() {
	var scheduler gang.Scheduler = batcher{}
	job := &gang.Job{Kind: "TestJob", Name: "bert", Members: []gang.Member{{Type: "Worker", Replicas: 4, Template: &corev1.PodTemplateSpec{}}}}

	batch := scheduler.Objects(job)[0]
	fmt.Println(batch.GetName(), batch.(*unstructured.Unstructured).Object["spec"])

	template := &corev1.PodTemplateSpec{}
	fmt.Println(scheduler.Join(job, "Worker", template), template.Spec.SchedulerName, template.Labels)

	job.Members[0].Replicas = 8
	fmt.Println("scaled:", scheduler.Patch(scheduler.Objects(job)[0], batch))
	// Output:
	// bert-testjob map[size:4]
	// true batcher map[batcher.example.com/batch:bert-testjob]
	// scaled: map[spec:map[size:8]]
}

// How many pods of a job must fit at the same time? All that have not ended well, or as
// many as the user says.
func ExampleJob_MinMember() {
	job := &gang.Job{Members: []gang.Member{{Type: "Master", Replicas: 1}, {Type: "Worker", Replicas: 7}}, Done: 2}
	fmt.Println(job.MinMember())
	job.Policy.MinAvailable = new(int32(3))
	fmt.Println(job.MinMember())
	// Output:
	// 6
	// 3
}
