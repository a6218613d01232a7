package jobtest

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestSeedsRepeat runs seeds twice: the transcripts must be the same.
func TestSeedsRepeat(t *testing.T) {
	for seed := range uint64(12) {
		transcript := func() string {
			c := NewChance(seed)
			w, err := NewWorld[*testv1.TestJob](testjob.Controller{}, testScheme, Options{Chance: c, Fate: randomFates(c), Operators: 2})
			if err != nil {
				t.Fatal(err)
			}
			job := randomJob(c)
			randomActions(c, w, job)
			if err := w.Client().Create(context.Background(), job); err != nil {
				t.Fatal(err)
			}
			_ = w.Run(context.Background()) // TestRandomRuns checks the promises
			return w.Transcript()
		}
		if diff := cmp.Diff(transcript(), transcript()); diff != "" {
			t.Fatalf("seed %d gives two transcripts (-first +second):\n%s", seed, diff)
		}
	}
}

// TestShrink makes a run that fails shorter, down to the choices that matter.
func TestShrink(t *testing.T) {
	picks := func(c *Chance) []int {
		var out []int
		for range 20 {
			out = append(out, c.Pick(10))
		}
		return out
	}
	scenario := func(c *Chance) error {
		got := picks(c)
		if got[3] >= 4 && got[11] >= 2 {
			return &ViolationError{Promise: "test", Message: "it fails", Transcript: ""}
		}
		return nil
	}
	seed := uint64(0)
	for scenario(NewChance(seed)) == nil {
		seed++
	}
	c := NewChance(seed)
	_ = scenario(c)
	left := maxShrink
	tape := shrinkTape(c.tape, func(tape []uint32) bool { return scenario(replay(tape)) != nil }, &left)
	want := []uint32{0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2}
	if diff := cmp.Diff(want, tape); diff != "" {
		t.Errorf("the shrunk choices differ (-want +got):\n%s", diff)
	}
}

// TestRunsThatDiffer: a failure that does not come again is not lost.
func TestRunsThatDiffer(t *testing.T) {
	calls, failure := 0, errors.New("it fails at first")
	err := Shrink(NewChance(1), func(*Chance) error {
		if calls++; calls == 1 {
			return failure
		}
		return nil
	})
	if !errors.Is(err, failure) || err.Error() == failure.Error() {
		t.Errorf("want the failure, and that it did not come again, got %v", err)
	}
}
