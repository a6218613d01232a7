// Package hostports knows which ports jobs get on the network of their nodes.
package hostports

import commonv1 "github.com/jobkit/jobkit/api/common/v1"

// Host ports are taken from a range unless the job names another: below those that services
// (30000 to 32767) and outgoing connections (from 32768) use.
const (
	firstHostPort = 20_000
	lastHostPort  = 29_999
)

// Range returns the first and the last port that the replicas of a job on the network
// of their nodes may get.
func Range(p *commonv1.RunPolicy) (first, last int32) {
	if p == nil || p.HostPortRange == nil {
		return firstHostPort, lastHostPort
	}
	return p.HostPortRange.First, p.HostPortRange.Last
}
