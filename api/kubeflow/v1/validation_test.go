package v1_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
)

// runs is a replica spec with a container of each name.
func runs(names ...string) *commonv1.ReplicaSpec {
	spec := &commonv1.ReplicaSpec{}
	for _, name := range names {
		spec.Template.Spec.Containers = append(spec.Template.Spec.Containers, corev1.Container{Name: name, Image: "busybox"})
	}
	return spec
}

// imageless is a replica spec whose container has no image, nor has its init
// container.
func imageless(name string) *commonv1.ReplicaSpec {
	return &commonv1.ReplicaSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "init"}},
		Containers:     []corev1.Container{{Name: "sidecar", Image: "busybox"}, {Name: name}},
	}}}
}

func managedBy(by string) commonv1.RunPolicy { return commonv1.RunPolicy{ManagedBy: &by} }

// checkErrors compares errors with what they should say.
func checkErrors(t *testing.T, reason string, got field.ErrorList, want ...string) {
	t.Helper()
	var said []string
	for _, err := range got {
		said = append(said, err.Error())
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("%s: -want +got\n%s", reason, diff)
	}
}

const unknownManager = `spec.runPolicy.managedBy: Unsupported value: "me": supported values: "kubeflow.org/training-operator", "kueue.x-k8s.io/multikueue"`

func TestValidateTFJob(t *testing.T) {
	for _, tc := range []struct {
		reason string
		spec   kubeflowv1.TFJobSpec
		want   []string
	}{
		{reason: "an empty job has no mistakes that are particular to the kind"},
		{
			reason: "every type at once, and null (rows 71, 76)",
			spec: kubeflowv1.TFJobSpec{
				SuccessPolicy:  new(kubeflowv1.SuccessPolicyAllWorkers),
				TFReplicaSpecs: kubeflowv1.ReplicaSpecs{"Chief": runs("tensorflow"), "worker": runs("tensorflow"), "PS": nil, "Evaluator": {}},
			},
		},
		{
			reason: "an empty managedBy is none (row 72)",
			spec:   kubeflowv1.TFJobSpec{RunPolicy: managedBy("")},
		},
		{
			reason: "Kueue's is known",
			spec:   kubeflowv1.TFJobSpec{RunPolicy: managedBy("kueue.x-k8s.io/multikueue")},
		},
		{
			reason: "another controller is not known",
			spec:   kubeflowv1.TFJobSpec{RunPolicy: managedBy("me")},
			want:   []string{unknownManager},
		},
		{
			reason: "a misspelled policy would be ignored",
			spec:   kubeflowv1.TFJobSpec{SuccessPolicy: new(kubeflowv1.SuccessPolicy("allworkers"))},
			want:   []string{`spec.successPolicy: Unsupported value: "allworkers": supported values: "", "AllWorkers"`},
		},
		{
			reason: "one role under two names",
			spec:   kubeflowv1.TFJobSpec{TFReplicaSpecs: kubeflowv1.ReplicaSpecs{"chief": runs("tensorflow"), "Master": runs("tensorflow")}},
			want:   []string{"spec.tfReplicaSpecs[Master]: Forbidden: Chief and Master are two names of one role, of which a TFJob has one replica: remove one of them"},
		},
		{
			reason: "several of the one that there is",
			spec: kubeflowv1.TFJobSpec{TFReplicaSpecs: kubeflowv1.ReplicaSpecs{
				"chief": {Replicas: new(int32(2)), Template: runs("tensorflow").Template}, "Worker": {Replicas: new(int32(2)), Template: runs("tensorflow").Template},
			}},
			want: []string{"spec.tfReplicaSpecs[Chief].replicas: Invalid value: 2: a TFJob has at most one Chief: set it to 1"},
		},
		{
			reason: "a container without an image, in a stable order",
			spec:   kubeflowv1.TFJobSpec{TFReplicaSpecs: kubeflowv1.ReplicaSpecs{"Worker": imageless("tensorflow"), "PS": imageless("tensorflow")}},
			want: []string{
				`spec.tfReplicaSpecs[PS].template.spec.initContainers[0].image: Required value: container "init" has none: name one`,
				`spec.tfReplicaSpecs[PS].template.spec.containers[1].image: Required value: container "tensorflow" has none: name one`,
				`spec.tfReplicaSpecs[Worker].template.spec.initContainers[0].image: Required value: container "init" has none: name one`,
				`spec.tfReplicaSpecs[Worker].template.spec.containers[1].image: Required value: container "tensorflow" has none: name one`,
			},
		},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			checkErrors(t, tc.reason, kubeflowv1.ValidateTFJob(&kubeflowv1.TFJob{Spec: tc.spec}), tc.want...)
		})
	}
}

