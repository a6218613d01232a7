package controller

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSlots(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		// frees makes room for one more, or not, once all slots are taken.
		frees func(first func(), cancel context.CancelFunc)
		// want is after how long the next one goes on.
		want time.Duration
	}{
		"GivenBack": {
			reason: "the first job is done after a tenth of a second, and done only once",
			frees:  func(first func(), _ context.CancelFunc) { time.Sleep(slotLease / 10); first(); first() },
			want:   slotLease / 10,
		},
		"Slow": {
			reason: "all wait for a slow webhook: they hold up the jobs of others for the time of a lease, no longer",
			frees:  func(func(), context.CancelFunc) {},
			want:   slotLease,
		},
		"Stopped": {
			reason: "the process is told to end",
			frees:  func(_ func(), cancel context.CancelFunc) { time.Sleep(slotLease / 5); cancel() },
			want:   slotLease / 5,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				s := make(slots, startSlots)
				var first func()
				for range startSlots {
					giveBack := s.take(ctx)
					defer giveBack()
					if first == nil {
						first = giveBack
					}
				}
				begun := time.Now()
				go tc.frees(first, cancel)
				giveBack := s.take(ctx)
				if took := time.Since(begun); took != tc.want {
					t.Errorf("%s: the next one waits for %s, want %s", tc.reason, took, tc.want)
				}
				giveBack()
			})
		})
	}
}

func TestShares(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most, users = 2, 3
		s := newShares(most, users)
		first, _ := s.take("slow"), s.take("slow")
		waits := make(chan func())
		go func() { waits <- s.take("slow") }()
		synctest.Wait()
		if s.take("slow") != nil {
			t.Error("all turns are taken and as many wait as may, but one more does")
		}
		other := s.take("other")
		if other == nil {
			t.Fatal("one namespace takes the turns of another")
		}
		other()
		select {
		case <-waits:
			t.Error("a third has a turn of two")
		default:
		}
		first()
		(<-waits)()
		if n := len(s.used); n != 1 {
			t.Errorf("%d namespaces are remembered, want the one that has something under way", n)
		}
	})
}
