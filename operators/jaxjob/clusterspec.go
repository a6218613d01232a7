package jaxjob

import (
	"strconv"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/plan"
	"github.com/jobkit/jobkit/podtemplate"
)

const worker = kubeflowv1.JAXJobReplicaTypeWorker

// environment is what the containers of a Worker are told.
func environment(job *kubeflowv1.JAXJob, index int32) podtemplate.Env {
	specs := job.Spec.JAXReplicaSpecs
	port := podtemplate.Port(Controller{}.Kind(), specs, worker)
	return podtemplate.Env{
		podtemplate.Preset("PYTHONUNBUFFERED", "1"),
		podtemplate.Fixed("COORDINATOR_PORT", strconv.Itoa(int(port))),
		podtemplate.Fixed("COORDINATOR_ADDRESS", plan.Host(&job.Spec.RunPolicy, job.Name, plan.PodName(job.Name, worker, 0))),
		podtemplate.Fixed("NUM_PROCESSES", strconv.Itoa(int(plan.Count(specs)))),
		podtemplate.Fixed("PROCESS_ID", strconv.Itoa(int(index))),
	}
}
