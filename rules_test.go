package jobkit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
)

func TestUnqualifiedMessages(t *testing.T) {
	want := jobkit.Messages{
		Running: "RunJob a is running.", Succeeded: "RunJob a is successfully completed.",
		Restarting: "RunJob a is restarting", Failed: "RunJob a is failed",
	}
	if diff := cmp.Diff(want, jobkit.UnqualifiedMessages("RunJob", "a")); diff != "" {
		t.Errorf("clients know these by heart (-want +got):\n%s", diff)
	}
}
