package xgboostjob

import (
	"strconv"
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
	number := func(name string, n int32) podtemplate.Var { return podtemplate.Fixed(name, strconv.Itoa(int(n))) }
	host := func(t commonv1.ReplicaType, index int32) string {
		return plan.Host(&job.Spec.RunPolicy, job.Name, plan.PodName(job.Name, t, index))
	}
	rank := index
	if t == worker {
		rank += plan.Count(specs, master)
	}
	env := podtemplate.Env{
		number("MASTER_PORT", podtemplate.Port(Controller{}.Kind(), specs, master)),
		podtemplate.Fixed("MASTER_ADDR", host(master, 0)),
		number("WORLD_SIZE", plan.Count(specs)),
		number("RANK", rank),
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
		number("WORKER_PORT", podtemplate.Port(Controller{}.Kind(), specs, worker)),
		podtemplate.Fixed("WORKER_ADDRS", strings.Join(names, ",")))
}
