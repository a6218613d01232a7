package jobkit

import commonv1 "github.com/jobkit/jobkit/api/common/v1"

// ReplicaState is the state of one replica: where its pod stands, in one word.
type ReplicaState string

// The states of a replica.
const (
	// Missing: there is no pod.
	Missing ReplicaState = "Missing"
	// Pending: the pod waits to be scheduled or started.
	Pending ReplicaState = "Pending"
	// Active: the pod runs.
	Active ReplicaState = "Active"
	// Succeeded: the pod ended well. It may be gone since.
	Succeeded ReplicaState = "Succeeded"
	// Failed: the pod ended with an error, or is being ended from outside, which is yet
	// to be dealt with.
	Failed ReplicaState = "Failed"
	// Superseded: the pod belongs to an attempt that has been given up; the next one
	// starts when it is gone.
	Superseded ReplicaState = "Superseded"
	// Terminating: somebody deletes the pod, and it did not end before by itself.
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
	// Pods says of each replica, by index, whether it has a pod, in whatever state.
	Pods []bool
	// Counts are what status.replicaStatuses reports: the phases of the pods.
	Counts commonv1.ReplicaStatus
}

// Of returns the tally of a type, or nil.
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

// Count is how many replicas of the type are in a state.
func (t *TypeTally) Count(s ReplicaState) int {
	n := 0
	for _, state := range t.States {
		if state == s {
			n++
		}
	}
	return n
}

// Count is how many replicas of the job are in a state.
func (t *Tally) Count(s ReplicaState) int {
	n := 0
	for i := range t.Types {
		n += t.Types[i].Count(s)
	}
	return n
}
