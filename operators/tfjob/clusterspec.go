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

// config is the value of TF_CONFIG: all replicas, and which one the reader is.
type config struct {
	Cluster sparseCluster `json:"cluster"`
	Task    task          `json:"task"`
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

// environment holds the variables of the main container of a replica. A replica that is
// alone has no peers to find, and TensorFlow trains locally without TF_CONFIG.
func (c Controller) environment(job *kubeflowv1.TFJob, r jobkit.Replica) (podtemplate.Env, error) {
	if r.Count() <= 1 {
		return nil, nil
	}
	value, err := addresses{job.Namespace, c.ClusterDomain}.config(job, r)
	return podtemplate.Env{podtemplate.Fixed("TF_CONFIG", value)}, err
}

// addresses are those of replicas, valid everywhere in the cluster.
type addresses struct{ namespace, domain string }

// config is the value of TF_CONFIG. The addresses of a large job are most of it, and the
// same for all replicas, so they are encoded once.
func (a addresses) config(job *kubeflowv1.TFJob, r jobkit.Replica) (string, error) {
	self := task{Type: lower(r.Type()), Index: r.Index()}
	if job.Spec.EnableDynamicWorker {
		return text(config{Cluster: a.sparse(r), Task: self})
	}
	type result struct {
		text string
		err  error
	}
	cluster := jobkit.Shared(r, "cluster", func() result {
		cluster := map[string][]string{}
		for t := range job.Spec.TFReplicaSpecs {
			// TensorFlow takes Worker 0 for the leader only if the cluster has no chief, not even one
			// without an address.
			if leads := t == chief || t == master; !leads || r.Count(t) > 0 {
				cluster[lower(t)] = a.all(r, t)
			}
		}
		text, err := text(cluster)
		return result{text, err}
	})
	if cluster.err != nil {
		return "", cluster.err
	}
	own, err := text(self)
	return `{"cluster":` + cluster.text + `,"task":` + own + `,"environment":"cloud"}`, err
}

// sparse is the cluster as a replica of a job with dynamic Workers sees it. A
// parameter server sees itself only; every other replica sees all parameter servers
// and itself.
func (a addresses) sparse(r jobkit.Replica) sparseCluster {
	servers := jobkit.Shared(r, "parameter servers", func() []string { return a.all(r, ps) })
	s := sparseCluster{Worker: map[int32]string{}, PS: servers}
	index, self := r.Index(), a.of(r, r.Type(), r.Index())
	switch r.Type() {
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

// all are the addresses of all replicas of a type.
func (a addresses) all(r jobkit.Replica, t commonv1.ReplicaType) []string {
	out := make([]string, r.Count(t))
	for i := range out {
		out[i] = a.of(r, t, int32(i))
	}
	return out
}

// of is the address of one replica.
func (a addresses) of(r jobkit.Replica, t commonv1.ReplicaType, index int32) string {
	host := r.Host(t, index) + "." + a.namespace + ".svc"
	if a.domain != "" {
		host += "." + a.domain
	}
	return fmt.Sprintf("%s:%d", host, r.PortOf(t, index))
}

func text(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}

func lower(t commonv1.ReplicaType) string { return strings.ToLower(string(t)) }
