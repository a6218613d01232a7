//go:build integration

package simjob_test

import (
	"context"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/devenv"
	simv1 "github.com/jobkit/jobkit/examples/simjob/api/v1"
	"github.com/jobkit/jobkit/examples/simjob/internal/simjob"
	"github.com/jobkit/jobkit/jobtest/conformance"
)

// TestOnAControlPlane runs the operator on a real control plane, which starts and ends with the
// test: the CRD is admitted, the example succeeds, jobs live as the library promises, and mistakes
// are refused.
func TestOnAControlPlane(t *testing.T) {
	config := devenv.Start(t, devenv.Options{CRDs: []string{"../../config/crd"}})
	startOperator(t, config)
	c, err := client.New(config, client.Options{Scheme: knownTypes(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Run("the example succeeds", func(t *testing.T) {
		if !devenv.RunsPods() {
			t.Skip("no pod runs on an API server without nodes")
		}
		job := exampleJob(t)
		if err := c.Create(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
			err := c.Get(ctx, client.ObjectKeyFromObject(job), job)
			return job.Status.State == commonv1.JobSucceeded, err
		})
		if err != nil {
			t.Errorf("%v: the job is %q: %+v", err, job.Status.State, job.Status.Conditions)
		}
	})
	t.Run("conformance", func(t *testing.T) { conformance.RunOnCluster(t, c, simjob.Controller{}, exampleJob(t)) })
	for _, tt := range []struct {
		reason string
		change func(*simv1.SimJob)
		want   string
	}{
		{"an unknown replica type", func(j *simv1.SimJob) {
			j.Spec.ReplicaSpecs["Boss"] = j.Spec.ReplicaSpecs[simv1.Coordinator]
		}, "remove or rename the others"},
		{"no main container", func(j *simv1.SimJob) {
			j.Spec.ReplicaSpecs[simv1.Coordinator].Template.Spec.Containers[0].Name = "other"
		}, `needs a container named "main"`},
		{"too many replicas", func(j *simv1.SimJob) {
			j.Spec.ReplicaSpecs[simv1.Coordinator].Replicas = new(int32(2))
		}, "set replicas of Coordinator to 1"},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			job := exampleJob(t)
			job.Name = "refused"
			tt.change(job)
			if err := c.Create(t.Context(), job); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("want a refusal with %q, got %v", tt.want, err)
			}
		})
	}
}

// startOperator runs the operator until the test ends.
func startOperator(t *testing.T, config *rest.Config) {
	t.Helper()
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: knownTypes(t), Cache: controller.CacheOptions(), Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := simjob.NewController().SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
