package jobkit_test

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// A job succeeds when its Chief does or, without one, when Worker 0 or all Workers do.
func ExampleRules() {
	withChief := jobkit.Rules{Success: []jobkit.SuccessRule{jobkit.AllOf(jobkit.All("Chief"))}}
	without := jobkit.Rules{Success: []jobkit.SuccessRule{
		jobkit.AllOf(jobkit.Index("Worker", 0)),
		jobkit.AllOf(jobkit.All("Worker")),
	}}
	fmt.Println(withChief.Success)
	fmt.Println(without.Success)
	// Output:
	// [AllOf(All(Chief))]
	// [AllOf(Index(Worker, 0)) AllOf(All(Worker))]
}

// What a cluster spec is made of: where the others are, and which replica this is.
func ExampleJobParts_Replicas() {
	kind := jobkit.Kind{ContainerName: "main", PortName: "train", PortNumber: 2222, Roles: []jobkit.Role{{Type: "Master", Max: 1}, {Type: "Worker"}}}
	replica := jobkit.JobParts{
		RunPolicy:    &commonv1.RunPolicy{},
		ReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"Master": {}, "Worker": {Replicas: new(int32(3))}},
	}.Replicas(kind, &metav1.ObjectMeta{Name: "bert"})
	r := replica("Worker", 2, 0)
	fmt.Printf("%s: Worker %d, one of %d replicas\n", r.Name(), r.Index(), r.Count())
	fmt.Printf("the Master is at %s:%d\n", r.Host("Master", 0), r.Port("Master"))
	// Output:
	// bert-worker-2: Worker 2, one of 4 replicas
	// the Master is at bert-master-0.bert:2222
}

// What is the same for all replicas is computed once for all.
func ExampleShared() {
	replica := jobkit.JobParts{
		ReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"Worker": {Replicas: new(int32(2))}},
	}.Replicas(jobkit.Kind{}, &metav1.ObjectMeta{Name: "bert"})
	for i := range int32(2) {
		r := replica("Worker", i, 0)
		hosts := jobkit.Shared(r, "hosts", func() []string {
			fmt.Println("making the list")
			return []string{r.Host("Worker", 0), r.Host("Worker", 1)}
		})
		fmt.Println(r.Name(), hosts)
	}
	// Output:
	// making the list
	// bert-worker-0 [bert-worker-0.bert bert-worker-1.bert]
	// bert-worker-1 [bert-worker-0.bert bert-worker-1.bert]
}
