package plan_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// waitingStatus is the status of a container that waits.
func waitingStatus(name, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: name, Image: "train:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
	}
}

// exitedWith is how a container ended.
func exitedWith(code int32) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: "Error"}}
}

// bound gives a pod a node, and the statuses of its containers.
func bound(p *corev1.Pod, inits []corev1.ContainerStatus, containers ...corev1.ContainerStatus) {
	p.Spec.NodeName, p.Status.Conditions = "node-7", nil
	p.Status.InitContainerStatuses, p.Status.ContainerStatuses = inits, containers
}

// ready sets what the kubelet says of a pod before it makes its containers.
func ready(p *corev1.Pod, status corev1.ConditionStatus) {
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReadyToStartContainers, Status: status}}
}

// startsOf is what a job says of its pods that do not start.
func startsOf(m *model) string {
	c := m.in.Status.Condition(commonv1.JobStalled)
	if c == nil {
		return ""
	}
	return strings.TrimPrefix(c.Reason+": "+c.Message, "TestJobPodsNotStarting: TestJob ns/job waits for ")
}

// TestPodsThatDoNotStart: 30 seconds after pods were created, the job says why they do not
// start, from what the pods themselves say.
func TestPodsThatDoNotStart(t *testing.T) {
	const first = "2 of 2 pods to start, the first of them job-worker-0: "
	running := corev1.ContainerStatus{Name: "setup", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}
	done := corev1.ContainerStatus{Name: "first", State: exitedWith(0)}
	for name, tc := range map[string]struct {
		reason string
		set    func(*model, *corev1.Pod)
		after  time.Duration // 30 seconds if 0
		want   string        // "" if the job is not stalled
	}{
		"NoScheduler": {"nothing looks at the pod", func(*model, *corev1.Pod) {}, 0, first + "no scheduler takes it up"},
		"Unschedulable": {
			"the scheduler's words", func(m *model, _ *corev1.Pod) { unschedulable(m, "worker-0", "0/3 nodes are available.") }, 0,
			first + "the scheduler finds no node for it: 0/3 nodes are available.",
		},
		"Unheard": {"the kubelet is silent", func(_ *model, p *corev1.Pod) { bound(p, nil) }, 0, first + "node node-7 does not take it up"},
		"Pull": {
			"image and container are named", func(_ *model, p *corev1.Pod) { bound(p, nil, waitingStatus("main", "ErrImagePull", "not found")) }, 0,
			first + `image "train:1" of container main cannot be pulled: not found`,
		},
		"PullBackOff": {
			"as is said between two tries", func(_ *model, p *corev1.Pod) {
				bound(p, nil, waitingStatus("main", "ImagePullBackOff", `Back-off pulling image "train:1": ErrImagePull: not found`))
			}, 0,
			first + `image "train:1" of container main cannot be pulled: not found`,
		},
		"PullBackOffOfOld": {
			"older kubelets say no more", func(_ *model, p *corev1.Pod) {
				bound(p, nil, waitingStatus("main", "ImagePullBackOff", `Back-off pulling image "train:1"`))
			}, 0,
			first + `image "train:1" of container main cannot be pulled`,
		},
		"ImageName": {
			"the name is wrong", func(_ *model, p *corev1.Pod) {
				bound(p, nil, waitingStatus("main", "InvalidImageName", `couldn't parse image name`))
			}, 0,
			first + `image "train:1" of container main is no valid name of an image: couldn't parse image name`,
		},
		"NeverPull": {
			"the user said so", func(_ *model, p *corev1.Pod) { bound(p, nil, waitingStatus("main", "ErrImageNeverPull", "")) }, 0,
			first + `image "train:1" of container main is not on the node, and imagePullPolicy is Never`,
		},
		"Secret": {
			"what is missing is named", func(_ *model, p *corev1.Pod) {
				bound(p, nil, waitingStatus("main", "CreateContainerConfigError", `secret "keys" not found`))
			}, 0,
			first + `container main cannot be configured: secret "keys" not found`,
		},
		"Create": {
			"the runtime's words", func(_ *model, p *corev1.Pod) {
				bound(p, nil, waitingStatus("main", "CreateContainerError", "context deadline exceeded"))
			}, 0,
			first + "container main cannot be created: context deadline exceeded",
		},
		"Run": {
			"the runtime's words", func(_ *model, p *corev1.Pod) {
				bound(p, nil, waitingStatus("main", "RunContainerError", `exec: "trian": not found`))
			}, 0,
			first + `container main cannot be started: exec: "trian": not found`,
		},
		"Other": {
			"a reason that is not known is reported as it is", func(_ *model, p *corev1.Pod) { bound(p, nil, waitingStatus("main", "Odd", "why")) }, 0,
			first + "container main waits because of Odd: why",
		},
		"Sidecar": {
			"another container of the pod is named", func(_ *model, p *corev1.Pod) {
				bound(p, nil, corev1.ContainerStatus{Name: "main", State: running.State}, waitingStatus("logs", "ErrImagePull", ""))
			}, 0,
			first + `image "train:1" of container logs cannot be pulled`,
		},
		"InitPull": {
			"an init container is named", func(_ *model, p *corev1.Pod) {
				bound(p, []corev1.ContainerStatus{done, waitingStatus("setup", "ErrImagePull", "")}, waitingStatus("main", "PodInitializing", ""))
			}, 0,
			first + `image "train:1" of init container setup cannot be pulled`,
		},
		"InitCrashes": {
			"between two runs", func(_ *model, p *corev1.Pod) {
				setup := waitingStatus("setup", "CrashLoopBackOff", "back-off 20s")
				setup.RestartCount, setup.LastTerminationState = 2, exitedWith(3)
				bound(p, []corev1.ContainerStatus{done, setup}, waitingStatus("main", "PodInitializing", ""))
			}, 0,
			first + "init container setup fails again and again: exit code 3",
		},
		"InitCrashedAndRuns": {
			"in the next run", func(_ *model, p *corev1.Pod) {
				setup := running
				setup.RestartCount, setup.LastTerminationState = 2, exitedWith(3)
				bound(p, []corev1.ContainerStatus{setup}, waitingStatus("main", "PodInitializing", ""))
			}, 0,
			first + "init container setup fails again and again: exit code 3",
		},
		"InitCrashed": {
			"at the end of one", func(_ *model, p *corev1.Pod) {
				bound(p, []corev1.ContainerStatus{{Name: "setup", State: exitedWith(137)}}, waitingStatus("main", "PodInitializing", ""))
			}, 0,
			first + "init container setup fails again and again: exit code 137",
		},
		"InitKilled": {
			"and why, if the node says so", func(_ *model, p *corev1.Pod) {
				killed := exitedWith(137)
				killed.Terminated.Reason = "OOMKilled"
				bound(p, []corev1.ContainerStatus{{Name: "setup", State: killed}}, waitingStatus("main", "PodInitializing", ""))
			}, 0,
			first + "init container setup fails again and again: exit code 137, OOMKilled",
		},
		"JustScheduled": {
			"a start is late 30 seconds after the pod was created, whenever it got its node", func(m *model, p *corev1.Pod) {
				bound(p, nil)
				p.Status.Conditions = []corev1.PodCondition{{
					Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(m.in.Now.Add(29 * time.Second)),
				}}
			}, 0, first + "node node-7 does not take it up",
		},
		"InitRuns": {
			"the user's own program is at work", func(_ *model, p *corev1.Pod) {
				bound(p, []corev1.ContainerStatus{running}, waitingStatus("main", "PodInitializing", ""))
			}, 0, "",
		},
		"Volumes": {
			"the node has not got them ready", func(_ *model, p *corev1.Pod) {
				bound(p, nil, waitingStatus("main", "ContainerCreating", ""))
				ready(p, corev1.ConditionFalse)
			}, 0,
			first + "node node-7 does not get its volumes or its network ready, the events of the pod say why",
		},
		"Creating": {
			"a large image", func(m *model, p *corev1.Pod) {
				bound(p, nil, waitingStatus("main", "ContainerCreating", ""))
				ready(p, corev1.ConditionTrue)
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}, 0,
			"1 of 2 pods to start, the first of them job-worker-0: node node-7 still creates container main, and pulls its image if it does not have it",
		},
		"InitCreating": {
			"an init container has an image, too", func(m *model, p *corev1.Pod) {
				bound(p, []corev1.ContainerStatus{done, waitingStatus("setup", "PodInitializing", "")}, waitingStatus("main", "PodInitializing", ""))
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}, 0,
			"1 of 2 pods to start, the first of them job-worker-0: node node-7 still creates init container setup, and pulls its image if it does not have it",
		},
		"InitRunsLong": {
			"after five minutes it may be of interest", func(m *model, p *corev1.Pod) {
				bound(p, []corev1.ContainerStatus{done, running}, waitingStatus("main", "PodInitializing", ""))
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}, 5 * time.Minute,
			"1 of 2 pods to start, the first of them job-worker-0: init container setup still runs",
		},
		"InitRunsNotLong": {
			"and not before", func(m *model, p *corev1.Pod) {
				bound(p, []corev1.ContainerStatus{done, running}, waitingStatus("main", "PodInitializing", ""))
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}, 5*time.Minute - time.Second, "",
		},
		"SidecarStarts": {
			"a sidecar must have started before the next, which its probe decides", func(m *model, p *corev1.Pod) {
				withSidecar(p)
				bound(p, []corev1.ContainerStatus{{Name: "proxy", State: running.State, Started: new(false)}}, waitingStatus("main", "PodInitializing", ""))
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}, 5 * time.Minute,
			"1 of 2 pods to start, the first of them job-worker-0: init container proxy still runs",
		},
		"SidecarEnded": {
			"one that has ended has not started", func(m *model, p *corev1.Pod) {
				withSidecar(p)
				bound(p, []corev1.ContainerStatus{{Name: "proxy", State: exitedWith(0)}}, waitingStatus("main", "PodInitializing", ""))
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}, 0,
			"1 of 2 pods to start, the first of them job-worker-0: node node-7 still creates init container proxy, and pulls its image if it does not have it",
		},
		"SidecarStarted": {
			"then it is in no one's way", func(m *model, p *corev1.Pod) {
				withSidecar(p)
				bound(p, []corev1.ContainerStatus{{Name: "proxy", State: running.State, Started: new(true)}}, waitingStatus("main", "ContainerCreating", ""))
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}, 0,
			"1 of 2 pods to start, the first of them job-worker-0: node node-7 still creates container main, and pulls its image if it does not have it",
		},
		"Crashes": {
			"it fails while another container of the pod is still being created", func(_ *model, p *corev1.Pod) {
				main := waitingStatus("main", "CrashLoopBackOff", "back-off 20s")
				main.LastTerminationState = exitedWith(3)
				bound(p, nil, waitingStatus("logs", "ContainerCreating", ""), main)
			}, 0,
			first + "container main fails again and again: exit code 3",
		},
		"Restarted": {
			"nothing says any more how it ended", func(_ *model, p *corev1.Pod) {
				bound(p, nil, waitingStatus("logs", "ContainerCreating", ""), corev1.ContainerStatus{Name: "main", State: running.State, RestartCount: 1})
			}, 0,
			first + "container main fails again and again",
		},
		"RestartedAfterSuccess": {
			"that it ended well is no failure to report", func(_ *model, p *corev1.Pod) {
				bound(p, nil, waitingStatus("logs", "ContainerCreating", ""),
					corev1.ContainerStatus{Name: "main", State: running.State, RestartCount: 1, LastTerminationState: exitedWith(0)})
			}, 0,
			first + "container main fails again and again",
		},
		"TwoWait": {
			"the first that is not there is named", func(m *model, p *corev1.Pod) {
				bound(p, nil, corev1.ContainerStatus{Name: "logs", State: running.State}, waitingStatus("main", "ContainerCreating", ""), waitingStatus("other", "ContainerCreating", ""))
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}, 0,
			"1 of 2 pods to start, the first of them job-worker-0: node node-7 still creates container main, and pulls its image if it does not have it",
		},
		"NoStatuses": {
			"the node has begun, and named no container yet", func(m *model, p *corev1.Pod) {
				bound(p, nil)
				ready(p, corev1.ConditionTrue)
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}, 0,
			"1 of 2 pods to start, the first of them job-worker-0: node node-7 still creates its containers, and pulls its image if it does not have it",
		},
		"GatedByTheScheduler": {
			"a gate that is gone was no obstacle of the scheduler", func(m *model, p *corev1.Pod) {
				unschedulable(m, "worker-0", "gated")
				p.Status.Conditions[0].Reason = corev1.PodReasonSchedulingGated
			}, 0, first + "no scheduler takes it up",
		},
		"Scheduled": {
			"the scheduler has found a node and is about to say which", func(m *model, p *corev1.Pod) {
				unschedulable(m, "worker-0", "")
				p.Status.Conditions[0].Status = corev1.ConditionTrue
			}, 0, first + "no scheduler takes it up",
		},
		"Uncreated": {
			"the API server has not told yet when it created them", func(m *model, _ *corev1.Pod) {
				for _, p := range m.in.Pods {
					p.CreationTimestamp = metav1.Time{}
				}
			}, 0, "",
		},
		"Gates": {
			"another reason says that", func(m *model, _ *corev1.Pod) { gate(m, "example.com/quota", "worker-0", "worker-1") }, 0,
			"TestJobSchedulingGated: TestJob ns/job waits for pod job-worker-0, job-worker-1, held back by scheduling gates: " +
				"the client that set example.com/quota must remove them.",
		},
		"Gang":        {"a gang scheduler may take its time", func(m *model, _ *corev1.Pod) { m.in.Gang = &plan.Gang{} }, 0, ""},
		"GangOnNodes": {"its pods have nodes", func(m *model, p *corev1.Pod) { m.in.Gang = &plan.Gang{}; bound(p, nil) }, 0, "1 of 2 pods to start, the first of them job-worker-0: node node-7 does not take it up"},
		"Early":       {"a start takes a moment", func(*model, *corev1.Pod) {}, 29 * time.Second, ""},
		"Leaving":     {"a pod that goes does not have to start", func(m *model, p *corev1.Pod) { m.terminate(p); m.terminate(m.pod("worker-1")) }, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(2))
			m.reconcileUntilStable()
			tc.set(m, m.pod("worker-0"))
			if name == "InitRuns" {
				m.pod("worker-1").Status.Phase = corev1.PodRunning
			}
			if tc.after == 0 {
				tc.after = 30 * time.Second
			}
			m.in.Now = m.in.Now.Add(tc.after)
			if events := m.decide().Events; strings.Contains(tc.want, " pods to start, the first of them job-worker-0: ") &&
				(len(events) != 1 || events[0].Pod != plan.PodRef{Name: "job-worker-0", UID: m.pod("worker-0").UID}) {
				t.Errorf("%s: one event is about the first pod: %+v", tc.reason, events)
			}
			m.reconcileUntilStable()
			if diff := cmp.Diff(tc.want, startsOf(m)); diff != "" {
				t.Fatalf("%s (-want +got):\n%s", tc.reason, diff)
			}
			for range 20 {
				m.in.Now = m.in.Now.Add(10 * time.Second)
				if p := m.decide(); p.StatusChange != plan.StatusUnchanged && tc.want != "" {
					t.Fatalf("%s: it costs nothing while it lasts, got %q", tc.reason, conditions(&p.Status))
				}
			}
		})
	}
}

