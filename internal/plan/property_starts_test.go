package plan_test

import (
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// drawStartDeadline gives a job a limit of the time that its pods may take to start.
func drawStartDeadline(t *rapid.T, m *model) {
	if !rapid.Bool().Draw(t, "has a start deadline") {
		return
	}
	p := &m.in.RunPolicy
	p.StartDeadlineSeconds = new(rapid.Int64Range(1, 60).Draw(t, "start deadline"))
	if !rapid.Bool().Draw(t, "late starts restart the job") {
		return
	}
	p.OnStartDeadline = new(commonv1.StartDeadlineRestartJob)
	if p.MaxJobRestarts == nil {
		p.MaxJobRestarts = rapid.Ptr(rapid.Int32Range(0, 2), true).Draw(t, "max job restarts for that")
	}
}

// drawHostPorts has some types use the network of their nodes, with ports of their own. The range
// is that of the largest job that is drawn.
func drawHostPorts(t *rapid.T, m *model) {
	if rapid.IntRange(0, 3).Draw(t, "allocates ports") < 3 {
		return
	}
	each := int32(0)
	for _, typ := range []commonv1.ReplicaType{master, worker} {
		if m.in.Replicas[typ] == nil || each > 0 && !rapid.Bool().Draw(t, "on its node's network") {
			continue
		}
		pod := &m.in.Replicas[typ].Template.Spec
		pod.HostNetwork = true
		for i := range rapid.Int32Range(1, 2).Draw(t, "ports") {
			pod.Containers[0].Ports = append(pod.Containers[0].Ports, corev1.ContainerPort{ContainerPort: 2222 + i})
			each++
		}
	}
	m.in.RunPolicy.HostPorts = new(commonv1.HostPortsAllocate)
	m.in.RunPolicy.HostPortRange = &commonv1.HostPortRange{First: 1000, Last: 1000 + 4*each - 1}
}

// portBook holds the ports that each replica ever had, by the name of its pod.
type portBook map[string][]int32

// check: each pod on its node's network has ports of the range, the same for its container,
// those that the replica always had, and none that another one ever had.
func (b portBook) check(t *rapid.T, in *plan.Input) {
	if in.RunPolicy.HostPorts == nil {
		return
	}
	for _, pod := range in.Pods {
		if !pod.Spec.HostNetwork {
			continue
		}
		var own []int32
		for _, p := range pod.Spec.Containers[0].Ports {
			if r := in.RunPolicy.HostPortRange; p.HostPort != p.ContainerPort || p.HostPort < r.First || p.HostPort > r.Last {
				t.Fatalf("%s has port %d of its node and %d of its container, the range is %+v", pod.Name, p.HostPort, p.ContainerPort, *r)
			}
			own = append(own, p.HostPort)
		}
		for name, other := range b {
			switch shared := slices.ContainsFunc(own, func(p int32) bool { return slices.Contains(other, p) }); {
			case name == pod.Name && !slices.Equal(own, other):
				t.Fatalf("%s has the ports %v, and had %v", pod.Name, own, other)
			case name != pod.Name && shared:
				t.Fatalf("%s has the ports %v, and %s has %v", pod.Name, own, name, other)
			}
		}
		b[pod.Name] = own
	}
}

// latePods says by the documentation alone which pods of a job that goes on have not started in time,
// and whether one does not go that had to.
func latePods(in *plan.Input, status *commonv1.JobStatus) (late []string, stuck bool) {
	limit := in.RunPolicy.StartDeadlineSeconds
	if limit == nil || status.Finished() || in.Job.Deleted || in.RunPolicy.Suspend != nil && *in.RunPolicy.Suspend {
		return nil, false
	}
	for typ, spec := range in.Replicas {
		for i := range *spec.Replicas {
			rs := status.ReplicaStatuses[typ]
			if rs == nil {
				rs = &commonv1.ReplicaStatus{}
			}
			at := status.Attempt + rs.Attempt + rs.Attempts[strconv.Itoa(int(i))]
			takes := time.Duration(*limit) * time.Second
			if least := 10 * time.Second << max(at-1, 0); in.RunPolicy.OnStartDeadline != nil && at > 0 {
				takes = max(takes, min(least, 10*time.Minute))
			}
			for _, p := range in.Pods {
				label, _ := strconv.Atoi(p.Labels[commonv1.AttemptLabel])
				switch {
				case p.Name != in.Kind.PodName(in.Job.Name, typ, i):
				case p.DeletionTimestamp != nil:
					stuck = stuck || !in.Now.Before(p.DeletionTimestamp.Add(time.Duration(*limit)*time.Second))
				case p.Status.Phase == corev1.PodPending && int32(label) == at && !in.Now.Before(p.CreationTimestamp.Add(takes)): //nolint:gosec // small
					late = append(late, p.Name)
				}
			}
		}
	}
	return late, stuck
}

// checkStarts: a job fails or restarts because pods do not start only if one has not in time, and
// restarts only as often as its limits allow.
func checkStarts(t *rapid.T, in *plan.Input, after *commonv1.JobStatus) {
	const says = "have not started within the specified deadline"
	before, p := &in.Status, &in.RunPolicy
	late, stuck := latePods(in, before)
	restarts := p.OnStartDeadline != nil
	if c := after.Condition(commonv1.JobFailed); after.IsTrue(commonv1.JobFailed) && !before.IsTrue(commonv1.JobFailed) && strings.Contains(c.Message, says) {
		limited := strings.Contains(c.Message, "maxJobRestarts is ") || strings.Contains(c.Message, "ackoff limit") || strings.Contains(c.Message, "would wait for the same")
		switch {
		case len(late) == 0 && !stuck:
			t.Fatalf("all pods started in time: %s", c.Message)
		case restarts && !limited:
			t.Fatalf("the job does not say why it does not restart: %s", c.Message)
		case restarts && strings.Contains(c.Message, "maxJobRestarts is ") && before.JobRestarts < *p.MaxJobRestarts:
			t.Fatalf("the job has restarted %d times for replicas: %s", before.JobRestarts, c.Message)
		}
	}
	c := after.Condition(commonv1.JobRestarting)
	if c == nil || !strings.Contains(c.Message, says) || after.Attempt == before.Attempt {
		return
	}
	switch {
	case !restarts || len(late) == 0:
		t.Fatalf("the job restarts for late starts, of which there are %d: %s", len(late), c.Message)
	case after.Attempt != before.Attempt+1 || after.JobRestarts != before.JobRestarts+1:
		t.Fatalf("the job restarts for late starts, from attempt %d to %d, %d to %d times for replicas", before.Attempt, after.Attempt, before.JobRestarts, after.JobRestarts)
	case p.MaxJobRestarts != nil && after.JobRestarts > *p.MaxJobRestarts:
		t.Fatalf("the job restarts %d times for replicas, maxJobRestarts is %d", after.JobRestarts, *p.MaxJobRestarts)
	}
}

// checkStartsAtRest: no pod is late in a job that has nothing left to do, unless it is too early to
// say what another failure means.
func (w *world) checkStartsAtRest(t *rapid.T) {
	late, stuck := latePods(&w.in, &w.in.Status)
	if p := w.decide(); len(late) > 0 && !stuck && (p.RequeueAfter <= 0 || p.RequeueAfter > 3*time.Second) {
		t.Fatalf("%v have not started in time, and nothing follows: %q", late, conditions(&w.in.Status))
	}
}
