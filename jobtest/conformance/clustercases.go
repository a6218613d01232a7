package conformance

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// aLongTime is for pods that are to run until something else happens.
const aLongTime = "1h"

// clusterCases are the cases on a real API server. What the simulated one decides alike, such as
// each restart policy with each exit code, is not tried again.
func (s Suite[J]) clusterCases() []clusterCase[J] {
	cases := []clusterCase[J]{
		{"Success", func(p jobkit.JobParts) { p.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyAll) }, []step[J]{
			until[J]("P3", succeeded),
			untilPods[J]("P9", "", 0),
			edits[J]("has the job live for a second after its end", func(p jobkit.JobParts) { p.RunPolicy.TTLSecondsAfterFinished = new(int32(1)) }),
			untilGone[J]("P7"),
		}},
		{"Deadline", changes(lives("", "run-for", aLongTime), func(p jobkit.JobParts) {
			p.RunPolicy.ActiveDeadlineSeconds = new(int64(2))
		}), []step[J]{until[J]("P7", failed)}},
		{"Suspended", changes(lives("", "run-for", aLongTime), suspend(true)), []step[J]{
			until[J]("P3", suspended), untilPods[J]("P5", "", 0),
			edits[J]("resumes the job", suspend(false)), untilPods[J]("P3", "", some),
			edits[J]("suspends the job", suspend(true)), until[J]("P3", suspended), untilPods[J]("P9", "", 0),
		}},
		{"Deleted", changes(restarts("", commonv1.RestartPolicyOnFailure), lives("", "run-for", aLongTime)), []step[J]{
			untilPods[J]("P3", "", some), deletePods[J], deleteJob[J], untilGone[J]("P9"),
		}},
	}
	for _, t := range s.types() {
		cases = append(cases, s.failuresOnCluster(t)...)
		cases = append(cases, s.scalesOnCluster(t)...)
		cases = append(cases, clusterCase[J]{"SuccessPolicy/" + string(t), changes(othersRunOn(t), func(p jobkit.JobParts) {
			p.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{{ReplicaType: t, Count: new(int32(1))}}}
		}), []step[J]{until[J]("P3", succeeded)}})
	}
	return cases
}

// failuresOnCluster have the first replica of a type fail.
func (s Suite[J]) failuresOnCluster(t commonv1.ReplicaType) []clusterCase[J] {
	once := changes(othersRunOn(t), lives(t, "exit-code", "137", "fail-index", "0", "fail-until-attempt", "1", "run-for", "2s"))
	restarted := []step[J]{until[J]("P6", func(status *commonv1.JobStatus) error {
		if status.Restarts != 1 || status.State == commonv1.JobFailed {
			return fmt.Errorf("one replica has failed once: the job should have one restart and go on; it has %d, and is %s", status.Restarts, state(status))
		}
		return nil
	})}
	return []clusterCase[J]{
		{fmt.Sprintf("Failure/%s/%s", t, commonv1.RestartPolicyOnFailure), changes(restarts("", commonv1.RestartPolicyOnFailure), once), restarted},
		{fmt.Sprintf("Scope/%s/%s", t, commonv1.RestartScopeJob), changes(restarts(commonv1.RestartScopeJob, commonv1.RestartPolicyExitCode), once), restarted},
		{"BackoffLimit/" + string(t), changes(
			restarts("", commonv1.RestartPolicyExitCode), othersRunOn(t), lives(t, "exit-code", "137", "run-for", "1s"),
			func(p jobkit.JobParts) { p.RunPolicy.BackoffLimit = new(int32(1)) },
		), []step[J]{until[J]("P6", failed)}},
	}
}

// scalesOnCluster scale a type up and down again, if it may have another number of replicas.
func (s Suite[J]) scalesOnCluster(t commonv1.ReplicaType) []clusterCase[J] {
	kind, n := s.author().Kind(), jobkit.Count(s.author().Parts(s.job()).ReplicaSpecs, t)
	role := kind.Role(t)
	if role == nil {
		return nil
	}
	least, most := role.Bounds()
	if n+1 > most || n < max(least, 1) {
		return nil
	}
	steps := []step[J]{untilPods[J]("P3", t, int(n))}
	for _, to := range []int32{n + 1, n} {
		steps = append(steps,
			edits[J](fmt.Sprintf("scales %s to %d", t, to), func(p jobkit.JobParts) { p.ReplicaSpecs[t].Replicas = &to }),
			untilPods[J]("P3", t, int(to)))
	}
	return []clusterCase[J]{{"Scale/" + string(t), lives("", "run-for", aLongTime), steps}}
}

