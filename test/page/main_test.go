//go:build integration

package page

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/internal/cli/cluster"
	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/ui"
	"github.com/jobkit/jobkit/internal/devenv"
	"github.com/jobkit/jobkit/operators"
)

// world is what all tests share.
var world place

// place is a cluster with operators, and a page.
type place struct {
	chromium string
	dynamic  dynamic.Interface
	config   *rest.Config
	// addresses are those that the page prints; a line on enter makes it print one.
	addresses <-chan string
	enter     io.Writer
	base      string
}

func TestMain(m *testing.M) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			world.chromium = found
			break
		}
	}
	if world.chromium == "" {
		os.Exit(onlyBrowser(m))
	}
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		code = 1
	}
	os.Exit(code)
}

// onlyBrowser runs the one test that says why no other can run.
func onlyBrowser(m *testing.M) int {
	flag.Parse()
	if err := flag.Set("test.run", "^TestBrowser$"); err != nil {
		fmt.Fprintln(os.Stderr, "page:", err)
		return 1
	}
	return m.Run()
}

func TestBrowser(t *testing.T) {
	if world.chromium == "" {
		t.Skip("the tests of the page need Chromium: apt-get update && apt-get install -y chromium")
	}
}

func runAll(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ctrl.SetLogger(logr.Discard())
	env, err := devenv.Start(ctx, devenv.Options{CRDs: []string{"../../config/crd"}})
	if err != nil {
		return 1, err
	}
	defer func() { _ = env.Stop() }()
	config, err := env.RESTConfig()
	if err != nil {
		return 1, err
	}
	world.config = config
	if world.dynamic, err = dynamic.NewForConfig(config); err != nil {
		return 1, err
	}
	operator, err := startOperators(ctx, config)
	if err != nil {
		return 1, err
	}
	api, err := withLogs(config)
	if err != nil {
		return 1, err
	}
	defer api.Close()
	served, err := startPage(ctx, api.URL)
	if err != nil {
		return 1, err
	}
	code = m.Run()
	cancel()
	api.CloseClientConnections()
	return code, errors.Join(<-served, <-operator)
}

// startOperators runs the operators of all kinds of kubeflow.org/v1.
func startOperators(ctx context.Context, config *rest.Config) (<-chan error, error) {
	scheme := runtime.NewScheme()
	errs := []error{clientgoscheme.AddToScheme(scheme)}
	var objects []jobkit.Object
	for _, k := range operators.Kinds() {
		errs = append(errs, k.AddToScheme(scheme))
		objects = append(objects, k.ObjectKinds...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Cache: controller.CacheOptions(objects...), Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		return nil, err
	}
	for _, k := range operators.Kinds() {
		if err := k.SetupWithManager(manager, operators.Options{}); err != nil {
			return nil, err
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	return ended, nil
}

// withLogs is the API server, and the logs of pods, which have none on the dev control plane
// because no container runs there.
func withLogs(config *rest.Config) (*httptest.Server, error) {
	target, err := url.Parse(config.Host)
	if err != nil {
		return nil, err
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, err
	}
	proxy := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/log") {
			proxy.ServeHTTP(w, r)
			return
		}
		pod, container := path.Base(path.Dir(r.URL.Path)), r.URL.Query().Get("container")
		if container == "" { // as the API server does it for a pod with several
			http.Error(w, "a container name must be specified", http.StatusBadRequest)
			return
		}
		fmt.Fprintf(w, "this is %s of %s\n\r 1%%|#  |\r 2%%|## |\r", container, pod) //nolint:gosec // names that the test gave
		for i := range 200 {
			fmt.Fprintf(w, "2026-11-28 12:00:%02d INFO step %d of %s loss=%.4f\n", i%60, i, pod, 3/(1+float64(i)/20)) //nolint:gosec // it is an attack, on purpose
		}
		fmt.Fprintf(w, "\x1b[31mred\x1b[0m <img src=x onerror=window.attacked=3>\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})), nil
}

// startPage runs jobkit ui.
func startPage(ctx context.Context, host string) (<-chan error, error) {
	client, err := cluster.NewClient(&rest.Config{Host: host}, io.Discard)
	if err != nil {
		return nil, err
	}
	in, enter := io.Pipe()
	out, printed := io.Pipe()
	addresses := make(chan string, 10)
	world.enter, world.addresses = enter, addresses
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "http://") {
				addresses <- lines.Text()
			}
		}
	}()
	served := make(chan error, 1)
	go func() {
		served <- ui.Serve(ctx, client, ui.Options{Cluster: "the dev control plane"}, console.Streams{In: in, Out: printed, Err: io.Discard})
	}()
	select {
	case first := <-addresses:
		u, err := url.Parse(first)
		if err != nil {
			return nil, err
		}
		world.base = "http://" + u.Host + "/"
		return served, nil
	case err := <-served:
		return nil, fmt.Errorf("jobkit ui ended: %w", err)
	}
}

// address is a new address of the page, which works once.
func (p *place) address(t *testing.T) string {
	t.Helper()
	if _, err := io.WriteString(p.enter, "\n"); err != nil {
		t.Fatal(err)
	}
	return <-p.addresses
}

// at is an address within the page, for a browser that was let in.
func (p *place) at(hash string) string { return p.base + hash }
