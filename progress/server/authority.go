package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The keys of the Secret: the certificates of the authorities, and their private keys in the same
// order. The first ones are the oldest.
const (
	caCertsKey = "ca.crt"
	caKeysKey  = "ca.key"
)

const (
	// authorityLife is how long an authority is valid. A pod keeps those that it was created with,
	// so the next one is added after half of that time: pods may live for that long.
	authorityLife = 10 * 365 * 24 * time.Hour
	// authorityRest is how long an authority still must be valid to sign a certificate.
	authorityRest = 60 * 24 * time.Hour
	// servingLife is how long a serving certificate is valid. It is renewed at half of that.
	servingLife = 30 * 24 * time.Hour
	// backdated is how far behind the clock of a node may be.
	backdated = 24 * time.Hour
)

// authority is a certificate authority.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// authorities are kept in a Secret, which all replicas of the operator share. Each makes serving
// certificates of its own by them, and stores those nowhere.
type authorities struct {
	client client.Client
	// live reads the Secret from the API server itself: secrets are not cached.
	live   client.Reader
	secret types.NamespacedName
	host   string
	now    func() time.Time
	log    logr.Logger

	mu      sync.RWMutex
	list    []authority
	bundle  string
	serving *tls.Certificate
	renewal time.Time
}

// CABundle is the certificates by which pods know the server.
func (a *authorities) CABundle() string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.bundle
}

// pool is the same for a client of this process.
func (a *authorities) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM([]byte(a.CABundle()))
	return p
}

// certificate is a tls.Config.GetCertificate.
func (a *authorities) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.serving, nil
}

// sync reads the Secret, and renews what is due. Of several replicas that do so at the same
// time, one succeeds, and the others read what it wrote.
func (a *authorities) sync(ctx context.Context) error {
	for range 5 {
		err := a.syncOnce(ctx)
		if apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot keep the certificate authority in the Secret %s: %w", a.secret, err)
		}
		return nil
	}
	return fmt.Errorf("cannot keep the certificate authority in the Secret %s: others write it again and again", a.secret)
}

func (a *authorities) syncOnce(ctx context.Context) error {
	secret := &corev1.Secret{}
	err := a.live.Get(ctx, a.secret, secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return err //nolint:wrapcheck // its kind decides what follows
	}
	stored := parse(secret.Data)
	if len(stored) == 0 && len(secret.Data) > 0 {
		a.log.Info("The Secret of the progress server holds nothing that can be used; it is written again", "secret", a.secret.String())
	}
	a.mu.RLock()
	known := a.list
	a.mu.RUnlock()
	if len(stored) == 0 {
		stored = known // It was emptied or deleted, but the pods that run still know these.
	}
	wanted, err := renewed(stored, a.now())
	if err != nil {
		return err
	}
	certs, keys, err := encode(wanted)
	if err != nil {
		return err
	}
	if missing || !bytes.Equal(secret.Data[caCertsKey], certs) || !bytes.Equal(secret.Data[caKeysKey], keys) {
		if err := a.store(ctx, secret, missing, certs, keys); err != nil {
			return err
		}
	}
	return a.adopt(wanted, string(certs))
}

// store writes the Secret, on condition that it is as it was read.
func (a *authorities) store(ctx context.Context, secret *corev1.Secret, missing bool, certs, keys []byte) error {
	if !missing {
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		secret.Data[caCertsKey], secret.Data[caKeysKey] = certs, keys
		return a.client.Update(ctx, secret) //nolint:wrapcheck // its kind decides what follows
	}
	return a.client.Create(ctx, &corev1.Secret{ //nolint:wrapcheck // its kind decides what follows
		ObjectMeta: metav1.ObjectMeta{Namespace: a.secret.Namespace, Name: a.secret.Name},
		Data:       map[string][]byte{caCertsKey: certs, caKeysKey: keys},
	})
}

// adopt uses authorities that are stored.
func (a *authorities) adopt(list []authority, bundle string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if bundle == a.bundle && now.Before(a.renewal) {
		return nil
	}
	signer := signerOf(list, now)
	serving, err := issue(signer, a.host, now)
	if err != nil {
		return err
	}
	a.list, a.bundle, a.serving = list, bundle, serving
	a.renewal = now.Add(serving.Leaf.NotAfter.Sub(now) / 2)
	a.log.Info("Made a serving certificate for progress reports", "host", a.host, "until", serving.Leaf.NotAfter, "authorities", len(list))
	return nil
}

// renewed returns the authorities that are to be there: without those that have expired, and
// with the next one in time.
func renewed(list []authority, now time.Time) ([]authority, error) {
	list = slices.DeleteFunc(slices.Clone(list), func(a authority) bool { return !a.cert.NotAfter.After(now) })
	slices.SortStableFunc(list, func(a, b authority) int { return a.cert.NotAfter.Compare(b.cert.NotAfter) })
	if n := len(list); n > 0 && list[n-1].cert.NotAfter.Sub(now) > authorityLife/2 {
		return list, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	name := fmt.Sprintf("jobkit-progress-ca-%d", now.Unix())
	made, err := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-backdated), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}, key.Public(), nil, key)
	if err != nil {
		return nil, err
	}
	return append(list, authority{cert: made, key: key}), nil
}

// signerOf is the authority that signs: the oldest that is valid for long enough, because the
// pods that run may know only that one.
func signerOf(list []authority, now time.Time) authority {
	for _, a := range list {
		if a.cert.NotAfter.Sub(now) > authorityRest {
			return a
		}
	}
	return list[len(list)-1]
}

// issue makes a serving certificate.
func issue(by authority, host string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("cannot make a key: %w", err)
	}
	end := now.Add(servingLife)
	if end.After(by.cert.NotAfter) {
		end = by.cert.NotAfter
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "jobkit-progress"}, NotBefore: now.Add(-backdated), NotAfter: end,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	leaf, err := sign(template, key.Public(), by.cert, by.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

// sign makes a certificate; without a parent it signs itself.
func sign(template *x509.Certificate, public any, parent *x509.Certificate, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("cannot make a certificate: %w", err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("cannot read the certificate that was made: %w", err)
	}
	return made, nil
}

// encode writes authorities as the Secret has them.
func encode(list []authority) (certs, keys []byte, err error) {
	for _, a := range list {
		c, err := cert.EncodeCertificates(a.cert)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot write a certificate: %w", err)
		}
		k, err := keyutil.MarshalPrivateKeyToPEM(a.key)
		if err != nil {
			return nil, nil, fmt.Errorf("cannot write a key: %w", err)
		}
		certs, keys = append(certs, c...), append(keys, k...)
	}
	return certs, keys, nil
}

// parse reads the authorities of a Secret that can be used. Each key belongs to the certificate
// that has its public key.
func parse(data map[string][]byte) []authority {
	certs, err := cert.ParseCertsPEM(data[caCertsKey])
	if err != nil {
		return nil
	}
	var keys []crypto.Signer
	for rest := data[caKeysKey]; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		key, err := keyutil.ParsePrivateKeyPEM(pem.EncodeToMemory(block))
		if signer, ok := key.(crypto.Signer); err == nil && ok {
			keys = append(keys, signer)
		}
	}
	var list []authority
	for _, c := range certs {
		i := slices.IndexFunc(keys, func(k crypto.Signer) bool { return samePublic(k.Public(), c.PublicKey) })
		if i >= 0 && c.IsCA {
			list = append(list, authority{cert: c, key: keys[i]})
		}
	}
	return list
}

func samePublic(a, b any) bool {
	known, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && known.Equal(b)
}
