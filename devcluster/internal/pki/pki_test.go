package pki

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
)

var loopback = net.IPv4(127, 0, 0, 1)

func TestEnsureKeepsWhatExists(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	first, err := Ensure(dir, loopback, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	before := read(t, first.Cert(CA))
	second, err := Ensure(dir, loopback, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if string(read(t, second.Cert(CA))) != string(before) {
		t.Error("the second call replaced the authority")
	}
	if info, err := os.Stat(first.Key(CA)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of a private key: %v, %v", info.Mode(), err)
	}
}

func TestEnsureStartsOverAfterHalfAWrite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	if err := os.MkdirAll(dir+".tmp/old", 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := Ensure(dir, loopback, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	read(t, s.Key(ServiceAccount))
	read(t, s.PublicKey(ServiceAccount))
}

func TestServing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	for _, tt := range []struct {
		reason  string
		listen  net.IP
		renewed bool
	}{
		{"the first start issues it", loopback, true},
		{"the second start on the same address keeps it", loopback, false},
		{"another address needs another certificate", net.IPv4(192, 0, 2, 1), true},
		{"which covers the loopback interface too, so going back keeps it", loopback, false},
	} {
		before, _ := os.ReadFile(Store{dir}.Cert(Server))
		s, err := Ensure(dir, tt.listen, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if renewed := string(before) != string(read(t, s.Cert(Server))); renewed != tt.renewed {
			t.Errorf("%s: renewed is %t", tt.reason, renewed)
		}
		cert, err := s.read(Server)
		if err != nil {
			t.Fatal(err)
		}
		ca, err := s.authority()
		if err != nil {
			t.Fatal(err)
		}
		for _, host := range []string{tt.listen.String(), "127.0.0.1", "10.0.0.1", "localhost", "kubernetes.default.svc"} {
			if err := cert.VerifyHostname(host); err != nil {
				t.Errorf("%s: %v", tt.reason, err)
			}
		}
		if err := cert.CheckSignatureFrom(ca.cert); err != nil {
			t.Errorf("%s: %v", tt.reason, err)
		}
		if _, err := tls.LoadX509KeyPair(s.Cert(Server), s.Key(Server)); err != nil {
			t.Errorf("%s: %v", tt.reason, err)
		}
	}
}

func TestEnsureKubelet(t *testing.T) {
	s, err := Ensure(filepath.Join(t.TempDir(), "pki"), loopback, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	name, err := s.EnsureKubelet("node1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	before := string(read(t, s.Cert(name)))
	cert, err := s.read(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := cert.Subject.String(); got != "CN=system:node:node1,O=system:nodes" {
		t.Errorf("the Node authorizer does not know %s", got)
	}
	if _, err := s.EnsureKubelet("node1", time.Now()); err != nil || string(read(t, s.Cert(name))) != before {
		t.Errorf("the second call issued another certificate, or failed: %v", err)
	}
	if _, err := s.Kubeconfig(name, "https://192.0.2.1:443"); err != nil {
		t.Error(err)
	}
}

// TestHandshake connects with a kubeconfig's credentials to a server that uses
// the server's certificate: the way the API server and its clients meet.
func TestHandshake(t *testing.T) {
	s, err := Ensure(filepath.Join(t.TempDir(), "pki"), loopback, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(read(t, s.Cert(CA)))
	serving, err := tls.LoadX509KeyPair(s.Cert(Server), s.Key(Server))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ reason, user, name, group string }{
		{"the administrator may do everything", Admin, "devcluster-admin", "system:masters"},
		{"the controller manager has the name that RBAC's default roles expect", ControllerManager, "system:kube-controller-manager", ""},
		{"the scheduler has the name that RBAC's default roles expect", Scheduler, "system:kube-scheduler", ""},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			data, err := s.Kubeconfig(tt.user, "https://127.0.0.1:1")
			if err != nil {
				t.Fatal(err)
			}
			config, err := clientcmd.RESTConfigFromKubeConfig(data)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := tls.X509KeyPair(config.CertData, config.KeyData)
			if err != nil {
				t.Fatal(err)
			}
			server, client := net.Pipe()
			go func() {
				c := tls.Client(client, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", Certificates: []tls.Certificate{cert}})
				_ = c.Handshake()
				_, _ = io.Copy(io.Discard, c)
			}()
			c := tls.Server(server, &tls.Config{ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{serving}})
			defer c.Close()
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			subject := c.ConnectionState().PeerCertificates[0].Subject
			group := ""
			if len(subject.Organization) > 0 {
				group = subject.Organization[0]
			}
			if subject.CommonName != tt.name || group != tt.group {
				t.Errorf("subject %s", subject)
			}
		})
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