// TestTheCauseThatSaysMost: what someone must fix is told before what may only take long, and
// then the first pod; all pods that have not started are counted.
func TestTheCauseThatSaysMost(t *testing.T) {
	m := newModel(workers(4))
	m.reconcileUntilStable()
	bound(m.pod("worker-0"), nil, waitingStatus("main", "ContainerCreating", ""))
	m.in.Now = m.in.Now.Add(30 * time.Second)
	m.reconcileUntilStable()
	for _, step := range []struct {
		reason string
		change func()
		after  time.Duration
		want   string
	}{
		{"that nothing takes a pod up says more than that a node is at work", func() {}, 0, "4 of 4 pods to start, the first of them job-worker-1: no scheduler takes it up"},
		{"it stays for a minute", func() { bound(m.pod("worker-2"), nil, waitingStatus("main", "ErrImagePull", "")) }, 59 * time.Second, "4 of 4 pods to start, the first of them job-worker-1: no scheduler takes it up"},
		{"an image is told first", func() {}, time.Second, `4 of 4 pods to start, the first of them job-worker-2: image "train:1" of container main cannot be pulled`},
		{"fewer wait", func() { m.pod("worker-0").Status.Phase = corev1.PodRunning }, time.Minute, `3 of 4 pods to start, the first of them job-worker-2: image "train:1" of container main cannot be pulled`},
		{"another of the same class is no news", func() { bound(m.pod("worker-1"), nil, waitingStatus("main", "ErrImagePull", "")) }, time.Minute, `3 of 4 pods to start, the first of them job-worker-2: image "train:1" of container main cannot be pulled`},
		{"the one that is named starts", func() { m.pod("worker-2").Status.Phase = corev1.PodRunning }, time.Minute, `2 of 4 pods to start, the first of them job-worker-1: image "train:1" of container main cannot be pulled`},
		{"all start", m.run, 0, ""},
	} {
		step.change()
		m.in.Now = m.in.Now.Add(step.after)
		m.reconcileUntilStable()
		if got := startsOf(m); got != step.want {
			t.Errorf("%s: want %q, got %q", step.reason, step.want, got)
		}
	}
}

