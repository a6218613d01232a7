// Package gate serves the page in a cluster, to many people, of whom each sees what the API
// server lets them see: it has no rights of its own, and asks with the token of the caller.
// It changes nothing: no request that could change something is answered at all.
package gate

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/jobkit/jobkit/internal/page"
)

const (
	// maxSessions is for how many tokens jobs are held at once, and maxOfOne for how many of
	// one user.
	maxSessions, maxOfOne = 64, 3
	// Whoever reaches the port can have the API server asked who they are: so many times a
	// second at most, or so many times after a pause.
	asksPerSecond, asksAtOnce = 5, 20
	// A token that was accepted has a limit of its own for a while, so that its owner is not kept out by
	// others, who may guess tokens without end.
	regularPerSecond, regularAtOnce, regularFor, regulars = 1, 5, time.Hour, 4 * maxSessions
	// spared is how long a session with an open page is left alone by newer ones of its user.
	spared = time.Minute
	// refusedFor is after which time the API server is asked again about a token that it refused.
	refusedFor = 10 * time.Second
	// idleFor is how long the jobs of a caller are held who has no page open.
	idleFor = 2 * time.Minute
	// askTimeout is how long the questions about one token may take.
	askTimeout = 20 * time.Second
	// maxToken is the length of the longest token.
	maxToken = 16 << 10
)

// Options say what to serve.
type Options struct {
	// Config is where the API server is, and how to know it. Its credentials are not used.
	Config *rest.Config
	// Namespace is the only one that is shown. Default: empty, those that the caller may see.
	Namespace string
	// Kinds are those that are shown.
	Kinds []schema.GroupVersionKind
	// Cluster says in a few words which cluster it is.
	Cluster string
	// Log says what goes wrong. It never has a token.
	Log logr.Logger
	// Recheck is after which time the API server is asked again who a caller is and what they
	// may see. Default: a minute.
	Recheck time.Duration
}

// Gate is the page of a cluster. It is an http.Handler.
type Gate struct {
	options Options
	config  *rest.Config
	frame   http.Handler
	limiter flowcontrol.PassiveRateLimiter
	// regulars are the limits of tokens that were accepted.
	regulars *cache.LRUExpireCache
	// life ends with the Gate.
	life context.Context //nolint:containedctx // what it holds outlives the request that began it
	end  context.CancelFunc

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]*session
	running  sync.WaitGroup
}

// New makes a Gate. It lives until ctx ends, or Close ends it.
func New(ctx context.Context, o Options) (*Gate, error) {
	if o.Recheck == 0 {
		o.Recheck = time.Minute
	}
	frame, err := page.Frame()
	if err != nil {
		return nil, err
	}
	g := &Gate{
		options: o, config: rest.AnonymousClientConfig(o.Config), frame: frame, sessions: map[[sha256.Size]byte]*session{},
		limiter: flowcontrol.NewTokenBucketPassiveRateLimiter(asksPerSecond, asksAtOnce), regulars: cache.NewLRUExpireCache(regulars),
	}
	g.config.QPS = -1 // the API server limits its clients itself
	g.life, g.end = context.WithCancel(ctx)
	return g, nil
}

// Close ends all streams, and forgets all tokens.
func (g *Gate) Close() {
	g.end()
	g.running.Wait()
}

// refusal is why a caller sees nothing.
type refusal struct {
	code int
	why  string
}

// ServeHTTP implements http.Handler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page.Protect(w.Header())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the page in the cluster changes nothing: use jobkit or kubectl", http.StatusMethodNotAllowed)
		return
	}
	if !strings.HasPrefix(r.URL.Path, "/api/") {
		g.frame.ServeHTTP(w, r)
		return
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		http.Error(w, "requests of other sites are refused", http.StatusBadRequest)
		return
	}
	token := tokenOf(r)
	if token == "" {
		refuse(w, &refusal{http.StatusUnauthorized, "the request has no bearer token"})
		return
	}
	asked, err := namespacesOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s, no := g.enter(r.Context(), token, asked)
	if no != nil {
		refuse(w, no)
		return
	}
	defer g.leave(s)
	// What is shown ends when the session does.
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)() //nolint:contextcheck // the session's
	s.reads.ServeHTTP(w, r.WithContext(ctx))
}

