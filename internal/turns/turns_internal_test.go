package turns

import (
	"strconv"
	"testing"
)

// TestTurns: a namespace has half of what others leave to it, and no number of slow ones but the last of many leaves
// nothing to others.
func TestTurns(t *testing.T) {
	turns := New(16)
	for i, want := range []int{8, 4, 2, 1, 1} {
		got := 0
		for turns.Take(strconv.Itoa(i)) {
			got++
		}
		if got != want {
			t.Errorf("namespace %d has %d turns, want %d", i, got, want)
		}
	}
	for range 8 {
		turns.Give("0")
	}
	if !turns.Take("1") || len(turns.held) != 4 {
		t.Errorf("what was given back is not there for others: %v", turns.held)
	}
}
