//go:build live

package live

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is one that a test builds and runs.
type program struct {
	name string
	// module is the folder of the module that has it, from here, and path its package.
	module, path string
	// flags are the linker's.
	flags string
}

// stripped leaves out what only debuggers need.
const stripped = "-s -w"

// ofKubernetes are the flags of a program that is made of a version of Kubernetes.
func ofKubernetes(minor, patch int) string {
	return fmt.Sprintf(stripped+" -X %[1]s.gitVersion=v1.%[2]d.%[3]d -X %[1]s.gitMajor=1 -X %[1]s.gitMinor=%[2]d", "k8s.io/component-base/version", minor, patch)
}

// build builds a program, and returns the path of its binary. The go command does nothing if
// that is up to date.
func (p program) build(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(cache, "jobkit", "live", p.name)
	began := time.Now()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags", p.flags, "-o", out, p.path)
	cmd.Dir = p.module
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if p.module != root { // what is made of Kubernetes shares what the dev control plane has compiled
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cannot build %s: %v\n%s", p.name, err, said)
	}
	t.Logf("%s is built after %s", p.name, time.Since(began).Round(time.Second))
	return out
}

// source is the folder of a module that one of ours requires.
func source(t *testing.T, module, path string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", path)
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("cannot find %s: %v", path, err)
	}
	version, dir, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	t.Logf("%s is %s", path, version)
	return dir
}

// run runs a program until the test is over. Its log is kept if the test fails.
func (w *world) run(t *testing.T, name, binary string, args ...string) {
	t.Helper()
	path := filepath.Join(w.logs, name+".log")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.kubeconfig)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("cannot start %s: %v", name, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		select {
		case err := <-ended:
			t.Errorf("%s ended by itself: %v\n%s", name, err, tail(path))
			return
		default:
		}
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			t.Logf("%s ended: %v", name, err)
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			t.Logf("%s was killed: %v", name, <-ended)
		}
		_ = out.Close()
	})
}

// tail is the end of a log.
func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-3000):])
}

// answers waits until a program answers with 200.
func answers(t *testing.T, url string) {
	t.Helper()
	eventually(t, url+" answers", func() error {
		response, err := http.Get(url) //nolint:gosec // one of ours, on this machine
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
}

// freePort is one that no one listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// certificate makes one for this machine, which signs itself, and returns the folder with tls.crt
// and tls.key, and the former.
func certificate(t *testing.T) (string, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "webhooks"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, text := range map[string][]byte{"tls.crt": public, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir, public
}

// write writes a file that the test needs.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(fmt.Errorf("cannot write %s: %w", name, err))
	}
	return path
}