func refuse(w http.ResponseWriter, no *refusal) {
	if no.code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="jobkit"`)
	}
	http.Error(w, no.why, no.code)
}

// tokenOf is the bearer token of a request. A reverse proxy sets Authorization; the API
// server's proxy takes that header for itself, so the page sends another one.
func tokenOf(r *http.Request) string {
	token := r.Header.Get("Jobkit-Token")
	if scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		token = rest
	}
	if token = strings.TrimSpace(token); len(token) > maxToken || strings.ContainsAny(token, " \t\r\n") {
		return ""
	}
	return token
}

// enter returns the session of a token, which it makes if there is none.
func (g *Gate) enter(ctx context.Context, token string, asked []string) (*session, *refusal) {
	key := sha256.Sum256([]byte(token + " " + strings.Join(asked, ",")))
	g.mu.Lock()
	s := g.sessions[key]
	if s == nil {
		if !g.limiterOf(token).TryAccept() {
			g.mu.Unlock()
			return nil, &refusal{http.StatusTooManyRequests, "too many people come at once: try again in some seconds"}
		}
		s = g.begin(key, token, asked)
	}
	s.open++
	g.mu.Unlock()
	select {
	case <-s.ready:
	case <-ctx.Done():
		g.leave(s)
		return nil, &refusal{http.StatusServiceUnavailable, "the request was given up"}
	}
	if s.no != nil {
		g.leave(s)
		return nil, s.no
	}
	return s, nil
}

// limiterOf limits how often the API server is asked about a token.
func (g *Gate) limiterOf(token string) flowcontrol.PassiveRateLimiter {
	if own, ok := g.regulars.Get(sha256.Sum256([]byte(token))); ok {
		if own, ok := own.(flowcontrol.PassiveRateLimiter); ok {
			return own
		}
	}
	return g.limiter
}

// remember gives a token that was accepted a limit of its own.
func (g *Gate) remember(token string) {
	key, own := sha256.Sum256([]byte(token)), g.limiterOf(token)
	if own == g.limiter {
		own = flowcontrol.NewTokenBucketPassiveRateLimiter(regularPerSecond, regularAtOnce)
	}
	g.regulars.Add(key, own, regularFor)
}

// leave ends the use of a session.
func (g *Gate) leave(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.open--
	s.used = time.Now()
}

// begin begins a session; g.mu is held.
func (g *Gate) begin(key [sha256.Size]byte, token string, asked []string) *session {
	s := &session{ready: make(chan struct{}), began: time.Now(), used: time.Now()}
	s.ctx, s.cancel = context.WithCancel(g.life)
	g.sessions[key] = s
	config := rest.CopyConfig(g.config)
	config.BearerToken = token
	g.running.Go(func() {
		defer g.forget(key, s)
		defer s.cancel()
		who, no := g.open(s, config, asked)
		if no == nil {
			no = g.admit(s, who.user)
		}
		s.no = no
		close(s.ready)
		if no != nil {
			pause(s.ctx, refusedFor)
			return
		}
		g.remember(token)
		g.run(s, config, asked, who)
	})
	return s
}

// pause waits; false means that it was ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (g *Gate) forget(key [sha256.Size]byte, s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.sessions[key] == s {
		delete(g.sessions, key)
	}
}

// admit makes room for one more session of a user. No user can keep others out: of one user's
// the one goes that has no page open, or that has been there for a while, and of all those that have no page
// open. Pages of one user that take each other's place again and again would load the API server, and use up what it
// is asked for others.
func (g *Gate) admit(s *session, user string) *refusal {
	g.mu.Lock()
	defer g.mu.Unlock()
	var own, others []*session
	for _, other := range g.sessions {
		switch {
		case other.user == "" || other.ctx.Err() != nil: // one that was not admitted, such as s, or that ends
		case other.user == user:
			own = append(own, other)
		default:
			others = append(others, other)
		}
	}
	idle := func(some []*session) *session {
		return oldest(some, func(s *session) bool { return s.open == 0 }, func(s *session) time.Time { return s.used })
	}
	var goes *session
	switch {
	case len(own) >= maxOfOne:
		began := func(s *session) time.Time { return s.began }
		if goes = idle(own); goes == nil {
			goes = oldest(own, func(s *session) bool { return time.Since(s.began) >= spared }, began)
		}
		if goes == nil {
			return &refusal{http.StatusTooManyRequests, "you have several pages open already, of other namespaces or with other tokens: close one, or try again in a minute"}
		}
	case len(own)+len(others) >= maxSessions:
		if goes = idle(slices.Concat(own, others)); goes == nil {
			return &refusal{http.StatusTooManyRequests, "too many people see the page now: try again later, or run jobkit ui on your own machine"}
		}
	}
	if goes != nil {
		goes.cancel()
	}
	s.user = user
	return nil
}

// oldest is the session of some that may go, and that has the earliest time; nil if none may.
func oldest(some []*session, may func(*session) bool, at func(*session) time.Time) *session {
	some = slices.DeleteFunc(slices.Clone(some), func(s *session) bool { return !may(s) })
	if len(some) == 0 {
		return nil
	}
	return slices.MinFunc(some, func(a, b *session) int { return at(a).Compare(at(b)) })
}

// run holds the jobs of a session up to date, until no page is open any longer, or the API
// server says that the caller is another one, or may see something else.
func (g *Gate) run(s *session, config *rest.Config, asked []string, who identity) {
	var watching sync.WaitGroup
	defer watching.Wait()
	defer s.cancel()
	watching.Go(func() {
		if err := s.server.Run(s.ctx); err != nil {
			g.options.Log.Error(err, "Cannot watch the jobs of a caller", "user", who.user)
			s.cancel()
		}
	})
	for again := 1; pause(s.ctx, g.options.Recheck); again++ {
		g.mu.Lock()
		idle := s.open == 0 && time.Since(s.used) > idleFor
		g.mu.Unlock()
		if idle {
			return
		}
		before := &who
		if again%findsEvery == 0 {
			before = nil // there may be other namespaces now
		}
		now, no := g.ask(s.ctx, config, asked, before)
		if no != nil || !now.equal(&who) {
			return
		}
	}
}

// errToken means that the API server does not know the token.
var errToken = errors.New("the API server does not accept the token: it may have run out, or be one of another cluster")
