package plan_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// onHosts has the replicas of types use the network of their nodes, with ports of their own.
func onHosts(first, last int32, on ...commonv1.ReplicaType) func(*model) {
	return func(m *model) {
		m.in.RunPolicy.HostPorts = new(commonv1.HostPortsAllocate)
		m.in.RunPolicy.HostPortRange = &commonv1.HostPortRange{First: first, Last: last}
		for _, t := range on {
			pod := &m.in.Replicas[t].Template.Spec
			pod.HostNetwork = true
			pod.Containers[0].Ports = []corev1.ContainerPort{{Name: "rpc", ContainerPort: 2222}, {ContainerPort: 53, Protocol: corev1.ProtocolUDP}}
			pod.Containers[0].Env = []corev1.EnvVar{{Name: "HOST_PORT_53", Value: "mine"}}
			pod.Containers = append(pod.Containers, corev1.Container{Name: "metrics", Ports: []corev1.ContainerPort{{Name: "metrics-port", ContainerPort: 9090}}})
		}
	}
}

// newPod is the pod of a replica of a model.
func newPod(m *model, t commonv1.ReplicaType, index int32) *corev1.Pod {
	a := plan.CreatePod{Name: m.in.Kind.PodName("job", t, index), Type: t, Index: index}
	return plan.NewPod(&m.in, a, m.in.Replicas[t].Template.DeepCopy())
}

// portsOf lists the ports of a pod, by container.
func portsOf(pod *corev1.Pod) []string {
	var out []string
	for _, c := range pod.Spec.Containers {
		for _, p := range c.Ports {
			out = append(out, fmt.Sprint(c.Name, " ", p.Name, " ", p.ContainerPort, " ", p.HostPort))
		}
		for _, v := range c.Env {
			out = append(out, v.Name+"="+v.Value)
		}
	}
	return out
}

func TestHostPorts(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
	onHosts(1000, 1999, worker)(m)
	m.in.Replicas[master].Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "rpc", ContainerPort: 2222}}
	pod := newPod(m, worker, 1)
	first := pod.Spec.Containers[0].Ports[0].ContainerPort
	want := []string{
		fmt.Sprintf("main rpc %d %d", first, first), fmt.Sprintf("main  %d %d", first+1, first+1),
		fmt.Sprintf("HOST_PORT_RPC=%d", first), "HOST_PORT_53=mine",
		fmt.Sprintf("metrics metrics-port %d %d", first+2, first+2), fmt.Sprintf("HOST_PORT_METRICS_PORT=%d", first+2),
	}
	if diff := cmp.Diff(want, portsOf(pod)); diff != "" {
		t.Errorf("each port gets its own number, and the container has it in a variable unless the template has (-want +got):\n%s", diff)
	}
	if pod.Spec.DNSPolicy != corev1.DNSClusterFirstWithHostNet {
		t.Errorf("without this policy the names of services do not resolve: %q", pod.Spec.DNSPolicy)
	}
	if other := newPod(m, worker, 0); other.Spec.Containers[0].Ports[0].ContainerPort != first-3 {
		t.Errorf("replicas of one index are next to each other, and those of the index before it go before: %v, %v", portsOf(other), portsOf(pod))
	}
	if diff := cmp.Diff([]string{"main rpc 2222 0"}, portsOf(newPod(m, master, 0))); diff != "" {
		t.Errorf("a type without hostNetwork keeps its ports (-want +got):\n%s", diff)
	}
	if policy := newPod(m, master, 0).Spec.DNSPolicy; policy != "" {
		t.Errorf("and its DNS policy: %q", policy)
	}
	template, shared := m.in.Replicas[worker].Template.DeepCopy(), []corev1.ContainerPort{{Name: "rpc", ContainerPort: 2222}}
	template.Spec.Containers[0].Ports = shared
	plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-0", Type: worker}, template)
	if shared[0].ContainerPort != 2222 {
		t.Errorf("what a kind sets in several pods stays as it is: %v", shared)
	}
	m.in.Kind.PortName = "rpc"
	replica := m.in.ReplicasOf()(master, 0, 0)
	got := []int32{replica.PortOf(worker, 1), replica.PortOf(worker, 0), replica.Port(worker), replica.Port(master)}
	if diff := cmp.Diff([]int32{first, first - 3, first - 3, 2222}, got); diff != "" {
		t.Errorf("the others learn the ports (-want +got):\n%s", diff)
	}
	if name := replica.Name(); name != "job-master-0" {
		t.Errorf("they have the names of the job's pods: %s", name)
	}
	m.in.Job.UID = "uid of another job"
	if other := newPod(m, worker, 1).Spec.Containers[0].Ports[0].ContainerPort; other == first {
		t.Errorf("another job begins somewhere else: %d", other)
	}
}

