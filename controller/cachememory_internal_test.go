package controller

import (
	"encoding/json"
	"fmt"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestMemoryOfPods: a pod that runs takes less memory in the cache than it takes on the wire,
// however it was encoded. 1,240 bytes of that are the Go type itself.
func TestMemoryOfPods(t *testing.T) {
	const most = 2200
	for name, tc := range map[string]struct {
		encode func(*corev1.Pod) ([]byte, error)
		decode func([]byte, *corev1.Pod) error
	}{
		"Protobuf": {(*corev1.Pod).Marshal, func(data []byte, p *corev1.Pod) error { return p.Unmarshal(data) }},
		"JSON":     {func(p *corev1.Pod) ([]byte, error) { return json.Marshal(p) }, func(data []byte, p *corev1.Pod) error { return json.Unmarshal(data, p) }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShortener()
			whole := bytesOfEach(t, tc.encode, tc.decode, func(p *corev1.Pod) *corev1.Pod { return p })
			got := bytesOfEach(t, tc.encode, tc.decode, func(p *corev1.Pod) *corev1.Pod {
				o, err := s.pod(p)
				if err != nil {
					t.Fatal(err)
				}
				return o.(*corev1.Pod)
			})
			t.Logf("%d bytes, of %d", got, whole)
			if got > most || got > whole*2/5 {
				t.Errorf("a pod takes %d bytes in the cache, of %d of a whole one; want %d, and two fifths, at most", got, whole, most)
			}
		})
	}
}

// bytesOfEach is how much memory each of many pods takes that are decoded and kept.
func bytesOfEach(
	t *testing.T, encode func(*corev1.Pod) ([]byte, error), decode func([]byte, *corev1.Pod) error, keep func(*corev1.Pod) *corev1.Pod,
) uint64 {
	t.Helper()
	const pods = 2000
	wire := make([][]byte, pods)
	for i := range wire {
		data, err := encode(runningPod(i))
		if err != nil {
			t.Fatal(err)
		}
		wire[i] = data
	}
	kept := make([]*corev1.Pod, pods)
	before := heap()
	for i := range kept {
		p := &corev1.Pod{}
		if err := decode(wire[i], p); err != nil {
			t.Fatal(err)
		}
		kept[i] = keep(p)
	}
	each := (heap() - before) / pods
	runtime.KeepAlive(kept)
	runtime.KeepAlive(wire)
	return each
}

