package plan_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

func TestServicesAreKeptInStep(t *testing.T) {
	ports := func(m *model, numbers ...int32) {
		c := &m.in.Replicas[worker].Template.Spec.Containers[0]
		c.Ports = nil
		for _, n := range numbers {
			c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: n})
		}
	}
	// The service has the ports of the job, and is as a cache shows it.
	manyPorts := func(m *model, n int32) {
		c := &m.in.Replicas[worker].Template.Spec.Containers[0]
		c.Ports = nil
		for i := range n {
			c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: 1000 + i})
		}
		s := m.in.Services[0]
		s.Spec.Ports = plan.ShortPorts(plan.NewService(&m.in, plan.CreateService{Name: s.Name}).Spec.Ports)
	}
	tests := map[string]struct {
		reason string
		change func(*model)
		want   []string
	}{
		"AtRest": {
			reason: "a service that is as it should be is left alone",
			change: func(*model) {},
		},
		"PortAdded": {
			reason: "known-bugs row 86: a port that the job gets later reaches its service",
			change: func(m *model) { ports(m, 1, 2) },
			want:   []string{"update service job: its ports or its selector are not those of the job"},
		},
		"PortRemoved": {
			reason: "a port that the job no longer has is removed",
			change: func(m *model) { ports(m) },
			want:   []string{"update service job: its ports or its selector are not those of the job"},
		},
		"ManyPorts": {
			reason: "of the many ports of a service the cache holds some, and a digest of the others",
			change: func(m *model) { manyPorts(m, 40) },
		},
		"OneOfManyPorts": {
			reason: "a change of one that is not held is seen",
			change: func(m *model) {
				manyPorts(m, 40)
				m.in.Replicas[worker].Template.Spec.Containers[0].Ports[39].ContainerPort = 7
			},
			want: []string{"update service job: its ports or its selector are not those of the job"},
		},
		"PortNumber": {
			reason: "a port is where the job says",
			change: func(m *model) { m.in.Services[0].Spec.Ports[0].Port = 7 },
			want:   []string{"update service job: its ports or its selector are not those of the job"},
		},
		"PortName": {
			reason: "and has the job's name for it",
			change: func(m *model) { m.in.Services[0].Spec.Ports[0].Name = "other" },
			want:   []string{"update service job: its ports or its selector are not those of the job"},
		},
		"PortProtocol": {
			reason: "and protocol",
			change: func(m *model) { m.in.Services[0].Spec.Ports[0].Protocol = corev1.ProtocolUDP },
			want:   []string{"update service job: its ports or its selector are not those of the job"},
		},
		"PortTarget": {
			reason: "and leads to the job's container",
			change: func(m *model) { m.in.Services[0].Spec.Ports[0].TargetPort.IntVal = 7 },
			want:   []string{"update service job: its ports or its selector are not those of the job"},
		},
		"Selector": {
			reason: "a changed selector is corrected",
			change: func(m *model) { m.in.Services[0].Spec.Selector["x"] = "y" },
			want:   []string{"update service job: its ports or its selector are not those of the job"},
		},
		"NoServices": {
			reason: "a job that is to have no services has none",
			change: func(m *model) { m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone) },
			want:   []string{"delete service job: the job does not want this service"},
		},
		"FieldsOfOthers": {
			reason: "what the API server and others add is left alone",
			change: func(m *model) {
				s := m.in.Services[0]
				s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
				s.Spec.Ports[0].AppProtocol = new("http")
				s.Spec.PublishNotReadyAddresses = false
				s.Annotations = map[string]string{"x": "y"}
			},
		},
		"Terminating": {
			reason: "a service that is being deleted is not worth an update",
			change: func(m *model) {
				ports(m, 1, 2)
				m.in.Services[0].DeletionTimestamp = new(metav1.NewTime(epoch))
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), func(m *model) { ports(m, 1) })
			tc.change(m)
			var got []string
			for _, a := range m.decide().Actions {
				got = append(got, a.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestReplicaServicesAreKeptInStep: each replica has its own service, and it alone.
func TestReplicaServicesAreKeptInStep(t *testing.T) {
	update := func(name string) string {
		return "update service " + name + ": its ports or its selector are not those of the job"
	}
	tests := map[string]struct {
		reason string
		change func(*model)
		want   []string
	}{
		"AtRest": {
			reason: "a service that is as it should be is left alone, whatever its index",
			change: func(*model) {},
		},
		"IndexOfAnother": {
			reason: "a service that leads to the pod of another replica is put right",
			change: func(m *model) { m.service("worker-0").Spec.Selector[commonv1.ReplicaIndexLabel] = "1" },
			want:   []string{update("job-worker-0")},
		},
		"OtherSpelling": {
			reason: "the index selects pods by their label, which is spelled in one way",
			change: func(m *model) { m.service("worker-1").Spec.Selector[commonv1.ReplicaIndexLabel] = "01" },
			want:   []string{update("job-worker-1")},
		},
		"NoIndex": {
			reason: "a service that leads to all pods of the type is put right",
			change: func(m *model) { delete(m.service("worker-0").Spec.Selector, commonv1.ReplicaIndexLabel) },
			want:   []string{update("job-worker-0")},
		},
		"OtherLabel": {
			reason: "a label in the place of another is noticed, though there are as many",
			change: func(m *model) {
				selector := m.service("worker-100").Spec.Selector
				delete(selector, commonv1.JobNameLabel)
				selector["x"] = ""
			},
			want: []string{update("job-worker-100")},
		},
		"Missing": {
			reason: "the service of one replica that is gone is made again",
			change: func(m *model) { m.in.Services = m.in.Services[1:] },
			want:   []string{"create service job-worker-0: each replica has one"},
		},
		"Readiness": {
			reason: "replicas whose readiness shows their progress are found before they make any",
			change: func(m *model) {
				m.in.RunPolicy.ProgressPolicy = &commonv1.ProgressPolicy{
					Source: commonv1.ProgressSourceReadiness, StartTimeoutSeconds: new(int64(600)),
				}
				for _, s := range m.in.Services[1:] {
					s.Spec.PublishNotReadyAddresses = true
				}
			},
			want: []string{"update service job-worker-0: its replicas must be found before they are ready"},
		},
		"PublishedByAUser": {
			reason: "what a user does so that replicas are found is left alone",
			change: func(m *model) { m.service("worker-0").Spec.PublishNotReadyAddresses = true },
		},
		"Surplus": {
			reason: "a service that carries the name of no replica goes",
			change: func(m *model) { m.service("worker-100").Name = "job-worker-101" },
			want:   []string{"delete service job-worker-101: the job does not want this service", "create service job-worker-100: each replica has one"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{worker: 101})
			m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica)
			m.in.Replicas[worker].Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 1}}
			m.reconcileUntilStable()
			tc.change(m)
			var got []string
			for _, a := range m.decide().Actions {
				got = append(got, a.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// service finds the service of a replica.
func (m *model) service(replica string) *corev1.Service {
	i := slices.IndexFunc(m.in.Services, func(s *corev1.Service) bool { return s.Name == "job-"+replica })
	return m.in.Services[i]
}

func TestObjects(t *testing.T) {
	wanted := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "config"}}
	missing := plan.Object{Kind: "ConfigMap", Name: "config", Wanted: wanted}
	there := plan.Object{Kind: "ConfigMap", Name: "config", Wanted: wanted, UID: "1", Version: "7"}
	differs := there
	differs.Patch = map[string]any{"data": map[string]any{"k": "v"}}
	staysSuspended, staysFinished := there, there
	staysSuspended.KeepSuspended, staysFinished.KeepFinished = true, true
	unwanted := plan.Object{Kind: "ConfigMap", Name: "old", UID: "2"}
	terminating := plan.Object{Kind: "ConfigMap", Name: "terminating", UID: "3", Terminating: true}
	suspend := func(m *model) { m.in.RunPolicy.Suspend = new(true) }
	finish := func(policy commonv1.CleanPodPolicy) func(*model) {
		return func(m *model) {
			m.in.RunPolicy.CleanPodPolicy = &policy
			m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.Index(worker, 0))}
			m.end(m.pod("worker-0"), 0)
		}
	}
	const (
		create       = "create ConfigMap config: the job needs it"
		update       = "update ConfigMap config: it is not as the job needs it"
		remove       = "delete ConfigMap old: the job does not want it"
		deletePod    = "delete pod job-worker-1: the job has finished; cleanPodPolicy is All"
		deleteEnded  = "delete pod job-worker-0: the job has finished; cleanPodPolicy is All"
		afterFinish  = "delete ConfigMap config: the job has finished"
		afterSuspend = "delete ConfigMap config: the job is suspended"
	)
	tests := map[string]struct {
		reason  string
		change  func(*model)
		objects []plan.Object
		want    []string
	}{
		"Missing":        {reason: "what is missing is created", objects: []plan.Object{missing}, want: []string{create}},
		"AtRest":         {reason: "what is as it should be is left alone", objects: []plan.Object{there}},
		"Differs":        {reason: "what is not as it should be is fixed", objects: []plan.Object{differs}, want: []string{update}},
		"Unwanted":       {reason: "what is no longer wanted is deleted", objects: []plan.Object{there, unwanted}, want: []string{remove}},
		"Terminating":    {reason: "what is being deleted is left to go", objects: []plan.Object{terminating}},
		"Suspended":      {reason: "a suspended job keeps nothing", change: suspend, objects: []plan.Object{there, terminating}, want: []string{afterSuspend}},
		"StaysSuspended": {reason: "but for what is to stay", change: suspend, objects: []plan.Object{staysSuspended}},
		"GoesSuspended":  {reason: "what is to stay at the end goes", change: suspend, objects: []plan.Object{staysFinished}, want: []string{afterSuspend}},
		"StaysFinished": {
			reason: "what is to stay at the end stays", change: finish(commonv1.CleanPodPolicyAll),
			objects: []plan.Object{staysFinished}, want: []string{deleteEnded, deletePod},
		},
		"GoesFinished": {
			reason: "what is to stay while the job is suspended goes", change: finish(commonv1.CleanPodPolicyAll),
			objects: []plan.Object{staysSuspended}, want: []string{deleteEnded, deletePod, afterFinish},
		},
		"NotSuspended": {reason: "and creates nothing", change: suspend, objects: []plan.Object{missing}},
		"Finished": {
			reason: "a job that has finished and has no pods that run keeps nothing", change: finish(commonv1.CleanPodPolicyAll),
			objects: []plan.Object{there}, want: []string{deleteEnded, deletePod, afterFinish},
		},
		"StillRunning": {
			reason: "while pods run on, what the kind wants for them stays", change: finish(commonv1.CleanPodPolicyNone),
			objects: []plan.Object{there, unwanted}, want: []string{"delete ConfigMap old: the job has finished"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), nil)
			m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
			m.in.Services = nil
			if tc.change != nil {
				tc.change(m)
			}
			m.in.Objects = tc.objects
			var got []string
			for _, a := range m.decide().Actions {
				if _, ok := a.(plan.DeletePod); ok && m.in.RunPolicy.Suspend != nil {
					continue
				}
				got = append(got, a.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestDifference(t *testing.T) {
	type m = map[string]any
	tests := map[string]struct {
		reason        string
		wanted, found m
		want          m
	}{
		"Same":      {reason: "nothing differs", wanted: m{"a": "1", "l": []any{"x"}}, found: m{"a": "1", "l": []any{"x"}}},
		"Added":     {reason: "what others added stays", wanted: m{"a": m{"b": "1"}}, found: m{"a": m{"b": "1", "c": "2"}, "d": "3"}},
		"Missing":   {reason: "what is missing is added", wanted: m{"a": "1"}, found: m{}, want: m{"a": "1"}},
		"Deep":      {reason: "only what differs is sent", wanted: m{"a": m{"b": "1", "c": "2"}}, found: m{"a": m{"b": "0", "c": "2"}}, want: m{"a": m{"b": "1"}}},
		"List":      {reason: "a list is replaced as a whole, as JSON merge patch does", wanted: m{"l": []any{"x", "y"}}, found: m{"l": []any{"y"}}, want: m{"l": []any{"x", "y"}}},
		"OtherType": {reason: "a value takes the place of an object", wanted: m{"a": "1"}, found: m{"a": m{"b": "1"}}, want: m{"a": "1"}},
		"Empty":     {reason: "an object that wants nothing of what exists wants nothing", wanted: m{"metadata": m{}}, found: m{"metadata": m{"labels": m{"a": "b"}}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, plan.Difference(tc.wanted, tc.found)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestPortsOfAService: a port is the same if all of it is.
func TestPortsOfAService(t *testing.T) {
	cases := map[string]func(*corev1.ServicePort){
		"Name":       func(p *corev1.ServicePort) { p.Name = "x" },
		"Protocol":   func(p *corev1.ServicePort) { p.Protocol = corev1.ProtocolUDP },
		"Port":       func(p *corev1.ServicePort) { p.Port++ },
		"TargetPort": func(p *corev1.ServicePort) { p.TargetPort.IntVal++ },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(1), func(m *model) {
				m.in.Replicas[worker].Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "grpc", ContainerPort: 1}}
			})
			change(&m.in.Services[0].Spec.Ports[0])
			if p := m.decide(); len(p.Actions) != 1 {
				t.Errorf("the service is to be put right, got %v", p.Actions)
			}
		})
	}
}

// TestShortPorts: of more ports than a cache holds, each is either held or in the digest.
func TestShortPorts(t *testing.T) {
	all := make([]corev1.ServicePort, 20)
	for i := range all {
		all[i].Port = int32(i + 1)
	}
	short := plan.ShortPorts(all)
	for name, change := range map[string]func(*corev1.ServicePort){
		"Name":     func(p *corev1.ServicePort) { p.Name = "x" },
		"Protocol": func(p *corev1.ServicePort) { p.Protocol = corev1.ProtocolUDP },
		"Port":     func(p *corev1.ServicePort) { p.Port = 99 },
		"Target":   func(p *corev1.ServicePort) { p.TargetPort = intstr.FromInt32(99) },
		"ByName":   func(p *corev1.ServicePort) { p.TargetPort = intstr.FromString("0") },
	} {
		for i := range all {
			changed := slices.Clone(all)
			change(&changed[i])
			if cmp.Equal(short, plan.ShortPorts(changed)) {
				t.Errorf("%s: a change of port %d of %d is not seen", name, i+1, len(all))
			}
		}
	}
	if got := plan.ShortPorts(all[:len(short)]); !cmp.Equal(all[:len(short)], got) {
		t.Errorf("%d ports should be held as they are, got %v", len(short), got)
	}
}
