//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestHostPorts: replicas of a job on the network of the same node run side by side, each with
// ports of its own, which stay over a restart; the API server refuses that they change.
func TestHostPorts(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	workers := replicas(4, "run-for", "1s", "exit-code", "137", "fail-index", "1", "fail-until-attempt", "1")
	workers.RestartPolicy = commonv1.RestartPolicyExitCode
	workers.Template.Spec.HostNetwork = true
	job := newJob(ns, "job", nil, workers)
	job.Spec.RunPolicy.HostPorts = new(commonv1.HostPortsAllocate)
	job.Spec.RunPolicy.HostPortRange = &commonv1.HostPortRange{First: 22_000, Last: 22_003}
	create(t, job)
	attempts := map[string]int32{}
	eventually(t, "a replica restarts, and has the port that it had", func(ctx context.Context) string {
		taken := map[int32]string{}
		for name, pod := range pods(ctx, t, ns) {
			p := pod.Spec.Containers[0].Ports[0]
			key := name + " " + pod.Labels[commonv1.AttemptLabel]
			if attempts[key] = p.HostPort; p.HostPort != p.ContainerPort || p.HostPort < 22_000 || p.HostPort > 22_003 || taken[p.HostPort] != "" {
				t.Errorf("pod %s has port %+v, which is not of the range or that of %s", name, p, taken[p.HostPort])
			}
			taken[p.HostPort] = name
		}
		if len(taken) < 4 || attempts["job-worker-1 0"] == 0 || attempts["job-worker-1 0"] != attempts["job-worker-1 1"] {
			return fmt.Sprintf("the ports are %v, so far %v", taken, attempts)
		}
		return ""
	})
	waitFor(t, job, commonv1.JobSucceeded)
	for _, change := range []func(*testv1.TestJob){
		func(j *testv1.TestJob) { j.Spec.RunPolicy.HostPortRange.Last++ },
		func(j *testv1.TestJob) { j.Spec.RunPolicy.HostPorts, j.Spec.RunPolicy.HostPortRange = nil, nil },
	} {
		changed := job.DeepCopy()
		change(changed)
		err := cluster.client.Update(t.Context(), changed)
		if err == nil || !strings.Contains(err.Error(), "hostPorts and hostPortRange cannot be changed, because pods that run would keep other ports") {
			t.Errorf("the change is refused: %v", err)
		}
	}
}
