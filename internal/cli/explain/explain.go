// Package explain says what is known about a job that went wrong: its conditions,
// its pods and its last events.
package explain

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

const (
	maxEvents = 10 // the last events that are shown
	maxPods   = 10 // the pods that are shown
	longest   = 5 * time.Second
)

// Job writes what is known about a job, ready to be printed, at most some 30 lines.
// If events cannot be read, a line says so.
func Job(ctx context.Context, client dynamic.Interface, job jobview.Job, now time.Time) []string {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	events, err := events(ctx, client, job)
	lines := Report(job, events, now)
	if err != nil {
		lines = append(lines, "  events: "+console.OneLine(err.Error()))
	}
	return lines
}

// Report is the pure part of Job.
func Report(job jobview.Job, events []corev1.Event, now time.Time) []string {
	lines := []string{"  conditions:"}
	for _, c := range job.Status.Conditions {
		lines = append(lines, fmt.Sprintf("    %-10s  %-7s %s", c.Type, c.Status, joined(c.Reason, c.Message)))
	}
	if len(job.Status.Conditions) == 0 {
		lines = append(lines, "    none: no operator has taken up the job")
	}
	lines = append(lines, "  pods:")
	for _, pod := range first(job.Pods, maxPods) {
		lines = append(lines, strings.TrimRight(fmt.Sprintf("    %s  %-9s  %s", pod.Name, pod.Phase, pod.Problem), " "))
	}
	switch {
	case job.Pods == nil:
		lines = append(lines, "    not known: they may not be read")
	case len(job.Pods) == 0:
		lines = append(lines, "    none")
	case len(job.Pods) > maxPods:
		lines = append(lines, fmt.Sprintf("    and %d more", len(job.Pods)-maxPods))
	}
	if len(events) == 0 {
		return cleaned(lines)
	}
	lines = append(lines, "  last events:")
	slices.SortStableFunc(events, func(a, b corev1.Event) int { return When(a).Compare(When(b)) })
	for _, e := range events[max(0, len(events)-maxEvents):] {
		lines = append(lines, fmt.Sprintf("    %4s ago  %-7s  %s/%s  %s", jobview.Duration(max(0, now.Sub(When(e)))),
			e.Type, e.InvolvedObject.Kind, e.InvolvedObject.Name, joined(e.Reason, e.Message)))
	}
	return cleaned(lines)
}

// cleaned are the lines as a terminal can show them: they contain text from elsewhere.
func cleaned(lines []string) []string {
	for i := range lines {
		lines[i] = console.Clean(lines[i])
	}
	return lines
}

// events reads the events of a job and of its pods.
func events(ctx context.Context, client dynamic.Interface, job jobview.Job) ([]corev1.Event, error) {
	list, err := client.Resource(corev1.SchemeGroupVersion.WithResource("events")).Namespace(job.Namespace).
		List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("cannot read the events: %w", err)
	}
	var found []corev1.Event
	err = list.EachListItem(func(item runtime.Object) error {
		object, ok := item.(*unstructured.Unstructured)
		if !ok {
			return nil
		}
		event := corev1.Event{}
		err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &event)
		if err != nil {
			return fmt.Errorf("cannot read event %s: %w", object.GetName(), err)
		}
		if Concerns(event, job) {
			found = append(found, event)
		}
		return nil
	})
	if err != nil {
		return found, fmt.Errorf("cannot read the events: %w", err)
	}
	return found, nil
}

// Concerns reports whether an event is about a job, its pods or its services.
func Concerns(event corev1.Event, job jobview.Job) bool {
	// A job that had the name before left its events behind.
	if When(event).Before(job.Created) {
		return false
	}
	object := event.InvolvedObject
	switch {
	case object.Kind == job.Kind && object.Name == job.Name:
		// A job of the name that was deleted in this moment can be as old as this one, to the second.
		return object.UID == "" || job.UID == "" || object.UID == job.UID
	case object.Kind == "Service" && object.Name == job.Name:
		return true
	case object.Kind != "Pod" && object.Kind != "Service":
		return false
	case object.UID != "" && slices.ContainsFunc(job.Pods, func(p jobview.Pod) bool { return p.UID == object.UID }):
		return true
	}
	// It is gone, or pods may not be read. A job train has no pod train-eval-worker-0: that is one of the job train-eval.
	rest, isPart := strings.CutPrefix(object.Name, job.Name+"-")
	return isPart && isReplica(rest, job, object.Kind == "Service")
}

// isReplica reports whether a name, without the job's, is that of a replica of a job: its type, and its index if it has
// one. Services of roles end in svc.
func isReplica(name string, job jobview.Job, service bool) bool {
	last := strings.LastIndexByte(name, '-')
	whole, index := name, ""
	if last >= 0 && (isNumber(name[last+1:]) || service && name[last+1:] == "svc") {
		name, index = name[:last], name[last:]
	}
	for t := range types(job) {
		// A type can end in a number of its own.
		if strings.EqualFold(name, string(t)) || index != "" && strings.EqualFold(whole, string(t)) {
			return true
		}
	}
	return false
}

// types are the replica types of a job: those that it asks for, those of its status, and those of its pods.
func types(job jobview.Job) map[commonv1.ReplicaType]bool {
	out := map[commonv1.ReplicaType]bool{}
	for t := range job.Replicas {
		out[t] = true
	}
	for t := range job.Status.ReplicaStatuses {
		out[t] = true
	}
	for i := range job.Pods {
		out[job.Pods[i].Type] = true
	}
	return out
}

func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// When is the time of an event, whichever of its fields has it.
func When(e corev1.Event) time.Time {
	if e.Series != nil {
		return e.Series.LastObservedTime.Time
	}
	return cmp.Or(e.LastTimestamp.Time, e.EventTime.Time, e.CreationTimestamp.Time)
}

// joined writes a reason and its message on one line.
func joined(reason, message string) string {
	return strings.TrimPrefix(console.OneLine(reason+": "+message), ": ")
}

func first(pods []jobview.Pod, n int) []jobview.Pod { return pods[:min(n, len(pods))] }
