package plan_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// started is a job whose pods run.
func started(replicas map[commonv1.ReplicaType]int32, change func(*model)) *model {
	m := newModel(replicas)
	if change != nil {
		change(m)
	}
	m.reconcileUntilStable()
	m.run()
	m.reconcileUntilStable()
	return m
}

func workers(n int32) map[commonv1.ReplicaType]int32 {
	return map[commonv1.ReplicaType]int32{worker: n}
}

func restartPolicy(p commonv1.RestartPolicy) func(*model) {
	return func(m *model) { m.in.Replicas[worker].RestartPolicy = p }
}

// TestKnownBugs shows, row by row, that bugs of this library's predecessors are
// not here. docs/maintainers/known-bugs.md lists the rows and where each is dealt with.
func TestKnownBugs(t *testing.T) {
	// A finished job without completion time and with a TTL is no crash.
	t.Run("Row1NoCompletionTime", func(t *testing.T) {
		m := newModel(workers(1))
		m.in.RunPolicy.TTLSecondsAfterFinished = new(int32(60))
		m.in.Status.Conditions = []commonv1.JobCondition{{
			Type: commonv1.JobFailed, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(epoch.Add(-time.Minute)),
		}}
		p := m.decide()
		if p.Status.CompletionTime == nil || !p.Status.CompletionTime.Equal(new(metav1.NewTime(epoch.Add(-time.Minute)))) {
			t.Errorf("the completion time is that of the condition, got %v", p.Status.CompletionTime)
		}
		if len(p.Actions) != 1 || p.Actions[0] != (plan.DeleteJob{Reason: "ttlSecondsAfterFinished 60 has passed"}) {
			t.Errorf("the time to live has passed: %v", p.Actions)
		}
	})
	// A job without a clean pod policy keeps its pods.
	t.Run("Row2NoCleanPodPolicy", func(t *testing.T) {
		m := started(workers(2), nil)
		m.in.RunPolicy = commonv1.RunPolicy{}
		m.end(m.pod("worker-0"), 1)
		m.reconcileUntilStable()
		if len(m.in.Pods) != 2 || m.in.Status.State != commonv1.JobFailed {
			t.Errorf("%d pods are left, the job is %s", len(m.in.Pods), m.in.Status.State)
		}
	})
	// The wait for the TTL is what is left of it.
	t.Run("Row3RestOfTheTTL", func(t *testing.T) {
		m := started(workers(1), nil)
		m.in.RunPolicy.TTLSecondsAfterFinished = new(int32(3600))
		m.end(m.pod("worker-0"), 0)
		m.reconcileUntilStable()
		m.in.Now = epoch.Add(100 * time.Second)
		m.reconcileUntilStable() // the counts that were held back
		if p := m.decide(); p.RequeueAfter != 3500*time.Second || p.StatusChange != plan.StatusUnchanged || len(p.Actions) > 0 {
			t.Errorf("want one requeue after 3500s and nothing else, got %+v", p)
		}
	})
	// Containers of pods that are pending, and of pods that are gone, count.
	t.Run("Row5PendingAndGonePodsCount", func(t *testing.T) {
		m := newModel(workers(2))
		restartPolicy(commonv1.RestartPolicyOnFailure)(m)
		m.in.RunPolicy.BackoffLimit = new(int32(3))
		m.reconcileUntilStable()
		crashing := m.pod("worker-0") // its init container crashes: the pod never runs
		crashing.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "init", RestartCount: 2}}
		m.reconcileUntilStable()
		m.drop(crashing)
		m.reconcileUntilStable()
		m.restartInPlace(m.pod("worker-0"))
		m.reconcileUntilStable()
		if s := m.in.Status; s.Restarts != 3 || s.Finished() {
			t.Errorf("2 of the pod that is gone and 1 of the next are within the limit of 3: %d, %s", s.Restarts, s.State)
		}
		m.restartInPlace(m.pod("worker-0"))
		m.reconcileUntilStable()
		if s := m.in.Status; s.Restarts != 4 || s.State != commonv1.JobFailed {
			t.Errorf("the fourth is not: %d, %s", s.Restarts, s.State)
		}
	})
	// A failed pod is recreated under OnFailure and Always.
	t.Run("Row6FailedPodIsRecreated", func(t *testing.T) {
		for _, policy := range []commonv1.RestartPolicy{commonv1.RestartPolicyOnFailure, commonv1.RestartPolicyAlways} {
			m := started(workers(1), restartPolicy(policy))
			old := m.pod("worker-0")
			m.evict(old)
			m.reconcileUntilStable()
			if now := m.pod("worker-0"); now == nil || now.UID == old.UID || now.Labels[commonv1.AttemptLabel] != "1" {
				t.Errorf("%s: want a new pod of attempt 1, got %v", policy, now)
			}
		}
	})
	// Services go when no pod needs them, whatever the clean pod policy.
	t.Run("Row9ServicesWithoutPods", func(t *testing.T) {
		for _, policy := range []commonv1.CleanPodPolicy{commonv1.CleanPodPolicyAll, commonv1.CleanPodPolicyRunning, commonv1.CleanPodPolicyNone} {
			m := started(workers(2), func(m *model) {
				m.in.RunPolicy.CleanPodPolicy = &policy
				m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica)
			})
			m.end(m.pod("worker-0"), 0)
			m.end(m.pod("worker-1"), 0)
			m.reconcileUntilStable()
			if len(m.in.Services) > 0 || m.in.Status.State != commonv1.JobSucceeded {
				t.Errorf("%s: %d services are left, the job is %s", policy, len(m.in.Services), m.in.Status.State)
			}
		}
	})
	// Clean pod policy Running removes pending pods too.
	t.Run("Row10PendingPodsAreCleanedUp", func(t *testing.T) {
		m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, func(m *model) {
			m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyRunning)
			m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
		})
		m.pod("worker-0").Status.Phase = corev1.PodPending
		m.end(m.pod("master-0"), 0)
		m.reconcileUntilStable()
		if m.pod("worker-0") != nil || m.pod("master-0") == nil {
			t.Errorf("the pending worker goes, the master that ended stays: %d pods", len(m.in.Pods))
		}
	})
	// Replicas beyond the number wanted go.
	t.Run("Row11SurplusReplicas", func(t *testing.T) {
		m := started(workers(3), nil)
		m.in.Replicas[worker].Replicas = new(int32(1))
		m.reconcileUntilStable()
		if len(m.in.Pods) != 1 || m.pod("worker-0") == nil {
			t.Errorf("%d pods are left", len(m.in.Pods))
		}
	})
	// The labels are the controller's own and name the kind.
	t.Run("Row14OwnLabels", func(t *testing.T) {
		set := (&jobkit.Kind{OperatorName: "testjob-controller"}).JobLabels("job")
		want := "training.kubeflow.org/job-name=job,training.kubeflow.org/operator-name=testjob-controller"
		if diff := cmp.Diff(want, set.String()); diff != "" {
			t.Error(diff)
		}
	})
	// A finished job is written once, and its end is reported once.
	t.Run("Row17FinishedIsWrittenOnce", func(t *testing.T) {
		m := started(workers(1), nil)
		m.end(m.pod("worker-0"), 0)
		if p := m.reconcile(); len(p.Events) != 1 {
			t.Errorf("want one event, got %v", p.Events)
		}
		m.in.Now = m.in.Now.Add(time.Hour)
		m.reconcileUntilStable()
		for range 3 {
			m.in.Now = m.in.Now.Add(time.Hour)
			if p := m.reconcile(); p.StatusChange != plan.StatusUnchanged || len(p.Actions)+len(p.Events) > 0 {
				t.Errorf("nothing is left to do or to report: %+v", p)
			}
		}
	})
	// A second pod of one index is removed.
	t.Run("Row19SecondPodOfAnIndex", func(t *testing.T) {
		m := started(workers(1), nil)
		twin := m.pod("worker-0").DeepCopy()
		twin.Name, twin.UID = "job-worker-0-copy", "copy"
		m.in.Pods = append(m.in.Pods, twin)
		p := m.reconcile()
		want := []plan.Action{plan.DeletePod{Name: twin.Name, UID: "copy", Reason: "the job does not want this replica"}}
		if diff := cmp.Diff(want, p.Actions); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := m.in.Status.ReplicaStatuses[worker].Active; got != 1 {
			t.Errorf("the replica is counted once, got %d", got)
		}
	})
	// An exit code is reported once.
	t.Run("Row20ExitCodeOnce", func(t *testing.T) {
		m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
		m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"0": 3} // so that the failed pod stays for a while
		m.pod("worker-0").Labels[commonv1.AttemptLabel] = "3"
		m.end(m.pod("worker-0"), 137)
		emitted := 0
		for range 5 {
			for _, e := range m.reconcile().Events {
				if e.Reason == "ExitedWithCode" {
					emitted++
				}
			}
		}
		if emitted != 1 {
			t.Errorf("emitted %d times", emitted)
		}
	})
	// Restarting ends with the job.
	t.Run("Row21RestartingEnds", func(t *testing.T) {
		m := started(workers(2), restartPolicy(commonv1.RestartPolicyExitCode))
		m.end(m.pod("worker-0"), 137)
		m.reconcileUntilStable()
		if m.in.Status.State != commonv1.JobRestarting {
			t.Fatalf("the job is %s", m.in.Status.State)
		}
		m.end(m.pod("worker-1"), 1)
		m.reconcileUntilStable()
		if c := m.in.Status.Condition(commonv1.JobRestarting); c != nil || m.in.Status.State != commonv1.JobFailed {
			t.Errorf("want Failed and no Restarting, got %q", conditions(&m.in.Status))
		}
	})
	// A new message is written although the reason is the same.
	t.Run("Row21NewMessage", func(t *testing.T) {
		m := started(workers(1), nil)
		m.in.Problem = "one thing"
		m.reconcileUntilStable()
		m.in.Problem = "another thing"
		m.reconcileUntilStable()
		if got := m.in.Status.Condition(commonv1.JobStalled).Message; !strings.Contains(got, "another thing") {
			t.Errorf("got %q", got)
		}
	})
	// A job that waits is not written to for that.
	t.Run("Row28NoWriteWhileWaiting", func(t *testing.T) {
		m := newModel(workers(2))
		m.reconcileUntilStable() // its pods are pending from now on
		m.in.Now = m.in.Now.Add(time.Minute)
		m.reconcileUntilStable() // and it has said why they do not start
		written := m.in.Status.LastReconcileTime
		for range 3 {
			m.in.Now = m.in.Now.Add(time.Hour)
			if p := m.reconcile(); p.StatusChange != plan.StatusUnchanged || p.RequeueAfter != 0 || !written.Equal(p.Status.LastReconcileTime) {
				t.Errorf("a write would cause the next pass, and that the next write: %+v", p)
			}
		}
	})
	// Recreated pods count against the limit.
	t.Run("Row30RecreatedPodsCount", func(t *testing.T) {
		m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
		m.in.RunPolicy.BackoffLimit = new(int32(2))
		failures := 0
		for ; failures < 10 && !m.in.Status.Finished(); failures++ {
			m.end(m.pod("worker-0"), 137)
			m.reconcileUntilStable()
			m.in.Now = m.in.Now.Add(time.Hour)
			m.reconcileUntilStable()
			m.run()
			m.reconcileUntilStable()
		}
		if failures != 3 || m.in.Status.Restarts != 2 {
			t.Errorf("2 restarts allow 3 failures; there were %d and %d", m.in.Status.Restarts, failures)
		}
	})
	// A failure of all replicas at once is one restart of the job.
	t.Run("Row32OneRestartForAll", func(t *testing.T) {
		m := started(workers(3), restartPolicy(commonv1.RestartPolicyExitCode))
		m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
		m.in.RunPolicy.BackoffLimit = new(int32(1))
		crash := func() {
			for _, pod := range m.in.Pods {
				m.end(pod, 137)
			}
			m.reconcileUntilStable()
			m.in.Now = m.in.Now.Add(time.Hour)
			m.reconcileUntilStable()
			m.run()
			m.reconcileUntilStable()
		}
		if crash(); m.in.Status.Restarts != 1 || m.in.Status.State != commonv1.JobRunning {
			t.Errorf("the limit of 1 allows one: %d, %s", m.in.Status.Restarts, m.in.Status.State)
		}
		if crash(); m.in.Status.Restarts != 1 || m.in.Status.State != commonv1.JobFailed {
			t.Errorf("the second time the job fails: %d, %s", m.in.Status.Restarts, m.in.Status.State)
		}
	})
	// The Master's success goes before a Worker's failure.
	t.Run("Row36SuccessBeforeFailure", func(t *testing.T) {
		m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, func(m *model) {
			m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
		})
		m.end(m.pod("worker-0"), 1)
		m.end(m.pod("master-0"), 0)
		m.reconcileUntilStable()
		if m.in.Status.State != commonv1.JobSucceeded {
			t.Errorf("the job is %s", m.in.Status.State)
		}
	})
	// A failed pod that is being deleted counts once.
	t.Run("Row38TerminatingFailureCountsOnce", func(t *testing.T) {
		m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
		pod := m.pod("worker-0")
		m.in.Now = epoch.Add(time.Minute)
		m.end(pod, 137)
		m.in.Now = epoch.Add(2 * time.Minute)
		m.terminate(pod)
		for range 3 {
			m.reconcile()
		}
		if m.in.Status.Restarts != 1 {
			t.Errorf("counted %d times", m.in.Status.Restarts)
		}
	})
	// A pod that failed without an exit code gets none.
	t.Run("Row41NoExitCode", func(t *testing.T) {
		m := started(workers(1), restartPolicy(commonv1.RestartPolicyExitCode))
		m.pod("worker-0").Status = corev1.PodStatus{Phase: corev1.PodFailed}
		m.reconcileUntilStable()
		s := m.in.Status
		if s.Restarts != 1 || len(s.Failures) != 1 || s.Failures[0].ExitCode != nil {
			t.Errorf("it is restarted, and the failure has no exit code: %d, %+v", s.Restarts, s.Failures)
		}
	})
	// A failed pod that its node may run again is cleaned up.
	t.Run("Row46FailedPodIsCleanedUp", func(t *testing.T) {
		m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, func(m *model) {
			m.in.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyRunning)
			m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
			m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyOnFailure
		})
		m.end(m.pod("worker-0"), 1)
		m.end(m.pod("master-0"), 0)
		m.reconcileUntilStable()
		if m.pod("worker-0") != nil || m.pod("master-0") == nil {
			t.Errorf("the worker goes, the master that ended stays: %d pods", len(m.in.Pods))
		}
	})
	// Replicas 0 creates nothing.
	t.Run("Row59NoReplicas", func(t *testing.T) {
		m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 1})
		m.in.Replicas[worker].Replicas = new(int32(0))
		m.reconcileUntilStable()
		if len(m.in.Pods) != 1 {
			t.Errorf("there are %d pods", len(m.in.Pods))
		}
	})
	// A unexpected pod brings no others.
	t.Run("Row60UnexpectedPod", func(t *testing.T) {
		m := started(workers(2), nil)
		unexpected := m.pod("worker-0").DeepCopy()
		unexpected.Name, unexpected.UID, unexpected.Labels[commonv1.ReplicaIndexLabel] = "job-worker-5", "unexpected", "5"
		m.in.Pods = append(m.in.Pods, unexpected)
		m.writes = 0
		if m.reconcileUntilStable(); len(m.in.Pods) != 2 || m.writes != 1 {
			t.Errorf("the unexpected pod goes and nothing else happens: %d pods, %d writes", len(m.in.Pods), m.writes)
		}
	})
	// Strange index labels neither crash nor multiply.
	t.Run("Row61StrangeIndexLabels", func(t *testing.T) {
		for _, label := range []string{"-1", "x", "99999999999999999999"} {
			m := started(workers(1), nil)
			m.pod("worker-0").Labels[commonv1.ReplicaIndexLabel] = label
			m.pod("worker-0").Labels[commonv1.AttemptLabel] = label
			if m.reconcileUntilStable(); len(m.in.Pods) != 1 {
				t.Errorf("%s: there are %d pods", label, len(m.in.Pods))
			}
		}
	})
	// A failed pod that the job does not want is no failure.
	t.Run("Row62FailedSurplusPod", func(t *testing.T) {
		m := started(workers(2), restartPolicy(commonv1.RestartPolicyExitCode))
		m.end(m.pod("worker-1"), 137)
		m.in.Replicas[worker].Replicas = new(int32(1))
		want := []plan.Action{plan.DeletePod{Name: "job-worker-1", UID: m.pod("worker-1").UID, Reason: "the job does not want this replica"}}
		p := m.reconcile()
		if diff := cmp.Diff(want, p.Actions); diff != "" {
			t.Errorf("it is deleted, once (-want +got):\n%s", diff)
		}
		m.reconcileUntilStable()
		if s := m.in.Status; s.State != commonv1.JobRunning || s.Restarts != 0 || s.ReplicaStatuses[worker].Failed != 0 {
			t.Errorf("the job continues, and counts neither a restart nor a failed replica: %+v", s)
		}
	})
	// An empty managedBy is this controller.
	t.Run("Row72EmptyManagedBy", func(t *testing.T) {
		m := newModel(workers(1))
		m.in.RunPolicy.ManagedBy = new("")
		if m.reconcileUntilStable(); len(m.in.Pods) != 1 {
			t.Error("the job was left alone")
		}
	})
	// The state is what is true last, not what changed last.
	t.Run("Row78State", func(t *testing.T) {
		m := started(workers(1), nil)
		m.in.RunPolicy.Suspend = new(true)
		m.reconcileUntilStable()
		if got := m.in.Status.State; got != commonv1.JobSuspended {
			t.Errorf("the job is %s", got)
		}
		m.in.RunPolicy.Suspend = new(false)
		if m.reconcileUntilStable(); m.in.Status.State == commonv1.JobSuspended {
			t.Errorf("a job that was resumed is not suspended: %q", conditions(&m.in.Status))
		}
		m.run()
		if m.reconcileUntilStable(); m.in.Status.State != commonv1.JobRunning {
			t.Errorf("the job is %s", m.in.Status.State)
		}
	})
	// Restarting ends when the job succeeds or is suspended.
	t.Run("Row79RestartingEnds", func(t *testing.T) {
		ends := map[commonv1.JobConditionType]func(*model){
			commonv1.JobSucceeded: func(m *model) { m.end(m.pod("master-0"), 0) },
			commonv1.JobSuspended: func(m *model) { m.in.RunPolicy.Suspend = new(true) },
		}
		for want, end := range ends {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, func(m *model) {
				m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
				m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyExitCode
			})
			m.end(m.pod("worker-0"), 137)
			if m.reconcileUntilStable(); m.in.Status.State != commonv1.JobRestarting {
				t.Fatalf("the job is %s", m.in.Status.State)
			}
			end(m)
			m.reconcileUntilStable()
			if s := &m.in.Status; s.State != want || s.Condition(commonv1.JobRestarting) != nil {
				t.Errorf("want %s and no Restarting, got %q", want, conditions(s))
			}
		}
	})
	// Each event is reported once, and that a job failed is a warning.
	t.Run("Row82EventsOnce", func(t *testing.T) {
		m := newModel(workers(1))
		var emitted []plan.Event
		pass := func(change func()) {
			change()
			for range 3 {
				m.in.Now = m.in.Now.Add(5 * time.Second)
				emitted = append(emitted, m.reconcile().Events...)
			}
		}
		pass(func() { m.in.RunPolicy.Suspend = new(true) })
		pass(func() { m.in.RunPolicy.Suspend = new(false) })
		pass(m.run)
		pass(func() { m.end(m.pod("worker-0"), 1) })
		var got []string
		for _, e := range emitted {
			got = append(got, fmt.Sprintf("%s warning=%t", e.Reason, e.Warning))
		}
		want := []string{
			"TestJobSuspended warning=false", "TestJobResumed warning=false",
			"TestJobFailed warning=true", "ExitedWithCode warning=true",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	// Replicas are counted while their pods terminate.
	t.Run("Row84TerminatingPodsCount", func(t *testing.T) {
		m := started(workers(1), nil)
		m.terminate(m.pod("worker-0"))
		m.in.RunPolicy.Suspend = new(true)
		m.reconcileUntilStable()
		if got := m.in.Status.ReplicaStatuses[worker].Active; got != 1 {
			t.Errorf("the pod still runs, and %d are counted", got)
		}
	})
	// Pods are found by a name of their own, without a service each.
	t.Run("Row87NamesWithoutServices", func(t *testing.T) {
		m := started(workers(3), nil)
		if len(m.in.Services) != 1 || m.in.Services[0].Name != "job" || m.in.Services[0].Spec.ClusterIP != corev1.ClusterIPNone {
			t.Fatalf("want one headless service, of the job's name: %v", m.in.Services)
		}
		for _, pod := range m.in.Pods {
			if pod.Spec.Hostname != pod.Name || pod.Spec.Subdomain != "job" {
				t.Errorf("%s is to be found as %s.job, not as %s.%s", pod.Name, pod.Name, pod.Spec.Hostname, pod.Spec.Subdomain)
			}
		}
	})
}
