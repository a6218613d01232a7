package xgboostjob

import (
	"strings"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

const (
	master = kubeflowv1.XGBoostJobReplicaTypeMaster
	worker = kubeflowv1.XGBoostJobReplicaTypeWorker
)

// environment is what the containers of a replica are told.
func environment(job *kubeflowv1.XGBoostJob, t commonv1.ReplicaType, index int32) podtemplate.Env {
	specs := job.Spec.XGBReplicaSpecs
	host := func(t commonv1.ReplicaType, index int32) string {
		return jobkit.Host(&job.Spec.RunPolicy, job.Name, jobkit.PodName(job.Name, t, index))
	}
	rank := index
	if t == worker {
		rank += jobkit.Count(specs, master)
	}
	env := podtemplate.Env{
		podtemplate.Fixed("MASTER_PORT", podtemplate.Port(Controller{}.Kind(), specs, master)),
		podtemplate.Fixed("MASTER_ADDR", host(master, 0)),
		podtemplate.Fixed("WORLD_SIZE", jobkit.Count(specs)),
		podtemplate.Fixed("RANK", rank),
		podtemplate.Preset("PYTHONUNBUFFERED", "1"),
	}
	workers := jobkit.Count(specs, worker)
	if workers == 0 {
		return env
	}
	names := make([]string, workers)
	for i := range workers {
		names[i] = host(worker, i)
	}
	return append(env,
		podtemplate.Fixed("WORKER_PORT", podtemplate.Port(Controller{}.Kind(), specs, worker)),
		podtemplate.Fixed("WORKER_ADDRS", strings.Join(names, ",")))
}
