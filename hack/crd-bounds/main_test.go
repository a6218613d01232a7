package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestBounds(t *testing.T) {
	in := "a:\n  anyOf:\n  - type: integer\n  - type: string\n  " + generated + "\n  " + either + "\nport:\n  description: |-\n    Port.\n  " + either + "\n"
	want := "a:\n  anyOf:\n  - type: integer\n  - type: string\n  " + longest + "\n  " + bounded + "\n  " + either +
		"\nport:\n  description: |-\n    Port.\n  maximum: 2147483647\n  minimum: -2147483648\n  " + either + "\n"
	if diff := cmp.Diff(want, bounds(in)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, bounds(want)); diff != "" {
		t.Errorf("a second time changes nothing (-want +got):\n%s", diff)
	}
}

// TestPattern checks that what the pattern admits can be decoded, and that nothing sensible
// is refused.
func TestPattern(t *testing.T) {
	pattern := regexp.MustCompile(strings.TrimPrefix(bounded, "pattern: "))
	tests := map[string]bool{
		"1": true, "0": true, "+1": true, "-1": true, "1.5": true, "1.": true, ".5": true, "100m": true, "1Gi": true, "1.5Ti": true, "5k": true, "3u": true, "2n": true,
		"1E": true, "1Ei": true, "1e3": true, "1E3": true, "1e-3": true, "1.5e+9": true, "12e006": true, "1e999": true, "1e-999": true,
		"1e1.5": false, "1e.5": false, "1e2147483648": false, "1e-2147483648": false, "1e1000": false, "1K": false, "1ki": false, "": false, "e3": false, "1 Gi": false, "one": false,
	}
	for value, admitted := range tests {
		if pattern.MatchString(value) != admitted {
			t.Errorf("%q is admitted: %t, want %t", value, !admitted, admitted)
		}
		if admitted {
			if _, err := resource.ParseQuantity(value); err != nil {
				t.Errorf("%q is admitted and cannot be decoded: %v", value, err)
			}
		}
	}
}
