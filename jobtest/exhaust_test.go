package jobtest

import (
	"context"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/gang/schedulers"
)

// small is a job of at most three replicas, what becomes of its pods, and what its
// users do.
type small struct {
	name string
	// brief makes it one of those that every test run tries; "make sim" tries all.
	brief   bool
	workers int32
	policy  commonv1.RestartPolicy
	change  func(*testv1.TestJob)
	// exits are the exit codes of the attempts of replica 0; all others succeed.
	exits []int32
	// of is the replica type whose replica 0 that is; empty is all.
	of    commonv1.ReplicaType
	evict bool
	// readiness is that of all pods (see Fate).
	readiness []time.Duration
	// hangs and reports are those of the first pod of replica 0 (see Fate).
	hangs   time.Duration
	reports []time.Duration
	// disrupted ends the first pod of replica 0 from outside, for this reason.
	disrupted string
	// graceful makes pods exit with code 0 when they are stopped; clocks is how far the
	// clocks of the nodes are ahead.
	graceful bool
	clocks   time.Duration
	// lasts is how long pods of replica 0 run. Default: 10 seconds.
	lasts time.Duration
	// waits is what the first pod of replica 0 waits for, until start, or permanently if it is
	// stuck.
	waits Waits
	start time.Duration
	stuck bool
	// forever makes all pods run until they are deleted.
	forever bool
	users   func(*World)
	// gang is the name of the gang scheduler, if the job has one.
	gang string
	// service is the ordinary service of the Workers, if they have one.
	service *jobkit.RoleService
	// want is what must have become of the job in the end: its state, or "" if it
	// must be gone, and how many restarts it must have had.
	want     commonv1.JobConditionType
	restarts int32
	// attempt is how often it must have been restarted as a whole at least, if nothing
	// goes wrong. With a fault the pods may not be there yet, or the status not say so.
	attempt int32
}

