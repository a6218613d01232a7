package gang_test

import (
	"errors"
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/jobkit/jobkit/gang"
)

func TestNotServed(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"Nothing":  {},
		"Other":    {err: errors.New("busy")},
		"Kind":     {err: fmt.Errorf("so: %w", &meta.NoKindMatchError{}), want: true},
		"Resource": {err: fmt.Errorf("so: %w", &meta.NoResourceMatchError{}), want: true},
	} {
		if got := gang.NotServed(tc.err); got != tc.want {
			t.Errorf("%s: want %t, got %t", name, tc.want, got)
		}
	}
}
