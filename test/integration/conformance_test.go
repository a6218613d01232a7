//go:build integration

package integration

import (
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/arrayjob"
	arrayv1 "github.com/jobkit/jobkit/examples/arrayjob/v1"
	"github.com/jobkit/jobkit/examples/launcherjob"
	launcherv1 "github.com/jobkit/jobkit/examples/launcherjob/v1"
	"github.com/jobkit/jobkit/examples/legacy/old"
	bagv1 "github.com/jobkit/jobkit/examples/legacy/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest/conformance"
)

// anyJobs is a CRD that admits every job of a kind of example.com/v1.
func anyJobs(kind string) *apiextensionsv1.CustomResourceDefinition {
	crd := headWorkersCRD()
	singular := strings.ToLower(kind)
	crd.Name = singular + "s.example.com"
	crd.Spec.Names = apiextensionsv1.CustomResourceDefinitionNames{Kind: kind, ListKind: kind + "List", Plural: singular + "s", Singular: singular}
	return crd
}

// TestConformance has the kinds of the examples play the cases of package conformance: TestJob
// with the operator that its users run, the others with one of this process.
func TestConformance(t *testing.T) {
	t.Parallel()
	c := runExamples(t)
	t.Run("TestJob", func(t *testing.T) {
		t.Parallel()
		conformance.RunOnCluster(t, c, testjob.Controller{}, newJob("", "job", replicas(1), replicas(2)))
	})
	t.Run("ArrayJob", func(t *testing.T) {
		t.Parallel()
		job := &arrayv1.ArrayJob{}
		job.Spec.ReplicaSpecs = specs(arrayv1.ContainerName, arrayv1.Task, 3)
		conformance.RunOnCluster(t, c, arrayjob.Controller{}, job)
	})
	t.Run("LauncherJob", func(t *testing.T) {
		t.Parallel()
		job := &launcherv1.LauncherJob{}
		job.Spec.ReplicaSpecs = specs(launcherv1.ContainerName, launcherv1.Launcher, 1, launcherv1.Worker, 2)
		conformance.RunOnCluster(t, c, launcherjob.Controller{}, job)
	})
	t.Run("BagJob", func(t *testing.T) {
		t.Parallel()
		job := &bagv1.BagJob{}
		job.Spec.BagReplicaSpecs = specs(bagv1.ContainerName, bagv1.Master, 1, bagv1.Worker, 2)
		conformance.RunOnCluster(t, c, old.Adapted(), job)
	})
}

// specs are replica specs: types, each with a number.
func specs(container string, typesAndNumbers ...any) map[commonv1.ReplicaType]*commonv1.ReplicaSpec {
	out := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}
	for i := 0; i+1 < len(typesAndNumbers); i += 2 {
		spec := replicas(int32(typesAndNumbers[i+1].(int)))
		spec.Template.Spec.Containers[0].Name = container
		out[typesAndNumbers[i].(commonv1.ReplicaType)] = spec
	}
	return out
}

// runExamples serves the kinds that have no CRD of their own, and runs their operators until the
// test is over.
func runExamples(t *testing.T) client.Client {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		scheme.AddToScheme, testv1.AddToScheme, arrayv1.AddToScheme, launcherv1.AddToScheme, bagv1.AddToScheme, apiextensionsv1.AddToScheme,
	} {
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(cluster.config, client.Options{Scheme: known})
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"ArrayJob", "LauncherJob", bagv1.Kind} {
		if err := c.Create(t.Context(), anyJobs(kind)); err != nil {
			t.Fatal(err)
		}
		// A CRD is served a moment after it exists; the controllers wait for that.
	}
	mgr, err := ctrl.NewManager(cluster.config, ctrl.Options{
		Scheme: known, Cache: controller.CacheOptions(&corev1.ConfigMap{}), Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the kinds are served", func(ctx context.Context) string {
		for _, list := range []client.ObjectList{&arrayv1.ArrayJobList{}, &launcherv1.LauncherJobList{}, &bagv1.BagJobList{}} {
			if err := c.List(ctx, list); err != nil {
				return err.Error()
			}
		}
		return ""
	})
	setUp(t, mgr, arrayjob.Controller{}, "arrayjob")
	setUp(t, mgr, launcherjob.Controller{}, "launcherjob")
	setUp(t, mgr, old.Adapted(), "bagjob")
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
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

// setUp adds the controller of a kind to a manager.
func setUp[J client.Object](t *testing.T, mgr ctrl.Manager, author jobkit.ControllerInterface[J], name string) {
	t.Helper()
	jobs := &controller.JobController[J]{Controller: author, Recorder: controller.NewRecorder(mgr, name+"-controller")}
	if err := jobs.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
}
