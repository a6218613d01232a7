package jobtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// The promises of docs/maintainers/promises.md, one by one. Each test here is a story without
// chance; the monitor checks all promises in all of them, and in the random runs.

// forever is the fate of pods that run until they are deleted.
func forever(*corev1.Pod) Fate { return Fate{Start: time.Second, Forever: true} }

// failsFirst is the fate of pods of which replica 0 exits with the given codes, one
// in each attempt, and all others run forever.
func failsFirst(codes ...int32) func(*corev1.Pod) Fate {
	return func(pod *corev1.Pod) Fate {
		at := int(attemptLabel(pod))
		if pod.Labels[commonv1.ReplicaIndexLabel] == "0" && at < len(codes) {
			return Fate{Start: time.Second, Run: 10 * time.Second, Exits: codes[at : at+1]}
		}
		return forever(pod)
	}
}

// story makes a World with jobs in it.
func story(t *testing.T, o Options, jobs ...*testv1.TestJob) *World {
	t.Helper()
	return storyOf(t, testjob.Controller{}, o, jobs...)
}

func storyOf(t *testing.T, author jobkit.ControllerInterface[*testv1.TestJob], o Options, jobs ...*testv1.TestJob) *World {
	t.Helper()
	w, err := NewWorld(author, testScheme, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, job := range jobs {
		if err := w.Client().Create(t.Context(), job.DeepCopy()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// pass lets time pass in a World.
func pass(t *testing.T, w *World, d time.Duration) {
	t.Helper()
	if err := w.RunFor(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}

// rest lets a World come to rest.
func rest(t *testing.T, w *World) {
	t.Helper()
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// read returns a job as it is, or nil if it is gone.
func read(t *testing.T, w *World, name string) *testv1.TestJob {
	t.Helper()
	job := &testv1.TestJob{}
	err := w.Client().Get(t.Context(), types.NamespacedName{Namespace: jobKey.Namespace, Name: name}, job)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// children names the pods and services that exist.
func children(t *testing.T, w *World) []string {
	t.Helper()
	var names []string
	for _, table := range w.server.tables {
		if table != w.jobs && table != w.kubelet.objects {
			for _, o := range table.all() {
				names = append(names, strings.ToLower(table.gvk.Kind)+" "+o.GetName())
			}
		}
	}
	return names
}

func exitCode(j *testv1.TestJob) {
	j.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = commonv1.RestartPolicyExitCode
}

func wholeJob(j *testv1.TestJob) {
	exitCode(j)
	j.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
}

func suspend(v bool) func(*testv1.TestJob) {
	return func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = &v }
}

func scaleTo(n int32) func(*testv1.TestJob) {
	return func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = &n }
}

// TestP2Quiet passes over jobs at rest again and again, for a day, with an operator
// that remembers and one that was just started: nothing is written or even read from
// the API server.
func TestP2Quiet(t *testing.T) {
	for name, tc := range map[string]struct {
		fate   func(*corev1.Pod) Fate
		change func(*testv1.TestJob)
	}{
		"running":   {fate: forever},
		"pending":   {fate: func(*corev1.Pod) Fate { return Fate{Unschedulable: true} }},
		"restarted": {fate: failsFirst(137), change: exitCode},
		"succeeded": {},
		"failed":    {fate: failsFirst(1), change: exitCode},
		"suspended": {change: suspend(true)},
	} {
		t.Run(name, func(t *testing.T) {
			job := newJob("j", 3)
			if tc.change != nil {
				tc.change(job)
			}
			w := story(t, Options{Fate: tc.fate}, job)
			pass(t, w, time.Hour)
			before := w.calls
			for i := range 48 {
				w.now = w.now.Add(30 * time.Minute)
				if i%2 == 0 {
					w.startProcess(0)
				}
				w.processes[0].reconcile(w.ctx, jobKey)
			}
			if w.err() != nil || w.calls != before {
				t.Errorf("%d calls at rest (%v):\n%s", w.calls-before, w.err(), w.Transcript())
			}
		})
	}
}

// TestP3Stable makes a mess of a job while no operator runs. Once one does it takes
// a dozen passes, and then the job is as it should be and stays so.
func TestP3Stable(t *testing.T) {
	w := story(t, Options{Fate: forever}, newJob("j", 3, func(j *testv1.TestJob) {
		j.Spec.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica)
	}))
	pass(t, w, time.Minute)
	w.crash(w.processes[0], false)
	for _, mess := range []func(context.Context, client.Client) error{
		deletePod("j-worker-1"), deleteService("j-worker-0"), deleteService("j-worker-1"),
		relabel(commonv1.ReplicaIndexLabel, "2"), relabel(commonv1.ReplicaTypeLabel, "x"),
		edit(scaleTo(2)),
		edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.ServiceMode = new(commonv1.ServiceModePerJob) }),
		func(ctx context.Context, c client.Client) error {
			job := &testv1.TestJob{}
			if err := c.Get(ctx, jobKey, job); err != nil {
				return err
			}
			job.Status = commonv1.JobStatus{}
			return c.Status().Update(ctx, job)
		},
	} {
		if err := mess(t.Context(), w.Client()); err != nil {
			t.Fatal(err)
		}
	}
	before := w.passes
	rest(t, w)
	if n := w.passes - before; n > 20 {
		t.Errorf("%d passes until all is well, want at most 20:\n%s", n, w.Transcript())
	}
	want := []string{"pod j-worker-0", "pod j-worker-1", "service j"}
	if diff := cmp.Diff(want, children(t, w)); diff != "" {
		t.Errorf("the job has not what it wants (-want +got):\n%s", diff)
	}
}

// TestP4TwoLeaders has two operators create the pods of a job at the same time, and
// one of them get no reply and try again.
func TestP4TwoLeaders(t *testing.T) {
	h := newByHand(t, 2, newJob("j", 3))
	lost := false
	h.outages = []outage{{over: h.now.Add(time.Hour), fault: LostReply, hits: func(op call) bool {
		first := !lost && op.verb == "create" && op.key.Name == "j-worker-1"
		lost = lost || first
		return first
	}}}
	for range 3 {
		h.reconcile(0)
		h.show(1, h.jobs)
		h.reconcile(1)
	}
	if n := len(h.kubelet.pods.objects); n != 3 {
		t.Errorf("%d pods, want 3:\n%s", n, h.Transcript())
	}
}

// TestP5Terminal ends, suspends or deletes a job and has an operator reconcile it that
// does not know yet; then one that does.
func TestP5Terminal(t *testing.T) {
	for name, end := range map[string]func(context.Context, client.Client) error{
		"suspended": edit(suspend(true)),
		"deleted":   deleteJob(metav1.DeletePropagationForeground),
		"finished": func(ctx context.Context, c client.Client) error {
			job := &testv1.TestJob{}
			if err := c.Get(ctx, jobKey, job); err != nil {
				return err
			}
			now := metav1.NewTime(epoch())
			job.Status = commonv1.JobStatus{StartTime: &now, CompletionTime: &now, State: commonv1.JobSucceeded, Conditions: []commonv1.JobCondition{
				{Type: commonv1.JobSucceeded, Status: corev1.ConditionTrue, LastTransitionTime: now},
			}}
			return c.Status().Update(ctx, job)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newByHand(t, 1, newJob("j", 2))
			h.user(end)
			for range 3 {
				h.reconcile(0) // its cache still shows a new job
			}
			for range 3 {
				h.show(0, h.jobs)
				h.reconcile(0)
			}
			if got := children(t, h.World); len(got) > 0 {
				t.Errorf("the job has %v:\n%s", got, h.Transcript())
			}
		})
	}
}

// TestP6OneFailureOneRestart fails a replica once, with every fault at every call,
// whatever someone writes into the label of its attempt, and with each restart scope.
func TestP6OneFailureOneRestart(t *testing.T) {
	for _, scope := range []commonv1.RestartScope{commonv1.RestartScopeReplica, commonv1.RestartScopeJob} {
		labels := []string{"", "7"}
		if thorough() {
			labels = append(labels, "1", "2147483647", "x")
		}
		for _, label := range labels {
			t.Run(string(scope)+" "+label, func(t *testing.T) {
				t.Parallel()
				s := small{
					workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{137}, want: commonv1.JobSucceeded, restarts: 1,
					change: func(j *testv1.TestJob) { j.Spec.RunPolicy.RestartScope = &scope },
				}
				if label != "" {
					s.users = func(w *World) {
						w.At(5*time.Second, "changes the attempt label", relabel(commonv1.AttemptLabel, label))
					}
				}
				exhaust(t, s.run(1), exhaustion{faults: 1, every: 1, but: alike()})
			})
		}
	}
}

// TestP7Timers lets jobs run into their limits. Nothing else happens at that time,
// and nothing else reconciles them.
func TestP7Timers(t *testing.T) {
	t.Run("activeDeadlineSeconds", func(t *testing.T) {
		w := story(t, Options{Fate: forever}, newJob("j", 2, func(j *testv1.TestJob) { j.Spec.RunPolicy.ActiveDeadlineSeconds = new(int64(3600)) }))
		pass(t, w, 3599*time.Second)
		if got := read(t, w, "j").Status.State; got != commonv1.JobRunning {
			t.Errorf("a second before its deadline the job is %s", got)
		}
		pass(t, w, 2*time.Second)
		if got := read(t, w, "j").Status.State; got != commonv1.JobFailed {
			t.Errorf("a second after its deadline the job is %s", got)
		}
	})
	t.Run("activeDeadlineSeconds counts again after a suspension", func(t *testing.T) {
		w := story(t, Options{Fate: forever}, newJob("j", 2, func(j *testv1.TestJob) { j.Spec.RunPolicy.ActiveDeadlineSeconds = new(int64(3600)) }))
		w.At(30*time.Minute, "suspends", edit(suspend(true)))
		w.At(60*time.Minute, "resumes", edit(suspend(false)))
		pass(t, w, 119*time.Minute)
		if got := read(t, w, "j").Status.State; got != commonv1.JobRunning {
			t.Errorf("a minute before its deadline the job is %s", got)
		}
		pass(t, w, 2*time.Minute)
		if got := read(t, w, "j").Status.State; got != commonv1.JobFailed {
			t.Errorf("a minute after its deadline the job is %s", got)
		}
	})
	t.Run("ttlSecondsAfterFinished", func(t *testing.T) {
		w := story(t, Options{}, newJob("j", 2, func(j *testv1.TestJob) { j.Spec.RunPolicy.TTLSecondsAfterFinished = new(int32(3600)) }))
		pass(t, w, time.Hour)
		if read(t, w, "j") == nil {
			t.Errorf("the job is gone before its time to live has passed")
		}
		pass(t, w, time.Minute)
		if read(t, w, "j") != nil {
			t.Errorf("the job exists after its time to live has passed")
		}
	})
	t.Run("backoffLimit", func(t *testing.T) {
		w := story(t, Options{Fate: failsFirst(137, 137, 137)}, newJob("j", 2, exitCode, func(j *testv1.TestJob) { j.Spec.RunPolicy.BackoffLimit = new(int32(2)) }))
		rest(t, w)
		if got := read(t, w, "j").Status; got.State != commonv1.JobFailed || got.Restarts != 2 {
			t.Errorf("the job is %s after %d restarts, want Failed after 2", got.State, got.Restarts)
		}
	})
	t.Run("the delay between restarts", func(t *testing.T) {
		w := story(t, Options{Fate: failsFirst(137, 137, 137)}, newJob("j", 1, exitCode))
		// It starts in 1 s and runs for 10; at once, after 10 s, after 20 s.
		for attempt, at := range []int{0, 11, 32, 63} {
			pass(t, w, epoch().Add(time.Duration(at+1)*time.Second).Sub(w.now))
			pod := &corev1.Pod{}
			if err := w.Client().Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "j-worker-0"}, pod); err != nil {
				t.Fatal(err)
			}
			if got := attemptLabel(pod); got != int32(attempt) {
				t.Errorf("%d s after the start the pod is of attempt %d, want %d:\n%s", at+1, got, attempt, w.Transcript())
			}
		}
	})
}

