package jaxjob

import (
	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

const worker = kubeflowv1.JAXJobReplicaTypeWorker

// environment is what the containers of a Worker are told.
func environment(job *kubeflowv1.JAXJob, index int32) podtemplate.Env {
	specs := job.Spec.JAXReplicaSpecs
	return podtemplate.Env{
		podtemplate.Preset("PYTHONUNBUFFERED", "1"),
		podtemplate.Fixed("COORDINATOR_PORT", podtemplate.Port(Controller{}.Kind(), specs, worker)),
		podtemplate.Fixed("COORDINATOR_ADDRESS", jobkit.Host(&job.Spec.RunPolicy, job.Name, jobkit.PodName(job.Name, worker, 0))),
		podtemplate.Fixed("NUM_PROCESSES", jobkit.Count(specs)),
		podtemplate.Fixed("PROCESS_ID", index),
	}
}
