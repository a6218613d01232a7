package jobtest

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// onHosts has the replicas of a job use the network of their nodes, with ports of a range of so
// many.
func onHosts(size int32) func(*testv1.TestJob) {
	return func(j *testv1.TestJob) {
		p := &j.Spec.RunPolicy
		p.HostPorts = new(commonv1.HostPortsAllocate)
		p.HostPortRange = &commonv1.HostPortRange{First: 20_000, Last: 20_000 + size - 1}
		for _, spec := range j.Spec.TestReplicaSpecs {
			spec.Template.Spec.HostNetwork = true
		}
	}
}

// TestHostPorts: two jobs with ports of one small range share the nodes: pods whose ports are
// taken on each node wait until one is free, and the job says so.
func TestHostPorts(t *testing.T) {
	w := story(t, Options{Nodes: 1, Fate: func(*corev1.Pod) Fate { return Fate{Start: time.Second, Run: 2 * time.Minute} }},
		newJob("a", 3, onHosts(4)), newJob("b", 3, onHosts(4)))
	pass(t, w, time.Minute)
	var pods corev1.PodList
	if err := w.Client().List(t.Context(), &pods); err != nil {
		t.Fatal(err)
	}
	taken, waiting := map[int32]string{}, 0
	for i := range pods.Items {
		pod := &pods.Items[i]
		ports := hostPortsOf(pod)
		switch {
		case len(ports) != 1 || ports[0] != pod.Spec.Containers[0].Ports[0].ContainerPort || ports[0] < 20_000 || ports[0] > 20_003:
			t.Errorf("pod %s has the ports %v", pod.Name, pod.Spec.Containers[0].Ports)
		case pod.Spec.NodeName == "":
			waiting++
		case taken[ports[0]] != "":
			t.Errorf("%s and %s have port %d of one node", pod.Name, taken[ports[0]], ports[0])
		}
		if pod.Spec.NodeName != "" {
			taken[ports[0]] = pod.Name
		}
	}
	if waiting < 2 || !read(t, w, "a").Status.IsTrue(commonv1.JobStalled) && !read(t, w, "b").Status.IsTrue(commonv1.JobStalled) {
		t.Errorf("6 pods share 4 ports, but %d wait:\n%s", waiting, w.Transcript())
	}
	rest(t, w)
	for _, name := range []string{"a", "b"} {
		if s := read(t, w, name).Status; s.State != commonv1.JobSucceeded || s.Restarts != 0 {
			t.Errorf("job %s is %s after %d restarts", name, s.State, s.Restarts)
		}
	}
}

// TestHostPortsStay: a replica has the same port in each attempt, and in a job that is scaled.
func TestHostPortsStay(t *testing.T) {
	w := story(t, Options{Fate: failsFirst(137)}, newJob("j", 2, exitCode, onHosts(8)))
	port := func(name string) int32 {
		pod := &corev1.Pod{}
		if err := w.Client().Get(t.Context(), client.ObjectKey{Namespace: jobKey.Namespace, Name: name}, pod); err != nil {
			t.Fatal(err)
		}
		return hostPortsOf(pod)[0]
	}
	pass(t, w, 5*time.Second)
	first := []int32{port("j-worker-0"), port("j-worker-1")}
	w.At(time.Second, "scales", edit(scaleTo(4)))
	pass(t, w, 8*time.Second)
	if got := []int32{port("j-worker-0"), port("j-worker-1")}; !slices.Equal(first, got) || slices.Contains(first, port("j-worker-3")) {
		t.Errorf("the ports were %v, and are %v, %d", first, got, port("j-worker-3"))
	}
	rest(t, w)
}

// TestMonitorSeesHostPorts: the check of host ports can fail.
func TestMonitorSeesHostPorts(t *testing.T) {
	for name, spoil := range map[string]func(*corev1.Pod, *corev1.ContainerPort){
		"OfAnother": func(other *corev1.Pod, p *corev1.ContainerPort) {
			p.HostPort = hostPortsOf(other)[0]
			p.ContainerPort = p.HostPort
		},
		"Beyond":   func(_ *corev1.Pod, p *corev1.ContainerPort) { p.HostPort, p.ContainerPort = 20_008, 20_008 },
		"NotAlike": func(_ *corev1.Pod, p *corev1.ContainerPort) { p.ContainerPort = 2222 },
	} {
		t.Run(name, func(t *testing.T) {
			w := story(t, Options{Fate: forever}, newJob("j", 2, onHosts(8)))
			pass(t, w, 5*time.Second)
			var pods corev1.PodList
			if err := w.Client().List(context.Background(), &pods); err != nil {
				t.Fatal(err)
			}
			pod := pods.Items[0].DeepCopy()
			spoil(&pods.Items[1], &pod.Spec.Containers[0].Ports[0])
			if w.monitor.checkHostPorts(call{object: pod}, read(t, w, "j")); w.broken == nil || w.broken.Promise != "host ports" {
				t.Errorf("no violation: %v", w.broken)
			}
		})
	}
}
