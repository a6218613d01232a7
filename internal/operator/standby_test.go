package operator

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jobkit/jobkit/internal/fakeapi"
)

// TestStandby checks known-bugs row 278: an operator that waits for a lease, perhaps of an operator that runs other jobs, is
// ready and says who holds it.
func TestStandby(t *testing.T) {
	t.Parallel()
	api := everything()
	// round is 1 after the operator has asked who holds the lease, and 2 after its election has asked once more: the first
	// question has its answer by then.
	var round atomic.Int32
	api.Rule(func(r *http.Request) int {
		if r.Method == http.MethodGet && r.URL.Path == leasePath {
			elects := strings.HasSuffix(r.UserAgent(), "/leader-election")
			if !elects {
				round.CompareAndSwap(0, 1)
			} else {
				round.CompareAndSwap(1, 2)
			}
		}
		return fakeapi.Serve
	})
	api.Put(leasePath, `{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","spec":{
		"holderIdentity":"mpi-operator-7d9-x","leaseDurationSeconds":3600,
		"acquireTime":"2026-01-02T03:04:05.000000Z","renewTime":"2026-01-02T03:04:05.000000Z"}}`)
	o := startOperator(t, api)
	o.eventually("it has asked who holds the lease", func() bool { return round.Load() == 2 })
	if code, body := get("http://" + o.probes + "/readyz"); code != http.StatusOK {
		t.Errorf("a standby is not ready: %s", body)
	}
	o.end()
	for _, want := range []string{
		"Standing by: another operator holds the lease", `"lease":"default/1ca428e5.training-operator.kubeflow.org"`,
		`"holder":"mpi-operator-7d9-x"`, `"since":"2026-01-02T03:04:05Z"`,
	} {
		if !strings.Contains(o.out.String(), want) {
			t.Errorf("the log does not say %s:\n%s", want, o.out.String())
		}
	}
}
