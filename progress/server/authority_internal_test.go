package server

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const testHost = "progress.ops.svc"

var secretName = types.NamespacedName{Namespace: "ops", Name: "progress"}

// replicaOf makes the authorities of a replica.
func replicaOf(c client.Client, now *time.Time) *authorities {
	return &authorities{client: c, live: c, secret: secretName, host: testHost, now: func() time.Time { return *now }, log: logr.Discard()}
}

// knows reports whether a pod that has a bundle accepts what is served.
func knows(t *testing.T, bundle string, a *authorities, now time.Time) error {
	t.Helper()
	served, err := a.certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(bundle))
	_, err = served.Leaf.Verify(x509.VerifyOptions{DNSName: testHost, Roots: roots, CurrentTime: now})
	return err
}

func mustSync(t *testing.T, a *authorities) {
	t.Helper()
	if err := a.sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func authorityCount(bundle string) int { return strings.Count(bundle, "BEGIN CERTIFICATE") }

// TestAuthorities lives through 25 years: a pod accepts what is served for at least four years
// from its creation, and there are never more than three authorities.
func TestAuthorities(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	a := replicaOf(fake.NewFakeClient(&corev1.Secret{ObjectMeta: objectMeta()}), &now)
	type pod struct {
		born   time.Time
		bundle string
	}
	var pods []pod
	serials := map[string]bool{}
	for range 25 * 365 / 12 {
		mustSync(t, a)
		if n := authorityCount(a.CABundle()); n < 1 || n > 3 {
			t.Fatalf("on %s there are %d authorities", now, n)
		}
		if served, _ := a.certificate(nil); served.Leaf.NotAfter.Sub(now) < 3*day || served.Leaf.NotAfter.Sub(now) > 31*day {
			t.Fatalf("on %s the certificate is valid until %s", now, served.Leaf.NotAfter)
		} else {
			serials[served.Leaf.SerialNumber.String()] = true
		}
		pods = append(pods, pod{now, a.CABundle()})
		pods = slices.DeleteFunc(pods, func(p pod) bool { return now.Sub(p.born) > 4*365*day })
		for _, p := range []pod{pods[0], pods[len(pods)-1]} {
			if err := knows(t, p.bundle, a, now); err != nil {
				t.Fatalf("on %s a pod of %s does not accept what is served: %v", now, p.born, err)
			}
		}
		now = now.Add(12 * day)
	}
	if len(serials) < 25*365/25 {
		t.Errorf("only %d certificates were served in 25 years", len(serials))
	}
}

// TestReplicas: replicas that start at the same time have one authority, and each accepts what the
// others serve.
func TestReplicas(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for name, objects := range map[string][]client.Object{"NoSecret": nil, "Empty": {&corev1.Secret{ObjectMeta: objectMeta()}}} {
		t.Run(name, func(t *testing.T) {
			// Each read is followed by a whole sync of the other replica.
			var other *authorities
			c := fake.NewClientBuilder().WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
					err := c.Get(ctx, key, o, opts...)
					if next := other; next != nil {
						other = nil
						mustSync(t, next)
					}
					return err
				},
			}).Build()
			a, b := replicaOf(c, &now), replicaOf(c, &now)
			other = b
			mustSync(t, a)
			if diff := cmp.Diff(a.CABundle(), b.CABundle()); diff != "" || authorityCount(a.CABundle()) != 1 {
				t.Errorf("two replicas have other authorities:\n%s", diff)
			}
			if err := errors.Join(knows(t, a.CABundle(), b, now), knows(t, b.CABundle(), a, now)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSecret checks what becomes of a Secret that others have changed.
func TestSecret(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	other := replicaOf(fake.NewFakeClient(), &now)
	mustSync(t, other)
	foreign := &corev1.Secret{}
	if err := other.client.Get(t.Context(), secretName, foreign); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		reason string
		change func(*testing.T, client.Client, *corev1.Secret)
		// known reports whether pods that run accept what is served then.
		known bool
	}{
		"Deleted": {
			reason: "the pods that run know the old authority", known: true,
			change: func(t *testing.T, c client.Client, s *corev1.Secret) {
				if err := c.Delete(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			},
		},
		"Emptied": {
			reason: "the same", known: true,
			change: func(_ *testing.T, _ client.Client, s *corev1.Secret) { s.Data = nil },
		},
		"Garbage": {
			reason: "the same", known: true,
			change: func(_ *testing.T, _ client.Client, s *corev1.Secret) { s.Data[caCertsKey] = []byte("x") },
		},
		"KeyOfAnother": {
			reason: "a certificate without its key is of no use", known: true,
			change: func(_ *testing.T, _ client.Client, s *corev1.Secret) { s.Data[caKeysKey] = foreign.Data[caKeysKey] },
		},
		"Replaced": {
			reason: "who replaces it wants that",
			change: func(_ *testing.T, _ client.Client, s *corev1.Secret) { s.Data = foreign.Data },
		},
		"Added": {
			reason: "the oldest goes on to sign", known: true,
			change: func(_ *testing.T, _ client.Client, s *corev1.Secret) {
				s.Data[caCertsKey] = slices.Concat(s.Data[caCertsKey], foreign.Data[caCertsKey])
				s.Data[caKeysKey] = slices.Concat(s.Data[caKeysKey], foreign.Data[caKeysKey])
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := fake.NewFakeClient(&corev1.Secret{ObjectMeta: objectMeta()})
			a := replicaOf(c, &now)
			mustSync(t, a)
			before := a.CABundle()
			s := &corev1.Secret{}
			if err := c.Get(t.Context(), secretName, s); err != nil {
				t.Fatal(err)
			}
			tc.change(t, c, s)
			if name != "Deleted" {
				if err := c.Update(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			mustSync(t, a)
			if err := knows(t, before, a, now); (err == nil) != tc.known {
				t.Errorf("%s: a pod that runs accepts what is served: %v, want %t", tc.reason, err, tc.known)
			}
			if err := knows(t, a.CABundle(), a, now); err != nil {
				t.Errorf("%s: a new pod does not accept what is served: %v", tc.reason, err)
			}
		})
	}
}

// TestSecretForbidden: what is missing is named.
func TestSecretForbidden(t *testing.T) {
	now := time.Now()
	c := interceptor.NewClient(fake.NewFakeClient(), interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, secretName.Name, errors.New("no"))
		},
	})
	err := replicaOf(c, &now).sync(t.Context())
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "the Secret ops/progress") {
		t.Errorf("the error is %v", err)
	}
}
