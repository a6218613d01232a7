// Package ui is "jobkit ui": it serves the page on loopback, with the user's own rights.
package ui

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	"github.com/jobkit/jobkit/internal/cli/cluster"
	"github.com/jobkit/jobkit/internal/cli/console"
	jobkinds "github.com/jobkit/jobkit/internal/kinds"
	"github.com/jobkit/jobkit/internal/page"
	"github.com/jobkit/jobkit/internal/page/kube"
	"github.com/jobkit/jobkit/internal/page/serving"
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

// Page is a page that listens on loopback.
type Page struct {
	server   *page.Server
	listener net.Listener
	note     string
}

// Open makes the page of a cluster, which listens from now on and answers once Serve is called.
func Open(ctx context.Context, client *cluster.Client, o Options) (*Page, error) {
	typed, err := kubernetes.NewForConfig(client.Config)
	if err != nil {
		return nil, fmt.Errorf("cannot make a client: %w", err)
	}
	kinds, err := kube.Kinds(ctx, client.Discovery, append(jobkinds.All(), o.Kinds...))
	if err != nil {
		return nil, err
	}
	namespace, kinds, note, err := scope(ctx, typed, kinds, o.Namespace, client.Namespace)
	if err != nil {
		return nil, err
	}
	jobs, err := kube.New(client.Dynamic, typed, kinds, namespace)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(o.Port)))
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w: choose another --port", err)
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
		return nil, err
	}
	return &Page{server: server, listener: listener, note: note}, nil
}

// Address is a new address that lets a browser in. It works once.
func (p *Page) Address() string {
	return fmt.Sprintf("http://%s%s", p.listener.Addr(), p.server.OpenPath())
}

// Serve serves the page until ctx ends.
func (p *Page) Serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx) // It ends with the first that fails.
	serving.Serve(ctx, group, p.listener, nil, p.server)
	group.Go(func() error { return p.server.Run(ctx) })
	return group.Wait() //nolint:wrapcheck // our own errors
}

// Serve serves the page until ctx ends. It prints an address at first, and another one for
// each line that the user enters.
func Serve(ctx context.Context, client *cluster.Client, o Options, streams console.Streams) error {
	p, err := Open(ctx, client, o)
	if err != nil {
		return err
	}
	if p.note != "" {
		fmt.Fprintln(streams.Err, p.note)
	}
	invite := func() { fmt.Fprintln(streams.Out, p.Address()) }
	fmt.Fprintln(streams.Out, "Open this address. It works once; press Enter for another one, and Ctrl-C to end.")
	invite()
	go forEachLine(ctx, streams.In, invite)
	return p.Serve(ctx)
}

// hosts are the names of an address on loopback.
func hosts(address net.Addr) []string {
	_, port, _ := net.SplitHostPort(address.String())
	return []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort("localhost", port)}
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

// scope is the namespace that is shown, and the kinds: the namespace that was asked for, all (empty) with the kinds
// of which the user may see those, or else the context's; and a note about what is not shown.
func scope(
	ctx context.Context, client kubernetes.Interface, kinds []kube.Kind, asked, own string,
) (namespace string, shown []kube.Kind, note string, err error) {
	if asked != "" || len(kinds) == 0 {
		return asked, kinds, "", nil
	}
	var hidden []string
	for _, k := range kinds {
		allowed, err := kube.Allowed(ctx, client, authorizationv1.ResourceAttributes{
			Verb: "list", Group: k.Resource.Group, Version: k.Resource.Version, Resource: k.Resource.Resource,
		})
		if err != nil {
			return "", nil, "", err
		}
		if allowed {
			shown = append(shown, k)
		} else {
			hidden = append(hidden, k.Resource.Resource)
		}
	}
	switch {
	case len(shown) == 0:
		return own, kinds, fmt.Sprintf("You may not list %s in all namespaces, so only namespace %s is shown: choose another one with -n.",
			strings.Join(hidden, ", "), own), nil
	case len(hidden) > 0:
		note = fmt.Sprintf("You may not list %s in all namespaces, so they are not shown: -n NAMESPACE shows all kinds in one namespace.",
			strings.Join(hidden, ", "))
	}
	return "", shown, note, nil
}
