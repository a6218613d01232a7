package controller

import (
	"errors"
	"testing"

	"github.com/jobkit/jobkit/internal/plan"
)

// TestSlowStart: how many calls are made, of 1,000, when some of them fail.
func TestSlowStart(t *testing.T) {
	const n, width = 1000, 16
	failure := result{err: errors.New("no")}
	tests := map[string]struct {
		reason      string
		deletes     bool
		f           func(i int) result
		least, most int
	}{
		"AllWell": {
			reason: "all are called", least: n, most: n,
			f: func(int) result { return result{done: true} },
		},
		"AllFail": {
			reason: "what is bound to fail fails as often as the first batch is large", least: 8, most: 8,
			f: func(int) result { return failure },
		},
		"OneFails": {
			reason: "one failure among many ends with its batch: 8 + 32 + 128 + 512", least: 680, most: 680,
			f: func(i int) result {
				if i == 200 {
					return failure
				}
				return result{done: true}
			},
		},
		"AllFailFromNowOn": {
			reason: "in a large batch no more than width fail, and those that were under way", least: 200 + width, most: 200 + 2*width - 1,
			f: func(i int) result {
				if i >= 200 {
					return failure
				}
				return result{done: true}
			},
		},
		"NamesAreTaken": {
			reason: "a name that is taken says nothing about the others", least: n, most: n,
			f: func(int) result { return result{obstacle: plan.NameConflict} },
		},
		"SomeAreProtected": {
			reason: "a delete that is refused says nothing about the others", deletes: true, least: n, most: n,
			f: func(i int) result {
				if i < width-1 {
					return result{obstacle: plan.Refused}
				}
				return result{done: true}
			},
		},
		"AllAreProtected": {
			reason: "but no more than that are tried when all are refused", deletes: true, least: 8 + width, most: 8 + 2*width,
			f: func(int) result { return result{obstacle: plan.Refused} },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			calls := make([]int, n) // each counted by its own call
			results := slowStart(n, width, tc.deletes, func(i int) result {
				calls[i]++
				return tc.f(i)
			})
			if len(results) < tc.least || len(results) > tc.most {
				t.Errorf("%s: want %d to %d results, got %d", tc.reason, tc.least, tc.most, len(results))
			}
			for i, r := range results {
				if calls[i] != 1 || r != tc.f(i) {
					t.Errorf("%s: number %d was called %d times, result %+v", tc.reason, i, calls[i], r)
				}
			}
			for i := len(results); i < n; i++ {
				if calls[i] != 0 {
					t.Errorf("%s: number %d was called, but has no result", tc.reason, i)
				}
			}
		})
	}
}
