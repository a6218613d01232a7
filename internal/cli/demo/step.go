package demo

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
)

// runFor is the annotation of a pod that says how long its programs run on the dev control plane.
const runFor = "devcluster.jobkit.dev/run-for"

// Action is what the demo does to a job.
type Action string

// The actions.
const (
	Suspend   Action = "suspend"
	Resume    Action = "resume"
	Autoscale Action = "autoscale"
	Finish    Action = "finish"
)

// Step is one thing that the demo does to a job.
type Step struct {
	Action Action
	// Replicas is how many Workers run after Autoscale.
	Replicas int
	// After is how long after it was submitted, at the earliest.
	After time.Duration
}

// state is the state that the job must be in.
func (s Step) state() commonv1.JobConditionType {
	if s.Action == Resume {
		return commonv1.JobSuspended
	}
	return commonv1.JobRunning
}

// readSteps reads the annotation of that name.
func readSteps(text string) ([]Step, error) {
	form := regexp.MustCompile(`^(suspend|resume|finish|autoscale to ([0-9]+)) after ([0-9a-z.]+)$`)
	var steps []Step
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		match := form.FindStringSubmatch(part)
		if match == nil {
			return nil, fmt.Errorf(
				"%q is not a step: it must be like \"suspend after 2s\", \"resume after 2s\", \"autoscale to 3 after 2s\" or \"finish after 2s\"", part)
		}
		after, err := time.ParseDuration(match[3])
		if err != nil || after <= 0 {
			return nil, fmt.Errorf("step %q has %q, and must have a duration above 0 such as 2s", part, match[3])
		}
		step := Step{Action: Action(match[1]), After: after}
		if match[2] != "" {
			step.Action = Autoscale
			step.Replicas, err = strconv.Atoi(match[2])
			if err != nil {
				return nil, fmt.Errorf("step %q: %w", part, err)
			}
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// Due are the indices of the jobs whose next step is to be done now: its time has
// come, and the job is seen in the state that the step needs. Finish also waits for the
// restarts that the example is to show. done counts the steps that were done, for each job.
func Due(examples []Example, jobs []jobview.Job, sinceSubmit time.Duration, done []int) []int {
	var found []int
	for i, e := range examples {
		if done[i] == len(e.Steps) {
			continue
		}
		next := e.Steps[done[i]]
		if sinceSubmit < next.After || jobs[i].State() != string(next.state()) {
			continue
		}
		if next.Action == Finish && e.Restarts != nil && jobs[i].Restarts() < *e.Restarts {
			continue
		}
		found = append(found, i)
	}
	return found
}

// do does a step, and says what it did; empty if it is too early for it.
func (r *runner) do(ctx context.Context, i int, step Step) (string, error) {
	switch step.Action {
	case Autoscale:
		return r.autoscale(ctx, i, step.Replicas)
	case Finish:
		return r.endPrograms(ctx, i)
	case Suspend, Resume:
	}
	job := r.jobs[i]
	jobs, name := r.client.Resource(job.Resource).Namespace(r.namespace), job.Object.GetName()
	suspended := step.Action == Suspend
	patch := fmt.Sprintf(`{"spec":{"runPolicy":{"suspend":%t}}}`, suspended)
	_, err := jobs.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return "", fmt.Errorf("cannot %s %s: %w", step.Action, name, err)
	}
	word := map[Action]string{Suspend: "suspended", Resume: "resumed"}[step.Action]
	return fmt.Sprintf("%s is %s by the demo: spec.runPolicy.suspend is now %t", name, word, suspended), nil
}

// autoscale does what the job's autoscaler would do if it had metrics: it scales the
// job by its scale subresource, within the autoscaler's limits.
func (r *runner) autoscale(ctx context.Context, i, replicas int) (string, error) {
	job := r.jobs[i]
	name := job.Object.GetName()
	scalers := r.client.Resource(schema.GroupVersionResource{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"})
	scaler, err := scalers.Namespace(r.namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", nil // the operator will make it
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the HorizontalPodAutoscaler of %s: %w", name, err)
	}
	least, _, _ := unstructured.NestedInt64(scaler.Object, "spec", "minReplicas")
	most, _, _ := unstructured.NestedInt64(scaler.Object, "spec", "maxReplicas")
	if int64(replicas) < least || int64(replicas) > most {
		return "", fmt.Errorf("scale %s to %d: its HorizontalPodAutoscaler allows %d to %d", name, replicas, least, most)
	}
	_, err = r.client.Resource(job.Resource).Namespace(r.namespace).Patch(ctx, name, types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas), metav1.PatchOptions{}, "scale")
	if err != nil {
		return "", fmt.Errorf("cannot scale %s: %w", name, err)
	}
	return fmt.Sprintf("%s is scaled to %d workers, as its autoscaler (%d to %d) would", name, replicas, least, most), nil
}

// endPrograms has the programs end that do not end by themselves, once they all run and the
// others have succeeded: the pods of such a job run until then, so that on a slow machine it
// does not end before the steps and restarts that it is to show.
func (r *runner) endPrograms(ctx context.Context, i int) (string, error) {
	name := r.jobs[i].Object.GetName()
	object, err := r.client.Resource(r.jobs[i].Resource).Namespace(r.namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %w", name, err)
	}
	wanted := 0
	for _, n := range jobview.FromObject(object, nil).Replicas {
		wanted += n
	}
	pods := r.client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(r.namespace)
	list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: commonv1.JobNameLabel + "=" + name})
	if err != nil {
		return "", fmt.Errorf("cannot list the pods of %s: %w", name, err)
	}
	var running []string
	succeeded := 0
	for _, pod := range list.Items {
		phase, _, _ := unstructured.NestedString(pod.Object, "status", "phase")
		_, ends := pod.GetAnnotations()[runFor]
		switch {
		case phase == string(corev1.PodRunning) && !ends:
			running = append(running, pod.GetName())
		case phase == string(corev1.PodSucceeded):
			succeeded++
		}
	}
	if len(running)+succeeded < wanted {
		return "", nil // the others will run, or end
	}
	for _, pod := range running {
		_, err = pods.Patch(ctx, pod, types.MergePatchType,
			[]byte(`{"metadata":{"annotations":{"`+runFor+`":"0s"}}}`), metav1.PatchOptions{})
		if err != nil {
			return "", fmt.Errorf("cannot end the program of pod %s: %w", pod, err)
		}
	}
	return name + ": its programs end now", nil
}
