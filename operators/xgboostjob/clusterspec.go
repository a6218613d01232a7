package xgboostjob

import (
	"strings"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/plan"
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
		return plan.Host(&job.Spec.RunPolicy, job.Name, plan.PodName(job.Name, t, index))
	}
	rank := index
	if t == worker {
		rank += plan.Count(specs, master)
	}
	env := podtemplate.Env{
		podtemplate.Fixed("MASTER_PORT", podtemplate.Port(Controller{}.Kind(), specs, master)),
		podtemplate.Fixed("MASTER_ADDR", host(master, 0)),
		podtemplate.Fixed("WORLD_SIZE", plan.Count(specs)),
		podtemplate.Fixed("RANK", rank),
		podtemplate.Preset("PYTHONUNBUFFERED", "1"),
	}
	workers := plan.Count(specs, worker)
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