var smallJobs = []small{
	{name: "succeeds", brief: true, workers: 3, want: commonv1.JobSucceeded},
	{name: "a permanent failure", workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{1}, want: commonv1.JobFailed},
	{name: "a retried failure", brief: true, workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{130}, want: commonv1.JobSucceeded, restarts: 1},
	{name: "two retried failures", workers: 1, policy: commonv1.RestartPolicyExitCode, exits: []int32{130, 137}, want: commonv1.JobSucceeded, restarts: 2},
	{name: "an eviction", workers: 2, policy: commonv1.RestartPolicyOnFailure, evict: true, want: commonv1.JobSucceeded, restarts: 1},
	{
		name: "a restart of the whole job", brief: true, workers: 3, policy: commonv1.RestartPolicyExitCode, exits: []int32{130}, want: commonv1.JobSucceeded, restarts: 1,
		change: func(j *testv1.TestJob) { j.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob) },
	},
	{
		name: "backoffLimit is reached", brief: true, workers: 1, policy: commonv1.RestartPolicyExitCode, exits: []int32{130, 130, 130}, want: commonv1.JobFailed, restarts: 1,
		change: func(j *testv1.TestJob) { j.Spec.RunPolicy.BackoffLimit = new(int32(1)) },
	},
	{
		name: "the deadline passes", brief: true, workers: 2, forever: true, want: commonv1.JobFailed,
		change: func(j *testv1.TestJob) { j.Spec.RunPolicy.ActiveDeadlineSeconds = new(int64(5)) },
	},
	{
		name: "an image comes late", brief: true, workers: 2, waits: WaitsForImage, start: 70 * time.Second, want: commonv1.JobSucceeded,
	},
	{
		name: "an image does not exist", workers: 2, waits: WaitsForImage, stuck: true, want: commonv1.JobFailed,
		change: func(j *testv1.TestJob) { j.Spec.RunPolicy.ActiveDeadlineSeconds = new(int64(60)) },
	},
	{
		name: "an image does not come in time", brief: true, workers: 2, waits: WaitsForImage, stuck: true, want: commonv1.JobFailed,
		change: func(j *testv1.TestJob) { j.Spec.RunPolicy.StartDeadlineSeconds = new(int64(45)) },
	},
	{
		name: "an image does not come in time, and the job restarts", brief: true, workers: 2, waits: WaitsForImage, stuck: true,
		want: commonv1.JobSucceeded, restarts: 1, attempt: 1, change: startsOrRestarts(nil),
	},
	{
		name: "a node is not found in time, and the job may not restart", brief: true, workers: 1, waits: WaitsForRoom, stuck: true, want: commonv1.JobFailed,
		change: startsOrRestarts(new(int32(0))),
	},
	{
		name: "an init container is late in a gang, and the job restarts", gang: "volcano", workers: 2, waits: WaitsForInit, stuck: true,
		want: commonv1.JobSucceeded, restarts: 1, attempt: 1, change: startsOrRestarts(new(int32(1))),
	},
	{
		name: "an image comes in time", workers: 2, waits: WaitsForImage, start: 40 * time.Second, want: commonv1.JobSucceeded,
		change: func(j *testv1.TestJob) { j.Spec.RunPolicy.StartDeadlineSeconds = new(int64(45)) },
	},
	{
		name: "a claim is bound late", workers: 1, waits: WaitsForClaim, start: 70 * time.Second, want: commonv1.JobSucceeded,
	},
	{
		name: "an init container fails for a while and the job is suspended", workers: 1, waits: WaitsForInit, start: 100 * time.Second, want: commonv1.JobSucceeded,
		users: func(w *World) {
			w.At(40*time.Second, "suspends", edit(suspend(true)))
			w.At(45*time.Second, "resumes", edit(suspend(false)))
		},
	},
	{
		name: "a replica is not ready any more", brief: true, workers: 2, hangs: 5 * time.Second, want: commonv1.JobSucceeded, restarts: 1,
		change: hanging(commonv1.ProgressSourceReadiness, commonv1.ProgressActionRestartReplica),
	},
	{
		name: "a replica is not ready any more and the whole job restarts", workers: 2, hangs: 5 * time.Second, want: commonv1.JobSucceeded, restarts: 1, attempt: 1,
		change: hanging(commonv1.ProgressSourceReadiness, commonv1.ProgressActionRestartJob),
	},
	{
		name: "a replica reports no more", brief: true, workers: 2, hangs: 25 * time.Second, lasts: 30 * time.Second,
		reports: []time.Duration{2 * time.Second, 4 * time.Second, 20 * time.Second}, want: commonv1.JobSucceeded, restarts: 1,
		change: hanging(commonv1.ProgressSourceReport, commonv1.ProgressActionRestartJob),
	},
	{
		name: "a replica never reports and the job fails", workers: 1, forever: true, want: commonv1.JobFailed,
		change: hanging(commonv1.ProgressSourceReport, commonv1.ProgressActionFailJob),
	},
	{
		name: "a hang is one too many", workers: 1, hangs: 5 * time.Second, want: commonv1.JobFailed,
		change: func(j *testv1.TestJob) {
			hanging(commonv1.ProgressSourceReadiness, commonv1.ProgressActionRestartReplica)(j)
			j.Spec.RunPolicy.BackoffLimit = new(int32(0))
		},
	},
	{
		name: "the time to live passes", brief: true, workers: 1, want: "",
		change: func(j *testv1.TestJob) { j.Spec.RunPolicy.TTLSecondsAfterFinished = new(int32(0)) },
	},
	{
		name: "the time to live passes later", workers: 1, want: "",
		change: func(j *testv1.TestJob) { j.Spec.RunPolicy.TTLSecondsAfterFinished = new(int32(3)) },
	},
	{
		name: "restarts that are older than the window", workers: 1, policy: commonv1.RestartPolicyExitCode, exits: []int32{130, 130, 130},
		want: commonv1.JobSucceeded, restarts: 3,
		change: func(j *testv1.TestJob) {
			j.Spec.RunPolicy.BackoffLimit, j.Spec.RunPolicy.BackoffLimitWindowSeconds = new(int32(1)), new(int64(5))
		},
	},
	{
		name: "restarts within the window", brief: true, workers: 1, policy: commonv1.RestartPolicyExitCode, exits: []int32{130, 130, 130},
		want: commonv1.JobFailed, restarts: 1,
		change: func(j *testv1.TestJob) {
			j.Spec.RunPolicy.BackoffLimit, j.Spec.RunPolicy.BackoffLimitWindowSeconds = new(int32(1)), new(int64(3600))
		},
	},
	{
		name: "a replica uses up its limit, and the job restarts", brief: true, workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{130, 130},
		want: commonv1.JobSucceeded, restarts: 2, attempt: 1,
		change: restartsJob(1, nil),
	},
	{
		name: "a replica uses up its limit in the window, again and again", workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{130, 130, 130},
		want: commonv1.JobFailed, restarts: 1, attempt: 1,
		change: func(j *testv1.TestJob) {
			restartsJob(0, new(int32(1)))(j)
			j.Spec.RunPolicy.BackoffLimitWindowSeconds = new(int64(3600))
		},
	},
	{
		name: "a replica uses up its limit in place", workers: 2, policy: commonv1.RestartPolicyOnFailure, exits: []int32{1},
		want: commonv1.JobSucceeded, restarts: 1, attempt: 1,
		change: restartsJob(0, new(int32(1))),
	},
	{
		name: "one of a count of workers succeeds by the success policy", brief: true, workers: 3, policy: commonv1.RestartPolicyExitCode,
		exits: []int32{130}, want: commonv1.JobSucceeded, restarts: 1,
		change: func(j *testv1.TestJob) {
			j.Spec.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{
				{ReplicaType: testv1.Worker, Count: new(int32(3))}, {ReplicaType: testv1.Worker, Indexes: new("0")},
			}}
		},
	},
	{
		name: "a success policy, scaled below and back", workers: 2, want: commonv1.JobSucceeded,
		change: func(j *testv1.TestJob) {
			j.Spec.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{{ReplicaType: testv1.Worker, Indexes: new("1")}}}
		},
		users: func(w *World) {
			w.At(3*time.Second, "scales to 1", edit(scaleTo(1)))
			w.At(6*time.Second, "scales to 2", edit(scaleTo(2)))
		},
	},
	{
		name: "suspended and resumed", brief: true, workers: 2, want: commonv1.JobSucceeded,
		users: func(w *World) {
			w.At(5*time.Second, "suspends", edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = new(true) }))
			w.At(8*time.Second, "resumes", edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = nil }))
		},
	},
	{
		name: "a retried failure with volume claims", brief: true, workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{130}, want: commonv1.JobSucceeded, restarts: 1,
		change: claimed(nil),
	},
	{
		name: "volume claims that are deleted", workers: 2, want: commonv1.JobSucceeded, change: claimed(deleteAllClaims()),
		users: func(w *World) {
			w.At(3*time.Second, "scales to 1", edit(scaleTo(1)))
			w.At(5*time.Second, "suspends", edit(suspend(true)))
			w.At(8*time.Second, "resumes", edit(suspend(false)))
		},
	},
	{
		name: "scaled down", brief: true, workers: 3, want: commonv1.JobSucceeded,
		users: func(w *World) { w.At(3*time.Second, "scales to 1", edit(scaleTo(1))) },
	},
	{
		name: "scaled down and up", workers: 2, want: commonv1.JobSucceeded,
		users: func(w *World) {
			scale := func(n int32) func(*testv1.TestJob) {
				return func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = &n }
			}
			w.At(3*time.Second, "scales to 1", edit(scale(1)))
			w.At(6*time.Second, "scales to 3", edit(scale(3)))
		},
	},
	{
		name: "deleted", workers: 2, want: "",
		users: func(w *World) {
			w.At(5*time.Second, "deletes the job", deleteJob(metav1.DeletePropagationBackground))
		},
	},
	{
		name: "a pod is deleted", workers: 2, want: commonv1.JobSucceeded,
		users: func(w *World) { w.At(5*time.Second, "deletes a pod", deletePod("j-worker-0")) },
	},
	{
		name: "a pod is deleted that exits with 0", brief: true, workers: 2, graceful: true, want: commonv1.JobSucceeded,
		users: func(w *World) { w.At(5*time.Second, "deletes a pod", deletePod("j-worker-0")) },
	},
	{
		name: "pods that exit with 0 are suspended and resumed", workers: 2, graceful: true, want: commonv1.JobSucceeded,
		users: func(w *World) {
			w.At(5*time.Second, "suspends", edit(suspend(true)))
			w.At(5500*time.Millisecond, "resumes", edit(suspend(false)))
		},
	},
	{
		name: "a pod is deleted on a node whose clock is behind", workers: 2, clocks: -3 * time.Second, want: commonv1.JobSucceeded,
		users: func(w *World) { w.At(5*time.Second, "deletes a pod", deletePod("j-worker-0")) },
	},
	{
		name: "two failures on nodes whose clocks are ahead", workers: 1, clocks: time.Hour, policy: commonv1.RestartPolicyExitCode,
		exits: []int32{130, 137}, want: commonv1.JobSucceeded, restarts: 2,
	},
	{
		name: "a preempted gang", brief: true, workers: 2, policy: commonv1.RestartPolicyExitCode, want: commonv1.JobSucceeded, restarts: 1, attempt: 1,
		disrupted: "PreemptionByScheduler",
		change:    func(j *testv1.TestJob) { j.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob) },
	},
	{
		name: "a preempted replica", workers: 2, policy: commonv1.RestartPolicyOnFailure, want: commonv1.JobSucceeded, restarts: 1, graceful: true,
		disrupted: "EvictionByEvictionAPI",
	},
	{
		name: "a pod of a gang is deleted", brief: true, workers: 2, want: commonv1.JobSucceeded, attempt: 1,
		change: func(j *testv1.TestJob) { j.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob) },
		users:  func(w *World) { w.At(6*time.Second, "deletes a pod", deletePod("j-worker-0")) },
	},
	{
		name: "a pod of a gang is deleted by force", workers: 2, want: commonv1.JobSucceeded, attempt: 1,
		change: func(j *testv1.TestJob) { j.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob) },
		users:  func(w *World) { w.At(6*time.Second, "deletes a pod by force", deletePodByForce("j-worker-0")) },
	},
	{
		name: "a service for each replica", workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{255}, want: commonv1.JobSucceeded, restarts: 1,
		change: func(j *testv1.TestJob) {
			j.Spec.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica)
			j.Spec.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyAll)
		},
	},
	{
		name: "workers with a service of their own are suspended and resumed", brief: true, workers: 1, want: commonv1.JobSucceeded,
		service: &jobkit.RoleService{Type: corev1.ServiceTypeLoadBalancer},
		users: func(w *World) {
			w.At(5*time.Second, "suspends", edit(suspend(true)))
			w.At(8*time.Second, "resumes", edit(suspend(false)))
		},
	},
	{
		name: "a replica of a job in a queue has succeeded before another restarts", brief: true, workers: 2, policy: commonv1.RestartPolicyExitCode,
		exits: []int32{137}, lasts: 20 * time.Second, want: commonv1.JobSucceeded, restarts: 1,
		change: func(j *testv1.TestJob) { j.Labels = map[string]string{queueLabel: "q"} },
	},
	{
		name: "replicas with ports of their nodes restart", brief: true, workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{137},
		want: commonv1.JobSucceeded, restarts: 1, change: onHosts(2),
	},
	{
		name: "a gang of Kubernetes restarts as a whole", brief: true, gang: "kubernetes", workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{130},
		want: commonv1.JobSucceeded, restarts: 1,
		change: func(j *testv1.TestJob) { j.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob) },
	},
	{
		name: "a gang of Volcano is suspended and resumed", brief: true, gang: "volcano", workers: 2, want: commonv1.JobSucceeded,
		users: func(w *World) {
			w.At(5*time.Second, "suspends", edit(suspend(true)))
			w.At(8*time.Second, "resumes", edit(suspend(false)))
		},
	},
	{
		name: "a gang of coscheduling is scaled", gang: "coscheduling", workers: 2, want: commonv1.JobSucceeded,
		users: func(w *World) {
			w.At(3*time.Second, "scales to 1", edit(scaleTo(1)))
			w.At(6*time.Second, "scales to 3", edit(scaleTo(3)))
		},
	},
	{
		name: "workers restart together", brief: true, workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{130, 137}, of: testv1.Worker,
		want: commonv1.JobSucceeded, restarts: 2,
		change: func(j *testv1.TestJob) {
			j.Spec.TestReplicaSpecs[testv1.Worker].RestartScope = new(commonv1.RestartScopeRole)
		},
	},
	{
		name: "a failed master restarts all, a failed worker itself", brief: true, workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{130},
		want: commonv1.JobSucceeded, restarts: 1, of: testv1.Master, change: headAndWorkers,
	},
	{
		name: "workers have a limit of their own", brief: true, workers: 1, policy: commonv1.RestartPolicyExitCode, exits: []int32{130, 130, 130}, of: testv1.Worker,
		want: commonv1.JobFailed, restarts: 1, lasts: time.Second,
		change: func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].BackoffLimit = new(int32(1)) },
	},
	{
		name: "a pod of workers that restart together is deleted", brief: true, workers: 2, want: commonv1.JobSucceeded,
		change: func(j *testv1.TestJob) {
			j.Spec.TestReplicaSpecs[testv1.Worker].RestartScope = new(commonv1.RestartScopeRole)
		},
		users: func(w *World) { w.At(6*time.Second, "deletes a pod", deletePod("j-worker-0")) },
	},
	{
		name: "workers start when the master is ready", brief: true, workers: 1, forever: true, readiness: []time.Duration{2 * time.Second},
		want: commonv1.JobFailed, change: func(j *testv1.TestJob) {
			ordered(commonv1.StartAfterReady)(j)
			j.Spec.RunPolicy.ActiveDeadlineSeconds = new(int64(20))
		},
	},
	{
		name: "workers start when the master has succeeded, in each attempt of the job", workers: 1, policy: commonv1.RestartPolicyExitCode,
		exits: []int32{130}, of: testv1.Worker, want: commonv1.JobSucceeded, restarts: 1,
		change: func(j *testv1.TestJob) {
			ordered(commonv1.StartAfterSucceeded)(j)
			then, first := j.Spec.TestReplicaSpecs[testv1.Worker], j.Spec.TestReplicaSpecs[testv1.Master]
			then.StartAfter, first.StartAfter = nil, &commonv1.StartAfter{ReplicaType: testv1.Worker, State: commonv1.StartAfterSucceeded}
			j.Spec.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
		},
	},
	{
		name: "a master that flaps is lost before its workers have started", brief: true, workers: 2, policy: commonv1.RestartPolicyExitCode,
		exits: []int32{137}, of: testv1.Master, want: commonv1.JobSucceeded, restarts: 1,
		readiness: []time.Duration{2 * time.Second, 3 * time.Second, 5 * time.Second},
		change:    ordered(commonv1.StartAfterReady),
	},
	{
		name: "a gang of Volcano in order", brief: true, gang: "volcano", workers: 2, want: commonv1.JobSucceeded, change: ordered(commonv1.StartAfterRunning),
	},
	{
		name: "a gang of coscheduling in order", gang: "coscheduling", workers: 2, want: commonv1.JobSucceeded, change: ordered(commonv1.StartAfterReady),
	},
	{
		name: "a gang of Kubernetes in order is suspended and resumed", gang: "kubernetes", workers: 1, want: commonv1.JobSucceeded,
		change: ordered(commonv1.StartAfterReady), readiness: []time.Duration{2 * time.Second},
		users: func(w *World) {
			w.At(5*time.Second, "suspends", edit(suspend(true)))
			w.At(8*time.Second, "resumes", edit(suspend(false)))
		},
	},
	{
		name: "a gang of Volcano waits for room", gang: "volcano", workers: 2, policy: commonv1.RestartPolicyExitCode, exits: []int32{130},
		want: commonv1.JobSucceeded, restarts: 1,
		users: func(w *World) { actRoom(nil, w, 0, nil) },
	},
}

