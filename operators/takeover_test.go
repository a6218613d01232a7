package operators_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/gang/schedulers"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/jaxjob"
	"github.com/jobkit/jobkit/operators/mpijob"
	"github.com/jobkit/jobkit/operators/paddlejob"
	"github.com/jobkit/jobkit/operators/pytorchjob"
	"github.com/jobkit/jobkit/operators/tfjob"
	"github.com/jobkit/jobkit/operators/xgboostjob"
)

// predecessor plays training-operator v1.9.4: it creates the pods, services and owned
// objects of a job as v1 does, with its labels and none of ours, and writes its status.
type predecessor struct {
	t    *testing.T
	w    *jobtest.World
	kind string
	job  jobkit.Object
	// pods are the names and replica types of the pods.
	pods map[string]commonv1.ReplicaType
	// group is the name of the gang scheduler, or empty.
	group string
}

func (p *predecessor) create(o jobkit.Object, labels map[string]string) {
	p.t.Helper()
	o.SetNamespace(p.job.GetNamespace())
	o.SetLabels(labels)
	o.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(p.job, kubeflowv1.GroupVersion.WithKind(p.kind))})
	if err := p.w.Client().Create(p.t.Context(), o); err != nil {
		p.t.Fatal(err)
	}
}

// labels are those of a pod and its service.
func (p *predecessor) labels(pod string) map[string]string {
	typ := strings.ToLower(string(p.pods[pod]))
	index := "0"
	if i := strings.LastIndexByte(pod, '-'); pod[i+1:] != typ {
		index = pod[i+1:]
	}
	return map[string]string{
		"training.kubeflow.org/job-name": p.job.GetName(), "training.kubeflow.org/operator-name": strings.ToLower(p.kind) + "-controller",
		"training.kubeflow.org/replica-type": typ, "training.kubeflow.org/replica-index": index,
	}
}

// createPods creates the pods, in a phase.
func (p *predecessor) createPods(phase corev1.PodPhase, policy corev1.RestartPolicy) {
	p.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(p.pods)) {
		labels := p.labels(name)
		pod := &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: policy, Containers: []corev1.Container{{Name: "c", Image: "x"}}}}
		pod.Name = name
		switch p.group {
		case "volcano":
			pod.Annotations = map[string]string{"scheduling.k8s.io/group-name": p.job.GetName(), "volcano.sh/task-spec": labels["training.kubeflow.org/replica-type"]}
			pod.Spec.SchedulerName = "volcano"
		case "coscheduling":
			labels["scheduling.x-k8s.io/pod-group"] = p.job.GetName()
			pod.Spec.SchedulerName = "scheduler-plugins-scheduler"
		}
		p.create(pod, labels)
		pod.Status = corev1.PodStatus{Phase: phase, ContainerStatuses: []corev1.ContainerStatus{{Name: "c"}}}
		if err := p.w.Client().Status().Update(p.t.Context(), pod); err != nil {
			p.t.Fatal(err)
		}
		if p.kind != "MPIJob" && len(name) <= 63 { // v1 tries to create others again and again
			service := &corev1.Service{Spec: corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, Selector: p.labels(name)}}
			service.Name = name
			p.create(service, p.labels(name))
		}
	}
}

// createOwned creates the owned objects: those of an MPIJob have a label of their own,
// an autoscaler has none.
func (p *predecessor) createOwned() {
	p.t.Helper()
	name, app := p.job.GetName(), map[string]string{"app": p.job.GetName()}
	switch p.kind {
	case "MPIJob":
		p.create(&corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: name + "-config"},
			Data:       map[string]string{"hostfile": "of v1", "kubexec.sh": "of v1", "discover_hosts.sh": "of v1"},
		}, app)
		p.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name + "-launcher"}}, app)
		p.create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name + "-launcher"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}},
			{APIGroups: []string{""}, Resources: []string{"pods/exec"}, Verbs: []string{"create"}, ResourceNames: []string{name + "-worker-0", name + "-worker-1"}},
		}}, app)
		p.create(&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: name + "-launcher"},
			Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Name: name + "-launcher", Namespace: p.job.GetNamespace()}},
			RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: name + "-launcher"},
		}, app)
	case "PyTorchJob", "PaddleJob":
		p.create(&autoscalingv2.HorizontalPodAutoscaler{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
				ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "kubeflow.org/v1", Kind: p.kind, Name: name},
				MinReplicas:    new(int32(1)), MaxReplicas: 3, Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType}},
			},
		}, nil)
	}
}

