package mpijob_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/mpijob"
)

func TestGolden(t *testing.T) {
	optest.Golden(t, func(name string) jobkit.ControllerInterface[*kubeflowv1.MPIJob] {
		if name == "gpu" {
			return mpijob.Controller{KubectlDeliveryImage: "registry.example.com/kubectl-delivery:v1"}
		}
		return mpijob.Controller{}
	})
}

func TestNothingPanics(t *testing.T) {
	optest.Robust(t, mpijob.Controller{},
		`{metadata: {name: job}, spec: {mpiReplicaSpecs: {Launcher: null, Worker: null}}}`,
		`{metadata: {name: job}, spec: {mpiReplicaSpecs: {Launcher: {}, Worker: {replicas: 1}}}}`,
		`{metadata: {name: job}, spec: {mpiReplicaSpecs: {Worker: {replicas: 1}}}}`)
}

// TestValidate checks the mistakes that only this operator knows.
func TestValidate(t *testing.T) {
	volume := func(t commonv1.ReplicaType, name string) func(*kubeflowv1.MPIJob) {
		return func(job *kubeflowv1.MPIJob) {
			spec := &job.Spec.MPIReplicaSpecs[t].Template.Spec
			spec.Volumes = append(spec.Volumes, corev1.Volume{Name: name})
		}
	}
	mount := func(t commonv1.ReplicaType, name, path string) func(*kubeflowv1.MPIJob) {
		return func(job *kubeflowv1.MPIJob) {
			c := &job.Spec.MPIReplicaSpecs[t].Template.Spec.Containers[0]
			c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path})
		}
	}
	claim := func(t commonv1.ReplicaType, name string) func(*kubeflowv1.MPIJob) {
		return func(job *kubeflowv1.MPIJob) {
			job.Spec.MPIReplicaSpecs[t].VolumeClaimTemplates = []corev1.PersistentVolumeClaimTemplate{{ObjectMeta: metav1.ObjectMeta{Name: name}}}
		}
	}
	tests := map[string]struct {
		reason string
		change []func(*kubeflowv1.MPIJob)
		want   string
	}{
		"Valid":      {reason: "other volumes and mounts are the user's concern", change: []func(*kubeflowv1.MPIJob){volume(launcher, "data"), mount(launcher, "data", "/data")}},
		"MountsOurs": {reason: "a mount as the operator would make it is not a mistake", change: []func(*kubeflowv1.MPIJob){mount(worker, "mpi-job-config", "/etc/mpi/")}},
		"ConfigVolume": {
			reason: "two volumes of one name are not a pod; the message names the field and the fix",
			change: []func(*kubeflowv1.MPIJob){volume(worker, "mpi-job-config")},
			want: `spec.mpiReplicaSpecs[Worker].template.spec.volumes[0].name: Invalid value: "mpi-job-config": ` +
				`is the name of the volume that the operator adds and mounts at /etc/mpi: rename this one`,
		},
		"KubectlVolume": {
			reason: "the launcher has a second one",
			change: []func(*kubeflowv1.MPIJob){volume(launcher, "mpi-job-kubectl")},
			want: `spec.mpiReplicaSpecs[Launcher].template.spec.volumes[0].name: Invalid value: "mpi-job-kubectl": ` +
				`is the name of the volume that the operator adds and mounts at /opt/kube: rename this one`,
		},
		"KubectlVolumeOfWorker": {reason: "a Worker has not", change: []func(*kubeflowv1.MPIJob){volume(worker, "mpi-job-kubectl"), mount(worker, "mpi-job-kubectl", "/opt/kube")}},
		"ConfigClaim": {
			reason: "a claim would replace the operator's volume",
			change: []func(*kubeflowv1.MPIJob){claim(worker, "mpi-job-config")},
			want: `spec.mpiReplicaSpecs[Worker].volumeClaimTemplates[0].metadata.name: Invalid value: "mpi-job-config": ` +
				`is the name of the volume that the operator adds and mounts at /etc/mpi: rename this one`,
		},
		"KubectlClaim": {
			reason: "the same of the launcher's second one",
			change: []func(*kubeflowv1.MPIJob){claim(launcher, "mpi-job-kubectl")},
			want: `spec.mpiReplicaSpecs[Launcher].volumeClaimTemplates[0].metadata.name: Invalid value: "mpi-job-kubectl": ` +
				`is the name of the volume that the operator adds and mounts at /opt/kube: rename this one`,
		},
		"OtherClaims": {reason: "other claims are the user's concern", change: []func(*kubeflowv1.MPIJob){claim(launcher, "data"), claim(worker, "mpi-job-kubectl")}},
		"MountPath": {
			reason: "two mounts at one path are not a pod either",
			change: []func(*kubeflowv1.MPIJob){volume(launcher, "tools"), mount(launcher, "tools", "/opt/kube")},
			want: `spec.mpiReplicaSpecs[Launcher].template.spec.containers[mpi].volumeMounts[0].mountPath: Invalid value: "/opt/kube": ` +
				`is where the operator mounts the volume mpi-job-kubectl: mount tools somewhere else`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := ""
			if err := (mpijob.Controller{}).Validate(newJob(1, tc.change...)).ToAggregate(); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestEnvironment checks what Open MPI reads, up to version 4 (ORTE) and from 5 on (PRRTE). Neither
// looks at the variables of the other.
func TestEnvironment(t *testing.T) {
	both := []string{
		"OMPI_MCA_plm_rsh_agent=/etc/mpi/kubexec.sh", "OMPI_MCA_orte_default_hostfile=/etc/mpi/hostfile",
		"PRTE_MCA_plm_ssh_agent=/etc/mpi/kubexec.sh", "PRTE_MCA_prte_default_hostfile=/etc/mpi/hostfile",
		"OMPI_MCA_plm_rsh_no_tree_spawn=1", "PRTE_MCA_plm_ssh_no_tree_spawn=1",
	}
	rest := []string{
		"NVIDIA_VISIBLE_DEVICES=", "NVIDIA_DRIVER_CAPABILITIES=", "I_MPI_HYDRA_BOOTSTRAP=rsh", "I_MPI_HYDRA_BOOTSTRAP_EXEC=/etc/mpi/kubexec.sh",
	}
	tests := map[string]struct {
		reason   string
		workers  string
		launcher string
		want     []string
	}{
		"Small": {
			reason:  "the launcher starts all daemons itself, as it must when there are more than 64: Workers have no kubectl",
			workers: "128", want: slices.Concat(both, rest),
		},
		"Large": {
			reason:  "it starts 128 at a time otherwise, and waits for them before it starts others, which they wait for",
			workers: "129",
			want:    slices.Concat(both, []string{"OMPI_MCA_plm_rsh_num_concurrent=129", "PRTE_MCA_plm_ssh_num_concurrent=129"}, rest),
		},
		"Own": {
			reason: "a template that runs Open MPI 5 already keeps what it says", workers: "1",
			launcher: ", env: [{name: PRTE_MCA_plm_ssh_agent, value: /own}, {name: OMPI_MCA_plm_rsh_no_tree_spawn, value: '0'}]",
			want: []string{
				"PRTE_MCA_plm_ssh_agent=/own", "OMPI_MCA_plm_rsh_no_tree_spawn=0", both[0], both[1], both[3], both[5], rest[0], rest[1], rest[2], rest[3],
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := optest.Env(t, mpijob.Controller{}, "{metadata: {name: pi}, spec: {mpiReplicaSpecs: {"+
				"Launcher: {template: {spec: {containers: [{name: mpi, image: mpi"+tc.launcher+"}]}}}, "+
				"Worker: {replicas: "+tc.workers+", template: {spec: {containers: [{name: mpi, image: mpi}]}}}}}}", "pi-launcher")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestWarn checks the warning about variables that both the user and the operator set.
func TestWarn(t *testing.T) {
	job := newJob(1, func(job *kubeflowv1.MPIJob) {
		job.Spec.MPIReplicaSpecs[launcher].Template.Spec.Containers[0].Env = []corev1.EnvVar{
			{Name: "OMPI_MCA_plm_rsh_agent"}, {Name: "NVIDIA_VISIBLE_DEVICES"}, {Name: "OMP_NUM_THREADS"},
		}
		job.Spec.MPIReplicaSpecs[worker].Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "OMPI_MCA_plm_rsh_agent"}}
	})
	var got []string
	for _, e := range (mpijob.Controller{}).Warn(job) {
		got = append(got, e.Message)
	}
	want := []string{"The pod template of Launcher sets variables that the operator sets too: the values of OMPI_MCA_plm_rsh_agent are not used, " +
		"because the operator sets them: remove them from the template; the values of NVIDIA_VISIBLE_DEVICES are used in place of the operator's."}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("one warning, about the launcher alone (-want +got):\n%s", diff)
	}
}

// TestCleanPodPolicy checks that both places of the policy work.
func TestCleanPodPolicy(t *testing.T) {
	job := newJob(1, func(job *kubeflowv1.MPIJob) { job.Spec.CleanPodPolicy = new(commonv1.CleanPodPolicyRunning) })
	w := start(t, job, fates(map[string]jobtest.Fate{}))
	run(t, w, job)
	if diff := cmp.Diff([]string{"Pod pi-launcher"}, objects(t, w)); diff != "" {
		t.Errorf("spec.cleanPodPolicy Running deletes what runs when the job has finished, and then nothing needs the other objects (-want +got):\n%s", diff)
	}
}

// TestScripts runs the scripts of the ConfigMap, with a kubectl that says what it is
// called with.
func TestScripts(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell")
	}
	dir := t.TempDir()
	job := newJob(2, func(job *kubeflowv1.MPIJob) { job.Spec.MainContainer = "mpi" })
	tally := &jobkit.Tally{Types: []jobkit.TypeTally{{Type: worker, States: []jobkit.ReplicaState{jobkit.Pending, jobkit.Active}}}}
	var config *corev1.ConfigMap
	for _, o := range (mpijob.Controller{}).Objects(job, tally) {
		if c, ok := o.(*corev1.ConfigMap); ok {
			config = c
		}
	}
	files := map[string]string{
		"kubectl":           "#!/bin/sh\nfor a; do echo \"<$a>\"; done\n",
		"kubexec.sh":        strings.ReplaceAll(config.Data["kubexec.sh"], "/opt/kube", dir),
		"discover_hosts.sh": config.Data["discover_hosts.sh"],
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil { //nolint:gosec // a script
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"Kubexec": {
			reason: "Open MPI calls it with a host and the words of a command, which reach one shell in the container that runs MPI",
			args:   []string{"kubexec.sh", "pi-worker-1", "PATH=/x:$PATH", ";", "orted", "-mca", "ess", "\"env\""},
			want:   "<exec>\n<pi-worker-1>\n<--container>\n<mpi>\n<-->\n</bin/sh>\n<-c>\n<PATH=/x:$PATH ; orted -mca ess \"env\">\n",
		},
		"Discover": {reason: "elastic programs get the hosts that run", args: []string{"discover_hosts.sh"}, want: "pi-worker-1:1\n"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tc.args[0] = filepath.Join(dir, tc.args[0])
			out, err := exec.CommandContext(t.Context(), sh, tc.args...).CombinedOutput() //nolint:gosec // the test's own scripts
			if diff := cmp.Diff(tc.want, string(out)); err != nil || diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", tc.reason, err, diff)
			}
		})
	}
}
