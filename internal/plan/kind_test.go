package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// launcherKind has a role of each sort.
func launcherKind() jobkit.Kind {
	return jobkit.Kind{
		Name: "RunJob", ContainerName: "main",
		Roles: []jobkit.Role{
			{Type: "Launcher", Required: true, Min: 1, Max: 1, Unnumbered: true},
			{Type: "Worker", Default: new(int32(0))},
		},
	}
}

func TestRoles(t *testing.T) {
	tests := map[string]struct {
		reason   string
		replicas map[commonv1.ReplicaType]*int32
		want     string
	}{
		"Defaults": {
			reason:   "a role says how many replicas there are where the job does not",
			replicas: map[commonv1.ReplicaType]*int32{"Launcher": nil, "Worker": nil},
		},
		"Required": {
			reason:   "a job without a required type is refused, with the mend",
			replicas: map[commonv1.ReplicaType]*int32{"Worker": new(int32(2))},
			want:     "spec.replicaSpecs[Launcher]: Required value: every RunJob needs the replica type Launcher: add it",
		},
		"TooMany": {
			reason:   "more replicas than the role has are refused",
			replicas: map[commonv1.ReplicaType]*int32{"Launcher": new(int32(2))},
			want:     "spec.replicaSpecs[Launcher].replicas: Invalid value: 2: must be 1",
		},
		"TooFew": {
			reason:   "fewer replicas than the role must have are refused",
			replicas: map[commonv1.ReplicaType]*int32{"Launcher": new(int32(0)), "Worker": new(int32(1))},
			want:     "spec.replicaSpecs[Launcher].replicas: Invalid value: 0: must be 1",
		},
		"NoBound": {
			reason:   "without Max the library's own bound holds",
			replicas: map[commonv1.ReplicaType]*int32{"Launcher": nil, "Worker": new(int32(jobkit.MaxReplicas + 1))},
			want:     "spec.replicaSpecs[Worker].replicas: Invalid value: 100001: must be from 0 to 100000",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			in := newModel(nil).in
			in.Kind = launcherKind()
			in.Kind.SetDefaults()
			for typ, n := range tc.replicas {
				in.Replicas[typ] = newModel(map[commonv1.ReplicaType]int32{worker: 1}).in.Replicas[worker]
				in.Replicas[typ].Replicas = n
			}
			plan.SetDefaults(&in.Kind, &in.RunPolicy, in.Replicas)
			got := ""
			if errs := plan.Validate(&in); len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestMainContainer(t *testing.T) {
	tests := map[string]struct {
		reason string
		any    bool
		names  []string
		want   string
	}{
		"Named":        {reason: "the container of the kind's name", names: []string{"sidecar", "main"}, want: "main"},
		"NamedFirst":   {reason: "the name goes before the place, where any name will do", any: true, names: []string{"sidecar", "main"}, want: "main"},
		"Any":          {reason: "where any name will do, the first", any: true, names: []string{"a", "b"}, want: "a"},
		"Missing":      {reason: "otherwise there is none", names: []string{"a", "b"}},
		"NoContainers": {reason: "a template without containers has none", any: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			kind := jobkit.Kind{ContainerName: "main", AnyContainer: tc.any}
			var pod corev1.PodSpec
			for _, n := range tc.names {
				pod.Containers = append(pod.Containers, corev1.Container{Name: n})
			}
			got := ""
			if c := kind.MainContainer(&pod); c != nil {
				got = c.Name
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPodNames(t *testing.T) {
	kind := launcherKind()
	tests := map[string]struct {
		reason string
		typ    commonv1.ReplicaType
		index  int32
		want   string
	}{
		"Unnumbered": {reason: "the pod of a role that has one replica needs no index", typ: "Launcher", want: "job-launcher"},
		"Numbered":   {reason: "other pods have one", typ: "Worker", index: 3, want: "job-worker-3"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, kind.PodName("job", tc.typ, tc.index)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
