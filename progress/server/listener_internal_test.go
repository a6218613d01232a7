package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

// TestLimits: no address can take the connections of others, nor all of its own.
func TestLimits(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		// come are the addresses that connections come from, one after the other.
		come []string
		// want are those that are still open, by address and number of those before it.
		want    []string
		crowded int
	}{
		"Room":    {reason: "there is room", come: []string{"a", "b", "a"}, want: []string{"a0", "a2", "b1"}},
		"Address": {reason: "its oldest makes room", come: []string{"a", "a", "b", "a", "a"}, want: []string{"a1", "a3", "a4", "b2"}},
		"Full": {
			reason: "the address with most loses its oldest", come: []string{"b", "a", "a", "a", "b", "c", "c", "d"},
			want: []string{"a3", "b4", "c5", "c6", "d7"},
		},
		"Crowded": {
			reason: "each has one: the oldest may be of a client that did not end yet",
			come:   []string{"a", "b", "c", "d", "e", "f", "g"}, want: []string{"c2", "d3", "e4", "f5", "g6"}, crowded: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			crowded := 0
			l := limit(nil, prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "x"}), func() { crowded++ })
			l.most, l.each = 5, 3
			var made []*counted
			for _, from := range tc.come {
				ours, theirs := net.Pipe()
				defer theirs.Close()
				made = append(made, l.add(ours, from))
			}
			var open []string
			for i, c := range made {
				if slices.Contains(l.open[c.from], c) {
					open = append(open, c.from+strconv.Itoa(i))
				} else if _, err := c.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
					t.Errorf("%s: %d is forgotten and not closed: %v", tc.reason, i, err)
				}
			}
			slices.Sort(open)
			if diff := cmp.Diff(tc.want, open); diff != "" || crowded != tc.crowded || l.count != len(open) {
				t.Errorf("%s: crowded %d times, want %d; %d are counted (-want +got):\n%s", tc.reason, crowded, tc.crowded, l.count, diff)
			}
			for _, c := range made {
				_, _ = c.Close(), c.Close()
			}
			if l.count != 0 || len(l.open) != 0 {
				t.Errorf("%s: all are closed, and %d of %d addresses are counted", tc.reason, l.count, len(l.open))
			}
		})
	}
}

// TestHeldConnections: requests are answered while other connections of the same address are held open.
func TestHeldConnections(t *testing.T) {
	inner, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limit(inner, prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "x"}), func() {})
	l.each = 3
	s := &http.Server{
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "well") }),
		ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = s.Serve(l) }()
	defer s.Close()
	for range 10 {
		held, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for range 5 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+inner.Addr().String(), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(text) != "well" {
			t.Errorf("the answer is %q, %v", text, err)
		}
	}
}
