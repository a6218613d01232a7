package jobkit

import commonv1 "github.com/jobkit/jobkit/api/common/v1"

// ReplicaState is the state of one replica, which follows from its pod.
type ReplicaState string

// The states of a replica.
const (
	// Missing: no pod exists.
	Missing ReplicaState = "Missing"
	// Pending: the pod waits to be scheduled or started.
	Pending ReplicaState = "Pending"
	// Active: the pod runs.
	Active ReplicaState = "Active"
	// Succeeded: the pod ended without an error. It may no longer exist.
	Succeeded ReplicaState = "Succeeded"
	// Failed: the pod ended with an error, or is being disrupted, and this has not been
	// handled yet.
	Failed ReplicaState = "Failed"
	// Superseded: the pod belongs to an earlier attempt; the next one starts when it is
	// gone.
	Superseded ReplicaState = "Superseded"
	// Terminating: the pod is being deleted and had not ended before.
	Terminating ReplicaState = "Terminating"
)

// Tally is the state of every replica of a job.
type Tally struct {
	// Types holds the replica types of the job, in the kind's order.
	Types []TypeTally
}

// TypeTally is the state of the replicas of one type.
type TypeTally struct {
	Type commonv1.ReplicaType
	// States holds the state of each replica, by index.
	States []ReplicaState
	// Pods holds, by index, whether a replica has a pod, in whatever state.
	Pods []bool
	// Ready holds, by index, whether a replica is Active and its pod is ready, by its
	// readiness probes.
	Ready []bool
	// Counts are what status.replicaStatuses reports: how many pods are in which phase.
	Counts commonv1.ReplicaStatus
}

// Of returns the tally of a type, or nil if the job does not have it.
func (t *Tally) Of(typ commonv1.ReplicaType) *TypeTally {
	for i := range t.Types {
		if t.Types[i].Type == typ {
			return &t.Types[i]
		}
	}
	return nil
}

// HasPod reports whether a replica has a pod, in whatever state. A nil tally has none.
func (t *TypeTally) HasPod(index int32) bool {
	return t != nil && index >= 0 && int(index) < len(t.Pods) && t.Pods[index]
}

// CountReady is the number of replicas of the type that are ready. A nil tally has none.
func (t *TypeTally) CountReady() int {
	if t == nil {
		return 0
	}
	n := 0
	for _, ready := range t.Ready {
		if ready {
			n++
		}
	}
	return n
}

// Count is the number of replicas of the type in a state.
func (t *TypeTally) Count(s ReplicaState) int {
	n := 0
	for _, state := range t.States {
		if state == s {
			n++
		}
	}
	return n
}

// CountReady is the number of replicas of the job that are ready.
func (t *Tally) CountReady() int {
	n := 0
	for i := range t.Types {
		n += t.Types[i].CountReady()
	}
	return n
}

// Count is the number of replicas of the job in a state.
func (t *Tally) Count(s ReplicaState) int {
	n := 0
	for i := range t.Types {
		n += t.Types[i].Count(s)
	}
	return n
}
