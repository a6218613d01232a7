package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

func short(t *testing.T, s *shortener, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	o, err := s.pod(pod.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	got, ok := o.(*corev1.Pod)
	if !ok {
		t.Fatalf("a pod stays a pod: %T", o)
	}
	return got
}

// wholePod is a pod as the API server shows it. The strings are made again each time,
// as those of a pod that was read from the network are.
func wholePod(name string) *corev1.Pod {
	fresh := func(s string) string { return string([]byte(s)) }
	at := metav1.NewTime(time.Unix(1_800_000_000, 0))
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled", FinishedAt: at}}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: fresh("ns"), UID: types.UID(name), ResourceVersion: "7",
			Labels:          map[string]string{fresh(commonv1.JobNameLabel): fresh("job"), fresh(commonv1.AttemptLabel): fresh("1")},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: fresh("kubeflow.org/v1"), Kind: fresh("TestJob"), Name: fresh("job"), UID: types.UID(fresh("job-uid")), Controller: new(true)}},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "operator"}, {
				Manager: "kubelet", Subresource: "status", Time: &at, FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:phase":{}}}`),
			}},
		},
		Spec: corev1.PodSpec{
			NodeName: fresh("node-1"), RestartPolicy: corev1.RestartPolicyNever, PriorityClassName: fresh("high"),
			SchedulingGates: []corev1.PodSchedulingGate{{Name: "example.com/quota"}},
			Containers:      []corev1.Container{{Name: "main", Image: "image", Command: []string{"train"}}}, Hostname: name,
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodFailed, Reason: "Evicted", Message: "no room", StartTime: &at, HostIP: fresh("10.0.0.1"), PodIP: "10.1.0.1",
			QOSClass: corev1.PodQOSBestEffort, PodIPs: []corev1.PodIP{{IP: "10.1.0.1"}},
			Conditions: []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: fresh("Evicted"), LastTransitionTime: at}},
			ContainerStatuses: []corev1.ContainerStatus{{
				Name: fresh("main"), State: ended, RestartCount: 2, Image: "image", ImageID: "sha", ContainerID: "id", LastTerminationState: ended,
			}},
		},
	}
}

func TestShortPodsKeepWhatIsRead(t *testing.T) {
	want := wholePod("job-worker-0")
	want.ManagedFields = []metav1.ManagedFieldsEntry{{Subresource: "status", Time: want.ManagedFields[1].Time}}
	want.Spec.Containers, want.Spec.Hostname = nil, ""
	want.Status.QOSClass, want.Status.PodIPs = "", nil
	c := &want.Status.ContainerStatuses[0]
	c.Image, c.ImageID, c.ContainerID = "", "", "" // it was restarted: how the run before ended stays
	if diff := cmp.Diff(want, short(t, newShortener(), wholePod("job-worker-0"))); diff != "" {
		t.Errorf("who it is, whose it is, where it is and how it does stay (-want +got):\n%s", diff)
	}
}

// TestShortPodsKeepWhenTheyEnded: known-bugs row 97. Of most pods nothing is kept, and
// what is kept survives that a pod is shortened again.
func TestShortPodsKeepWhenTheyEnded(t *testing.T) {
	s := newShortener()
	once := short(t, s, wholePod("job-worker-0"))
	if diff := cmp.Diff(once, short(t, s, once)); diff != "" {
		t.Errorf("a pod that is short already stays as it is (-want +got):\n%s", diff)
	}
	runs := wholePod("job-worker-0")
	runs.Status.Phase, runs.Status.ContainerStatuses = corev1.PodRunning, []corev1.ContainerStatus{{Name: "main"}}
	if got := short(t, s, runs).ManagedFields; got != nil {
		t.Errorf("a pod that runs needs no managed fields, and there are many of them: %v", got)
	}
}

// TestShortPodsCostNothingAgain: client-go shortens each pod of a list that is streamed twice, once in the list
// and once in the queue behind it. At a start with 50,000 pods the second time was a tenth of all that was done.
func TestShortPodsCostNothingAgain(t *testing.T) {
	s := newShortener()
	foreign := wholePod("foreign")
	foreign.OwnerReferences = nil
	for name, pod := range map[string]*corev1.Pod{"Ended": wholePod("job-worker-0"), "Runs": runningPod(1), "OfNoJob": foreign} {
		t.Run(name, func(t *testing.T) {
			once := short(t, s, pod)
			if got := testing.AllocsPerRun(10, func() { again(t, s, once) }); got != 0 {
				t.Errorf("a pod that is short already is made short once more: %v allocations", got)
			}
		})
	}
}

