package operators_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/operators/internal/optest"
	"github.com/jobkit/jobkit/operators/jaxjob"
	"github.com/jobkit/jobkit/operators/mpijob"
	"github.com/jobkit/jobkit/operators/paddlejob"
	"github.com/jobkit/jobkit/operators/pytorchjob"
	"github.com/jobkit/jobkit/operators/tfjob"
	"github.com/jobkit/jobkit/operators/xgboostjob"
)

// references is a case of TestReferences.
type references struct {
	// pod is the one that is checked, and names the operator's variables in it.
	pod   string
	names []string
	// render makes the objects of a job of the kind whose containers are as given.
	render func(t *testing.T, container string) []client.Object
}

// TestReferences is row 105 of docs/maintainers/known-bugs.md: a variable, a command or an argument
// of a template can refer to any variable of the operator, as $(NAME), whether or not the
// template also sets that variable.
func TestReferences(t *testing.T) {
	for kind, tc := range map[string]references{
		"TFJob": {
			pod: "job-worker-0", names: []string{"TF_CONFIG"},
			render: rendering(tfjob.Controller{}, `tfReplicaSpecs: {PS: TEMPLATE, Worker: TEMPLATE}`, "tensorflow"),
		},
		"PyTorchJob": {
			pod: "job-worker-0",
			names: []string{
				"MASTER_ADDR", "MASTER_PORT", "PET_MASTER_ADDR", "PET_MASTER_PORT", "PET_NNODES", "PET_NODE_RANK", "RANK", "WORLD_SIZE",
			},
			render: rendering(pytorchjob.Controller{}, `pytorchReplicaSpecs: {Master: TEMPLATE, Worker: TEMPLATE}`, "pytorch"),
		},
		"MPIJob": {
			pod: "job-launcher", names: []string{"OMPI_MCA_orte_default_hostfile", "OMPI_MCA_plm_rsh_agent"},
			render: rendering(mpijob.Controller{}, `mpiReplicaSpecs: {Launcher: TEMPLATE, Worker: TEMPLATE}`, "mpi"),
		},
		"XGBoostJob": {
			pod: "job-master-0", names: []string{"MASTER_ADDR", "MASTER_PORT", "RANK", "WORKER_ADDRS", "WORKER_PORT", "WORLD_SIZE"},
			render: rendering(xgboostjob.Controller{}, `xgbReplicaSpecs: {Master: TEMPLATE, Worker: TEMPLATE}`, "xgboost"),
		},
		"PaddleJob": {
			pod: "job-worker-0", names: []string{"PADDLE_JOB_ID", "PADDLE_MASTER", "PADDLE_NNODES", "POD_IP_DUMMY"},
			render: rendering(paddlejob.Controller{}, `paddleReplicaSpecs: {Worker: TEMPLATE}`, "paddle"),
		},
		"JAXJob": {
			pod: "job-worker-0", names: []string{"COORDINATOR_ADDRESS", "COORDINATOR_PORT", "NUM_PROCESSES", "PROCESS_ID"},
			render: rendering(jaxjob.Controller{}, `jaxReplicaSpecs: {Worker: TEMPLATE}`, "jax"),
		},
	} {
		t.Run(kind, func(t *testing.T) {
			plain, _ := optest.Resolved(mainContainer(t, tc.render(t, ""), tc.pod))
			var want, text []string
			for _, name := range tc.names {
				want, text = append(want, plain[name]), append(text, "$("+name+")")
			}
			refers := fmt.Sprintf(`{name: ALL, value: '%s'}`, strings.Join(text, " "))
			for reason, env := range map[string]string{
				"the operator's variables come before the one that refers to them":       refers,
				"and take the place of the template's own":                               own(tc.names) + refers,
				"which may come too late for that":                                       refers + ", " + strings.TrimSuffix(own(tc.names), ", "),
				"a variable that nothing refers to makes no difference to those that do": "{name: A, value: a}, " + refers,
			} {
				container := fmt.Sprintf(`, env: [%s], command: ['%s'], args: ['%s']`, env, text[0], text[len(text)-1])
				c := mainContainer(t, tc.render(t, container), tc.pod)
				got, command := optest.Resolved(c)
				if diff := cmp.Diff(strings.Join(want, " "), got["ALL"]); diff != "" {
					t.Errorf("%s (-want +got):\n%s\n%v", reason, diff, c.Env)
				}
				if diff := cmp.Diff([]string{want[0], want[len(want)-1]}, command); diff != "" {
					t.Errorf("command and arguments (-want +got):\n%s", diff)
				}
				for _, name := range tc.names {
					if n := count(c.Env, name); n != 1 || got[name] != plain[name] {
						t.Errorf("%s: %s is set %d times and is %q, want it once, %q", reason, name, n, got[name], plain[name])
					}
				}
			}
		})
	}
}

// own are variables of a template, each with a value of its own.
func own(names []string) string {
	var out strings.Builder
	for _, name := range names {
		_, _ = fmt.Fprintf(&out, "{name: %s, value: mine}, ", name)
	}
	return out.String()
}

func count(env []corev1.EnvVar, name string) int {
	return len(slices.DeleteFunc(slices.Clone(env), func(v corev1.EnvVar) bool { return v.Name != name }))
}

// rendering makes the objects of jobs of a kind.
func rendering[T any, J interface {
	*T
	client.Object
}](author jobkit.ControllerInterface[J], specs, name string) func(*testing.T, string) []client.Object {
	return func(t *testing.T, container string) []client.Object {
		t.Helper()
		template := fmt.Sprintf(`{template: {spec: {containers: [{name: %s, image: x%s}]}}}`, name, container)
		manifest := "apiVersion: " + kubeflowv1.GroupVersion.String() + "\nmetadata: {name: job}\nspec: {" + strings.ReplaceAll(specs, "TEMPLATE", template) + "}"
		objects, err := jobtest.Render(author, optest.Scheme(t), J(optest.Job[T](t, manifest)))
		if err != nil {
			t.Fatal(err)
		}
		return objects
	}
}

// mainContainer is the first container of a pod.
func mainContainer(t *testing.T, objects []client.Object, pod string) *corev1.Container {
	t.Helper()
	for _, o := range objects {
		if p, ok := o.(*corev1.Pod); ok && p.Name == pod {
			return &p.Spec.Containers[0]
		}
	}
	t.Fatalf("there is no pod %s", pod)
	return nil
}
