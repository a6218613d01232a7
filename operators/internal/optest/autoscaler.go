package optest

import (
	"context"
	"fmt"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/jobtest"
)

// Autoscaler checks that a job with metrics has a HorizontalPodAutoscaler while it
// runs, and only then (known-bugs row 83). The job has one Worker and succeeds with
// it.
func Autoscaler[T any, J interface {
	*T
	client.Object
}](t *testing.T, author jobkit.ControllerInterface[J], manifest string) {
	t.Helper()
	world, err := jobtest.NewWorld(author, Scheme(t), jobtest.Options{Fate: func(*corev1.Pod) jobtest.Fate {
		return jobtest.Fate{Run: time.Hour}
	}})
	if err != nil {
		t.Fatal(err)
	}
	job := J(Job[T](t, manifest))
	job.SetNamespace("ns")
	key := client.ObjectKeyFromObject(job)
	there := func(when string, want bool) {
		t.Helper()
		err := world.Client().Get(t.Context(), key, &autoscalingv2.HorizontalPodAutoscaler{})
		if client.IgnoreNotFound(err) != nil || apierrors.IsNotFound(err) == want {
			t.Errorf("%s: reading the autoscaler gives %v, and it is to be there: %t\n%s", when, err, want, world.Transcript())
		}
	}
	suspend := func(suspended bool) func(context.Context, client.Client) error {
		return func(ctx context.Context, c client.Client) error {
			job := J(new(T))
			if err := c.Get(ctx, key, job); err != nil {
				return fmt.Errorf("cannot read the job: %w", err)
			}
			author.Parts(job).RunPolicy.Suspend = &suspended
			return c.Update(ctx, job)
		}
	}
	if err := world.Client().Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	world.At(10*time.Minute, "suspend the job", suspend(true))
	world.At(20*time.Minute, "resume the job", suspend(false))
	for _, step := range []struct {
		run  time.Duration
		when string
		want bool
	}{
		{time.Minute, "while the job runs", true},
		{14 * time.Minute, "while it is suspended", false},
		{10 * time.Minute, "when it runs again", true},
	} {
		if err := world.RunFor(t.Context(), step.run); err != nil {
			t.Fatal(err)
		}
		there(step.when, step.want)
	}
	if err := world.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	there("when the job has finished", false)
}
