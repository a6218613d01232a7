package mpijob

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

const (
	launcher = kubeflowv1.MPIJobReplicaTypeLauncher
	worker   = kubeflowv1.MPIJobReplicaTypeWorker

	kubectlVolume, kubectlDir = "mpi-job-kubectl", "/opt/kube"
	configVolume, configDir   = "mpi-job-config", "/etc/mpi"

	hostfile      = "hostfile"
	kubexec       = "kubexec.sh"
	discoverHosts = "discover_hosts.sh"

	readable   int32 = 0o444
	executable int32 = 0o555

	kubectlDelivery = "kubectl-delivery"
)

// DefaultKubectlDeliveryImage is the image of the init container that brings kubectl to a
// launcher, unless another one is named. It is that of training-operator v1.9.4, so that
// a mirror made for that one can be used.
const DefaultKubectlDeliveryImage = "ghcr.io/kubeflow/training-v1/kubectl-delivery:latest"

func launcherName(job *kubeflowv1.MPIJob) string { return job.Name + "-launcher" }
func configName(job *kubeflowv1.MPIJob) string   { return job.Name + "-config" }

// pod is the pod template's spec of a replica type; an empty one if the job has no
// such replicas.
func pod(job *kubeflowv1.MPIJob, t commonv1.ReplicaType) *corev1.PodSpec {
	if spec := job.Spec.MPIReplicaSpecs[t]; spec != nil {
		return &spec.Template.Spec
	}
	return &corev1.PodSpec{}
}

// mainContainer is the container of a pod that runs MPI: the one that
// spec.mainContainer names, or else the kind's default one.
func mainContainer(job *kubeflowv1.MPIJob, pod *corev1.PodSpec) *corev1.Container {
	for i := range pod.Containers {
		if pod.Containers[i].Name == job.Spec.MainContainer {
			return &pod.Containers[i]
		}
	}
	kind := Controller{}.Kind()
	if main := kind.MainContainer(pod); main != nil {
		return main
	}
	return &corev1.Container{} // not valid, and refused by validation
}

// launcherHasGPU reports whether processes are to be started in the launcher too.
func launcherHasGPU(job *kubeflowv1.MPIJob) bool {
	for _, c := range pod(job, launcher).Containers {
		for name := range c.Resources.Limits {
			if strings.Contains(string(name), "gpu") {
				return true
			}
		}
	}
	return false
}

// workers are the names of the Workers' pods.
func workers(job *kubeflowv1.MPIJob) []string {
	kind := Controller{}.Kind()
	names := make([]string, jobkit.Count(job.Spec.MPIReplicaSpecs, worker))
	for i := range names {
		names[i] = kind.PodName(job.Name, worker, int32(i))
	}
	return names
}

// hosts makes a text of lines, one for each pod in which processes are started.
func hosts(job *kubeflowv1.MPIJob, workers []string, line string) string {
	if launcherHasGPU(job) {
		workers = slices.Insert(slices.Clone(workers), 0, launcherName(job))
	}
	slots := cmp.Or(job.Spec.SlotsPerWorker, new(kubeflowv1.MPIJobDefaultSlotsPerWorker))
	var text strings.Builder
	for _, name := range workers {
		_, _ = fmt.Fprintf(&text, line, name, *slots)
	}
	return text.String()
}

// hostfileText lists all hosts, whether they run or not.
func hostfileText(job *kubeflowv1.MPIJob) string { return hosts(job, workers(job), "%s slots=%d\n") }

// discoverHostsText is a script that prints the hosts which run now, for programs that
// add and remove hosts while they run.
func discoverHostsText(job *kubeflowv1.MPIJob, tally *jobkit.TypeTally) string {
	var running []string
	for i, name := range workers(job) {
		if tally != nil && i < len(tally.States) && tally.States[i] == jobkit.Active {
			running = append(running, name)
		}
	}
	return "#!/bin/sh\n" + hosts(job, running, "echo %s:%d\n")
}

// kubexecText is a script that MPI calls in place of rsh: with a host, which is a pod,
// and a command to run there.
func kubexecText(job *kubeflowv1.MPIJob) string {
	option := ""
	if name := mainContainer(job, pod(job, worker)).Name; name != "" {
		option = " --container " + name
	}
	return fmt.Sprintf("#!/bin/sh\nhost=\"$1\"\nshift\nexec %s/kubectl exec \"$host\"%s -- /bin/sh -c \"$*\"\n", kubectlDir, option)
}

// concurrent is how many daemons Open MPI starts at a time unless it is told otherwise.
const concurrent = 128

