//go:build integration

package kinds

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/arrayjob"
	arrayv1 "github.com/jobkit/jobkit/examples/arrayjob/v1"
	"github.com/jobkit/jobkit/examples/headworkers"
	headv1 "github.com/jobkit/jobkit/examples/headworkers/v1"
	"github.com/jobkit/jobkit/examples/launcherjob"
	launcherv1 "github.com/jobkit/jobkit/examples/launcherjob/v1"
	"github.com/jobkit/jobkit/examples/legacy/old"
	bagv1 "github.com/jobkit/jobkit/examples/legacy/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest/conformance"
	"github.com/jobkit/jobkit/operators/jaxjob"
	"github.com/jobkit/jobkit/operators/mpijob"
	"github.com/jobkit/jobkit/operators/paddlejob"
	"github.com/jobkit/jobkit/operators/pytorchjob"
	"github.com/jobkit/jobkit/operators/tfjob"
	"github.com/jobkit/jobkit/operators/xgboostjob"
)

// TestConformance has all kinds, and those of the examples, play the cases of package conformance,
// at the same time.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(*testing.T, *kind){
		"TFJob":      conform[*kubeflowv1.TFJob](tfjob.Controller{}),
		"PyTorchJob": conform[*kubeflowv1.PyTorchJob](pytorchjob.Controller{}),
		"MPIJob":     conform[*kubeflowv1.MPIJob](mpijob.Controller{}),
		"XGBoostJob": conform[*kubeflowv1.XGBoostJob](xgboostjob.Controller{}),
		"PaddleJob":  conform[*kubeflowv1.PaddleJob](paddlejob.Controller{}),
		"JAXJob":     conform[*kubeflowv1.JAXJob](jaxjob.Controller{}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, kindOf(name))
		})
	}
	t.Run("Examples", func(t *testing.T) {
		t.Parallel()
		c := clientOfExamples(t)
		t.Run("NoOperator", func(t *testing.T) { noOperator(t, c) })
		runExamples(t)
		conformExample(t, c, testjob.Controller{}, &testv1.TestJob{Spec: testv1.TestJobSpec{
			TestReplicaSpecs: specs(testv1.ContainerName, map[commonv1.ReplicaType]int32{testv1.Master: 1, testv1.Worker: 2}),
		}})
		conformExample(t, c, headworkers.Controller{}, &headv1.HeadWorkersJob{Spec: headv1.HeadWorkersJobSpec{
			ReplicaSpecs: specs(headv1.ContainerName, map[commonv1.ReplicaType]int32{headv1.Head: 1, headv1.Worker: 2}),
		}})
		conformExample(t, c, arrayjob.Controller{}, &arrayv1.ArrayJob{Spec: arrayv1.ArrayJobSpec{
			ReplicaSpecs: specs(arrayv1.ContainerName, map[commonv1.ReplicaType]int32{arrayv1.Task: 3}),
		}})
		conformExample(t, c, launcherjob.Controller{}, &launcherv1.LauncherJob{Spec: launcherv1.LauncherJobSpec{
			ReplicaSpecs: specs(launcherv1.ContainerName, map[commonv1.ReplicaType]int32{launcherv1.Launcher: 1, launcherv1.Worker: 2}),
		}})
		conformExample(t, c, old.Adapted(), &bagv1.BagJob{Spec: bagv1.BagJobSpec{
			BagReplicaSpecs: specs(bagv1.ContainerName, map[commonv1.ReplicaType]int32{bagv1.Master: 1, bagv1.Worker: 2}),
		}})
	})
}

// conform runs a kind with the job of the other tests.
func conform[J client.Object](author jobkit.ControllerInterface[J]) func(*testing.T, *kind) {
	return func(t *testing.T, k *kind) {
		object, err := cluster.client.Scheme().New(k.object().GroupVersionKind())
		if err == nil {
			err = yaml.UnmarshalStrict([]byte(k.manifest(manifest{})), object)
		}
		job, ok := object.(J)
		if err != nil || !ok {
			t.Fatalf("%T: %v", object, err)
		}
		conformance.RunOnCluster(t, cluster.client, author, job)
	}
}

