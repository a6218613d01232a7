package controller_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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

	t.Run("Row8: a pod that exists already although the cache does not show it is no error", func(t *testing.T) {
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

	t.Run("Row57: a foreign service that looks like one of the job's stays", func(t *testing.T) {
		foreign := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "foreign", Labels: map[string]string{
			commonv1.JobNameLabel: "job", commonv1.OperatorNameLabel: "testjob-controller",
		}}}
		b := newBench(t, testjob.Controller{}, testJob(1), foreign)
		for _, phase := range []corev1.PodPhase{corev1.PodRunning, corev1.PodSucceeded} {
			mustReconcile(t, b)
			if slices.Contains(b.calls, "delete service foreign") {
				t.Errorf("it is deleted: %v", b.calls)
			}
			b.setPhase(phase)
		}
		mustReconcile(t, b)
		var left corev1.ServiceList
		if err := b.client.List(t.Context(), &left); err != nil || len(left.Items) != 1 || left.Items[0].Name != "foreign" {
			t.Errorf("it stays, and the job's own goes: %v, %v", left.Items, err)
		}
	})

	t.Run("Row129: replica types in another letter case are refused, unless the job was accepted with them", func(t *testing.T) {
		misspelt := func() *testv1.TestJob {
			job := testJob(1)
			job.Spec.TestReplicaSpecs["worker"] = job.Spec.TestReplicaSpecs[testv1.Worker]
			delete(job.Spec.TestReplicaSpecs, testv1.Worker)
			return job
		}
		b := newBench(t, testjob.Controller{}, misspelt())
		mustReconcile(t, b)
		s := b.job().Status
		if c := s.Condition(commonv1.JobFailed); c == nil || !strings.Contains(c.Message, `"worker": the letter case of replica types counts: write Worker`) {
			t.Errorf("a new job fails, and its message has the right spelling: %q", b.conditions())
		}
		job := misspelt()
		job.Status.Conditions = []commonv1.JobCondition{{Type: commonv1.JobCreated, Status: corev1.ConditionTrue}}
		b = newBench(t, testjob.Controller{}, job)
		mustReconcile(t, b)
		if !slices.Contains(b.calls, "create pod job-worker-0") || b.job().Status.IsTrue(commonv1.JobFailed) {
			t.Errorf("an older one continues: %v, %q", b.calls, b.conditions())
		}
	})

	t.Run("Row78: the column STATE is the state", func(t *testing.T) {
		crd, err := os.ReadFile("../config/crd/kubeflow.org_testjobs.yaml")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(crd), "- jsonPath: .status.state\n      name: State\n") {
			t.Error("the column State is not .status.state")
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
