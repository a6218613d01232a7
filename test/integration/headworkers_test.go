//go:build integration

package integration

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/headworkers"
	headv1 "github.com/jobkit/jobkit/examples/headworkers/v1"
)

// headWorkersCRD admits every HeadWorkersJob.
func headWorkersCRD() *apiextensionsv1.CustomResourceDefinition {
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "headworkersjobs.example.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: "HeadWorkersJob", ListKind: "HeadWorkersJobList", Plural: "headworkersjobs", Singular: "headworkersjob"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: "v1", Served: true, Storage: true,
				Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{
					Type: "object", XPreserveUnknownFields: new(true),
				}},
			}},
		},
	}
}

// runHeadWorkers serves the kind, and runs its operator until the test is over.
func runHeadWorkers(t *testing.T) client.Client {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, headv1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(cluster.config, client.Options{Scheme: known})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(t.Context(), headWorkersCRD()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.Background(), headWorkersCRD()) })
	mgr, err := ctrl.NewManager(cluster.config, ctrl.Options{
		Scheme: known, Cache: controller.CacheOptions(), Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err == nil {
		err = headworkers.SetupWithManager(mgr)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestDashboardOfTheHead: the API server accepts the service of a role, which is an ordinary one,
// keeps it when it is wanted again, and has what is changed in it put right.
func TestDashboardOfTheHead(t *testing.T) {
	t.Parallel()
	ns, c := namespace(t), runHeadWorkers(t)
	job := &headv1.HeadWorkersJob{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "job"}}
	spec := func(n int32) *commonv1.ReplicaSpec {
		s := replicas(n)
		s.Template.Spec.Containers[0].Name = headv1.ContainerName
		return s
	}
	job.Spec.ReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{headv1.Head: spec(1), headv1.Worker: spec(2)}
	eventually(t, "the kind is served", func(ctx context.Context) string {
		if err := c.Create(ctx, job); err != nil {
			return err.Error()
		}
		return ""
	})
	waitForNames(t, ns, []string{"job-head-0", "job-worker-0", "job-worker-1"}, []string{"job", "job-head-svc"})
	dashboard := services(t.Context(), t, ns)["job-head-svc"]
	if s := dashboard.Spec; s.ClusterIP == corev1.ClusterIPNone || s.ClusterIP == "" || s.Type != corev1.ServiceTypeClusterIP || s.PublishNotReadyAddresses || s.Ports[0].Port != 8265 {
		t.Errorf("it is not an ordinary service: %+v", s)
	}
	dashboard.Spec.Type, dashboard.Spec.Ports[0].Port = corev1.ServiceTypeNodePort, 80
	if err := cluster.client.Update(t.Context(), &dashboard); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the service is put right", func(ctx context.Context) string {
		if s := services(ctx, t, ns)["job-head-svc"]; s.Spec.Type != corev1.ServiceTypeClusterIP || s.Spec.Ports[0].Port != 8265 || s.UID != dashboard.UID {
			return fmt.Sprintf("it is %+v", s.Spec)
		}
		return ""
	})
	for _, step := range []struct {
		suspend        bool
		pods, services []string
	}{
		{suspend: true},
		{pods: []string{"job-head-0", "job-worker-0", "job-worker-1"}, services: []string{"job", "job-head-svc"}},
	} {
		patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"runPolicy":{"suspend":%t}}}`, step.suspend))
		if err := c.Patch(t.Context(), job, patch); err != nil {
			t.Fatal(err)
		}
		waitForNames(t, ns, step.pods, step.services)
	}
}
