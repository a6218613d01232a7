package page_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/page"
)

const host = "127.0.0.1:8000"

func statusOf(t *testing.T, o *unstructured.Unstructured) *commonv1.JobStatus {
	t.Helper()
	status := &commonv1.JobStatus{}
	fields, _ := o.Object["status"].(map[string]any)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(fields, status); err != nil {
		t.Fatal(err)
	}
	return status
}

// site is a server that runs, and the secret of its session.
type site struct {
	*page.Server

	jobs   *cluster
	secret string
}

func start(t *testing.T, readOnly bool) *site {
	t.Helper()
	jobs := newCluster()
	jobs.put("a", page.Job{
		Object: object(t, "a", "{testReplicaSpecs: {Worker: {replicas: 1}}}", "{conditions: ["+created+"]}"), Pods: []*corev1.Pod{pod(0, 0, corev1.PodRunning)},
	})
	o := page.Options{Source: jobs, Steering: jobs, Hosts: []string{host}, Now: noon, Interval: time.Millisecond}
	if readOnly {
		o.Steering = nil
	}
	server, err := page.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	<-jobs.watches
	s := &site{Server: server, jobs: jobs}
	body := s.ask(t, http.MethodGet, server.OpenPath(), "").Body.String()
	s.secret = regexp.MustCompile(`name="session" content="([A-Z0-9]+)"`).FindStringSubmatch(body)[1]
	return s
}

