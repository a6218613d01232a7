package paddlejob

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

const (
	master = kubeflowv1.PaddleJobReplicaTypeMaster
	worker = kubeflowv1.PaddleJobReplicaTypeWorker
)

// leader is the type whose first replica the others connect to.
func leader(job *kubeflowv1.PaddleJob) commonv1.ReplicaType {
	if jobkit.Count(job.Spec.PaddleReplicaSpecs, master) > 0 {
		return master
	}
	return worker
}

// environment holds the variables of the containers of a replica.
func environment(job *kubeflowv1.PaddleJob, r jobkit.Replica) podtemplate.Env {
	first := leader(job)
	port := r.Port(first)
	env := podtemplate.Env{
		podtemplate.Preset("PYTHONUNBUFFERED", "1"),
		podtemplate.Fixed("PADDLE_JOB_ID", job.Name),
		podtemplate.Fixed("PADDLE_NNODES", r.Count()),
	}
	if r.Type() == first && r.Index() == 0 {
		// The leader recognizes itself by its own address.
		env = append(env, podtemplate.Var{EnvVar: corev1.EnvVar{Name: "POD_IP_DUMMY", ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"},
		}}}, podtemplate.Fixed("PADDLE_MASTER", fmt.Sprintf("$(POD_IP_DUMMY):%d", port)))
	} else {
		env = append(env, podtemplate.Fixed("PADDLE_MASTER", fmt.Sprintf("%s:%d", r.Host(first, 0), port)))
	}
	switch {
	case r.Type() == master:
		return append(env, podtemplate.Preset("PADDLE_SERVER_NUM", "1"))
	case first == master:
		return append(env, podtemplate.Preset("PADDLE_TRAINER_NUM", "1"))
	default:
		return env
	}
}
