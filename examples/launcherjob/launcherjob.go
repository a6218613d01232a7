// Package launcherjob is a complete kind of the form of MPI: a Launcher starts processes in
// Workers, which it finds in a file. The file is in a ConfigMap that the job owns.
package launcherjob

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	launcherv1 "github.com/jobkit/jobkit/examples/launcherjob/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

const (
	configDir = "/etc/launcher"
	hostfile  = "hostfile"
)

// Controller is the kind.
type Controller struct{}

// What it implements. A method with a wrong signature does not compile.
var (
	_ jobkit.ControllerInterface[*launcherv1.LauncherJob] = Controller{}
	_ jobkit.Defaulter[*launcherv1.LauncherJob]           = Controller{}
	_ jobkit.Validator[*launcherv1.LauncherJob]           = Controller{}
	_ jobkit.OwnedObjects[*launcherv1.LauncherJob]        = Controller{}
)

// Kind says what is true of every LauncherJob: the Launcher starts when the Workers are ready,
// and when it has ended they go.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles: []jobkit.Role{
			{
				Type: launcherv1.Launcher, Required: true, Min: 1, Max: 1, Unnumbered: true,
				StartAfter: &commonv1.StartAfter{ReplicaType: launcherv1.Worker, State: commonv1.StartAfterReady},
			},
			{Type: launcherv1.Worker, Max: 1000},
		},
		ContainerName:  launcherv1.ContainerName,
		CleanPodPolicy: commonv1.CleanPodPolicyRunning,
	}
}

// Parts points at what the library reads and writes.
func (Controller) Parts(job *launcherv1.LauncherJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.ReplicaSpecs, Status: &job.Status}
}

// Default starts one process in each Worker.
func (Controller) Default(job *launcherv1.LauncherJob) {
	job.Spec.SlotsPerWorker = max(job.Spec.SlotsPerWorker, 1)
}

// Validate wants the one service whose host names are in the file.
func (Controller) Validate(job *launcherv1.LauncherJob) field.ErrorList {
	if mode := job.Spec.RunPolicy.ServiceMode; mode != nil && *mode != commonv1.ServiceModePerJob {
		return field.ErrorList{field.NotSupported(field.NewPath("spec", "runPolicy", "serviceMode"), *mode, []commonv1.ServiceMode{commonv1.ServiceModePerJob})}
	}
	return nil
}

// Rules says that the Launcher decides.
func (Controller) Rules(*launcherv1.LauncherJob) jobkit.Rules {
	launcher := []jobkit.ReplicaSelector{jobkit.All(launcherv1.Launcher)}
	return jobkit.Rules{Success: []jobkit.SuccessRule{jobkit.AllOf(launcher...)}, Running: launcher, Master: launcher}
}

// SetClusterSpec shows the Launcher the file with the hosts.
func (Controller) SetClusterSpec(job *launcherv1.LauncherJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	if r.Type() != launcherv1.Launcher {
		return nil
	}
	podtemplate.Env{podtemplate.Fixed("HOSTFILE", configDir+"/"+hostfile)}.ApplyToAll(template)
	source := corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: configName(job)}}
	template.Spec.Volumes = append(template.Spec.Volumes, corev1.Volume{Name: "launcher-config", VolumeSource: corev1.VolumeSource{ConfigMap: &source}})
	for i := range template.Spec.Containers {
		c := &template.Spec.Containers[i]
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "launcher-config", MountPath: configDir, ReadOnly: true})
	}
	return nil
}

// ObjectKinds lists the kinds of Objects.
func (Controller) ObjectKinds() []jobkit.Object { return []jobkit.Object{&corev1.ConfigMap{}} }

// Objects returns the ConfigMap with the hosts. It follows the number of Workers.
func (Controller) Objects(job *launcherv1.LauncherJob, _ *jobkit.Tally) []jobkit.Object {
	var hosts strings.Builder
	kind := Controller{}.Kind()
	for i := range jobkit.Count(job.Spec.ReplicaSpecs, launcherv1.Worker) {
		_, _ = fmt.Fprintf(&hosts, "%s.%s slots=%d\n", kind.PodName(job.Name, launcherv1.Worker, i), job.Name, job.Spec.SlotsPerWorker)
	}
	return []jobkit.Object{&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: configName(job)},
		Data:       map[string]string{hostfile: hosts.String()},
	}}
}

func configName(job *launcherv1.LauncherJob) string { return job.Name + "-hosts" }
