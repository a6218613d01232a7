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

// TestLoad: 2,000 reports a second of 100 jobs, on two replicas, cost the API server at most 20
// writes a second and no request beyond those, and reconciles stay fast.
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
	all.Wait()
	took := time.Since(began).Seconds()
	wrote, other := float64(api.of(statusWrites)-writes)/took, api.of(others)-rest
	t.Logf("%d reports in %.1f s, %.0f a second; %.1f writes a second; %d other requests; %d answers took more than a second",
		sent.Load(), took, float64(sent.Load())/took, wrote, other, slow.Load())
	if wrote > 20 {
		t.Errorf("%.1f writes a second, want at most 20", wrote)
	}
	// Leases, events, watches that begin again, and the certificate: not one for each report.
	if other > 200 {
		t.Errorf("%d other requests", other)
	}
	for _, r := range replicas {
		if p99 := slowest(t, r); p99 > 1 {
			t.Errorf("p99 of reconciles is %v s, want at most 1 s", p99)
		}
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

// slowest is an upper bound of the p99 of a replica's reconciles of TFJobs.
func slowest(t *testing.T, r *replica) float64 {
	t.Helper()
	_, text, err := get(t.Context(), "http://"+r.metrics+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	type bucket struct{ le, n float64 }
	var buckets []bucket
	var total float64
	for line := range strings.SplitSeq(text, "\n") {
		name, value, _ := strings.Cut(line, "} ")
		if !strings.HasPrefix(name, "jobkit_reconcile_duration_seconds_") || !strings.Contains(name, `framework="tensorflow"`) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatal(err)
		}
		_, bound, isBucket := strings.Cut(name, `le="`)
		switch {
		case isBucket:
			le, err := strconv.ParseFloat(strings.TrimSuffix(bound, `"`), 64)
			if err != nil {
				t.Fatal(err)
			}
			buckets = append(buckets, bucket{le, n})
		case strings.HasPrefix(name, "jobkit_reconcile_duration_seconds_count"):
			total = n
		}
	}
	for _, b := range buckets {
		if b.n >= 0.99*total {
			t.Logf("p99 of %.0f reconciles is at most %v s", total, b.le)
			return b.le
		}
	}
	return 0
}
