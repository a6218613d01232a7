package xgboostjob

import (
	"strings"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

const (
	master = kubeflowv1.XGBoostJobReplicaTypeMaster
	worker = kubeflowv1.XGBoostJobReplicaTypeWorker
)

// environment holds the variables of the containers of a replica.
func environment(_ *kubeflowv1.XGBoostJob, r jobkit.Replica) podtemplate.Env {
	rank := r.Index()
	if r.Type() == worker {
		rank += r.Count(master)
	}
	env := podtemplate.Env{
		podtemplate.Fixed("MASTER_PORT", r.Port(master)),
		podtemplate.Fixed("MASTER_ADDR", r.Host(master, 0)),
		podtemplate.Fixed("WORLD_SIZE", r.Count()),
		podtemplate.Fixed("RANK", rank),
		podtemplate.Preset("PYTHONUNBUFFERED", "1"),
	}
	if r.Count(worker) == 0 {
		return env
	}
	hosts := jobkit.Shared(r, "workers", func() string {
		names := make([]string, r.Count(worker))
		for i := range names {
			names[i] = r.Host(worker, int32(i))
		}
		return strings.Join(names, ",")
	})
	return append(env,
		podtemplate.Fixed("WORKER_PORT", r.Port(worker)),
		podtemplate.Fixed("WORKER_ADDRS", hosts))
}
