package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsregistry "sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/jobkit/jobkit/progress"
)

const (
	// requestTimeout is how long a request may take to arrive, and its answer to be taken.
	requestTimeout = 10 * time.Second
	headerTimeout  = 5 * time.Second
	// maxHeader is how large the headers of a request are at most.
	maxHeader = 16 << 10
	// stopTimeout is how long requests may take to end.
	stopTimeout = 500 * time.Millisecond
	// readTimeout is how long the cache may take until it has read the pods for the first time.
	readTimeout = time.Second
	// syncEvery is how often the Secret is read.
	syncEvery = 10 * time.Second
	// startTimeout is how long the first read may take, with retries.
	startTimeout = 10 * time.Second
)

// Options configure a server. BindAddress, URL and Secret are required.
type Options struct {
	// BindAddress is where the server listens, for example ":8443".
	BindAddress string
	// URL is where pods reach it, without a path, for example
	// "https://my-operator-progress.my-namespace.svc". The server checks every few seconds that it
	// is reached there; while it is not, no job is taken to hang for the lack of reports.
	URL string
	// Secret is where the certificate authority is kept. Replicas of an operator share it.
	Secret types.NamespacedName
	// Metrics takes the server's metrics. Default: the registry that the manager serves.
	Metrics prometheus.Registerer
	// Clock is the source of the time. Default: the real one.
	Clock clock.PassiveClock
}

// validate checks the options, and returns the host name of the URL.
func (o *Options) validate() (string, error) {
	if o.BindAddress == "" {
		return "", errors.New("Options.BindAddress is empty: set it, for example to :8443")
	}
	if o.Secret.Name == "" || o.Secret.Namespace == "" {
		return "", errors.New("Options.Secret has no namespace or no name: set both")
	}
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return "", fmt.Errorf("the URL of the progress server is %q: use https://HOST or https://HOST:PORT, without a path", o.URL)
	}
	return u.Hostname(), nil
}

// server is a runnable of the manager.
type server struct {
	bind, url   string
	log         logr.Logger
	authorities *authorities
	tokens      *tokens
	writes      *writes
	health      *health
	handler     *handler
	metrics     *metrics

	mu    sync.RWMutex
	kinds map[schema.GroupVersionResource]progress.Jobs
}

