//go:build linux && nodes

package nodes

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// These tests train real models, with programs of Debian. Each has a second job that nothing
// disturbs, and whose losses it must have. They are not parallel: six processes that load torch
// are enough for two cores, and the operator's share is measured.

const (
	trainingSteps = 60
	// operatorTarget is how much of a recovery may be the operator's own; operatorBudget is
	// what a machine keeps that does much else.
	operatorTarget, operatorBudget = 500 * time.Millisecond, 2 * time.Second
)

// python is a program of the folder training.
func python(name string) []string { return []string{"/bin/python3", "/opt/" + name} }

// trains makes a job train with a program, which a replica of a type runs.
func trains(t *testing.T, s settings, programs map[commonv1.ReplicaType][]string) settings {
	t.Helper()
	if world.bins.Training == "" {
		t.Skip("make test-nodes-training runs it")
	}
	s.steps = trainingSteps
	s.change = func(replica commonv1.ReplicaType, pod *corev1.PodSpec) {
		c := &pod.Containers[0]
		c.Image, c.Command = TrainingImage, programs[replica]
		for name, value := range map[string]string{"OMP_NUM_THREADS": "1", "PET_MONITOR_INTERVAL": "1"} {
			c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
		}
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "usr", MountPath: "/usr", ReadOnly: true})
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "usr", VolumeSource: corev1.VolumeSource{
			HostPath: &corev1.HostPathVolumeSource{Path: filepath.Join(world.bins.Training, "usr")},
		}})
	}
	return s
}

// TestTrainingKilled sends SIGKILL to a process in the middle of training. The job continues
// from its last checkpoint.
func TestTrainingKilled(t *testing.T) {
	ddp, xgb := python("ddp.py"), python("xgb.py")
	mpirun := append([]string{"mpirun.openmpi", "--allow-run-as-root", "--oversubscribe", "-np", "2"}, python("mpi.py")...)
	jobRestarts := map[string]any{"restartScope": jobScope}
	for name, tt := range map[string]struct {
		reason   string
		settings settings
		programs map[commonv1.ReplicaType][]string
		// victim is the pod, and command how the process in it begins.
		victim, command string
		attempt         int32
		recreated       []string
		// tolerance of losses, relative.
		tolerance float64
	}{
		"PyTorchJob": {
			"the others of DistributedDataParallel fail with it, so all restart, which counts once",
			settings{kind: pytorchJob, policy: exitCode, runPolicy: jobRestarts},
			map[commonv1.ReplicaType][]string{"Master": ddp, "Worker": ddp},
			// It arranges gradients again after its first step, so their sums are rounded differently.
			"worker-1", "/bin/python3", 1,
			[]string{"master-0", "worker-0", "worker-1"},
			1e-12,
		},
		"XGBoostJob": {
			"the collective does not take back one that was lost, so all restart, which counts once",
			settings{kind: xgboostJob, policy: exitCode, runPolicy: jobRestarts},
			map[commonv1.ReplicaType][]string{"Master": xgb, "Worker": xgb},
			"worker-1", "/bin/python3", 1,
			[]string{"master-0", "worker-0", "worker-1"},
			0,
		},
		"MPIJobProcess": {
			"mpirun ends the others and fails, so the launcher's container starts again",
			settings{kind: mpiJob, policy: onFailure, processes: 2},
			map[commonv1.ReplicaType][]string{"Launcher": mpirun},
			"worker-1", "/bin/python3", 0, nil, 0,
		},
		"MPIJobWorker": {
			"mpirun fails with a Worker, so all restart, which counts once, and the launcher last",
			settings{kind: mpiJob, policy: exitCode, processes: 2, runPolicy: jobRestarts},
			map[commonv1.ReplicaType][]string{"Launcher": mpirun},
			"worker-1", "sleep", 1,
			[]string{"launcher", "worker-0", "worker-1"},
			0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := trains(t, tt.settings, tt.programs)
			s.name = "undisturbed"
			undisturbed := submit(t, s)
			s.name = "killed"
			j := submit(t, s)
			j.stepped(trainingSteps/3 + 2) // between two checkpoints
			before := j.pods()
			story := j.watch()
			killed := time.Now()
			if n := Kill(before[tt.victim], tt.command); n != 1 {
				t.Fatalf("%d processes were killed", n)
			}
			status := j.finish(commonv1.JobSucceeded)
			if status.Restarts != 1 || status.Attempt != tt.attempt {
				t.Errorf("%s: %d restarts and attempt %d, want 1 and %d", tt.reason, status.Restarts, status.Attempt, tt.attempt)
			}
			j.complete()
			if diff := cmp.Diff(tt.recreated, j.recreated(before)); diff != "" {
				t.Errorf("%s: recreated pods (-want +got):\n%s", tt.reason, diff)
			}
			story.report(killed, before)
			if s := undisturbed.finish(commonv1.JobSucceeded); s.Restarts != 0 {
				t.Errorf("the job that nothing disturbs has %d restarts", s.Restarts)
			}
			undisturbed.complete()
			j.learned(undisturbed, tt.tolerance)
			for step, losses := range j.losses() {
				if step <= trainingSteps/3 && len(losses) != j.size() {
					t.Errorf("%d processes made step %d, which was in a checkpoint, want %d", len(losses), step, j.size())
				}
			}
		})
	}
}