func TestValidatePyTorchJob(t *testing.T) {
	type elastic = kubeflowv1.ElasticPolicy
	workers := kubeflowv1.ReplicaSpecs{"Worker": runs("pytorch")}
	for _, tc := range []struct {
		reason string
		spec   kubeflowv1.PyTorchJobSpec
		want   []string
	}{
		{reason: "an empty job has no mistakes that are particular to the kind"},
		{
			reason: "elastic Workers in any letter case, with an empty rdzvConf (row 75)",
			spec: kubeflowv1.PyTorchJobSpec{
				ElasticPolicy:       &elastic{MinReplicas: new(int32(1)), MaxReplicas: new(int32(1)), RDZVConf: []kubeflowv1.RDZVConf{}},
				PyTorchReplicaSpecs: kubeflowv1.ReplicaSpecs{"wORKER": runs("pytorch")},
			},
		},
		{
			reason: "nothing to scale (row 75)",
			spec: kubeflowv1.PyTorchJobSpec{
				ElasticPolicy:       &elastic{},
				PyTorchReplicaSpecs: kubeflowv1.ReplicaSpecs{"Master": runs("pytorch"), "Worker": nil},
			},
			want: []string{"spec.elasticPolicy: Forbidden: it scales Workers, and the job has none: add Worker to spec.pytorchReplicaSpecs, or remove elasticPolicy"},
		},
		{
			reason: "limits the wrong way round",
			spec: kubeflowv1.PyTorchJobSpec{
				ElasticPolicy:       &elastic{MinReplicas: new(int32(4)), MaxReplicas: new(int32(3))},
				PyTorchReplicaSpecs: workers,
			},
			want: []string{"spec.elasticPolicy.minReplicas: Invalid value: 4: is more than maxReplicas, 3: lower it, or raise maxReplicas"},
		},
		{
			reason: "numbers out of bounds, past the schema",
			spec: kubeflowv1.PyTorchJobSpec{
				ElasticPolicy: &elastic{
					MinReplicas: new(int32(0)), MaxReplicas: new(int32(0)), MaxRestarts: new(int32(-1)), RDZVPort: new(int32(70000)),
				},
				PyTorchReplicaSpecs: workers,
			},
			want: []string{
				"spec.elasticPolicy.minReplicas: Invalid value: 0: must be 1 or more",
				"spec.elasticPolicy.maxReplicas: Invalid value: 0: must be 1 or more",
				"spec.elasticPolicy.maxRestarts: Invalid value: -1: must be 0 or more",
				"spec.elasticPolicy.rdzvPort: Invalid value: 70000: must be from 0 to 65535",
			},
		},
		{
			reason: "the number of processes twice",
			spec: kubeflowv1.PyTorchJobSpec{
				NprocPerNode:        new("auto"),
				ElasticPolicy:       &elastic{NProcPerNode: new(int32(2))},
				PyTorchReplicaSpecs: workers,
			},
			want: []string{`spec.elasticPolicy.nProcPerNode: Forbidden: it is 2 and spec.nprocPerNode is "auto", which says the same: remove this one, it is deprecated`},
		},
		{
			reason: "another controller, and no image",
			spec:   kubeflowv1.PyTorchJobSpec{RunPolicy: managedBy("me"), PyTorchReplicaSpecs: kubeflowv1.ReplicaSpecs{"Master": imageless("pytorch")}},
			want: []string{
				unknownManager,
				`spec.pytorchReplicaSpecs[Master].template.spec.initContainers[0].image: Required value: container "init" has none: name one`,
				`spec.pytorchReplicaSpecs[Master].template.spec.containers[1].image: Required value: container "pytorch" has none: name one`,
			},
		},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			checkErrors(t, tc.reason, kubeflowv1.ValidatePyTorchJob(&kubeflowv1.PyTorchJob{Spec: tc.spec}), tc.want...)
		})
	}
}

func TestValidateMPIJob(t *testing.T) {
	worker := func(n int32, names ...string) *commonv1.ReplicaSpec {
		spec := runs(names...)
		spec.Replicas = &n
		return spec
	}
	for _, tc := range []struct {
		reason string
		spec   kubeflowv1.MPIJobSpec
		want   []string
	}{
		{reason: "an empty job has no mistakes that are particular to the kind (row 77)"},
		{
			reason: "the main container exists",
			spec: kubeflowv1.MPIJobSpec{
				MainContainer:   "mpi",
				MPIReplicaSpecs: kubeflowv1.ReplicaSpecs{"Launcher": runs("mpi"), "worker": worker(2, "sidecar", "mpi")},
			},
		},
		{
			reason: "no Worker, nothing to look for",
			spec:   kubeflowv1.MPIJobSpec{MainContainer: "main", MPIReplicaSpecs: kubeflowv1.ReplicaSpecs{"Launcher": runs("mpi"), "Worker": worker(0, "mpi")}},
		},
		{
			reason: "the launcher would look for a container that is not there",
			spec:   kubeflowv1.MPIJobSpec{MainContainer: "main", MPIReplicaSpecs: kubeflowv1.ReplicaSpecs{"Launcher": runs("mpi"), "Worker": worker(1, "mpi", "ssh")}},
			want:   []string{`spec.mainContainer: Invalid value: "main": Worker has no container of that name, it has "mpi", "ssh": name one of them`},
		},
		{
			reason: "a number out of bounds, past the schema; another controller; no image",
			spec: kubeflowv1.MPIJobSpec{
				SlotsPerWorker: new(int32(-1)), RunPolicy: managedBy("me"),
				MPIReplicaSpecs: kubeflowv1.ReplicaSpecs{"Launcher": imageless("mpi")},
			},
			want: []string{
				unknownManager,
				"spec.slotsPerWorker: Invalid value: -1: must be 0 or more",
				`spec.mpiReplicaSpecs[Launcher].template.spec.initContainers[0].image: Required value: container "init" has none: name one`,
				`spec.mpiReplicaSpecs[Launcher].template.spec.containers[1].image: Required value: container "mpi" has none: name one`,
			},
		},
		{
			reason: "a misspelled policy is refused, with the list of valid ones",
			spec:   kubeflowv1.MPIJobSpec{LauncherCreationPolicy: new(kubeflowv1.LauncherCreationPolicy("Later"))},
			want:   []string{`spec.launcherCreationPolicy: Unsupported value: "Later": supported values: "AtStartup", "WaitForWorkersReady"`},
		},
		{
			reason: "both are known",
			spec:   kubeflowv1.MPIJobSpec{LauncherCreationPolicy: new(kubeflowv1.LauncherCreationWaitForWorkersReady)},
		},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			checkErrors(t, tc.reason, kubeflowv1.ValidateMPIJob(&kubeflowv1.MPIJob{Spec: tc.spec}), tc.want...)
		})
	}
}