// TestNodeClocks: known-bugs row 97. Nodes whose clocks are off, by seconds or by hours,
// change nothing: neither what an end means nor how long a restart waits.
func TestNodeClocks(t *testing.T) {
	for _, off := range []time.Duration{0, -3 * time.Second, 3 * time.Second, -2 * time.Hour, 30 * time.Minute} {
		t.Run(off.String(), func(t *testing.T) {
			w := story(t, Options{Fate: failsFirst(137, 137, 137)}, newJob("j", 1, exitCode))
			for _, node := range []string{"node-0", "node-1", "node-2"} {
				w.SetNodeClock(node, off)
			}
			for attempt, at := range []int{0, 11, 32, 63} {
				pass(t, w, epoch().Add(time.Duration(at+1)*time.Second).Sub(w.now))
				pod := &corev1.Pod{}
				if err := w.Client().Get(t.Context(), types.NamespacedName{Namespace: "default", Name: "j-worker-0"}, pod); err != nil {
					t.Fatal(err)
				}
				if got := attemptLabel(pod); got != int32(attempt) {
					t.Errorf("%d s after the start the pod is of attempt %d, want %d:\n%s", at+1, got, attempt, w.Transcript())
				}
			}
			pass(t, w, 5*time.Second)
			if err := deletePod("j-worker-0")(t.Context(), w.Client()); err != nil {
				t.Fatal(err)
			}
			rest(t, w)
			if got := read(t, w, "j").Status; got.State != commonv1.JobRunning || got.Restarts != 3 || len(got.Failures) != 3 {
				t.Errorf("the job is %s after %d restarts, want Running after 3: a pod that someone deletes is none", got.State, got.Restarts)
			}
			for _, f := range read(t, w, "j").Status.Failures {
				if seconds := f.Time.Sub(epoch()).Seconds(); seconds < 10 || seconds > 100 {
					t.Errorf("a failure is said to have been %v s after the start", seconds)
				}
			}
		})
	}
}