// TestHostPortsOfServices: services lead to the ports that the replicas really have.
func TestHostPortsOfServices(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 2})
	onHosts(1000, 1999, worker)(m)
	m.in.Replicas[master].Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "rpc", ContainerPort: 2222}}
	m.in.Kind.Roles[1].Service = &jobkit.RoleService{Ports: []corev1.ServicePort{{Name: "ui", Port: 80, TargetPort: intstr.FromInt32(2222)}, {Name: "x", Port: 7}, {Name: "dns", Port: 9, TargetPort: intstr.FromInt32(53)}}}
	m.in.Kind.Roles[0].Service = m.in.Kind.Roles[1].Service
	port := newPod(m, worker, 1).Spec.Containers[0].Ports[0].ContainerPort
	for name, tc := range map[string]struct {
		reason string
		action plan.CreateService
		want   []string
	}{
		"PerReplica": {"those of the replica", plan.CreateService{Type: worker, Index: 1}, []string{
			fmt.Sprintf("rpc %d>%d", port, port), fmt.Sprintf("port-%d-u %d>%d", port+1, port+1, port+1),
		}},
		"PerJob":        {"not those that differ: names resolve without", plan.CreateService{}, []string{"rpc 2222>2222"}},
		"OfRole":        {"by name, which is another number in each replica", plan.CreateService{Type: worker, OfRole: true}, []string{"ui 80>rpc", "x 7>7", "dns 9>53"}},
		"OfAnotherRole": {"by number, which is the same in each", plan.CreateService{Type: master, OfRole: true}, []string{"ui 80>2222", "x 7>7", "dns 9>53"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range plan.NewService(&m.in, tc.action).Spec.Ports {
				got = append(got, fmt.Sprintf("%s %d>%s", p.Name, p.Port, p.TargetPort.String()))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica)
	if m.reconcileUntilStable(); len(m.decide().Actions) > 0 {
		t.Errorf("at rest nothing is left to do: %v", m.decide().Actions)
	}
}

// TestHostPortsDiffer: no two replicas have a port in common, and scaling changes none.
func TestHostPortsDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int32Range(1, 20).Draw(t, "workers")
		m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: n})
		m.in.Job.UID = types.UID(rapid.String().Draw(t, "uid"))
		size := 6*n + rapid.Int32Range(0, 5).Draw(t, "more")
		first := rapid.Int32Range(1, 65536-size).Draw(t, "first")
		onHosts(first, first+size-1, master, worker)(m)
		if errs := plan.Validate(&m.in); len(errs) > 0 {
			t.Fatal(errs)
		}
		taken := map[int32]string{}
		all := map[string][]string{}
		for typ, n := range map[commonv1.ReplicaType]int32{master: 1, worker: n} {
			for i := range n {
				pod := newPod(m, typ, i)
				all[pod.Name] = portsOf(pod)
				for _, c := range pod.Spec.Containers {
					for _, p := range c.Ports {
						if p.HostPort < first || p.HostPort >= first+size || p.HostPort != p.ContainerPort || taken[p.HostPort] != "" {
							t.Fatalf("%s has %d, which is out of the range or that of %s", pod.Name, p.HostPort, taken[p.HostPort])
						}
						taken[p.HostPort] = pod.Name
					}
				}
			}
		}
		*m.in.Replicas[worker].Replicas = rapid.Int32Range(1, n).Draw(t, "scaled")
		for i := range *m.in.Replicas[worker].Replicas {
			if pod := newPod(m, worker, i); !cmp.Equal(all[pod.Name], portsOf(pod)) {
				t.Fatalf("scaling has changed the ports of %s", pod.Name)
			}
		}
	})
}

