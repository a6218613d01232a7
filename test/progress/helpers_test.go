//go:build integration

package progress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

const (
	home = "jobkit-system"
	// patience is how long a test waits for what must happen, on a busy machine.
	patience = 2 * time.Minute
)

// apply applies the manifests that the operator needs, as they are shipped, but for CRDs and its
// deployment.
func apply(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{
		"../../config/manager/namespace.yaml", "../../config/manager/service_account.yaml", "../../config/rbac/operator/*role*.yaml",
		"../../config/components/progress/*.yaml",
	} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			o := &unstructured.Unstructured{}
			if err := yaml.Unmarshal(text, &o.Object); err != nil {
				t.Fatal(err)
			}
			if o.GetKind() == "Component" {
				continue
			}
			if err := cluster.client.Create(t.Context(), o); err != nil && !apierrors.IsAlreadyExists(err) {
				t.Fatalf("cannot apply %s: %v", f, err)
			}
		}
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, what string, check func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		err := check(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// counter stands between the operator and the API server, and counts requests.
type counter struct {
	*httptest.Server

	mu    sync.Mutex
	count map[string]int
}

func count(t *testing.T) *counter {
	t.Helper()
	to, err := url.Parse(cluster.config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(cluster.config)
	if err != nil {
		t.Fatal(err)
	}
	c := &counter{count: map[string]int{}}
	proxy := &httputil.ReverseProxy{
		Transport: transport, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0), Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
	}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.count[kindOf(r)]++
		c.mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		c.CloseClientConnections()
		c.Close()
	})
	return c
}

// What is counted.
const (
	statusWrites = "writes of reports"
	keyReads     = "reads of keys"
	reviews      = "reviews of tokens"
	others       = "others"
)

func kindOf(r *http.Request) string {
	switch {
	case r.Method == http.MethodPatch && r.URL.Query().Get("fieldManager") == "jobkit-progress":
		return statusWrites
	case strings.HasPrefix(r.URL.Path, "/openid/"):
		return keyReads
	case strings.Contains(r.URL.Path, "tokenreviews"):
		return reviews
	default:
		return others
	}
}

func (c *counter) of(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count[what]
}

// kubeconfig has the rights of the operator's service account, and no others.
func kubeconfig(t *testing.T, server string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{Server: server}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{
		Impersonate:       "system:serviceaccount:" + home + ":jobkit-operator",
		ImpersonateGroups: []string{"system:serviceaccounts:" + home, "system:authenticated"},
	}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// service stands for a Service: connections go to a replica that listens.
type service struct {
	net.Listener

	mu   sync.Mutex
	to   []string
	next int
}

func newService(t *testing.T) *service {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{Listener: l}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.forward(c)
		}
	}()
	return s
}

// url is how pods reach it.
func (s *service) url() string {
	_, port, _ := net.SplitHostPort(s.Addr().String())
	return "https://localhost:" + port
}

func (s *service) add(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = append(s.to, address)
}

func (s *service) forward(c net.Conn) {
	defer c.Close()
	s.mu.Lock()
	s.next++
	var order []string
	for i := range s.to {
		order = append(order, s.to[(s.next+i)%len(s.to)])
	}
	s.mu.Unlock()
	for _, to := range order {
		d, err := net.Dial("tcp", to)
		if err != nil {
			continue
		}
		defer d.Close()
		go func() { _, _ = io.Copy(d, c); _ = d.(*net.TCPConn).CloseWrite() }()
		_, _ = io.Copy(c, d)
		return
	}
}

// replica is an operator in a process of its own.
type replica struct {
	cmd                       *exec.Cmd
	out                       string
	metrics, probes, progress string
}

func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func startReplica(t *testing.T, s *service, c *counter) *replica {
	t.Helper()
	r := &replica{out: filepath.Join(t.TempDir(), "log"), metrics: address(t), probes: address(t), progress: address(t)}
	out, err := os.Create(r.out)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r.cmd = exec.Command(cluster.operator, "--leader-elect", "--leader-election-namespace="+home, "--kubeconfig="+kubeconfig(t, c.URL),
		"--metrics-bind-address="+r.metrics, "--health-probe-bind-address="+r.probes,
		"--progress-bind-address="+r.progress, "--progress-url="+s.url(), "--progress-secret-namespace="+home)
	r.cmd.Stdout, r.cmd.Stderr = out, out
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		if text := r.log(); t.Failed() || strings.Contains(text, "forbidden") {
			t.Logf("the operator's log:\n%s", shorten(text))
		}
	})
	eventually(t, "the replica is ready", func(ctx context.Context) error {
		code, body, err := get(ctx, "http://"+r.probes+"/readyz")
		if err != nil || code != http.StatusOK {
			return fmt.Errorf("%d %s %w", code, body, err)
		}
		return nil
	})
	s.add(r.progress)
	return r
}

func (r *replica) log() string {
	text, _ := os.ReadFile(r.out)
	return string(text)
}

// shorten leaves out what each operator logs.
func shorten(text string) string {
	lines := strings.Split(text, "\n")
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool {
		return strings.Contains(l, "INFO") && !strings.Contains(l, "progress")
	}), "\n")
}

// kill ends the process as a node that fails does.
func (r *replica) kill(t *testing.T) {
	t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = r.cmd.Process.Wait()
}

func get(ctx context.Context, url string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

// create creates an object.
func create(t *testing.T, o client.Object) {
	t.Helper()
	if err := cluster.client.Create(t.Context(), o); err != nil {
		t.Fatalf("cannot create %T %s: %v", o, o.GetName(), err)
	}
}

var errNotYet = errors.New("not yet")
