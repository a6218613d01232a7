package controller

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestStatusPatch checks that the patch of a status is that of the whole job.
func TestStatusPatch(t *testing.T) {
	job := &testv1.TestJob{
		ObjectMeta: metav1.ObjectMeta{
			Name: "job", Namespace: "default", UID: "uid", ResourceVersion: "7", Labels: map[string]string{"a": "b"},
			Annotations: map[string]string{"c": "d"}, OwnerReferences: []metav1.OwnerReference{{Name: "owner"}},
		},
		Spec:   testv1.TestJobSpec{TestReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{testv1.Worker: {Replicas: new(int32(2))}}},
		Status: commonv1.JobStatus{State: commonv1.JobRunning, Restarts: 1},
	}
	before := job.DeepCopy()
	for _, test := range []struct {
		reason string
		change func(*commonv1.JobStatus)
	}{
		{"a field changes", func(s *commonv1.JobStatus) { s.Restarts = 2 }},
		{"a field goes", func(s *commonv1.JobStatus) { s.Restarts = 0 }},
		{"nothing changes: only the condition on the version is left", func(*commonv1.JobStatus) {}},
	} {
		t.Run(test.reason, func(t *testing.T) {
			after := job.DeepCopy()
			test.change(&after.Status)
			want, err := client.MergeFromWithOptions(job, client.MergeFromWithOptimisticLock{}).Data(after)
			if err != nil {
				t.Fatal(err)
			}
			got, err := statusPatch{before: job}.Data(after)
			if err != nil || string(got) != string(want) {
				t.Errorf("the patch is %s (%v), want %s", got, err, want)
			}
			if job.Spec.TestReplicaSpecs == nil || len(job.Labels) != len(before.Labels) || after.Labels == nil {
				t.Error("making the patch changed the jobs")
			}
		})
	}
}
