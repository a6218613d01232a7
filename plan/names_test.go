package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/plan"
)

func TestHost(t *testing.T) {
	tests := map[string]struct {
		reason string
		mode   *commonv1.ServiceMode
		want   string
	}{
		"PerReplica": {reason: "the service of the replica has the pod's name", mode: new(commonv1.ServiceModePerReplica), want: "job-worker-0"},
		"PerJob":     {reason: "the pod is a host of the job's service", mode: new(commonv1.ServiceModePerJob), want: "job-worker-0.job"},
		"Default":    {reason: "one service for the job is the library's default", want: "job-worker-0.job"},
		"None":       {reason: "without services the name is all that there is", mode: new(commonv1.ServiceModeNone), want: "job-worker-0"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, plan.Host(&commonv1.RunPolicy{ServiceMode: tc.mode}, "job", "job-worker-0")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCount(t *testing.T) {
	specs := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
		"Master": {}, "Worker": {Replicas: new(int32(3))}, "PS": {Replicas: new(int32(-1))}, "Evaluator": nil,
	}
	tests := map[string]struct {
		reason string
		types  []commonv1.ReplicaType
		want   int32
	}{
		"All":     {reason: "without types all count; nil and negative numbers are none, an absent number is one", want: 4},
		"Some":    {reason: "only the given types count", types: []commonv1.ReplicaType{"Worker"}, want: 3},
		"Several": {reason: "several add up", types: []commonv1.ReplicaType{"Worker", "Master"}, want: 4},
		"Unknown": {reason: "a type that the job does not have has no replicas", types: []commonv1.ReplicaType{"Chief"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, plan.Count(specs, tc.types...)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
