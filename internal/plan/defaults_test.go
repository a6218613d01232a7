package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

func TestDefaultsOfAKind(t *testing.T) {
	cases := map[string]struct {
		reason     string
		kind, want jobkit.Kind
	}{
		"Nothing": {
			reason: "a kind needs only a name",
			kind:   jobkit.Kind{Name: "RunJob"},
			want: jobkit.Kind{
				Name: "RunJob", OperatorName: "runjob-controller", Framework: "run", ReplicaSpecsField: "replicaSpecs",
				RestartPolicy: "Never", CleanPodPolicy: "None", ServiceMode: "PerJob",
			},
		},
		"Everything": {
			reason: "what a kind says stays",
			kind:   jobkit.Kind{Name: "RunJob", OperatorName: "o", Framework: "f", ReplicaSpecsField: "r", RestartPolicy: "Always", CleanPodPolicy: "All", ServiceMode: "None"},
			want:   jobkit.Kind{Name: "RunJob", OperatorName: "o", Framework: "f", ReplicaSpecsField: "r", RestartPolicy: "Always", CleanPodPolicy: "All", ServiceMode: "None"},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.kind.SetDefaults()
			if diff := cmp.Diff(tc.want, tc.kind); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestDefaultsOfAJob(t *testing.T) {
	kind := jobkit.Kind{
		Name: "RunJob", RestartPolicy: "OnFailure", CleanPodPolicy: "All", ServiceMode: "PerReplica",
		Roles: []jobkit.Role{{Type: worker}, {Type: "Spare", Default: new(int32(0))}},
	}
	cases := map[string]struct {
		reason       string
		policy, want commonv1.RunPolicy
	}{
		"Nothing": {
			reason: "what the job leaves open is the kind's",
			want:   commonv1.RunPolicy{CleanPodPolicy: new(commonv1.CleanPodPolicyAll), ServiceMode: new(commonv1.ServiceModePerReplica)},
		},
		"Empty": {
			reason: "an empty policy is none",
			policy: commonv1.RunPolicy{CleanPodPolicy: new(commonv1.CleanPodPolicyUndefined)},
			want:   commonv1.RunPolicy{CleanPodPolicy: new(commonv1.CleanPodPolicyAll), ServiceMode: new(commonv1.ServiceModePerReplica)},
		},
		"Everything": {
			reason: "what the job says stays",
			policy: commonv1.RunPolicy{CleanPodPolicy: new(commonv1.CleanPodPolicyNone), ServiceMode: new(commonv1.ServiceModeNone)},
			want:   commonv1.RunPolicy{CleanPodPolicy: new(commonv1.CleanPodPolicyNone), ServiceMode: new(commonv1.ServiceModeNone)},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			plan.SetDefaults(&kind, &tc.policy, nil)
			if diff := cmp.Diff(tc.want, tc.policy); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}

	t.Run("Replicas", func(t *testing.T) {
		got := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
			worker: {}, "Spare": {}, "Unknown": {}, "Null": nil,
			"Own": {Replicas: new(int32(3)), RestartPolicy: "Never"},
		}
		want := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
			worker:    {Replicas: new(int32(1)), RestartPolicy: "OnFailure"},
			"Spare":   {Replicas: new(int32(0)), RestartPolicy: "OnFailure"},
			"Unknown": {Replicas: new(int32(1)), RestartPolicy: "OnFailure"},
			"Null":    nil,
			"Own":     {Replicas: new(int32(3)), RestartPolicy: "Never"},
		}
		plan.SetDefaults(&kind, &commonv1.RunPolicy{}, got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("one replica, or as many as the role says; what the job says stays (-want +got):\n%s", diff)
		}
	})
}

func TestDefaultPort(t *testing.T) {
	own := corev1.ContainerPort{Name: "grpc", ContainerPort: 1}
	other := corev1.ContainerPort{Name: "http", ContainerPort: 2}
	added := corev1.ContainerPort{Name: "grpc", ContainerPort: 2222}
	cases := map[string]struct {
		reason     string
		port       string
		network    bool
		policy     commonv1.RunPolicy
		containers []corev1.Container
		want       []corev1.Container
	}{
		"None": {
			reason:     "the main container gets the kind's port",
			port:       "grpc",
			containers: []corev1.Container{{Name: "sidecar"}, {Name: "main"}, {Name: "last"}},
			want:       []corev1.Container{{Name: "sidecar"}, {Name: "main", Ports: []corev1.ContainerPort{added}}, {Name: "last"}},
		},
		"Others": {
			reason:     "beside the ports that it has",
			port:       "grpc",
			containers: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{other}}},
			want:       []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{other, added}}},
		},
		"Own": {
			reason:     "unless it has one of the name",
			port:       "grpc",
			containers: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{other, own}}},
			want:       []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{other, own}}},
		},
		"Unnamed": {
			reason:     "also where that has its number",
			port:       "grpc",
			containers: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{{ContainerPort: 2222}}}},
			want:       []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{{ContainerPort: 2222}, added}}},
		},
		"Network": {
			reason: "on the network of a node there cannot be two of a number: the one without a name is the kind's",
			port:   "grpc", network: true,
			containers: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{other, {ContainerPort: 2222, Protocol: "TCP"}}}},
			want: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{
				other, {Name: "grpc", ContainerPort: 2222, Protocol: "TCP"},
			}}},
		},
		"NetworkNamed": {
			reason: "or one of another name, which stays",
			port:   "grpc", network: true,
			containers: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{{Name: "rdzv", ContainerPort: 2222}}}},
			want:       []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{{Name: "rdzv", ContainerPort: 2222}}}},
		},
		"NetworkUDP": {
			reason: "one of another protocol is another one",
			port:   "grpc", network: true,
			containers: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{{ContainerPort: 2222, Protocol: "UDP"}}}},
			want: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{
				{ContainerPort: 2222, Protocol: "UDP"}, added,
			}}},
		},
		"NetworkAllocated": {
			reason: "each gets a number of its own",
			port:   "grpc", network: true, policy: commonv1.RunPolicy{HostPorts: new(commonv1.HostPortsAllocate)},
			containers: []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{{ContainerPort: 2222}}}},
			want:       []corev1.Container{{Name: "main", Ports: []corev1.ContainerPort{{ContainerPort: 2222}, added}}},
		},
		"KindWithoutPort": {
			reason:     "a kind without a port adds none",
			containers: []corev1.Container{{Name: "main"}},
			want:       []corev1.Container{{Name: "main"}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			kind := jobkit.Kind{ContainerName: "main", PortName: tc.port, PortNumber: 2222}
			spec := &commonv1.ReplicaSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: tc.containers}}}
			spec.Template.Spec.HostNetwork = tc.network
			plan.SetDefaults(&kind, &tc.policy, map[commonv1.ReplicaType]*commonv1.ReplicaSpec{worker: spec})
			if diff := cmp.Diff(tc.want, spec.Template.Spec.Containers); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestWithoutDefaults: a job whose defaults were not set is one with the defaults.
func TestWithoutDefaults(t *testing.T) {
	m := newModel(workers(1))
	m.in.Replicas[worker].Replicas = nil
	m.in.Replicas[worker].RestartPolicy = ""
	m.in.RunPolicy = commonv1.RunPolicy{}
	m.in.Kind.ReplicaSpecsField = ""
	if errs := plan.Validate(&m.in); len(errs) > 0 {
		t.Fatal(errs)
	}
	m.reconcileUntilStable()
	if len(m.in.Pods) != 1 || len(m.in.Services) != 1 {
		t.Errorf("one replica and one service, got %d and %d", len(m.in.Pods), len(m.in.Services))
	}
	m.end(m.pod("worker-0"), 137)
	m.reconcileUntilStable()
	if m.in.Status.State != commonv1.JobFailed {
		t.Errorf("restart policy Never, the job is %s", m.in.Status.State)
	}
}