// again shortens a pod, which must stay the one it is.
func again(t *testing.T, s *shortener, pod *corev1.Pod) {
	t.Helper()
	if o, err := s.pod(pod); err != nil || o != any(pod) {
		t.Fatalf("a pod that is short already is another one then: %v", err)
	}
}

// TestShortPodsLoseTheirSidecars: what the statuses of native sidecars say is not taken for that of
// other init containers. They are kept only where they say something: why a pod does not start, and,
// to a rule that names them, how it ended.
func TestShortPodsLoseTheirSidecars(t *testing.T) {
	setup := corev1.ContainerStatus{Name: "setup", RestartCount: 1}
	proxy := corev1.ContainerStatus{Name: "proxy", RestartCount: 7}
	always := new(corev1.ContainerRestartPolicyAlways)
	sidecar := corev1.Container{Name: "proxy", RestartPolicy: always}
	run := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for name, tc := range map[string]struct {
		reason string
		pod    func(*corev1.Pod)
		keeps  bool
	}{
		"Runs": {"nothing else tells them apart, and nothing asks for them", func(p *corev1.Pod) {
			p.Status.Phase, p.Status.ContainerStatuses[0].State = corev1.PodRunning, run
		}, false},
		"Succeeded":   {"nor here", func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, false},
		"Pending":     {"the pod waits for them", func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, true},
		"Failed":      {"a rule may name one", func(*corev1.Pod) {}, true},
		"AboutToFail": {"a rule may name one", func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }, true},
		"Many": {"they must not fill the cache", func(p *corev1.Pod) {
			for i := range maxSidecars {
				more := corev1.Container{Name: fmt.Sprintf("more-%d", i), RestartPolicy: always}
				p.Spec.InitContainers = append(p.Spec.InitContainers, more)
			}
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := wholePod("job-worker-0")
			pod.Spec.InitContainers = []corev1.Container{
				{Name: "setup", Image: "s"}, {Name: "proxy", Image: "p", RestartPolicy: always, Args: []string{"-v"}},
			}
			pod.Status.InitContainerStatuses = []corev1.ContainerStatus{setup, proxy}
			tc.pod(pod)
			s := newShortener()
			once := short(t, s, pod)
			want, spec := []corev1.ContainerStatus{setup}, []corev1.Container(nil)
			if diff := cmp.Diff(want, plan.WithoutSidecars(once)); diff != "" {
				t.Errorf("%s: the statuses of init containers, without the sidecar's (-want +got):\n%s", tc.reason, diff)
			}
			if tc.keeps {
				want, spec = []corev1.ContainerStatus{setup, proxy}, []corev1.Container{sidecar}
			}
			if diff := cmp.Diff(want, once.Status.InitContainerStatuses); diff != "" {
				t.Errorf("%s: the statuses (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(spec, once.Spec.InitContainers); diff != "" {
				t.Errorf("%s: what is needed of the sidecar (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(once, short(t, s, once)); diff != "" {
				t.Errorf("a pod that is short already stays as it is (-want +got):\n%s", diff)
			}
			if other := short(t, s, pod); tc.keeps && &other.Spec.InitContainers[0] != &once.Spec.InitContainers[0] {
				t.Error("the pods of a job share what is needed of their sidecars")
			}
		})
	}
}

// TestShortPodsOfManyContainers: of very many containers and conditions those are kept that a policy
// asks for, and no restart is lost.
func TestShortPodsOfManyContainers(t *testing.T) {
	pod := wholePod("job-worker-0")
	pod.Status.ContainerStatuses, pod.Status.Conditions = nil, nil
	for i := range 100 {
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: fmt.Sprintf("c-%d", i), RestartCount: 2})
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: corev1.PodConditionType(fmt.Sprintf("example.com/c-%d", i))})
	}
	pod.Status.ContainerStatuses[98].State.Terminated = &corev1.ContainerStateTerminated{ExitCode: 3}
	pod.Status.ContainerStatuses[97].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{ExitCode: 4}
	pod.Status.Conditions[96] = corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue}
	got := short(t, newShortener(), pod).Status
	var names []string
	for _, c := range got.ContainerStatuses {
		names = append(names, c.Name)
	}
	if len(names) != maxStatuses || names[0] != "c-0" || !slices.Contains(names, "c-97") || !slices.Contains(names, "c-98") {
		t.Errorf("the containers that ended with an error, and the first others: %v", names)
	}
	if n := restarts(got.ContainerStatuses); n != 200 {
		t.Errorf("%d restarts, want 200", n)
	}
	if len(got.Conditions) != maxStatuses || got.Conditions[maxStatuses-1].Type != corev1.DisruptionTarget {
		t.Errorf("the disruption is among the conditions: %v", got.Conditions)
	}
}