// withMaster adds a master, which decides over the job.
func withMaster(j *testv1.TestJob) {
	first := j.Spec.TestReplicaSpecs[testv1.Worker].DeepCopy()
	first.Replicas = new(int32(1))
	j.Spec.TestReplicaSpecs[testv1.Master] = first
}

// headAndWorkers makes a job of a head, whose failure restarts all, and workers, which
// start when it runs, and whose failures restart themselves.
func headAndWorkers(j *testv1.TestJob) {
	ordered(commonv1.StartAfterReady)(j)
	j.Spec.TestReplicaSpecs[testv1.Master].RestartScope = new(commonv1.RestartScopeJob)
	for t := range j.Spec.TestReplicaSpecs {
		j.Spec.TestReplicaSpecs[t].BackoffLimit = new(int32(3))
	}
}

// ordered adds a master with a readiness probe, after which the workers start. The master
// decides over the job.
func ordered(state commonv1.StartAfterState) func(*testv1.TestJob) {
	return func(j *testv1.TestJob) {
		withMaster(j)
		then := j.Spec.TestReplicaSpecs[testv1.Worker]
		j.Spec.TestReplicaSpecs[testv1.Master].Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
		then.StartAfter = &commonv1.StartAfter{ReplicaType: testv1.Master, State: state}
	}
}

