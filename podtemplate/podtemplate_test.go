package podtemplate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

// envVars makes variables of names and values in turn.
func envVars(pairs ...string) []corev1.EnvVar {
	var out []corev1.EnvVar
	for pair := range slices.Chunk(pairs, 2) {
		out = append(out, corev1.EnvVar{Name: pair[0], Value: pair[1]})
	}
	return out
}

func TestEnv(t *testing.T) {
	env := podtemplate.Env{
		podtemplate.Fixed("RANK", "1"), podtemplate.Preset("PYTHONUNBUFFERED", "1"), podtemplate.Fixed("WORLD_SIZE", "4"),
	}
	tests := map[string]struct {
		reason  string
		has     []corev1.EnvVar
		want    []corev1.EnvVar
		warning string
	}{
		"Nothing": {
			reason: "a template without variables gets them all, in order",
			want:   envVars("RANK", "1", "PYTHONUNBUFFERED", "1", "WORLD_SIZE", "4"),
		},
		"Others": {
			reason: "variables that the operator does not set stay, before the operator's, which may refer to them",
			has:    envVars("A", "a"),
			want:   envVars("A", "a", "RANK", "1", "PYTHONUNBUFFERED", "1", "WORLD_SIZE", "4"),
		},
		"Place": {
			reason: "a variable that the replicas need takes the place of the template's, whose other variables may refer to it",
			has:    envVars("A", "a", "RANK", "9", "B", "$(RANK)"),
			want:   envVars("A", "a", "RANK", "1", "B", "$(RANK)", "PYTHONUNBUFFERED", "1", "WORLD_SIZE", "4"),
			warning: "The pod template of Worker sets variables that the operator sets too: " +
				"the values of RANK are not used, because the operator sets them: remove them from the template.",
		},
		"Referred": {
			reason: "and comes before the first that refers to it, as Kubernetes reads references",
			has:    envVars("A", "$$(WORLD_SIZE) $RANK $(RANK", "B", "$($(PYTHONUNBUFFERED) $$$(RANK)$", "C", "$(RANK)"),
			want: envVars("A", "$$(WORLD_SIZE) $RANK $(RANK", "RANK", "1", "B", "$($(PYTHONUNBUFFERED) $$$(RANK)$", "C", "$(RANK)",
				"PYTHONUNBUFFERED", "1", "WORLD_SIZE", "4"),
		},
		"ReferredAndSet": {
			reason: "wherever the template sets it; a variable of the template's own stays where it is",
			has:    envVars("A", "$(RANK) $(PYTHONUNBUFFERED)", "PYTHONUNBUFFERED", "0", "RANK", "9"),
			want:   envVars("RANK", "1", "A", "$(RANK) $(PYTHONUNBUFFERED)", "PYTHONUNBUFFERED", "0", "WORLD_SIZE", "4"),
			warning: "The pod template of Worker sets variables that the operator sets too: " +
				"the values of RANK are not used, because the operator sets them: remove them from the template; " +
				"the values of PYTHONUNBUFFERED are used in place of the operator's.",
		},
		"Fixed": {
			reason: "known-bugs row 85: a variable that the replicas need is set once, with the operator's value, and the user is informed",
			has:    envVars("WORLD_SIZE", "9", "RANK", "9", "RANK", "8"),
			want:   envVars("WORLD_SIZE", "4", "RANK", "1", "PYTHONUNBUFFERED", "1"),
			warning: "The pod template of Worker sets variables that the operator sets too: " +
				"the values of RANK, WORLD_SIZE are not used, because the operator sets them: remove them from the template.",
		},
		"Preset": {
			reason: "known-bugs row 85: a variable that the template may set keeps its value, and the user is informed",
			has:    envVars("PYTHONUNBUFFERED", "0"),
			want:   envVars("PYTHONUNBUFFERED", "0", "RANK", "1", "WORLD_SIZE", "4"),
			warning: "The pod template of Worker sets variables that the operator sets too: " +
				"the values of PYTHONUNBUFFERED are used in place of the operator's.",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			spec := workers(corev1.Container{Name: "main", Env: tc.has}, corev1.Container{Name: "sidecar"})
			got := envWarning(spec, "", func(commonv1.ReplicaType) podtemplate.Env { return env })
			var want []jobkit.Warning
			if tc.warning != "" {
				want = []jobkit.Warning{{Reason: "SetPodTemplateEnv", Message: tc.warning}}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: warning (-want +got):\n%s", tc.reason, diff)
			}
			template := &spec["Worker"].Template
			env.ApplyToAll(template)
			if diff := cmp.Diff(tc.want, template.Spec.Containers[0].Env); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if n := len(template.Spec.Containers[1].Env); n != len(env) {
				t.Errorf("the sidecar has %d variables, %d were to be set in all containers", n, len(env))
			}
		})
	}
}