// heap is how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// runningPod is a pod as the API server sends it: with what the library, the API server, the
// scheduler and the kubelet add.
func runningPod(i int) *corev1.Pod {
	name := fmt.Sprintf("training-job-worker-%d", i)
	const aSecond = 8 // pods that get nodes, and start, in one second
	at := metav1.NewTime(time.Unix(int64(1_800_000_000+i/aSecond), 0))
	fields := func(f string) *metav1.FieldsV1 {
		return metav1.NewFieldsV1(`{"f:status":{"f:` + strings.Repeat(f, 60) + `":{}}}`)
	}
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: "team-research", UID: types.UID(fmt.Sprintf("8f0d3c52-7b0f-4b86-9f5e-%012d", i)),
			ResourceVersion: strconv.Itoa(1_000_000 + i), CreationTimestamp: at,
			Labels: map[string]string{
				commonv1.JobNameLabel: "training-job", commonv1.OperatorNameLabel: "pytorchjob-controller",
				commonv1.ReplicaTypeLabel: "worker", commonv1.ReplicaIndexLabel: strconv.Itoa(i), "app": "training",
			},
			Annotations: map[string]string{"sidecar.istio.io/inject": "false"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "kubeflow.org/v1", Kind: "PyTorchJob", Name: "training-job", UID: "2c1c5a0a-6a3d-4e0b-8a58-4ad2b4e6c001",
				Controller: new(true), BlockOwnerDeletion: new(true),
			}},
			ManagedFields: []metav1.ManagedFieldsEntry{
				{Manager: "jobkit", Operation: "Update", APIVersion: "v1", Time: &at, FieldsType: "FieldsV1", FieldsV1: fields("spec")},
				{Manager: "kubelet", Operation: "Update", APIVersion: "v1", Time: &at, FieldsType: "FieldsV1", Subresource: "status", FieldsV1: fields("status")},
			},
		},
		Spec: corev1.PodSpec{
			NodeName: fmt.Sprintf("gpu-node-%d.example.internal", i/8), RestartPolicy: corev1.RestartPolicyNever, ServiceAccountName: "default",
			SchedulerName: "default-scheduler", DNSPolicy: corev1.DNSClusterFirst, Hostname: name, TerminationGracePeriodSeconds: new(int64(30)),
			Volumes: []corev1.Volume{{Name: "kube-api-access", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{
					{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: new(int64(3607)), Path: "token"}},
					{ConfigMap: &corev1.ConfigMapProjection{Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
				},
			}}}},
			Tolerations: []corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, TolerationSeconds: new(int64(300))}},
			Containers: []corev1.Container{{
				Name: "pytorch", Image: "registry.example.com/team/train:1.2.3", Command: []string{"python", "train.py"},
				VolumeMounts: []corev1.VolumeMount{{Name: "kube-api-access", MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}},
			}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning, HostIP: fmt.Sprintf("10.0.%d.%d", i/2048, i/8%256), PodIP: fmt.Sprintf("10.1.%d.%d", i/256, i%256),
			StartTime: &at, QOSClass: corev1.PodQOSBurstable, PodIPs: []corev1.PodIP{{IP: "10.1.0.1"}},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: "pytorch", Ready: true, Started: new(true), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at}},
				Image: "registry.example.com/team/train:1.2.3", ImageID: "train@sha256:" + strings.Repeat("6f", 32), ContainerID: "containerd://" + strings.Repeat("9d", 32),
			}},
		},
	}
	for k := range 12 {
		c := &p.Spec.Containers[0]
		c.Env = append(c.Env, corev1.EnvVar{Name: fmt.Sprintf("VARIABLE_%d", k), Value: fmt.Sprintf("value-%d-of-%d", k, i)})
	}
	for _, c := range []corev1.PodConditionType{
		corev1.PodReadyToStartContainers, corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled,
	} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: c, Status: corev1.ConditionTrue, LastTransitionTime: at})
	}
	return p
}

// TestShortPodsShareMetadata: pods of a job hold one list of owners and one map of annotations, and
// each keeps its own where they differ.
func TestShortPodsShareMetadata(t *testing.T) {
	s := newShortener()
	a, b := short(t, s, runningPod(1)), short(t, s, runningPod(2))
	if &a.OwnerReferences[0] != &b.OwnerReferences[0] {
		t.Error("two pods of a job hold a list of owners each")
	}
	if reflect.ValueOf(a.Annotations).Pointer() != reflect.ValueOf(b.Annotations).Pointer() {
		t.Error("two pods of a job hold annotations each")
	}
	for name, change := range map[string]func(*corev1.Pod){
		"Owner":      func(p *corev1.Pod) { p.OwnerReferences[0].UID = "another" },
		"Blocks":     func(p *corev1.Pod) { p.OwnerReferences[0].BlockOwnerDeletion = nil },
		"Owners":     func(p *corev1.Pod) { p.OwnerReferences = append(p.OwnerReferences, metav1.OwnerReference{Name: "x"}) },
		"Annotation": func(p *corev1.Pod) { p.Annotations["sidecar.istio.io/inject"] = "true" },
		"NoOther":    func(p *corev1.Pod) { p.Annotations = map[string]string{`a"="b","c`: "d"} },
		"Large":      func(p *corev1.Pod) { p.Annotations["large"] = strings.Repeat("x", maxShared) },
	} {
		t.Run(name, func(t *testing.T) {
			pod := runningPod(3)
			change(pod)
			if diff := cmp.Diff(short(t, newShortener(), pod), short(t, s, pod)); diff != "" {
				t.Errorf("it depends on the pods before it (-alone +after others):\n%s", diff)
			}
		})
	}
}

