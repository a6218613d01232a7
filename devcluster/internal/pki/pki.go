// Package pki makes the certificates, keys and kubeconfigs of one dev cluster.
//
// Everything is self-signed and lives in one folder below the data folder, so
// that a restart on a kept data folder trusts what it trusted before.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Users that get a client certificate and so can get a kubeconfig.
const (
	Admin             = "admin"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	FakeNodes         = "fake-nodes"
)

// Names of the remaining certificates. Every name stands for two files,
// <name>.crt and <name>.key.
const (
	CA               = "ca"
	Server           = "kube-apiserver"
	FrontProxyCA     = "front-proxy-ca"
	FrontProxyClient = "front-proxy-client"
	// ServiceAccount is a bare key pair, <name>.key and <name>.pub.
	ServiceAccount = "service-account"
)

// FrontProxyCommonName is the name the API server presents to aggregated API servers.
const FrontProxyCommonName = "front-proxy-client"

// validity is generous because no one renews a dev cluster's certificates.
const validity = 10 * 365 * 24 * time.Hour

// serviceAddress is the address of the service "kubernetes", the first one of the
// range that kube-apiserver is given. Programs in pods know it, so the server's
// certificate holds it.
func serviceAddress() net.IP { return net.IPv4(10, 0, 0, 1) }

// Store is a folder that holds a complete set of certificates and keys.
type Store struct{ dir string }

// Cert returns the path of the named certificate.
func (s Store) Cert(name string) string { return filepath.Join(s.dir, name+".crt") }

// Key returns the path of the named private key.
func (s Store) Key(name string) string { return filepath.Join(s.dir, name+".key") }

// PublicKey returns the path of the named public key (ServiceAccount only).
func (s Store) PublicKey(name string) string { return filepath.Join(s.dir, name+".pub") }

// Ensure returns the store in dir and fills it first when dir does not exist.
// The folder appears by a rename, so it is complete whenever it exists. The server's
// certificate is for the address on which it listens; it is issued again when an
// earlier start listened elsewhere.
func Ensure(dir string, listen net.IP, now time.Time) (Store, error) {
	if _, err := os.Stat(dir); err == nil {
		s := Store{dir}
		return s, s.ensureServing(listen, now)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return Store{}, fmt.Errorf("cannot check the certificate folder: %w", err)
	}
	tmp := dir + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return Store{}, fmt.Errorf("cannot remove half-written certificates: %w", err)
	}
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return Store{}, fmt.Errorf("cannot create the certificate folder: %w", err)
	}
	if err := fill(Store{tmp}, listen, now); err != nil {
		return Store{}, err
	}
	if err := os.Rename(tmp, dir); err != nil {
		return Store{}, fmt.Errorf("cannot move the certificates into place: %w", err)
	}
	return Store{dir}, nil
}

// Kubeconfig returns a kubeconfig with everything inline that authenticates as
// one of the users against server, for example "https://127.0.0.1:6443".
func (s Store) Kubeconfig(user, server string) ([]byte, error) {
	const name = "devcluster"
	data := map[string][]byte{}
	for _, path := range []string{s.Cert(CA), s.Cert(user), s.Key(user)} {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read credentials of %s: %w", user, err)
		}
		data[path] = b
	}
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: data[s.Cert(CA)]}
	cfg.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: data[s.Cert(user)], ClientKeyData: data[s.Key(user)]}
	cfg.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	cfg.CurrentContext = name
	b, err := clientcmd.Write(*cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the kubeconfig of %s: %w", user, err)
	}
	return b, nil
}

// EnsureKubelet issues the client certificate of the kubelet of a node, unless there
// is one, and returns its name in the store.
func (s Store) EnsureKubelet(node string, now time.Time) (string, error) {
	name := "kubelet-" + node
	if _, err := os.Stat(s.Key(name)); err == nil {
		return name, nil
	}
	ca, err := s.authority()
	if err != nil {
		return "", err
	}
	// The name and the group are those that the Node authorizer knows nodes by.
	_, err = s.issue(ca, name, client("system:node:"+node, "system:nodes"), now)
	return name, err
}