// TestEnvRefersToEnv: the operator's variables may refer to each other and to those of
// the template.
func TestEnvRefersToEnv(t *testing.T) {
	env := podtemplate.Env{
		podtemplate.Fixed("ADDRESS", "$(HOST):$(PORT)"), podtemplate.Fixed("HOST", "$(ZONE).example"), podtemplate.Preset("PORT", "1"),
		podtemplate.Fixed("LEFT", "$(RIGHT)"), podtemplate.Fixed("RIGHT", "$(LEFT)"),
	}
	circle := envVars("RIGHT", "$(LEFT)", "LEFT", "$(RIGHT)")
	tests := map[string]struct {
		reason    string
		has, want []corev1.EnvVar
	}{
		"Alone": {
			reason: "what a variable refers to comes before it",
			want:   envVars("HOST", "$(ZONE).example", "PORT", "1", "ADDRESS", "$(HOST):$(PORT)"),
		},
		"Template": {
			reason: "a variable of the template too, before and after",
			has:    envVars("ZONE", "a", "URL", "http://$(ADDRESS)"),
			want:   envVars("ZONE", "a", "HOST", "$(ZONE).example", "PORT", "1", "ADDRESS", "$(HOST):$(PORT)", "URL", "http://$(ADDRESS)"),
		},
		"TooLate": {
			reason: "one that the template sets too late for both cannot be moved: the operator's variable is right, the other stays literal",
			has:    envVars("URL", "http://$(ADDRESS)", "ZONE", "a"),
			want:   envVars("URL", "http://$(ADDRESS)", "ZONE", "a", "HOST", "$(ZONE).example", "PORT", "1", "ADDRESS", "$(HOST):$(PORT)"),
		},
		"Preset": {
			reason: "one that the template may set is where the template has it",
			has:    envVars("ADDRESS", "mine", "PORT", "2", "ZONE", "a"),
			want:   envVars("PORT", "2", "ZONE", "a", "HOST", "$(ZONE).example", "ADDRESS", "$(HOST):$(PORT)"),
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := corev1.Container{Env: tc.has}
			env.Apply(&c)
			if diff := cmp.Diff(append(tc.want, circle...), c.Env); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func workers(c ...corev1.Container) map[commonv1.ReplicaType]*commonv1.ReplicaSpec {
	return map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
		"Worker": {Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: c}}},
	}
}

// envWarning warns of a TestJob with these replicas.
func envWarning(
	specs map[commonv1.ReplicaType]*commonv1.ReplicaSpec, container string, env func(commonv1.ReplicaType) podtemplate.Env,
) []jobkit.Warning {
	job := &testv1.TestJob{Spec: testv1.TestJobSpec{TestReplicaSpecs: specs}}
	return podtemplate.EnvWarning(testjob.Controller{}, job, container, func(_ *testv1.TestJob, r jobkit.Replica) podtemplate.Env {
		return env(r.Type())
	})
}