// TestCollateralExits: known-bugs row 121, as it was seen with real kubelets. A worker of
// a gang is killed, or preempted, or deleted by hand; a moment later its peers exit with
// an error of their own; and each kubelet takes its time to say so. The gang restarts,
// once, and the status keeps what happened. If a program ends with an error first, the
// job fails, whatever its peers do then.
func TestCollateralExits(t *testing.T) {
	for name, tc := range map[string]struct {
		root       Fate // of worker-1
		collateral int32
		user       func(context.Context, client.Client) error
		want       commonv1.JobConditionType
		restarts   int32
		codes      map[int32]bool
	}{
		"killed":    {root: Fate{Exits: []int32{137}}, collateral: 1, want: commonv1.JobSucceeded, restarts: 1, codes: map[int32]bool{137: true, 1: true}},
		"preempted": {root: Fate{Disrupted: "PreemptionByScheduler"}, collateral: 1, want: commonv1.JobSucceeded, restarts: 1, codes: map[int32]bool{0: true}},
		"deleted":   {root: Fate{Forever: true}, collateral: 1, user: deletePod("j-worker-1"), want: commonv1.JobSucceeded},
		"a mistake": {root: Fate{Exits: []int32{1}}, collateral: 1, want: commonv1.JobFailed, codes: map[int32]bool{1: true}},
	} {
		for _, rootLate := range []time.Duration{0, time.Second, 1500 * time.Millisecond} {
			for _, peersLate := range []time.Duration{0, time.Second, 1500 * time.Millisecond} {
				t.Run(fmt.Sprintf("%s, reported after %s and %s", name, rootLate, peersLate), func(t *testing.T) {
					fate := func(pod *corev1.Pod) Fate {
						f := Fate{Start: time.Second, Run: 20 * time.Second}
						switch {
						case attemptLabel(pod) > 0:
						case pod.Name == "j-worker-1":
							f = tc.root
							f.Start, f.Run, f.Report = time.Second, 10*time.Second, rootLate
						default:
							f.Collateral, f.Report = tc.collateral, peersLate
						}
						return f
					}
					w := story(t, Options{Fate: fate}, newJob("j", 3, wholeJob))
					w.SetNodeClock("node-1", time.Hour)
					if tc.user != nil {
						w.At(6*time.Second, "deletes a pod", tc.user)
					}
					rest(t, w)
					got := read(t, w, "j").Status
					if got.State != tc.want || got.Restarts != tc.restarts || tc.want == commonv1.JobSucceeded && got.Attempt != 1 {
						t.Errorf("the job is %s after %d restarts, at attempt %d, want %s after %d:\n%s",
							got.State, got.Restarts, got.Attempt, tc.want, tc.restarts, w.Transcript())
					}
					codes := map[int32]bool{}
					for _, f := range got.Failures {
						if f.ExitCode == nil {
							codes[0] = true
						} else {
							codes[*f.ExitCode] = true
						}
					}
					for code := range tc.codes {
						if !codes[code] && (code != 1 || rootLate > 0) {
							t.Errorf("no failure has the exit code %d: %+v\n%s", code, got.Failures, w.Transcript())
						}
					}
				})
			}
		}
	}
}

