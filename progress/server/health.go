package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
)

const (
	// probeEvery is how often the server checks that it is reached by its URL.
	probeEvery   = 5 * time.Second
	probeTimeout = 3 * time.Second
	// probeFailures is how many checks in a row fail until the server is away: since the first.
	probeFailures = 2
	// startFailures is how many fail in a row until the log says so after the start: a Service
	// takes some time to know a new pod.
	startFailures = 6
	// writeFailures is how many jobs cannot be written to, with no success in between, until the
	// server is away; of those that get no answer in time, of how many namespaces.
	writeFailures = 2
	// sayCrowded is how often the log says that there are too many clients.
	sayCrowded = 10 * time.Minute
	// probePath is what is asked for.
	probePath = "/healthz"
)

// health is whether reports can come in and be written, as far as this process knows. Silence of
// a job while they cannot is no hang.
type health struct {
	now func() time.Time
	log logr.Logger
	up  prometheus.Gauge

	mu sync.Mutex
	// since is when it became well; zero means that it is not.
	since time.Time
	// reached is whether the last probes succeeded, unreached how many in a row failed.
	reached   bool
	unreached int
	// unwritten are the jobs that could not be written to since a write last succeeded, because
	// the API server was away, and slow the namespaces where it did not answer in time. What only one
	// meets may be of its own making, and a webhook that does not answer of its namespace's: no tenant
	// decides for others, see writes.unwrittenAt.
	unwritten map[jobKey]bool
	slow      map[string]bool
	// wroteAt is when a write last succeeded.
	wroteAt time.Time
	// reportAt is when the last report was accepted.
	reportAt time.Time
	// said is whether the log says that it is not well, and saidCrowded when it last said that it is crowded.
	said        bool
	saidCrowded time.Time
}

// UpSince is since when reports can come in and be written without a break; zero if they cannot.
func (h *health) UpSince() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.since
}

// accepted records that a pod has reached the server, whatever a probe says.
func (h *health) accepted() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reportAt = h.now()
}

// crowded records that a client may have been cut off for the sake of others: which, and for how long, is not known.
func (h *health) crowded() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if !h.since.IsZero() {
		h.since = now
	}
	if h.saidCrowded.IsZero() || now.Sub(h.saidCrowded) >= sayCrowded {
		h.saidCrowded = now
		h.log.Info("More clients than there may be connections report progress; while they do, no job is taken to hang for the lack of reports",
			"connections", maxConnections)
	}
}

// probed records how a probe ended.
func (h *health) probed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.reportAt.IsZero() && h.now().Sub(h.reportAt) < 2*probeEvery {
		err = nil
	}
	if err == nil {
		h.unreached, h.reached = 0, true
		h.update(nil)
		return
	}
	if h.unreached++; h.unreached >= probeFailures || !h.reached {
		h.reached = false
		h.update(fmt.Errorf("the server cannot be reached by its URL: %w", err))
	}
}

// wrote records how a write to a job ended: nil, or that the API server was away.
func (h *health) wrote(job jobKey, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.unwritten, h.slow, h.wroteAt = nil, nil, h.now()
		h.update(nil)
		return
	}
	h.unwritten = with(h.unwritten, job)
	h.update(fmt.Errorf("reports cannot be written to the status of jobs: %w", err))
}

// waited records that a write to a job got no answer in time. If another one has succeeded meanwhile, the API
// server is well.
func (h *health) waited(job jobKey, began time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wroteAt.After(began) {
		return
	}
	h.slow = with(h.slow, job.name.Namespace)
	h.update(fmt.Errorf("reports cannot be written to the status of jobs in time: %w", err))
}

// with adds to a set that need not have more than writeFailures.
func with[K comparable](set map[K]bool, k K) map[K]bool {
	if set == nil {
		set = map[K]bool{}
	}
	if len(set) < writeFailures {
		set[k] = true
	}
	return set
}

// written reports whether reports can be written. The caller holds the lock.
func (h *health) written() bool {
	return len(h.unwritten) < writeFailures && len(h.slow) < writeFailures
}

// update concludes from what is known. The caller holds the lock.
func (h *health) update(err error) {
	well := h.reached && h.written()
	switch {
	case well && h.since.IsZero():
		h.since, h.said = h.now(), false
		h.up.Set(1)
		h.log.Info("Reports of progress can come in")
	case !well && !h.said && (!h.since.IsZero() || !h.written() || h.unreached >= startFailures):
		h.since, h.said = time.Time{}, true
		h.up.Set(0)
		h.log.Error(err, "Reports of progress cannot come in; until they can, no job is taken to hang for their lack")
	}
}

// watch probes until ctx ends.
func (h *health) watch(ctx context.Context, url string, a *authorities) {
	for ctx.Err() == nil {
		err := probe(ctx, url, a)
		if ctx.Err() != nil {
			return
		}
		h.probed(err)
		select {
		case <-ctx.Done():
		case <-time.After(probeEvery):
		}
	}
}

// probe asks the server as a pod does: by its URL, and knowing the certificates that pods know.
func probe(ctx context.Context, url string, a *authorities) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+probePath, http.NoBody)
	if err != nil {
		return fmt.Errorf("cannot ask for %s: %w", url+probePath, err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err //nolint:wrapcheck // it names the URL
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url+probePath, resp.Status)
	}
	return nil
}
