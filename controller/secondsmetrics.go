package controller

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// labelCause is the label that names the cause of a restart.
const labelCause = "cause"

// timeMetrics are those of what jobs spend their time on.
type timeMetrics struct {
	seconds  *prometheus.CounterVec
	recovery *prometheus.HistogramVec
	nodes    *nodeRestarts
}

// newTimeMetrics registers them, or finds those of another controller of this process.
func newTimeMetrics(registry prometheus.Registerer) (m timeMetrics, err error) {
	m.seconds, err = register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "jobkit_job_seconds_total",
		Help: "How long jobs were waiting, starting, running, restarting (by cause), hung and suspended. It rises when the state ends.",
	}, []string{labelNamespace, labelFramework, "state", labelCause}))
	if err != nil {
		return m, err
	}
	m.recovery, err = register(registry, prometheus.NewHistogramVec(withNative(prometheus.HistogramOpts{
		Name:    "jobkit_job_recovery_duration_seconds",
		Help:    "How long it takes from a failure until the job is running again, by cause.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 15),
	}), []string{labelFramework, labelCause}))
	if err != nil {
		return m, err
	}
	m.nodes, err = register(registry, newNodeRestarts())
	return m, err
}

// labelOf is a cause as the value of a label.
func labelOf(cause commonv1.RestartCause) string { return strings.ToLower(string(cause)) }

// touch makes the series of a namespace, with the value 0: Prometheus does not see an increase from
// nothing, and the first may be the days that a job ran.
func (m *timeMetrics) touch(namespace, framework string) {
	for _, state := range []string{"waiting", "starting", "running", "hung", "suspended"} {
		m.seconds.WithLabelValues(namespace, framework, state, "")
	}
	for _, cause := range commonv1.RestartCauses() {
		m.seconds.WithLabelValues(namespace, framework, "restarting", labelOf(cause))
	}
}

// record counts the seconds that a status write which has succeeded adds to those of a job.
func (m *timeMetrics) record(framework string, in *plan.Input, p *plan.Plan) {
	m.nodes.add(p.NodeFailures)
	was, is := in.Status.Seconds, p.Status.Seconds
	if is == nil {
		return
	}
	if was == nil {
		was = &commonv1.JobSeconds{}
	}
	add := func(state, cause string, n int64) {
		if n > 0 {
			m.seconds.WithLabelValues(in.Job.Namespace, framework, state, cause).Add(float64(n))
		}
	}
	add("waiting", "", is.Waiting-was.Waiting)
	add("starting", "", is.Starting-was.Starting)
	add("running", "", is.Running-was.Running)
	add("hung", "", is.Hung-was.Hung)
	add("suspended", "", is.Suspended-was.Suspended)
	for _, cause := range commonv1.RestartCauses() {
		add("restarting", labelOf(cause), is.Restarting.Of(cause)-was.Restarting.Of(cause))
	}
	if cause := was.RestartCause; cause != "" && is.RestartCause == "" && p.Status.IsTrue(commonv1.JobRunning) {
		m.recovery.WithLabelValues(framework, labelOf(cause)).Observe(float64(is.Restarting.Of(cause) - was.Restarting.Of(cause)))
	}
}