// TestWordsOfTheKubelet: the words vary with each try, and that is no news.
func TestWordsOfTheKubelet(t *testing.T) {
	m := newModel(workers(1))
	m.reconcileUntilStable()
	p := m.pod("worker-0")
	bound(p, nil, waitingStatus("main", "ErrImagePull", "dial tcp 10.0.0.1:41234: timeout"))
	m.in.Now = m.in.Now.Add(30 * time.Second)
	m.reconcileUntilStable()
	writes, said := m.writes, startsOf(m)
	for i := range 100 {
		m.in.Now = m.in.Now.Add(30 * time.Second)
		bound(p, nil, waitingStatus("main", []string{"ErrImagePull", "ImagePullBackOff"}[i%2], fmt.Sprintf("dial tcp 10.0.0.1:%d: timeout", 50000+i)))
		m.reconcileUntilStable()
	}
	if m.writes != writes || startsOf(m) != said {
		t.Errorf("want what was said first, %q, and no write; got %q and %d writes", said, startsOf(m), m.writes-writes)
	}
}

// TestWordsThatComeLater: what a kubelet says only now is told, once.
func TestWordsThatComeLater(t *testing.T) {
	m := newModel(workers(1))
	m.reconcileUntilStable()
	bound(m.pod("worker-0"), nil, waitingStatus("main", "ImagePullBackOff", `Back-off pulling image "train:1"`))
	m.in.Now = m.in.Now.Add(30 * time.Second)
	m.reconcileUntilStable()
	bound(m.pod("worker-0"), nil, waitingStatus("main", "ErrImagePull", "not found"))
	m.in.Now = m.in.Now.Add(time.Minute)
	m.reconcileUntilStable()
	if got := startsOf(m); !strings.HasSuffix(got, "cannot be pulled: not found") {
		t.Errorf("got %q", got)
	}
}