// TestP8Foreign puts a pod and a service of others, which carry the job's labels, in
// the job's way. They stay what they are, and the status does not count them.
func TestP8Foreign(t *testing.T) {
	w := story(t, Options{Fate: forever})
	if err := foreign("j-worker-0")(t.Context(), w.Client()); err != nil {
		t.Fatal(err)
	}
	if err := foreign("j")(t.Context(), w.Client()); err != nil {
		t.Fatal(err)
	}
	pass(t, w, 5*time.Second) // the foreign pods run
	before := map[string]client.Object{}
	keep := func(into map[string]client.Object) {
		for _, table := range []*table{w.kubelet.pods, w.server.table(corev1.SchemeGroupVersion.WithKind("Service"))} {
			for _, o := range table.all() {
				if o.GetLabels()["foreign"] == "yes" {
					into[table.gvk.Kind+" "+o.GetName()] = o
				}
			}
		}
	}
	keep(before)
	if err := w.Client().Create(t.Context(), newJob("j", 2)); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(context.Context, client.Client) error{
		edit(scaleTo(0)), edit(scaleTo(2)), edit(suspend(true)), edit(suspend(false)), deleteJob(metav1.DeletePropagationForeground),
	} {
		pass(t, w, 5*time.Minute)
		if got := read(t, w, "j").Status.ReplicaStatuses[testv1.Worker]; got != nil && got.Active > 1 {
			t.Errorf("a foreign pod is counted: %+v", got)
		}
		if err := change(t.Context(), w.Client()); err != nil {
			t.Fatal(err)
		}
	}
	rest(t, w)
	after := map[string]client.Object{}
	keep(after)
	if diff := cmp.Diff(before, after); diff != "" || len(after) != 4 {
		t.Errorf("the objects of others changed (-before +after):\n%s\n%s", diff, w.Transcript())
	}
}

// TestP9NoLeaks ends jobs in every way and checks what is left.
func TestP9NoLeaks(t *testing.T) {
	policy := func(p commonv1.CleanPodPolicy) func(*testv1.TestJob) {
		return func(j *testv1.TestJob) { j.Spec.RunPolicy.CleanPodPolicy = &p }
	}
	master := func(j *testv1.TestJob) {
		j.Spec.TestReplicaSpecs[testv1.Master] = j.Spec.TestReplicaSpecs[testv1.Worker].DeepCopy()
		j.Spec.TestReplicaSpecs[testv1.Master].Replicas = new(int32(1))
	}
	// The master decides, and ends first.
	masterFirst := func(pod *corev1.Pod) Fate {
		if pod.Labels[commonv1.ReplicaTypeLabel] == "master" {
			return Fate{Start: time.Second, Run: 10 * time.Second}
		}
		return forever(pod)
	}
	for name, tc := range map[string]struct {
		fate   func(*corev1.Pod) Fate
		change func(*testv1.TestJob)
		do     func(context.Context, client.Client) error
		want   []string
	}{
		"deleted in the background": {fate: forever, do: deleteJob(metav1.DeletePropagationBackground)},
		"deleted in the foreground": {fate: forever, do: deleteJob(metav1.DeletePropagationForeground)},
		"suspended":                 {fate: forever, do: edit(suspend(true))},
		"scaled to 0":               {fate: forever, do: edit(scaleTo(0)), want: []string{"service j"}},
		"time to live":              {change: func(j *testv1.TestJob) { j.Spec.RunPolicy.TTLSecondsAfterFinished = new(int32(0)) }},
		"cleanPodPolicy All":        {change: policy(commonv1.CleanPodPolicyAll)},
		"cleanPodPolicy Running": {
			fate: masterFirst, change: func(j *testv1.TestJob) { master(j); policy(commonv1.CleanPodPolicyRunning)(j) },
			want: []string{"pod j-master-0"},
		},
		"cleanPodPolicy None": {
			fate: masterFirst, change: func(j *testv1.TestJob) { master(j); policy(commonv1.CleanPodPolicyNone)(j) },
			want: []string{"pod j-master-0", "pod j-worker-0", "pod j-worker-1", "service j"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := newJob("j", 2)
			if tc.change != nil {
				tc.change(job)
			}
			w := story(t, Options{Fate: tc.fate}, job)
			if tc.do != nil {
				w.At(30*time.Second, name, tc.do)
			}
			rest(t, w)
			if diff := cmp.Diff(tc.want, children(t, w)); diff != "" {
				t.Errorf("left over (-want +got):\n%s\n%s", diff, w.Transcript())
			}
		})
	}
}

