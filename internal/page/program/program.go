// Package program is "operator page": the page of a cluster as a program of its own, in the
// image of the operator. It needs no rights in the cluster, and no service account.
package program

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"

	jobkinds "github.com/jobkit/jobkit/internal/kinds"
	"github.com/jobkit/jobkit/internal/page/gate"
	"github.com/jobkit/jobkit/internal/page/serving"
	"github.com/jobkit/jobkit/internal/version"
)

// Name is the first word of the command line.
const Name = "page"

const (
	exitFailed = 1
	exitUsage  = 2
)

const help = `operator page serves the page that shows jobs, for a cluster. It has no rights: it reads with
the token of its caller, so all see what they may see with kubectl. It changes nothing.

It is reached by "kubectl port-forward" on --loopback-port, and with TLS on --bind-address: by
the API server's proxy, or by a reverse proxy that adds "Authorization: Bearer TOKEN".

Flags:
`

// options are the flags.
type options struct {
	bind, certificates string
	loopback           int
	probes             string
	namespace          string
	others             string
	cluster            string
	kubeconfig         string
	authority          string
	recheck            time.Duration
	version            bool
}

func (o *options) define(f *flag.FlagSet) {
	f.StringVar(&o.bind, "bind-address", ":8443", "the `address` that serves the page with TLS; 0 for none")
	f.StringVar(&o.certificates, "cert-dir", "", "the `folder` of tls.crt and tls.key for --bind-address, which are read again when they change (default: a certificate that the program signs itself)")
	f.IntVar(&o.loopback, "loopback-port", 8082, "the `port` that serves the page without TLS at 127.0.0.1, for kubectl port-forward; 0 for none")
	f.StringVar(&o.probes, "health-probe-bind-address", ":8081", "the `address` that serves /healthz and /readyz; 0 for none")
	f.StringVar(&o.namespace, "namespace", "", "the only `namespace` that is shown; empty for all that the caller may see")
	f.StringVar(&o.others, "kinds", "", "`kinds` to show besides those of jobkit, such as SimJob.v1.sim.example.com, separated by commas")
	f.StringVar(&o.cluster, "cluster-name", "", "what the page calls the cluster")
	f.StringVar(&o.kubeconfig, "kubeconfig", "", "the kubeconfig `file` that says where the API server is; its credentials are not used (default: the environment of the pod)")
	f.StringVar(&o.authority, "certificate-authority", "/etc/jobkit/kubernetes/ca.crt", "the `file` of certificates that verify the API server, in a pod")
	f.DurationVar(&o.recheck, "recheck", time.Minute, "after which `time` the API server is asked again what a caller may see")
	f.BoolVar(&o.version, "version", false, "print the version and end")
}

// Main runs the page until ctx ends or the process is asked to end, and returns the exit code.
func Main(ctx context.Context, args []string, getenv func(string) string, out, errOut io.Writer) int {
	var o options
	f := flag.NewFlagSet("operator page", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	o.define(f)
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(out, help)
		f.SetOutput(out)
		f.PrintDefaults()
		return 0
	case err == nil && f.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", f.Arg(0))
	case err == nil:
		err = o.check()
	}
	if err != nil {
		fmt.Fprintf(errOut, "operator page: %v; --help lists all flags\n", err)
		return exitUsage
	}
	if o.version {
		fmt.Fprintln(out, version.Line("operator page"))
		return 0
	}
	log := logr.FromSlogHandler(slog.NewJSONHandler(errOut, nil))
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := o.run(ctx, getenv, log); err != nil {
		log.Error(err, "The page ended")
		return exitFailed
	}
	return 0
}

// check checks the flags together.
func (o *options) check() error {
	const highest = 65535
	switch {
	case o.loopback < 0 || o.loopback > highest:
		return fmt.Errorf("--loopback-port is %d: it must be from 0 to %d", o.loopback, highest)
	case off(o.bind) && o.loopback == 0:
		return errors.New("--bind-address and --loopback-port are both 0: nothing would be served")
	case o.certificates != "" && off(o.bind):
		return errors.New("--cert-dir has no effect without --bind-address: set both, or neither")
	case o.recheck < time.Second:
		return fmt.Errorf("--recheck is %s: use at least 1s", o.recheck)
	}
	return nil
}

func off(address string) bool { return address == "" || address == "0" }

