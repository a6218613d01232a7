package podtemplate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit/plan"
	"github.com/jobkit/jobkit/podtemplate"
)

func TestEnv(t *testing.T) {
	env := podtemplate.Env{
		Fixed:  []corev1.EnvVar{podtemplate.Var("RANK", "1"), podtemplate.Var("WORLD_SIZE", "4")},
		Preset: []corev1.EnvVar{podtemplate.Var("PYTHONUNBUFFERED", "1")},
	}
	tests := map[string]struct {
		reason  string
		has     []corev1.EnvVar
		want    []corev1.EnvVar
		warning *plan.Event
	}{
		"Nothing": {
			reason: "a template without variables gets them all, in order",
			want:   []corev1.EnvVar{podtemplate.Var("PYTHONUNBUFFERED", "1"), podtemplate.Var("RANK", "1"), podtemplate.Var("WORLD_SIZE", "4")},
		},
		"Others": {
			reason: "variables that the operator does not set stay, before the operator's",
			has:    []corev1.EnvVar{podtemplate.Var("A", "a")},
			want: []corev1.EnvVar{
				podtemplate.Var("A", "a"), podtemplate.Var("PYTHONUNBUFFERED", "1"), podtemplate.Var("RANK", "1"), podtemplate.Var("WORLD_SIZE", "4"),
			},
		},
		"Fixed": {
			reason: "known-bugs row 85: a variable that the replicas need is there once, with the operator's value, and the user is told",
			has:    []corev1.EnvVar{podtemplate.Var("WORLD_SIZE", "9"), podtemplate.Var("RANK", "9"), podtemplate.Var("RANK", "8")},
			want:   []corev1.EnvVar{podtemplate.Var("PYTHONUNBUFFERED", "1"), podtemplate.Var("RANK", "1"), podtemplate.Var("WORLD_SIZE", "4")},
			warning: &plan.Event{Warning: true, Reason: "SetPodTemplateEnv", Message: "The pod template of Worker sets variables that the operator sets too: " +
				"the values of RANK, WORLD_SIZE are not used, because the operator sets them: remove them from the template."},
		},
		"Preset": {
			reason: "known-bugs row 85: a variable that the template may set keeps its value, and the user is told",
			has:    []corev1.EnvVar{podtemplate.Var("PYTHONUNBUFFERED", "0")},
			want:   []corev1.EnvVar{podtemplate.Var("PYTHONUNBUFFERED", "0"), podtemplate.Var("RANK", "1"), podtemplate.Var("WORLD_SIZE", "4")},
			warning: &plan.Event{Warning: true, Reason: "SetPodTemplateEnv", Message: "The pod template of Worker sets variables that the operator sets too: " +
				"the values of PYTHONUNBUFFERED are used in place of the operator's."},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := corev1.Container{Name: "main", Env: tc.has}
			if diff := cmp.Diff(tc.warning, env.Warning("Worker", []corev1.Container{c})); diff != "" {
				t.Errorf("%s: warning (-want +got):\n%s", tc.reason, diff)
			}
			env.Apply(&c)
			if diff := cmp.Diff(tc.want, c.Env); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestPort(t *testing.T) {
	template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{
		{Name: "sidecar", Ports: []corev1.ContainerPort{{Name: "job-port", ContainerPort: 1}}},
		{Name: "main", Ports: []corev1.ContainerPort{{Name: "other", ContainerPort: 2}, {Name: "job-port", ContainerPort: 3}}},
	}}}
	tests := map[string]struct {
		reason          string
		container, port string
		want            int32
	}{
		"There":       {reason: "the port of that name, of that container", container: "main", port: "job-port", want: 3},
		"NoPort":      {reason: "without such a port the fallback counts", container: "main", port: "none", want: 9},
		"NoContainer": {reason: "without such a container too", container: "none", port: "job-port", want: 9},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, podtemplate.Port(template, tc.container, tc.port, 9)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