// ask makes a request as the page does, unless headers say otherwise: pairs of names and values.
func (s *site) ask(t *testing.T, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Host = host
	r.Header.Set("Jobkit-Session", s.secret)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

const (
	jobA    = "/api/jobs/testjobs.v1.kubeflow.org/default/a"
	jobBody = `{"uid": "uid-a"}`
)

// TestGuard has requests that must not be answered.
func TestGuard(t *testing.T) {
	t.Parallel()
	s := start(t, false)
	used := s.OpenPath()
	s.ask(t, http.MethodGet, used, "")
	kept := s.OpenPath()
	for _, c := range []struct {
		reason, method, path, body string
		headers                    []string
		code                       int
	}{
		{"the page itself is not secret", "GET", "/", "", []string{"Jobkit-Session", ""}, 200},
		{"nothing is shown to a browser that was not let in", "GET", "/api/about", "", []string{"Jobkit-Session", ""}, 401},
		{"nor with another secret", "GET", "/api/about", "", []string{"Jobkit-Session", "A"}, 401},
		{"nor is anything done", "POST", jobA + "/delete", jobBody, []string{"Jobkit-Session", ""}, 401},
		{"a name that another site gave this address", "GET", "/", "", []string{"Host", "evil.example:8000"}, 403},
		{"another port of this machine", "GET", "/", "", []string{"Host", "127.0.0.1:8001"}, 403},
		{"another site", "POST", jobA + "/delete", jobBody, []string{"Origin", "https://evil.example"}, 403},
		{"another port of this machine", "POST", jobA + "/delete", jobBody, []string{"Origin", "http://127.0.0.1:8001"}, 403},
		{"another site that reads", "GET", "/api/about", "", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"another site that takes the page in", "GET", "/assets/app.js", "", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors"}, 403},
		{"a link to the page", "GET", "/", "", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, 200},
		{"an address works once", "GET", used, "", nil, 403},
		{"a guess", "GET", "/open/AAAA", "", nil, 403},
		{"an address is not used up by a browser that loads pages ahead", "GET", kept, "", []string{"Sec-Purpose", "prefetch;prerender"}, 503},
		{"so it works later", "GET", kept, "", nil, 200},
		{"an unknown action", "POST", jobA + "/explode", jobBody, nil, 404},
		{"an action by a link", "GET", jobA + "/delete", "", nil, 405},
		{"a body without the job's UID", "POST", jobA + "/delete", "{}", nil, 400},
		{"a large body", "POST", jobA + "/delete", `{"x": "` + strings.Repeat("x", 5000) + `"}`, nil, 400},
		{"a pod of another job", "GET", jobA + "/logs/b-worker-0", "", nil, 404},
		{"a path outside of the assets", "GET", "/assets/../server.go", "", nil, 404},
	} {
		w := s.ask(t, c.method, c.path, c.body, c.headers...)
		if c.code == 404 && w.Code/100 == 3 {
			w.Code = 404 // a cleaned path, which leads to nothing
		}
		if w.Code != c.code {
			t.Errorf("%s: %s %s: code %d, want %d: %s", c.reason, c.method, c.path, w.Code, c.code, w.Body)
		}
		if policy := w.Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
			t.Errorf("%s: the policy is %q", c.reason, policy)
		}
		if c.code >= 400 && strings.Contains(w.Body.String(), s.secret) {
			t.Errorf("%s: the answer holds the secret", c.reason)
		}
	}
	if len(s.jobs.did) > 0 {
		t.Errorf("it did %v", s.jobs.did)
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	s := start(t, false)
	for _, action := range []string{"suspend", "resume", "restart", "delete"} {
		if w := s.ask(t, http.MethodPost, jobA+"/"+action, jobBody); w.Code != http.StatusOK {
			t.Errorf("%s: code %d: %s", action, w.Code, w.Body)
		}
	}
	if diff := cmp.Diff([]string{"suspend a uid-a", "resume a uid-a", "restart a uid-a", "delete a uid-a"}, s.jobs.did); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, c := range []struct {
		err  error
		code int
	}{{page.ErrForbidden, 403}, {page.ErrChanged, 409}, {errors.New("no connection"), 502}} {
		s.jobs.err = c.err
		if w := s.ask(t, http.MethodPost, jobA+"/delete", jobBody); w.Code != c.code || !strings.Contains(w.Body.String(), c.err.Error()) {
			t.Errorf("%v: code %d: %s", c.err, w.Code, w.Body)
		}
	}
	if w := start(t, true).ask(t, http.MethodPost, jobA+"/delete", jobBody); w.Code != http.StatusForbidden {
		t.Errorf("a page that is read-only: code %d", w.Code)
	}
}

// message is a server-sent event.
type message struct {
	event string
	data  map[string]any
}

// stream reads the events of a path, until the test ends.
func (s *site) stream(t *testing.T, path string) func() message {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = host
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, web.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Jobkit-Session", s.secret)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = answer.Body.Close() })
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<20)
	return func() message {
		t.Helper()
		m := message{}
		for lines.Scan() {
			if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				m.event = event
			}
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				_ = json.Unmarshal([]byte(data), &m.data)
				return m
			}
		}
		t.Fatalf("the stream has ended: %v", lines.Err())
		return m
	}
}

func TestListIsLive(t *testing.T) {
	t.Parallel()
	s := start(t, false)
	next := s.stream(t, "/api/jobs")
	names := func(m message) []string {
		var out []string
		rows, _ := m.data["rows"].([]any)
		for _, row := range rows {
			if row, ok := row.(map[string]any); ok {
				out = append(out, row["name"].(string)+" "+row["state"].(string))
			}
		}
		return out
	}
	got := names(next())
	for len(got) == 0 {
		got = names(next())
	}
	if diff := cmp.Diff([]string{"a Created"}, got); diff != "" {
		t.Errorf("all jobs at first (-want +got):\n%s", diff)
	}
	s.jobs.put("b", page.Job{Object: object(t, "b", "{}", "{}")})
	if diff := cmp.Diff([]string{"b Submitted"}, names(next())); diff != "" {
		t.Errorf("then what is new, alone (-want +got):\n%s", diff)
	}
	s.jobs.put("b", page.Job{})
	if diff := cmp.Diff([]any{ref("b").String()}, next().data["gone"]); diff != "" {
		t.Errorf("and what is gone (-want +got):\n%s", diff)
	}
}

