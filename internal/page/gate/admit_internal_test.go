package gate

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAdmit(t *testing.T) {
	t.Parallel()
	const old, young = 2 * spared, spared / 2
	// have is a session: how old it is, how many pages it has open, and whether it ends.
	type have struct {
		user string
		age  time.Duration
		open int
		ends bool
	}
	var full, idle []have
	for i := range maxSessions {
		full = append(full, have{fmt.Sprint("user", i), old, 1, false})
		idle = append(idle, have{fmt.Sprint("user", i), old, min(1, i%5), false})
	}
	for _, c := range []struct {
		reason  string
		there   []have
		ended   []int
		refused bool
	}{
		{reason: "there is room", there: []have{{"ann", young, 1, false}, {"ann", young, 1, false}}},
		{reason: "one without a page goes, though others are older", there: []have{{"ann", old, 1, false}, {"ann", young, 0, false}, {"ann", old, 1, false}}, ended: []int{1}},
		{reason: "the oldest goes: its page comes back with the token of now", there: []have{{"ann", old, 1, false}, {"ann", young, 1, false}, {"ann", 2 * old, 1, false}}, ended: []int{2}},
		{reason: "pages do not take each other's place again and again", there: []have{{"ann", young, 1, false}, {"ann", young, 1, false}, {"ann", young, 1, false}}, refused: true},
		{reason: "one that ends already is none", there: []have{{"ann", old, 1, true}, {"ann", young, 1, false}, {"ann", young, 1, false}}, ended: []int{0}},
		{reason: "one that ends does not make room for two", there: []have{{"ann", old, 0, true}, {"ann", young, 1, false}, {"ann", young, 1, false}, {"ann", young, 0, false}}, ended: []int{0, 3}},
		{reason: "of all, one without a page goes", there: idle, ended: []int{0}},
		{reason: "all have pages", there: full, refused: true},
	} {
		g := &Gate{sessions: map[[sha256.Size]byte]*session{}}
		var there []*session
		for i, h := range c.there {
			at := time.Now().Add(-h.age - time.Duration(len(c.there)-i)*time.Millisecond)
			ctx, cancel := context.WithCancel(t.Context())
			if h.ends {
				cancel()
			}
			s := &session{user: h.user, open: h.open, began: at, used: at, ctx: ctx, cancel: cancel}
			there = append(there, s)
			g.sessions[sha256.Sum256([]byte{byte(i)})] = s
		}
		no := g.admit(&session{}, "ann")
		var ended []int
		for i, s := range there {
			if s.ctx.Err() != nil {
				ended = append(ended, i)
			}
		}
		if diff := cmp.Diff(c.ended, ended); diff != "" || (no != nil) != c.refused {
			t.Errorf("%s: refused %v; ended (-want +got):\n%s", c.reason, no, diff)
		}
	}
}
