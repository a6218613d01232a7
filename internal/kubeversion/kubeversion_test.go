package kubeversion_test

import (
	"strings"
	"testing"

	"github.com/jobkit/jobkit/internal/kubeversion"
)

func TestComplaint(t *testing.T) {
	for _, tt := range []struct {
		reason, release string
		want            bool
	}{
		{"the oldest", "v1.31.0", false},
		{"the newest", "v1.37.1", false},
		{"of two digits, not one and a half", "v1.100.0", false},
		{"one before", "v1.30.14", true},
		{"of a vendor", "v1.29.7-gke.1104000", true},
		{"of another", "v1.33.1+rke2r1", false},
		{"no release at all", "master", false},
		{"nothing", "", false},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			got := kubeversion.Complaint(tt.release)
			if (got != "") != tt.want || tt.want && !strings.Contains(got, tt.release+" is older than v1.31") {
				t.Errorf("%s: got %q, want a complaint: %t", tt.release, got, tt.want)
			}
		})
	}
}