func TestJobIsLive(t *testing.T) {
	t.Parallel()
	s := start(t, false)
	next := s.stream(t, jobA)
	for _, want := range []string{"head", "roles", "pods", "timeline", "events"} {
		m := next()
		if m.event != want {
			t.Errorf("got %s, want %s", m.event, want)
		}
		rights := map[string]any{"change": true, "restart": false, "delete": false, "logs": true}
		if diff := cmp.Diff(any(rights), m.data["rights"]); want == "head" && diff != "" {
			t.Errorf("the user's rights (-want +got):\n%s", diff)
		}
	}
	s.jobs.put("a", page.Job{Object: object(t, "a", "{testReplicaSpecs: {Worker: {replicas: 1}}}", "{restarts: 1, conditions: ["+created+"]}"), Pods: []*corev1.Pod{pod(0, 0, corev1.PodRunning)}})
	if m := next(); m.event != "head" || m.data["restarts"] != 1.0 {
		t.Errorf("only the part that has changed is sent: %v", m)
	}
	s.jobs.put("a", page.Job{})
	if m := next(); m.event != "gone" {
		t.Errorf("got %s: a job that is gone says so", m.event)
	}
}

// TestJobThatIsNotKnownYet: a page that begins to watch does not know what exists.
func TestJobThatIsNotKnownYet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ reason, name, want string }{
		{"a job that exists is not called gone, and its events are shown", "a", "event R"},
		{"one that does not exist is called gone when all are known", "b", "gone"},
	} {
		s := start(t, true)
		s.jobs.events = []corev1.Event{{Reason: "R", InvolvedObject: corev1.ObjectReference{Kind: "TestJob", Name: "a"}, LastTimestamp: at(-1)}}
		s.jobs.forget()
		next := s.stream(t, strings.TrimSuffix(jobA, "a")+c.name)
		<-s.jobs.missed
		s.jobs.read()
		got := ""
		for got == "" {
			m := next()
			switch m.event {
			case "gone":
				got = "gone"
			case "events":
				if list, _ := m.data["list"].([]any); len(list) > 0 {
					got = "event " + list[0].(map[string]any)["reason"].(string)
				}
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.reason, got, c.want)
		}
	}
}

// TestEventsThatMayNotBeRead: that is not the same as none.
func TestEventsThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	s := start(t, true)
	s.jobs.trouble = "You may not read events here."
	next := s.stream(t, jobA)
	for {
		m := next()
		if m.event != "events" {
			continue
		}
		if m.data["trouble"] == s.jobs.trouble {
			return
		}
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	s := start(t, false)
	s.jobs.log = "one\n\x1b[31mred\x1b[0m <b>\u202e\n" + strings.Repeat("x", 20_000) + "\nlast"
	lines := strings.Split(s.ask(t, http.MethodGet, jobA+"/logs/a-worker-0", "").Body.String(), "\n")
	if len(lines[2]) > 9000 {
		t.Errorf("a long line has %d characters", len(lines[2]))
	}
	lines[2] = ""
	if diff := cmp.Diff([]string{"one", "red <b>", "", "last", ""}, lines); diff != "" {
		t.Errorf("a log is plain text (-want +got):\n%s", diff)
	}
	if w := s.ask(t, http.MethodGet, jobA+"/logs/a-worker-0?container=none", ""); w.Code != http.StatusBadGateway {
		t.Errorf("an error of the API server: code %d", w.Code)
	}
}

// TestAssets: the scripts make text of what they get, never HTML, and the page has nothing
// that its policy would have to excuse.
func TestAssets(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|createContextualFragment|setHTML|srcdoc|javascript:|DOMParser`)
	inline := regexp.MustCompile(`<script>|<style|\son[a-z]+=|\sstyle=|https?://`)
	files, err := filepath.Glob("assets/*")
	if err != nil || len(files) < 8 {
		t.Fatalf("the assets are not there: %v %v", files, err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(f)
		_ = f.Close()
		if found := forbidden.Find(text); found != nil {
			t.Errorf("%s has %s: make text nodes (dom.js)", file, found)
		}
		if found := inline.Find(text); found != nil && strings.HasSuffix(file, ".html") {
			t.Errorf("%s has %s: the policy forbids it", file, found)
		}
	}
}
