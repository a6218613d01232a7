package server

import (
	"net"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// maxConnections is how many connections there are at most, and perAddress how many of one
	// address. A client needs one for some milliseconds every few seconds.
	maxConnections = 1024
	perAddress     = 64
)

// limited is a listener that never refuses a connection. Above its limits it closes the oldest one of the address
// that has most: a client that holds connections open keeps no other away.
type limited struct {
	net.Listener

	gauge prometheus.Gauge
	// most and each are the limits.
	most, each int
	// crowded is called when an address lost its only connection, because there are more addresses than connections.
	crowded func()

	mu sync.Mutex
	// open are the connections of each address, the oldest first.
	open         map[string][]*counted
	count, taken int
}

func limit(l net.Listener, gauge prometheus.Gauge, crowded func()) *limited {
	return &limited{Listener: l, gauge: gauge, most: maxConnections, each: perAddress, crowded: crowded, open: map[string][]*counted{}}
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // the server compares it
	}
	address := c.RemoteAddr().String()
	from, _, err := net.SplitHostPort(address)
	if err != nil {
		from = address
	}
	return l.add(c, from), nil
}

// add counts a connection, and closes another if there is no room for both.
func (l *limited) add(conn net.Conn, from string) *counted {
	l.mu.Lock()
	l.taken++
	c := &counted{Conn: conn, listener: l, from: from, turn: l.taken}
	victim := l.inTheWay(from)
	if victim != nil {
		l.removeLocked(victim)
	}
	lone := victim != nil && len(l.open[victim.from]) == 0
	l.open[from] = append(l.open[from], c)
	l.count++
	l.gauge.Set(float64(l.count))
	l.mu.Unlock()
	if victim != nil {
		_ = victim.Close()
	}
	if lone {
		l.crowded()
	}
	return c
}

// inTheWay is the connection that one more of an address takes the place of, if there is no room for it. The caller
// holds the lock.
func (l *limited) inTheWay(from string) *counted {
	switch {
	case len(l.open[from]) >= l.each:
		return l.open[from][0]
	case l.count < l.most:
		return nil
	}
	var most []*counted
	for _, of := range l.open {
		if len(of) > len(most) || len(of) == len(most) && of[0].turn < most[0].turn {
			most = of
		}
	}
	return most[0]
}

// removeLocked forgets a connection, once. The caller holds the lock.
func (l *limited) removeLocked(c *counted) {
	of := l.open[c.from]
	i := slices.Index(of, c)
	if i < 0 {
		return
	}
	if l.open[c.from] = slices.Delete(of, i, i+1); len(of) == 1 {
		delete(l.open, c.from)
	}
	l.count--
	l.gauge.Set(float64(l.count))
}

// counted is a connection that its listener counts until it is closed.
type counted struct {
	net.Conn

	listener *limited
	from     string
	// turn is how many connections came before it, and itself.
	turn int
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.listener.mu.Lock()
	c.listener.removeLocked(c)
	c.listener.mu.Unlock()
	return c.Conn.Close() //nolint:wrapcheck // nothing is added
}
