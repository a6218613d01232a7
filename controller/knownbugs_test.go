package controller_test

import (
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestKnownBugs is the part of plan's test of that name that needs the shell.
func TestKnownBugs(t *testing.T) {
	t.Run("Row4: errors of the API server and restarts of the operator are no restarts of the job", func(t *testing.T) {
		job := testJob(1)
		job.Spec.RunPolicy.BackoffLimit = new(int32(1))
		job.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
		b := newBench(t, testjob.Controller{}, job)
		b.fail = func(call string) error {
			if strings.HasPrefix(call, "create") {
				return apierrors.NewTimeoutError("busy", 1)
			}
			return nil
		}
		for range 10 {
			if _, _, err := b.reconcile(); err == nil {
				t.Fatal("a timeout is an error to be tried again")
			}
		}
		b.fail = nil
		for range 2 { // the second failure is one too many, whoever counted the first
			mustReconcile(t, b)
			b.setExit(137)
			mustReconcile(t, b)
			b.clock.SetTime(b.clock.Now().Add(time.Minute))
			b.restartOperator()
		}
		if s := b.job().Status; s.Restarts != 1 || s.State != commonv1.JobFailed {
			t.Errorf("one restart, then the end: %d, %s", s.Restarts, s.State)
		}
	})

	t.Run("Row8: a pod that is there already although the cache does not show it is no error", func(t *testing.T) {
		b := newBench(t, &blind{}, testJob(2))
		mustReconcile(t, b)
		b.restartOperator() // and with it what it remembered
		writes, _, err := b.reconcile()
		if err != nil {
			t.Fatalf("the pods are the job's own: %v", err)
		}
		if len(writes) == 0 {
			t.Fatal("the operator cannot have known of the pods")
		}
		if got := b.conditions(); len(got) != 1 {
			t.Errorf("nothing is wrong with the job: %q", got)
		}
	})

	t.Run("Row18: one failed create does not lose the status", func(t *testing.T) {
		b := newBench(t, testjob.Controller{}, testJob(4))
		b.fail = func(call string) error {
			if strings.HasPrefix(call, "create") {
				return apierrors.NewTimeoutError("busy", 1)
			}
			return nil
		}
		if _, _, err := b.reconcile(); err == nil {
			t.Fatal("want the error of the create")
		}
		if got := b.job().Status.State; got != commonv1.JobCreated {
			t.Errorf("the job is %q", got)
		}
	})

	t.Run("Row23: nothing imports k8s.io/kubernetes", func(t *testing.T) {
		mod, err := os.ReadFile("../go.mod")
		if err != nil {
			t.Fatal(err)
		}
		for _, unwanted := range []string{"k8s.io/kubernetes", "replace ", "sirupsen/logrus", "golang/glog"} {
			if strings.Contains(string(mod), unwanted) {
				t.Errorf("go.mod has %q", unwanted)
			}
		}
	})
}

// setExit ends the containers of every pod with a code.
func (b *bench) setExit(code int32) {
	b.t.Helper()
	var pods corev1.PodList
	if err := b.client.List(b.t.Context(), &pods); err != nil {
		b.t.Fatal(err)
	}
	for i := range pods.Items {
		pods.Items[i].Status = corev1.PodStatus{Phase: corev1.PodFailed, ContainerStatuses: []corev1.ContainerStatus{{
			Name: testv1.ContainerName, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code}},
		}}}
		if err := b.client.Status().Update(b.t.Context(), &pods.Items[i]); err != nil {
			b.t.Fatal(err)
		}
	}
}

// restartOperator forgets all that a process remembers.
func (b *bench) restartOperator() {
	b.t.Helper()
	if err := b.controller.Init(b.client.Scheme()); err != nil {
		b.t.Fatal(err)
	}
}
