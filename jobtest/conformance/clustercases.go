package conformance

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// aLongTime is for pods that are to run until something else happens.
const aLongTime = "1h"

// clusterCases are the cases on a real API server.
func (s Suite[J]) clusterCases() []clusterCase[J] {
	ends := func(ctx context.Context, l *life[J]) error { return l.until(ctx, succeeded) }
	cases := []clusterCase[J]{
		{"Success", nil, ends},
		{"SuccessAndCleanUp", func(p jobkit.JobParts) { p.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyAll) }, func(ctx context.Context, l *life[J]) error {
			return first(func() error { return l.until(ctx, succeeded) }, func() error { return l.untilPods(ctx, "", 0) })
		}},
		{"TimeToLive", func(p jobkit.JobParts) { p.RunPolicy.TTLSecondsAfterFinished = new(int32(1)) }, func(ctx context.Context, l *life[J]) error {
			return l.gone(ctx)
		}},
		{"Deadline", func(p jobkit.JobParts) {
			lives("", "run-for", aLongTime)(p)
			p.RunPolicy.ActiveDeadlineSeconds = new(int64(2))
		}, func(ctx context.Context, l *life[J]) error { return l.until(ctx, failed) }},
		{"Suspended", lives("", "run-for", aLongTime), s.suspendsOnCluster},
		{"Resumed", func(p jobkit.JobParts) { p.RunPolicy.Suspend = new(true) }, s.resumesOnCluster},
		{"Deleted", lives("", "run-for", aLongTime), func(ctx context.Context, l *life[J]) error {
			if err := l.untilPods(ctx, "", -1); err != nil {
				return err
			}
			if err := l.client.Delete(ctx, l.job); err != nil {
				return fmt.Errorf("the job cannot be deleted: %w", err)
			}
			return l.gone(ctx)
		}},
		{"PodsDeleted", func(p jobkit.JobParts) {
			restarts("", commonv1.RestartPolicyOnFailure)(p)
			lives("", "run-for", aLongTime)(p)
		}, s.deletesPodsOnCluster},
	}
	for _, t := range s.types() {
		cases = append(cases, s.failuresOnCluster(t)...)
		cases = append(cases, s.scalesOnCluster(t)...)
		cases = append(cases, clusterCase[J]{"SuccessPolicy/" + string(t), func(p jobkit.JobParts) {
			for other := range p.ReplicaSpecs {
				if other != t {
					lives(other, "run-for", aLongTime)(p)
				}
			}
			p.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{{ReplicaType: t, Count: new(int32(1))}}}
		}, ends})
	}
	return cases
}

func failed(status *commonv1.JobStatus) error {
	if status.State != commonv1.JobFailed {
		return fmt.Errorf("the job should have failed: it is %s", state(status))
	}
	return nil
}

func (s Suite[J]) suspendsOnCluster(ctx context.Context, l *life[J]) error {
	return first(
		func() error { return l.untilPods(ctx, "", -1) },
		func() error { return l.edit(ctx, func(p jobkit.JobParts) { p.RunPolicy.Suspend = new(true) }) },
		func() error { return l.until(ctx, suspended) },
		func() error { return l.untilPods(ctx, "", 0) },
	)
}

func (s Suite[J]) resumesOnCluster(ctx context.Context, l *life[J]) error {
	return first(
		func() error { return l.until(ctx, suspended) },
		func() error { return l.untilPods(ctx, "", 0) },
		func() error { return l.edit(ctx, func(p jobkit.JobParts) { p.RunPolicy.Suspend = new(false) }) },
		func() error { return l.until(ctx, succeeded) },
	)
}