// ensureServing issues the server's certificate again if it is not for the address.
func (s Store) ensureServing(listen net.IP, now time.Time) error {
	cert, err := s.read(Server)
	if err != nil {
		return err
	}
	if cert.VerifyHostname(listen.String()) == nil && cert.VerifyHostname(serviceAddress().String()) == nil {
		return nil
	}
	ca, err := s.authority()
	if err != nil {
		return err
	}
	_, err = s.issue(ca, Server, serving(listen), now)
	return err
}

// authority reads the cluster's authority, which signs certificates.
func (s Store) authority() (*signer, error) {
	cert, err := s.read(CA)
	if err != nil {
		return nil, err
	}
	data, err := readPEM(s.Key(CA))
	if err != nil {
		return nil, fmt.Errorf("cannot read the key of %s: %w", CA, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read the key of %s: %w", CA, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("cannot read the key of %s: it is of type %T", CA, parsed)
	}
	return &signer{cert: cert, key: key}, nil
}

// readPEM reads the first block of a PEM file.
func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err //nolint:wrapcheck // the caller says whose it is
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("it is not in PEM form")
	}
	return block.Bytes, nil
}

// read reads a certificate.
func (s Store) read(name string) (*x509.Certificate, error) {
	data, err := readPEM(s.Cert(name))
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate of %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate of %s: %w", name, err)
	}
	return cert, nil
}

// fill writes the whole set into an empty store.
func fill(s Store, listen net.IP, now time.Time) error {
	ca, err := s.issue(nil, CA, authority(CA), now)
	if err != nil {
		return err
	}
	// Aggregation has its own authority: with the cluster's, any client
	// certificate could impersonate any user through request headers.
	front, err := s.issue(nil, FrontProxyCA, authority(FrontProxyCA), now)
	if err != nil {
		return err
	}
	for _, leaf := range []struct {
		by   *signer
		name string
		tmpl *x509.Certificate
	}{
		{ca, Server, serving(listen)},
		{front, FrontProxyClient, client(FrontProxyCommonName)},
		{ca, Admin, client("devcluster-admin", "system:masters")},
		{ca, ControllerManager, client("system:kube-controller-manager")},
		{ca, Scheduler, client("system:kube-scheduler")},
		// One identity plays every kubelet, which the Node authorizer would
		// not allow; so it is in the group that may do everything.
		{ca, FakeNodes, client("devcluster-fake-nodes", "system:masters")},
	} {
		if _, err := s.issue(leaf.by, leaf.name, leaf.tmpl, now); err != nil {
			return err
		}
	}
	return s.serviceAccountKeys()
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature,
	}
}

func client(user string, groups ...string) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
}

// serving is for the loopback interface, the address on which the server listens, and
// the one that pods know.
func serving(listen net.IP) *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: Server},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{"localhost", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, serviceAddress(), listen},
	}
}

// signer is a certificate together with the key that can sign others with it.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue completes the template, signs it (with itself when by is nil) and writes both files.
func (s Store) issue(by *signer, name string, tmpl *x509.Certificate, now time.Time) (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot generate the key of %s: %w", name, err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("cannot choose the serial number of %s: %w", name, err)
	}
	tmpl.SerialNumber = serial
	// An hour back, for clocks that are set back a little between runs.
	tmpl.NotBefore, tmpl.NotAfter = now.Add(-time.Hour), now.Add(validity)
	if by == nil {
		by = &signer{cert: tmpl, key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return nil, fmt.Errorf("cannot sign the certificate of %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot parse the certificate of %s: %w", name, err)
	}
	if err := writePEM(s.Cert(name), "CERTIFICATE", der); err != nil {
		return nil, err
	}
	return &signer{cert: cert, key: key}, writeKey(s.Key(name), key)
}

// serviceAccountKeys writes the key that signs service account tokens.
func (s Store) serviceAccountKeys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("cannot generate the service account key: %w", err)
	}
	pub, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("cannot encode the service account key: %w", err)
	}
	if err := writePEM(s.PublicKey(ServiceAccount), "PUBLIC KEY", pub); err != nil {
		return err
	}
	return writeKey(s.Key(ServiceAccount), key)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("cannot encode %s: %w", filepath.Base(path), err)
	}
	return writePEM(path, "PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("cannot write %s: %w", filepath.Base(path), err)
	}
	return nil
}
