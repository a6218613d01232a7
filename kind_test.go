package jobkit_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
)

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

// TestSpecPath is how messages name the replica specs of kinds of different shapes.
func TestSpecPath(t *testing.T) {
	kind := jobkit.Kind{Roles: []jobkit.Role{
		{Type: "A"}, {Type: "B", Field: "driver"}, {Type: "C", Field: "cluster.groups[0]"}, {Type: "D", Field: "tasks[name=d]"},
	}}
	paths := func() []string {
		var out []string
		for _, t := range append(kind.Types(), "Unknown") {
			out = append(out, kind.SpecPath(t).Child("template").String())
		}
		return out
	}
	want := []string{
		"spec.replicaSpecs[A].template", "spec.driver.template", "spec.cluster.groups[0].template", "spec.tasks[name=d].template",
		"spec.replicaSpecs[Unknown].template",
	}
	if diff := cmp.Diff(want, paths()); diff != "" {
		t.Errorf("a map of the default name, and fields (-want +got):\n%s", diff)
	}
	kind.ReplicaSpecsField = "cluster.replicaSpecs"
	want[0], want[4] = "spec.cluster.replicaSpecs[A].template", "spec.cluster.replicaSpecs[Unknown].template"
	if diff := cmp.Diff(want, paths()); diff != "" {
		t.Errorf("a map in another field (-want +got):\n%s", diff)
	}
}
