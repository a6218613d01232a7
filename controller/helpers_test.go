package controller_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/types"
)

func typesUID(s string) types.UID { return types.UID(s) }

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}

func cmpEmpty() cmp.Option { return cmpopts.EquateEmpty() }

func mustReconcile(t *testing.T, b *bench) {
	t.Helper()
	if _, _, err := b.reconcile(); err != nil {
		t.Fatal(err)
	}
}