// launcherEnv holds the variables of the main container of the launcher. Open MPI reads those of
// ORTE up to version 4, and those of PRRTE from 5 on: it ignores the others, and with none runs
// everything in the launcher.
//
// The launcher starts all daemons, because Workers have neither kubectl nor the right to use it. With
// more than 64 hosts Open MPI would let daemons start others. So that none waits for one that is
// not started yet, it starts all at once.
func launcherEnv(job *kubeflowv1.MPIJob) podtemplate.Env {
	env := podtemplate.Env{
		podtemplate.Fixed("OMPI_MCA_plm_rsh_agent", configDir+"/"+kubexec),
		podtemplate.Fixed("OMPI_MCA_orte_default_hostfile", configDir+"/"+hostfile),
		podtemplate.Preset("PRTE_MCA_plm_ssh_agent", configDir+"/"+kubexec),
		podtemplate.Preset("PRTE_MCA_prte_default_hostfile", configDir+"/"+hostfile),
		podtemplate.Preset("OMPI_MCA_plm_rsh_no_tree_spawn", 1),
		podtemplate.Preset("PRTE_MCA_plm_ssh_no_tree_spawn", 1),
	}
	if n := jobkit.Count(job.Spec.MPIReplicaSpecs, worker); n > concurrent {
		env = append(env, podtemplate.Preset("OMPI_MCA_plm_rsh_num_concurrent", n), podtemplate.Preset("PRTE_MCA_plm_ssh_num_concurrent", n))
	}
	if !launcherHasGPU(job) {
		// Some container runtimes would show it all GPUs of the node.
		env = append(env, podtemplate.Preset("NVIDIA_VISIBLE_DEVICES", ""), podtemplate.Preset("NVIDIA_DRIVER_CAPABILITIES", ""))
	}
	return append(env,
		podtemplate.Preset("I_MPI_HYDRA_BOOTSTRAP", "rsh"),
		podtemplate.Preset("I_MPI_HYDRA_BOOTSTRAP_EXEC", configDir+"/"+kubexec))
}

// prepareLauncher gives a launcher kubectl, the hosts, and the right to reach them.
func prepareLauncher(job *kubeflowv1.MPIJob, image string, pod *corev1.PodSpec) {
	pod.ServiceAccountName = cmp.Or(ownAccount(job), launcherName(job))
	main := mainContainer(job, pod)
	launcherEnv(job).Apply(main)
	mount(main, kubectlVolume, kubectlDir)
	mount(main, configVolume, configDir)
	pod.Volumes = append(pod.Volumes,
		corev1.Volume{Name: kubectlVolume, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		config(job, file(kubexec, executable), file(hostfile, readable), file(discoverHosts, executable)))
	if slices.ContainsFunc(pod.InitContainers, func(c corev1.Container) bool { return c.Name == kubectlDelivery }) {
		return // the template brings its own
	}
	needs := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("512Mi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("5Gi"),
	}
	init := corev1.Container{
		Name: kubectlDelivery, Image: cmp.Or(image, DefaultKubectlDeliveryImage), ImagePullPolicy: corev1.PullIfNotPresent,
		Env:       []corev1.EnvVar{{Name: "TARGET_DIR", Value: kubectlDir}, {Name: "NAMESPACE", Value: job.Namespace}},
		Resources: corev1.ResourceRequirements{Limits: needs, Requests: needs.DeepCopy()},
	}
	mount(&init, kubectlVolume, kubectlDir)
	mount(&init, configVolume, configDir)
	podtemplate.Restrict(&init, pod)
	pod.InitContainers = append(pod.InitContainers, init)
}

// prepareWorker lets a Worker wait for processes, unless it has something else to do.
// It has kubexec.sh because Open MPI opens the file wherever it runs.
func prepareWorker(job *kubeflowv1.MPIJob, pod *corev1.PodSpec) {
	main := mainContainer(job, pod)
	if len(main.Command) == 0 {
		main.Command, main.Args = []string{"sleep"}, []string{"365d"}
	}
	mount(main, configVolume, configDir)
	pod.Volumes = append(pod.Volumes, config(job, file(kubexec, executable)))
}

func mount(c *corev1.Container, volume, dir string) {
	if !slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return path.Clean(m.MountPath) == dir }) {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: dir})
	}
}

func file(name string, mode int32) corev1.KeyToPath {
	return corev1.KeyToPath{Key: name, Path: name, Mode: &mode}
}

// config is the volume with files of the job's ConfigMap.
func config(job *kubeflowv1.MPIJob, files ...corev1.KeyToPath) corev1.Volume {
	return corev1.Volume{Name: configVolume, VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: configName(job)}, Items: files,
	}}}
}

// validateVolumes refuses volumes and volume claims of a replica type that conflict with the volumes
// of the operator: a claim would replace one of its name.
func validateVolumes(job *kubeflowv1.MPIJob, t commonv1.ReplicaType, reserved map[string]string) field.ErrorList {
	var errs field.ErrorList
	spec := pod(job, t)
	replicas := field.NewPath("spec", "mpiReplicaSpecs").Key(string(t))
	at := replicas.Child("template", "spec")
	refuse := func(path *field.Path, name string) {
		if dir, ok := reserved[name]; ok {
			errs = append(errs, field.Invalid(path, name, fmt.Sprintf(
				"is the name of the volume that the operator adds and mounts at %s: rename this one", dir)))
		}
	}
	for i := range spec.Volumes {
		refuse(at.Child("volumes").Index(i).Child("name"), spec.Volumes[i].Name)
	}
	if r := job.Spec.MPIReplicaSpecs[t]; r != nil {
		for i := range r.VolumeClaimTemplates {
			refuse(replicas.Child("volumeClaimTemplates").Index(i).Child("metadata", "name"), r.VolumeClaimTemplates[i].Name)
		}
	}
	main := mainContainer(job, spec)
	for i, m := range main.VolumeMounts {
		if dir, ok := reserved[m.Name]; ok && path.Clean(m.MountPath) == dir {
			continue // as the operator would
		}
		for _, volume := range []string{configVolume, kubectlVolume} {
			if path.Clean(m.MountPath) == reserved[volume] {
				errs = append(errs, field.Invalid(at.Child("containers").Key(main.Name).Child("volumeMounts").Index(i).Child("mountPath"), m.MountPath,
					fmt.Sprintf("is where the operator mounts the volume %s: mount %s somewhere else", volume, m.Name)))
			}
		}
	}
	return errs
}
