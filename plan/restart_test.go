package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

func TestFailuresAreRecorded(t *testing.T) {
	m := started(workers(2), restartPolicy(commonv1.RestartPolicyExitCode))
	m.in.Now = epoch.Add(time.Minute)
	first := m.pod("worker-0")
	first.Spec.NodeName = "node-7"
	m.end(first, 137)
	first.Status.ContainerStatuses[0].State.Terminated.Reason = "OOMKilled"
	first.Status.ContainerStatuses[0].State.Terminated.Message = strings.Repeat("x", 1000)
	m.settle()
	m.run()
	m.settle()
	m.in.Now = epoch.Add(2 * time.Minute)
	m.evict(m.pod("worker-1"))
	m.settle()
	want := []commonv1.ReplicaFailure{
		{
			Time: metav1.NewTime(epoch.Add(time.Minute)), Type: worker, Index: 0, Node: "node-7",
			Reason: "OOMKilled", ExitCode: new(int32(137)), Message: strings.Repeat("x", 256),
		},
		{Time: metav1.NewTime(epoch.Add(2 * time.Minute)), Type: worker, Index: 1, Reason: "Evicted"},
	}
	if diff := cmp.Diff(want, m.in.Status.Failures); diff != "" {
		t.Errorf("each failure is recorded once, and survives its pod (-want +got):\n%s", diff)
	}
}

func TestOnlyTheLastFailuresAreKept(t *testing.T) {
	m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
	for range commonv1.MaxFailures + 3 {
		m.end(m.pod("worker-0"), 137)
		m.settle()
		m.in.Now = m.in.Now.Add(time.Hour)
		m.settle()
		m.run()
		m.settle()
	}
	got := m.in.Status.Failures
	if len(got) != commonv1.MaxFailures || got[len(got)-1].Attempt != commonv1.MaxFailures+2 {
		t.Errorf("want the last %d, got %+v", commonv1.MaxFailures, got)
	}
}
