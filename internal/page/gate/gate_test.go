package gate_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"

	"github.com/jobkit/jobkit/internal/kinds"
	"github.com/jobkit/jobkit/internal/page/gate"
)

// api is an API server that knows tokens "USER/ANYTHING", and lets some users list jobs.
type api struct {
	mu    sync.Mutex
	asked map[string]int // SelfSubjectReviews by token
	may   map[string]bool
	auth  []string // every Authorization that came

	// namespaces are those that may be listed, and in those of them that mayIn names jobs may be.
	namespaces []string
	mayIn      map[string]bool
	// incomplete: it does not know all rules. Questions about them are counted by namespace, and so are those about one
	// right each.
	incomplete    bool
	rules, rights map[string]int
	ruled         func(namespace string, times int)
}

// read reads the body of a request, in whatever form it is.
func read(r *http.Request, into runtime.Object) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = runtime.DecodeInto(scheme.Codecs.UniversalDeserializer(), body, into)
	}
	if err != nil {
		panic(err) // the server answers with an error, and the test fails
	}
}

// listed answers with as many namespaces as it is asked for.
func (a *api) listed(limit string) corev1.NamespaceList {
	list := corev1.NamespaceList{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "NamespaceList"}}
	for i, name := range a.namespaces {
		if strconv.Itoa(i) == limit {
			list.Continue = "more"
			break
		}
		list.Items = append(list.Items, corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return list
}

// reviewRules answers which rules hold in a namespace.
func (a *api) reviewRules(r *http.Request, user string) authorizationv1.SelfSubjectRulesReview {
	review := authorizationv1.SelfSubjectRulesReview{}
	read(r, &review)
	review.TypeMeta = metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectRulesReview"}
	a.rules[review.Spec.Namespace]++
	if a.ruled != nil {
		a.ruled(review.Spec.Namespace, a.rules[review.Spec.Namespace])
	}
	review.Status = authorizationv1.SubjectRulesReviewStatus{Incomplete: a.incomplete, ResourceRules: []authorizationv1.ResourceRule{
		{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"*"}},
		{Verbs: []string{"get", "create"}, APIGroups: []string{"*"}, Resources: []string{"*"}},
		{Verbs: []string{"*"}, APIGroups: []string{"kubeflow.org"}, Resources: []string{"tfjobs"}, ResourceNames: []string{"one"}},
	}}
	if (a.may[user] || a.mayIn[review.Spec.Namespace]) && !a.incomplete {
		review.Status.ResourceRules = append(review.Status.ResourceRules, authorizationv1.ResourceRule{
			Verbs: []string{"watch", "list"}, APIGroups: []string{"other", "kubeflow.org"}, Resources: []string{"tfjobs", "jaxjobs"},
		})
	}
	return review
}

// reviewRight answers whether one right holds.
func (a *api) reviewRight(r *http.Request, user string) authorizationv1.SelfSubjectAccessReview {
	review := authorizationv1.SelfSubjectAccessReview{}
	read(r, &review)
	review.TypeMeta = metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SelfSubjectAccessReview"}
	namespace := review.Spec.ResourceAttributes.Namespace
	a.rights[namespace]++
	review.Status.Allowed = a.may[user] || a.mayIn[namespace]
	return review
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	user, _, known := strings.Cut(token, "/")
	a.mu.Lock()
	defer a.mu.Unlock()
	a.auth = append(a.auth, r.Header.Get("Authorization"))
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // the test sees it
	}
	fail := func(code int, reason metav1.StatusReason) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Reason: reason, Code: int32(code)}) //nolint:errchkjson // the test sees it
	}
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/selfsubjectreviews"):
		a.asked[token]++
		if !known {
			fail(http.StatusUnauthorized, metav1.StatusReasonUnauthorized)
			return
		}
		answer(authenticationv1.SelfSubjectReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "SelfSubjectReview"},
			Status:   authenticationv1.SelfSubjectReviewStatus{UserInfo: authenticationv1.UserInfo{Username: user}},
		})
	case strings.HasSuffix(path, "/selfsubjectaccessreviews"):
		answer(a.reviewRight(r, user))
	case strings.HasSuffix(path, "/selfsubjectrulesreviews"):
		answer(a.reviewRules(r, user))
	case path == "/api/v1/namespaces" && len(a.namespaces) > 0:
		answer(a.listed(r.URL.Query().Get("limit")))
	case path == "/apis/kubeflow.org/v1":
		answer(metav1.APIResourceList{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "APIResourceList"}, GroupVersion: "kubeflow.org/v1",
			APIResources: []metav1.APIResource{
				{Name: "jaxjobs", Kind: "JAXJob", Namespaced: true, Verbs: []string{"list"}},
				{Name: "tfjobs", Kind: "TFJob", Namespaced: true, Verbs: []string{"list"}},
			},
		})
	default:
		fail(http.StatusForbidden, metav1.StatusReasonForbidden)
	}
}

func start(t *testing.T, may ...string) (*gate.Gate, *api) {
	t.Helper()
	a := newAPI(0)
	for _, user := range may {
		a.may[user] = true
	}
	return a.gate(t, time.Hour), a
}

// newAPI has so many namespaces.
func newAPI(namespaces int) *api {
	a := &api{asked: map[string]int{}, may: map[string]bool{}, mayIn: map[string]bool{}, rules: map[string]int{}, rights: map[string]int{}}
	for i := range namespaces {
		a.namespaces = append(a.namespaces, fmt.Sprintf("n%03d", i))
	}
	return a
}

