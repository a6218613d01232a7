package controller

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jobkit/jobkit/internal/plan"
)

// maxNodesCounted is how many nodes the metric of restarts by node has at most: those with the
// newest failures. Clusters have many more, and autoscalers make new names all the time.
const maxNodesCounted = 200

// nodeRestarts counts restarts by the node on which the failure was. It is a collector of its own,
// because it forgets nodes.
type nodeRestarts struct {
	desc *prometheus.Desc

	mu sync.Mutex
	// counts are those of each node by cause; order are the nodes, the one with the newest failure last.
	counts map[string]map[string]float64
	order  []string
}

func newNodeRestarts() *nodeRestarts {
	return &nodeRestarts{
		desc: prometheus.NewDesc("jobkit_restarts_by_node_total",
			"Restarts by the node on which the failure was, of the 200 nodes with the newest failures.", []string{"node", "cause"}, nil),
		counts: map[string]map[string]float64{},
	}
}

// Describe implements prometheus.Collector.
func (n *nodeRestarts) Describe(to chan<- *prometheus.Desc) { to <- n.desc }

// Collect implements prometheus.Collector.
func (n *nodeRestarts) Collect(to chan<- prometheus.Metric) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for node, causes := range n.counts {
		for cause, count := range causes {
			to <- prometheus.MustNewConstMetric(n.desc, prometheus.CounterValue, count, node, cause)
		}
	}
}

// add counts failures, and forgets the nodes whose last failure is the oldest if there are too many.
func (n *nodeRestarts) add(failures []plan.NodeFailure) {
	if len(failures) == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, f := range failures {
		if n.counts[f.Node] == nil {
			n.counts[f.Node] = map[string]float64{}
		}
		n.counts[f.Node][labelOf(f.Cause)]++
		n.order = append(slices.DeleteFunc(n.order, func(name string) bool { return name == f.Node }), f.Node)
	}
	for len(n.order) > maxNodesCounted {
		delete(n.counts, n.order[0])
		n.order = n.order[1:]
	}
}
