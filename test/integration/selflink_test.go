//go:build integration

package integration

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestSelfLinkIsNotStored: the caches of controller.CacheOptions mark what they have shortened in the self
// link of an object. That is safe because the API server keeps none that a client sends, be it of an object with
// a Go type or of a custom one.
func TestSelfLinkIsNotStored(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "linked"}}
	job := newJob(ns, "linked", nil, replicas(1))
	for _, o := range []client.Object{config, job} {
		o.SetSelfLink("content-digest:abc")
		create(t, o)
		check := func(step string) {
			t.Helper()
			if err := cluster.client.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
				t.Fatal(err)
			}
			if o.GetSelfLink() != "" {
				t.Errorf("%T, after %s: the API server has stored the self link %q", o, step, o.GetSelfLink())
			}
		}
		check("a create")
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"selfLink":"content-digest:abc","labels":{"a":"b"}}}`))
		if err := cluster.client.Patch(t.Context(), o, patch); err != nil {
			t.Fatal(err)
		}
		check("a patch")
		if o.GetLabels()["a"] != "b" {
			t.Errorf("%T: the patch was not taken", o)
		}
	}
}
