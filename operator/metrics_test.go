package operator

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// authority is an API server that knows the tokens "scraper" and "other", of which the first may
// get /metrics.
type authority struct {
	client.Client

	asked int
	down  bool
}

func (a *authority) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	a.asked++
	if a.down {
		return errors.New("it is down")
	}
	switch o := o.(type) {
	case *authenticationv1.TokenReview:
		o.Status.Authenticated = o.Spec.Token == "scraper" || o.Spec.Token == "other"
		o.Status.User = authenticationv1.UserInfo{Username: o.Spec.Token, Extra: map[string]authenticationv1.ExtraValue{"k": {"v"}}}
		o.Status.Error = "unknown token"
	case *authorizationv1.SubjectAccessReview:
		is := o.Spec.NonResourceAttributes
		o.Status.Allowed = o.Spec.User == "scraper" && o.Spec.Extra["k"][0] == "v" && *is == authorizationv1.NonResourceAttributes{Path: "/metrics", Verb: "get"}
		o.Status.EvaluationError = "a role is missing"
	}
	return nil
}

func TestSecureMetrics(t *testing.T) {
	tests := map[string]struct {
		reason       string
		header, path string
		method       string
		down         bool
		want         int
	}{
		"Allowed": {reason: "who may, may", header: "Bearer scraper", want: http.StatusOK},
		"Case":    {reason: "the scheme is written as one likes", header: "bearer scraper", want: http.StatusOK},
		"NoToken": {reason: "without a token nothing is served", want: http.StatusUnauthorized},
		"Basic":   {reason: "a password is no token", header: "Basic scraper", want: http.StatusUnauthorized},
		"Unknown": {reason: "a token that the API server does not know", header: "Bearer x", want: http.StatusUnauthorized},
		"Other":   {reason: "a known client that may not", header: "Bearer other", want: http.StatusForbidden},
		"Path":    {reason: "what it may read is one path", header: "Bearer scraper", path: "/debug", want: http.StatusForbidden},
		"Method":  {reason: "and it may only read", header: "Bearer scraper", method: http.MethodPost, want: http.StatusForbidden},
		"Down":    {reason: "who cannot be asked allows nothing", header: "Bearer scraper", down: true, want: http.StatusInternalServerError},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h, get := guarded(t, &authority{down: tc.down})
			if got := get(h, tc.method, tc.path, tc.header); got != tc.want {
				t.Errorf("%s: it answers %d, want %d", tc.reason, got, tc.want)
			}
		})
	}
}

// TestSecureMetricsAsk: the API server is asked again in time, and not as often as anyone likes.
func TestSecureMetricsAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{}
		h, get := guarded(t, a)
		for range 10 {
			get(h, "", "", "Bearer scraper")
		}
		if a.asked != 2 {
			t.Errorf("the API server is asked %d times about one client, want 2", a.asked)
		}
		time.Sleep(allowedFor + time.Second)
		if get(h, "", "", "Bearer scraper"); a.asked != 4 {
			t.Errorf("it is asked again after %s, got %d questions, want 4", allowedFor, a.asked)
		}
		refused := 0
		for i := range 1000 {
			if get(h, "", "", "Bearer guess-"+strconv.Itoa(i)) == http.StatusTooManyRequests {
				refused++
			}
		}
		if a.asked > 4+asksAtOnce || refused < 1000-asksAtOnce {
			t.Errorf("a thousand guesses make %d questions, want %d", a.asked-4, asksAtOnce)
		}
		if get(h, "", "", "Bearer scraper") != http.StatusOK {
			t.Error("who is known is served meanwhile")
		}
	})
}

func guarded(t *testing.T, a *authority) (http.Handler, func(h http.Handler, method, path, header string) int) {
	t.Helper()
	h, err := newGuard(a)(logr.Discard(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if err != nil {
		t.Fatal(err)
	}
	return h, func(h http.Handler, method, path, header string) int {
		if method == "" {
			method = http.MethodGet
		}
		if path == "" {
			path = "/metrics"
		}
		r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
}

// TestKnownClientIsServedWhileOthersGuess: whoever reaches the port may try tokens without end, and Prometheus is
// served all the same, also when the API server is to be asked about it again.
func TestKnownClientIsServedWhileOthersGuess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{}
		h, get := guarded(t, a)
		scrapes, served := 0, 0
		guess := 0
		get(h, "", "", "Bearer scraper") // It is known before the guesses begin.
		for second := range 15 * 60 {
			for i := range 50 {
				get(h, "", "", "Bearer guess-"+strconv.Itoa(guess))
				guess++
				if second%15 == 14 && i == second/15%50 { // it comes at any time between two guesses
					scrapes++
					time.Sleep(10 * time.Millisecond)
					if get(h, "", "", "Bearer scraper") == http.StatusOK {
						served++
					}
					time.Sleep(10 * time.Millisecond)
					continue
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
		if served < scrapes*9/10 {
			t.Errorf("while another client guesses tokens, %d of %d scrapes of a client that is known are served", served, scrapes)
		}
	})
}
