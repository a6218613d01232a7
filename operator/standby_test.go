package operator

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// leases answers who holds the lease, one answer after the other; the last one stays.
type leases struct {
	client.Reader

	answers []string
}

func (l *leases) Get(_ context.Context, _ client.ObjectKey, o client.Object, _ ...client.GetOption) error {
	holder := l.answers[0]
	if len(l.answers) > 1 {
		l.answers = l.answers[1:]
	}
	switch holder {
	case "forbidden":
		return errors.New("it is forbidden")
	case "free":
	default:
		o.(*coordinationv1.Lease).Spec.HolderIdentity = &holder
	}
	return nil
}

// TestWhoHoldsTheLease: an operator that waits for the lease says who holds it.
func TestWhoHoldsTheLease(t *testing.T) {
	tests := map[string]struct {
		reason  string
		answers []string
		// elected is when this operator gets the lease, 0 for never.
		elected time.Duration
		want    []string
	}{
		"Leads":     {reason: "one that leads says nothing", answers: []string{"this"}, elected: 2 * time.Second},
		"Waits":     {reason: "one that waits says for whom, once", answers: []string{"other-operator-1"}, want: []string{"other-operator-1"}},
		"Changes":   {reason: "and for whom it waits then", answers: []string{"a", "", "b", "b", "free", "c"}, want: []string{"a", "b", "c"}},
		"Later":     {reason: "one that leads no longer asks", answers: []string{"a", "b"}, elected: 20 * time.Second, want: []string{"a"}},
		"Free":      {reason: "a lease that no one holds is soon its own", answers: []string{"free"}},
		"Forbidden": {reason: "an error ends nothing", answers: []string{"forbidden", "a"}, want: []string{"a"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				var got []string
				log := funcr.New(func(_, args string) {
					_, holder, _ := strings.Cut(args, `"holder"="`)
					holder, _, _ = strings.Cut(holder, `"`)
					got = append(got, holder)
					if !strings.Contains(args, `"lease"="here/mine"`) {
						t.Errorf("the log does not name the lease: %s", args)
					}
				}, funcr.Options{})
				elected := make(chan struct{})
				if tc.elected > 0 {
					time.AfterFunc(tc.elected, func() { close(elected) })
				}
				lease := types.NamespacedName{Namespace: "here", Name: "mine"}
				s := &standby{reader: &leases{answers: tc.answers}, lease: lease, elected: elected, log: log}
				if err := s.Start(ctx); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
				}
				if s.NeedLeaderElection() {
					t.Errorf("%s: it would run in the leader only", tc.reason)
				}
			})
		})
	}
}