// createGroup creates the group of the pods, which the gang scheduler has admitted.
func (p *predecessor) createGroup() {
	p.t.Helper()
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"minMember": int64(len(p.pods))}, "status": map[string]any{"phase": "Running"}}}
	u.SetGroupVersionKind(podGroupKind(p.group))
	u.SetName(p.job.GetName())
	p.create(u, nil)
}

func podGroupKind(scheduler string) schema.GroupVersionKind {
	if scheduler == "volcano" {
		return schema.GroupVersionKind{Group: "scheduling.volcano.sh", Version: "v1beta1", Kind: "PodGroup"}
	}
	return schema.GroupVersionKind{Group: "scheduling.x-k8s.io", Version: "v1alpha1", Kind: "PodGroup"}
}

// writeStatus writes a status with conditions and counts, and no field that v1 lacks.
func (p *predecessor) writeStatus(status *commonv1.JobStatus, count func(*commonv1.ReplicaStatus), conditions ...commonv1.JobCondition) {
	p.t.Helper()
	now := metav1.NewTime(p.w.Now())
	*status = commonv1.JobStatus{StartTime: &now, LastReconcileTime: &now, ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{}}
	for _, typ := range p.pods {
		if status.ReplicaStatuses[typ] == nil {
			status.ReplicaStatuses[typ] = &commonv1.ReplicaStatus{}
		}
		count(status.ReplicaStatuses[typ])
	}
	for _, c := range conditions {
		c.Reason = p.kind + string(c.Type)
		c.LastUpdateTime, c.LastTransitionTime = now, now
		status.Conditions = append(status.Conditions, c)
		if c.Type == commonv1.JobSucceeded {
			status.CompletionTime = &now
		}
	}
	if err := p.w.Client().Status().Update(p.t.Context(), p.job); err != nil {
		p.t.Fatal(err)
	}
}

func condition(t commonv1.JobConditionType, s corev1.ConditionStatus, message string) commonv1.JobCondition {
	return commonv1.JobCondition{Type: t, Status: s, Message: message}
}

// lists are empty lists of all kinds of objects that jobs have.
func lists(group string) []client.ObjectList {
	out := []client.ObjectList{
		&corev1.PodList{}, &corev1.ServiceList{}, &corev1.ConfigMapList{}, &corev1.ServiceAccountList{}, &rbacv1.RoleList{}, &rbacv1.RoleBindingList{},
		&autoscalingv2.HorizontalPodAutoscalerList{},
	}
	if group != "" {
		u := &unstructured.UnstructuredList{}
		u.SetGroupVersionKind(podGroupKind(group))
		u.SetKind("PodGroupList")
		out = append(out, u)
	}
	return out
}