// TestP10CallsPerTransition counts the calls to the API server, for a job of n
// replicas and s services. docs/maintainers/promises.md states the formulas.
func TestP10CallsPerTransition(t *testing.T) {
	type calls = map[string]int
	const (
		n     = 8 // too many to be created all at once
		small = 4
		brief = 29 * time.Second // no one asks yet why the pods do not start
	)
	for name, tc := range map[string]struct {
		replicas int32 // default n
		service  *jobkit.RoleService
		fate     func(*corev1.Pod) Fate
		change   func(*testv1.TestJob)
		// until is when the transition begins, do what a user does then, if anything.
		until time.Duration
		do    func(context.Context, client.Client) error
		// over is how long it takes. Default: 10 minutes.
		over time.Duration
		want calls
	}{
		"creation": {
			fate: func(*corev1.Pod) Fate { return Fate{Unschedulable: true} }, over: brief,
			want: calls{"write the status of job": 1, "create pod": n, "create service": 1, "read job": 1},
		},
		"creation with a service for each replica": {
			fate: func(*corev1.Pod) Fate { return Fate{Unschedulable: true} }, over: brief,
			change: func(j *testv1.TestJob) { j.Spec.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica) },
			want:   calls{"write the status of job": 1, "create pod": n, "create service": n, "read job": 1},
		},
		"creation with a service of the workers": {
			fate: func(*corev1.Pod) Fate { return Fate{Unschedulable: true} }, over: brief, service: &jobkit.RoleService{},
			want: calls{"write the status of job": 1, "create pod": n, "create service": 2, "read job": 1},
		},
		"creation with a volume claim for each replica": {
			fate: func(*corev1.Pod) Fate { return Fate{Unschedulable: true} }, over: brief, change: claimed(nil),
			want: calls{"write the status of job": 1, "create pod": n, "create persistentvolumeclaim": n, "create service": 1, "read job": 1},
		},
		"a replica with a volume claim restarts": {
			// The claim stays.
			fate: failsFirst(137), change: func(j *testv1.TestJob) { exitCode(j); claimed(nil)(j) }, until: 10 * time.Second,
			want: calls{"write the status of job": 2, "delete pod": 1, "create pod": 1, "read job": 1},
		},
		"a job in a queue whose replicas have ports of their nodes, and one succeeds": {
			// That its pod is needed no more is in the write that counts it.
			replicas: 2, fate: func(pod *corev1.Pod) Fate {
				return Fate{Start: time.Second, Run: 10 * time.Second, Forever: pod.Labels[commonv1.ReplicaIndexLabel] == "1"}
			}, change: func(j *testv1.TestJob) { inQueue(j); onHosts(8)(j) }, until: 9 * time.Second,
			want: calls{"write the status of job": 1},
		},
		"creation of a small job": {
			// The pods go first; the status says so a second later.
			replicas: small, fate: func(*corev1.Pod) Fate { return Fate{Unschedulable: true} }, over: brief,
			want: calls{"read job": 1, "write the status of job": 1, "create pod": small, "create service": 1},
		},
		"creation of a small job whose pods start at once": {
			replicas: small, fate: func(*corev1.Pod) Fate { return Fate{Start: 100 * time.Millisecond, Forever: true} },
			want: calls{"read job": 1, "write the status of job": 1, "create pod": small, "create service": 1},
		},
		"no pod starts": {
			fate: func(*corev1.Pod) Fate { return Fate{Waits: WaitsForImage, Stuck: true} }, until: brief,
			want: calls{"write the status of job": 1},
		},
		"all pods start late": {
			// It says why they do not start, and that they run.
			fate:  func(*corev1.Pod) Fate { return Fate{Waits: WaitsForImage, Start: 5 * time.Minute, Forever: true} },
			until: brief, want: calls{"write the status of job": 2},
		},
		"all pods start together": {
			// Not that the first runs is written, but that all do.
			fate: forever, until: 500 * time.Millisecond,
			want: calls{"write the status of job": 1},
		},
		"all pods start together, in a queue": {
			// The queue must know of the first that runs.
			fate: forever, change: func(j *testv1.TestJob) { j.Labels = map[string]string{"kueue.x-k8s.io/queue-name": "q"} }, until: 500 * time.Millisecond,
			want: calls{"write the status of job": 2},
		},
		"a replica restarts": {
			// Counted; deleted in the same pass. Created in another, which verifies
			// the job first, because it has no status to write; then it runs again.
			fate: failsFirst(137), change: exitCode, until: 10 * time.Second,
			want: calls{"write the status of job": 2, "delete pod": 1, "create pod": 1, "read job": 1},
		},
		"the whole job restarts": {
			fate: failsFirst(137), change: wholeJob, until: 10 * time.Second,
			// As one replica, and one status more while the pods go and come.
			want: calls{"write the status of job": 3, "delete pod": n, "create pod": n, "read job": 1},
		},
		"a role restarts together": {
			fate: failsFirst(137), until: 10 * time.Second,
			change: func(j *testv1.TestJob) {
				exitCode(j)
				j.Spec.TestReplicaSpecs[testv1.Worker].RestartScope = new(commonv1.RestartScopeRole)
			},
			// As the whole job, if it has no other.
			want: calls{"write the status of job": 3, "delete pod": n, "create pod": n, "read job": 1},
		},
		"a type starts after another": {
			fate: forever, change: ordered(commonv1.StartAfterReady), until: 500 * time.Millisecond,
			// The master runs; the workers are created in the same pass; they run.
			want: calls{"write the status of job": 2, "create pod": n, "read job": 1},
		},
		"a replica restarts, and only the last restarts count": {
			// The time of the restart is in the write that counts it.
			fate: failsFirst(137), until: 10 * time.Second, change: func(j *testv1.TestJob) {
				exitCode(j)
				j.Spec.RunPolicy.BackoffLimit, j.Spec.RunPolicy.BackoffLimitWindowSeconds = new(int32(3)), new(int64(60))
			},
			want: calls{"write the status of job": 2, "delete pod": 1, "create pod": 1, "read job": 1},
		},
		"the whole job restarts because a replica has used up its limit": {
			fate: failsFirst(137), until: 10 * time.Second, change: func(j *testv1.TestJob) {
				exitCode(j)
				restartsJob(0, nil)(j)
			},
			want: calls{"write the status of job": 3, "delete pod": n, "create pod": n, "read job": 1},
		},
		"the whole job restarts because its pods do not start in time": {
			// All its pods are read before: a cache may be old.
			fate: func(pod *corev1.Pod) Fate {
				return Fate{Waits: WaitsForImage, Stuck: attemptLabel(pod) == 0, Forever: true}
			}, until: 40 * time.Second, change: startsOrRestarts(nil),
			want: calls{"list pod": 1, "write the status of job": 3, "delete pod": n, "create pod": n, "read job": 1},
		},
		"success by the success policy": {
			// The first success is the job's; the others are counted, and the service goes with
			// the last pod that runs.
			until: 10500 * time.Millisecond, change: func(j *testv1.TestJob) {
				j.Spec.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyNone)
				j.Spec.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{{ReplicaType: testv1.Worker, Count: new(int32(1))}}}
			},
			want: calls{"write the status of job": 2, "delete service": 1, "read job": 1},
		},
		"success": {
			until: 10500 * time.Millisecond,
			// The first success is counted; the last is the job's.
			want: calls{"write the status of job": 2, "delete service": 1},
		},
		"success with cleanPodPolicy All": {
			until:  10500 * time.Millisecond,
			change: func(j *testv1.TestJob) { j.Spec.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyAll) },
			want:   calls{"write the status of job": 2, "delete service": 1, "delete pod": n},
		},
		"suspension": {
			fate: forever, until: time.Minute, do: edit(suspend(true)),
			want: calls{"write the status of job": 2, "delete pod": n, "delete service": 1},
		},
		"suspension that deletes volume claims": {
			fate: forever, change: claimed(deleteAllClaims()), until: time.Minute, do: edit(suspend(true)),
			want: calls{"write the status of job": 2, "delete pod": n, "delete service": 1, "delete persistentvolumeclaim": n},
		},
		"resume": {
			fate: forever, change: suspend(true), until: time.Minute, do: edit(suspend(false)),
			want: calls{"write the status of job": 2, "create pod": n, "create service": 1, "read job": 1},
		},
		"scaling down by 3": {
			fate: forever, until: time.Minute, do: edit(scaleTo(n - 3)),
			want: calls{"write the status of job": 1, "delete pod": 3},
		},
		"time to live": {
			change: func(j *testv1.TestJob) { j.Spec.RunPolicy.TTLSecondsAfterFinished = new(int32(60)) },
			until:  time.Minute, want: calls{"delete job": 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.replicas == 0 {
				tc.replicas = n
			}
			job := newJob("j", tc.replicas)
			if tc.change != nil {
				tc.change(job)
			}
			w := storyOf(t, withService{service: tc.service}, Options{Fate: tc.fate}, job)
			before := calls{}
			if tc.until > 0 {
				pass(t, w, tc.until)
				before = maps.Clone(w.served[jobKey])
			}
			if tc.do != nil {
				if err := tc.do(t.Context(), w.Client()); err != nil {
					t.Fatal(err)
				}
			}
			if tc.over == 0 {
				tc.over = 10 * time.Minute
			}
			pass(t, w, tc.over)
			got := calls{}
			for verb, n := range w.served[jobKey] {
				if n > before[verb] {
					got[verb] = n - before[verb]
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("the calls differ (-want +got):\n%s\n%s", diff, w.Transcript())
			}
		})
	}
}

