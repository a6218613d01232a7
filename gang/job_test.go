package gang_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/jobkit/jobkit/gang"
)

func list(pairs ...string) corev1.ResourceList {
	out := corev1.ResourceList{}
	for i := 0; i+1 < len(pairs); i += 2 {
		out[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return out
}

// strs makes resources comparable.
func strs(l corev1.ResourceList) map[string]string {
	out := map[string]string{}
	for name, q := range l {
		out[string(name)] = q.String()
	}
	return out
}

func container(requests, limits corev1.ResourceList) corev1.Container {
	return corev1.Container{Name: "c", Resources: corev1.ResourceRequirements{Requests: requests, Limits: limits}}
}

func sidecar(requests corev1.ResourceList) corev1.Container {
	c := container(requests, nil)
	c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	return c
}

// TestPodRequests is row 65 of docs/maintainers/known-bugs.md.
func TestPodRequests(t *testing.T) {
	cases := map[string]struct {
		reason string
		pod    corev1.PodSpec
		want   corev1.ResourceList
	}{
		"Nothing": {reason: "a pod may ask for nothing", want: list()},
		"Sum": {
			reason: "containers run side by side",
			pod:    corev1.PodSpec{Containers: []corev1.Container{container(list("cpu", "1"), nil), container(list("cpu", "500m", "memory", "1Gi"), nil)}},
			want:   list("cpu", "1500m", "memory", "1Gi"),
		},
		"Limits": {
			reason: "a limit stands for a request that is not there, container by container and resource by resource",
			pod: corev1.PodSpec{Containers: []corev1.Container{
				container(list("cpu", "1"), list("cpu", "4", "nvidia.com/gpu", "8")), container(nil, list("cpu", "2")),
			}},
			want: list("cpu", "3", "nvidia.com/gpu", "8"),
		},
		"Init": {
			reason: "init containers run one by one before the others",
			pod: corev1.PodSpec{
				InitContainers: []corev1.Container{container(list("cpu", "3"), nil), container(list("memory", "2Gi"), nil)},
				Containers:     []corev1.Container{container(list("cpu", "1", "memory", "1Gi"), nil)},
			},
			want: list("cpu", "3", "memory", "2Gi"),
		},
		"Sidecar": {
			reason: "a sidecar runs beside the containers",
			pod:    corev1.PodSpec{InitContainers: []corev1.Container{sidecar(list("cpu", "1"))}, Containers: []corev1.Container{container(list("cpu", "2"), nil)}},
			want:   list("cpu", "3"),
		},
		"SidecarBeforeInit": {
			reason: "and beside the init containers that follow it",
			pod: corev1.PodSpec{
				InitContainers: []corev1.Container{container(list("cpu", "4"), nil), sidecar(list("cpu", "1")), container(list("cpu", "5"), nil)},
				Containers:     []corev1.Container{container(list("cpu", "2"), nil)},
			},
			want: list("cpu", "6"),
		},
		"Overhead": {
			reason: "the runtime takes its share",
			pod:    corev1.PodSpec{Containers: []corev1.Container{container(list("cpu", "1"), nil)}, Overhead: list("cpu", "250m", "memory", "120Mi")},
			want:   list("cpu", "1250m", "memory", "120Mi"),
		},
		"PodLevel": {
			reason: "what the pod as a whole asks for counts, for the resources that can be asked for so",
			pod: corev1.PodSpec{
				Containers: []corev1.Container{container(list("cpu", "1", "nvidia.com/gpu", "1"), nil)},
				Resources:  &corev1.ResourceRequirements{Requests: list("cpu", "4", "nvidia.com/gpu", "9"), Limits: list("memory", "8Gi", "cpu", "6")},
				Overhead:   list("cpu", "1"),
			},
			want: list("cpu", "5", "nvidia.com/gpu", "1", "memory", "8Gi"),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before := tc.pod.DeepCopy()
			if diff := cmp.Diff(strs(tc.want), strs(gang.PodRequests(&tc.pod))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(before, &tc.pod); diff != "" {
				t.Errorf("the pod was changed:\n%s", diff)
			}
		})
	}
}

func job(minAvailable int32, priorities ...int32) *gang.Job {
	j := &gang.Job{Kind: "TestJob", Name: "job"}
	if minAvailable > 0 {
		j.Policy.MinAvailable = &minAvailable
	}
	for i, p := range priorities {
		template := &corev1.PodTemplateSpec{}
		template.Spec.Containers = []corev1.Container{container(list([]string{"cpu", "memory", "pods"}[i], "1"), nil)}
		j.Members = append(j.Members, gang.Member{Replicas: 2, Template: template, Priority: p})
	}
	return j
}

// TestMinResources is rows 63 and 65.
func TestMinResources(t *testing.T) {
	cases := map[string]struct {
		reason string
		job    *gang.Job
		want   corev1.ResourceList
	}{
		"All":      {reason: "all pods count", job: job(0, 0, 0), want: list("cpu", "2", "memory", "2")},
		"Priority": {reason: "the highest priority goes first", job: job(3, 1, 2), want: list("cpu", "1", "memory", "2")},
		"Ties":     {reason: "of equal ones the one that the kind names first", job: job(3, 5, 5, 7), want: list("cpu", "1", "pods", "2")},
		"Fewer":    {reason: "types beyond the number do not count", job: job(1, 0, 0), want: list("cpu", "1")},
	}
	waiting := job(0, 0, 1)
	waiting.Members[1].Waiting = 1
	cases["Waiting"] = struct {
		reason string
		job    *gang.Job
		want   corev1.ResourceList
	}{"those that start after others need no room yet", waiting, list("cpu", "2", "memory", "1")}
	done := job(0, 0, 1)
	done.Done, done.Members[1].Done = 2, 2
	cases["Done"] = struct {
		reason string
		job    *gang.Job
		want   corev1.ResourceList
	}{"those that have succeeded need none, whatever their priority", done, list("cpu", "2")}
	completed := job(3, 0, 0, 0)
	for i := range completed.Members {
		completed.Members[i].Completed = func() *corev1.PodTemplateSpec {
			if i == 2 {
				t.Error("what does not count is not completed")
			}
			template := completed.Members[i].Template.DeepCopy()
			template.Spec.InitContainers = []corev1.Container{container(list("ephemeral-storage", "5Gi"), nil)}
			return template
		}
	}
	cases["Completed"] = struct {
		reason string
		job    *gang.Job
		want   corev1.ResourceList
	}{"row 131: what the operator adds to the pods counts", completed, list("cpu", "2", "memory", "1", "ephemeral-storage", "15Gi")}
	own := job(1, 0)
	own.Members[0].Completed = func() *corev1.PodTemplateSpec { panic("it is not needed") }
	own.Policy.MinResources = new(map[corev1.ResourceName]resource.Quantity(list("memory", "9")))
	cases["Own"] = struct {
		reason string
		job    *gang.Job
		want   corev1.ResourceList
	}{"what the policy says goes first", own, list("memory", "9")}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				if diff := cmp.Diff(strs(tc.want), strs(tc.job.MinResources())); diff != "" {
					t.Fatalf("%s (-want +got):\n%s", tc.reason, diff)
				}
			}
		})
	}
}

