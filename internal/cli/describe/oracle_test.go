package describe_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/internal/cli/jobs"
	"github.com/jobkit/jobkit/internal/cli/watch/jobview"
	jobkinds "github.com/jobkit/jobkit/internal/kinds"
	"github.com/jobkit/jobkit/operators/jaxjob"
)

// step is what the operator would do next if nothing else happened.
type step struct {
	// In is how long that takes; 0 is now.
	In time.Duration
	// What it is, in words; empty if nothing is planned.
	What string
}

// String is a step in words.
func (s step) String() string {
	switch {
	case s.What == "":
		return "nothing, until something happens"
	case s.In <= 0:
		return "now: " + s.What
	}
	return "in " + jobview.Duration(s.In) + ": " + s.What
}

// maxPasses is how many passes ahead are tried.
const maxPasses = 6

// oracle asks the controller itself what it would do, now and when its timers have run out. It
// reads from the cluster, and writes nothing.
func oracle(ctx context.Context, c dynamic.Interface, job *jobs.Found, now time.Time) (step, error) {
	run := passOf[*kubeflowv1.JAXJob](jaxjob.Controller{}, &kubeflowv1.JAXJob{})
	scheme, err := jobkinds.Scheme()
	if err != nil {
		return step{}, err
	}
	ctx = log.IntoContext(ctx, logr.Discard())
	p := &paper{dynamic: c, scheme: scheme, job: job.Object}
	before := job.View().Status
	at := now
	for range maxPasses {
		p.blank()
		status, after, err := run(ctx, p, at)
		if err != nil {
			return step{}, err
		}
		if what := p.words(job, &before, status); what != "" {
			return step{In: at.Sub(now), What: what}, nil
		}
		if after <= 0 {
			return step{}, nil
		}
		at = at.Add(after)
	}
	return step{}, nil
}

// words says what is on the paper.
func (p *paper) words(job *jobs.Found, before, after *commonv1.JobStatus) string {
	var parts []string
	created, deleted := replicas(job, p.created), replicas(job, p.deleted)
	restarted := p.restarted(job, deleted, after)
	if len(restarted) > 0 {
		parts = append(parts, "restart of "+short(restarted)+used(job, after))
	}
	if fresh := without(created, restarted); len(fresh) > 0 {
		parts = append(parts, "creates "+short(fresh))
	}
	if gone := without(deleted, restarted); len(gone) > 0 {
		parts = append(parts, "deletes "+short(gone))
	}
	if slices.ContainsFunc(p.deleted, p.isJob) {
		parts = append(parts, "deletes the job, because of ttlSecondsAfterFinished")
	}
	for i := range after.Conditions {
		if c := &after.Conditions[i]; c.Status == corev1.ConditionTrue && !before.IsTrue(c.Type) {
			parts = append(parts, fmt.Sprintf("it is %s: %s", c.Type, c.Message))
		}
	}
	return strings.Join(parts, "; ")
}

// restarted are the replicas that would be restarted: those whose pods are created in a later
// attempt, and those whose failed pods are deleted to be created again.
func (p *paper) restarted(job *jobs.Found, deleted []string, after *commonv1.JobStatus) []string {
	var out []string
	for _, o := range p.created {
		attempt := o.GetLabels()[commonv1.AttemptLabel]
		if pod, ok := o.(*corev1.Pod); ok && attempt != "0" && attempt != "" {
			out = append(out, jobs.Replica(job.Object.GetName(), pod))
		}
	}
	if !after.Finished() && !after.IsTrue(commonv1.JobSuspended) {
		out = append(out, failed(job, deleted)...)
	}
	return out
}

// isJob reports whether an object is the job. One that is to be deleted may come as its metadata.
func (p *paper) isJob(o client.Object) bool {
	return o.GetName() == p.job.GetName() && !isPod(o) && !isService(o)
}

// failed are those of some replicas whose pods have failed.
func failed(job *jobs.Found, names []string) []string {
	var out []string
	for _, pod := range job.Pods {
		name := jobs.Replica(job.Object.GetName(), pod)
		if pod.Status.Phase == corev1.PodFailed && slices.Contains(names, name) {
			out = append(out, name)
		}
	}
	return out
}

// used says how much of the job's limit is used up then.
func used(job *jobs.Found, after *commonv1.JobStatus) string {
	limit, found, err := unstructured.NestedInt64(job.Object.Object, "spec", "runPolicy", "backoffLimit")
	if !found || err != nil {
		return ""
	}
	return fmt.Sprintf(", %d of %d used", after.Restarts, limit)
}

func isPod(o client.Object) bool { _, ok := o.(*corev1.Pod); return ok }

func isService(o client.Object) bool { _, ok := o.(*corev1.Service); return ok }

// replicas are those whose pods are among objects. A pod to be deleted may come as its metadata.
func replicas(job *jobs.Found, objects []client.Object) []string {
	var out []string
	for _, o := range objects {
		for _, pod := range job.Pods {
			if o.GetName() == pod.Name && !isService(o) {
				out = append(out, jobs.Replica(job.Object.GetName(), pod))
				break
			}
		}
		name := strings.TrimPrefix(o.GetName(), job.Object.GetName()+"-")
		if isPod(o) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// without leaves out some words.
func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}

// short names some replicas, and counts the others.
func short(names []string) string {
	const most = 6
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
