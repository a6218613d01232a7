package plan_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
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

// TestOldViewOfAPodThatIsGone lets the cache go back in time: a pod that was
// counted, and whose place another pod has taken, shows up once more.
func TestOldViewOfAPodThatIsGone(t *testing.T) {
	m := started(workers(1), restartPolicy(commonv1.RestartPolicyOnFailure))
	old := m.pod("worker-0")
	old.ResourceVersion = "100"
	m.restartInPlace(old)
	m.restartInPlace(old)
	m.settle()
	m.drop(old)
	m.settle()
	m.run()
	now := m.pod("worker-0")
	now.ResourceVersion = "200"
	m.restartInPlace(now)
	m.settle()
	if got := m.in.Status.Restarts; got != 3 {
		t.Fatalf("2 of the old pod and 1 of the new are 3, got %d", got)
	}
	for _, view := range []*corev1.Pod{old, now, old, now} {
		m.in.Pods = []*corev1.Pod{view}
		m.settle()
	}
	if got := m.in.Status.Restarts; got != 3 {
		t.Errorf("an old view of a pod must not be counted again, got %d", got)
	}
}

func TestSuspendedJobThatFails(t *testing.T) {
	m := newModel(workers(1))
	m.in.RunPolicy.Suspend = new(true)
	m.settle()
	m.in.Problem = "a mistake"
	m.settle()
	if s := &m.in.Status; !s.IsTrue(commonv1.JobFailed) || s.IsTrue(commonv1.JobSuspended) {
		t.Errorf("a job that failed is not suspended: %q", conditions(s))
	}
}

// TestAttemptLabelThatSomebodyChanged: whatever somebody writes into the attempt
// label of a pod, its failure is one restart, and a restart of the whole job leaves
// no pod out.
func TestAttemptLabelThatSomebodyChanged(t *testing.T) {
	for _, label := range []string{"1", "2", "7", "2147483647", "2147483646", "-1", "x"} {
		for _, scope := range []commonv1.RestartScope{commonv1.RestartScopeReplica, commonv1.RestartScopeJob} {
			for _, whose := range []string{"worker-0", "worker-1"} {
				t.Run(label+" "+string(scope)+" "+whose, func(t *testing.T) {
					m := started(workers(2), restartPolicy(commonv1.RestartPolicyExitCode))
					m.in.RunPolicy.RestartScope = &scope
					old := m.pod("worker-1").UID
					m.pod(whose).Labels[commonv1.AttemptLabel] = label
					m.end(m.pod("worker-0"), 137)
					m.settle()
					if first, other := m.pod("worker-0"), m.pod("worker-1"); scope == commonv1.RestartScopeJob &&
						first != nil && first.Status.Phase == corev1.PodFailed && other != nil && other.UID != old {
						t.Errorf("worker-1 was restarted before the failed pod of worker-0 is gone")
					}
					m.in.Now = m.in.Now.Add(time.Hour)
					m.settle()
					if got := m.in.Status.Restarts; got != 1 {
						t.Errorf("%d restarts were counted, want 1: %+v", got, m.in.Status)
					}
					if again := m.pod("worker-0"); again == nil || again.Status.Phase != corev1.PodPending {
						t.Errorf("the replica that failed was not restarted: %+v", again)
					}
					if other := m.pod("worker-1"); other == nil || (other.UID == old) != (scope == commonv1.RestartScopeReplica) {
						t.Errorf("with restart scope %s the other replica has the pod %+v", scope, other)
					}
				})
			}
		}
	}
}

// TestOldViewAfterTheEnd lets the cache go back in time when the job has succeeded:
// pods that ended seem to run, and then to end once more.
func TestOldViewAfterTheEnd(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 3})
	m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
	m.settle()
	m.run()
	m.settle()
	m.end(m.pod("master-0"), 0)
	m.settle()
	old := make([]*corev1.Pod, 0, len(m.in.Pods))
	for _, p := range m.in.Pods {
		old = append(old, p.DeepCopy())
	}
	for range 2 {
		now := m.in.Pods
		for _, p := range now {
			m.end(p, 0)
		}
		m.in.Now = m.in.Now.Add(time.Minute)
		m.settle()
		if got := m.in.Status.ReplicaStatuses[worker]; got.Active != 0 || got.Succeeded != 3 {
			t.Errorf("3 workers ended well, the status counts %+v", got)
		}
		m.in.Pods, m.in.Now = old, m.in.Now.Add(time.Minute)
		m.settle()
		m.in.Pods = now
	}
}
