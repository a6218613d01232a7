package jaxjob

import (
	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

const worker = kubeflowv1.JAXJobReplicaTypeWorker

// environment is what the containers of a Worker receive.
func environment(_ *kubeflowv1.JAXJob, r jobkit.Replica) podtemplate.Env {
	return podtemplate.Env{
		podtemplate.Preset("PYTHONUNBUFFERED", "1"),
		podtemplate.Fixed("COORDINATOR_PORT", r.Port(worker)),
		podtemplate.Fixed("COORDINATOR_ADDRESS", r.Host(worker, 0)),
		podtemplate.Fixed("NUM_PROCESSES", r.Count()),
		podtemplate.Fixed("PROCESS_ID", r.Index()),
	}
}
