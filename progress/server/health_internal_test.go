package server

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
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

// TestLimits: one address cannot take the connections of others.
func TestLimits(t *testing.T) {
	l := &limited{gauge: prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "x"}), most: 5, each: 3, by: map[string]int{}}
	opened := func(from string) (n int) {
		for range 10 {
			if l.open(from) {
				n++
			}
		}
		return n
	}
	if n := opened("a"); n != 3 {
		t.Errorf("one address has %d connections, want 3", n)
	}
	if n := opened("b"); n != 2 {
		t.Errorf("another has %d connections, want the 2 that are left", n)
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := &counted{Conn: ours, closed: func() { l.close("a") }}
	_, _ = c.Close(), c.Close()
	if n := opened("b"); n != 1 {
		t.Errorf("after one was closed, twice, %d more are open, want 1", n)
	}
	for range 2 {
		l.close("a")
	}
	if len(l.by) != 1 {
		t.Errorf("%d addresses are remembered, want 1", len(l.by))
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
