package messages_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/operators/internal/messages"
)

func TestUnqualified(t *testing.T) {
	want := jobkit.Messages{
		Running: "RunJob a is running.", Succeeded: "RunJob a is successfully completed.",
		Restarting: "RunJob a is restarting", Failed: "RunJob a is failed",
	}
	if diff := cmp.Diff(want, messages.Unqualified("RunJob", "a")); diff != "" {
		t.Errorf("clients know these by heart (-want +got):\n%s", diff)
	}
}
