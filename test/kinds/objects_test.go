//go:build integration

package kinds

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestMPIObjects checks what an MPIJob has beside pods, while it runs, is suspended,
// is resumed, is scaled, and has ended.
func TestMPIObjects(t *testing.T) {
	t.Parallel()
	k := kindOf("MPIJob")
	j := submit(t, k, k.manifest(manifest{run: "cleanPodPolicy: Running", spec: "slotsPerWorker: 2"}))
	j.awaitAllActive(t)
	j.awaitMPIFiles(t, 2)
	j.checkMPIRights(t, "job-worker-0", "job-worker-1")

	j.patch(t, "spec: {runPolicy: {suspend: true}}")
	j.awaitObjects(t, nil, nil)
	j.awaitMPIObjects(t, false)
	j.patch(t, "spec: {runPolicy: {suspend: false}}")
	j.awaitMPIObjects(t, true)

	j.awaitAllActive(t)
	j.patch(t, "spec: {mpiReplicaSpecs: {Worker: {replicas: 1}}}")
	j.awaitMPIFiles(t, 1)
	j.checkMPIRights(t, "job-worker-0")

	j.end(t, 0, k.deciders...)
	j.awaitObjects(t, []string{"job-launcher"}, nil)
	j.awaitMPIObjects(t, false)
}

// TestMPIDeletion checks that nothing is left of an MPIJob that is deleted.
func TestMPIDeletion(t *testing.T) {
	t.Parallel()
	k := kindOf("MPIJob")
	j := submit(t, k, k.manifest(manifest{}))
	j.awaitAllActive(t)
	if err := cluster.client.Delete(t.Context(), j.shell()); err != nil {
		t.Fatal(err)
	}
	j.awaitObjects(t, nil, nil)
	j.awaitMPIObjects(t, false)
}

// awaitMPIFiles waits until the files that MPI reads name so many Workers.
func (j *job) awaitMPIFiles(t *testing.T, workers int) {
	t.Helper()
	want := map[string]string{"hostfile": "", "discover_hosts.sh": "#!/bin/sh\n"}
	for _, w := range j.workers(workers) {
		want["hostfile"] += w + " slots=2\n"
		want["discover_hosts.sh"] += "echo " + w + ":2\n"
	}
	config := &corev1.ConfigMap{}
	eventually(t, "the files name the Workers", func(ctx context.Context) string {
		get(ctx, t, j.namespace, "job-config", config)
		got := map[string]string{}
		for name := range want {
			got[name] = config.Data[name]
		}
		return cmp.Diff(want, got)
	})
	j.checkOwner(t, config)
	if len(config.Data) != 3 || !strings.Contains(config.Data["kubexec.sh"], `/opt/kube/kubectl exec "$host" --container mpi -- /bin/sh -c "$*"`) || config.Labels["app"] != "job" {
		t.Errorf("the files for MPI are %v, with labels %v", config.Data, config.Labels)
	}
}

// checkMPIRights checks that the launcher may run commands in the Workers, and
// nowhere else.
func (j *job) checkMPIRights(t *testing.T, workers ...string) {
	t.Helper()
	role, binding, account := &rbacv1.Role{}, &rbacv1.RoleBinding{}, &corev1.ServiceAccount{}
	for _, o := range []client.Object{role, binding, account} {
		if !get(t.Context(), t, j.namespace, "job-launcher", o) {
			t.Fatalf("there is no %T job-launcher", o)
		}
		j.checkOwner(t, o)
		if o.GetLabels()["app"] != "job" {
			t.Errorf("the %T has the labels %v", o, o.GetLabels())
		}
	}
	rules := []rbacv1.PolicyRule{
		{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"pods"}},
		{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"pods/exec"}, ResourceNames: workers},
	}
	eventually(t, "the launcher may reach the Workers", func(ctx context.Context) string {
		get(ctx, t, j.namespace, "job-launcher", role)
		return cmp.Diff(rules, role.Rules)
	})
	if diff := cmp.Diff(rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "job-launcher"}, binding.RoleRef); diff != "" {
		t.Errorf("the role of the launcher (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]rbacv1.Subject{{Kind: "ServiceAccount", Name: "job-launcher", Namespace: j.namespace}}, binding.Subjects); diff != "" {
		t.Errorf("who has the role (-want +got):\n%s", diff)
	}
	if pod := j.pods(t.Context(), t)["job-launcher"]; pod.Spec.ServiceAccountName != "job-launcher" {
		t.Errorf("the launcher runs as %q", pod.Spec.ServiceAccountName)
	}
}

// awaitMPIObjects waits until all owned objects of an MPIJob exist, or none.
func (j *job) awaitMPIObjects(t *testing.T, there bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("the owned objects exist: %t", there), func(ctx context.Context) string {
		for name, o := range map[string]client.Object{"job-config": &corev1.ConfigMap{}} {
			if get(ctx, t, j.namespace, name, o) != there {
				return name
			}
		}
		for _, o := range []client.Object{&rbacv1.Role{}, &rbacv1.RoleBinding{}, &corev1.ServiceAccount{}} {
			if get(ctx, t, j.namespace, "job-launcher", o) != there {
				return fmt.Sprintf("%T", o)
			}
		}
		return ""
	})
}

