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
