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

func TestEnsureKeepsWhatIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	first, err := Ensure(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	before := read(t, first.Cert(CA))
	second, err := Ensure(dir, time.Now())
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
	s, err := Ensure(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	read(t, s.Key(ServiceAccount))
	read(t, s.PublicKey(ServiceAccount))
}

// TestHandshake connects with a kubeconfig's credentials to a server that uses
// the server's certificate: the way the API server and its clients meet.
func TestHandshake(t *testing.T) {
	s, err := Ensure(filepath.Join(t.TempDir(), "pki"), time.Now())
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
