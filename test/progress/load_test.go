//go:build integration

package progress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
)

// TestLoad: 2,000 reports a second of 100 jobs, on two replicas, cost the API server at most one
// write in five seconds for each job, and no request or reconcile beyond those. How fast reconciles
// are meanwhile depends on the machine, so that is only logged.
func TestLoad(t *testing.T) {
	const jobs, each, seconds = 100, 20, 15
	apply(t)
	api, behind := count(t), newService(t)
	replicas := []*replica{startReplica(t, behind, api), startReplica(t, behind, api)}
	namespace(t, "load")
	for i := range jobs {
		create(t, worker(t, "load", fmt.Sprintf("job-%d", i), "{stallTimeoutSeconds: 60}"))
	}
	var targets []mounted
	var tokens []string
	for i := range jobs {
		m := mount(t, runs(t, "load", fmt.Sprintf("job-%d-worker-0", i), "0"))
		targets, tokens = append(targets, m), append(tokens, read(t, m))
	}
	time.Sleep(5 * time.Second) // until the status of the jobs no longer changes

	idle := reconciles(t, replicas)
	some(t, "before")
	before := reconciles(t, replicas)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(targets[0].ca))
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		MaxConnsPerHost: 32, MaxIdleConnsPerHost: 32, TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}
	defer c.CloseIdleConnections()
	writes, rest := api.of(statusWrites), api.of(others)
	began := time.Now()
	var sent, slow atomic.Int64
	var all sync.WaitGroup
	for i, m := range targets {
		all.Go(func() {
			tick := time.NewTicker(time.Second / each)
			defer tick.Stop()
			for n := range each * seconds {
				<-tick.C
				at := time.Now()
				if err := say(t.Context(), c, m.env["KUBEFLOW_TRAINER_SERVER_URL"], tokens[i], n*99/(each*seconds)); err != nil {
					t.Errorf("job %d, report %d: %v", i, n, err)
					return
				}
				sent.Add(1)
				if time.Since(at) > time.Second {
					slow.Add(1)
				}
			}
		})
	}
	some(t, "during")
	all.Wait()
	took := time.Since(began).Seconds()
	wrote, other := float64(api.of(statusWrites)-writes)/took, api.of(others)-rest
	t.Logf("%d reports in %.1f s, %.0f a second; %.1f writes a second; %d other requests; %d answers took more than a second",
		sent.Load(), took, float64(sent.Load())/took, wrote, other, slow.Load())
	if most := jobs * (1 + took/5); wrote*took > most {
		t.Errorf("%.0f writes in %.1f s, want at most one in five seconds for each of %d jobs: %.0f", wrote*took, took, jobs, most)
	}
	// Leases, watches that begin again, the certificate, the new jobs: not one for each report.
	if other > 1000 {
		t.Errorf("%d other requests", other)
	}
	after := reconciles(t, replicas)
	usual, _ := p99(idle, before)
	slow99, n := p99(before, after)
	t.Logf("p99 of %.0f reconciles is at most %v s; of those before, %v s", n, slow99, usual)
	// Those of the new jobs, and when a timeout may have passed; not one for each report or write.
	if n > 5*jobs {
		t.Errorf("%d reports caused %.0f reconciles", sent.Load(), n)
	}
	if t.Failed() {
		return
	}
	done := &kubeflowv1.TFJobList{}
	eventually(t, "all jobs show their last report", func(ctx context.Context) error {
		if err := cluster.client.List(ctx, done, client.InNamespace("load")); err != nil {
			return err
		}
		for i := range done.Items {
			if done.Items[i].Spec.RunPolicy.ProgressPolicy == nil {
				continue
			}
			if s := done.Items[i].Status.TrainerStatus; s == nil || s.ProgressPercentage == nil || *s.ProgressPercentage != 98 {
				return fmt.Errorf("%s shows %v", done.Items[i].Name, s)
			}
		}
		return nil
	})
}

func say(ctx context.Context, c *http.Client, url, token string, percent int) error {
	body := fmt.Sprintf(`{"trainerStatus":{"progressPercentage":%d,"metrics":[{"name":"loss","value":"0.5"}]}}`, percent)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return nil
}

// bucket is one of a histogram: how many took no longer than le seconds.
type bucket struct{ le, n float64 }

// reconciles are the durations of all replicas' reconciles of TFJobs so far.
func reconciles(t *testing.T, replicas []*replica) []bucket {
	t.Helper()
	var sum []bucket
	for _, r := range replicas {
		_, text, err := get(t.Context(), "http://"+r.metrics+"/metrics")
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for line := range strings.SplitSeq(text, "\n") {
			name, value, _ := strings.Cut(line, "} ")
			_, bound, isBucket := strings.Cut(name, `le="`)
			if !isBucket || !strings.HasPrefix(name, "jobkit_reconcile_duration_seconds_bucket{") || !strings.Contains(name, `framework="tensorflow"`) {
				continue
			}
			le, err := strconv.ParseFloat(strings.TrimSuffix(bound, `"`), 64)
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			if i == len(sum) {
				sum = append(sum, bucket{le: le})
			}
			sum[i].n += n
			i++
		}
	}
	return sum
}

// p99 is an upper bound of the p99 of the reconciles between two moments, in seconds, and how many
// there were.
func p99(before, after []bucket) (seconds, n float64) {
	if len(after) == 0 {
		return 0, 0
	}
	total := after[len(after)-1].n
	if len(before) > 0 {
		total -= before[len(before)-1].n
	}
	for i, b := range after {
		n := b.n
		if len(before) > 0 {
			n -= before[i].n
		}
		if n >= 0.99*total {
			return b.le, total
		}
	}
	return 0, total
}

// some creates some jobs that do not report, and waits until they run.
func some(t *testing.T, name string) {
	t.Helper()
	const few = 20
	for i := range few {
		create(t, worker(t, "load", fmt.Sprintf("%s-%d", name, i), "null"))
	}
	for i := range few {
		runs(t, "load", fmt.Sprintf("%s-%d-worker-0", name, i), "0")
	}
}
