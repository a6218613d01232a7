//go:build integration

package gang

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/schedulers"
	"github.com/jobkit/jobkit/operators/xgboostjob"
)

// TestAnotherVersion speaks v1alpha3 of the API, whose objects have no Go types here. The
// scheduler of Kubernetes v1.37 needs v1beta1, so a cluster with nothing but v1alpha3 has
// no gang scheduling, and both are served.
func TestAnotherVersion(t *testing.T) {
	detected, err := gang.Detect(cluster.RESTMapper(), schedulers.ByName("kubernetes", schedulers.Options{}))
	if err != nil || detected != schedulers.ByName("kubernetes", schedulers.Options{Version: "v1beta1"}) {
		t.Errorf("of two versions the better is chosen, got %#v, %v", detected, err)
	}
	operateXGBoost(t, schedulers.ByName("kubernetes", schedulers.Options{Version: "v1alpha3"}))
	ns := namespace(t)
	filler := onePod(ns)
	create(t, filler)
	eventually(t, "the filler is bound", func() string { return expect(bound(t, ns, ""), 1) })
	template := corev1.PodTemplateSpec{Spec: onePod(ns).Spec}
	template.Spec.Containers[0].Name = kubeflowv1.XGBoostJobDefaultContainerName
	job := &kubeflowv1.XGBoostJob{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "train"}}
	t.Cleanup(func() { _ = cluster.Delete(context.Background(), job) })
	job.Spec.XGBReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
		"Master": {Replicas: new(int32(1)), Template: template}, "Worker": {Replicas: new(int32(3)), Template: template},
	}
	create(t, job)
	read := func() *kubeflowv1.XGBoostJob {
		if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
			t.Fatal(err)
		}
		return job
	}
	eventually(t, "with room for three of four pods none is bound, and the job says why", func() string {
		c := read().Status.Condition(commonv1.JobStalled)
		if c == nil || !strings.Contains(c.Message, "waits for 4 of 4 pods to fit: 0/4 nodes are available: 4 Insufficient cpu.") {
			return fmt.Sprint(job.Status.Conditions)
		}
		return expect(bound(t, ns, "train"), 0)
	})
	eventually(t, "the job can be scaled", func() string {
		read().Spec.XGBReplicaSpecs["Worker"].Replicas = new(int32(2))
		if err := cluster.Update(t.Context(), job); err != nil {
			return err.Error()
		}
		return ""
	})
	eventually(t, "the group becomes smaller, and fits", func() string { return expect(bound(t, ns, "train"), 3) })
	eventually(t, "it can be suspended", func() string {
		read().Spec.RunPolicy.Suspend = new(true)
		if err := cluster.Update(t.Context(), job); err != nil {
			return err.Error()
		}
		return ""
	})
	eventually(t, "its group goes", func() string { return expect(bound(t, ns, "train")+groups(t, ns), 0) })
}

// operateXGBoost runs an operator of XGBoostJobs until the test is over.
func operateXGBoost(t *testing.T, scheduler gang.Scheduler) {
	t.Helper()
	mgr, err := ctrl.NewManager(clusterConfig, ctrl.Options{
		Scheme: cluster.Scheme(), Metrics: server.Options{BindAddress: "0"}, Cache: controller.CacheOptions(scheduler.Kinds()...),
	})
	if err != nil {
		t.Fatal(err)
	}
	jobs := &controller.JobController[*kubeflowv1.XGBoostJob]{Controller: xgboostjob.Controller{}, Config: controller.Config{GangScheduler: scheduler}}
	if err := jobs.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
