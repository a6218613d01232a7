// Package serving serves the page over HTTP until a context ends.
package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// endGrace is how long open requests may take when the context ends.
	endGrace = 2 * time.Second
	// maxHeader is room for a bearer token, which can be long.
	maxHeader = 64 << 10
)

// Serve serves what comes to a listener until ctx ends, with TLS if secure is not nil. What is
// open ends with ctx, so that no stream delays the end. The group waits for all of it.
func Serve(ctx context.Context, group *errgroup.Group, listener net.Listener, secure *tls.Config, handler http.Handler) {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeader,
		TLSConfig: secure, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	group.Go(func() error {
		begin := server.Serve
		if secure != nil {
			begin = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := begin(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("cannot serve %s: %w", listener.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		stopping, done := context.WithTimeout(context.WithoutCancel(ctx), endGrace)
		defer done()
		if server.Shutdown(stopping) != nil {
			_ = server.Close()
		}
		return nil
	})
}