func TestValidatePaddleJob(t *testing.T) {
	for _, tc := range []struct {
		reason string
		spec   kubeflowv1.PaddleJobSpec
		want   []string
	}{
		{reason: "an empty job has no mistakes that are particular to the kind"},
		{
			reason: "elastic Workers",
			spec: kubeflowv1.PaddleJobSpec{
				ElasticPolicy:      &kubeflowv1.PaddleElasticPolicy{MinReplicas: new(int32(1)), MaxReplicas: new(int32(2))},
				PaddleReplicaSpecs: kubeflowv1.ReplicaSpecs{"Worker": runs("paddle")},
			},
		},
		{
			reason: "nothing to scale, and the limits the wrong way round",
			spec: kubeflowv1.PaddleJobSpec{
				ElasticPolicy:      &kubeflowv1.PaddleElasticPolicy{MinReplicas: new(int32(3)), MaxReplicas: new(int32(2)), MaxRestarts: new(int32(-1))},
				PaddleReplicaSpecs: kubeflowv1.ReplicaSpecs{"Master": runs("paddle")},
			},
			want: []string{
				"spec.elasticPolicy: Forbidden: it scales Workers, and the job has none: add Worker to spec.paddleReplicaSpecs, or remove elasticPolicy",
				"spec.elasticPolicy.maxRestarts: Invalid value: -1: must be 0 or more",
				"spec.elasticPolicy.minReplicas: Invalid value: 3: is more than maxReplicas, 2: lower it, or raise maxReplicas",
			},
		},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			checkErrors(t, tc.reason, kubeflowv1.ValidatePaddleJob(&kubeflowv1.PaddleJob{Spec: tc.spec}), tc.want...)
		})
	}
}

// TestValidateTheRest: XGBoostJob and JAXJob have no rules but those that all kinds
// have.
func TestValidateTheRest(t *testing.T) {
	const noImage = "].template.spec.containers[1].image: Required value: container "
	xgb := &kubeflowv1.XGBoostJob{Spec: kubeflowv1.XGBoostJobSpec{XGBReplicaSpecs: kubeflowv1.ReplicaSpecs{"Master": nil, "Worker": runs("xgboost")}}}
	checkErrors(t, "an XGBoostJob whose Master is null (row 76) is refused by the rules of all kinds", kubeflowv1.ValidateXGBoostJob(xgb))
	jax := &kubeflowv1.JAXJob{}
	checkErrors(t, "a JAXJob without Worker (row 76) is refused by the rules of all kinds", kubeflowv1.ValidateJAXJob(jax))

	xgb.Spec.RunPolicy, jax.Spec.RunPolicy = managedBy("me"), managedBy("me")
	checkErrors(t, "another controller is not known", kubeflowv1.ValidateXGBoostJob(xgb), unknownManager)
	checkErrors(t, "another controller is not known to JAXJobs either", kubeflowv1.ValidateJAXJob(jax), unknownManager)

	xgb.Spec.XGBReplicaSpecs["Worker"] = imageless("xgboost")
	jax.Spec.JAXReplicaSpecs = kubeflowv1.ReplicaSpecs{"Worker": imageless("jax")}
	for kind, errs := range map[string]field.ErrorList{
		"XGBoostJob": kubeflowv1.ValidateXGBoostJob(xgb), "JAXJob": kubeflowv1.ValidateJAXJob(jax),
	} {
		if len(errs) != 3 || !strings.Contains(errs[2].Error(), noImage) {
			t.Errorf("%s: a container without an image is refused: %v", kind, errs)
		}
	}
}