// changes makes several changes, in their order.
func changes(all ...func(jobkit.JobParts)) func(jobkit.JobParts) {
	return func(p jobkit.JobParts) {
		for _, change := range all {
			change(p)
		}
	}
}

// othersRunOn has the replicas of all other types run on: the job must not end before what the type
// does is noticed.
func othersRunOn(t commonv1.ReplicaType) func(jobkit.JobParts) {
	return func(p jobkit.JobParts) {
		for other := range p.ReplicaSpecs {
			if other != t {
				lives(other, "run-for", aLongTime)(p)
			}
		}
	}
}

func suspend(is bool) func(jobkit.JobParts) {
	return func(p jobkit.JobParts) { p.RunPolicy.Suspend = &is }
}

func failed(status *commonv1.JobStatus) error {
	if status.State != commonv1.JobFailed {
		return fmt.Errorf("the job should have failed: it is %s", state(status))
	}
	return nil
}

// edits has a user edit the job.
func edits[J client.Object](what string, change func(jobkit.JobParts)) step[J] {
	return func(ctx context.Context, l *life[J]) error { return l.edit(ctx, what, change) }
}

// until waits until the status of the job is as wanted; otherwise a promise is broken.
func until[J client.Object](promise string, want func(*commonv1.JobStatus) error) step[J] {
	return func(ctx context.Context, l *life[J]) error {
		return l.eventually(ctx, func(ctx context.Context) error {
			if err := l.read(ctx); err != nil {
				return err
			}
			if err := want(l.parts().Status); err != nil {
				return findingf(promise, "%v", err)
			}
			return nil
		})
	}
}

// some is a number of pods: at least one.
const some = -1

// untilPods waits until the job has so many pods of a type, or of all types.
func untilPods[J client.Object](promise string, t commonv1.ReplicaType, n int) step[J] {
	return func(ctx context.Context, l *life[J]) error {
		return l.eventually(ctx, func(ctx context.Context) error {
			pods, err := l.pods(ctx, t)
			switch {
			case err != nil:
				return err
			case n == some && len(pods) == 0:
				if err := l.read(ctx); err != nil { // It may have been refused.
					return err
				}
				return findingf(promise, "the job has no pods")
			case n != some && len(pods) != n:
				return findingf(promise, "the job has %d pods %s, want %d", len(pods), t, n)
			}
			return nil
		})
	}
}

// untilGone waits until the job and its pods are gone.
func untilGone[J client.Object](promise string) step[J] {
	return func(ctx context.Context, l *life[J]) error {
		return l.eventually(ctx, func(ctx context.Context) error {
			switch err := l.client.Get(ctx, client.ObjectKeyFromObject(l.job), l.suite.job()); {
			case err == nil:
				return findingf(promise, "the job still exists")
			case !apierrors.IsNotFound(err):
				return findingf("error", "the job cannot be read: %v", err)
			}
			pods, err := l.pods(ctx, "")
			if err == nil && len(pods) > 0 {
				err = findingf("P9", "the job is gone, and %d of its pods still exist", len(pods))
			}
			return err
		})
	}
}

// deletePods deletes all pods that the job has; others must take their place.
func deletePods[J client.Object](ctx context.Context, l *life[J]) error {
	pods, err := l.pods(ctx, "")
	if err != nil {
		return err
	}
	l.sayf("user", "deletes the %d pods of the job", len(pods))
	for i := range pods {
		if err := l.client.Delete(ctx, &pods[i]); client.IgnoreNotFound(err) != nil {
			return findingf("set-up", "a pod cannot be deleted: %v", err)
		}
	}
	return l.eventually(ctx, func(ctx context.Context) error {
		now, err := l.pods(ctx, "")
		if err != nil {
			return err
		}
		for i := range pods {
			if !slices.ContainsFunc(now, func(p corev1.Pod) bool { return p.Name == pods[i].Name && p.UID != pods[i].UID }) {
				return findingf("P3", "nothing took the place of pod %s, which was deleted", pods[i].Name)
			}
		}
		return nil
	})
}

func deleteJob[J client.Object](ctx context.Context, l *life[J]) error {
	l.sayf("user", "deletes the job")
	if err := l.client.Delete(ctx, l.job, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		return findingf("set-up", "the job cannot be deleted: %v", err)
	}
	return nil
}
