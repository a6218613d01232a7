package logs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jobkit/jobkit/internal/cli/jobs"
	"github.com/jobkit/jobkit/internal/cli/logs"
)

// kubelets print what they are asked for.
type kubelets struct {
	err error
	// text is what each container printed, if that is given.
	text string
}

func (k kubelets) Logs(_ context.Context, _, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	text := fmt.Sprintf("%s of %s\nprevious %t\x1b[2J, no line end", o.Container, pod, o.Previous)
	if k.text != "" {
		text = k.text
	}
	return io.NopCloser(strings.NewReader(text)), k.err
}

func found() jobs.Found {
	pod := func(name, typ, role string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"training.kubeflow.org/replica-type": typ, "training.kubeflow.org/job-role": role}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "proxy"}, {Name: "pytorch"}, {Name: "sidecar"}}},
		}
	}
	launcher := pod("a-launcher", "launcher", "")
	launcher.Labels["training.kubeflow.org/replica-index"] = "0"
	launcher.Spec.Containers = []corev1.Container{{Name: "proxy"}, {Name: "sidecar"}}
	launcher.Annotations = map[string]string{"kubectl.kubernetes.io/default-container": "sidecar"}
	return jobs.Found{
		Object: &unstructured.Unstructured{Object: map[string]any{"apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": map[string]any{"name": "a", "namespace": "n"}}},
		Pods:   []*corev1.Pod{pod("a-worker-0", "worker", ""), pod("a-master-0", "master", "master"), launcher},
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason    string
		o         logs.Options
		source    kubelets
		want, err string
	}{
		{reason: "the master's; what steers a terminal is text", want: "pytorch of a-master-0\nprevious false [2J, no line end\n"},
		{
			reason: "several have prefixes", o: logs.Options{All: true, Previous: true, Container: "sidecar"},
			want: "worker-0  sidecar of a-worker-0\nworker-0  previous true [2J, no line end\nmaster-0  sidecar of a-master-0\nmaster-0  previous true [2J, no line end\n" +
				"launcher  sidecar of a-launcher\nlauncher  previous true [2J, no line end\n",
		},
		{reason: "one replica", o: logs.Options{Replicas: []string{"worker"}}, want: "pytorch of a-worker-0\nprevious false [2J, no line end\n"},
		{reason: "no such replica", o: logs.Options{Replicas: []string{"ps"}}, err: `PyTorchJob n/a has no pod of replica "ps": it has worker-0, master-0, launcher`},
		{
			reason: "a progress bar is seen as it is drawn", o: logs.Options{Replicas: []string{"worker"}}, source: kubelets{text: "10%\r20%\rend\r\n"},
			want: "10%\n20%\nend\n",
		},
		{
			reason: "a line without end does not fill the memory", o: logs.Options{Replicas: []string{"worker"}}, source: kubelets{text: strings.Repeat("x", 70_000)},
			want: strings.Repeat("x", 64<<10) + "\n" + strings.Repeat("x", 70_000-64<<10) + "\n",
		},
		{
			reason: "a replica with one pod may be called by a number, as describe does", o: logs.Options{Replicas: []string{"launcher-0"}},
			source: kubelets{text: "hello"}, want: "hello\n",
		},
		{
			reason: "a pod says which container is meant", o: logs.Options{Replicas: []string{"launcher"}}, want: "sidecar of a-launcher\nprevious false [2J, no line end\n",
		},
		{reason: "no kubelet", source: kubelets{err: errors.New("connection refused")}, err: "cannot read the log of a-master-0: connection refused"},
	} {
		var out strings.Builder
		c.o.Tail = -1
		job := found()
		err := logs.Print(t.Context(), c.source, &job, c.o, &out)
		message := ""
		if err != nil {
			message = err.Error()
		}
		if diff := cmp.Diff([]string{c.want, c.err}, []string{out.String(), message}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
	none := found()
	none.Pods = nil
	if err := logs.Print(t.Context(), kubelets{}, &none, logs.Options{}, io.Discard); err == nil {
		t.Error("a job without pods has no logs, which is said")
	}
	none.NoPods = errors.New("pods is forbidden")
	want := "cannot list the pods of PyTorchJob n/a: pods is forbidden"
	if err := logs.Print(t.Context(), kubelets{}, &none, logs.Options{}, io.Discard); err == nil || err.Error() != want {
		t.Errorf("pods that may not be listed are not called gone: %v, want %s", err, want)
	}
}
