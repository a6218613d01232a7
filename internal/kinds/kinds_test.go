package kinds_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit/internal/cli/install"
	"github.com/jobkit/jobkit/internal/kinds"
)

// TestAll: the kinds are those of the CRDs, and their types are known.
func TestAll(t *testing.T) {
	t.Parallel()
	definitions, err := install.WithExample()
	if err != nil {
		t.Fatal(err)
	}
	scheme, err := kinds.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	have := map[schema.GroupVersionKind]bool{}
	for _, k := range kinds.All() {
		have[k] = true
		if !scheme.Recognizes(k) {
			t.Errorf("the scheme does not know %s", k)
		}
	}
	want := map[schema.GroupVersionKind]bool{}
	for _, d := range definitions {
		for _, k := range d.Kinds {
			want[k] = true
		}
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("kinds of the CRDs (-) and of the list (+):\n%s", diff)
	}
}

// TestMainContainer: each kind has one.
func TestMainContainer(t *testing.T) {
	t.Parallel()
	for _, k := range kinds.All() {
		if kinds.MainContainer(k.GroupKind()) == "" {
			t.Errorf("the main container of %s is not known", k.Kind)
		}
	}
	if got := kinds.MainContainer(schema.GroupKind{Group: "example.com", Kind: "TFJob"}); got != "" {
		t.Errorf("a kind of others has the main container %s", got)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		reason string
		kinds  []schema.GroupVersionKind
		fails  bool
	}{
		"":                                   {reason: "no other kinds"},
		"SimJob.v1.sim.jobkit.dev, A.v2.b.c": {reason: "two", kinds: []schema.GroupVersionKind{{Group: "sim.jobkit.dev", Version: "v1", Kind: "SimJob"}, {Group: "b.c", Version: "v2", Kind: "A"}}},
		"SimJob":                             {reason: "a kind without its group could be anything", fails: true},
		"simjobs.v1.sim.jobkit.dev":          {reason: "a resource is no kind", fails: true},
	} {
		got, err := kinds.Parse(text)
		if (err != nil) != want.fails {
			t.Errorf("%s: %v", want.reason, err)
		}
		if diff := cmp.Diff(want.kinds, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.reason, diff)
		}
	}
}
