package controller_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/internal/fakeapi"
)

// untypedController keeps an object of a kind for each of its jobs, without a Go type.
type untypedController struct {
	timedController

	gvk schema.GroupVersionKind
}

func (c untypedController) object() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(c.gvk)
	return u
}

func (c untypedController) ObjectKinds() []jobkit.Object { return []jobkit.Object{c.object()} }

func (c untypedController) Objects(job *timedJob, _ *jobkit.Tally) []jobkit.Object {
	o := c.object()
	o.SetName(job.Name)
	o.Object["data"] = map[string]any{"every": job.Spec.Every.Duration.String()}
	return []jobkit.Object{o}
}

// TestUntypedObjects: owned objects need no Go type, with no gang scheduler either.
func TestUntypedObjects(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		gvk    schema.GroupVersionKind
		path   string
	}{
		"Unknown": {
			reason: "the scheme does not know the kind", gvk: timedGV.WithKind("Widget"),
			path: "/apis/example.com/v1/namespaces/default/widgets/a",
		},
		"Known": {
			reason: "the scheme knows a type for it, which is not used", gvk: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"},
			path: "/api/v1/namespaces/default/configmaps/a",
		},
	} {
		t.Run(name, func(t *testing.T) {
			widgets := fakeapi.Resource{Group: "example.com", Version: "v1", Resource: "widgets", Kind: "Widget"}
			api := fakeapi.New(append(fakeapi.Core(), testJobs, timedJobs, widgets)...)
			api.WatchList = true
			c := newCluster(t, api, untypedController{gvk: tc.gvk})
			c.start()
			c.Put(timedPath+"a", aTimedJob("1m", "{}"))
			c.eventually(tc.reason+": the job has its pod", c.created("a-worker-0"))
			c.eventually(tc.reason+": the object is made", func() bool {
				owner := metav1.GetControllerOf(&unstructured.Unstructured{Object: c.Get(tc.path)})
				return owner != nil && owner.Name == "a"
			})
		})
	}
}