// TestMPIOwnAccount checks that a service account which the user names is never made
// or deleted by the operator (row 88), and that no pod exists before it does (row 291).
func TestMPIOwnAccount(t *testing.T) {
	t.Parallel()
	k := kindOf("MPIJob")
	ns := namespace(t)
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name = ns, "mine"
	text := strings.Replace(k.manifest(manifest{}), "spec:\n          containers:", "spec:\n          serviceAccountName: mine\n          containers:", 1)
	j := submitTo(t, k, ns, text)
	j.await(t, k.isCreated(), "Stalled True MPIJobObjectMissing: MPIJob "+ns+"/job cannot use ServiceAccount mine: "+
		"there is no ServiceAccount of that name in the namespace "+ns+": create it, or have the job name another one")
	if pods := j.pods(t.Context(), t); len(pods) > 0 {
		t.Errorf("row 291: nothing holds a GPU before the launcher can run, got %d pods", len(pods))
	}
	create(t, account)
	j.awaitAllActive(t)
	j.end(t, 0, k.deciders...)
	j.await(t, k.isCreated(), j.wasRunning(), j.hasSucceeded())
	if pod := j.pods(t.Context(), t)["job-launcher"]; pod.Spec.ServiceAccountName != "mine" {
		t.Errorf("the launcher runs as %q", pod.Spec.ServiceAccountName)
	}
	if get(t.Context(), t, ns, "job-launcher", &corev1.ServiceAccount{}) {
		t.Error("the job has a service account of its own, and was given one")
	}
	if err := cluster.client.Delete(t.Context(), j.shell()); err != nil {
		t.Fatal(err)
	}
	j.awaitObjects(t, nil, nil)
	if !get(t.Context(), t, ns, "mine", account) || len(account.OwnerReferences) > 0 {
		t.Errorf("row 88: the user's service account is theirs: %+v", account.ObjectMeta)
	}
}

// TestAutoscaler checks that a job with metrics has an autoscaler while it runs, and
// only then (row 83).
func TestAutoscaler(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"PyTorchJob", "PaddleJob"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := kindOf(name)
			j := submit(t, k, k.manifest(manifest{spec: `elasticPolicy:
    minReplicas: 1
    maxReplicas: 3
    metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: 80}`}))
			j.awaitAllActive(t)
			j.awaitAutoscaler(t, true)
			hpa := &autoscalingv2.HorizontalPodAutoscaler{}
			get(t.Context(), t, j.namespace, "job", hpa)
			j.checkOwner(t, hpa)
			want := autoscalingv2.HorizontalPodAutoscalerSpec{
				ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "kubeflow.org/v1", Kind: name, Name: "job"},
				MinReplicas:    new(int32(1)), MaxReplicas: 3,
				Metrics: []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
					Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(80))},
				}}},
			}
			if diff := cmp.Diff(want, hpa.Spec); diff != "" {
				t.Errorf("the autoscaler (-want +got):\n%s", diff)
			}
			j.patch(t, "spec: {elasticPolicy: {maxReplicas: 4}}")
			eventually(t, "the autoscaler follows the job", func(ctx context.Context) string {
				get(ctx, t, j.namespace, "job", hpa)
				return cmp.Diff(int32(4), hpa.Spec.MaxReplicas)
			})
			j.patch(t, "spec: {runPolicy: {suspend: true}}")
			j.awaitAutoscaler(t, false)
			j.patch(t, "spec: {runPolicy: {suspend: false}}")
			j.awaitAutoscaler(t, true)
			j.awaitAllActive(t)
			j.end(t, 0, k.deciders...)
			eventually(t, "the job succeeds", func(ctx context.Context) string {
				if s := j.status(ctx, t); s.State != commonv1.JobSucceeded {
					return fmt.Sprint(conditions(s))
				}
				return ""
			})
			j.awaitAutoscaler(t, false)
		})
	}
}

func (j *job) awaitAutoscaler(t *testing.T, there bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("the autoscaler exists: %t", there), func(ctx context.Context) string {
		if got := get(ctx, t, j.namespace, "job", &autoscalingv2.HorizontalPodAutoscaler{}); got != there {
			return "it is not so"
		}
		return ""
	})
}

// TestInitContainers checks that the Workers of a PyTorchJob wait for its Master, and
// that nothing else waits.
func TestInitContainers(t *testing.T) {
	t.Parallel()
	for _, k := range kinds() {
		t.Run(k.String(), func(t *testing.T) {
			t.Parallel()
			j := submit(t, k, k.manifest(manifest{}))
			pods, services := k.names(2)
			j.awaitObjects(t, pods, services)
			want, got := map[string][]string{}, map[string][]string{}
			for name, pod := range j.pods(t.Context(), t) {
				for _, c := range pod.Spec.InitContainers {
					got[name] = append(got[name], c.Name)
				}
				switch {
				case k.String() == "PyTorchJobMaster" && pod.Labels[commonv1.ReplicaTypeLabel] == "worker":
					want[name] = []string{"init-pytorch"}
				case name == "job-launcher":
					want[name] = []string{"kubectl-delivery"}
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the init containers (-want +got):\n%s", diff)
			}
		})
	}
}
