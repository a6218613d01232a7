//go:build linux && nodes

package nodes

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

const (
	replicaScope, jobScope = "Replica", "Job"

	never, onFailure = commonv1.RestartPolicyNever, commonv1.RestartPolicyOnFailure
	always, exitCode = commonv1.RestartPolicyAlways, commonv1.RestartPolicyExitCode
)

// TestKinds runs a job of each kind to its end: its processes find each other by the
// environment that the kind sets.
func TestKinds(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{tfJob, pytorchJob, xgboostJob, paddleJob, jaxJob, mpiJob} {
		t.Run(k.word, func(t *testing.T) {
			t.Parallel()
			j := submit(t, settings{kind: k, policy: never, steps: 10})
			s := j.finish(commonv1.JobSucceeded)
			if s.Restarts != 0 || s.Attempt != 0 {
				t.Errorf("%d restarts, attempt %d", s.Restarts, s.Attempt)
			}
			j.complete()
		})
	}
}

// TestDNS runs jobs whose name server has a cache: also that a name does not exist yet, or
// that it has the address of the previous pod, is cached for up to 30 s.
func TestDNS(t *testing.T) {
	t.Parallel()
	for _, k := range []kind{pytorchJob, jaxJob, tfJob} {
		t.Run(k.word, func(t *testing.T) {
			t.Parallel()
			submitted := time.Now()
			j := submit(t, settings{kind: k, policy: never, steps: 10, dns: CachedDNS, runPolicy: map[string]any{"serviceMode": "PerJob"}})
			j.finish(commonv1.JobSucceeded)
			j.complete()
			j.recovery("the job was submitted, with a DNS cache", submitted)
		})
	}
	t.Run("Restart", func(t *testing.T) {
		t.Parallel()
		j := submit(t, settings{kind: pytorchJob, policy: exitCode, steps: 40, peers: "1", dns: CachedDNS, runPolicy: map[string]any{"restartScope": jobScope}})
		j.stepped(6)
		killed := time.Now()
		if n := Kill(j.pods()["master-0"], program); n != 1 {
			t.Fatalf("%d processes were killed", n)
		}
		s := j.finish(commonv1.JobSucceeded)
		if s.Restarts != 1 || s.Attempt != 1 {
			t.Errorf("%d restarts, attempt %d, want one of each", s.Restarts, s.Attempt)
		}
		j.complete()
		j.recovery("kill -9 of the Master, with a DNS cache", killed)
	})
}

// TestKilled sends SIGKILL to one replica's process under each restart policy and scope.
func TestKilled(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		reason   string
		policy   commonv1.RestartPolicy
		scope    string
		victim   string
		peers    string
		end      commonv1.JobConditionType
		restarts int32
		attempt  int32
		// recreated are the pods that are new in the end.
		recreated []string
		// inPlace: the kubelet has restarted the container.
		inPlace bool
	}{
		"NeverReplica":       {"nothing restarts", never, replicaScope, "worker-1", "wait", commonv1.JobFailed, 0, 0, nil, false},
		"NeverJob":           {"nothing restarts", never, jobScope, "worker-1", "wait", commonv1.JobFailed, 0, 0, nil, false},
		"OnFailureReplica":   {"the kubelet restarts the container", onFailure, replicaScope, "worker-1", "wait", commonv1.JobSucceeded, 1, 0, nil, true},
		"AlwaysReplica":      {"the kubelet restarts the container", always, replicaScope, "worker-1", "wait", commonv1.JobSucceeded, 1, 0, nil, true},
		"ExitCodeReplica":    {"137 is retryable, so the pod is recreated", exitCode, replicaScope, "worker-1", "wait", commonv1.JobSucceeded, 1, 0, []string{"worker-1"}, false},
		"ExitCodeReplicaOne": {"the Master is no exception", exitCode, replicaScope, "master-0", "wait", commonv1.JobSucceeded, 1, 0, []string{"master-0"}, false},
		"OnFailureJob":       {"the others fail with it, which counts once", onFailure, jobScope, "worker-1", "1", commonv1.JobSucceeded, 1, 1, []string{"master-0", "worker-0", "worker-1"}, false},
		"AlwaysJob":          {"the others wait, and restart all the same", always, jobScope, "worker-1", "wait", commonv1.JobSucceeded, 1, 1, []string{"master-0", "worker-0", "worker-1"}, false},
		"ExitCodeJob":        {"that the others exit with 1, which is permanent, is a consequence", exitCode, jobScope, "worker-1", "1", commonv1.JobSucceeded, 1, 1, []string{"master-0", "worker-0", "worker-1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := settings{kind: pytorchJob, policy: tt.policy, steps: 40, peers: tt.peers, runPolicy: map[string]any{"restartScope": tt.scope}}
			if tt.policy == always && tt.scope == replicaScope {
				// A container that is restarted after success too ends when the Master does.
				s.policies, s.stay = map[commonv1.ReplicaType]commonv1.RestartPolicy{"Master": onFailure}, "Worker"
			}
			j := submit(t, s)
			j.stepped(6)
			before := j.pods()
			killed := time.Now()
			if n := Kill(before[tt.victim], program); n != 1 {
				t.Fatalf("%d processes were killed", n)
			}
			status := j.finish(tt.end)
			if status.Restarts != tt.restarts || status.Attempt != tt.attempt {
				t.Errorf("%s: %d restarts and attempt %d, want %d and %d", tt.reason, status.Restarts, status.Attempt, tt.restarts, tt.attempt)
			}
			if tt.end == commonv1.JobFailed {
				return
			}
			j.complete()
			j.recovery("kill -9, "+string(tt.policy)+", "+tt.scope, killed)
			if diff := cmp.Diff(tt.recreated, j.recreated(before)); diff != "" {
				t.Errorf("%s: recreated pods (-want +got):\n%s", tt.reason, diff)
			}
			if restarted := j.pods()[tt.victim].Status.ContainerStatuses[0].RestartCount == 1; restarted != tt.inPlace {
				t.Errorf("%s: restarted in place is %t", tt.reason, restarted)
			}
		})
	}
}