// TestP10OneStatusWriteASecond lets the pods of a job start one after the other, 10 a
// second: the status is written once a second.
func TestP10OneStatusWriteASecond(t *testing.T) {
	w := story(t, Options{Fate: func(pod *corev1.Pod) Fate {
		_, index, _ := strings.Cut(pod.Name, "-worker-")
		var i int
		_, _ = fmt.Sscan(index, &i)
		return Fate{Start: time.Duration(2000+100*i) * time.Millisecond, Forever: true}
	}}, newJob("j", 40))
	pass(t, w, time.Minute)
	// It takes up the job, sees it run, and counts for four seconds.
	if got := w.served[jobKey]["write the status of job"]; got > 1+1+4+1 {
		t.Errorf("%d status writes in the 6 s in which 40 pods start, want at most 7:\n%s", got, w.Transcript())
	}
}

// poisonable is an author whose code fails as the job's label "poison" says.
type poisonable struct{ testjob.Controller }

func (p poisonable) SetClusterSpec(job *testv1.TestJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	switch job.Labels["poison"] {
	case "panic":
		panic("the author did not think of this")
	case "error":
		return errors.New("the author's code failed")
	case "mistake":
		return reconcile.TerminalError(errors.New("the user's mistake"))
	}
	return p.Controller.SetClusterSpec(job, r, template)
}