func TestEnvWarning(t *testing.T) {
	main := corev1.Container{Name: "main", Env: envVars("RANK", "9", "DEBUG", "1")}
	sidecar := corev1.Container{Name: "sidecar", Env: envVars("RANK", "9")}
	both := workers(main)
	both["Master"], both["Evaluator"] = workers(main)["Worker"], nil
	tests := map[string]struct {
		reason    string
		specs     map[commonv1.ReplicaType]*commonv1.ReplicaSpec
		container string
		warns     string
	}{
		"Types": {
			reason: "one event names all replica types, in a stable order",
			specs:  both, warns: "The pod template of Master, Worker sets",
		},
		"OtherContainer": {
			reason: "a container that the operator leaves alone may set what it likes",
			specs:  workers(sidecar), container: "main",
		},
		"AllContainers": {
			reason: "where the operator sets variables in all containers, all are checked",
			specs:  workers(sidecar), warns: "The pod template of Worker sets",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := envWarning(tc.specs, tc.container, func(commonv1.ReplicaType) podtemplate.Env {
				return podtemplate.Env{podtemplate.Fixed("RANK", "1")}
			})
			switch {
			case tc.warns == "" && len(got) == 0:
			case tc.warns != "" && len(got) == 1 && strings.HasPrefix(got[0].Message, tc.warns):
			default:
				t.Errorf("%s: got %v", tc.reason, got)
			}
		})
	}
}

// TestEnvTooLong: Linux starts no program with a variable of more than 128 KiB, in all.
func TestEnvTooLong(t *testing.T) {
	const most = 128<<10 - len("HOSTS=\x00")
	for length, want := range map[int][]jobkit.Warning{
		most: nil,
		most + 1: {{Reason: "EnvTooLong", Message: "The job has too many replicas for what the operator tells each: " +
			"the variable HOSTS of Worker has 131073 bytes, and Linux starts no program with a variable of more than 131072 bytes. Use fewer replicas."}},
	} {
		got := envWarning(workers(corev1.Container{Name: "main"}), "", func(commonv1.ReplicaType) podtemplate.Env {
			return podtemplate.Env{podtemplate.Fixed("RANK", "1"), podtemplate.Fixed("HOSTS", strings.Repeat("x", length))}
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("a value of %d bytes (-want +got):\n%s", length, diff)
		}
	}
}

func TestHostWait(t *testing.T) {
	tests := map[string]struct {
		reason string
		wait   podtemplate.HostWait
		has    []corev1.Container
		want   []string
		fails  string
	}{
		"Default": {
			reason: "the container comes after those of the template",
			has:    []corev1.Container{{Name: "fetch", Image: "fetch"}},
			want:   []string{"fetch=fetch", "wait-for-host=alpine:3.10"},
		},
		"Named": {
			reason: "name and image can be chosen",
			wait:   podtemplate.HostWait{Name: "wait", Image: "busybox"},
			want:   []string{"wait=busybox"},
		},
		"Taken": {
			reason: "a template that has an init container of the name keeps its own",
			wait:   podtemplate.HostWait{Name: "wait"},
			has:    []corev1.Container{{Name: "wait", Image: "mine"}},
			want:   []string{"wait=mine"},
		},
		"Template": {
			reason: "a template can make several containers",
			wait:   podtemplate.HostWait{Template: "[{name: a, image: '{{.MasterAddr}}'}, {name: b, image: '{{.MaxTries}}'}, {name: c, image: '{{.MasterPort}}'}]"},
			want:   []string{"a=leader", "b=100", "c=1"},
		},
		"NoTemplate": {
			reason: "a template that cannot be read is an error that shows it",
			wait:   podtemplate.HostWait{Template: "{{"},
			fails:  `reads "{{": it is not a valid Go template`,
		},
		"Unknown": {
			reason: "and so is one that wants more than there is",
			wait:   podtemplate.HostWait{Template: "- name: '{{.Worker}}'"},
			fails:  "it can use .MasterAddr, .MasterPort, .InitContainerImage and .MaxTries only",
		},
		"NoList": {
			reason: "and so is one that makes no containers",
			wait:   podtemplate.HostWait{Template: "name: wait"},
			fails:  "it must make a YAML list of containers",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			template := &corev1.PodTemplateSpec{Spec: corev1.PodSpec{InitContainers: tc.has}}
			err := tc.wait.Apply(template, "leader")
			if tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) || tc.fails == "" && err != nil {
				t.Errorf("%s: got error %v, want %q", tc.reason, err, tc.fails)
			}
			var got []string
			for _, c := range template.Spec.InitContainers {
				got = append(got, c.Name+"="+c.Image)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