// TestRestartsAreNoStart: while a pod that did not start is replaced, the job goes on saying
// why, and does not flap.
func TestRestartsAreNoStart(t *testing.T) {
	m := newModel(workers(2))
	m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
	restartPolicy(commonv1.RestartPolicyExitCode)(m)
	m.reconcileUntilStable()
	pull := func() { bound(m.pod("worker-1"), nil, waitingStatus("main", "ErrImagePull", "")) }
	pull()
	m.pod("worker-0").Status.Phase = corev1.PodRunning
	m.in.Now = m.in.Now.Add(30 * time.Second)
	m.reconcileUntilStable()
	said := startsOf(m)
	if !strings.Contains(said, "job-worker-1: image") {
		t.Fatalf("got %q", said)
	}
	for attempt := range 5 {
		m.end(m.pod("worker-0"), 137)
		for step := 0; m.pod("worker-0") == nil || m.pod("worker-0").Labels[commonv1.AttemptLabel] != strconv.Itoa(attempt+1); step++ {
			if m.reconcile(); startsOf(m) != said || step > 100 {
				t.Fatalf("want %q throughout the restart, got %q", said, startsOf(m))
			}
			m.in.Now = m.in.Now.Add(5 * time.Second)
		}
		pull()
		m.pod("worker-0").Status.Phase = corev1.PodRunning
		for range 10 {
			if m.reconcileUntilStable(); startsOf(m) != said {
				t.Fatalf("want %q after the restart, got %q", said, startsOf(m))
			}
			m.in.Now = m.in.Now.Add(5 * time.Second)
		}
	}
	m.run()
	if m.reconcileUntilStable(); startsOf(m) != "" {
		t.Errorf("it ends when the pod starts, got %q", startsOf(m))
	}
}