// TestP11Isolation runs healthy jobs next to poisonous ones: they end as soon as they
// do alone, with the same calls.
func TestP11Isolation(t *testing.T) {
	job := func(name, poison string, change ...func(*testv1.TestJob)) *testv1.TestJob {
		j := newJob(name, 3, append(change, exitCode)...)
		j.Labels = map[string]string{"poison": poison}
		j.Spec.TestReplicaSpecs[testv1.Worker].Template.Labels = map[string]string{"poison": poison}
		return j
	}
	healthy := []*testv1.TestJob{job("b-healthy", ""), job("m-healthy", ""), job("z-healthy", "")}
	poisonous := []*testv1.TestJob{
		job("a-panic", "panic"), job("c-error", "error"), job("d-mistake", "mistake"), job("e-invalid", "invalid"),
		job("f-denied", "denied"), job("g-overload", "overload"), job("h-broken", "broken"), job("n-taken", ""),
		job("o-name-"+strings.Repeat("x", 60), ""), job("p-empty", "", scaleTo(0)),
		job("q-crashes", "", func(j *testv1.TestJob) { j.Spec.RunPolicy.BackoffLimit = new(int32(5)) }),
		job("y-quota", "", func(j *testv1.TestJob) { j.Namespace = "poor" }),
	}
	run := func(jobs ...*testv1.TestJob) *World {
		w := storyOf(t, poisonable{}, Options{Admit: poisoned, Fate: func(pod *corev1.Pod) Fate {
			if strings.HasPrefix(pod.Name, "q-crashes") || attemptLabel(pod) == 0 && strings.HasSuffix(pod.Name, "-0") {
				return Fate{Start: time.Second, Run: time.Second, Exits: []int32{137}}
			}
			return Fate{Start: time.Second, Run: time.Minute}
		}})
		w.SetQuota("poor", 0)
		if err := foreign("n-taken-worker-0")(t.Context(), w.Client()); err != nil {
			t.Fatal(err)
		}
		for _, j := range jobs {
			if err := w.Client().Create(t.Context(), j.DeepCopy()); err != nil {
				t.Fatal(err)
			}
		}
		pass(t, w, time.Hour) // those that meet errors of the server never come to rest
		return w
	}
	alone, together := run(healthy...), run(append(poisonous, healthy...)...)
	for _, j := range healthy {
		want, got := read(t, alone, j.Name).Status, read(t, together, j.Name).Status
		if got.State != commonv1.JobSucceeded || got.Restarts != 1 || got.CompletionTime.Sub(want.CompletionTime.Time) > time.Second {
			t.Errorf("%s is %s after %d restarts, at %v; alone it ended at %v", j.Name, got.State, got.Restarts, got.CompletionTime, want.CompletionTime)
		}
		key := client.ObjectKeyFromObject(j)
		if diff := cmp.Diff(alone.served[key], together.served[key]); diff != "" {
			t.Errorf("%s takes other calls than alone (-alone +together):\n%s", j.Name, diff)
		}
	}
	for _, j := range poisonous {
		var got testv1.TestJob
		if err := together.Client().Get(t.Context(), client.ObjectKeyFromObject(j), &got); err != nil {
			t.Fatal(err)
		}
		if got.Status.State == commonv1.JobSucceeded {
			t.Errorf("%s is no poison: it succeeded", j.Name)
		}
	}
	if t.Failed() {
		t.Log("\n" + together.Transcript())
	}
}

// poisoned refuses pods as their label "poison" says.
func poisoned(o client.Object) error {
	if _, ok := o.(*corev1.Pod); !ok {
		return nil
	}
	return refuse(o.GetLabels()["poison"], o.GetName())
}

// refuse is what the server or a webhook answers to a create.
func refuse(kind, name string) error {
	switch kind {
	case "invalid":
		return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), name, field.ErrorList{
			field.Invalid(field.NewPath("spec", "containers").Index(0).Child("image"), "", "must not be empty"),
		})
	case "denied":
		return apierrors.NewForbidden(corev1.Resource("pods"), name, errors.New("admission webhook \"policy.example.com\" denied the request"))
	case "overload":
		return apierrors.NewTooManyRequests("try again later", 30)
	case "policy":
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid,
			Message: fmt.Sprintf("pods %q is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no", name),
			Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{{Message: "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no"}}},
		}}
	case "webhook 404":
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Status: metav1.StatusFailure, Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound,
			Message: `admission webhook "policy.example.com" denied the request: no such team`,
		}}
	case "not served":
		return apierrors.NewNotFound(corev1.Resource("pods"), name)
	case "too large":
		return apierrors.NewRequestEntityTooLargeError("limit is 3145728")
	case "broken":
		return apierrors.NewInternalError(errors.New("failed calling webhook \"policy.example.com\": connection refused"))
	}
	return nil
}

// TestP5LongCreate changes a job in the middle of a long create: at most one batch is
// created for what it no longer is.
func TestP5LongCreate(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(context.Context, client.Client) error
		most int // pods created
	}{
		"suspended": {do: edit(suspend(true)), most: 8 + 32 + 128},
		"deleted":   {do: deleteJob(metav1.DeletePropagationBackground), most: 8 + 32 + 128},
		"scaled":    {do: edit(scaleTo(3)), most: 8 + 32 + 128},
	} {
		t.Run(name, func(t *testing.T) {
			w := story(t, Options{Fate: forever}, newJob("j", 600))
			done := false
			w.denies = func(op call) error {
				if op.verb == "create" && op.key.Name == "j-worker-99" && !done {
					done = true
					return tc.do(t.Context(), w.Client())
				}
				return nil
			}
			pass(t, w, 10*time.Minute)
			if got := w.served[jobKey]["create pod"]; !done || got > tc.most {
				t.Errorf("%d pods were created, want at most %d", got, tc.most)
			}
		})
	}
}

// TestP5PausedLeader stops a leader in the middle of a long create. When it goes on,
// another has finished the job: nothing more is created.
func TestP5PausedLeader(t *testing.T) {
	w := story(t, Options{Operators: 2, Chance: &Chance{script: map[int]Fault{60: Paused}}, Fate: func(*corev1.Pod) Fate {
		return Fate{Start: time.Second, Run: 2 * time.Second}
	}}, newJob("j", 300))
	rest(t, w)
	if got := read(t, w, "j").Status; got.State != commonv1.JobSucceeded {
		t.Fatalf("the job is %s", got.State)
	}
	_, after, found := strings.Cut(w.Transcript(), ": goes on")
	if !found {
		t.Fatal("no leader was paused")
	}
	if n := strings.Count(after, ": create pod"); n > 1 {
		t.Errorf("%d pods were created after the pause, want at most the one that was under way:\n%s", n, after)
	}
}