func conformExample[J client.Object](t *testing.T, c client.Client, author jobkit.ControllerInterface[J], job J) {
	t.Helper()
	gvk, err := c.GroupVersionKindFor(job)
	if err != nil {
		t.Fatal(err)
	}
	t.Run(gvk.Kind, func(t *testing.T) {
		t.Parallel()
		conformance.RunOnCluster(t, c, author, job)
	})
}

// noOperator: the cases notice that nothing happens, and say in words what should have.
func noOperator(t *testing.T, c client.Client) {
	t.Helper()
	suite := conformance.Suite[*testv1.TestJob]{Author: testjob.Controller{}, Job: &testv1.TestJob{Spec: testv1.TestJobSpec{
		TestReplicaSpecs: specs(testv1.ContainerName, map[commonv1.ReplicaType]int32{testv1.Master: 1}),
	}}, Patience: 10 * time.Millisecond}
	for name, want := range map[string]string{
		"Success":   "P3: all pods have succeeded, but the job is not taken up",
		"Deadline":  "P7: the job should have failed: it is not taken up",
		"Suspended": "P3: the job was suspended, but is not taken up",
		"Deleted":   "P3: the job has no pods",
	} {
		found, err := suite.CheckOnCluster(t.Context(), c, name)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != 1 || !strings.HasPrefix(found[0].Error(), name+": "+want) || !strings.Contains(found[0].Transcript, "user: creates the job") {
			t.Errorf("without an operator the case %s should find %q, and how it came to that: %v", name, want, found)
		}
	}
}

// specs are replica specs, each with so many replicas.
func specs(container string, replicas map[commonv1.ReplicaType]int32) map[commonv1.ReplicaType]*commonv1.ReplicaSpec {
	out := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}
	for t, n := range replicas {
		out[t] = &commonv1.ReplicaSpec{Replicas: &n, Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: container, Image: "program"}},
		}}}
	}
	return out
}

// clientOfExamples serves the kinds that have no CRD of their own.
func clientOfExamples(t *testing.T) client.Client {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, testv1.AddToScheme, headv1.AddToScheme, arrayv1.AddToScheme, launcherv1.AddToScheme, bagv1.AddToScheme, apiextensionsv1.AddToScheme,
	} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(cluster.config, client.Options{Scheme: known})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"HeadWorkersJob", "ArrayJob", "LauncherJob", "BagJob"} {
		if err := c.Create(t.Context(), anyJobs(kind)); err != nil {
			t.Fatal(err)
		}
	}
	// A CRD is served a moment after it exists.
	eventually(t, "the kinds are served", func(ctx context.Context) string {
		for _, list := range []client.ObjectList{&headv1.HeadWorkersJobList{}, &arrayv1.ArrayJobList{}, &launcherv1.LauncherJobList{}, &bagv1.BagJobList{}} {
			if err := c.List(ctx, list); err != nil {
				return err.Error()
			}
		}
		return ""
	})
	return c
}

// anyJobs is a CRD that admits every job of a kind of example.com/v1.
func anyJobs(kind string) *apiextensionsv1.CustomResourceDefinition {
	singular := strings.ToLower(kind)
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: singular + "s.example.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, ListKind: kind + "List", Plural: singular + "s", Singular: singular},
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

// runExamples runs the operators of the examples until the test, with all that it runs, is over.
func runExamples(t *testing.T) {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, testv1.AddToScheme, headv1.AddToScheme, arrayv1.AddToScheme, launcherv1.AddToScheme, bagv1.AddToScheme,
	} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	mgr, err := ctrl.NewManager(cluster.config, ctrl.Options{
		Scheme: known, Cache: controller.CacheOptions(&corev1.ConfigMap{}), Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := testjob.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	setUp(t, mgr, headworkers.Controller{})
	setUp(t, mgr, arrayjob.Controller{})
	setUp(t, mgr, launcherjob.Controller{})
	setUp(t, mgr, old.Adapted())
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// setUp adds the controller of a kind to a manager.
func setUp[J client.Object](t *testing.T, mgr ctrl.Manager, author jobkit.ControllerInterface[J]) {
	t.Helper()
	jobs := &controller.JobController[J]{Controller: author}
	if err := jobs.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
}