// TestReplicasThatStartLaterAreNotMissed: a replica that waits for others of the job does not
// count as one that does not start.
func TestReplicasThatStartLaterAreNotMissed(t *testing.T) {
	m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: 1})
	m.in.Rules.StartAfter = []jobkit.StartAfter{{Type: worker, After: []commonv1.ReplicaType{master}, Ready: true}}
	m.reconcileUntilStable()
	bound(m.pod("master-0"), nil, waitingStatus("main", "ErrImagePull", ""))
	m.in.Now = m.in.Now.Add(30 * time.Second)
	m.reconcileUntilStable()
	want := `1 of 2 pods to start, the first of them job-master-0: image "train:1" of container main cannot be pulled`
	if got := startsOf(m); got != want || m.pod("worker-0") != nil {
		t.Errorf("want %q, got %q", want, got)
	}
}

// TestStartsAreToldSteadily: whatever happens to pods that do not start, the job says so no
// later than 30 seconds after they were created, says it only of such pods, and writes at most
// once a minute about it.
func TestStartsAreToldSteadily(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(workers(rapid.Int32Range(1, 4).Draw(t, "workers")))
		m.reconcileUntilStable()
		for _, p := range m.in.Pods {
			p.Spec.NodeName = "node-7"
		}
		var last time.Time
		turns := 0
		for range 60 {
			m.in.Now = m.in.Now.Add(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
			p := m.in.Pods[rapid.IntRange(0, len(m.in.Pods)-1).Draw(t, "pod")]
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				p.Status.Phase = corev1.PodRunning
			case 1, 2:
				bound(p, nil, waitingStatus("main", "ContainerCreating", ""))
			case 3:
				bound(p, nil, waitingStatus("main", "CreateContainerConfigError", `secret "keys" not found`))
			default:
				bound(p, nil, waitingStatus("main", rapid.SampledFrom([]string{"ErrImagePull", "ImagePullBackOff"}).Draw(t, "reason"),
					rapid.SampledFrom([]string{"", "no route", "not found"}).Draw(t, "words")))
			}
			was := startsOf(m)
			m.reconcileUntilStable()
			is, overdue := startsOf(m), false
			for _, p := range m.in.Pods {
				overdue = overdue || p.Status.Phase == corev1.PodPending && !m.in.Now.Before(p.CreationTimestamp.Add(30*time.Second))
			}
			if overdue != (is != "") {
				t.Fatalf("that pods do not start is %t, but the job says %q", overdue, is)
			}
			if was == "" && is != "" {
				turns++
			}
			if was != "" && is != "" && was != is {
				if m.in.Now.Sub(last) < time.Minute {
					t.Fatalf("it changed after %s from %q to %q", m.in.Now.Sub(last), was, is)
				}
			}
			if was != is {
				last = m.in.Now
			}
		}
		if turns > 1 {
			t.Fatalf("it became stalled %d times, though no pod was created", turns)
		}
	})
}

