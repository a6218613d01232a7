package program

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

// serve serves an address until ctx ends. The group waits for it.
func serve(ctx context.Context, group *errgroup.Group, address string, secure *tls.Config, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		TLSConfig: secure, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	group.Go(func() error {
		begin := server.Serve
		if secure != nil {
			begin = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
		}
		if err := begin(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("cannot serve %s: %w", address, err)
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
	return nil
}
