package ui

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/jobkit/jobkit/internal/page/kube"
)

func TestScope(t *testing.T) {
	t.Parallel()
	var kinds []kube.Kind
	for _, name := range []string{"jaxjobs", "testjobs", "tfjobs"} {
		kinds = append(kinds, kube.Kind{Resource: schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: name}})
	}
	for _, c := range []struct {
		reason, asked   string
		allowed         []string
		namespace, note string
		shown           []string
	}{
		{reason: "all", allowed: []string{"jaxjobs", "testjobs", "tfjobs"}, shown: []string{"jaxjobs", "testjobs", "tfjobs"}},
		{reason: "a namespace that is asked for, without a question", asked: "team", namespace: "team", shown: []string{"jaxjobs", "testjobs", "tfjobs"}},
		{
			reason: "one kind that may not be listed hides no other", allowed: []string{"jaxjobs", "tfjobs"}, shown: []string{"jaxjobs", "tfjobs"},
			note: "You may not list testjobs in all namespaces, so they are not shown: -n NAMESPACE shows all kinds in one namespace.",
		},
		{
			reason: "a user of one namespace", namespace: "own", shown: []string{"jaxjobs", "testjobs", "tfjobs"},
			note: "You may not list jaxjobs, testjobs, tfjobs in all namespaces, so only namespace own is shown: choose another one with -n.",
		},
	} {
		client := fake.NewClientset()
		client.PrependReactor("create", "selfsubjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
			create, _ := a.(clienttesting.CreateAction)
			review, _ := create.GetObject().(*authorizationv1.SelfSubjectAccessReview)
			review.Status.Allowed = slices.Contains(c.allowed, review.Spec.ResourceAttributes.Resource)
			return true, review, nil
		})
		namespace, shown, note, err := scope(t.Context(), client, kinds, c.asked, "own")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range shown {
			got = append(got, k.Resource.Resource)
		}
		if diff := cmp.Diff([]any{c.namespace, c.shown, c.note}, []any{namespace, got, note}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}