func TestMinMember(t *testing.T) {
	done := job(0, 0, 0)
	done.Done = 3
	waits, some := job(0, 0, 0), job(3, 0, 0)
	waits.Members[1].Waiting, some.Members[1].Waiting = 2, 2
	cases := map[string]struct {
		reason string
		job    *gang.Job
		want   int32
	}{
		"All":     {"by default all must fit", job(0, 0, 0), 4},
		"Some":    {"the policy may say fewer", job(3, 0, 0), 3},
		"TooMany": {"never more than there are, or the group would wait forever", job(9, 0, 0), 4},
		"Waiting": {"those that start after others are not there to be scheduled", waits, 2},
		"FewWait": {"never more than can be created", some, 2},
		"Done":    {"those that have ended well need no room", done, 1},
		"None":    {"no scheduler takes a group of none", job(0), 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.job.MinMember(); got != tc.want {
				t.Errorf("%s: want %d, got %d", tc.reason, tc.want, got)
			}
		})
	}
}

// TestGroupName is row 67.
func TestGroupName(t *testing.T) {
	long := strings.Repeat("x", 60)
	names := map[string]bool{}
	for _, j := range []gang.Job{
		{Kind: "TFJob", Name: "a"}, {Kind: "PyTorchJob", Name: "a"}, {Kind: "TFJob", Name: long}, {Kind: "PyTorchJob", Name: long}, {Kind: "TFJob", Name: long + "y"},
	} {
		name := j.GroupName()
		if names[name] || len(name) > 63 {
			t.Errorf("%q is too long, or another job's", name)
		}
		names[name] = true
	}
	if !names["a-tfjob"] {
		t.Errorf("the name tells the job and its kind: %v", names)
	}
}