// withSidecar gives a pod a native sidecar.
func withSidecar(p *corev1.Pod) {
	p.Spec.InitContainers = []corev1.Container{{Name: "proxy", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}
}

// TestReasonsOfContainersThatWait: what each of the kubelet's reasons means, and of which of them
// a cache keeps the image and the message.
func TestReasonsOfContainersThatWait(t *testing.T) {
	const pulled, created, started = `image "train:1" of container main cannot be pulled`, "container main cannot be created", "container main cannot be started"
	for reason, tc := range map[string]struct {
		want  string // "" if the kubelet refuses nothing
		image bool
	}{
		"ErrImagePull": {pulled, true}, "ImagePullBackOff": {pulled, true}, "RegistryUnavailable": {pulled, true},
		"ImageInspectError": {pulled, true}, "SignatureValidationFailed": {pulled, true},
		"InvalidImageName":           {`image "train:1" of container main is no valid name of an image`, true},
		"ErrImageNeverPull":          {`image "train:1" of container main is not on the node, and imagePullPolicy is Never`, true},
		"CreateContainerConfigError": {"container main cannot be configured", false},
		"CreateContainerError":       {created, false}, "PreCreateHookError": {created, false},
		"RunContainerError": {started, false}, "PreStartHookError": {started, false}, "PostStartHookError": {started, false},
		"Other": {"container main waits because of Other", false},
		"":      {"", false}, "PodInitializing": {"", false}, "ContainerCreating": {"", false}, "RestartingAllContainers": {"", false}, "CrashLoopBackOff": {"", false},
	} {
		t.Run(reason, func(t *testing.T) {
			m := newModel(workers(1))
			m.reconcileUntilStable()
			s := waitingStatus("main", reason, "words")
			bound(m.pod("worker-0"), nil, s)
			m.after(30 * time.Second)
			m.reconcileUntilStable()
			said, words, image := startsOf(m), "", ""
			if tc.want != "" {
				tc.want, words = "1 of 1 pods to start, the first of them job-worker-0: "+tc.want+": words", "words"
			} else {
				said = ""
			}
			if tc.image {
				image = "train:1"
			}
			if said != tc.want || plan.Refuses(&s) != (words != "") || plan.WaitingMessage(&s) != words || plan.WaitingImage(&s) != image {
				t.Errorf("want %q, got %q; image %q, message %q", tc.want, said, plan.WaitingImage(&s), plan.WaitingMessage(&s))
			}
		})
	}
	runs := &corev1.ContainerStatus{Image: "train:1"}
	if plan.WaitingImage(runs) != "" || plan.WaitingMessage(runs) != "" || plan.Refuses(runs) {
		t.Error("a container that does not wait has nothing to keep")
	}
}

// TestPodsThatStartOver: a pod that ran is pending again while its node, which was rebooted, runs its init
// containers once more. That is reported only if something is in the way.
func TestPodsThatStartOver(t *testing.T) {
	again := corev1.ContainerStatus{Name: "setup", RestartCount: 1}
	runs, crashes := again, again
	runs.State.Running = &corev1.ContainerStateRunning{}
	crashes.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
	crashes.LastTerminationState = exitedWith(2)
	for name, tc := range map[string]struct {
		reason string
		init   corev1.ContainerStatus
		want   string
	}{
		"Runs":    {"it goes on by itself", runs, ""},
		"Crashes": {"it does not", crashes, "1 of 2 pods to start, the first of them job-worker-1: init container setup fails again and again: exit code 2"},
		"Refused": {
			"nor does this", waitingStatus("setup", "CreateContainerConfigError", "no secret"),
			"1 of 2 pods to start, the first of them job-worker-1: init container setup cannot be configured: no secret",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), restartPolicy(commonv1.RestartPolicyOnFailure))
			m.after(time.Hour)
			p := m.pod("worker-1")
			bound(p, []corev1.ContainerStatus{tc.init}, corev1.ContainerStatus{Name: "main", State: exitedWith(255)})
			p.Status.Phase = corev1.PodPending
			m.reconcileUntilStable()
			if got := startsOf(m); got != tc.want {
				t.Errorf("%s: want %q, got %q", tc.reason, tc.want, got)
			}
		})
	}
}

