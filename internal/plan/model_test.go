package plan_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

const (
	master = commonv1.ReplicaType("Master")
	worker = commonv1.ReplicaType("Worker")
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// model is a job and the world around it: just enough to execute plans and to
// let things happen to pods.
type model struct {
	in   plan.Input
	uids int
	// nodesAhead is how far the clocks of the nodes are ahead of the API server's.
	nodesAhead time.Duration
	// writes counts status writes, creates and deletes.
	writes int
	// hung counts the restarts of replicas that showed no progress.
	hung int32
	// wrote is true when the last reconcile wrote the status.
	wrote bool
	// written is when the status was last written, or from when the first one waits.
	written time.Time
}

func newModel(replicas map[commonv1.ReplicaType]int32) *model {
	m := &model{in: plan.Input{
		Kind: jobkit.Kind{
			Name: "TestJob", APIVersion: "kubeflow.org/v1", ReplicaSpecsField: "testReplicaSpecs",
			Roles: []jobkit.Role{{Type: master}, {Type: worker}}, ContainerName: "main",
		},
		Job:      plan.Job{Namespace: "ns", Name: "job", UID: "job-uid", Generation: 1},
		Replicas: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{},
		Backoff:  plan.DefaultBackoff(),
		Now:      epoch,
	}}
	for t, n := range replicas {
		m.in.Replicas[t] = &commonv1.ReplicaSpec{Replicas: &n, Template: corev1.PodTemplateSpec{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "image"}}},
		}}
	}
	m.in.Kind.SetDefaults()
	plan.SetDefaults(&m.in.Kind, &m.in.RunPolicy, m.in.Replicas)
	return m
}

// decide makes a plan without carrying it out.
func (m *model) decide() plan.Plan {
	return plan.Decide(&m.in, plan.TallyOf(&m.in), nil)
}

// reconcile makes a plan and carries it out.
func (m *model) reconcile() plan.Plan {
	p := m.decide()
	if m.wrote = m.isDue(&p); m.wrote {
		m.write(&p)
	}
	for _, a := range p.Actions {
		m.apply(a)
	}
	return p
}

// reconcileUntilStable reconciles until nothing is left to do. A status that can wait is written
// without the clock moving on: most tests are not about that moment.
func (m *model) reconcileUntilStable() {
	for range 20 {
		p := m.reconcile()
		if p.StatusChange != plan.StatusUnchanged && !m.wrote {
			m.write(&p)
		}
		if p.StatusChange == plan.StatusUnchanged && len(p.Actions) == 0 {
			return
		}
	}
}

// write writes the status of a plan.
func (m *model) write(p *plan.Plan) {
	m.in.Status, m.written = p.Status, m.in.Now
	m.hung += p.Restarts.Hung
	m.writes++
}

// isDue reports whether the status of a plan is written now: news at once, progress after a
// while, in place of the pacing of package controller.
func (m *model) isDue(p *plan.Plan) bool {
	if m.written.IsZero() {
		m.written = m.in.Now
	}
	switch p.StatusChange {
	case plan.StatusUnchanged:
		return false
	case plan.StatusNews:
		return true
	case plan.StatusCounts, plan.StatusProgress:
	}
	return !m.in.Now.Before(m.written.Add(2 * time.Second))
}

func (m *model) apply(a plan.Action) {
	m.writes++
	switch a := a.(type) {
	case plan.CreatePod:
		pod := plan.NewPod(&m.in, a, m.in.Replicas[a.Type].Template.DeepCopy())
		m.uids++
		pod.UID = types.UID("pod-" + strconv.Itoa(m.uids))
		pod.CreationTimestamp = metav1.NewTime(m.in.Now)
		pod.Status.Phase = corev1.PodPending
		m.in.Pods = append(m.in.Pods, pod)
	case plan.DeletePod:
		m.in.Pods = slices.DeleteFunc(m.in.Pods, func(p *corev1.Pod) bool { return p.UID == a.UID })
	case plan.CreateService:
		service := plan.NewService(&m.in, a)
		m.uids++
		service.UID = types.UID("service-" + strconv.Itoa(m.uids))
		m.in.Services = append(m.in.Services, service)
	case plan.DeleteService:
		m.in.Services = slices.DeleteFunc(m.in.Services, func(s *corev1.Service) bool { return s.UID == a.UID })
	case plan.CreateObject:
		if claim, ok := a.Object.(*corev1.PersistentVolumeClaim); ok {
			claim.UID, claim.ResourceVersion = types.UID("claim-"+strconv.Itoa(len(m.in.VolumeClaims))), "7"
			m.in.VolumeClaims = append(m.in.VolumeClaims, claim)
		}
	case plan.DeleteJob:
		m.in.Job.Deleted = true
	}
}

