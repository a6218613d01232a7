package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/progress/protocol"
	"github.com/jobkit/jobkit/progress"
)

func objectMeta() metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: secretName.Namespace, Name: secretName.Name}
}

const issuer = "https://kubernetes.default.svc"

// signer stands for an API server's key.
type signer struct {
	id  string
	key *ecdsa.PrivateKey
}

func newSigner(t *testing.T, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{id, key}
}

func (s signer) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.id, Algorithm: string(jose.ES256), Use: "sig"}
}

// claims are those of a token as an API server makes it.
type claims map[string]any

func tokenClaims(now time.Time) claims {
	return claims{
		"iss": issuer, "aud": []string{address().Audience()}, "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"namespace": "team", "pod": map[string]any{"name": "bert-worker-0", "uid": "pod-1"}},
	}
}

func (c claims) with(key string, value any) claims {
	out := claims{}
	maps.Copy(out, c)
	out[key] = value
	if value == nil {
		delete(out, key)
	}
	return out
}

func (s signer) sign(t *testing.T, c claims) string {
	t.Helper()
	made, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: s.key, KeyID: s.id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jwt.Signed(made).Claims(map[string]any(c)).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func address() protocol.Address {
	return protocol.Address{
		Resource:  schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: "pytorchjobs"},
		Namespace: "team", Name: "bert", UID: "job-1",
	}
}

// served is a server with one job and its pod, without a network.
type served struct {
	*handler

	now   time.Time
	keys  []signer
	reads int
	away  bool
	job   progress.Job
	gone  bool
	pods  map[string]*corev1.Pod
}

func newServed(t *testing.T) *served {
	t.Helper()
	s := &served{now: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), keys: []signer{newSigner(t, "k1")}, job: progress.Job{UID: "job-1"}}
	s.pods = map[string]*corev1.Pod{"team/bert-worker-0": {ObjectMeta: metav1.ObjectMeta{
		Namespace: "team", Name: "bert-worker-0", UID: "pod-1",
		Labels:          map[string]string{commonv1.ReplicaTypeLabel: "worker", commonv1.ReplicaIndexLabel: "0", commonv1.AttemptLabel: "3"},
		OwnerReferences: []metav1.OwnerReference{{UID: "job-1", Controller: new(true)}},
	}}}
	m, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return s.now }
	w := newWrites()
	t.Cleanup(w.queue.ShutDown)
	w.now, w.log, w.metrics = clock, logr.Discard(), m
	jobs := progress.Jobs{
		Resource: address().Resource, Synced: func() bool { return true },
		Get: func(key types.NamespacedName) (progress.Job, bool) {
			return s.job, !s.gone && key.String() == "team/bert"
		},
	}
	s.handler = &handler{
		kind: func(r schema.GroupVersionResource) (progress.Jobs, bool) { return jobs, r == jobs.Resource },
		pod: func(_ context.Context, key types.NamespacedName) (*corev1.Pod, error) {
			if pod := s.pods[key.String()]; pod != nil {
				return pod, nil
			}
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, key.Name)
		},
		writes: w, metrics: m, accepted: func() {}, now: clock,
		tokens: &tokens{now: clock, fetch: func(context.Context) (*keySet, error) {
			if s.reads++; s.away {
				return nil, errors.New("the API server is away")
			}
			set := &keySet{issuer: issuer}
			for _, k := range s.keys {
				set.keys.Keys = append(set.keys.Keys, k.public())
			}
			return set, nil
		}},
	}
	return s
}

func (s *served) post(t *testing.T, path, authorization, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, strings.TrimSpace(string(text))
}

const plain = `{"trainerStatus":{"progressPercentage":42}}`