// TestPodsThatGetANode: a pod that waited for a node has a while to start on it. If it still has
// none, that is reported at once.
func TestPodsThatGetANode(t *testing.T) {
	const scheduler = "1 of 1 pods to start, the first of them job-worker-0: no scheduler takes it up"
	scheduled := func(m *model, status corev1.ConditionStatus) {
		m.pod("worker-0").Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: status, LastTransitionTime: metav1.NewTime(m.in.Now)}}
	}
	m := newModel(workers(1))
	m.reconcileUntilStable()
	for _, step := range []struct {
		reason string
		after  time.Duration
		change func()
		want   string
	}{
		{"it has none", 30 * time.Second, func() {}, scheduler},
		{"it gets one", 70 * time.Second, func() {
			bound(m.pod("worker-0"), nil, waitingStatus("main", "ContainerCreating", ""))
			scheduled(m, corev1.ConditionTrue)
		}, scheduler},
		{"which takes its time", 29 * time.Second, func() {}, scheduler},
		{"but not any longer", time.Second, func() {}, "1 of 1 pods to start, the first of them job-worker-0: node node-7 still creates container main, and pulls its image if it does not have it"},
		{"another pod of the replica has none", 70 * time.Second, func() {
			p := m.pod("worker-0")
			p.Spec.NodeName, p.Status.ContainerStatuses = "", nil
			scheduled(m, corev1.ConditionFalse)
		}, "1 of 1 pods to start, the first of them job-worker-0: the scheduler finds no node for it"},
		{"it runs", time.Second, func() { m.run() }, ""},
	} {
		m.after(step.after)
		step.change()
		m.reconcileUntilStable()
		if got := startsOf(m); got != step.want {
			t.Errorf("%s: want %q, got %q", step.reason, step.want, got)
		}
	}
}

