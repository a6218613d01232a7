package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// short is a life that a test can afford: 64 nodes for two days, with the failures of 2,048 and
// more hangs among them.
func short(seed uint64) assumptions {
	a := llama3()
	a.nodes, a.spares, a.lasts, a.hangs, a.seed = 64, 4, 2*24*time.Hour, 0.3, seed
	return a
}

// lived is the life of one job under a policy.
func lived(t *testing.T, p policy, a assumptions) *life {
	t.Helper()
	run, ok := p.parse()
	if !ok {
		t.Fatalf("%s: the run policy has fields that do not exist", p.name)
	}
	l := newLife(a, run)
	l.live()
	return l
}

// TestLives: a short life gives the same result each time, and every failure of the job is one
// restart.
func TestLives(t *testing.T) {
	last := policies()[len(policies())-1] // It uses all there is.
	if l, again := lived(t, last, short(4)), lived(t, last, short(4)); l.goodput() != again.goodput() || l.failures != again.failures {
		t.Errorf("%s: a second life differs: %f and %f", last.name, l.goodput(), again.goodput())
	}
	for _, p := range policies() {
		l := lived(t, p, short(3))
		if n := int(l.in.Status.Restarts); l.failures == 0 || n > l.failures || n < l.failures-1 {
			t.Errorf("%s: %d restarts after %d failures and hangs", p.name, n, l.failures)
		}
		if g := l.goodput(); g <= 0 || g >= 1 {
			t.Errorf("%s: goodput is %f", p.name, g)
		}
	}
}

// TestOrder: of two policies the better one gives more goodput, in several lives together.
func TestOrder(t *testing.T) {
	const job, hang, late, avoid = "restartScope: Job", ", stallTimeoutSeconds: 180", ", stallTimeoutSeconds: 1200", ", avoidNodes"
	onlyHangs := func(a *assumptions) { a.faulty = 0 }
	onlyNodes := func(a *assumptions) { a.hangs = 0 }
	both := func(*assumptions) {}
	for _, tc := range []struct {
		reason        string
		happens       func(*assumptions)
		better, worse string
	}{
		{"a hang that is found late costs less than one that people notice", onlyHangs, job + late, job},
		{"the sooner it is found the better", onlyHangs, job + hang, job + late},
		{"what does not return to a faulty node fails less", onlyNodes, job + avoid, job},
		{"faulty nodes cost, however soon hangs are found", both, job + hang + avoid, job + hang},
		{"hangs cost, whatever is avoided", both, job + hang + avoid, job + avoid},
	} {
		t.Run(tc.better+" or not", func(t *testing.T) {
			better, worse := several(t, tc.better, tc.happens), several(t, tc.worse, tc.happens)
			if better <= worse {
				t.Errorf("%s: %s gives %.1f %%, %s gives %.1f %%", tc.reason, tc.better, 100*better, tc.worse, 100*worse)
			}
		})
	}
}

// several is the mean goodput of several lives under a policy.
func several(t *testing.T, policyName string, change func(*assumptions)) float64 {
	t.Helper()
	const lives = 2
	all := policies()
	at := slices.IndexFunc(all, func(p policy) bool { return p.name == policyName })
	if at < 0 {
		t.Fatalf("there is no policy %q", policyName)
	}
	sum := 0.0
	for seed := range uint64(lives) {
		a := short(seed)
		change(&a)
		sum += lived(t, all[at], a).goodput()
	}
	t.Logf("%s: %.1f %%", policyName, 100*sum/lives)
	return sum / lives
}

// TestDocumented: the page of users has the table that this program prints, and how to print it.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/users/goodput.md")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{tableHead, "make sim-goodput"}
	for _, p := range policies() {
		want = append(want, "| `"+p.name+"` |")
	}
	for _, s := range want {
		if !strings.Contains(string(text), s) {
			t.Errorf("docs/users/goodput.md lacks %q: put in what make sim-goodput prints", s)
		}
	}
	if n, m := strings.Count(string(text), "| `restartScope"), len(policies()); n != m {
		t.Errorf("docs/users/goodput.md has %d policies, the program %d", n, m)
	}
}
