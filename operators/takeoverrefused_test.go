package operators_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/operators/mpijob"
	"github.com/jobkit/jobkit/operators/paddlejob"
	"github.com/jobkit/jobkit/operators/pytorchjob"
	"github.com/jobkit/jobkit/operators/tfjob"
)

// goesOn takes over a job that runs, evicts one of its pods a minute later, and checks that it is replaced.
func goesOn[T any, J interface {
	*T
	jobkit.Object
}](author jobkit.ControllerInterface[J], kind, scheduler, manifest, victim string, pods map[string]commonv1.ReplicaType) func(*testing.T) {
	return func(t *testing.T) {
		p, job := takeOver(t, author, manifest, kind, scheduler, pods)
		p.createPods(corev1.PodRunning, corev1.RestartPolicyNever)
		if scheduler != "" {
			p.createGroup()
		}
		p.createOwned()
		p.writeStatus(author.Parts(job).Status, func(s *commonv1.ReplicaStatus) { s.Active++ },
			condition(commonv1.JobCreated, corev1.ConditionTrue, kind+" job is created."),
			condition(commonv1.JobRunning, corev1.ConditionTrue, kind+" job is running."))
		pod, name := &corev1.Pod{}, client.ObjectKey{Namespace: "default", Name: victim}
		p.w.At(time.Minute, "the node evicts "+victim, func(ctx context.Context, c client.Client) error {
			if err := c.Get(ctx, name, pod); err != nil {
				return err
			}
			pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Evicted"
			return c.Status().Update(ctx, pod)
		})
		if err := p.w.RunFor(t.Context(), 30*time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := p.w.Client().Get(t.Context(), name, pod); err != nil || pod.Status.Phase != corev1.PodRunning {
			t.Errorf("the evicted pod is replaced: %v, phase %s\n%s", err, pod.Status.Phase, p.w.Transcript())
		}
		if err := p.w.Client().Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
			t.Fatal(err)
		}
		if s := author.Parts(job).Status; s.State != commonv1.JobRunning || s.Restarts != 1 {
			t.Errorf("the job is %s after %d restarts, by %v", s.State, s.Restarts, s.Conditions)
		}
	}
}

// TestTakeOverOfWhatIsRefused: what is refused in a new job, and runs under training-operator v1, goes on.
func TestTakeOverOfWhatIsRefused(t *testing.T) {
	torch := func(policy string) string {
		return `{metadata: {name: job}, spec: {runPolicy: {` + policy + `}, pytorchReplicaSpecs:
			{Worker: {replicas: 2, restartPolicy: OnFailure, template: {spec: {containers: [{name: pytorch, image: x}]}}}}}}`
	}
	const tf = `template: {spec: {containers: [{name: tensorflow, image: x}]}}`
	long := func(name string) map[string]commonv1.ReplicaType {
		return map[string]commonv1.ReplicaType{name + "-launcher": "Launcher", name + "-worker-0": "Worker"}
	}
	mpi := func(name string) string {
		return `{metadata: {name: ` + name + `}, spec: {mpiReplicaSpecs: {Launcher: {template: {spec: {containers: [{name: mpi, image: x}]}}},
			Worker: {replicas: 1, restartPolicy: ExitCode, template: {spec: {containers: [{name: mpi, image: x}]}}}}}}`
	}
	longest := strings.Repeat("a", 63)
	for name, run := range map[string]func(*testing.T){
		"MPIJobOfALongName":  goesOn(mpijob.Controller{}, "MPIJob", "", mpi(longest), longest+"-worker-0", long(longest)),
		"MPIJobOfADottyName": goesOn(mpijob.Controller{}, "MPIJob", "", mpi("1st.job"), "1st.job-worker-0", long("1st.job")),
		"TwoChiefs": goesOn(tfjob.Controller{}, "TFJob", "", `{metadata: {name: job}, spec: {tfReplicaSpecs:
			{Chief: {replicas: 2, restartPolicy: ExitCode, `+tf+`}}}}`, "job-chief-1", names("Chief", 2)),
		"SuccessPolicy": goesOn(tfjob.Controller{}, "TFJob", "", `{metadata: {name: job}, spec: {successPolicy: allworkers, tfReplicaSpecs:
			{Worker: {replicas: 2, restartPolicy: ExitCode, `+tf+`}}}}`, "job-worker-1", names("Worker", 2)),
		"ElasticPolicy": goesOn(paddlejob.Controller{}, "PaddleJob", "", `{metadata: {name: job}, spec: {elasticPolicy: {minReplicas: 4, maxReplicas: 2},
			paddleReplicaSpecs: {Worker: {replicas: 2, template: {spec: {containers: [{name: paddle, image: x}]}}}}}}`, "job-worker-1", names("Worker", 2)),
		"CleanPodPolicy": goesOn(pytorchjob.Controller{}, "PyTorchJob", "", torch("cleanPodPolicy: all"), "job-worker-1", names("Worker", 2)),
		"TTL":            goesOn(pytorchjob.Controller{}, "PyTorchJob", "", torch("ttlSecondsAfterFinished: -1"), "job-worker-1", names("Worker", 2)),
		"MinAvailable":   goesOn(pytorchjob.Controller{}, "PyTorchJob", "volcano", torch("schedulingPolicy: {minAvailable: 0}"), "job-worker-1", names("Worker", 2)),
		"NameTooLongForServices": goesOn(pytorchjob.Controller{}, "PyTorchJob", "", strings.Replace(torch(""), "name: job", "name: "+longest, 1),
			longest+"-worker-1", map[string]commonv1.ReplicaType{longest + "-worker-0": "Worker", longest + "-worker-1": "Worker"}),
	} {
		t.Run(name, run)
	}
}
