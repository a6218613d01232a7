package server

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// refusal is why a report is refused, as the metric names it.
type refusal string

const (
	refusedNoToken     refusal = "no_token"
	refusedBadToken    refusal = "bad_token"
	refusedExpired     refusal = "expired"
	refusedAudience    refusal = "audience"
	refusedPod         refusal = "pod"
	refusedNotFound    refusal = "not_found"
	refusedClosed      refusal = "closed"
	refusedTooLarge    refusal = "too_large"
	refusedInvalid     refusal = "invalid"
	refusedTooMany     refusal = "too_many"
	refusedUnavailable refusal = "unavailable"
	refusedUnreadable  refusal = "unreadable"
)

// The results of writes.
const (
	resultWritten  = "written"
	resultConflict = "conflict"
	resultFailed   = "failed"
	resultDropped  = "dropped"
)

// refusals are all reasons.
func refusals() []refusal {
	return []refusal{
		refusedNoToken, refusedBadToken, refusedExpired, refusedAudience, refusedPod, refusedNotFound, refusedClosed, refusedTooLarge,
		refusedInvalid, refusedTooMany, refusedUnavailable, refusedUnreadable,
	}
}

// metrics are those of the server.
type metrics struct {
	accepted, merged prometheus.Counter
	refused, writes  *prometheus.CounterVec
	up               prometheus.Gauge
	keys             prometheus.Counter
	connections      prometheus.Gauge
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &metrics{
		accepted: counter("jobkit_progress_reports_accepted_total", "Reports of progress that were accepted."),
		merged:   counter("jobkit_progress_reports_merged_total", "Accepted reports that a newer one replaced before they were written."),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobkit_progress_reports_refused_total", Help: "Reports of progress that were refused, by reason.",
		}, []string{"reason"}),
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobkit_progress_writes_total", Help: "Writes of reports to the status of jobs, by result: written, conflict, failed, dropped.",
		}, []string{"result"}),
		up: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "jobkit_progress_server_up", Help: "1 if pods can reach the server by its URL and reports can be written, as far as this process knows.",
		}),
		keys: counter("jobkit_progress_key_reads_total", "How often the keys by which tokens are verified were read from the API server."),
		connections: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "jobkit_progress_connections", Help: "Open connections of the server of progress reports.",
		}),
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.accepted, m.merged, m.refused, m.writes, m.up, m.keys, m.connections} {
		errs = append(errs, registry.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("cannot register the metrics of the progress server: %w", err)
	}
	// An alert on an increase does not see the first one of a counter that did not exist before.
	for _, r := range refusals() {
		m.refused.WithLabelValues(string(r))
	}
	for _, result := range []string{resultWritten, resultConflict, resultFailed, resultDropped} {
		m.writes.WithLabelValues(result)
	}
	return m, nil
}
