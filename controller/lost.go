package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit/internal/plan"
)

// tallyOf finds the states of a job's replicas. If they say that replicas are lost, so that
// the whole job must restart, it verifies that with the API server first: a stale cache must
// not cost a job its work. Most passes read nothing here. The others read a few pods by name,
// or all pods of the job if stale pods make other replicas seem lost. What is read may show that
// others are in doubt, so it goes on until nothing that it reads is new.
func (c *JobController[J]) tallyOf(ctx context.Context, job J, in *plan.Input) (*plan.Tally, error) {
	for listed := false; ; {
		tally := plan.TallyOf(in)
		if tally.InDoubt() && !listed {
			if err := c.readPods(ctx, job, in); err != nil {
				return nil, err
			}
			listed = true
			continue
		}
		changed, err := c.verifyLost(ctx, job, in, tally.SuspectPods())
		if err != nil {
			return nil, err
		}
		if !changed {
			return tally, nil
		}
	}
}

// verifyLost reads pods that are taken for lost from the API server. It reports whether the input
// has changed for that.
func (c *JobController[J]) verifyLost(ctx context.Context, job J, in *plan.Input, names []string) (changed bool, err error) {
	for _, name := range names {
		pod := &corev1.Pod{}
		err := c.set.live.Get(ctx, client.ObjectKey{Namespace: in.Job.Namespace, Name: name}, pod)
		if apierrors.IsNotFound(err) {
			changed = c.noteDeparted(job, in) || changed
			continue
		}
		if err != nil {
			return false, fmt.Errorf("cannot read pod %s of %s %s/%s: %w", name, in.Kind.Name, in.Job.Namespace, in.Job.Name, err)
		}
		at := slices.IndexFunc(in.Pods, func(p *corev1.Pod) bool { return p.Name == name })
		switch {
		case !metav1.IsControlledBy(pod, job):
		case at < 0:
			// The cache will show it; if its labels are gone, the create finds and adopts it.
			if in.FoundPods == nil {
				in.FoundPods = map[string]bool{}
			}
			in.FoundPods[name], changed = true, true
		case in.Pods[at].UID != pod.UID:
			in.Pods[at], changed = pod, true
		}
	}
	return changed, nil
}

// noteDeparted looks for pods that are gone once more: the event of a deletion may come after the
// cache shows it. It reports whether there are more.
func (c *JobController[J]) noteDeparted(job J, in *plan.Input) bool {
	before := len(in.Departed)
	in.Departed = c.set.departed.of(job, in.Pods)
	return len(in.Departed) > before
}

// readPods reads the pods of a job from the API server, for the input to have no others.
func (c *JobController[J]) readPods(ctx context.Context, job J, in *plan.Input) error {
	requests := c.set.departed.requestsFor(job)
	live := cacheLister[J]{reader: c.set.live, kind: &c.set.kind}
	pods, err := live.ListPods(ctx, job)
	if err != nil {
		return fmt.Errorf("cannot list the pods of %s %s/%s: %w", in.Kind.Name, in.Job.Namespace, in.Job.Name, err)
	}
	in.Pods, in.ForceDeleted, in.Departed = pods, requests.putInto(pods), c.set.departed.of(job, pods)
	return nil
}