// startsOrRestarts has a job restart whose pods do not start in time.
func startsOrRestarts(most *int32) func(*testv1.TestJob) {
	return func(j *testv1.TestJob) {
		p := &j.Spec.RunPolicy
		p.StartDeadlineSeconds, p.OnStartDeadline, p.MaxJobRestarts = new(int64(45)), new(commonv1.StartDeadlineRestartJob), most
	}
}

// restartsJob has a replica that uses up its limit restart the job.
func restartsJob(limit int32, most *int32) func(*testv1.TestJob) {
	return func(j *testv1.TestJob) {
		p := &j.Spec.RunPolicy
		p.BackoffLimitPerReplica, p.MaxJobRestarts = &limit, most
		p.OnBackoffLimitPerReplica = new(commonv1.BackoffLimitPerReplicaRestartJob)
	}
}

// fate is what becomes of a pod of the job.
func (s *small) fate(pod *corev1.Pod) Fate {
	f := Fate{Start: time.Second, Run: 10 * time.Second, Forever: s.forever, Graceful: s.graceful, Readiness: s.readiness}
	if pod.Labels[commonv1.ReplicaIndexLabel] != "0" || s.of != "" && pod.Labels[commonv1.ReplicaTypeLabel] != strings.ToLower(string(s.of)) {
		return f
	}
	if s.lasts > 0 {
		f.Run = s.lasts
	}
	attempt := int(attemptLabel(pod))
	if attempt == 0 && s.waits != "" {
		f.Waits, f.Start, f.Stuck = s.waits, s.start, s.stuck
	}
	if attempt == 0 {
		f.Hangs, f.Reports = s.hangs, s.reports
	}
	f.Evicted = s.evict && attempt == 0
	if attempt == 0 {
		f.Disrupted = s.disrupted
	}
	if attempt < len(s.exits) {
		f.Exits = s.exits[attempt : attempt+1]
	}
	return f
}

