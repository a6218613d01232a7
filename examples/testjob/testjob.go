// Package testjob is, with operator/main.go, the smallest complete operator.
package testjob

import (
	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

// Controller is step 1: a type that implements jobkit.ControllerInterface.
type Controller struct{}

var _ jobkit.ControllerInterface[*testv1.TestJob] = Controller{}

// Kind says what is true of every TestJob.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles:             []jobkit.Role{{Type: testv1.Master, Max: 1}, {Type: testv1.Worker}},
		ReplicaSpecsField: "testReplicaSpecs",
		ContainerName:     testv1.ContainerName,
		PortName:          testv1.PortName,
		PortNumber:        testv1.PortNumber,
		CleanPodPolicy:    commonv1.CleanPodPolicyRunning,
	}
}

// Parts points at what the library reads and writes.
func (Controller) Parts(job *testv1.TestJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.TestReplicaSpecs, Status: &job.Status}
}

// Rules says that the first type decides, and that its first replica is the master.
func (Controller) Rules(job *testv1.TestJob) jobkit.Rules {
	return jobkit.Rules{
		Success: []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(firstType(job)))},
		Master:  []jobkit.ReplicaSelector{jobkit.Index(firstType(job), 0)},
	}
}

// SetClusterSpec sets in each replica its own name and the address of the first one.
func (Controller) SetClusterSpec(job *testv1.TestJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	env := podtemplate.Env{podtemplate.Fixed("REPLICA", r.Name()), podtemplate.Fixed("FIRST_REPLICA", r.Host(firstType(job), 0))}
	env.ApplyToAll(template)
	return nil
}

// firstType is Master in jobs that have one, and Worker in the others.
func firstType(job *testv1.TestJob) commonv1.ReplicaType {
	if job.Spec.TestReplicaSpecs[testv1.Master] != nil {
		return testv1.Master
	}
	return testv1.Worker
}

// SetupWithManager is step 2, the JobController, and step 3, the reconcile loop.
func SetupWithManager(mgr ctrl.Manager) error {
	if err := testv1.AddToScheme(mgr.GetScheme()); err != nil {
		return err
	}
	jobs := &controller.JobController[*testv1.TestJob]{
		Controller: Controller{},
		Config:     controller.Config{},
		Recorder:   controller.NewRecorder(mgr, "testjob-controller"),
	}
	return jobs.SetupWithManager(mgr)
}