// TestAnswers checks every answer that there is.
func TestAnswers(t *testing.T) {
	tests := map[string]struct {
		reason string
		change func(*served)
		claims func(claims) claims
		// sent is sent in place of the token that is made of the claims.
		sent, body, path string
		scheme           string
		code             int
		says             string
		metric           refusal
	}{
		"Accepted":      {reason: "all is well", code: 200, says: plain},
		"AnyCase":       {reason: "clients write the scheme in any case", scheme: "bearer", code: 200, says: plain},
		"Nothing":       {reason: "a body that reports nothing", body: "{}", code: 200, says: "{}"},
		"SlowClock":     {reason: "the API server's clock is ahead by some seconds", claims: func(c claims) claims { return c.with("nbf", clockOf(c, "nbf", 20)).with("iat", clockOf(c, "iat", 20)) }, code: 200, says: plain},
		"TwoAudiences":  {reason: "a token may have several", claims: func(c claims) claims { return c.with("aud", []string{"x", address().Audience()}) }, code: 200, says: plain},
		"NoToken":       {reason: "no header", sent: " ", code: 403, says: "KUBEFLOW_TRAINER_SERVER_TOKEN", metric: refusedNoToken},
		"Basic":         {reason: "another scheme", scheme: "Basic", code: 403, says: "bearer token", metric: refusedNoToken},
		"Garbage":       {reason: "no token", sent: "garbage", code: 403, says: "not a service account token", metric: refusedBadToken},
		"Long":          {reason: "far too long", sent: strings.Repeat("a", 9000), code: 403, says: "longer", metric: refusedBadToken},
		"NoSignature":   {reason: "an unsigned token", sent: "eyJhbGciOiJub25lIn0.e30.", code: 403, metric: refusedBadToken},
		"Symmetric":     {reason: "a token signed by a public key as if it were a secret", sent: "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.e30.AAAA", code: 403, metric: refusedBadToken},
		"OtherIssuer":   {reason: "another cluster", claims: func(c claims) claims { return c.with("iss", "https://other") }, code: 403, metric: refusedBadToken},
		"Expired":       {reason: "two hours old", claims: func(c claims) claims { return c.with("exp", clockOf(c, "exp", -7200)) }, code: 403, says: "has expired", metric: refusedExpired},
		"NoExpiry":      {reason: "a token that never expires", claims: func(c claims) claims { return c.with("exp", nil) }, code: 403, metric: refusedExpired},
		"NotYet":        {reason: "of tomorrow", claims: func(c claims) claims { return c.with("nbf", clockOf(c, "nbf", 86400)) }, code: 403, metric: refusedBadToken},
		"OtherAudience": {reason: "for the API server", claims: func(c claims) claims { return c.with("aud", []string{issuer}) }, code: 403, says: "not for this job", metric: refusedAudience},
		"OtherJob": {reason: "for another job", claims: func(c claims) claims {
			return c.with("aud", []string{strings.Replace(address().Audience(), "bert", "gpt", 1)})
		}, code: 403, metric: refusedAudience},
		"EarlierJob": {reason: "for an earlier job of the name", claims: func(c claims) claims { return c.with("aud", []string{address().Audience() + "0"}) }, code: 403, says: "earlier", metric: refusedAudience},
		"NoPod": {
			reason: "bound to no pod", claims: func(c claims) claims { return c.with("kubernetes.io", map[string]any{"namespace": "team"}) },
			code: 403, says: "not bound to a pod", metric: refusedPod,
		},
		"OtherNamespace": {
			reason: "a pod of the same name elsewhere", code: 403, metric: refusedPod,
			claims: func(c claims) claims {
				return c.with("kubernetes.io", map[string]any{"namespace": "x", "pod": map[string]any{"name": "bert-worker-0", "uid": "pod-1"}})
			},
		},
		"Replaced":   {reason: "the pod was replaced", change: func(s *served) { s.pods["team/bert-worker-0"].UID = "pod-2" }, code: 403, says: "not there any more", metric: refusedPod},
		"PodGone":    {reason: "the pod is gone", change: func(s *served) { s.pods = nil }, code: 403, metric: refusedPod},
		"PodEnded":   {reason: "the pod has ended", change: func(s *served) { s.pods["team/bert-worker-0"].Status.Phase = corev1.PodFailed }, code: 403, metric: refusedPod},
		"PodEnds":    {reason: "the pod is to end", change: func(s *served) { s.pods["team/bert-worker-0"].DeletionTimestamp = &metav1.Time{} }, code: 403, metric: refusedPod},
		"ForeignPod": {reason: "a pod of another job, with a token for this one", change: func(s *served) { s.pods["team/bert-worker-0"].OwnerReferences[0].UID = "job-2" }, code: 403, says: "not one of this job", metric: refusedPod},
		"NoOwner":    {reason: "a pod of no job", change: func(s *served) { s.pods["team/bert-worker-0"].OwnerReferences = nil }, code: 403, metric: refusedPod},
		"Closed":     {reason: "the job takes no reports", change: func(s *served) { s.job.Closed = "the job has ended" }, code: 403, says: "takes no reports: the job has ended", metric: refusedClosed},
		"JobGone":    {reason: "the job is gone", change: func(s *served) { s.gone = true }, code: 404, says: "no job bert of pytorchjobs in namespace team", metric: refusedNotFound},
		"NoKind":     {reason: "a kind that is not served", path: "/apis/kubeflow.org/v1/namespaces/team/jobs/bert/status", code: 404, metric: refusedNotFound},
		"NoPath":     {reason: "no such path", path: "/apis", code: 404, metric: refusedNotFound},
		"TooLarge":   {reason: "above 64 KiB", body: `{"x":"` + strings.Repeat("x", 64<<10) + `"}`, code: 413, says: "65536", metric: refusedTooLarge},
		"Invalid":    {reason: "more than all", body: `{"trainerStatus":{"progressPercentage":101}}`, code: 422, says: "trainerStatus.progressPercentage", metric: refusedInvalid},
		"NoJSON":     {reason: "no JSON", body: "progress=1", code: 422, says: "not a JSON object", metric: refusedInvalid},
		"KeysAway":   {reason: "the API server is away, and its keys were never read", change: func(s *served) { s.away = true }, code: 503, metric: refusedUnavailable},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newServed(t)
			if tc.change != nil {
				tc.change(s)
			}
			c := tokenClaims(s.now)
			if tc.claims != nil {
				c = tc.claims(c)
			}
			token := tc.sent
			if token == "" {
				token = s.keys[0].sign(t, c)
			}
			if tc.scheme == "" {
				tc.scheme = "Bearer"
			}
			if tc.path == "" {
				tc.path = address().Path()
			}
			if tc.body == "" {
				tc.body = plain
			}
			code, text := s.post(t, tc.path, tc.scheme+" "+token, tc.body)
			if code != tc.code || !strings.Contains(text, tc.says) {
				t.Errorf("%s: the answer is %d %s, want %d with %q", tc.reason, code, text, tc.code, tc.says)
			}
			if code == http.StatusOK {
				return
			}
			var status metav1.Status
			if err := json.Unmarshal([]byte(text), &status); err != nil || status.Kind != "Status" || int(status.Code) != code || status.Reason == "" {
				t.Errorf("%s: the body is not a Status: %s", tc.reason, text)
			}
			if n := valueOf(t, s.metrics.refused.WithLabelValues(string(tc.metric))); n != 1 {
				t.Errorf("%s: the metric counts %v refusals for %s", tc.reason, n, tc.metric)
			}
		})
	}
}

