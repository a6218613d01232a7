package controller_test

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// TestUpdatesThatAreUndone lets someone undo what the controller does to an object of a job, or to its service, for
// an hour.
func TestUpdatesThatAreUndone(t *testing.T) {
	label := func(o client.Object) { o.SetLabels(map[string]string{"app": "theirs"}) }
	undo := func(ctx context.Context, c client.Client, name string, o client.Object, change func(client.Object)) error {
		if err := c.Get(ctx, client.ObjectKey{Namespace: "ns", Name: name}, o); err != nil {
			return err
		}
		own := o.GetLabels()
		change(o)
		for key, value := range own {
			if key != "app" {
				o.GetLabels()[key] = value
			}
		}
		return c.Update(ctx, o)
	}
	for name, tc := range map[string]struct {
		reason string
		// undo is what another client does some time after each update, as every says; nil for a webhook that undoes an update
		// before it is stored.
		undo  func(ctx context.Context, c client.Client) error
		every time.Duration
		// changes is set if the job wants something else each time.
		changes  bool
		from, to int
		told     bool
	}{
		"Webhook": {reason: "at first once in a few seconds, in the end once in a minute", from: 55, to: 70, told: true},
		"Controller": {
			reason: "another controller undoes it a tenth of a second later", every: 100 * time.Millisecond, from: 55, to: 70, told: true,
			undo: func(ctx context.Context, c client.Client) error {
				return undo(ctx, c, "job-config", &corev1.ConfigMap{}, label)
			},
		},
		"Service": {
			reason: "the same for a service", every: 100 * time.Millisecond, from: 55, to: 70, told: true,
			undo: func(ctx context.Context, c client.Client) error {
				return undo(ctx, c, "job", &corev1.Service{}, func(o client.Object) {
					o.(*corev1.Service).Spec.Selector = map[string]string{"app": "theirs"}
				})
			},
		},
		"Seldom": {
			reason: "someone who changes it now and then makes no loop, and is answered at once", every: 10 * time.Minute, from: 5, to: 6,
			undo: func(ctx context.Context, c client.Client) error {
				return undo(ctx, c, "job-config", &corev1.ConfigMap{}, label)
			},
		},
		"News": {
			reason: "what the job wants changes every ten seconds: that is no repetition", every: 10 * time.Second, changes: true, from: 355, to: 360,
			undo: func(context.Context, client.Client) error { return nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := &keeper{content: "1"}
			b := newBench(t, k, testJob(1))
			mustReconcile(t, b)
			began := b.clock.Now()
			due, updates := began.Add(tc.every), 0
			b.intercept(interceptor.Funcs{Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
				updates++
				due = b.clock.Now().Add(tc.every)
				if tc.undo == nil {
					return c.Get(ctx, client.ObjectKeyFromObject(o), o) // as if nothing had changed
				}
				return c.Patch(ctx, o, p, opts...)
			}})
			if tc.undo == nil {
				k.content = "2"
			}
			for b.clock.Since(began) < time.Hour {
				wait := passAndWait(t, b)
				if left := due.Sub(b.clock.Now()); tc.undo != nil && left > 0 {
					wait = min(wait, left)
				}
				if b.clock.SetTime(b.clock.Now().Add(wait)); tc.undo == nil || !b.clock.Now().Equal(due) {
					continue
				}
				if tc.changes {
					k.content = strconv.Itoa(updates + 2)
				}
				if err := tc.undo(t.Context(), b.client); err != nil {
					t.Fatal(err)
				}
			}
			if updates < tc.from || updates > tc.to {
				t.Errorf("%s: %d updates in an hour, want %d to %d", tc.reason, updates, tc.from, tc.to)
			}
			told := slices.ContainsFunc(b.recorder.events, func(e string) bool { return strings.HasPrefix(e, "Warning TestJobUpdateUndone: ") })
			if told != tc.told {
				t.Errorf("%s: an event about it: %t, want %t; there are %v", tc.reason, told, tc.told, b.recorder.events)
			}
		})
	}
}

// passAndWait reconciles the job, and returns how long to wait for the next pass: an hour if none is due.
func passAndWait(t *testing.T, b *bench) time.Duration {
	t.Helper()
	_, result, err := b.reconcile()
	if err != nil {
		t.Fatal(err)
	}
	return cmp.Or(result.RequeueAfter, time.Hour)
}
