package v1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
)

// replicas is a replica spec with this many replicas.
func replicas(n int32) *commonv1.ReplicaSpec { return &commonv1.ReplicaSpec{Replicas: &n} }

func TestSetPyTorchJobDefaults(t *testing.T) {
	type elastic = kubeflowv1.ElasticPolicy
	for _, tc := range []struct {
		reason   string
		in, want kubeflowv1.PyTorchJobSpec
	}{
		{
			reason: "torchrun counts the processes of a replica",
			want:   kubeflowv1.PyTorchJobSpec{NprocPerNode: new("auto")},
		},
		{
			reason: "what the job says stays",
			in:     kubeflowv1.PyTorchJobSpec{NprocPerNode: new("gpu")},
			want:   kubeflowv1.PyTorchJobSpec{NprocPerNode: new("gpu")},
		},
		{
			reason: "the deprecated number of processes is not contradicted; an elastic policy without Worker (row 75) has no limits",
			in:     kubeflowv1.PyTorchJobSpec{ElasticPolicy: &elastic{NProcPerNode: new(int32(2))}},
			want:   kubeflowv1.PyTorchJobSpec{ElasticPolicy: &elastic{NProcPerNode: new(int32(2))}},
		},
		{
			reason: "without limits the number of Workers is fixed, whatever the letter case of Worker",
			in: kubeflowv1.PyTorchJobSpec{
				ElasticPolicy:       &elastic{},
				PyTorchReplicaSpecs: kubeflowv1.ReplicaSpecs{"worker": replicas(3)},
			},
			want: kubeflowv1.PyTorchJobSpec{
				NprocPerNode:        new("auto"),
				ElasticPolicy:       &elastic{MinReplicas: new(int32(3)), MaxReplicas: new(int32(3))},
				PyTorchReplicaSpecs: kubeflowv1.ReplicaSpecs{"worker": replicas(3)},
			},
		},
		{
			reason: "Worker without replicas is one Worker (row 76)",
			in: kubeflowv1.PyTorchJobSpec{
				ElasticPolicy:       &elastic{},
				PyTorchReplicaSpecs: kubeflowv1.ReplicaSpecs{"Worker": {}},
			},
			want: kubeflowv1.PyTorchJobSpec{
				NprocPerNode:        new("auto"),
				ElasticPolicy:       &elastic{MinReplicas: new(int32(1)), MaxReplicas: new(int32(1))},
				PyTorchReplicaSpecs: kubeflowv1.ReplicaSpecs{"Worker": {}},
			},
		},
		{
			reason: "a Worker that is null has no number (row 71)",
			in: kubeflowv1.PyTorchJobSpec{
				ElasticPolicy:       &elastic{},
				PyTorchReplicaSpecs: kubeflowv1.ReplicaSpecs{"Worker": nil},
			},
			want: kubeflowv1.PyTorchJobSpec{
				NprocPerNode:        new("auto"),
				ElasticPolicy:       &elastic{},
				PyTorchReplicaSpecs: kubeflowv1.ReplicaSpecs{"Worker": nil},
			},
		},
		{
			reason: "the minimum is the maximum",
			in:     kubeflowv1.PyTorchJobSpec{ElasticPolicy: &elastic{MaxReplicas: new(int32(4))}},
			want: kubeflowv1.PyTorchJobSpec{
				NprocPerNode:  new("auto"),
				ElasticPolicy: &elastic{MinReplicas: new(int32(4)), MaxReplicas: new(int32(4))},
			},
		},
		{
			reason: "the maximum is the minimum",
			in:     kubeflowv1.PyTorchJobSpec{ElasticPolicy: &elastic{MinReplicas: new(int32(2))}},
			want: kubeflowv1.PyTorchJobSpec{
				NprocPerNode:  new("auto"),
				ElasticPolicy: &elastic{MinReplicas: new(int32(2)), MaxReplicas: new(int32(2))},
			},
		},
		{
			reason: "limits stay as they are",
			in:     kubeflowv1.PyTorchJobSpec{ElasticPolicy: &elastic{MinReplicas: new(int32(2)), MaxReplicas: new(int32(4))}},
			want: kubeflowv1.PyTorchJobSpec{
				NprocPerNode:  new("auto"),
				ElasticPolicy: &elastic{MinReplicas: new(int32(2)), MaxReplicas: new(int32(4))},
			},
		},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			job := &kubeflowv1.PyTorchJob{Spec: tc.in}
			for _, time := range []string{"once", "twice"} {
				kubeflowv1.SetPyTorchJobDefaults(job)
				if diff := cmp.Diff(tc.want, job.Spec); diff != "" {
					t.Errorf("%s (set %s): -want +got\n%s", tc.reason, time, diff)
				}
			}
		})
	}
}