// TestShortPodsShareConditions: pods of a job that got their nodes in one second, and were ready in
// another, hold one list of conditions. The newest time of all stays, and those that policies ask for.
func TestShortPodsShareConditions(t *testing.T) {
	at := func(second int64) metav1.Time { return metav1.NewTime(time.Unix(1_800_000_000+second, 0)) }
	// All steps up to ready come within three seconds, but when exactly differs.
	pod := func(prepared int64) *corev1.Pod {
		p := runningPod(int(prepared))
		for i, second := range []int64{prepared, 1 + prepared%2, 3, 3, 0} {
			p.Status.Conditions[i].LastTransitionTime = at(second)
		}
		return p
	}
	times := func(p *corev1.Pod) map[corev1.PodConditionType]int64 {
		out := map[corev1.PodConditionType]int64{}
		for _, c := range p.Status.Conditions {
			if !c.LastTransitionTime.IsZero() {
				out[c.Type] = c.LastTransitionTime.Unix() - 1_800_000_000
			}
		}
		return out
	}
	all := map[corev1.PodConditionType]int64{
		corev1.PodReadyToStartContainers: 1, corev1.PodInitialized: 2, corev1.PodReady: 3, corev1.ContainersReady: 3, corev1.PodScheduled: 0,
	}
	for name, tc := range map[string]struct {
		reason string
		change func(*corev1.Pod)
		want   map[corev1.PodConditionType]int64
	}{
		"Ready": {"when it got its node, and when it was ready", func(*corev1.Pod) {}, map[corev1.PodConditionType]int64{corev1.PodReady: 3, corev1.PodScheduled: 0}},
		"NotReady": {
			"of a pod that is no longer ready, the newest may be another", func(p *corev1.Pod) { p.Status.Conditions[2].Status = corev1.ConditionFalse }, all,
		},
		"Pending": {"a pod that starts", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, all},
		"Failed":  {"a pod that failed", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, all},
		"Later": {
			"one that is newer than that of Ready", func(p *corev1.Pod) { p.Status.Conditions[3].LastTransitionTime = at(4) },
			map[corev1.PodConditionType]int64{corev1.PodReady: 3, corev1.ContainersReady: 4, corev1.PodScheduled: 0},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, p := newShortener(), pod(1)
			tc.change(p)
			once := short(t, s, p)
			if diff := cmp.Diff(tc.want, times(once)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if len(once.Status.Conditions) != len(p.Status.Conditions) {
				t.Errorf("a policy may ask for each of the conditions: %v", once.Status.Conditions)
			}
			if diff := cmp.Diff(once, short(t, s, once)); diff != "" {
				t.Errorf("a pod that is short already stays as it is (-want +got):\n%s", diff)
			}
		})
	}
	s := newShortener()
	a, b := short(t, s, pod(1)), short(t, s, pod(2))
	if &a.Status.Conditions[0] != &b.Status.Conditions[0] {
		t.Errorf("two pods hold a list of conditions each: %v and %v", a.Status.Conditions, b.Status.Conditions)
	}
	for name, change := range map[string]func(*corev1.PodCondition){
		"Type":       func(c *corev1.PodCondition) { c.Type = "example.com/x" },
		"Status":     func(c *corev1.PodCondition) { c.Status = corev1.ConditionUnknown },
		"Reason":     func(c *corev1.PodCondition) { c.Reason = "Other" },
		"Message":    func(c *corev1.PodCondition) { c.Message = "other" },
		"Time":       func(c *corev1.PodCondition) { c.LastTransitionTime = at(2) },
		"Probe":      func(c *corev1.PodCondition) { c.LastProbeTime = at(2) },
		"Generation": func(c *corev1.PodCondition) { c.ObservedGeneration = 2 },
		"Large":      func(c *corev1.PodCondition) { c.Message = strings.Repeat("x", maxShared) },
	} {
		t.Run(name, func(t *testing.T) {
			p := pod(1)
			change(&p.Status.Conditions[4])
			if diff := cmp.Diff(short(t, newShortener(), p), short(t, s, p)); diff != "" {
				t.Errorf("a pod has the conditions of another (-want +got):\n%s", diff)
			}
		})
	}
}

// BenchmarkShortPod is what it takes to shorten a pod that runs, one of many of some jobs.
func BenchmarkShortPod(b *testing.B) {
	s, pods := newShortener(), make([]*corev1.Pod, 1000)
	for i := range b.N {
		if i%len(pods) == 0 {
			b.StopTimer()
			for k := range pods {
				pods[k] = runningPod(k)
			}
			b.StartTimer()
		}
		if _, err := s.pod(pods[i%len(pods)]); err != nil {
			b.Fatal(err)
		}
	}
}
