// Package headworkers is a complete kind whose roles have policies of their own: Workers start
// when the Head is ready, a Head that fails restarts everything, a Worker that fails restarts
// itself, up to a limit, and a service leads to the dashboard of the Head.
package headworkers

import (
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	headv1 "github.com/jobkit/jobkit/examples/headworkers/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

// Controller is the kind.
type Controller struct{}

var _ jobkit.ControllerInterface[*headv1.HeadWorkersJob] = Controller{}

// Kind says what is true of every HeadWorkersJob. A job may say otherwise of each policy.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles: []jobkit.Role{
			{
				Type: headv1.Head, Required: true, Min: 1, Max: 1, RestartScope: commonv1.RestartScopeJob,
				Service: &jobkit.RoleService{Ports: []corev1.ServicePort{{Name: "dashboard", Port: 8265}}},
			},
			{
				Type: headv1.Worker, BackoffLimit: new(int32(3)),
				StartAfter: &commonv1.StartAfter{ReplicaType: headv1.Head, State: commonv1.StartAfterReady},
			},
		},
		ContainerName: headv1.ContainerName,
		PortName:      "head",
		PortNumber:    6379,
		RestartPolicy: commonv1.RestartPolicyExitCode,
	}
}

// Parts points at what the library reads and writes.
func (Controller) Parts(job *headv1.HeadWorkersJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.ReplicaSpecs, Status: &job.Status}
}

// Rules says that the Head decides.
func (Controller) Rules(*headv1.HeadWorkersJob) jobkit.Rules {
	head := jobkit.All(headv1.Head)
	return jobkit.Rules{
		Success: []jobkit.SuccessRule{jobkit.AllOf(head)}, Running: []jobkit.ReplicaSelector{head}, Master: []jobkit.ReplicaSelector{head},
	}
}

// SetClusterSpec tells each replica where the Head is.
func (Controller) SetClusterSpec(_ *headv1.HeadWorkersJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	podtemplate.Env{podtemplate.Fixed("HEAD_HOST", r.Host(headv1.Head, 0))}.ApplyToAll(template)
	return nil
}

// SetupWithManager runs the kind's controller in a manager.
func SetupWithManager(mgr ctrl.Manager) error {
	if err := headv1.AddToScheme(mgr.GetScheme()); err != nil {
		return err
	}
	jobs := &controller.JobController[*headv1.HeadWorkersJob]{
		Controller: Controller{},
		Recorder:   controller.NewRecorder(mgr, "headworkersjob-controller"),
	}
	return jobs.SetupWithManager(mgr)
}
