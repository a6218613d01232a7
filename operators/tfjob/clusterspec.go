package tfjob

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

const (
	chief     = kubeflowv1.TFJobReplicaTypeChief
	evaluator = kubeflowv1.TFJobReplicaTypeEval
	master    = kubeflowv1.TFJobReplicaTypeMaster
	ps        = kubeflowv1.TFJobReplicaTypePS
	worker    = kubeflowv1.TFJobReplicaTypeWorker
)

// config is the value of TF_CONFIG: who there is, and who the reader is.
type config struct {
	// Cluster is a map of the addresses by type, or a sparseCluster.
	Cluster     any    `json:"cluster"`
	Task        task   `json:"task"`
	Environment string `json:"environment,omitempty"`
}

type task struct {
	Type  string `json:"type"`
	Index int32  `json:"index"`
}

// sparseCluster is what a replica of a job with dynamic Workers knows: itself, by its
// index, and the parameter servers.
type sparseCluster struct {
	Worker    map[int32]string `json:"worker"`
	PS        []string         `json:"ps"`
	Chief     map[int32]string `json:"chief,omitempty"`
	Evaluator map[int32]string `json:"evaluator,omitempty"`
	Master    map[int32]string `json:"master,omitempty"`
}

// environment is what the main container of a replica is told. A replica that is
// alone needs to find nobody, and TensorFlow trains locally without TF_CONFIG.
func environment(job *kubeflowv1.TFJob, domain string, t commonv1.ReplicaType, index int32) (podtemplate.Env, error) {
	specs := job.Spec.TFReplicaSpecs
	if jobkit.Count(specs) <= 1 {
		return nil, nil
	}
	c := config{Task: task{Type: lower(t), Index: index}}
	if job.Spec.EnableDynamicWorker {
		c.Cluster = sparse(job, domain, t, index)
	} else {
		cluster := map[string][]string{}
		for t := range specs {
			cluster[lower(t)] = addresses(job, domain, t)
		}
		c.Cluster, c.Environment = cluster, "cloud"
	}
	value, err := json.Marshal(c)
	return podtemplate.Env{podtemplate.Fixed("TF_CONFIG", string(value))}, err //nolint:wrapcheck // cannot fail for strings and numbers
}

// sparse is the cluster as a replica of a job with dynamic Workers sees it. A
// parameter server sees itself only; every other replica sees all parameter servers
// and itself.
func sparse(job *kubeflowv1.TFJob, domain string, t commonv1.ReplicaType, index int32) sparseCluster {
	s := sparseCluster{Worker: map[int32]string{}, PS: addresses(job, domain, ps)}
	self := address(job, domain, t, index)
	switch t {
	case ps:
		s.PS = []string{self}
	case worker:
		s.Worker[index] = self
	case chief:
		s.Chief = map[int32]string{index: self}
	case evaluator:
		s.Evaluator = map[int32]string{index: self}
	case master:
		s.Master = map[int32]string{index: self}
	}
	return s
}

// addresses are those of all replicas of a type.
func addresses(job *kubeflowv1.TFJob, domain string, t commonv1.ReplicaType) []string {
	out := make([]string, jobkit.Count(job.Spec.TFReplicaSpecs, t))
	for i := range out {
		out[i] = address(job, domain, t, int32(i))
	}
	return out
}

// address is where a replica is reached from everywhere in the cluster.
func address(job *kubeflowv1.TFJob, domain string, t commonv1.ReplicaType, index int32) string {
	host := jobkit.Host(&job.Spec.RunPolicy, job.Name, jobkit.PodName(job.Name, t, index)) + "." + job.Namespace + ".svc"
	if domain != "" {
		host += "." + domain
	}
	return fmt.Sprintf("%s:%d", host, podtemplate.Port(Controller{}.Kind(), job.Spec.TFReplicaSpecs, t))
}

func lower(t commonv1.ReplicaType) string { return strings.ToLower(string(t)) }
