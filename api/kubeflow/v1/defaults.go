package v1

import (
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// SetPyTorchJobDefaults fills in what is particular to a PyTorchJob, in place:
// nprocPerNode, unless the deprecated field of the elastic policy says it, and the
// limits of the elastic policy. Call it before the defaults that all kinds share.
func SetPyTorchJobDefaults(job *PyTorchJob) {
	elastic := job.Spec.ElasticPolicy
	if job.Spec.NprocPerNode == nil && (elastic == nil || elastic.NProcPerNode == nil) {
		job.Spec.NprocPerNode = new(PyTorchJobDefaultNprocPerNode)
	}
	if elastic != nil {
		worker := job.Spec.PyTorchReplicaSpecs.get(PyTorchJobReplicaTypeWorker)
		elastic.MinReplicas, elastic.MaxReplicas = elasticLimits(elastic.MinReplicas, elastic.MaxReplicas, worker)
	}
}

// SetPaddleJobDefaults fills in what is particular to a PaddleJob, in place: the
// limits of the elastic policy. Call it before the defaults that all kinds share.
func SetPaddleJobDefaults(job *PaddleJob) {
	if elastic := job.Spec.ElasticPolicy; elastic != nil {
		worker := job.Spec.PaddleReplicaSpecs.get(PaddleJobReplicaTypeWorker)
		elastic.MinReplicas, elastic.MaxReplicas = elasticLimits(elastic.MinReplicas, elastic.MaxReplicas, worker)
	}
}

// SetMPIJobDefaults fills in what is particular to an MPIJob, in place: the slots
// of a Worker, and one clean-up policy for both fields that hold it. Call it before
// the defaults that all kinds share.
func SetMPIJobDefaults(job *MPIJob) {
	if job.Spec.SlotsPerWorker == nil {
		job.Spec.SlotsPerWorker = new(MPIJobDefaultSlotsPerWorker)
	}
	policy := commonv1.CleanPodPolicyNone
	for _, p := range []*commonv1.CleanPodPolicy{job.Spec.CleanPodPolicy, job.Spec.RunPolicy.CleanPodPolicy} {
		if p != nil && *p != commonv1.CleanPodPolicyUndefined {
			policy = *p // the one of the run policy comes last, and wins
		}
	}
	job.Spec.CleanPodPolicy, job.Spec.RunPolicy.CleanPodPolicy = new(policy), new(policy)
}

// elasticLimits works out the limits of an elastic policy: each is by default the
// other, and both are the number of Workers. Without Workers both stay absent.
func elasticLimits(least, most *int32, worker *commonv1.ReplicaSpec) (newLeast, newMost *int32) {
	switch {
	case least == nil && most == nil && worker != nil:
		n := int32(1)
		if worker.Replicas != nil {
			n = *worker.Replicas
		}
		return new(n), new(n)
	case least == nil && most != nil:
		return new(*most), most
	case least != nil && most == nil:
		return least, new(*least)
	default:
		return least, most
	}
}
