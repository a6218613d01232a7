// Package etcd runs a single-member etcd inside this process.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

const (
	// startTimeout is far above the usual 0.1 s; replaying the log of a large
	// kept data folder takes longer.
	startTimeout = time.Minute
	// quota is etcd's recommended maximum: the default of 2 GiB fills within
	// minutes when thousands of pods are created over and over.
	quota = 8 << 30
)

// Options of Start.
type Options struct {
	// Dir holds the data and survives restarts.
	Dir string
	// Sync makes etcd flush every write to disk. Off, a crash of the machine
	// (not of the process) may lose or break the data, and writes are several
	// times faster.
	Sync bool
}

// Server is a running etcd.
type Server struct{ etcd *embed.Etcd }

// Start returns once etcd answers. It listens on free loopback ports without
// authentication, as dev tools do: any user of this machine can reach it.
func Start(ctx context.Context, o Options) (*Server, error) {
	e, err := embed.StartEtcd(config(o))
	if err != nil {
		return nil, fmt.Errorf("cannot start etcd in %s: %w", o.Dir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-e.Server.ReadyNotify():
		return &Server{e}, nil
	case err = <-e.Err():
	case <-e.Server.StopNotify():
		err = errors.New("it stopped unexpectedly")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	e.Close()
	return nil, fmt.Errorf("etcd does not answer: %w", err)
}

// Endpoint returns the URL that clients connect to.
func (s *Server) Endpoint() string { return "http://" + s.etcd.Clients[0].Addr().String() }

// Wait returns an error when etcd dies, and nil when ctx is done.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case err := <-s.etcd.Err():
		return err
	case <-s.etcd.Server.StopNotify():
		return errors.New("the server stopped unexpectedly")
	case <-ctx.Done():
		return nil
	}
}

// Close stops etcd and returns when its files are closed.
func (s *Server) Close() { s.etcd.Close() }

func config(o Options) *embed.Config {
	// Port 0 lets the kernel choose; Endpoint reads the choice back.
	anyPort := url.URL{Scheme: "http", Host: "127.0.0.1:0"}
	cfg := embed.NewConfig()
	cfg.Name = "devcluster"
	cfg.Dir = o.Dir
	cfg.UnsafeNoFsync = !o.Sync
	cfg.QuotaBackendBytes = quota
	cfg.LogLevel = "warn"
	// Zero, the library's default, logs every single request as slow.
	cfg.WarningUnaryRequestDuration = time.Second
	// The only member elects itself after one election time, so keep it short.
	// TickMs is the heartbeat.
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{anyPort}, []url.URL{anyPort}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{anyPort}, []url.URL{anyPort}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	return cfg
}
