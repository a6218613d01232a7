// Package ui is "jobkit ui": it serves the page on loopback, with the user's own rights.
package ui

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	"github.com/jobkit/jobkit/internal/cli/cluster"
	"github.com/jobkit/jobkit/internal/cli/console"
	jobkinds "github.com/jobkit/jobkit/internal/kinds"
	"github.com/jobkit/jobkit/internal/page"
	"github.com/jobkit/jobkit/internal/page/kube"
)

// Options say what to serve, and where.
type Options struct {
	// Port to listen on, at 127.0.0.1. Default: 0, a free one.
	Port int
	// ReadOnly shows jobs, and changes none. Default: false.
	ReadOnly bool
	// Namespace is the only one that is shown. Default: empty, all that the user may see
	// at once; if that is not allowed, the context's.
	Namespace string
	// Cluster says which cluster it is.
	Cluster string
	// Kinds are kinds that are shown besides those of this module. Default: none.
	Kinds []schema.GroupVersionKind
}

// endGrace is how long open requests may take when the command ends.
const endGrace = 2 * time.Second

// Serve serves the page until ctx ends.
func Serve(ctx context.Context, client *cluster.Client, o Options, streams console.Streams) error {
	typed, err := kubernetes.NewForConfig(client.Config)
	if err != nil {
		return fmt.Errorf("cannot make a client: %w", err)
	}
	kinds, err := kube.Kinds(ctx, client.Discovery, append(jobkinds.All(), o.Kinds...))
	if err != nil {
		return err
	}
	namespace, note, err := scope(ctx, typed, kinds, o.Namespace, client.Namespace)
	if err != nil {
		return err
	}
	jobs, err := kube.New(client.Dynamic, typed, kinds, namespace)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Port)))
	if err != nil {
		return fmt.Errorf("cannot listen: %w: choose another --port", err)
	}
	names := make([]string, 0, len(kinds))
	for _, k := range kinds {
		names = append(names, k.Kind)
	}
	options := page.Options{
		Source: jobs, Steering: jobs, Cluster: o.Cluster, Namespace: namespace, Kinds: names,
		Hosts: hosts(listener.Addr()),
	}
	if o.ReadOnly {
		options.Steering = nil
	}
	server, err := page.New(options)
	if err != nil {
		_ = listener.Close()
		return err
	}
	if note != "" {
		fmt.Fprintln(streams.Err, note)
	}
	return run(ctx, server, listener, streams)
}

// hosts are the names of an address on loopback.
func hosts(address net.Addr) []string {
	_, port, _ := net.SplitHostPort(address.String())
	return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("localhost", port)}
}

// run serves until ctx ends. It prints an address at first, and another one for each line
// that the user enters.
func run(ctx context.Context, server *page.Server, listener net.Listener, streams console.Streams) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// What is open ends with the context, so that no stream keeps the command from ending.
	web := &http.Server{
		Handler: server, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	ended := make(chan error, 2)
	go func() { ended <- server.Run(ctx) }()
	go func() {
		err := web.Serve(listener)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		ended <- err
	}()
	invite := func() { fmt.Fprintf(streams.Out, "http://%s%s\n", listener.Addr(), server.OpenPath()) }
	fmt.Fprintln(streams.Out, "Open this address. It works once; press Enter for another one, and Ctrl-C to end.")
	invite()
	go forEachLine(ctx, streams.In, invite)
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
	}
	cancel()
	stopping, done := context.WithTimeout(context.WithoutCancel(ctx), endGrace)
	defer done()
	if web.Shutdown(stopping) != nil {
		_ = web.Close()
	}
	return err
}

// forEachLine calls a function for each line of the input.
func forEachLine(ctx context.Context, in io.Reader, call func()) {
	if in == nil {
		return
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() && ctx.Err() == nil {
		call()
	}
}

// scope is the namespace that is shown: the one that was asked for, all (empty) if the user
// may see those, or else the context's; and a note about that.
func scope(ctx context.Context, client kubernetes.Interface, kinds []kube.Kind, asked, own string) (namespace, note string, err error) {
	if asked != "" || len(kinds) == 0 {
		return asked, "", nil
	}
	for _, k := range kinds {
		allowed, err := kube.Allowed(ctx, client, authorizationv1.ResourceAttributes{
			Verb: "list", Group: k.Resource.Group, Version: k.Resource.Version, Resource: k.Resource.Resource,
		})
		if err != nil {
			return "", "", err
		}
		if !allowed {
			return own, fmt.Sprintf("You may not list %s in all namespaces, so only namespace %s is shown: choose another one with -n.",
				k.Resource.Resource, own), nil
		}
	}
	return "", "", nil
}