// TestOneOfSeveralGetsANode: while one of several pods has a while to start on its node, the job goes
// on saying what it said, as far as that is still so.
func TestOneOfSeveralGetsANode(t *testing.T) {
	const firstOfThree = "3 of 3 pods to start, the first of them job-worker-0: no scheduler takes it up"
	const creating = "node node-7 still creates container main, and pulls its image if it does not have it"
	getsNode := func(m *model, name string) {
		bound(m.pod(name), nil, waitingStatus("main", "ContainerCreating", ""))
		m.pod(name).Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(m.in.Now)}}
	}
	runs := func(m *model, names ...string) {
		for _, name := range names {
			m.pod(name).Status.Phase = corev1.PodRunning
		}
	}
	for name, tc := range map[string]struct {
		reason       string
		happens      func(*model)
		while, after string // what is said in the next 30 seconds, and then
	}{
		"TheNamedOne": {
			"another does not take its place for so short a time", func(m *model) { getsNode(m, "worker-0") },
			firstOfThree, "3 of 3 pods to start, the first of them job-worker-1: no scheduler takes it up",
		},
		"AnotherOne": {
			"the count is told although another has just got its node", func(m *model) { getsNode(m, "worker-1"); runs(m, "worker-2") },
			"2 of 3 pods to start, the first of them job-worker-0: no scheduler takes it up", "2 of 3 pods to start, the first of them job-worker-0: no scheduler takes it up",
		},
		"TheLastOne": {
			"the named one has started, and another is about to", func(m *model) { runs(m, "worker-0", "worker-2"); getsNode(m, "worker-1") },
			firstOfThree, "1 of 3 pods to start, the first of them job-worker-1: " + creating,
		},
	} {
		m := newModel(workers(3))
		m.reconcileUntilStable()
		m.after(30 * time.Second)
		m.reconcileUntilStable()
		m.after(70 * time.Second)
		tc.happens(m)
		m.reconcileUntilStable()
		m.after(29 * time.Second)
		m.reconcileUntilStable()
		if got := startsOf(m); got != tc.while {
			t.Errorf("%s: %s: want %q, got %q", name, tc.reason, tc.while, got)
		}
		m.after(time.Minute)
		m.reconcileUntilStable()
		if got := startsOf(m); got != tc.after {
			t.Errorf("%s: %s: then want %q, got %q", name, tc.reason, tc.after, got)
		}
	}
}

// TestNamedPodIsReplaced: a pod that goes without having started has not started; one that ran has.
func TestNamedPodIsReplaced(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		change func(*model, *corev1.Pod)
		want   bool
	}{
		"Goes":       {"someone deleted it", func(m *model, p *corev1.Pod) { m.terminate(p) }, true},
		"RanAndGoes": {"it ran in the meantime", func(m *model, p *corev1.Pod) { p.Status.Phase = corev1.PodRunning; m.terminate(p) }, false},
		"Superseded": {"its next attempt is about to take its place", func(m *model, _ *corev1.Pod) {
			m.in.Status.ReplicaStatuses[worker].Attempts = map[string]int32{"0": 1}
		}, true},
	} {
		m := newModel(workers(1))
		m.reconcileUntilStable()
		m.after(30 * time.Second)
		m.reconcileUntilStable()
		if startsOf(m) == "" {
			t.Fatal("the pod does not start, and the job says nothing")
		}
		tc.change(m, m.pod("worker-0"))
		if p := m.decide(); p.Status.IsTrue(commonv1.JobStalled) != tc.want {
			t.Errorf("%s: %s: %q", name, tc.reason, conditions(&p.Status))
		}
	}
}
