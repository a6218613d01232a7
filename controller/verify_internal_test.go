package controller

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestVerification: how often a job is read again while it is created, and when nothing more
// is created.
func TestVerification(t *testing.T) {
	cases := map[string]struct {
		reason string
		n      int
		// tick is how much time each create takes.
		tick time.Duration
		// changed is after how many creates the job changes; 0 is never.
		changed int
		// stopped is after how many creates the process stands still for a minute.
		stopped        int
		reads, created int
	}{
		"Small":         {reason: "a small job pays nothing", n: 8, reads: 0, created: 8},
		"Two":           {reason: "8 and 32", n: 40, reads: 1, created: 40},
		"Large":         {reason: "8, 32, 128, and 512 each time", n: 8 + 32 + 128 + 3*512, reads: 5, created: 8 + 32 + 128 + 3*512},
		"Slow":          {reason: "a verification is at most a second old", n: 100, tick: 200 * time.Millisecond, reads: 16, created: 100},
		"Changed":       {reason: "no more than one batch is created after a change", n: 2000, changed: 100, reads: 3, created: 168},
		"ChangedAtOnce": {reason: "the first batch", n: 2000, changed: 1, reads: 1, created: 8},
		"Stopped":       {reason: "after a pause of the process nothing is created", n: 2000, changed: 500, stopped: 500, reads: 4, created: 500},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			now := time.Unix(0, 0)
			reads, created := 0, 0
			p := newVerification(func() time.Time { return now }, func() (bool, error) {
				reads++
				return tc.changed == 0 || created < tc.changed, nil
			})
			results := slowStart(tc.n, 1, false, func(int) result {
				if r := p.check(); r.stopsBatch(false) {
					return r
				}
				created++
				now = now.Add(tc.tick)
				if created == tc.stopped {
					now = now.Add(time.Minute)
				}
				return result{done: true}
			})
			if reads != tc.reads || created != tc.created {
				t.Errorf("%s: want %d reads and %d creates, got %d and %d", tc.reason, tc.reads, tc.created, reads, created)
			}
			if last := results[len(results)-1]; (tc.created < tc.n) != last.stale {
				t.Errorf("the job is to be requeued: %+v", last)
			}
		})
	}
}

// TestVerificationOfMany: of callers at the same time one verifies; those that come after a
// long pause wait for it, and none creates anything when the job has changed.
func TestVerificationOfMany(t *testing.T) {
	for name, answer := range map[string]error{"Changed": nil, "Error": errors.New("busy")} {
		t.Run(name, func(t *testing.T) {
			now, reads, created := time.Unix(0, 0), 0, 0
			p := newVerification(func() time.Time { return now }, func() (bool, error) { reads++; return false, answer })
			now = now.Add(time.Hour)
			var wg sync.WaitGroup
			var mu sync.Mutex
			for range 50 {
				wg.Go(func() {
					r := p.check()
					mu.Lock()
					defer mu.Unlock()
					if !r.stopsBatch(false) {
						created++
					}
				})
			}
			wg.Wait()
			if reads != 1 || created != 0 {
				t.Errorf("want 1 read and no create, got %d and %d", reads, created)
			}
		})
	}
}

// TestLiveReadOfASlowQuantity: a job that is read from the API server itself is decoded with the same care as those
// of the cache: a tenant may have edited a quantity meanwhile into one that takes hours to read.
func TestLiveReadOfASlowQuantity(t *testing.T) {
	const job = `{"apiVersion":"kubeflow.org/v1","kind":"TestJob","metadata":{"namespace":"ns","name":"job","uid":"u","resourceVersion":"2"},
		"spec":{"testReplicaSpecs":{"Worker":{"template":{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"1e2147483648"}}}]}}}}}}`
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(job))
	}))
	defer api.Close()
	scheme := runtime.NewScheme()
	if err := testv1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	gvk := testv1.GroupVersion.WithKind("TestJob")
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(gvk, meta.RESTScopeNamespace)
	live, err := client.New(&rest.Config{Host: api.URL}, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		t.Fatal(err)
	}
	c := &JobController[*testv1.TestJob]{set: &settings[*testv1.TestJob]{dependencies: dependencies{live: live}, gvk: gvk}}
	cached := &testv1.TestJob{}
	cached.Namespace, cached.Name, cached.UID, cached.ResourceVersion = "ns", "job", "u", "1"
	done := make(chan error, 1)
	go func() {
		_, _, err := c.asSubmitted(t.Context(), cached, &plan.Input{Replicas: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}})
		done <- err
	}()
	select {
	case err := <-done:
		t.Log(err)
	case <-time.After(20 * time.Second):
		t.Error("after 20 s the worker still decodes the job that it read from the API server")
	}
}