// TestEnds has processes that exit, or run until they are stopped.
func TestEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		reason, command string
		policy          commonv1.RestartPolicy
		runPolicy       map[string]any
		end             commonv1.JobConditionType
		restarts        int32
		condition       string
	}{
		"Permanent": {"3 is a permanent error", "exit 3", exitCode, nil, commonv1.JobFailed, 0, "PyTorchJobFailed"},
		"Retryable": {"130 is a retryable one", "exit 130", exitCode, nil, commonv1.JobSucceeded, 1, "PyTorchJobSucceeded"},
		"Crash":     {"a panic is an error as any other", "crash", onFailure, nil, commonv1.JobSucceeded, 1, "PyTorchJobSucceeded"},
		"Hang":      {"only the deadline ends what hangs", "hang", onFailure, map[string]any{"activeDeadlineSeconds": int64(20)}, commonv1.JobFailed, 0, "PyTorchJobFailed"},
		"Limit":     {"no restart is allowed", "crash", exitCode, map[string]any{"backoffLimit": int64(0)}, commonv1.JobFailed, 0, "PyTorchJobFailed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := submit(t, settings{kind: pytorchJob, policy: tt.policy, steps: 30, runPolicy: tt.runPolicy})
			j.stepped(2)
			j.order("worker-0", tt.command)
			s := j.finish(tt.end)
			if s.Restarts != tt.restarts {
				t.Errorf("%s: %d restarts, want %d", tt.reason, s.Restarts, tt.restarts)
			}
			if c := s.Conditions[len(s.Conditions)-1]; c.Reason != tt.condition {
				t.Errorf("%s: the last condition is %+v", tt.reason, c)
			}
		})
	}
}

// TestDeleted deletes the pod of a Worker, as its user may: that is not a failure.
func TestDeleted(t *testing.T) {
	t.Parallel()
	for scope, attempt := range map[string]int32{replicaScope: 0, jobScope: 1} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			j := submit(t, settings{kind: pytorchJob, policy: exitCode, steps: 40, runPolicy: map[string]any{"restartScope": scope}})
			j.stepped(6)
			deleted := time.Now()
			before := j.pods()
			if err := world.client.Delete(t.Context(), before["worker-0"]); err != nil {
				t.Fatal(err)
			}
			s := j.finish(commonv1.JobSucceeded)
			if s.Restarts != 0 || s.Attempt != attempt {
				t.Errorf("%d restarts and attempt %d, want 0 and %d", s.Restarts, s.Attempt, attempt)
			}
			j.complete()
			j.recovery("a pod was deleted, "+scope, deleted)
			if j.pods()["worker-0"].UID == before["worker-0"].UID {
				t.Error("the pod is the same")
			}
		})
	}
}

// TestLauncher: the launcher of an MPIJob starts when its Workers are ready, reaches them
// by "kubectl exec", and starts again when one of their processes is killed.
func TestLauncher(t *testing.T) {
	t.Parallel()
	t.Run("Order", func(t *testing.T) {
		t.Parallel()
		j := submit(t, settings{kind: mpiJob, policy: never, steps: 5, change: func(replica commonv1.ReplicaType, pod *corev1.PodSpec) {
			if replica == "Worker" {
				pod.InitContainers = []corev1.Container{{Name: "slow", Image: ProgramImage, Command: []string{"sleep", "5"}}}
			}
		}})
		s := j.finish(commonv1.JobSucceeded)
		if s.Restarts != 0 {
			t.Errorf("%d restarts", s.Restarts)
		}
		j.complete()
		pods := j.pods()
		for name, p := range pods {
			i := slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
			if strings.HasPrefix(name, "worker") && pods["launcher"].CreationTimestamp.Before(&p.Status.Conditions[i].LastTransitionTime) {
				t.Errorf("the launcher was created before %s was ready", name)
			}
		}
	})
	t.Run("Killed", func(t *testing.T) {
		t.Parallel()
		j := submit(t, settings{kind: mpiJob, policy: onFailure, steps: 40, peers: "1"})
		j.stepped(6)
		killed := time.Now()
		if n := Kill(j.pods()["worker-1"], program); n != 1 {
			t.Fatalf("%d processes were killed", n)
		}
		s := j.finish(commonv1.JobSucceeded)
		if s.Restarts != 1 {
			t.Errorf("%d restarts, want 1", s.Restarts)
		}
		j.complete()
		j.recovery("kill -9 of an MPI process", killed)
	})
}

// TestLogs reads what a process printed, from its node.
func TestLogs(t *testing.T) {
	t.Parallel()
	j := submit(t, settings{kind: jaxJob, policy: never, steps: 5})
	j.finish(commonv1.JobSucceeded)
	for name, p := range j.pods() {
		log, err := world.core.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(t.Context())
		if err != nil || !strings.Contains(string(log), " done 5\n") {
			t.Errorf("%s: %v, %s", name, err, log)
		}
	}
}
