package server

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
)

// TestUpSince: silence is a hang only after the server could be reached, and could write, without
// a break.
func TestUpSince(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	start := now
	h := &health{now: func() time.Time { return now }, log: logr.Discard(), up: prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "x"})}
	lost := errors.New("lost")
	a, b := keyOf("a"), keyOf("b")
	for i, step := range []struct {
		reason string
		after  time.Duration
		do     func()
		// want is how long after the start it is well; -1 if it is not.
		want time.Duration
	}{
		{"nothing is known", 0, func() {}, -1},
		{"the Service does not know the pod yet", 5 * time.Second, func() { h.probed(lost) }, -1},
		{"it does", 5 * time.Second, func() { h.probed(nil) }, 10 * time.Second},
		{"it still does", 5 * time.Second, func() { h.probed(nil) }, 10 * time.Second},
		{"one probe is lost", 5 * time.Second, func() { h.probed(lost) }, 10 * time.Second},
		{"two are", 5 * time.Second, func() { h.probed(lost) }, -1},
		{"a pod reaches the server all the same", 5 * time.Second, func() { h.accepted(); h.probed(lost) }, 30 * time.Second},
		{"one job cannot be written to", 5 * time.Second, func() { h.wrote(a, lost) }, 30 * time.Second},
		{"again and again: that may be of its own making", 5 * time.Second, func() { h.wrote(a, lost) }, 30 * time.Second},
		{"another can", 5 * time.Second, func() { h.wrote(b, nil) }, 30 * time.Second},
		{"the other cannot once", 5 * time.Second, func() { h.wrote(b, lost) }, 30 * time.Second},
		{"nor can the first: the API server is away", 5 * time.Second, func() { h.wrote(a, lost) }, -1},
		{"the probe says nothing about that", 5 * time.Second, func() { h.probed(nil) }, -1},
		{"reports can be written again", 5 * time.Second, func() { h.wrote(b, nil) }, 65 * time.Second},
	} {
		now = now.Add(step.after)
		step.do()
		got := time.Duration(-1)
		if at := h.UpSince(); !at.IsZero() {
			got = at.Sub(start)
		}
		if got != step.want {
			t.Errorf("%d, %s: up since %v, want %v", i, step.reason, got, step.want)
		}
	}
}

// TestCrowded: while clients are cut off for the sake of others, silence is no hang.
func TestCrowded(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	h := &health{now: func() time.Time { return now }, log: logr.Discard(), up: prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "x"})}
	h.crowded()
	if at := h.UpSince(); !at.IsZero() {
		t.Errorf("it is up since %v before it was reached", at)
	}
	h.probed(nil)
	now = now.Add(time.Hour)
	h.accepted()
	h.crowded()
	h.probed(nil)
	if at := h.UpSince(); !at.Equal(now) {
		t.Errorf("it is up since %v, want since a client was cut off, %v", at, now)
	}
}

// TestSlowNamespaces: no answer in time is what a webhook of one namespace can cause, so it says something of the API
// server only if it comes from several, and no write succeeds meanwhile.
func TestSlowNamespaces(t *testing.T) {
	start := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	key := func(namespace, name string) jobKey {
		return jobKey{name: types.NamespacedName{Namespace: namespace, Name: name}}
	}
	for name, tc := range map[string]struct {
		reason string
		do     func(h *health, pass func(time.Duration))
		up     bool
	}{
		"One": {reason: "a namespace with many jobs", up: true, do: func(h *health, pass func(time.Duration)) {
			for i := range 10 {
				pass(10 * time.Second)
				h.waited(key("slow", strconv.Itoa(i)), h.now().Add(-writeTimeout), context.DeadlineExceeded)
			}
		}},
		"Two": {reason: "none answers", do: func(h *health, pass func(time.Duration)) {
			pass(10 * time.Second)
			h.waited(key("a", "a"), start, context.DeadlineExceeded)
			h.waited(key("b", "b"), start, context.DeadlineExceeded)
		}},
		"Others": {reason: "two are slow, and a third is served meanwhile", up: true, do: func(h *health, pass func(time.Duration)) {
			for range 10 {
				began := h.now()
				pass(5 * time.Second)
				h.wrote(key("c", "c"), nil)
				pass(5 * time.Second)
				h.waited(key("a", "a"), began, context.DeadlineExceeded)
				h.waited(key("b", "b"), began, context.DeadlineExceeded)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			now := start
			h := &health{now: func() time.Time { return now }, log: logr.Discard(), up: prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "x"})}
			h.probed(nil)
			tc.do(h, func(d time.Duration) { now = now.Add(d) })
			if up := h.UpSince().Equal(start); up != tc.up {
				t.Errorf("%s: it is up without a break: %t, want %t", tc.reason, up, tc.up)
			}
		})
	}
}

func TestOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		url  string
		host string
	}{
		"Service":   {url: "https://progress.ops.svc", host: "progress.ops.svc"},
		"Port":      {url: "https://10.0.0.1:8443/", host: "10.0.0.1"},
		"Plain":     {url: "http://progress.ops.svc"},
		"Path":      {url: "https://progress.ops.svc/apis"},
		"NoScheme":  {url: "progress.ops.svc"},
		"NoHost":    {url: "https://"},
		"Malformed": {url: "https://%"},
	} {
		o := Options{BindAddress: ":8443", URL: tc.url, Secret: secretName}
		if host, err := o.validate(); host != tc.host || (err == nil) != (tc.host != "") {
			t.Errorf("%s: the host is %q, %v; want %q", name, host, err, tc.host)
		}
	}
}