// TestShortPodsKeepTexts: what a condition of a job, or its status, can say of a pod is kept.
func TestShortPodsKeepTexts(t *testing.T) {
	pod := wholePod("job-worker-0")
	text := strings.Repeat("\u00e4", 10_000)
	pod.Status.Conditions[0].Message = text
	pod.Status.ContainerStatuses[0].State.Terminated.Message = text
	got := short(t, newShortener(), pod).Status
	if m := got.Conditions[0].Message; m != text[:maxText] {
		t.Errorf("the message of a condition has %d bytes, want %d", len(m), maxText)
	}
	if m := got.ContainerStatuses[0].State.Terminated.Message; m != text[:maxContainerText] {
		t.Errorf("the message of a container has %d bytes, want %d", len(m), maxContainerText)
	}
}

// TestShortPodsKeepWhyTheyWait: of a container that cannot start its image is kept, if that is
// why, and what the kubelet says of it, shortened.
func TestShortPodsKeepWhyTheyWait(t *testing.T) {
	long := strings.Repeat("x", 5000)
	waiting := func(image, reason, message string) corev1.ContainerStatus {
		return corev1.ContainerStatus{
			Name: "main", Image: image, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}
	}
	for name, tc := range map[string]struct {
		reason    string
		pod, want corev1.ContainerStatus
	}{
		"Pull": {
			"the image, and what the registry says", waiting("train:1", "ImagePullBackOff", `Back-off pulling image "train:1": ErrImagePull: not found`),
			waiting("train:1", "ImagePullBackOff", "not found"),
		},
		"Config": {
			"what is missing, and no image", waiting("train:1", "CreateContainerConfigError", `secret "keys" not found`),
			waiting("", "CreateContainerConfigError", `secret "keys" not found`),
		},
		"Creating": {"no more than that it is being created", waiting("train:1", "ContainerCreating", "soon"), waiting("", "ContainerCreating", "")},
		"Crash":    {"no delay, which changes", waiting("train:1", "CrashLoopBackOff", "back-off 10s"), waiting("", "CrashLoopBackOff", "")},
		"Long":     {"all is bounded", waiting(long, "ErrImagePull", long), waiting(long[:256], "ErrImagePull", long[:256])},
	} {
		t.Run(name, func(t *testing.T) {
			pod := wholePod("job-worker-0")
			pod.Status.Phase, pod.Status.ContainerStatuses = corev1.PodPending, []corev1.ContainerStatus{tc.pod}
			s := newShortener()
			once := short(t, s, pod)
			if diff := cmp.Diff(tc.want, once.Status.ContainerStatuses[0]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(once, short(t, s, once)); diff != "" {
				t.Errorf("a pod that is short already stays as it is (-want +got):\n%s", diff)
			}
		})
	}
}

func TestShortPodsShareStrings(t *testing.T) {
	s := newShortener()
	a, b := short(t, s, wholePod("job-worker-0")), short(t, s, wholePod("job-worker-1"))
	for what, words := range map[string][2]string{
		"label":     {a.Labels[commonv1.JobNameLabel], b.Labels[commonv1.JobNameLabel]},
		"namespace": {a.Namespace, b.Namespace},
		"owner":     {string(a.OwnerReferences[0].UID), string(b.OwnerReferences[0].UID)},
		"node":      {a.Spec.NodeName, b.Spec.NodeName},
		"condition": {a.Status.Conditions[0].Reason, b.Status.Conditions[0].Reason},
		"container": {a.Status.ContainerStatuses[0].Name, b.Status.ContainerStatuses[0].Name},
	} {
		if words[0] == "" || unsafe.StringData(words[0]) != unsafe.StringData(words[1]) { //nolint:gosec // compares, and follows neither
			t.Errorf("%s: two pods of a job hold one copy of %q", what, words[0])
		}
	}
}
