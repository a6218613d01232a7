package operator

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// The API server is asked again about a token that it allowed, or refused, after this time.
	allowedFor = time.Minute
	refusedFor = 10 * time.Second
	// regularFor is how long a client that was allowed is asked about before others.
	regularFor = time.Hour
	// rememberedTokens is about how many tokens something is remembered.
	rememberedTokens = 256
	// Whoever reaches the port can have the API server asked. It is asked this many times a
	// second at most, or many times after a pause.
	asksPerSecond, asksAtOnce = 5, 20
	// askTimeout is how long one question may take.
	askTimeout = 10 * time.Second
)

// decision is what the API server says of a request: a status code of HTTP.
type decision int

// guard lets only those requests pass whose sender the API server knows, and allows to do the same
// with the same path there. (The filter of controller-runtime does this as well, and makes every
// program depend on k8s.io/apiserver.)
type guard struct {
	client  client.Client
	known   *cache.LRUExpireCache
	limiter flowcontrol.PassiveRateLimiter
	// regulars were allowed within the last hour. renewals limits the questions about them alone, so that others,
	// who may guess tokens without end, do not keep them waiting.
	regulars *cache.LRUExpireCache
	renewals flowcontrol.PassiveRateLimiter
	log      logr.Logger
	next     http.Handler
}

// authenticated is the filter of a metrics server. The program needs the verb create on
// tokenreviews of authentication.k8s.io and on subjectaccessreviews of authorization.k8s.io.
func authenticated(config *rest.Config, http *http.Client) (server.Filter, error) {
	c, err := client.New(config, client.Options{HTTPClient: http, Scheme: scheme.Scheme})
	if err != nil {
		return nil, fmt.Errorf("cannot make a client that asks who reads the metrics: %w", err)
	}
	return newGuard(c), nil
}

func newGuard(c client.Client) server.Filter {
	return func(log logr.Logger, next http.Handler) (http.Handler, error) {
		return &guard{
			client: c, known: cache.NewLRUExpireCache(rememberedTokens), log: log, next: next,
			limiter:  flowcontrol.NewTokenBucketPassiveRateLimiter(asksPerSecond, asksAtOnce),
			regulars: cache.NewLRUExpireCache(rememberedTokens),
			renewals: flowcontrol.NewTokenBucketPassiveRateLimiter(asksPerSecond, asksAtOnce),
		}, nil
	}
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if v := g.decision(r); v != http.StatusOK {
		http.Error(w, http.StatusText(int(v)), int(v))
		return
	}
	g.next.ServeHTTP(w, r)
}

// decision decides about a request, from memory if possible.
func (g *guard) decision(r *http.Request) decision {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return http.StatusUnauthorized
	}
	verb, path := strings.ToLower(r.Method), r.URL.Path
	key := sha256.Sum256([]byte(verb + " " + path + " " + token))
	if v, ok := g.known.Get(key); ok {
		if v, ok := v.(decision); ok {
			return v
		}
	}
	limiter := g.limiter
	if _, regular := g.regulars.Get(key); regular {
		limiter = g.renewals
	}
	if !limiter.TryAccept() {
		return http.StatusTooManyRequests
	}
	ctx, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	v, err := g.ask(ctx, token, verb, path)
	if err != nil {
		g.log.Error(err, "Cannot find out who reads the metrics")
		return http.StatusInternalServerError
	}
	keep := refusedFor
	if v == http.StatusOK {
		keep = allowedFor
		g.regulars.Add(key, struct{}{}, regularFor)
	} else {
		g.regulars.Remove(key)
	}
	g.known.Add(key, v, keep)
	return v
}

// ask asks the API server who has a token, and what they may do.
func (g *guard) ask(ctx context.Context, token, verb, path string) (decision, error) {
	who := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	if err := g.client.Create(ctx, who); err != nil {
		return 0, fmt.Errorf("cannot create a TokenReview: %w", err)
	}
	if !who.Status.Authenticated {
		if why := who.Status.Error; why != "" {
			g.log.V(1).Info("The API server refuses the token of a client that reads the metrics", "reason", why)
		}
		return http.StatusUnauthorized, nil
	}
	user := who.Status.User
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for k, v := range user.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	may := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb},
	}}
	if err := g.client.Create(ctx, may); err != nil {
		return 0, fmt.Errorf("cannot create a SubjectAccessReview: %w", err)
	}
	if why := may.Status.EvaluationError; why != "" && !may.Status.Allowed {
		g.log.Error(errors.New(why), "The API server could not decide whether a client may read the metrics", "user", user.Username)
	}
	if !may.Status.Allowed {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}
