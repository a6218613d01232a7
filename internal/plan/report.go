package plan

import (
	"bytes"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// What happened first (the end of a pod, the request to delete it, a disruption) decides
// what the end means. Nodes have their own clocks, and nothing here depends on one. The API
// server's clock is in the times of creation, deletion and managedFields, and its order is in
// a generation.

// ReportEntry is the entry of a pod's managed fields that holds when its phase, or the
// state of a container, was last written, by the clock of the API server. It is nil if that
// is unknown. A cache that drops managed fields keeps this entry, without the fields
// themselves, of pods for which [Ends] holds.
func ReportEntry(p *corev1.Pod) *metav1.ManagedFieldsEntry {
	var newest *metav1.ManagedFieldsEntry
	entries := p.ManagedFields
	if n := len(entries); n > 0 && entries[n-1].Manager == lastWriter {
		entries = entries[:n-1]
	}
	for i := range entries {
		e := &entries[i]
		if e.Subresource != "status" || e.Time == nil {
			continue
		}
		kept := e.FieldsV1 == nil && len(entries) == 1
		if !kept && (e.FieldsV1 == nil || !bytes.Contains(e.FieldsV1.GetRawBytes(), []byte(`"f:phase"`))) {
			continue
		}
		if newest == nil || newest.Time.Before(e.Time) {
			newest = e
		}
	}
	return newest
}

// lastWriter is the manager of the entry that a cache keeps beside the other, with the time at
// which anyone last wrote the status of a pod.
const lastWriter = "training.kubeflow.org/last"

// KeptEntries are the managed fields that a cache must keep of a pod, by the API server's clock:
// when its end was reported and, if its job has a progress policy, when anyone last wrote its
// status. Times by the node's clock alone decide nothing.
func KeptEntries(p *corev1.Pod) []metav1.ManagedFieldsEntry {
	var kept []metav1.ManagedFieldsEntry
	if Ends(p) {
		if e := ReportEntry(p); e != nil {
			kept = append(kept, metav1.ManagedFieldsEntry{Subresource: e.Subresource, Time: e.Time})
		}
	}
	if _, watched := p.Annotations[commonv1.ProgressAnnotation]; watched {
		if at := writtenAt(p); !at.IsZero() {
			kept = append(kept, metav1.ManagedFieldsEntry{Manager: lastWriter, Subresource: "status", Time: &metav1.Time{Time: at}})
		}
	}
	return kept
}

// writtenAt is when the status of a pod was last written, by anyone, by the clock of the API
// server; zero if that is unknown.
func writtenAt(p *corev1.Pod) time.Time {
	var at time.Time
	for i := range p.ManagedFields {
		e := &p.ManagedFields[i]
		if e.Subresource == "status" && e.Time != nil && (e.FieldsV1 != nil || e.Manager == lastWriter) {
			at = later(at, e.Time.Time)
		}
	}
	return at
}

// Ends reports whether a pod or one of its containers has ended: then it matters when
// that was reported.
func Ends(p *corev1.Pod) bool {
	if hasEnded(p) {
		return true
	}
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for i := range list {
			if list[i].State.Terminated != nil || list[i].RestartCount > 0 {
				return true
			}
		}
	}
	return false
}

// hasEnded reports whether the phase of a pod is terminal.
func hasEnded(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// reportedAt is when the end of a pod was written, by the clock of the API server; zero
// if that is unknown.
func reportedAt(p *corev1.Pod) time.Time {
	if e := ReportEntry(p); e != nil {
		return e.Time.Time
	}
	return time.Time{}
}

// requestedAt is when the deletion of a pod that is being deleted was requested, by the clock of
// the API server; zero if that is unknown. It is unknown if the grace period is 0: what removes a
// pod that was stopped overwrites the time.
func requestedAt(p *corev1.Pod) time.Time {
	switch grace := p.DeletionGracePeriodSeconds; {
	case grace == nil: // Our own request, which the cache does not show yet.
		return p.DeletionTimestamp.Time
	case *grace == 0:
		return time.Time{}
	default:
		return p.DeletionTimestamp.Add(-seconds(*grace))
	}
}

// endedByItself reports whether a pod ended before its deletion was requested. In doubt it
// was stopped: what was stopped has neither succeeded nor failed.
func endedByItself(p *corev1.Pod) bool {
	if !hasEnded(p) {
		return false
	}
	if p.DeletionTimestamp == nil {
		return true
	}
	reported := reportedAt(p)
	return !reported.IsZero() && reported.Before(requestedAt(p))
}