func TestSetPaddleJobDefaults(t *testing.T) {
	type elastic = kubeflowv1.PaddleElasticPolicy
	for _, tc := range []struct {
		reason   string
		in, want *elastic
		specs    kubeflowv1.ReplicaSpecs
	}{
		{reason: "no policy, none is made", specs: kubeflowv1.ReplicaSpecs{"Worker": replicas(2)}},
		{
			reason: "without limits the number of Workers is fixed",
			in:     &elastic{}, specs: kubeflowv1.ReplicaSpecs{"WORKER": replicas(2)},
			want: &elastic{MinReplicas: new(int32(2)), MaxReplicas: new(int32(2))},
		},
		{
			reason: "no Worker, no limits (row 76)",
			in:     &elastic{}, specs: kubeflowv1.ReplicaSpecs{"Master": replicas(2)},
			want: &elastic{},
		},
		{
			reason: "the minimum is the maximum",
			in:     &elastic{MaxReplicas: new(int32(5))},
			want:   &elastic{MinReplicas: new(int32(5)), MaxReplicas: new(int32(5))},
		},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			job := &kubeflowv1.PaddleJob{Spec: kubeflowv1.PaddleJobSpec{ElasticPolicy: tc.in, PaddleReplicaSpecs: tc.specs}}
			kubeflowv1.SetPaddleJobDefaults(job)
			if diff := cmp.Diff(tc.want, job.Spec.ElasticPolicy); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
		})
	}
}

// TestDefaultsShareNothing: what defaults copy from one field to another can be
// changed in one place without the other.
func TestDefaultsShareNothing(t *testing.T) {
	worker := replicas(2)
	job := &kubeflowv1.PyTorchJob{Spec: kubeflowv1.PyTorchJobSpec{
		ElasticPolicy:       &kubeflowv1.ElasticPolicy{},
		PyTorchReplicaSpecs: kubeflowv1.ReplicaSpecs{"Worker": worker},
	}}
	kubeflowv1.SetPyTorchJobDefaults(job)
	*worker.Replicas = 7
	*job.Spec.ElasticPolicy.MaxReplicas = 9
	if got := *job.Spec.ElasticPolicy.MinReplicas; got != 2 {
		t.Errorf("minReplicas is %d, want 2: it changed with another field", got)
	}
}

func TestSetMPIJobDefaults(t *testing.T) {
	const (
		none  = commonv1.CleanPodPolicyNone
		all   = commonv1.CleanPodPolicyAll
		run   = commonv1.CleanPodPolicyRunning
		unset = commonv1.CleanPodPolicyUndefined
	)
	for _, tc := range []struct {
		reason         string
		top, runPolicy *commonv1.CleanPodPolicy
		want           commonv1.CleanPodPolicy
	}{
		{"neither says anything: pods stay", nil, nil, none},
		{"the older field is enough", new(all), nil, all},
		{"the run policy is enough", nil, new(run), run},
		{"the run policy wins", new(all), new(run), run},
		{"an empty policy is none: the other counts", new(all), new(unset), all},
		{"an empty policy is none", new(unset), nil, none},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			job := &kubeflowv1.MPIJob{Spec: kubeflowv1.MPIJobSpec{CleanPodPolicy: tc.top}}
			job.Spec.RunPolicy.CleanPodPolicy = tc.runPolicy
			kubeflowv1.SetMPIJobDefaults(job)
			want := kubeflowv1.MPIJobSpec{CleanPodPolicy: new(tc.want), SlotsPerWorker: new(int32(1))}
			want.RunPolicy.CleanPodPolicy = new(tc.want)
			if diff := cmp.Diff(want, job.Spec); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
		})
	}

	job := &kubeflowv1.MPIJob{Spec: kubeflowv1.MPIJobSpec{SlotsPerWorker: new(int32(8))}}
	kubeflowv1.SetMPIJobDefaults(job)
	if got := *job.Spec.SlotsPerWorker; got != 8 {
		t.Errorf("slotsPerWorker is %d, want 8: what the job says stays", got)
	}
}
