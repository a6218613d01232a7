package jobkit

import (
	"slices"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// JobParts are the parts of a job that the library reads and writes.
type JobParts struct {
	RunPolicy    *commonv1.RunPolicy
	ReplicaSpecs map[commonv1.ReplicaType]*commonv1.ReplicaSpec
	Status       *commonv1.JobStatus
}

// Replica is one replica of a job.
type Replica struct {
	Type  commonv1.ReplicaType
	Index int32
	// PodName is the name of its pod. Where the job has one service for all
	// replicas the pod is reached as PodName.<job name>; where each replica has its
	// own, as PodName.
	PodName string
	// Attempt counts the restarts of this replica, from 0.
	Attempt int32
}

// MaxReplicas is how many replicas a job may have, in all: as many as an
// indexed batch/v1 Job. A mistyped number must not exhaust the operator's memory.
const MaxReplicas = 100_000

// Count is how many replicas of the given types replica specs ask for; of all types
// if none is given.
func Count(specs map[commonv1.ReplicaType]*commonv1.ReplicaSpec, types ...commonv1.ReplicaType) int32 {
	total := int32(0)
	for t, spec := range specs {
		switch {
		case spec == nil || len(types) > 0 && !slices.Contains(types, t):
		case spec.Replicas == nil:
			total++
		default:
			total += min(max(*spec.Replicas, 0), MaxReplicas)
		}
	}
	return total
}
