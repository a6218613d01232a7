package gate_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hangs is after how long a test takes what it waits for to hang.
const hangs = time.Minute

// troubles is what the list of jobs says first.
func troubles(t *testing.T, g http.Handler, headers ...string) string {
	t.Helper()
	web := httptest.NewServer(g)
	defer web.Close()
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, web.URL+"/api/jobs", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			cancel()
			return data
		}
	}
	return ""
}

// sum is how many questions there were, without those about all namespaces.
func sum(questions map[string]int) int {
	n := 0
	for namespace, times := range questions {
		if namespace != "" {
			n += times
		}
	}
	return n
}

// TestFind: a caller who may not see all sees the namespaces that are found, or that they name. It takes few questions,
// and what is left out is said.
func TestFind(t *testing.T) {
	t.Parallel()
	const (
		tried = "Only the first 200 namespaces by name were tried"
		more  = "You may see 5 more namespaces than are shown here"
	)
	for _, c := range []struct {
		reason            string
		namespaces, mayIn int
		incomplete        bool
		named             string
		code              int
		rules, rights     int
		notes             []string
	}{
		{reason: "one question about each namespace", namespaces: 30, mayIn: 3, code: 200, rules: 30},
		{reason: "a cluster that does not know all rules is asked about each kind, too", namespaces: 30, mayIn: 3, incomplete: true, code: 200, rules: 30, rights: 60},
		{reason: "more namespaces than are tried", namespaces: 230, mayIn: 3, code: 200, rules: 200, notes: []string{tried}},
		{reason: "just as many as are tried", namespaces: 200, mayIn: 3, code: 200, rules: 200},
		{reason: "more namespaces than are shown", namespaces: 30, mayIn: 25, code: 200, rules: 30, notes: []string{more}},
		{reason: "both", namespaces: 201, mayIn: 25, code: 200, rules: 200, notes: []string{tried, more}},
		{reason: "none in which jobs may be listed", namespaces: 30, code: 403, rules: 30},
		{reason: "namespaces that are named", namespaces: 30, mayIn: 3, named: "n001,n020", code: 200, rules: 2},
	} {
		a := newAPI(c.namespaces)
		a.incomplete = c.incomplete
		for _, name := range a.namespaces[:c.mayIn] {
			a.mayIn[name] = true
		}
		g := a.gate(t, time.Hour)
		headers := []string{"Jobkit-Token", "cat/1"}
		if c.named != "" {
			headers = append(headers, "Jobkit-Namespaces", c.named)
		}
		if w := get(t, g, "GET", "/api/about", headers...); w.Code != c.code {
			t.Errorf("%s: %d %s, want %d", c.reason, w.Code, w.Body, c.code)
		}
		a.mu.Lock()
		if diff := cmp.Diff([]int{c.rules, c.rights}, []int{sum(a.rules), sum(a.rights)}); diff != "" {
			t.Errorf("%s: questions about the rules of a namespace, and about a right in one (-want +got):\n%s", c.reason, diff)
		}
		a.mu.Unlock()
		if c.code != http.StatusOK {
			continue
		}
		said := troubles(t, g, headers...)
		for _, note := range []string{tried, more} {
			want := false
			for _, n := range c.notes {
				want = want || n == note
			}
			if strings.Contains(said, note) != want {
				t.Errorf("%s: it says %q, want %q: %t", c.reason, said, note, want)
			}
		}
	}
}

// TestRecheck: what is shown is asked again and again, and what is not only now and then.
func TestRecheck(t *testing.T) {
	t.Parallel()
	a, again := newAPI(100), make(chan struct{})
	a.mayIn["n000"], a.mayIn["n001"] = true, true
	var ids, shown, others int
	a.ruled = func(namespace string, times int) {
		if namespace == "n099" && times == 2 {
			ids, shown, others = a.asked["cat/1"], a.rules["n000"], a.rules["n050"]
			close(again)
		}
	}
	g := a.gate(t, time.Millisecond)
	if w := get(t, g, "GET", "/api/about", "Jobkit-Token", "cat/1"); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	select {
	case <-again:
	case <-time.After(hangs):
		t.Fatal("namespaces that were not shown are never tried again")
	}
	if ids != 11 || shown != 11 || others != 2 {
		t.Errorf("until then the API server was asked %d times who the caller is, %d times about a namespace that is shown and %d times about another one: want 11, 11 and 2",
			ids, shown, others)
	}
}

// TestRecheckRights: a right that was taken away ends what is shown, and one that was given in a namespace that
// was tried before shows after some rechecks.
func TestRecheckRights(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason, namespace string
		may               bool
	}{
		{"a right that was taken away", "n001", false},
		{"a right that was given", "n050", true},
	} {
		a := newAPI(100)
		a.mayIn["n000"], a.mayIn["n001"] = true, true
		g := a.gate(t, time.Millisecond)
		get(t, g, "GET", "/api/about", "Jobkit-Token", "cat/1")
		ctx, cancel := context.WithTimeout(t.Context(), hangs)
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/jobs", nil)
		r.Header.Set("Jobkit-Token", "cat/1")
		a.mu.Lock()
		a.mayIn[c.namespace] = c.may
		a.mu.Unlock()
		g.ServeHTTP(httptest.NewRecorder(), r) // until the session ends
		if ctx.Err() != nil {
			t.Errorf("%s: the page does not notice", c.reason)
		}
		cancel()
	}
}