// gate is one for the cluster, until the test ends.
func (a *api) gate(t *testing.T, recheck time.Duration) *gate.Gate {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	g, err := gate.New(t.Context(), gate.Options{
		Config: &rest.Config{Host: server.URL, BearerToken: "the page's own", Username: "admin", Password: "admin"},
		Kinds:  kinds.All(), Log: logr.Discard(), Recheck: recheck,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	return g
}

func get(t *testing.T, g http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func TestGate(t *testing.T) {
	t.Parallel()
	g, a := start(t, "ann")
	for _, c := range []struct {
		reason, method, path string
		headers              []string
		code                 int
		says                 string
	}{
		{"the page itself holds nothing of a cluster, and asks for a token", "GET", "/", nil, 200, `content="token"`},
		{"its addresses are relative, so that it may be below any path", "GET", "/", nil, 200, `"assets/app.js"`},
		{"assets", "GET", "/assets/app.js", nil, 200, "askWho"},
		{"no steering", "POST", "/api/jobs/tfjobs.v1.kubeflow.org/a/b/delete", []string{"Authorization", "Bearer ann/1"}, 405, "changes nothing"},
		{"no address of jobkit ui", "GET", "/open/x", nil, 404, ""},
		{"no token", "GET", "/api/about", nil, 401, "no bearer token"},
		{"another scheme", "GET", "/api/about", []string{"Authorization", "Basic YTpi"}, 401, "no bearer token"},
		{"a token with a line break", "GET", "/api/about", []string{"Jobkit-Token", "a\tb"}, 401, "no bearer token"},
		{"a token that is too long", "GET", "/api/about", []string{"Jobkit-Token", strings.Repeat("a", 1<<15)}, 401, "no bearer token"},
		{"an unknown token", "GET", "/api/about", []string{"Jobkit-Token", "x"}, 401, "does not accept"},
		{"an unknown token again", "GET", "/api/about", []string{"Jobkit-Token", "x"}, 401, "does not accept"},
		{"a user without rights", "GET", "/api/about", []string{"Jobkit-Token", "bob/1"}, 403, "bob may list no jobs"},
		{"a user with rights", "GET", "/api/about", []string{"Jobkit-Token", "ann/1"}, 200, `"readOnly":true`},
		{"the header of a reverse proxy", "GET", "/api/about", []string{"Authorization", "bearer ann/1"}, 200, `"TFJob"`},
		{"another site", "GET", "/api/about", []string{"Jobkit-Token", "ann/1", "Sec-Fetch-Site", "same-site"}, 400, "other sites"},
		{"too many namespaces", "GET", "/api/about", []string{"Jobkit-Token", "ann/1", "Jobkit-Namespaces", strings.Repeat("a,", 5) + "b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u"}, 400, "at most 20"},
	} {
		w := get(t, g, c.method, c.path, c.headers...)
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s, want %d %s", c.reason, w.Code, w.Body, c.code, c.says)
		}
		if !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: the answer has no content security policy", c.reason)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asked["x"] != 1 || a.asked["ann/1"] != 1 {
		t.Errorf("the API server is asked %v: what it says is remembered for a while", a.asked)
	}
	for _, auth := range a.auth {
		if !strings.HasPrefix(auth, "Bearer ann/") && !strings.HasPrefix(auth, "Bearer bob/") && auth != "Bearer x" {
			t.Errorf("a request has the credentials %q: the page has none of its own", auth)
		}
	}
}

// TestGuesses: who was let in before is let in again while others guess tokens.
func TestGuesses(t *testing.T) {
	t.Parallel()
	g, _ := start(t, "ann")
	if w := get(t, g, "GET", "/api/about", "Jobkit-Token", "ann/1"); w.Code != http.StatusOK {
		t.Fatalf("ann is not let in: %d %s", w.Code, w.Body)
	}
	for i := range 40 {
		get(t, g, "GET", "/api/about", "Jobkit-Token", "wrong"+strings.Repeat("x", i))
	}
	if w := get(t, g, "GET", "/api/about", "Jobkit-Token", "ann/1", "Jobkit-Namespaces", "a"); w.Code != http.StatusOK {
		t.Errorf("a new session of ann: %d %s", w.Code, w.Body)
	}
	refused := 0
	for i := range 10 {
		if w := get(t, g, "GET", "/api/about", "Jobkit-Token", "ann/1", "Jobkit-Namespaces", strings.Repeat("b", i+1)); w.Code == http.StatusTooManyRequests {
			refused++
		}
	}
	if refused == 0 {
		t.Error("ann has no limit")
	}
}

// TestLimits: tokens are asked about slowly, and one user holds few places.
func TestLimits(t *testing.T) {
	t.Parallel()
	g, a := start(t, "ann")
	refused, began := 0, time.Now()
	for i := range 40 {
		if w := get(t, g, "GET", "/api/about", "Jobkit-Token", "wrong"+strings.Repeat("x", i)); w.Code == http.StatusTooManyRequests {
			refused++
		}
	}
	most := 21 + int(5*time.Since(began).Seconds()) // 20 at once and 5 a second, however slow the machine is
	if refused < 40-most {
		t.Errorf("%d of 40 new tokens are refused: whoever reaches the port can have the API server asked", refused)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.asked) > most {
		t.Errorf("the API server was asked about %d tokens, want %d at most", len(a.asked), most)
	}
}
