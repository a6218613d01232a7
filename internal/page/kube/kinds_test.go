package kube_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit/internal/kinds"
	"github.com/jobkit/jobkit/internal/page/kube"
)

// served is what a cluster serves, by API version.
type served map[string][]metav1.APIResource

func (s served) ServerResourcesForGroupVersionWithContext(_ context.Context, version string) (*metav1.APIResourceList, error) {
	list, ok := s[version]
	if !ok {
		return nil, apierrors.NewNotFound(schema.GroupResource{}, version)
	}
	return &metav1.APIResourceList{APIResources: list}, nil
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, reason string
		cluster      served
		want         []kube.Kind
	}{
		{name: "none", reason: "a cluster without job kinds is no error: the page says what to do"},
		{
			name: "one", reason: "only what is served, by the name of the resource itself",
			cluster: served{"kubeflow.org/v1": {{Name: "pytorchjobs/status", Kind: "PyTorchJob"}, {Name: "pytorchjobs", Kind: "PyTorchJob", Namespaced: true}, {Name: "x", Kind: "X"}}},
			want: []kube.Kind{{
				Kind: "PyTorchJob", Resource: schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: "pytorchjobs"},
			}},
		},
	} {
		got, err := kube.Kinds(t.Context(), c.cluster, kinds.All())
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %s: %v (-want +got):\n%s", c.name, c.reason, err, diff)
		}
	}
}
