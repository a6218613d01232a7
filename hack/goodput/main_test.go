package main

import (
	"testing"
	"time"
)

// TestPolicies: a short life gives the same result each time, a hang that is found early costs
// less, and every failure of the job is one restart.
func TestPolicies(t *testing.T) {
	a := llama3()
	a.nodes, a.spares, a.lasts, a.hangs = 16, 2, 4*24*time.Hour, 0.5
	lives := map[string]*life{}
	for _, p := range policies() {
		run, ok := p.parse()
		if !ok {
			continue // Its fields come with a later version.
		}
		l, again := newLife(a, run), newLife(a, run)
		l.live()
		again.live()
		if l.goodput() != again.goodput() || l.failures != again.failures {
			t.Errorf("%s: a second life differs: %f and %f", p.name, l.goodput(), again.goodput())
		}
		if n := int(l.in.Status.Restarts); l.failures == 0 || n > l.failures || n < l.failures-1 {
			t.Errorf("%s: %d restarts after %d failures and hangs", p.name, n, l.failures)
		}
		if g := l.goodput(); g <= 0 || g >= 1 {
			t.Errorf("%s: goodput is %f", p.name, g)
		}
		lives[p.name] = l
	}
	late, early := lives["restartScope: Job"], lives["restartScope: Job, stallTimeoutSeconds: 180"]
	if late == nil || early == nil || early.hung >= late.hung/2 {
		t.Errorf("hangs lasted %v with a timeout, %v without", early.hung, late.hung)
	}
}