// New adds a server to a manager. What it returns goes to [controller.JobController.Progress] of
// each kind that takes reports. It reads the Secret before it returns, or makes it, so that no
// pod is created without the certificates.
func New(ctx context.Context, mgr ctrl.Manager, o Options) (*progress.Server, error) {
	host, err := o.validate()
	if err != nil {
		return nil, err
	}
	if o.Metrics == nil {
		o.Metrics = metricsregistry.Registry
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	s, err := newServer(mgr, &o, host)
	if err != nil {
		return nil, err
	}
	if err := s.firstSync(ctx); err != nil {
		return nil, err
	}
	if err := mgr.Add(s); err != nil {
		return nil, fmt.Errorf("cannot add the progress server to the manager: %w", err)
	}
	return &progress.Server{
		URL: s.url, CABundle: s.authorities.CABundle, Serve: s.serve,
		UpSince: s.health.UpSince, Unwritten: s.writes.unwrittenAt,
	}, nil
}

func newServer(mgr ctrl.Manager, o *Options, host string) (*server, error) {
	m, err := newMetrics(o.Metrics)
	if err != nil {
		return nil, err
	}
	fetch, err := newFetch(mgr)
	if err != nil {
		return nil, err
	}
	logger := mgr.GetLogger().WithName("progress")
	now := o.Clock.Now
	s := &server{
		bind: o.BindAddress, url: strings.TrimSuffix(o.URL, "/"), log: logger, metrics: m,
		kinds:       map[schema.GroupVersionResource]progress.Jobs{},
		authorities: &authorities{client: mgr.GetClient(), live: mgr.GetAPIReader(), secret: o.Secret, host: host, now: now, log: logger},
		health:      &health{now: now, log: logger, up: m.up},
		writes:      newWrites(),
	}
	s.tokens = &tokens{now: now, fetch: func(ctx context.Context) (*keySet, error) {
		m.keys.Inc()
		return fetch(ctx)
	}}
	s.writes.now, s.writes.log, s.writes.metrics = now, logger, m
	s.writes.report, s.writes.waited = s.health.wrote, s.health.waited
	s.writes.get, s.writes.patch = s.job, newPatch(mgr.GetClient(), s.gvk)
	s.handler = &handler{
		kind: s.kind, tokens: s.tokens, writes: s.writes, metrics: m, accepted: s.health.accepted, now: now,
		pod: func(ctx context.Context, key types.NamespacedName) (*corev1.Pod, error) {
			ctx, cancel := context.WithTimeout(ctx, readTimeout)
			defer cancel()
			pod := &corev1.Pod{}
			err := mgr.GetCache().Get(ctx, key, pod)
			return pod, err //nolint:wrapcheck // whatever it is, the pod is not known
		},
	}
	return s, nil
}

// firstSync makes the certificates, or reads them.
func (s *server) firstSync(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := s.authorities.sync(ctx)
		switch {
		case err == nil:
			return nil
		case apierrors.IsForbidden(err):
			return fmt.Errorf("%w: grant the operator get and update of this Secret, and create it empty, as config/components/progress does", err)
		case ctx.Err() != nil:
			return err
		}
		s.log.Error(err, "The progress server cannot start yet; trying again")
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

// NeedLeaderElection has the server run in every replica: a Service chooses any of them.
func (s *server) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (s *server) Start(ctx context.Context) error {
	inner, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.bind)
	if err != nil {
		return fmt.Errorf("the progress server cannot listen: %w", err)
	}
	listener := limit(inner, s.metrics.connections, s.health.crowded)
	served := &http.Server{
		Handler:   s.handler.routes(),
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.authorities.certificate, NextProtos: []string{"http/1.1"}},
		// HTTP/2 would let one connection hold many requests. No client needs it.
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ReadHeaderTimeout: headerTimeout, ReadTimeout: requestTimeout, WriteTimeout: requestTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: log.New(io.Discard, "", 0),
	}
	// A connection that waits for the next report would be in the way of other clients for all that time.
	served.SetKeepAlivesEnabled(false)
	var all sync.WaitGroup
	all.Go(func() { s.writes.run(ctx) })
	all.Go(func() { s.refresh(ctx) })
	all.Go(func() { s.health.watch(ctx, s.url, s.authorities) })
	failed := make(chan error, 1)
	go func() { failed <- served.ServeTLS(listener, "", "") }()
	s.log.Info("Serving reports of progress", "address", inner.Addr().String(), "url", s.url)
	select {
	case err = <-failed:
		return fmt.Errorf("the progress server ended: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := served.Shutdown(stop); err != nil {
		_ = served.Close()
	}
	all.Wait()
	return nil
}

// refresh renews what becomes old: the certificates and the keys.
func (s *server) refresh(ctx context.Context) {
	said := ""
	for ctx.Err() == nil {
		var errs []error
		if s.tokens.due() {
			errs = append(errs, s.tokens.refresh(ctx))
		}
		errs = append(errs, s.authorities.sync(ctx))
		err := errors.Join(errs...)
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			s.log.Error(err, "The progress server goes on with what it has; trying again")
		}
		if err == nil {
			said = ""
		}
		select {
		case <-ctx.Done():
		case <-time.After(syncEvery):
		}
	}
}

// serve adds a kind.
func (s *server) serve(jobs progress.Jobs) error {
	s.mu.Lock()
	s.kinds[jobs.Resource] = jobs
	s.mu.Unlock()
	return jobs.OnReport(func(name types.NamespacedName, job progress.Job) {
		s.writes.observe(jobKey{resource: jobs.Resource, name: name, uid: job.UID}, job.Last)
	})
}

// kind returns the jobs of a resource.
func (s *server) kind(r schema.GroupVersionResource) (progress.Jobs, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	jobs, ok := s.kinds[r]
	return jobs, ok
}

func (s *server) gvk(r schema.GroupVersionResource) schema.GroupVersionKind {
	jobs, _ := s.kind(r)
	return jobs.GVK
}

// job reads a job from the cache.
func (s *server) job(k jobKey) (progress.Job, bool) {
	jobs, ok := s.kind(k.resource)
	if !ok {
		return progress.Job{}, false
	}
	return jobs.Get(k.name)
}
