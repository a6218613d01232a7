package server

import (
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxConnections is how many connections there are at most, and perAddress how many of one
	// address. A client needs one for some milliseconds every few seconds.
	maxConnections = 1024
	perAddress     = 64
)

// limited is a listener that closes connections above its limits at once: a client that holds
// connections open keeps no other away.
type limited struct {
	net.Listener

	gauge prometheus.Gauge
	// most and each are the limits.
	most, each int

	mu    sync.Mutex
	count int
	by    map[string]int
}

func limit(l net.Listener, gauge prometheus.Gauge) *limited {
	return &limited{Listener: l, gauge: gauge, most: maxConnections, each: perAddress, by: map[string]int{}}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err //nolint:wrapcheck // the server compares it
		}
		from, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err == nil && l.open(from) {
			return &counted{Conn: c, closed: func() { l.close(from) }}, nil
		}
		_ = c.Close()
	}
}

// open counts a connection, if one more may be open.
func (l *limited) open(from string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count >= l.most || l.by[from] >= l.each {
		return false
	}
	l.count++
	l.by[from]++
	l.gauge.Set(float64(l.count))
	return true
}

func (l *limited) close(from string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count--
	if l.by[from]--; l.by[from] == 0 {
		delete(l.by, from)
	}
	l.gauge.Set(float64(l.count))
}

// counted is a connection that says once that it is closed.
type counted struct {
	net.Conn

	once   sync.Once
	closed func()
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(c.closed)
	return c.Conn.Close() //nolint:wrapcheck // nothing is added
}