// first calls functions until one returns an error.
func first(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// deletesPodsOnCluster deletes all pods that the job has; others must take their place.
func (s Suite[J]) deletesPodsOnCluster(ctx context.Context, l *life[J]) error {
	if err := l.untilPods(ctx, "", -1); err != nil {
		return err
	}
	pods, err := l.pods(ctx, "")
	if err != nil {
		return err
	}
	for i := range pods {
		if err := l.client.Delete(ctx, &pods[i]); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("a pod cannot be deleted: %w", err)
		}
	}
	return l.eventually(ctx, func(ctx context.Context) error {
		now, err := l.pods(ctx, "")
		if err != nil {
			return err
		}
		for i := range pods {
			if !slices.ContainsFunc(now, func(p corev1.Pod) bool { return p.Name == pods[i].Name && p.UID != pods[i].UID }) {
				return fmt.Errorf("nothing took the place of pod %s, which was deleted", pods[i].Name)
			}
		}
		return nil
	})
}

// failuresOnCluster have the first replica of a type fail.
func (s Suite[J]) failuresOnCluster(t commonv1.ReplicaType) []clusterCase[J] {
	once := lives(t, "exit-code", "137", "fail-index", "0", "fail-until-attempt", "1", "run-for", "2s")
	changes := func(all ...func(jobkit.JobParts)) func(jobkit.JobParts) {
		return func(p jobkit.JobParts) {
			for _, change := range all {
				change(p)
			}
		}
	}
	// The other types run on: the job must not end before the failure is noticed.
	others := func(p jobkit.JobParts) {
		for other := range p.ReplicaSpecs {
			if other != t {
				lives(other, "run-for", aLongTime)(p)
			}
		}
	}
	restarted := func(ctx context.Context, l *life[J]) error {
		return l.until(ctx, func(status *commonv1.JobStatus) error {
			if status.Restarts == 1 && status.State != commonv1.JobFailed {
				return nil
			}
			return fmt.Errorf("the job has %d restarts, want 1, and is %s", status.Restarts, state(status))
		})
	}
	ends := func(ctx context.Context, l *life[J]) error { return l.until(ctx, finished) }
	out := []clusterCase[J]{
		{fmt.Sprintf("Failure/%s/%s", t, commonv1.RestartPolicyNever), changes(restarts("", commonv1.RestartPolicyNever), once), ends},
		{fmt.Sprintf("Failure/%s/%s", t, commonv1.RestartPolicyOnFailure), changes(restarts("", commonv1.RestartPolicyOnFailure), others, once), restarted},
	}
	for _, scope := range []commonv1.RestartScope{commonv1.RestartScopeReplica, commonv1.RestartScopeRole, commonv1.RestartScopeJob} {
		out = append(out, clusterCase[J]{
			fmt.Sprintf("Scope/%s/%s", t, scope), changes(restarts(scope, commonv1.RestartPolicyExitCode), others, once), restarted,
		})
	}
	return append(out, clusterCase[J]{
		"BackoffLimit/" + string(t), changes(
			restarts("", commonv1.RestartPolicyExitCode), lives("", "run-for", aLongTime), lives(t, "exit-code", "137", "run-for", "1s"),
			func(p jobkit.JobParts) { p.RunPolicy.BackoffLimit = new(int32(1)) },
		), func(ctx context.Context, l *life[J]) error { return l.until(ctx, failed) },
	})
}

// scalesOnCluster scale a type, if it may have another number of replicas.
func (s Suite[J]) scalesOnCluster(t commonv1.ReplicaType) []clusterCase[J] {
	kind := s.author().Kind()
	role, n := kind.Role(t), jobkit.Count(s.author().Parts(s.job()).ReplicaSpecs, t)
	if role == nil {
		return nil
	}
	least, most := role.Bounds()
	if n+1 > most || n < max(least, 1) {
		return nil
	}
	return []clusterCase[J]{{"Scale/" + string(t), lives("", "run-for", aLongTime), func(ctx context.Context, l *life[J]) error {
		steps := []func() error{func() error { return l.untilPods(ctx, t, int(n)) }}
		for _, to := range []int32{n + 1, n} {
			steps = append(steps,
				func() error {
					return l.edit(ctx, func(p jobkit.JobParts) { p.ReplicaSpecs[t].Replicas = &to })
				},
				func() error { return l.untilPods(ctx, t, int(to)) })
		}
		return first(steps...)
	}}}
}
