package jobtest

import "math/rand/v2"

// Chance is where everything comes from that a run leaves to chance. The same
// Chance gives the same run, so that a run which failed can be repeated, and its
// choices be taken back one by one until only those are left that matter. For that
// the first of several alternatives must always be the minimal one: the one that should
// be chosen when chance has no part.
//
// The nil *Chance always chooses the first.
type Chance struct {
	random *rand.Rand // nil: choices come from the tape only
	tape   []uint32   // the choices made, or to be made
	pos    int
	// script holds faults by the number of the call that they hit, from 1, for runs
	// that leave nothing to chance.
	script map[int]Fault
	// calls are the calls of a scripted run: which faults each can meet.
	calls [][]Fault
	// quiet runs keep no transcript, which takes most of the time.
	quiet bool
}

// NewChance returns the Chance of a seed.
func NewChance(seed uint64) *Chance {
	return &Chance{random: rand.New(rand.NewPCG(seed, 0x6a6f626b6974))} //nolint:gosec // a simulation needs a repeatable source
}

// Pick chooses one of n alternatives, counted from 0.
func (c *Chance) Pick(n int) int { return c.pick(n, 0) }

// Percent is true with a probability of p in 100.
func (c *Chance) Percent(p int) bool { return c.pick(2, 100-p) == 1 }

// pick chooses one of n alternatives. It takes the first in percentFirst of 100 cases, and
// in the others any but the first.
func (c *Chance) pick(n, percentFirst int) int {
	if c == nil || n <= 1 {
		return 0
	}
	var choice uint32
	switch {
	case c.pos < len(c.tape):
		choice = min(c.tape[c.pos], uint32(n-1)) //nolint:gosec // n is small and positive
	case c.random == nil:
		return 0
	default:
		if percentFirst == 0 {
			choice = c.random.Uint32N(uint32(n)) //nolint:gosec // as above
		} else if c.random.IntN(100) >= percentFirst {
			choice = 1 + c.random.Uint32N(uint32(n-1)) //nolint:gosec // as above
		}
		c.tape = append(c.tape, choice)
	}
	c.pos++
	return int(choice)
}

// replay returns a Chance that makes the given choices, and then the first.
func replay(tape []uint32) *Chance { return &Chance{tape: tape} }

// Fault is what goes wrong with one call of the operator to the API server.
type Fault string

// The faults.
const (
	// NoFault: the call does what it should.
	NoFault Fault = ""
	// LostReply: the call does what it should, but the caller gets a timeout.
	LostReply Fault = "reply lost"
	// Timeout: the call does nothing, and the caller gets a timeout.
	Timeout Fault = "timeout"
	// Conflict: the call does nothing, and the caller gets a conflict (409).
	Conflict Fault = "conflict"
	// TooManyRequests: the call does nothing, and the caller is sent away (429).
	TooManyRequests Fault = "too many requests"
	// ServerError: the call does nothing, and the server reports an internal error (500).
	ServerError Fault = "internal error"
	// CrashBefore: the process dies before the call is made.
	CrashBefore Fault = "crash before"
	// CrashAfter: the process dies when the call has been made, before the reply.
	CrashAfter Fault = "crash after"
	// CrashStale: the process dies before the call is made, and the caches of the
	// next one start with an old state of the cluster.
	CrashStale Fault = "crash before, stale caches after"
	// Paused: the process stops before the call is made, and makes it when all else
	// has come to rest.
	Paused Fault = "paused"
)

// faultsOf are the faults that a call can meet.
func faultsOf(op call) []Fault {
	switch {
	case !op.write:
		return []Fault{Timeout, TooManyRequests, ServerError, CrashBefore, CrashStale, Paused}
	case op.verb == verbDelete:
		return []Fault{LostReply, Timeout, TooManyRequests, ServerError, CrashBefore, CrashAfter, CrashStale, Paused}
	default:
		return []Fault{LostReply, Timeout, Conflict, TooManyRequests, ServerError, CrashBefore, CrashAfter, CrashStale, Paused}
	}
}