// pod finds a pod by the end of its name, for example "worker-0".
func (m *model) pod(name string) *corev1.Pod {
	for _, p := range m.in.Pods {
		if strings.HasSuffix(p.Name, "-"+name) {
			return p
		}
	}
	return nil
}

// run starts every pod that is pending.
func (m *model) run() {
	for _, p := range m.in.Pods {
		if p.Status.Phase == corev1.PodPending && p.DeletionTimestamp == nil {
			start := metav1.NewTime(m.in.Now.Add(m.nodesAhead))
			p.Status.Phase, p.Status.StartTime = corev1.PodRunning, &start
		}
	}
}

// end ends a pod with an exit code.
func (m *model) end(p *corev1.Pod, code int32) {
	p.Status.Phase = corev1.PodSucceeded
	if code != 0 {
		p.Status.Phase = corev1.PodFailed
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "main", RestartCount: restartCount(p),
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: code, FinishedAt: metav1.NewTime(m.in.Now.Add(m.nodesAhead)),
		}},
	}}
	m.report(p)
}

// report marks that the kubelet has just written the status of a pod.
func (m *model) report(p *corev1.Pod) {
	p.ManagedFields = []metav1.ManagedFieldsEntry{
		{Manager: "operator", Time: new(metav1.NewTime(p.CreationTimestamp.Time)), FieldsV1: metav1.NewFieldsV1(`{"f:spec":{}}`)},
		{
			Manager: "kubelet", Subresource: "status", Time: new(metav1.NewTime(m.in.Now.Truncate(time.Second))),
			FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:phase":{}}}`),
		},
	}
}

// evict fails a pod without an exit code.
func (m *model) evict(p *corev1.Pod) {
	p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted"
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "TerminationByKubelet",
		LastTransitionTime: metav1.NewTime(m.in.Now.Add(m.nodesAhead)),
	}}
	m.report(p)
}

// restartInPlace restarts the container of a pod.
func (m *model) restartInPlace(p *corev1.Pod) {
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", RestartCount: restartCount(p) + 1}}
}

func restartCount(p *corev1.Pod) int32 {
	if len(p.Status.ContainerStatuses) == 0 {
		return 0
	}
	return p.Status.ContainerStatuses[0].RestartCount
}

// terminate marks a pod as being deleted by another client.
func (m *model) terminate(p *corev1.Pod) {
	grace := int64(30)
	at := metav1.NewTime(m.in.Now.Add(30 * time.Second))
	p.DeletionTimestamp, p.DeletionGracePeriodSeconds = &at, &grace
}

// drop removes a pod permanently.
func (m *model) drop(p *corev1.Pod) {
	m.in.Pods = slices.DeleteFunc(m.in.Pods, func(o *corev1.Pod) bool { return o == p })
}

// conditions writes the conditions in one line each.
func conditions(s *commonv1.JobStatus) []string {
	out := make([]string, 0, len(s.Conditions))
	for _, c := range s.Conditions {
		out = append(out, fmt.Sprintf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return out
}

// actions writes actions in one line each.
func actions(p plan.Plan) []string {
	out := []string{}
	for _, a := range p.Actions {
		out = append(out, a.String())
	}
	return out
}

// masterRuns lets two replicas decide of which one runs on, so that only the
// deadline can end the job.
func masterRuns(m *model) {
	m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master), jobkit.All(worker))}
}

// markFailed makes the job one that ended in an earlier pass, without clean-up.
func markFailed(m *model) {
	m.in.Status.CompletionTime = new(metav1.NewTime(m.in.Now))
	m.in.Status.Conditions = []commonv1.JobCondition{{Type: commonv1.JobFailed, Status: corev1.ConditionTrue}}
}
