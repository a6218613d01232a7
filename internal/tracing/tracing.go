// Package tracing makes traces of OpenTelemetry: of each pass of a controller a span, and of
// each API call in it a child. It sends them to a collector by OTLP over HTTP, as JSON, which
// every collector takes. It is written by hand, because the SDK and its exporter bring a dozen
// modules, gRPC among them, to every program that imports the library; what is needed of the
// protocol is one request.
package tracing

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// maxQueued is how many spans wait to be sent; what does not fit is dropped, and counted.
	maxQueued = 4096
	// maxText is the length of the longest attribute.
	maxText = 256
)

// Options say where traces go.
type Options struct {
	// Endpoint is the URL of a collector, such as http://collector:4318. Without a path it
	// gets the usual one, /v1/traces.
	Endpoint string
	// Ratio is the share of passes that are traced, from 0 to 1.
	Ratio float64
	// Service and Version name the program.
	Service, Version string
	// Log says what cannot be sent.
	Log logr.Logger
	// Interval is how often spans are sent. Default: 5 s.
	Interval time.Duration
	// EndTimeout is how long the last spans may take to be sent, when the program ends. Default: 1 s.
	EndTimeout time.Duration
}

// Tracer makes spans. A nil one makes none.
type Tracer struct {
	options Options
	url     string
	client  *http.Client

	mu      sync.Mutex
	spans   []span
	dropped int
	full    chan struct{} // holds a value if many spans wait
}

// New makes a Tracer. The error says what is wrong with the endpoint.
func New(o Options) (*Tracer, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is no URL of a collector: use one such as http://collector:4318", o.Endpoint)
	}
	if !(o.Ratio >= 0 && o.Ratio <= 1) {
		return nil, fmt.Errorf("the ratio is %v: it must be from 0 to 1", o.Ratio)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	if o.Interval == 0 {
		o.Interval = 5 * time.Second
	}
	if o.EndTimeout == 0 {
		o.EndTimeout = time.Second
	}
	return &Tracer{options: o, url: u.String(), client: &http.Client{Timeout: sendTimeout}, full: make(chan struct{}, 1)}, nil
}

// span is one that has ended.
type span struct {
	trace       [16]byte
	id, parent  [8]byte
	name        string
	client      bool
	start, end  time.Time
	attributes  []attribute
	failed      bool
	description string
}

// attribute is a name and its value: a text, or a number.
type attribute struct {
	key    string
	text   string
	number int64
	isText bool
}

func words(key, value string) attribute {
	if len(value) > maxText {
		value = strings.ToValidUTF8(value[:maxText], "") + " …"
	}
	return attribute{key: key, text: strings.ToValidUTF8(value, "\uFFFD"), isText: true}
}

func number(key string, value int64) attribute { return attribute{key: key, number: value} }

// current is the span of the pass that a context belongs to.
type current struct {
	trace [16]byte
	id    [8]byte
}

type currentKey struct{}

// Pass traces a pass over a job. It is a controller.AroundPass.
func (t *Tracer) Pass(
	ctx context.Context, kind string, job types.NamespacedName, pass func(context.Context) (reconcile.Result, error),
) (reconcile.Result, error) {
	if t == nil || !t.sampled() {
		return pass(ctx)
	}
	var now current
	_, _ = rand.Read(now.trace[:]) // never fails
	_, _ = rand.Read(now.id[:])
	s := span{trace: now.trace, id: now.id, name: "reconcile " + kind, start: time.Now()}
	result, err := pass(context.WithValue(ctx, currentKey{}, now))
	s.end = time.Now()
	s.attributes = []attribute{
		words("jobkit.kind", kind), words("k8s.namespace.name", job.Namespace), words("jobkit.job.name", job.Name),
		words("jobkit.result", resultOf(result, err)),
	}
	if result.RequeueAfter > 0 {
		s.attributes = append(s.attributes, number("jobkit.requeue_after_ms", result.RequeueAfter.Milliseconds()))
	}
	if err != nil {
		s.failed, s.description = true, words("", err.Error()).text
	}
	t.add(s)
	return result, err
}

// resultOf says how a pass ended.
func resultOf(result reconcile.Result, err error) string {
	switch {
	case err != nil:
		return "error"
	case result.RequeueAfter > 0:
		return "requeue"
	default:
		return "done"
	}
}

// sampled reports whether a pass is traced.
func (t *Tracer) sampled() bool {
	if t.options.Ratio >= 1 {
		return true
	}
	var b [8]byte
	_, _ = rand.Read(b[:])
	return float64(binary.BigEndian.Uint64(b[:]))/math.MaxUint64 < t.options.Ratio
}

// add queues a span to be sent.
func (t *Tracer) add(s span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.spans) >= maxQueued {
		t.dropped++
		return
	}
	t.spans = append(t.spans, s)
	if len(t.spans) >= maxBatch {
		select {
		case t.full <- struct{}{}:
		default:
		}
	}
}

// Wrap traces the requests that belong to a pass. Others, such as the watches of the cache,
// have no span.
func (t *Tracer) Wrap(next http.RoundTripper) http.RoundTripper { return &transport{t, next} }

type transport struct {
	tracer *Tracer
	next   http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	pass, ok := r.Context().Value(currentKey{}).(current)
	if !ok {
		return t.next.RoundTrip(r) //nolint:wrapcheck // passed on
	}
	s := span{trace: pass.trace, parent: pass.id, name: nameOf(r), client: true, start: time.Now()}
	_, _ = rand.Read(s.id[:])
	r = r.Clone(r.Context())
	// The API server continues the trace, if it makes traces too.
	r.Header.Set("Traceparent", "00-"+hex.EncodeToString(s.trace[:])+"-"+hex.EncodeToString(s.id[:])+"-01")
	resp, err := t.next.RoundTrip(r)
	s.end = time.Now()
	s.attributes = []attribute{words("http.request.method", r.Method), words("url.path", r.URL.Path), words("server.address", r.URL.Host)}
	switch {
	case err != nil:
		s.failed, s.description = true, words("", err.Error()).text
	default:
		s.attributes = append(s.attributes, number("http.response.status_code", int64(resp.StatusCode)))
		s.failed = resp.StatusCode >= http.StatusBadRequest
		if s.failed {
			s.description = strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
		}
	}
	t.tracer.add(s)
	return resp, err //nolint:wrapcheck // passed on
}

// nameOf is the name of a request's span: its method and the resource, without names of objects.
func nameOf(r *http.Request) string {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	for i, p := range parts {
		if p == "namespaces" && i+2 < len(parts) {
			name := parts[i+2]
			if i+4 < len(parts) {
				name += "/" + parts[i+4] // a subresource
			}
			return r.Method + " " + name
		}
	}
	return r.Method
}