func TestHostPortsThatAreNotValid(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*model)
		want   string
	}{
		"Valid":  {"enough for 2 replicas with 3 ports", onHosts(1000, 1005, worker), ""},
		"TooFew": {"one less", onHosts(1000, 1004, worker), `spec.runPolicy.hostPortRange: Invalid value: "1000-1004": has 5 ports, but up to 2 replicas of each type with 3 ports need 6: widen it, or use fewer replicas`},
		"All":    {"all ports there are", onHosts(1, 65535, worker), ""},
		"Last":   {"there is no such port", onHosts(65000, 65536, worker), `spec.runPolicy.hostPortRange: Invalid value: `},
		"First":  {"0 is none", onHosts(0, 100, worker), `spec.runPolicy.hostPortRange: Invalid value: `},
		"One": {"one port is a range", func(m *model) {
			onHosts(7, 7, worker)(m)
			*m.in.Replicas[worker].Replicas = 1
			c := m.in.Replicas[worker].Template.Spec.Containers
			c[0].Ports, c[1].Ports = c[0].Ports[:1], nil
		}, ""},
		"NoReplicas": {"none needs any", func(m *model) {
			onHosts(7, 7, worker)(m)
			m.in.Replicas[master] = m.in.Replicas[worker].DeepCopy()
			m.in.Replicas[master].Template.Spec.HostNetwork = false
			*m.in.Replicas[worker].Replicas = 0
		}, ""},
		"NotOnHosts": {"the ports of others are not allocated", func(m *model) {
			onHosts(1000, 1005, worker)(m)
			m.in.Replicas[master] = m.in.Replicas[worker].DeepCopy()
			m.in.Replicas[master].Template.Spec.HostNetwork, m.in.Replicas[master].Replicas = false, new(int32(9))
		}, ""},
		"NoRange": {"the default is large", func(m *model) { onHosts(1, 1, worker)(m); m.in.RunPolicy.HostPortRange = nil }, ""},
		"None": {"no one asks for any", func(m *model) {
			onHosts(1, 1, worker)(m)
			m.in.RunPolicy.HostPortRange, m.in.RunPolicy.HostPorts = nil, nil
		}, ""},
		"NoHosts": {"no port is a host's", onHosts(1, 2), `spec.runPolicy.hostPorts: Invalid value: "Allocate": no container of a template with hostNetwork has a port: add hostNetwork and ports, or remove hostPorts`},
		"Turned":  {"there is no port", onHosts(5, 4, worker), "spec.runPolicy.hostPortRange: Invalid value: "},
		"Beyond":  {"there are no such ports", onHosts(65000, 66000, worker), "first and last must be from 1 to 65535, and first not more than last"},
		"Unknown": {"no such policy", func(m *model) { onHosts(1, 9, worker)(m); *m.in.RunPolicy.HostPorts = "Random" }, `spec.runPolicy.hostPorts: Unsupported value: "Random": supported values: "Allocate"`},
		"NoRule":  {"it has no effect", func(m *model) { onHosts(1, 9, worker)(m); m.in.RunPolicy.HostPorts = nil }, "it says nothing without hostPorts: add that, or remove it"},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			tc.change(m)
			got := ""
			if errs := plan.Validate(&m.in); len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}

// TestHostPortsOfOtherContainers: the kind may leave a container of the template out of a pod, and
// the DNS policy that the user chose stays.
func TestHostPortsOfOtherContainers(t *testing.T) {
	for given, want := range map[corev1.DNSPolicy]corev1.DNSPolicy{
		"": corev1.DNSClusterFirstWithHostNet, corev1.DNSClusterFirst: corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault: corev1.DNSDefault,
	} {
		m := newModel(workers(1))
		onHosts(1000, 1999, worker)(m)
		template := m.in.Replicas[worker].Template.DeepCopy()
		template.Spec.Containers, template.Spec.DNSPolicy = template.Spec.Containers[1:], given
		pod := plan.NewPod(&m.in, plan.CreatePod{Name: "job-worker-0", Type: worker}, template)
		port := pod.Spec.Containers[0].Ports[0].ContainerPort
		if diff := cmp.Diff([]string{fmt.Sprintf("metrics metrics-port %d %d", port, port), fmt.Sprintf("HOST_PORT_METRICS_PORT=%d", port)}, portsOf(pod)); diff != "" {
			t.Errorf("the ports of the container that exists (-want +got):\n%s", diff)
		}
		if pod.Spec.DNSPolicy != want {
			t.Errorf("the DNS policy %q becomes %q, want %q", given, pod.Spec.DNSPolicy, want)
		}
	}
}
