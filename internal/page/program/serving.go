package program

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// serving are the servers that run.
type serving struct {
	running sync.WaitGroup
	mu      sync.Mutex
	errs    []error
	first   chan error
}

// failed gets the first error.
func (s *serving) failed() <-chan error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channel()
}

func (s *serving) channel() chan error {
	if s.first == nil {
		s.first = make(chan error, 1)
	}
	return s.first
}

// start runs a function until it ends.
func (s *serving) start(run func() error) {
	s.running.Go(func() {
		err := run()
		if err == nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		select {
		case s.channel() <- err:
		default:
			s.errs = append(s.errs, err)
		}
	})
}

// wait waits until all have ended.
func (s *serving) wait() error {
	s.running.Wait()
	return errors.Join(s.errs...)
}

// serve serves an address until ctx ends.
func (s *serving) serve(ctx context.Context, address string, secure *tls.Config, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		TLSConfig: secure, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	s.start(func() error {
		begin := server.Serve
		if secure != nil {
			begin = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := begin(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("cannot serve %s: %w", address, err)
		}
		return nil
	})
	s.start(func() error {
		<-ctx.Done()
		stopping, done := context.WithTimeout(context.WithoutCancel(ctx), endGrace)
		defer done()
		if server.Shutdown(stopping) != nil {
			_ = server.Close()
		}
		return nil
	})
	return nil
}
