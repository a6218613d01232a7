package gangtest

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Replica types and the container of the jobs that Exercise runs.
const (
	master commonv1.ReplicaType = "Master"
	worker commonv1.ReplicaType = "Worker"

	containerName = "main"
	kindName      = "TestJob"
)

func groupVersion() schema.GroupVersion {
	return schema.GroupVersion{Group: "test.example.com", Version: "v1"}
}

// testJob is the job that Exercise runs: a Master, which decides, and Workers.
type testJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   testJobSpec        `json:"spec"`
	Status commonv1.JobStatus `json:"status"`
}

type testJobSpec struct {
	RunPolicy    commonv1.RunPolicy                             `json:"runPolicy"`
	ReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec `json:"replicaSpecs"`
}

// testJobList is a list of such jobs.
type testJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []testJob `json:"items"`
}

// addTestJob makes the kind known to a scheme.
func addTestJob(s *runtime.Scheme) error {
	s.AddKnownTypeWithName(groupVersion().WithKind(kindName), &testJob{})
	s.AddKnownTypeWithName(groupVersion().WithKind(kindName+"List"), &testJobList{})
	metav1.AddToGroupVersion(s, groupVersion())
	return nil
}

// DeepCopyObject implements runtime.Object.
func (j *testJob) DeepCopyObject() runtime.Object {
	out := *j
	j.DeepCopyInto(&out.ObjectMeta)
	j.Spec.RunPolicy.DeepCopyInto(&out.Spec.RunPolicy)
	out.Spec.ReplicaSpecs = maps.Clone(j.Spec.ReplicaSpecs)
	for t, spec := range out.Spec.ReplicaSpecs {
		out.Spec.ReplicaSpecs[t] = spec.DeepCopy()
	}
	j.Status.DeepCopyInto(&out.Status)
	return &out
}

// DeepCopyObject implements runtime.Object.
func (l *testJobList) DeepCopyObject() runtime.Object {
	out := *l
	l.DeepCopyInto(&out.ListMeta)
	out.Items = make([]testJob, len(l.Items))
	for i := range l.Items {
		job, _ := l.Items[i].DeepCopyObject().(*testJob)
		out.Items[i] = *job
	}
	return &out
}

// testJobController is the author's part of the kind.
type testJobController struct {
	jobkit.Defaults[*testJob]
}

// Kind implements jobkit.ControllerInterface.
func (testJobController) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles:          []jobkit.Role{{Type: master, Max: 1}, {Type: worker}},
		ContainerName:  containerName,
		CleanPodPolicy: commonv1.CleanPodPolicyRunning,
	}
}

// Parts implements jobkit.ControllerInterface.
func (testJobController) Parts(job *testJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.ReplicaSpecs, Status: &job.Status}
}

// Rules implements jobkit.ControllerInterface.
func (testJobController) Rules(*testJob) jobkit.Rules {
	return jobkit.Rules{
		Success: []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))},
		Master:  []jobkit.ReplicaSelector{jobkit.Index(master, 0)},
	}
}