// run is a run of the job. Whatever goes wrong, its end must be the same.
func (s *small) run(operators int) Scenario {
	return func(c *Chance) error {
		w, err := NewWorld[*testv1.TestJob](withService{service: s.service}, testScheme, Options{
			Chance: c, Fate: s.fate, Operators: operators, Gang: schedulers.ByName(s.gang, schedulers.Options{}),
		})
		if err != nil {
			return err
		}
		groups := playGang(w, s.gang)
		for _, node := range []string{"node-0", "node-1", "node-2"} {
			w.SetNodeClock(node, s.clocks)
		}
		if s.users != nil {
			s.users(w)
		}
		job := newJob(jobKey.Name, s.workers, func(j *testv1.TestJob) {
			j.Spec.TestReplicaSpecs[testv1.Worker].RestartPolicy = s.policy
			if s.change != nil {
				s.change(j)
			}
		})
		if err := w.Client().Create(context.Background(), job); err != nil {
			return err
		}
		if err := w.Run(context.Background()); err != nil {
			return err
		}
		if groups != nil {
			groups.atRest()
		}
		return s.check(w)
	}
}

func (s *small) check(w *World) error {
	var got testv1.TestJob
	err := w.Client().Get(context.Background(), jobKey, &got)
	switch {
	case s.want == "" && err == nil:
		w.violatef("outcome", "the job is %s, want it gone", got.Status.State)
	case s.want == "":
	case err != nil:
		w.violatef("outcome", "the job is gone, want it %s", s.want)
	case got.Status.Attempt < s.attempt && len(w.chance.script) == 0:
		w.violatef("outcome", "the job is at attempt %d, want %d: no new pod may meet an old one", got.Status.Attempt, s.attempt)
	case got.Status.State == s.want && got.Status.Restarts == 0 && s.disrupted != "":
		// What is disrupted is removed: an operator that is down then does not see why.
	case got.Status.State != s.want || got.Status.Restarts != s.restarts:
		w.violatef("outcome", "the job is %s after %d restarts, want %s after %d", got.Status.State, got.Status.Restarts, s.want, s.restarts)
	}
	return w.err()
}

