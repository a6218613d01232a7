package pytorchjob

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

const (
	master = kubeflowv1.PyTorchJobReplicaTypeMaster
	worker = kubeflowv1.PyTorchJobReplicaTypeWorker
)

func hasMaster(job *kubeflowv1.PyTorchJob) bool {
	return jobkit.Count(job.Spec.PyTorchReplicaSpecs, master) > 0
}

// environment holds the variables of the containers of a replica.
func environment(job *kubeflowv1.PyTorchJob, r jobkit.Replica) podtemplate.Env {
	total, processes := r.Count(), 1
	env := podtemplate.Env{podtemplate.Preset("PYTHONUNBUFFERED", "1")}
	if number, err := strconv.Atoi(ptr.Deref(job.Spec.NprocPerNode, "")); err == nil {
		processes = number
	}
	if hasMaster(job) {
		rank := r.Index()
		if r.Type() == worker {
			rank++
		}
		env = append(env,
			podtemplate.Fixed("MASTER_PORT", r.Port(master)), podtemplate.Fixed("PET_MASTER_PORT", r.Port(master)),
			podtemplate.Fixed("MASTER_ADDR", r.Host(master, 0)), podtemplate.Fixed("PET_MASTER_ADDR", r.Host(master, 0)),
			podtemplate.Fixed("WORLD_SIZE", int(total)*processes), podtemplate.Fixed("RANK", rank), podtemplate.Fixed("PET_NODE_RANK", rank))
	}
	if n := job.Spec.NprocPerNode; n != nil {
		env = append(env, podtemplate.Preset("PET_NPROC_PER_NODE", *n))
	}
	if e := job.Spec.ElasticPolicy; e != nil {
		return append(env, elastic(r, e)...)
	}
	return append(env, podtemplate.Fixed("PET_NNODES", total))
}

// elastic is the configuration of torchrun for an elastic job.
func elastic(r jobkit.Replica, e *kubeflowv1.ElasticPolicy) podtemplate.Env {
	workers := r.Count(worker)
	nodes := fmt.Sprintf("%d:%d", ptr.Deref(e.MinReplicas, workers), ptr.Deref(e.MaxReplicas, workers))
	if ptr.Deref(e.Standalone, false) {
		nodes = "1:1" // each replica is alone at a meeting point of its own, and would wait for others
	}
	env := podtemplate.Env{
		podtemplate.Fixed("PET_RDZV_ENDPOINT",
			fmt.Sprintf("%s:%d", ptr.Deref(e.RDZVHost, r.Host(worker, 0)), ptr.Deref(e.RDZVPort, r.Port(worker)))),
		podtemplate.Preset("PET_RDZV_BACKEND", ptr.Deref(e.RDZVBackend, kubeflowv1.BackendC10D)),
		podtemplate.Fixed("PET_NNODES", nodes),
	}
	if e.MaxRestarts != nil {
		env = append(env, podtemplate.Preset("PET_MAX_RESTARTS", *e.MaxRestarts))
	}
	if e.NProcPerNode != nil {
		env = append(env, podtemplate.Preset("PET_NPROC_PER_NODE", *e.NProcPerNode))
	}
	if e.RDZVID != nil {
		env = append(env, podtemplate.Preset("PET_RDZV_ID", *e.RDZVID))
	}
	if len(e.RDZVConf) > 0 {
		settings := make([]string, 0, len(e.RDZVConf))
		for _, s := range e.RDZVConf {
			settings = append(settings, s.Key+"="+s.Value)
		}
		env = append(env, podtemplate.Preset("PET_RDZV_CONF", strings.Join(settings, ",")))
	}
	if ptr.Deref(e.Standalone, false) {
		// torchrun reads a number, and ends with an error if the value is empty, as in v1.
		env = append(env, podtemplate.Preset("PET_STANDALONE", 1))
	}
	return env
}
