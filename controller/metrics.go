package controller

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// metrics holds what a controller counts and measures. All controllers of a process
// share the collectors; the labels distinguish their kinds.
//
// The counters of jobs have the names and labels of training-operator v1. They rise
// when a status write that says so has succeeded, which happens once in the life of
// a job, whatever crashes in between.
type metrics struct {
	framework string

	created, deleted, successful, failed, restarted *prometheus.CounterVec
	// children counts the pods and services created and deleted; restarts counts the
	// restarts by cause.
	children, restarts *prometheus.CounterVec
	// rivals counts the writes of others to the status of jobs.
	rivals *prometheus.CounterVec
	// reconcile is how long a reconcile of a job takes; launch is how long it takes from
	// the start of a job until it runs.
	reconcile, launch *prometheus.HistogramVec
	time              timeMetrics

	mu sync.Mutex
	// known are the jobs that were seen, by their UIDs, to count each deletion once.
	known map[types.NamespacedName]types.UID
	// namespaces is how many of them each namespace has. empty are those that have none any more, but series
	// still, the one that lost its last job at last behind.
	namespaces map[string]int
	empty      []string
}

// The labels that name the namespace of a job, and the framework of its kind.
const (
	labelNamespace = "job_namespace"
	labelFramework = "framework"
)

// newMetrics registers the collectors, or finds those that another controller of
// this process has registered.
func newMetrics(registry prometheus.Registerer, framework string) (*metrics, error) {
	m := &metrics{framework: framework, known: map[types.NamespacedName]types.UID{}, namespaces: map[string]int{}}
	jobs := []string{labelNamespace, labelFramework}
	var errs []error
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c, err := register(registry, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
		errs = append(errs, err)
		return c
	}
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		o := prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}
		h, err := register(registry, prometheus.NewHistogramVec(withNative(o), []string{labelFramework}))
		errs = append(errs, err)
		return h
	}
	m.created = counter("training_operator_jobs_created_total", "Jobs that were taken up.", jobs...)
	m.deleted = counter("training_operator_jobs_deleted_total", "Jobs that were deleted, by any client.", jobs...)
	m.successful = counter("training_operator_jobs_successful_total", "Jobs that succeeded.", jobs...)
	m.failed = counter("training_operator_jobs_failed_total", "Jobs that failed.", jobs...)
	m.restarted = counter("training_operator_jobs_restarted_total", "Restarts that count against the backoffLimit of a job.", jobs...)
	m.restarts = counter("jobkit_restarts_total",
		"Restarts by cause: failed, disrupted, hung, in_place, ignored.", labelFramework, labelCause)
	m.children = counter("jobkit_children_total",
		"Pods and services that were created and deleted.", labelFramework, "resource", "verb")
	m.rivals = counter("jobkit_foreign_status_writes_total",
		"Writes to the status of jobs by other clients, after the operator had written it.", labelFramework)
	m.reconcile = histogram("jobkit_reconcile_duration_seconds",
		"How long a reconcile of a job takes, its API calls included.", prometheus.ExponentialBuckets(0.001, 2, 16))
	m.launch = histogram("jobkit_job_launch_duration_seconds",
		"How long it takes from the start of a job, or its resume, until it is running.", prometheus.ExponentialBuckets(0.5, 2, 14))
	var err error
	m.time, err = newTimeMetrics(registry)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	m.initialize()
	return m, nil
}

// withNative adds native buckets to the classic ones. A Prometheus that asks for native
// histograms gets those, whose bounds are 10 % apart; all others see no difference. Sizes are
// bounded: beyond 160 buckets it begins again, or makes them coarser.
func withNative(o prometheus.HistogramOpts) prometheus.HistogramOpts {
	const factor, buckets = 1.1, 160
	o.NativeHistogramBucketFactor, o.NativeHistogramMaxBucketNumber, o.NativeHistogramMinResetDuration = factor, buckets, time.Hour
	return o
}

// initialize gives the counters of the kind the value 0: an alert on an increase does not see
// the first increase of a counter that did not exist before.
func (m *metrics) initialize() {
	m.rivals.WithLabelValues(m.framework)
	for _, cause := range []string{"failed", "disrupted", "hung", "in_place", "ignored"} {
		m.restarts.WithLabelValues(m.framework, cause)
	}
	for _, resource := range []string{"pod", "service"} {
		m.children.WithLabelValues(m.framework, resource, "create")
		m.children.WithLabelValues(m.framework, resource, "delete")
	}
}

// register registers a collector, or returns the one of the same name and labels.
func register[C prometheus.Collector](registry prometheus.Registerer, c C) (C, error) {
	err := registry.Register(c)
	if there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := there.ExistingCollector.(C); ok {
			return same, nil
		}
	}
	if err != nil {
		return c, fmt.Errorf("cannot register a metric: %w", err)
	}
	return c, nil
}