// TestP10RefusedWrites has the server refuse the updates, deletes, creates or status
// writes of the operator for some minutes, while the pods of the job come and go. The
// monitor checks that nothing is tried again at once.
func TestP10RefusedWrites(t *testing.T) {
	for _, verb := range []string{"create", "patch", "delete", "write the status of"} {
		for _, kind := range []string{"denied", "policy", "webhook 404", "too large"} {
			t.Run(verb+" "+kind, func(t *testing.T) {
				w := story(t, Options{Fate: failsFirst(137, 137, 137)}, newJob("j", 3, exitCode))
				until := w.now.Add(3 * time.Minute)
				w.denies = func(op call) error {
					if op.verb == verb && w.now.After(w.start.Add(2*time.Second)) && w.now.Before(until) {
						return refuse(kind, op.key.Name)
					}
					return nil
				}
				w.At(5*time.Second, "gives the service another port", edit(func(j *testv1.TestJob) {
					main := &j.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Containers[0]
					main.Ports = append(main.Ports, corev1.ContainerPort{Name: "extra", ContainerPort: 8080})
				}))
				w.At(20*time.Second, "deletes a pod", deletePod("j-worker-1"))
				w.At(time.Minute, "scales down", edit(scaleTo(2)))
				w.At(20*time.Minute, "suspends", edit(suspend(true)))
				rest(t, w)
				warnings := 0
				for _, e := range w.events {
					if e.Warning && strings.Contains(e.Reason, "Refused") {
						warnings++
					}
				}
				// A job that is edited meanwhile may be stalled again; a status cannot say that it was reported.
				if most := map[string]int{"write the status of": 9}[verb]; warnings == 0 || warnings > max(most, 3) {
					t.Errorf("%d warnings:\n%s", warnings, w.Transcript())
				}
			})
		}
	}
}

// TestP12ErrorsNeverFailAJob has every call of a kind fail for a minute, in each way. The job goes on when that is over, and ends well.
func TestP12ErrorsNeverFailAJob(t *testing.T) {
	for _, verb := range []string{"create pod", "create service", "delete pod", "delete service", "write the status of testjob", "read testjob"} {
		for _, fault := range []Fault{LostReply, Timeout, Conflict, TooManyRequests, ServerError} {
			t.Run(verb+" "+string(fault), func(t *testing.T) {
				w := story(t, Options{Fate: failsFirst137ThenSucceeds}, newJob("j", 3, exitCode))
				w.outages = []outage{{over: w.now.Add(time.Minute), fault: fault, hits: func(op call) bool {
					return op.verb+" "+strings.ToLower(op.table.gvk.Kind) == verb
				}}}
				rest(t, w)
				if got := read(t, w, "j").Status; got.State != commonv1.JobSucceeded || got.Restarts != 1 {
					t.Errorf("the job is %s after %d restarts, want Succeeded after 1:\n%s", got.State, got.Restarts, w.Transcript())
				}
			})
		}
	}
}

func failsFirst137ThenSucceeds(pod *corev1.Pod) Fate {
	if attemptLabel(pod) == 0 && pod.Labels[commonv1.ReplicaIndexLabel] == "0" {
		return Fate{Start: time.Second, Run: 5 * time.Second, Exits: []int32{137}}
	}
	return Fate{Start: time.Second, Run: 10 * time.Second}
}

// TestP12MistakesFailAJob makes mistakes of the user: the job fails, and its
// condition names the field and the fix.
func TestP12MistakesFailAJob(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*testv1.TestJob)
		want   []string
	}{
		"a container of another name": {
			change: func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Containers[0].Name = "x" },
			want:   []string{"spec.testReplicaSpecs[Worker].template.spec.containers", "name the main container \"test-container\""},
		},
		"no replicas": {
			change: scaleTo(0),
			want:   []string{"spec.testReplicaSpecs", "to 1 or more"},
		},
		"a name that is too long": {
			change: func(j *testv1.TestJob) { j.Name = "j" + strings.Repeat("j", 60) },
			want:   []string{"metadata.name", "use a name of at most"},
		},
		"a pod that the API server finds invalid": {
			change: func(j *testv1.TestJob) {
				j.Spec.TestReplicaSpecs[testv1.Worker].Template.Labels = map[string]string{"poison": "invalid"}
			},
			want: []string{"spec.containers[0].image", "must not be empty"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			job := newJob("j", 2, tc.change)
			w := story(t, Options{Admit: poisoned}, job)
			rest(t, w)
			got := read(t, w, job.Name).Status.Condition(commonv1.JobFailed)
			if got == nil {
				t.Fatalf("the job has not failed:\n%s", w.Transcript())
			}
			for _, part := range tc.want {
				if !strings.Contains(got.Message, part) {
					t.Errorf("the message does not say %q: %s", part, got.Message)
				}
			}
		})
	}
}

// TestP5ResumedJobRunsAll: a pod of before the suspension that a finalizer keeps is no success of the
// run that was resumed: its replica runs again.
func TestP5ResumedJobRunsAll(t *testing.T) {
	job := newJob("j", 2)
	job.Spec.TestReplicaSpecs[testv1.Worker].Template.Finalizers = []string{"example.com/keep"}
	w := story(t, Options{Fate: func(p *corev1.Pod) Fate {
		if p.Name == "j-worker-1" {
			return Fate{Start: time.Second, Run: 5 * time.Second}
		}
		return Fate{Start: time.Second, Run: 10 * time.Minute}
	}}, job)
	w.At(20*time.Second, "suspends", edit(suspend(true)))
	w.At(30*time.Second, "resumes", edit(suspend(false)))
	again := false
	for i := range 40 {
		w.At(time.Duration(40+20*i)*time.Second, "removes finalizers", func(ctx context.Context, c client.Client) error {
			pod := &corev1.Pod{}
			if err := c.Get(ctx, client.ObjectKey{Namespace: jobKey.Namespace, Name: "j-worker-1"}, pod); err == nil && i > 0 {
				again = true
			}
			return dropFinalizers(ctx, c)
		})
	}
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !again {
		t.Errorf("Worker 1 of the resumed job is never created\n%s", w.Transcript())
	}
}