// there returns the names of all objects of a World by kind, with their UIDs, and an
// asterisk at those that lack the operator's label.
func there(t *testing.T, w *jobtest.World, group string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, list := range lists(group) {
		if err := w.Client().List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		if err := meta.EachListItem(list, func(o runtime.Object) error {
			c, _ := o.(jobkit.Object)
			name := fmt.Sprintf("%T %s", o, c.GetName())
			if c.GetLabels()[commonv1.OperatorNameLabel] == "" {
				name += " *"
			}
			out[name] = string(c.GetUID())
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// labelled are objects with the label that they lacked.
func labelled(objects map[string]string) map[string]string {
	out := map[string]string{}
	for name, uid := range objects {
		out[strings.TrimSuffix(name, " *")] = uid
	}
	return out
}

// takeOver starts a World with a job as v1 left it; the operator has not reconciled it yet.
func takeOver[T any, J interface {
	*T
	jobkit.Object
}](t *testing.T, author jobkit.ControllerInterface[J], manifest, kind, scheduler string, pods map[string]commonv1.ReplicaType) (*predecessor, J) {
	t.Helper()
	w, err := jobtest.NewWorld(author, optest.Scheme(t), jobtest.Options{
		Gang: schedulers.ByName(scheduler, schedulers.Options{}),
		Fate: func(*corev1.Pod) jobtest.Fate { return jobtest.Fate{Forever: true} },
	})
	if err != nil {
		t.Fatal(err)
	}
	job := J(optest.Job[T](t, manifest))
	job.SetNamespace("default")
	if err := w.Client().Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	return &predecessor{t: t, w: w, kind: kind, job: job, pods: pods, group: scheduler}, job
}

// adopted runs the tests of one kind.
func adopted[T any, J interface {
	*T
	jobkit.Object
}](author jobkit.ControllerInterface[J], kind, manifest string, pods map[string]commonv1.ReplicaType) func(*testing.T) {
	active := func(s *commonv1.ReplicaStatus) { s.Active++ }
	created := condition(commonv1.JobCreated, corev1.ConditionTrue, kind+" job is created.")
	read := func(t *testing.T, p *predecessor, job J) *commonv1.JobStatus {
		t.Helper()
		if err := p.w.Client().Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
			t.Fatal(err)
		}
		return author.Parts(job).Status
	}
	run := func(t *testing.T, p *predecessor) {
		t.Helper()
		if err := p.w.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, e := range p.w.Events() {
			if e.Warning {
				t.Errorf("there is nothing to warn of, but there is an event %s: %s", e.Reason, e.Message)
			}
		}
	}
	return func(t *testing.T) {
		t.Run("Running", func(t *testing.T) {
			p, job := takeOver(t, author, manifest, kind, "", pods)
			p.createPods(corev1.PodRunning, corev1.RestartPolicyNever)
			p.createOwned()
			p.writeStatus(author.Parts(job).Status, active, created, condition(commonv1.JobRunning, corev1.ConditionTrue, kind+" job is running."))
			before := labelled(there(t, p.w, ""))
			run(t, p)
			if diff := cmp.Diff(before, there(t, p.w, "")); diff != "" {
				t.Errorf("every object stays, and has the operator's label (-before +after):\n%s\n%s", diff, p.w.Transcript())
			}
			status := read(t, p, job)
			if status.Restarts != 0 || status.Attempt != 0 || status.State != commonv1.JobRunning {
				t.Errorf("no restart is counted, and the job runs on, got %+v", status)
			}
		})
		t.Run("Suspended", func(t *testing.T) {
			p, job := takeOver(t, author, manifest, kind, "", pods)
			p.createOwned()
			author.Parts(job).RunPolicy.Suspend = new(true)
			if err := p.w.Client().Update(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			p.writeStatus(author.Parts(job).Status, func(*commonv1.ReplicaStatus) {}, created, condition(commonv1.JobSuspended, corev1.ConditionTrue, kind+" job is suspended."))
			run(t, p)
			if diff := cmp.Diff(map[string]string{}, there(t, p.w, "")); diff != "" {
				t.Errorf("a suspended job has nothing (-want +got):\n%s", diff)
			}
			read(t, p, job)
			author.Parts(job).RunPolicy.Suspend = nil
			if err := p.w.Client().Update(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			run(t, p)
			if status := read(t, p, job); status.State != commonv1.JobRunning || status.Restarts != 0 {
				t.Errorf("it can be resumed, and no restart is counted, got %+v", status)
			}
		})
		t.Run("Finished", func(t *testing.T) {
			p, job := takeOver(t, author, manifest, kind, "", pods)
			p.createPods(corev1.PodSucceeded, corev1.RestartPolicyNever)
			before := there(t, p.w, "")
			p.createOwned()
			p.writeStatus(author.Parts(job).Status, func(s *commonv1.ReplicaStatus) { s.Succeeded++ }, created,
				condition(commonv1.JobRunning, corev1.ConditionFalse, kind+" job is running."), condition(commonv1.JobSucceeded, corev1.ConditionTrue, "done"))
			run(t, p)
			maps.DeleteFunc(before, func(name, _ string) bool { return strings.HasPrefix(name, "*v1.Service ") })
			if diff := cmp.Diff(before, there(t, p.w, "")); diff != "" {
				t.Errorf("the pods stay, by cleanPodPolicy None, and nothing needs the rest (-want +got):\n%s", diff)
			}
			if status := read(t, p, job); status.State != commonv1.JobSucceeded || status.Restarts != 0 {
				t.Errorf("it has succeeded, and no restart is counted, got %+v", status)
			}
		})
	}
}

// strip removes the labels from all objects of a World.
func strip(t *testing.T, w *jobtest.World) {
	t.Helper()
	for _, list := range lists("") {
		if err := w.Client().List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		if err := meta.EachListItem(list, func(o runtime.Object) error {
			c, _ := o.(jobkit.Object)
			c.SetLabels(map[string]string{"theirs": "stays"})
			return w.Client().Update(t.Context(), c)
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLabelsThatAreGone has someone remove the labels from all objects of a job: they still
// belong to the job.
func TestLabelsThatAreGone(t *testing.T) {
	for name, try := range map[string]func(*testing.T) *predecessor{
		"MPIJob": func(t *testing.T) *predecessor {
			p, _ := takeOver(t, mpijob.Controller{}, `{metadata: {name: job}, spec: {mpiReplicaSpecs: {Launcher: {template: {spec: {containers: [{name: mpi, image: x}]}}},
				Worker: {replicas: 2, template: {spec: {containers: [{name: mpi, image: x}]}}}}}}`, "MPIJob", "", nil)
			return p
		},
		"PyTorchJob": func(t *testing.T) *predecessor {
			p, _ := takeOver(t, pytorchjob.Controller{}, `{metadata: {name: job}, spec: {elasticPolicy: {minReplicas: 1, maxReplicas: 3, metrics: [{type: Resource}]},
				pytorchReplicaSpecs: {Worker: {replicas: 2, template: {spec: {containers: [{name: pytorch, image: x}]}}}}}}`, "PyTorchJob", "", nil)
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := try(t)
			if err := p.w.RunFor(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			before := there(t, p.w, "")
			strip(t, p.w)
			if err := p.w.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, there(t, p.w, "")); diff != "" {
				t.Errorf("every object stays, and has the operator's label again (-before +after):\n%s\n%s", diff, p.w.Transcript())
			}
			for _, e := range p.w.Events() {
				if e.Warning {
					t.Errorf("there is nothing to warn of, but there is an event %s: %s", e.Reason, e.Message)
				}
			}
		})
	}
}

// names are pods <job>-<type>-<index>.
func names(t commonv1.ReplicaType, n int) map[string]commonv1.ReplicaType {
	out := map[string]commonv1.ReplicaType{}
	for i := range n {
		out["job-"+strings.ToLower(string(t))+"-"+strconv.Itoa(i)] = t
	}
	return out
}

func with(a, b map[string]commonv1.ReplicaType) map[string]commonv1.ReplicaType {
	maps.Copy(a, b)
	return a
}

// TestTakeOver has the operator find jobs as training-operator v1.9.4 left them: the objects
// of a job are adopted, and no pod is restarted or counted again.
func TestTakeOver(t *testing.T) {
	spec := func(field, name string, replicas string) string {
		return fmt.Sprintf(`{metadata: {name: job}, spec: {%s: {%s}}}`, field, strings.ReplaceAll(replicas, "POD", "template: {spec: {containers: [{name: "+name+", image: x}]}}"))
	}
	elastic := "elasticPolicy: {minReplicas: 1, maxReplicas: 3, metrics: [{type: Resource}]}, "
	autoscaled := func(manifest string) string { return strings.Replace(manifest, "spec: {", "spec: {"+elastic, 1) }
	t.Run("TFJob", adopted(tfjob.Controller{}, "TFJob",
		spec("tfReplicaSpecs", "tensorflow", "Chief: {POD}, Worker: {replicas: 2, restartPolicy: ExitCode, POD}"), with(names("Chief", 1), names("Worker", 2))))
	t.Run("PyTorchJob", adopted(pytorchjob.Controller{}, "PyTorchJob",
		autoscaled(spec("pytorchReplicaSpecs", "pytorch", "Worker: {replicas: 2, POD}")), names("Worker", 2)))
	t.Run("MPIJob", adopted(mpijob.Controller{}, "MPIJob",
		spec("mpiReplicaSpecs", "mpi", "Launcher: {POD}, Worker: {replicas: 2, restartPolicy: ExitCode, POD}"),
		with(map[string]commonv1.ReplicaType{"job-launcher": "Launcher"}, names("Worker", 2))))
	t.Run("XGBoostJob", adopted(xgboostjob.Controller{}, "XGBoostJob",
		spec("xgbReplicaSpecs", "xgboost", "Master: {POD}, Worker: {replicas: 2, POD}"), with(names("Master", 1), names("Worker", 2))))
	t.Run("PaddleJob", adopted(paddlejob.Controller{}, "PaddleJob",
		autoscaled(spec("paddleReplicaSpecs", "paddle", "Worker: {replicas: 2, POD}")), names("Worker", 2)))
	t.Run("JAXJob", adopted(jaxjob.Controller{}, "JAXJob", spec("jaxReplicaSpecs", "jax", "Worker: {replicas: 2, POD}"), names("Worker", 2)))
}

// TestTakeOverOfAGang deletes a pod of a gang that training-operator v1.9.4 created: its
// successor joins the group that the others are in, because they cannot leave it.
func TestTakeOverOfAGang(t *testing.T) {
	const manifest = `{metadata: {name: job}, spec: {pytorchReplicaSpecs: {Worker: {replicas: 2, template: {spec: {containers: [{name: pytorch, image: x}]}}}}}}`
	for _, scheduler := range []string{"volcano", "coscheduling"} {
		t.Run(scheduler, func(t *testing.T) {
			p, job := takeOver(t, pytorchjob.Controller{}, manifest, "PyTorchJob", scheduler, names("Worker", 2))
			p.createPods(corev1.PodRunning, corev1.RestartPolicyOnFailure)
			p.createGroup()
			p.writeStatus(&job.Status, func(s *commonv1.ReplicaStatus) { s.Active++ },
				condition(commonv1.JobCreated, corev1.ConditionTrue, "PyTorchJob job is created."), condition(commonv1.JobRunning, corev1.ConditionTrue, "PyTorchJob default/job is running."))
			before := labelled(there(t, p.w, scheduler))
			if err := p.w.RunFor(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, there(t, p.w, scheduler)); diff != "" {
				t.Errorf("the group and the pods stay, and there is no other group (-before +after):\n%s\n%s", diff, p.w.Transcript())
			}
			if err := p.w.Client().Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "job-worker-1"}}); err != nil {
				t.Fatal(err)
			}
			if err := p.w.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			pod := &corev1.Pod{}
			if err := p.w.Client().Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "job-worker-1"}, pod); err != nil {
				t.Fatal(err)
			}
			group := pod.Annotations["scheduling.k8s.io/group-name"] + pod.Labels["scheduling.x-k8s.io/pod-group"]
			if diff := cmp.Diff("job", group); diff != "" {
				t.Errorf("the successor joins the group of the others (-want +got):\n%s", diff)
			}
			after := there(t, p.w, scheduler)
			delete(before, "*v1.Pod job-worker-1")
			delete(after, "*v1.Pod job-worker-1")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("the rest stays (-before +after):\n%s", diff)
			}
		})
	}
}

// TestTakeOverOfALeftGroup: training-operator v1.9.4 makes the group of a gang before its pods, and
// deletes it when the job has finished. Stopped in between it leaves a group that no pod joins any more.
// In Volcano such a group takes room of its queue, from the job's own group too.
func TestTakeOverOfALeftGroup(t *testing.T) {
	const manifest = `{metadata: {name: job}, spec: {pytorchReplicaSpecs: {Worker: {replicas: 2, template: {spec: {containers: [{name: pytorch, image: x}]}}}}}}`
	created := condition(commonv1.JobCreated, corev1.ConditionTrue, "PyTorchJob job is created.")
	for name, tc := range map[string]struct {
		reason string
		ended  bool
		groups map[string]bool
	}{
		"Waiting": {"the pods join the group of the new name", false, map[string]bool{"job-pytorchjob": true}},
		"Ended":   {"all pods succeeded while no operator ran", true, map[string]bool{}},
	} {
		for _, scheduler := range []string{"volcano", "coscheduling"} {
			p, job := takeOver(t, pytorchjob.Controller{}, manifest, "PyTorchJob", scheduler, names("Worker", 2))
			if tc.ended {
				p.createPods(corev1.PodSucceeded, corev1.RestartPolicyNever)
			}
			p.createGroup()
			p.writeStatus(&job.Status, func(*commonv1.ReplicaStatus) {}, created)
			if err := p.w.RunFor(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			got := map[string]bool{}
			for object := range there(t, p.w, scheduler) {
				if kind, name, _ := strings.Cut(object, " "); strings.HasSuffix(kind, "Unstructured") {
					got[name] = true
				}
			}
			if diff := cmp.Diff(tc.groups, got); diff != "" {
				t.Errorf("%s with %s: %s: groups (-want +got):\n%s\n%s", name, scheduler, tc.reason, diff, p.w.Transcript())
			}
		}
	}
}

// TestAnnotationsOfAGroup: as in v1 a group has the annotations of its job, in which Volcano
// reads what a PodGroup has no field for.
func TestAnnotationsOfAGroup(t *testing.T) {
	for _, scheduler := range []string{"volcano", "coscheduling"} {
		p, job := takeOver(t, tfjob.Controller{}, `
metadata:
  name: tf
  annotations:
    {sla-waiting-time: 1h, volcano.sh/preemptable: "true", kubectl.kubernetes.io/last-applied-configuration: "{}"}
spec: {tfReplicaSpecs: {Worker: {replicas: 2, template: {spec: {containers: [{name: tensorflow, image: x}]}}}}}
`, "TFJob", scheduler, nil)
		annotations := func() map[string]string {
			if err := p.w.RunFor(t.Context(), time.Minute); err != nil {
				t.Fatal(err)
			}
			groups := &unstructured.UnstructuredList{}
			groups.SetGroupVersionKind(podGroupKind(scheduler))
			groups.SetKind("PodGroupList")
			if err := p.w.Client().List(t.Context(), groups); err != nil || len(groups.Items) != 1 {
				t.Fatalf("%s: %d groups, %v\n%s", scheduler, len(groups.Items), err, p.w.Transcript())
			}
			got := groups.Items[0].GetAnnotations()
			delete(got, "training.kubeflow.org/pod-group-fields")
			return got
		}
		want := map[string]string{"sla-waiting-time": "1h", "volcano.sh/preemptable": "true"}
		if diff := cmp.Diff(want, annotations()); diff != "" {
			t.Errorf("%s: all but what kubectl keeps are the group's, too (-want +got):\n%s", scheduler, diff)
		}
		if err := p.w.Client().Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
			t.Fatal(err)
		}
		job.SetAnnotations(map[string]string{"sla-waiting-time": "2h"})
		if err := p.w.Client().Update(t.Context(), job); err != nil {
			t.Fatal(err)
		}
		want["sla-waiting-time"] = "2h"
		if diff := cmp.Diff(want, annotations()); diff != "" {
			t.Errorf("%s: a changed one is changed, a removed one stays (-want +got):\n%s", scheduler, diff)
		}
	}
}

// TestLabelsOfTheDomainInAPodTemplate: v1 takes labels under training.kubeflow.org/ in a pod template. A job that
// it accepted goes on, with what is not the controller's own.
func TestLabelsOfTheDomainInAPodTemplate(t *testing.T) {
	for label, tc := range map[string]struct{ reason, want string }{
		"training.kubeflow.org/team":         {"v1 keeps it on the pods", "a"},
		"training.kubeflow.org/replica-type": {"v1 overwrites it", "worker"},
		"training.kubeflow.org/job-role":     {"v1 overwrites it on one pod", ""},
	} {
		p, job := takeOver(t, pytorchjob.Controller{}, `
metadata: {name: pt}
spec:
  pytorchReplicaSpecs:
    Worker:
      replicas: 2
      restartPolicy: OnFailure
      template: {metadata: {labels: {`+label+`: a}}, spec: {containers: [{name: pytorch, image: x}]}}
`, "PyTorchJob", "", map[string]commonv1.ReplicaType{"pt-worker-0": "Worker", "pt-worker-1": "Worker"})
		p.createPods(corev1.PodRunning, corev1.RestartPolicyOnFailure)
		p.writeStatus(&job.Status, func(s *commonv1.ReplicaStatus) { s.Active++ },
			condition(commonv1.JobCreated, corev1.ConditionTrue, "PyTorchJob pt is created."),
			condition(commonv1.JobRunning, corev1.ConditionTrue, "PyTorchJob default/pt is running."))
		pod, name := &corev1.Pod{}, client.ObjectKey{Namespace: "default", Name: "pt-worker-1"}
		p.w.At(time.Minute, "the node evicts Worker 1", func(ctx context.Context, c client.Client) error {
			if err := c.Get(ctx, name, pod); err != nil {
				return err
			}
			pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Evicted"
			return c.Status().Update(ctx, pod)
		})
		if err := p.w.RunFor(t.Context(), 30*time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := p.w.Client().Get(t.Context(), name, pod); err != nil || pod.Status.Phase == corev1.PodFailed || pod.Labels[label] != tc.want {
			t.Errorf("%s: %s: half an hour later the evicted Worker is replaced, with the label %q, got %v, phase %s, %q\n%s",
				label, tc.reason, tc.want, err, pod.Status.Phase, pod.Labels[label], p.w.Transcript())
		}
	}
}