// config is where the API server is. It holds no credentials.
func (o *options) config(getenv func(string) string) (*rest.Config, error) {
	config := &rest.Config{}
	host, port := getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT")
	switch {
	case o.kubeconfig != "":
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", o.kubeconfig); err != nil {
			return nil, fmt.Errorf("cannot read --kubeconfig: %w", err)
		}
	case host == "" || port == "":
		return nil, errors.New("no cluster: run it in a pod, or name a kubeconfig with --kubeconfig")
	default:
		config.Host = "https://" + net.JoinHostPort(host, port)
		config.CAFile = o.authority
	}
	config = rest.AnonymousClientConfig(config)
	config.UserAgent = "jobkit-page/" + version.String()
	return config, nil
}

// run serves the page until ctx ends.
func (o *options) run(ctx context.Context, getenv func(string) string, log logr.Logger) error {
	config, err := o.config(getenv)
	if err != nil {
		return err
	}
	others, err := jobkinds.Parse(o.others)
	if err != nil {
		return fmt.Errorf("--kinds: %w", err)
	}
	g, err := gate.New(ctx, gate.Options{
		Config: config, Namespace: o.namespace, Kinds: append(jobkinds.All(), others...), Cluster: o.cluster, Log: log, Recheck: o.recheck,
	})
	if err != nil {
		return fmt.Errorf("cannot make the page: %w", err)
	}
	defer g.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx) // It ends with the first that fails.
	if err := o.listen(ctx, group, g); err != nil {
		cancel()
		return errors.Join(err, group.Wait())
	}
	log.Info("The page is served", "version", version.String(), "bindAddress", o.bind, "loopbackPort", o.loopback, "namespace", o.namespace)
	<-ctx.Done()
	g.Close()           // ends the streams, so that the servers can end
	return group.Wait() //nolint:wrapcheck // our own errors
}

// listen starts all servers, the probes last: they say that the others listen.
func (o *options) listen(ctx context.Context, group *errgroup.Group, page http.Handler) error {
	if !off(o.bind) {
		secure, err := o.tls(ctx, group)
		if err != nil {
			return err
		}
		if err := serve(ctx, group, o.bind, secure, page); err != nil {
			return fmt.Errorf("--bind-address is %s: %w", o.bind, err)
		}
	}
	if o.loopback != 0 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(o.loopback))
		if err := serve(ctx, group, address, nil, onlyLoopback(page)); err != nil {
			return fmt.Errorf("--loopback-port is %d: %w", o.loopback, err)
		}
	}
	if off(o.probes) {
		return nil
	}
	mux := http.NewServeMux()
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }
	mux.HandleFunc("GET /healthz", ok)
	mux.HandleFunc("GET /readyz", ok)
	if err := serve(ctx, group, o.probes, nil, mux); err != nil {
		return fmt.Errorf("--health-probe-bind-address is %s: %w", o.probes, err)
	}
	return nil
}

// serve serves an address until ctx ends. The group waits for it.
func serve(ctx context.Context, group *errgroup.Group, address string, secure *tls.Config, handler http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("cannot listen: %w", err)
	}
	serving.Serve(ctx, group, listener, secure, handler)
	return nil
}

// onlyLoopback refuses names that another site has given the address (DNS rebinding).
func onlyLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(strings.Trim(host, "[]")); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "use 127.0.0.1 or localhost", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// tls is how the page is known: by the certificate of a folder, or one of its own.
func (o *options) tls(ctx context.Context, group *errgroup.Group) (*tls.Config, error) {
	secure := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	if o.certificates == "" {
		crt, key, err := cert.GenerateSelfSignedCertKey("jobkit-page", nil, nil)
		if err != nil {
			return nil, fmt.Errorf("cannot make a certificate: %w", err)
		}
		pair, err := tls.X509KeyPair(crt, key)
		if err != nil {
			return nil, fmt.Errorf("cannot make a certificate: %w", err)
		}
		secure.Certificates = []tls.Certificate{pair}
		return secure, nil
	}
	watcher, err := certwatcher.New(filepath.Join(o.certificates, "tls.crt"), filepath.Join(o.certificates, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate of --cert-dir: %w", err)
	}
	group.Go(func() error { return watcher.Start(ctx) })
	secure.GetCertificate = watcher.GetCertificate
	return secure, nil
}
