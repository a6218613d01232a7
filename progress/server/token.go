package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jobkit/jobkit/internal/progress/protocol"
)

const (
	// keysEvery is how often the keys are read at most, whatever tokens come: a storm of bad ones
	// costs the API server nothing.
	keysEvery = 10 * time.Second
	// keysLife is after what time they are read again, so that one that was withdrawn is no longer
	// used.
	keysLife = 10 * time.Minute
	// keysTimeout is how long the API server may take.
	keysTimeout = 3 * time.Second
	// leeway is how far the clocks of the API server and of this process may differ.
	leeway = 30 * time.Second
	// maxToken is how long a token is at most. Those of Kubernetes have about 1,200 bytes.
	maxToken = 8 << 10
)

// algorithms are those by which API servers, and external signers of theirs, sign tokens.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.ES256, jose.ES384, jose.ES512}
}

// keySet is what the API server says about the tokens that it signs.
type keySet struct {
	issuer string
	keys   jose.JSONWebKeySet
}

// tokens verifies tokens by the keys of the API server, without a request for each.
type tokens struct {
	// fetch reads from the API server.
	fetch func(context.Context) (*keySet, error)
	now   func() time.Time

	mu    sync.Mutex
	known *keySet
	// tried is when they were read last, or when that failed; read is when it succeeded.
	tried, read time.Time
}

// podClaims are the claims of a token that is bound to a pod.
type podClaims struct {
	Kubernetes struct {
		Namespace string `json:"namespace"`
		Pod       *struct {
			Name string    `json:"name"`
			UID  types.UID `json:"uid"`
		} `json:"pod"`
	} `json:"kubernetes.io"` //nolint:tagliatelle // the name of the claim
}

// sender is who a token is for: a pod of a job, by what the API server signed.
type sender struct {
	job     types.UID
	pod     types.NamespacedName
	podUID  types.UID
	expires time.Time
}

// refusedError says why a report is refused.
type refusedError struct {
	reason  refusal
	message string
}

// Error implements error.
func (e *refusedError) Error() string { return e.message }

func refuse(reason refusal, format string, args ...any) *refusedError {
	return &refusedError{reason: reason, message: fmt.Sprintf(format, args...)}
}

// verify returns who sent a token for a job's address.
func (t *tokens) verify(ctx context.Context, raw string, at protocol.Address) (sender, *refusedError) {
	if len(raw) > maxToken {
		return sender{}, refuse(refusedBadToken, "the token is longer than %d bytes", maxToken)
	}
	token, err := jwt.ParseSigned(raw, algorithms())
	if err != nil || len(token.Headers) != 1 {
		return sender{}, refuse(refusedBadToken, "the token is not a service account token: read it from the file that %s names", protocol.EnvToken)
	}
	var claims jwt.Claims
	var pod podClaims
	issuer, problem := t.claims(ctx, token, &claims, &pod)
	if problem != nil {
		return sender{}, problem
	}
	err = claims.ValidateWithLeeway(jwt.Expected{Issuer: issuer, Time: t.now()}, leeway)
	switch {
	case claims.Expiry == nil, errors.Is(err, jwt.ErrExpired):
		return sender{}, refuse(refusedExpired, "the token has expired: read the file that %s names again", protocol.EnvToken)
	case err != nil:
		return sender{}, refuse(refusedBadToken, "the token is not valid: %v", err)
	}
	out := sender{expires: claims.Expiry.Time()}
	for _, a := range claims.Audience {
		if uid := at.UIDOf(a); uid != "" {
			out.job = uid
		}
	}
	if out.job == "" {
		return sender{}, refuse(refusedAudience, "the token is not for this job: its audience is %q", []string(claims.Audience))
	}
	if pod.Kubernetes.Pod == nil || pod.Kubernetes.Namespace != at.Namespace {
		return sender{}, refuse(refusedPod, "the token is not bound to a pod in namespace %s", at.Namespace)
	}
	out.pod = types.NamespacedName{Namespace: at.Namespace, Name: pod.Kubernetes.Pod.Name}
	out.podUID = pod.Kubernetes.Pod.UID
	return out, nil
}

// claims verifies the signature of a token and reads its claims. It returns the issuer that is
// expected.
func (t *tokens) claims(ctx context.Context, token *jwt.JSONWebToken, into ...any) (string, *refusedError) {
	id := token.Headers[0].KeyID
	set := t.keysFor(ctx, id)
	if set == nil {
		return "", refuse(refusedUnavailable, "the keys of the API server could not be read yet: try again")
	}
	for _, key := range set.keys.Key(id) {
		if err := token.Claims(key.Key, into...); err == nil {
			return set.issuer, nil
		}
	}
	return "", refuse(refusedBadToken, "the token was not signed by the API server of this cluster")
}

// keysFor returns the keys, read again if a key is not among them and they were not read a moment
// ago. While they are read, other requests go on with the known ones.
func (t *tokens) keysFor(ctx context.Context, id string) *keySet {
	t.mu.Lock()
	known := t.known
	if known != nil && len(known.keys.Key(id)) > 0 || !t.tried.IsZero() && t.now().Sub(t.tried) < keysEvery {
		t.mu.Unlock()
		return known
	}
	t.tried = t.now()
	t.mu.Unlock()
	// What is read is of use for all, so it is read even if this client goes away.
	if err := t.refresh(context.WithoutCancel(ctx)); err != nil {
		return known
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known
}

// refresh reads the keys.
func (t *tokens) refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	set, err := t.fetch(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tried = t.now()
	if err != nil {
		return err
	}
	t.known, t.read = set, t.tried
	return nil
}

// due reports whether the keys are to be read again, whatever tokens come.
func (t *tokens) due() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.known == nil || t.now().Sub(t.read) >= keysLife
}

// newFetch returns a function that reads the keys with the operator's own client.
func newFetch(mgr ctrl.Manager) (func(context.Context) (*keySet, error), error) {
	config := rest.CopyConfig(mgr.GetConfig())
	config.GroupVersion = &schema.GroupVersion{}
	config.NegotiatedSerializer = serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion()
	c, err := rest.UnversionedRESTClientForConfigAndClient(config, mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for the keys of the API server: %w", err)
	}
	get := func(ctx context.Context, path string, into any) error {
		text, err := c.Get().AbsPath(path).SetHeader("Accept", "application/json, */*").DoRaw(ctx)
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", path, err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			return fmt.Errorf("cannot read %s: %w", path, err)
		}
		return nil
	}
	return func(ctx context.Context) (*keySet, error) {
		var about struct {
			Issuer string `json:"issuer"`
		}
		set := &keySet{}
		if err := errors.Join(get(ctx, "/.well-known/openid-configuration", &about), get(ctx, "/openid/v1/jwks", &set.keys)); err != nil {
			return nil, err
		}
		if set.issuer = about.Issuer; set.issuer == "" {
			return nil, errors.New("/.well-known/openid-configuration names no issuer")
		}
		return set, nil
	}, nil
}