// clockOf is a time of the claims and some seconds.
func clockOf(c claims, key string, seconds int64) int64 {
	at, _ := c[key].(int64)
	return at + seconds
}

// valueOf is the value of a counter.
func valueOf(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// TestAcceptedReport: what waits to be written says who sent it, and when.
func TestAcceptedReport(t *testing.T) {
	s := newServed(t)
	if code, text := s.post(t, address().Path(), "Bearer "+s.keys[0].sign(t, tokenClaims(s.now)), plain); code != http.StatusOK {
		t.Fatalf("%d %s", code, text)
	}
	got, _ := s.writes.take(jobKey{resource: address().Resource, name: types.NamespacedName{Namespace: "team", Name: "bert"}, uid: "job-1"})
	want := &commonv1.TrainerStatus{
		ProgressPercentage: new(int32(42)), ReceivedTime: &metav1.MicroTime{Time: s.now},
		Reporter: &commonv1.TrainerReporter{Pod: "bert-worker-0", PodUID: "pod-1", Type: "worker", Attempt: 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTooMany: one job's reports are limited.
func TestTooMany(t *testing.T) {
	s := newServed(t)
	token := "Bearer " + s.keys[0].sign(t, tokenClaims(s.now))
	codes := map[int]int{}
	for range jobBurst + 10 {
		code, _ := s.post(t, address().Path(), token, plain)
		codes[code]++
	}
	if diff := cmp.Diff(map[int]int{200: jobBurst, 429: 10}, codes); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestKeys: keys are read when one is not known, but not for each bad token; and again after some
// time, so that one that was withdrawn is refused.
func TestKeys(t *testing.T) {
	s := newServed(t)
	post := func(k signer) int {
		code, _ := s.post(t, address().Path(), "Bearer "+k.sign(t, tokenClaims(s.now)), plain)
		return code
	}
	old, next, forged := s.keys[0], newSigner(t, "k2"), newSigner(t, "k3")
	if code := post(old); code != 200 || s.reads != 1 {
		t.Errorf("the first token gets %d after %d reads of keys, want 200 after 1", code, s.reads)
	}
	bad := "Bearer " + forged.sign(t, tokenClaims(s.now))
	for range 1000 {
		if code, _ := s.post(t, address().Path(), bad, plain); code != 403 {
			t.Fatalf("a forged token gets %d", code)
		}
	}
	if s.reads != 1 {
		t.Errorf("1000 forged tokens cost %d reads of keys", s.reads-1)
	}
	s.keys = append(s.keys, next)
	s.now = s.now.Add(keysEvery)
	if code := post(next); code != 200 || s.reads != 2 {
		t.Errorf("a token of a new key gets %d after %d reads, want 200 after 2", code, s.reads)
	}
	s.keys = s.keys[1:]
	s.now = s.now.Add(keysLife)
	if !s.tokens.due() {
		t.Fatal("the keys are not due to be read")
	}
	if err := s.tokens.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := post(old); code != 403 {
		t.Errorf("a token of a key that was withdrawn gets %d", code)
	}
	s.away = true
	s.now = s.now.Add(keysEvery)
	if code := post(next); code != 200 {
		t.Errorf("while the API server is away, a token of a known key gets %d", code)
	}
	impostor := signer{id: next.id, key: forged.key}
	if code := post(impostor); code != 403 {
		t.Errorf("a token with the name of a known key, signed by another, gets %d", code)
	}
}
