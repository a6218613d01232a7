package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// withRoleService gives the Workers of the kind an ordinary service.
func withRoleService(s *jobkit.RoleService) func(*model) {
	return func(m *model) {
		m.in.Kind.Roles = []jobkit.Role{{Type: master}, {Type: worker, Service: s}}
		m.in.Replicas[worker].Template.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "main", ContainerPort: 2222}}
	}
}

func TestServiceOfARole(t *testing.T) {
	port := func(number int32) corev1.ServicePort {
		return corev1.ServicePort{Protocol: corev1.ProtocolTCP, Port: number, TargetPort: intstr.FromInt32(number)}
	}
	main := port(2222)
	main.Name = "main"
	tests := map[string]struct {
		reason string
		says   jobkit.RoleService
		typ    corev1.ServiceType
		want   []corev1.ServicePort
	}{
		"Default": {
			reason: "the ports of the main container, at an address in the cluster",
			typ:    corev1.ServiceTypeClusterIP, want: []corev1.ServicePort{main},
		},
		"Ports": {
			reason: "named ports replace those of the container; what they leave out is as the API server sets it",
			says:   jobkit.RoleService{Type: corev1.ServiceTypeLoadBalancer, Ports: []corev1.ServicePort{{Port: 80}}},
			typ:    corev1.ServiceTypeLoadBalancer, want: []corev1.ServicePort{port(80)},
		},
		"Target": {
			reason: "a target stays as it is",
			says: jobkit.RoleService{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{
				{Name: "ui", Protocol: corev1.ProtocolUDP, Port: 80, TargetPort: intstr.FromString("main")},
			}},
			typ: corev1.ServiceTypeNodePort,
			want: []corev1.ServicePort{
				{Name: "ui", Protocol: corev1.ProtocolUDP, Port: 80, TargetPort: intstr.FromString("main")},
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 1})
			withRoleService(&tc.says)(m)
			labels := map[string]string{
				commonv1.JobNameLabel: "job", commonv1.OperatorNameLabel: "testjob-controller", commonv1.ReplicaTypeLabel: "worker",
			}
			want := &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job-worker-svc", Labels: labels, OwnerReferences: []metav1.OwnerReference{owner}},
				Spec:       corev1.ServiceSpec{Type: tc.typ, Selector: labels, Ports: tc.want},
			}
			got := plan.NewService(&m.in, plan.CreateService{Name: "job-worker-svc", Type: worker, OfRole: true})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestServicesOfRolesAreKeptInStep(t *testing.T) {
	update := "update service job-worker-svc: its ports or its selector are not those of the job"
	tests := map[string]struct {
		reason string
		change func(*model)
		want   []string
	}{
		"AtRest": {reason: "a service that is as it should be is left alone", change: func(*model) {}},
		"NoServices": {
			reason: "the mode is about how replicas reach each other",
			change: func(m *model) { m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone) },
			want:   []string{"delete service job: the job does not want this service"},
		},
		"Type": {
			reason: "another type leads elsewhere, or to no one",
			change: func(m *model) { m.service("worker-svc").Spec.Type = corev1.ServiceTypeExternalName },
			want:   []string{update},
		},
		"Selector": {
			reason: "without the type it would lead to the master, too",
			change: func(m *model) { delete(m.service("worker-svc").Spec.Selector, commonv1.ReplicaTypeLabel) },
			want:   []string{update},
		},
		"NoneAnyMore": {
			reason: "a later version of the operator may do without it",
			change: func(m *model) { m.in.Kind.Roles[1].Service = nil },
			want:   []string{"delete service job-worker-svc: the job does not want this service"},
		},
		"ScaledToZero": {
			reason: "nothing would be behind it",
			change: func(m *model) { m.in.Replicas[worker].Replicas = new(int32(0)) },
			want: []string{
				"delete pod job-worker-0: the job does not want this replica",
				"delete service job-worker-svc: the job does not want this service",
			},
		},
		"Suspended": {
			reason: "it goes like the other services",
			change: func(m *model) { m.in.RunPolicy.Suspend = new(true) },
			want: []string{
				"delete pod job-master-0: the job is suspended", "delete pod job-worker-0: the job is suspended",
				"delete service job: the job is suspended", "delete service job-worker-svc: the job is suspended",
			},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 1}, withRoleService(&jobkit.RoleService{}))
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

// TestNamesOfServicesOfRolesFit: a job with a name that is too long for the service is refused
// before anything of it exists.
func TestNamesOfServicesOfRolesFit(t *testing.T) {
	m := newModel(workers(1))
	withRoleService(&jobkit.RoleService{})(m)
	m.in.Job.Name = strings.Repeat("j", 52)
	if errs := plan.Validate(&m.in); len(errs) > 0 {
		t.Errorf("63 characters are allowed: %v", errs)
	}
	m.in.Job.Name += "j"
	if errs := plan.Validate(&m.in); len(errs) != 1 || !strings.Contains(errs[0].Error(), "-worker-svc would be the name of a pod and a service and have 64 characters") {
		t.Errorf("64 are not: %v", errs)
	}
}

func TestMistakesInTheServiceOfARole(t *testing.T) {
	ports := func(list ...corev1.ServicePort) func(*jobkit.Kind) {
		return func(k *jobkit.Kind) { k.Roles[0].Service.Ports = list }
	}
	tests := map[string]struct {
		reason string
		change func(*jobkit.Kind)
		want   string
	}{
		"Valid": {reason: "several ports", change: ports(corev1.ServicePort{Name: "a", Port: 53}, corev1.ServicePort{Name: "b", Port: 53, Protocol: corev1.ProtocolUDP})},
		"Most": {reason: "so many fit", change: func(k *jobkit.Kind) {
			for i := range 16 {
				k.Roles[0].Service.Ports = append(k.Roles[0].Service.Ports, corev1.ServicePort{Name: "a" + itoa(i), Port: int32(i + 1)})
			}
		}},
		"KnownType":    {reason: "it is one", change: func(k *jobkit.Kind) { k.Roles[0].Service.Type = corev1.ServiceTypeLoadBalancer }},
		"LastPort":     {reason: "it is one", change: ports(corev1.ServicePort{Port: 65535, TargetPort: intstr.FromInt32(65535)})},
		"TargetByName": {reason: "a container may name its port", change: ports(corev1.ServicePort{Port: 80, TargetPort: intstr.FromString("main")})},
		"TargetTooHigh": {
			reason: "no such port", change: ports(corev1.ServicePort{Port: 80, TargetPort: intstr.FromInt32(65536)}),
			want: `Roles[0].Service.Ports[0].TargetPort: Invalid value: "65536": must be from 1 to 65535, or the name of a container's port`,
		},
		"AppProtocol": {
			reason: "it would not be kept", change: ports(corev1.ServicePort{Port: 1, AppProtocol: new("http")}),
			want: "Roles[0].Service.Ports[0]: Forbidden: NodePort would be the same in every job, and AppProtocol is not kept: leave both empty",
		},
		"NumberedName": {
			reason: "a numbered pod has another name", change: func(k *jobkit.Kind) { k.Roles = append(k.Roles, jobkit.Role{Type: "Head-Svc"}) },
		},
		"OtherName": {
			reason: "nor has one of another type", change: func(k *jobkit.Kind) {
				k.Roles = append(k.Roles, jobkit.Role{Type: "Tail-Svc", Unnumbered: true, Max: 1})
			},
		},
		"Type": {
			reason: "it would lead nowhere", change: func(k *jobkit.Kind) { k.Roles[0].Service.Type = corev1.ServiceTypeExternalName },
			want: `Roles[0].Service.Type: Unsupported value: "ExternalName"`,
		},
		"NoPorts": {
			reason: "an ordinary service has a port", change: func(k *jobkit.Kind) { k.PortName, k.PortNumber = "", 0 },
			want: "Roles[0].Service.Ports: Required value: the main container need not have a port: name the ports, or set PortName of the kind",
		},
		"TooMany": {reason: "the cache holds as many", change: ports(make([]corev1.ServicePort, 17)...), want: "Roles[0].Service.Ports: Too many: 17: must have at most 16 items"},
		"NoName":  {reason: "the API server wants it", change: ports(corev1.ServicePort{Name: "a", Port: 1}, corev1.ServicePort{Port: 2}), want: "Roles[0].Service.Ports[1].Name: Required value: there are several ports: name each"},
		"BadName": {reason: "the API server refuses it", change: ports(corev1.ServicePort{Name: "A", Port: 1}), want: `Roles[0].Service.Ports[0].Name: Invalid value: "A"`},
		"OneName": {reason: "the API server refuses it", change: ports(corev1.ServicePort{Name: "a", Port: 1}, corev1.ServicePort{Name: "a", Port: 2}), want: `Roles[0].Service.Ports[1].Name: Duplicate value: "a"`},
		"OnePort": {reason: "the API server refuses it", change: ports(corev1.ServicePort{Name: "a", Port: 1}, corev1.ServicePort{Name: "b", Port: 1, Protocol: "TCP"}), want: "Roles[0].Service.Ports[1].Port: Duplicate value: 1"},
		"Port":    {reason: "no such port", change: ports(corev1.ServicePort{}), want: "Roles[0].Service.Ports[0].Port: Invalid value: 0: must be from 1 to 65535"},
		"Protocol": {
			reason: "no such protocol", change: ports(corev1.ServicePort{Port: 1, Protocol: "tcp"}), want: `Roles[0].Service.Ports[0].Protocol: Unsupported value: "tcp"`,
		},
		"Target": {
			reason: "no container can have such a port", change: ports(corev1.ServicePort{Port: 1, TargetPort: intstr.FromString("Main")}),
			want: `Roles[0].Service.Ports[0].TargetPort: Invalid value: "Main": must be from 1 to 65535, or the name of a container's port`,
		},
		"NodePort": {
			reason: "two jobs could not have it", change: ports(corev1.ServicePort{Port: 1, NodePort: 30000}),
			want: "Roles[0].Service.Ports[0]: Forbidden: NodePort would be the same in every job, and AppProtocol is not kept: leave both empty",
		},
		"Name": {
			reason: "the pod's service could not be made", change: func(k *jobkit.Kind) {
				k.Roles = append(k.Roles, jobkit.Role{Type: "Head-Svc", Unnumbered: true, Max: 1})
			},
			want: `Roles[0].Service: Invalid value: "Head": the service gets the name of the one that the pod of Head-Svc (Roles[1]) can have: rename that type, or have it numbered`,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			k := jobkit.Kind{Name: "HeadJob", ContainerName: "main", PortName: "port", PortNumber: 80, Roles: []jobkit.Role{{Type: "Head", Service: &jobkit.RoleService{}}}}
			k.SetDefaults()
			tc.change(&k)
			got := ""
			if errs := plan.ValidateKind(&k); len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
				t.Errorf("%s: got %q, want %q", tc.reason, got, tc.want)
			}
		})
	}
}