// chosen are the small jobs to try.
func chosen() []small {
	if thorough() {
		return smallJobs
	}
	return slices.DeleteFunc(slices.Clone(smallJobs), func(s small) bool { return !s.brief })
}

// thorough reports whether many runs are wanted, as "make sim" wants them.
func thorough() bool { return os.Getenv(EnvRuns) != "" }

// alike are the faults that differ from a timeout by the error only; a short test
// leaves them out.
func alike() []Fault {
	if thorough() {
		return nil
	}
	return []Fault{TooManyRequests, ServerError}
}

// pairs is about how many pairs of faults the small jobs can meet. Two processors try all of them in
// half a day.
const pairs = 640_000

// pairsOf are the pairs of faults to try: about as many as runs are wanted, and others with another seed;
// in a short test one of 17 first faults, and with it one of 17 second ones.
func pairsOf(runs, seed string) exhaustion {
	e := exhaustion{faults: 2, every: 17}
	if n, err := strconv.Atoi(runs); err == nil && n > 0 {
		e.every = max(1, int(math.Sqrt(pairs/float64(n))+0.5))
	}
	if n, err := strconv.ParseUint(seed, 10, 64); err == nil {
		e.first = int(n % uint64(e.every))
	}
	return e
}

// TestPairsOf: another seed tries other pairs, and with many runs all are tried.
func TestPairsOf(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, runs, seed string
		want               exhaustion
	}{
		"Short":     {"a test run tries a few", "", "", exhaustion{faults: 2, every: 17}},
		"Many":      {"about a ninth of all, for 100,000 of 640,000", "100000", "", exhaustion{faults: 2, every: 3}},
		"OtherSeed": {"another ninth", "100000", "40000001", exhaustion{faults: 2, every: 3, first: 2}},
		"All":       {"more than there are", "1000000", "5", exhaustion{faults: 2, every: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, pairsOf(tc.runs, tc.seed), cmp.AllowUnexported(exhaustion{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestEveryFault runs small jobs with every fault at every call.
func TestEveryFault(t *testing.T) {
	for _, s := range chosen() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			exhaust(t, s.run(1), exhaustion{faults: 1, every: 1, but: alike()})
		})
	}
}

// TestEveryFaultWithTwoLeaders does the same with two processes that both act.
func TestEveryFaultWithTwoLeaders(t *testing.T) {
	every := 5
	if thorough() {
		every = 1
	}
	for _, s := range chosen() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			exhaust(t, s.run(2), exhaustion{faults: 1, every: every, but: alike()})
		})
	}
}

// TestEveryTwoFaults runs small jobs with pairs of faults: with a sample of them, unless more runs are wanted
// than there are pairs.
func TestEveryTwoFaults(t *testing.T) {
	e := pairsOf(os.Getenv(EnvRuns), os.Getenv(EnvSeed))
	for _, s := range chosen() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			exhaust(t, s.run(1), e)
		})
	}
}
