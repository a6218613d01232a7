package main

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// proxy puts a distance between a client and the API server: each byte arrives a
// fixed time after it was sent, in each direction. As on a long line, any amount may
// be in transit: throughput is not limited.
type proxy struct {
	listener net.Listener
	target   string
	oneWay   time.Duration
	wg       sync.WaitGroup
}

// startProxy listens on a free port of the loopback interface.
func startProxy(ctx context.Context, target string, oneWay time.Duration) (*proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot start the proxy: %w", err)
	}
	p := &proxy{listener: listener, target: target, oneWay: oneWay}
	p.wg.Go(func() { p.accept(ctx) })
	return p, nil
}

// address is where the proxy listens.
func (p *proxy) address() string { return p.listener.Addr().String() }

// stop takes no further connections. Those that are open end with their clients.
func (p *proxy) stop() { _ = p.listener.Close() }

func (p *proxy) accept(ctx context.Context) {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return // the listener is closed
		}
		p.wg.Go(func() {
			far, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
			if err != nil {
				_ = near.Close()
				return
			}
			p.wg.Go(func() { p.carry(far, near) })
			p.carry(near, far)
		})
	}
}

// parcel is what was read at one time, and when it is to arrive.
type parcel struct {
	bytes  []byte
	arrive time.Time
}

// carry copies what one side sends to the other, late. It closes both when one ends.
func (p *proxy) carry(to, from net.Conn) {
	defer to.Close()
	// Enough for everything that a control plane sends within the delay.
	parcels := make(chan parcel, 1<<14)
	p.wg.Go(func() {
		defer close(parcels)
		for {
			buffer := make([]byte, 32<<10)
			n, err := from.Read(buffer)
			if n > 0 {
				parcels <- parcel{bytes: buffer[:n], arrive: time.Now().Add(p.oneWay)}
			}
			if err != nil {
				return
			}
		}
	})
	for next := range parcels {
		time.Sleep(time.Until(next.arrive))
		if _, err := to.Write(next.bytes); err != nil {
			_ = from.Close() // the reader ends, and closes the channel
		}
	}
}