// recordStatus counts what a status write that has succeeded says for the first time.
func (m *metrics) recordStatus(in *plan.Input, p *plan.Plan) {
	was, is := &in.Status, &p.Status
	became := func(t commonv1.JobConditionType) bool { return is.IsTrue(t) && !was.IsTrue(t) }
	count := func(c *prometheus.CounterVec, n int32) {
		if n > 0 {
			c.WithLabelValues(in.Job.Namespace, m.framework).Add(float64(n))
		}
	}
	one := map[bool]int32{true: 1}
	m.mu.Lock()
	m.countJob(in.Job.Namespace, 0) // A job that is gone before its next pass has series, too.
	m.mu.Unlock()
	count(m.created, one[was.Condition(commonv1.JobCreated) == nil && is.Condition(commonv1.JobCreated) != nil])
	count(m.successful, one[became(commonv1.JobSucceeded)])
	count(m.failed, one[became(commonv1.JobFailed)])
	count(m.restarted, is.Restarts-was.Restarts)
	for cause, n := range map[string]int32{
		"failed": p.Restarts.Failed, "disrupted": p.Restarts.Disrupted, "hung": p.Restarts.Hung,
		"in_place": p.Restarts.InPlace, "ignored": p.Restarts.Ignored,
	} {
		if n > 0 {
			m.restarts.WithLabelValues(m.framework, cause).Add(float64(n))
		}
	}
	m.time.record(m.framework, in, p)
	if became(commonv1.JobRunning) && is.StartTime != nil && !was.IsTrue(commonv1.JobRestarting) {
		m.launch.WithLabelValues(m.framework).Observe(in.Now.Sub(is.StartTime.Time).Seconds())
	}
}

// recordChildren counts the pods and services that were created and deleted.
func (m *metrics) recordChildren(o *plan.ExecutionResult) {
	for _, e := range []struct {
		resource, verb string
		n              int
	}{
		{"pod", "create", len(o.PodsCreated)},
		{"pod", "delete", len(o.PodsDeleted) + len(o.PodsForced)},
		{"service", "create", len(o.ServicesCreated)},
		{"service", "delete", len(o.ServicesDeleted)},
	} {
		if e.n > 0 {
			m.children.WithLabelValues(m.framework, e.resource, e.verb).Add(float64(e.n))
		}
	}
}

// observeReconcile records how long a reconcile took.
func (m *metrics) observeReconcile(took time.Duration) {
	m.reconcile.WithLabelValues(m.framework).Observe(took.Seconds())
}

// observeJob records a job that was counted as created. An earlier job of its name is gone
// then. A job that is known to be deleted is left out: a pass with what the cache had shown
// before would count it a second time.
func (m *metrics) observeJob(in *plan.Input, isDeleted func(types.UID) bool) {
	if in.Status.Condition(commonv1.JobCreated) == nil {
		return
	}
	key := types.NamespacedName{Namespace: in.Job.Namespace, Name: in.Job.Name}
	m.mu.Lock()
	defer m.mu.Unlock()
	if isDeleted(in.Job.UID) {
		return
	}
	if was, ok := m.known[key]; ok && was != in.Job.UID {
		m.deleted.WithLabelValues(key.Namespace, m.framework).Inc()
	}
	if m.known[key] != in.Job.UID {
		m.time.touch(key.Namespace, m.framework)
	}
	if _, known := m.known[key]; !known {
		m.countJob(key.Namespace, 1)
	}
	m.known[key] = in.Job.UID
}

// maxEmptyNamespaces is how many namespaces without jobs have series. There are clusters with a new namespace
// for each experiment, and a counter that comes back begins at 0, as after a restart.
const maxEmptyNamespaces = 100

// countJob counts a job of a namespace that came, or went (-1), and forgets the series of the namespaces that
// have been without jobs for longest. The caller holds the lock.
func (m *metrics) countJob(namespace string, n int) {
	m.namespaces[namespace] += n
	m.empty = slices.DeleteFunc(m.empty, func(name string) bool { return name == namespace })
	if m.namespaces[namespace] > 0 {
		return
	}
	delete(m.namespaces, namespace)
	m.empty = append(m.empty, namespace)
	for len(m.empty) > maxEmptyNamespaces {
		series := prometheus.Labels{labelNamespace: m.empty[0], labelFramework: m.framework}
		for _, c := range []*prometheus.CounterVec{m.created, m.deleted, m.successful, m.failed, m.restarted, m.time.seconds} {
			c.DeletePartialMatch(series)
		}
		m.empty = slices.Delete(m.empty, 0, 1)
	}
}

// jobDeleted counts a job that no longer exists; without a UID, whichever has the name.
func (m *metrics) jobDeleted(key types.NamespacedName, uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if was, ok := m.known[key]; ok && (uid == "" || uid == was) {
		delete(m.known, key)
		m.deleted.WithLabelValues(key.Namespace, m.framework).Inc()
		m.countJob(key.Namespace, -1)
	}
}

// registerController records in the metrics that a controller runs the jobs of a kind. Another of the
// same process would undo what this one does.
func registerController(registry prometheus.Registerer, gvk schema.GroupVersionKind, operator string) error {
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "jobkit_controller_info", Help: "The controllers of this process: 1 for each.",
		ConstLabels: prometheus.Labels{"kind": gvk.GroupKind().String()},
	}, []string{"operator"})
	err := registry.Register(info)
	if _, there := errors.AsType[prometheus.AlreadyRegisteredError](err); there {
		return fmt.Errorf("the kind %s has a JobController in this process already, and each would undo what the other does: set up one for each kind", gvk.GroupKind())
	}
	if err != nil {
		return fmt.Errorf("cannot register a metric: %w", err)
	}
	info.WithLabelValues(operator).Set(1)
	return nil
}
