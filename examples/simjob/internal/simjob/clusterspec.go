package simjob

import (
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	simv1 "github.com/jobkit/jobkit/examples/simjob/api/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

// SetClusterSpec tells each replica what it is, and where to find the others. It must be a pure
// function of its arguments.
func (Controller) SetClusterSpec(_ *simv1.SimJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	meeting := net.JoinHostPort(r.Host(simv1.Coordinator, 0), strconv.Itoa(int(r.Port(simv1.Coordinator))))
	podtemplate.Env{
		podtemplate.Fixed("COORDINATOR_ADDRESS", meeting),
		podtemplate.Fixed("REPLICA_TYPE", r.Type()),
		podtemplate.Fixed("REPLICA_INDEX", r.Index()),
		podtemplate.Fixed("REPLICA_COUNT", r.Count(r.Type())),
	}.ApplyToAll(template)
	return nil
}
