package operator

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// TestStandby: an operator that is not active says once who is, and again when that changes.
func TestStandby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "jobkit-system", Name: "lease"}}
		lease.Spec.HolderIdentity = new("one-operator-0")
		c := fake.NewClientBuilder().WithObjects(lease).Build()
		var lines []string
		elected := make(chan struct{})
		s := &standby{
			reader: c, elected: elected, lease: client.ObjectKeyFromObject(lease),
			log: funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{}),
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Start(t.Context()) }()
		expect := func(reason string, holders ...string) {
			t.Helper()
			time.Sleep(10 * standbyEvery)
			synctest.Wait()
			if len(lines) != len(holders) || len(lines) > 0 && !strings.Contains(lines[len(lines)-1], holders[len(holders)-1]) {
				t.Errorf("%s: the log says %q, want one line for each of %v", reason, lines, holders)
			}
		}
		expect("another is active", "one-operator-0")
		lease.Spec.HolderIdentity = new("one-operator-1")
		if err := c.Update(context.Background(), lease); err != nil {
			t.Fatal(err)
		}
		expect("a third takes over", "one-operator-0", "one-operator-1")
		close(elected)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