// TestTrainingElastic scales the Workers of torchrun from two to three and back. The processes
// start again each time, but no pod does, and nothing counts as a restart.
func TestTrainingElastic(t *testing.T) {
	ddp := python("ddp.py")
	static := submit(t, trains(t, settings{name: "static", kind: pytorchJob, policy: never},
		map[commonv1.ReplicaType][]string{"Master": ddp, "Worker": ddp}))
	elastic := kind{pytorchJob.word, pytorchJob.specs, pytorchJob.container, map[commonv1.ReplicaType]int64{"Worker": 2}}
	s := trains(t, settings{kind: elastic, policy: onFailure, spec: map[string]any{"nprocPerNode": "1", "elasticPolicy": map[string]any{
		"minReplicas": int64(2), "maxReplicas": int64(3), "maxRestarts": int64(10), "rdzvBackend": "c10d", "rdzvId": "elastic",
		// How long a group waits for one more.
		"rdzvConf": []any{map[string]any{"key": "last_call_timeout", "value": "3"}},
	}}}, map[commonv1.ReplicaType][]string{"Worker": append(python("torchrun.py"), ddp[1])})
	limit := trainingSteps / 3
	j := submit(t, s)
	j.allow(limit)
	j.stepped(limit)
	before := j.pods()
	for _, workers := range []int{3, 2} {
		scaled := time.Now()
		j.scale(workers)
		j.eventually(fmt.Sprintf("%d pods", workers), func() string {
			if n := len(j.pods()); n != workers {
				return fmt.Sprintf("there are %d", n)
			}
			return ""
		})
		if workers == 3 {
			// Processes that wait do not learn of one more before all of them start again.
			j.started(workers, scaled)
		}
		limit += trainingSteps / 3
		j.allow(limit)
		j.reached(limit, workers)
		j.t.Logf("%s: %d processes are %d steps further %.1f s after the job was scaled to them",
			j.name, workers, trainingSteps/3, time.Since(scaled).Seconds())
	}
	if s := j.finish(commonv1.JobSucceeded); s.Restarts != 0 || s.Attempt != 0 {
		t.Errorf("%d restarts, attempt %d", s.Restarts, s.Attempt)
	}
	after := j.pods()
	if diff := cmp.Diff(uids(before), uids(after)); diff != "" {
		t.Errorf("pods are new (-before +after):\n%s", diff)
	}
	for name, p := range after {
		if n := p.Status.ContainerStatuses[0].RestartCount; n != 0 {
			t.Errorf("the container of %s was restarted %d times", name, n)
		}
	}
	static.finish(commonv1.JobSucceeded)
	// Sums of two parts and of three are rounded differently.
	j.learned(static, 1e-12)
}

// allow lets the processes make steps, up to a number.
func (j *job) allow(steps int) {
	j.t.Helper()
	file := filepath.Join(j.dir, "limit")
	if err := os.WriteFile(file+".tmp", []byte(strconv.Itoa(steps)), 0o600); err != nil {
		j.t.Fatal(err)
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		j.t.Fatal(err)
	}
}

// scale sets the number of Workers as "kubectl scale" does.
func (j *job) scale(workers int) {
	j.t.Helper()
	patch := client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"spec": {"replicas": %d}}`, workers))
	if err := world.client.SubResource("scale").Patch(j.t.Context(), j.object(), patch); err != nil {
		j.t.Fatal(err)
	}
}

// started waits until a number of processes have started together, since a time.
func (j *job) started(processes int, since time.Time) {
	j.t.Helper()
	j.eventually(fmt.Sprintf("%d processes", processes), func() string {
		ranks := map[int]bool{}
		for _, e := range j.diaries() {
			if e.word == "start" && e.at.After(since) {
				ranks[e.rank] = true
			}
		}
		if len(ranks) < processes {
			return fmt.Sprint(ranks)
		}
		return ""
	})
}

// reached waits until a number of processes have made a step together.
func (j *job) reached(step, processes int) {
	j.t.Helper()
	j.eventually(fmt.Sprintf("at step %d, made by %d processes", step, processes), func() string {
		ranks := map[int]bool{}
		for _, e := range j.diaries() {
			if e.word == "step" && e.n == step && e.more[0] == strconv.Itoa(processes) {
				ranks[e.rank] = true
			}
		}
		if len(ranks) < processes {
			return fmt.Sprint(ranks)
		}
		return ""
	})
}

// losses are those of each step: of all processes, and of all times that it was made.
func (j *job) losses() map[int][]float64 {
	j.t.Helper()
	all := map[int][]float64{}
	for _, e := range j.diaries() {
		if e.word != "step" {
			continue
		}
		loss, err := strconv.ParseFloat(e.more[1], 64)
		if err != nil {
			j.t.Fatal(err)
		}
		all[e.n] = append(all[e.n], loss)
	}
	return all
}

// learned checks that the job had the losses of another one in each step, but for a relative
// tolerance.
func (j *job) learned(undisturbed *job, tolerance float64) {
	j.t.Helper()
	want, got := undisturbed.losses(), j.losses()
	if len(want) != j.steps || len(got) != j.steps {
		j.t.Errorf("%s: losses of %d steps and of %d, want %d", j.name, len(got), len(want), j.steps)
	}
	repeated, worst := 0, 0.0
	for _, step := range slices.Sorted(maps.Keys(want)) {
		first := want[step][0]
		for _, loss := range slices.Concat(want[step], got[step]) {
			difference := math.Abs(loss-first) / math.Abs(first)
			worst = max(worst, difference)
			if !(difference <= tolerance) { // false for what is no number
				j.t.Errorf("%s: step %d: the loss is %v, undisturbed %v", j.name, step, loss, first)
			}
		}
		if len(got[step]) > len(want[step]) {
			repeated++
		}
	}
	if len(slices.Compact(slices.Concat(slices.Collect(maps.Values(want))...))) < j.steps/2 {
		j.t.Errorf("%s: hardly two losses differ: %v", j.name, want)
	}
	j.t.Logf("%s: the losses of %d steps, %d of them repeated, differ by %.1g at most from those of the job that nothing disturbed",
		j.name, len(got), repeated, worst)
}
