package conformance_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/jobtest/conformance"
)

type (
	job      = *testv1.TestJob
	template = *corev1.PodTemplateSpec
)

// progressJob is a kind with a status field of its own.
type progressJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec   testv1.TestJobSpec `json:"spec,omitzero"`
	Status progressStatus     `json:"status,omitzero"`
}

type progressStatus struct {
	commonv1.JobStatus `json:",inline"`

	Step int `json:"step,omitempty"`
}

func (p *progressJob) DeepCopyObject() runtime.Object {
	return &progressJob{
		TypeMeta: p.TypeMeta, ObjectMeta: *p.ObjectMeta.DeepCopy(), Spec: *p.Spec.DeepCopy(), //nolint:staticcheck // the part that is copied is named
		Status: progressStatus{JobStatus: *p.Status.JobStatus.DeepCopy(), Step: p.Status.Step}, //nolint:staticcheck // the part that is copied is named
	}
}

// progress reports the step.
type progress struct {
	jobkit.Defaults[*progressJob]

	step func(was int, tally *jobkit.Tally) int
}

func (progress) Kind() jobkit.Kind {
	kind := testjob.Controller{}.Kind()
	kind.ReplicaSpecsField = "testReplicaSpecs"
	return kind
}

func (progress) Parts(j *progressJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &j.Spec.RunPolicy, ReplicaSpecs: j.Spec.TestReplicaSpecs, Status: &j.Status.JobStatus}
}

func (p progress) ReportStatus(j *progressJob, tally *jobkit.Tally) []jobkit.Event {
	j.Status.Step = p.step(j.Status.Step, tally)
	return nil
}

// TestProgress: a status of one's own that follows from the tally is right; one that changes at
// each call is found by its case in each part of the suite.
func TestProgress(t *testing.T) {
	t.Parallel()
	j := &progressJob{Spec: testJob().Spec}
	t.Run("Right", func(t *testing.T) {
		t.Parallel()
		conformance.Run(t, progress{step: func(_ int, tally *jobkit.Tally) int { return tally.CountReady() }}, j)
	})
	var calls atomic.Int64
	for name, tc := range map[string]struct {
		step          func(int, *jobkit.Tally) int
		promise, says string
	}{
		"Stable":  {func(int, *jobkit.Tally) int { return int(calls.Add(1)) }, "P1", "ReportStatus() returns something else"},
		"Success": {func(was int, _ *jobkit.Tally) int { return was + 1 }, "", ""},
		"Input":   {func(_ int, tally *jobkit.Tally) int { tally.Types[0].Ready[0] = !tally.Types[0].Ready[0]; return 0 }, "input", "ReportStatus() changes the *jobkit.Tally"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, f := range (conformance.Suite[*progressJob]{Author: progress{step: tc.step}, Job: j}).Check(t.Context(), name, "Suspended") {
				if strings.HasPrefix(f.Promise, tc.promise) && strings.Contains(f.Message, tc.says) {
					return
				}
			}
			t.Errorf("it is not found that %s: %s", tc.promise, tc.says)
		})
	}
}

// TestWrongAuthorsAreCaught: for each promise there is an author who breaks it, and what the suite
// finds names that promise.
func TestWrongAuthorsAreCaught(t *testing.T) {
	var calls atomic.Int64
	tests := map[string]struct {
		reason  string
		suite   conformance.Suite[job]
		in      string // the case that finds it
		promise string
		says    string
	}{
		"Panics": {
			reason: "a panic", in: "Input", promise: "no panics", says: "oops",
			suite: conformance.Suite[job]{Author: wrong{spec: func(job, jobkit.Replica, template) error { panic("oops") }}},
		},
		"Blocks": {
			reason: "code that waits for something", in: "Input", promise: "P11", says: "blocks",
			suite: conformance.Suite[job]{Author: wrong{spec: func(job, jobkit.Replica, template) error { select {} }}, Patience: time.Second},
		},
		"ChangesJob": {
			reason: "the job is changed", in: "Input", promise: "input", says: "SetClusterSpec() changes the *v1.TestJob that it gets",
			suite: conformance.Suite[job]{Author: wrong{spec: func(j job, _ jobkit.Replica, _ template) error {
				j.Spec.RunPolicy.BackoffLimit = new(int32(3))
				return nil
			}}},
		},
		"ChangesTally": {
			reason: "the tally is changed", in: "Input", promise: "input", says: "EvaluateStatus() changes the *jobkit.Tally that it gets",
			suite: conformance.Suite[job]{Author: wrongOutcome{outcome: func(t *jobkit.Tally) *jobkit.Outcome {
				t.Types[0].States[0] = "Strange"
				return nil
			}}},
		},
		"AliasesJob": {
			reason: "what is returned shares memory with the job", in: "Input", promise: "input", says: "shares memory with the *v1.TestJob",
			suite: conformance.Suite[job]{Author: wrong{spec: func(j job, _ jobkit.Replica, t template) error {
				t.Spec.Tolerations = j.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Tolerations
				return nil
			}}, Job: tolerant()},
		},
		"RandomTemplate": {
			reason: "a random name", in: "Stable", promise: "P1", says: "SetClusterSpec() returns something else for the same input",
			suite: conformance.Suite[job]{Author: wrong{spec: func(_ job, _ jobkit.Replica, t template) error {
				t.Annotations = map[string]string{"n": strconv.FormatUint(rand.Uint64(), 10)}
				return nil
			}}},
		},
		"TimeInTemplate": {
			reason: "the time in seconds, which is the same for a while", in: "Stable", promise: "P1", says: "SetClusterSpec() returns something else",
			suite: conformance.Suite[job]{Author: wrong{spec: func(_ job, _ jobkit.Replica, t template) error {
				t.Annotations = map[string]string{"at": time.Now().Format(time.RFC3339)}
				return nil
			}}},
		},
		"DefaultsGrow": {
			reason: "defaults that add up", in: "Stable", promise: "P1", says: "Default() changes a job that has its defaults already",
			suite: conformance.Suite[job]{Author: wrongDefaults{}},
		},
		"ObjectsDiffer": {
			reason: "objects that are not stable from call to call", in: "Success", promise: "P3", says: "has not come to rest",
			suite: conformance.Suite[job]{Author: wrongObjects{data: func(job) map[string]string {
				return map[string]string{"n": strconv.FormatInt(calls.Add(1), 10)}
			}}, Skip: map[string]string{"Stable": "another case is to find it"}},
		},
		"StatusInCopy": {
			reason: "a status that no one writes", in: "SetUp", promise: "set-up", says: "point at the job's field",
			suite: conformance.Suite[job]{Author: wrongParts{}},
		},
		"RunPolicyInCopy": {
			reason: "a run policy that is a copy", in: "TimeToLive", promise: "set-up", says: "RunPolicy: &job.Spec.RunPolicy",
			suite: conformance.Suite[job]{Author: wrongPolicy{}},
		},
		"FixedName": {
			reason: "an object of which the second job of a namespace cannot have its own", in: "Results", promise: "P8",
			says:  "two jobs of one namespace: *v1.ConfigMap config",
			suite: conformance.Suite[job]{Author: wrongObjects{name: "config", data: func(job) map[string]string { return nil }}},
		},
		"InvalidName": {
			reason: "a name that the API server refuses", in: "Success", promise: "P3", says: "CONFIG",
			suite: conformance.Suite[job]{Author: wrongObjects{suffix: "-CONFIG", data: func(job) map[string]string { return nil }}},
		},
		"NoMainContainer": {
			reason: "pods without the container that decides", in: "Results", promise: "P3", says: "SetClusterSpec() takes the container",
			suite: conformance.Suite[job]{Author: wrong{spec: func(_ job, _ jobkit.Replica, t template) error {
				t.Spec.Containers = []corev1.Container{{Name: "other", Image: "image"}}
				return nil
			}}},
		},
		"TwoContainersOfOneName": {
			reason: "a pod that the API server refuses", in: "Success", promise: "P3", says: "Duplicate value",
			suite: conformance.Suite[job]{Author: wrong{spec: func(_ job, _ jobkit.Replica, t template) error {
				t.Spec.Containers = append(t.Spec.Containers, t.Spec.Containers[0])
				return nil
			}}},
		},
		"SameObjects": {
			reason: "one object for all calls", in: "Stable", promise: "input", says: "Objects() returns the same memory in two calls: [0].Data",
			suite: conformance.Suite[job]{Author: wrongObjects{data: func(job) map[string]string { return sharedData }}},
		},
		"WhereItPanics": {
			reason: "a panic, and where", in: "Concurrent", promise: "no panics", says: "(mistakes_test.go:",
			suite: conformance.Suite[job]{Author: wrong{spec: func(job, jobkit.Replica, template) error { panic("oops") }}},
		},
		"RulesNeverHold": {
			reason: "rules that select no replica", in: "Success", promise: "P3", says: "the job is Stalled: TestJob default/job cannot end",
			suite: conformance.Suite[job]{Author: wrong{rules: func(job) jobkit.Rules {
				return jobkit.Rules{Success: []jobkit.SuccessRule{jobkit.AllOf(jobkit.Index(testv1.Worker, 99))}}
			}}},
		},
		"NeverDecides": {
			reason: "code that never decides", in: "Success", promise: "P3", says: "EvaluateStatus() reports neither success nor failure",
			suite: conformance.Suite[job]{Author: wrongOutcome{outcome: func(t *jobkit.Tally) *jobkit.Outcome {
				return &jobkit.Outcome{Running: t.Count(jobkit.Active) > 0}
			}}},
		},
		"AlwaysFails": {
			reason: "code that fails jobs of which nothing has failed", in: "Success", promise: "P12", says: "fail",
			suite: conformance.Suite[job]{Author: wrongOutcome{outcome: func(*jobkit.Tally) *jobkit.Outcome { return &jobkit.Outcome{Failed: true} }}},
		},
		"NeverStarts": {
			reason: "an error that stays", in: "Success", promise: "P3", says: "the registry does not answer",
			suite: conformance.Suite[job]{Author: wrong{spec: func(job, jobkit.Replica, template) error { return errors.New("the registry does not answer") }}},
		},
		"ObjectsOfTheProcess": {
			reason: "objects that name the process which wrote them", in: "Failure/Worker/Always", promise: "P2", says: "at rest, operator-a wants to",
			suite: conformance.Suite[job]{Program: own(func(client.Client) jobkit.ControllerInterface[job] {
				leader := strconv.FormatInt(calls.Add(1), 10)
				return wrongObjects{data: func(job) map[string]string { return map[string]string{"leader": leader} }}
			})},
		},
		"StampsAtStart": {
			reason: "a loop that writes to each job when it starts", in: "Success", promise: "P2", says: "at rest, operator-a wants to write the status",
			suite: conformance.Suite[job]{Program: looping(func() step {
				stamped := false
				return func(ctx context.Context, c client.Client, jobs *controller.JobController[job], j job) (reconcile.Result, error) {
					if stamped || !j.Status.Finished() {
						return jobs.ReconcileJobs(ctx, j)
					}
					stamped = true
					return reconcile.Result{}, patchStatus(ctx, c, j, func(s *commonv1.JobStatus) { s.LastReconcileTime = new(metav1.Now()) })
				}
			})},
		},
		"SparePods": {
			reason: "a second pod for a replica, in case the first fails", in: "Success", promise: "P4", says: "of the same replica still exists",
			suite: conformance.Suite[job]{Program: own(func(c client.Client) jobkit.ControllerInterface[job] {
				return wrongPods{client: c, deletes: rightDelete, create: func(ctx context.Context, c client.Client, pod *corev1.Pod) error {
					spare := pod.DeepCopy()
					spare.Name += "-spare"
					return errors.Join(c.Create(ctx, pod), c.Create(ctx, spare))
				}}
			})},
		},
		"DeletesByForce": {
			reason: "containers run on while those of the next pod start", in: "Scope/Worker/Job", promise: "P4", says: "by force",
			suite: conformance.Suite[job]{Program: own(func(c client.Client) jobkit.ControllerInterface[job] {
				return wrongPods{client: c, deletes: func(ctx context.Context, c client.Client, pod *corev1.Pod) error {
					return c.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}, client.GracePeriodSeconds(0))
				}}
			})},
		},
		"PodAfterTheEnd": {
			reason: "a pod that a job gets when it has finished", in: "Success", promise: "P5", says: "did not verify in this pass",
			suite: conformance.Suite[job]{Program: looping(func() step {
				return func(ctx context.Context, c client.Client, jobs *controller.JobController[job], j job) (reconcile.Result, error) {
					if !j.Status.Finished() {
						return jobs.ReconcileJobs(ctx, j)
					}
					report := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: j.Namespace, Name: j.Name + "-report"}}
					return reconcile.Result{}, client.IgnoreAlreadyExists(c.Create(ctx, report))
				}
			})},
		},
		"RunsAgain": {
			reason: "a loop that begins again with a job that has finished", in: "Success", promise: "P5", says: "the job was Succeeded, and no longer is",
			suite: conformance.Suite[job]{Program: looping(func() step {
				return func(ctx context.Context, c client.Client, jobs *controller.JobController[job], j job) (reconcile.Result, error) {
					if !j.Status.Finished() {
						return jobs.ReconcileJobs(ctx, j)
					}
					return reconcile.Result{}, patchStatus(ctx, c, j, func(s *commonv1.JobStatus) { *s = commonv1.JobStatus{} })
				}
			})},
		},
		"CountsTwice": {
			reason: "a writer that counts restarts its own way", in: "Failure/Worker/ExitCode", promise: "P6", says: "1 pods recreated",
			suite: conformance.Suite[job]{Program: writing(func(s *commonv1.JobStatus) { s.Restarts *= 2 })},
		},
		"CountsNothing": {
			reason: "a writer that drops what it does not know", in: "Failure/Worker/ExitCode", promise: "P6", says: "but the status counts only 0 restarts of the replica",
			suite: conformance.Suite[job]{Program: writing(func(s *commonv1.JobStatus) {
				for _, rs := range s.ReplicaStatuses {
					rs.Attempts = nil
				}
			})},
		},
		"WritesTheJob": {
			reason: "a loop that marks the jobs that it has seen", in: "Success", promise: "P8", says: "only the status of a job is the operator's",
			suite: conformance.Suite[job]{Program: looping(func() step {
				return func(ctx context.Context, c client.Client, jobs *controller.JobController[job], j job) (reconcile.Result, error) {
					if j.Annotations["seen"] == "" {
						to := j.DeepCopy()
						to.Annotations = map[string]string{"seen": "yes"}
						return reconcile.Result{}, c.Patch(ctx, to, client.MergeFromWithOptions(j, client.MergeFromWithOptimisticLock{}))
					}
					return jobs.ReconcileJobs(ctx, j)
				}
			})},
		},
		"DeletesByLabel": {
			reason: "labels do not say whose a pod is", in: "Foreign", promise: "P8", says: "which is not the job's",
			suite: conformance.Suite[job]{Program: own(func(c client.Client) jobkit.ControllerInterface[job] {
				return wrongPods{client: c, deletes: func(ctx context.Context, c client.Client, pod *corev1.Pod) error {
					var pods corev1.PodList
					err := c.List(ctx, &pods, client.InNamespace(pod.Namespace), client.MatchingLabels{commonv1.JobNameLabel: "job"})
					for i := range pods.Items {
						err = errors.Join(err, client.IgnoreNotFound(rightDelete(ctx, c, &pods.Items[i])))
					}
					return err
				}}
			})},
		},
		"WritesTwice": {
			reason: "a writer that needs two requests for one status", in: "Success", promise: "P10", says: "wrote the status of job 2 times in one pass",
			suite: conformance.Suite[job]{Program: own(func(c client.Client) jobkit.ControllerInterface[job] {
				return wrongStatus{client: c, write: func(ctx context.Context, c client.Client, j job, s *commonv1.JobStatus) error {
					first := j.DeepCopy()
					if err := patchStatus(ctx, c, first, func(to *commonv1.JobStatus) {
						*to = *s.DeepCopy()
						to.Conditions = j.Status.Conditions
						to.State = j.Status.State
					}); err != nil {
						return err
					}
					return patchStatus(ctx, c, first, func(to *commonv1.JobStatus) { *to = *s.DeepCopy() })
				}}
			})},
		},
		"TriesAgainAtOnce": {
			reason: "a create that is refused is refused again", in: "Success", promise: "P10", says: "after the time before",
			suite: conformance.Suite[job]{
				Options: jobtest.Options{Admit: func(o client.Object) error {
					if _, pod := o.(*corev1.Pod); pod {
						return apierrors.NewForbidden(corev1.Resource("pods"), o.GetName(), errors.New("denied"))
					}
					return nil
				}},
				Program: own(func(c client.Client) jobkit.ControllerInterface[job] {
					return wrongPods{client: c, create: func(ctx context.Context, c client.Client, pod *corev1.Pod) error {
						if err := c.Create(ctx, pod.DeepCopy()); err == nil {
							return nil
						}
						return c.Create(ctx, pod)
					}}
				}),
			},
		},
		"PodsWithoutOwner": {
			reason: "pods that no one deletes", in: "Success", promise: "P9", says: "without the job",
			suite: conformance.Suite[job]{Program: own(func(c client.Client) jobkit.ControllerInterface[job] {
				return wrongPods{client: c, create: func(ctx context.Context, c client.Client, pod *corev1.Pod) error {
					pod.OwnerReferences = nil
					return c.Create(ctx, pod)
				}}
			})},
		},
		"PodsTwice": {
			reason: "pods whose names are not fixed", in: "Success", promise: "P3", says: "has not come to rest",
			suite: conformance.Suite[job]{Program: own(func(c client.Client) jobkit.ControllerInterface[job] {
				return wrongPods{client: c, create: func(ctx context.Context, c client.Client, pod *corev1.Pod) error {
					pod.Name += fmt.Sprint("-", calls.Add(1))
					return c.Create(ctx, pod)
				}}
			})},
		},
		"DeletesAnything": {
			reason: "a delete without a precondition may hit the successor", in: "SuccessAndCleanUp", promise: "preconditions", says: "without a UID",
			suite: conformance.Suite[job]{Program: own(func(c client.Client) jobkit.ControllerInterface[job] {
				return wrongPods{client: c, deletes: func(ctx context.Context, c client.Client, pod *corev1.Pod) error { return c.Delete(ctx, pod) }}
			})},
		},
		"DeletesNothing": {
			reason: "pods that stay", in: "SuccessAndCleanUp", promise: "P9", says: "still exists",
			suite: conformance.Suite[job]{Program: own(func(c client.Client) jobkit.ControllerInterface[job] {
				return wrongPods{client: c, deletes: func(context.Context, client.Client, *corev1.Pod) error { return nil }}
			})},
		},
		"StatusWithoutVersion": {
			reason: "a status that overwrites what others wrote", in: "Success", promise: "preconditions", says: "without a resource version",
			suite: conformance.Suite[job]{Program: own(func(c client.Client) jobkit.ControllerInterface[job] {
				return wrongStatus{client: c, write: func(ctx context.Context, c client.Client, j job, s *commonv1.JobStatus) error {
					to := j.DeepCopy()
					to.Status = *s.DeepCopy()
					return c.Status().Patch(ctx, to, client.MergeFrom(j))
				}}
			})},
		},
		"StatusNotWritten": {
			reason: "a status that is not written", in: "Success", promise: "P5", says: "did not verify",
			suite: conformance.Suite[job]{Program: own(func(c client.Client) jobkit.ControllerInterface[job] {
				return wrongStatus{client: c, write: func(context.Context, client.Client, job, *commonv1.JobStatus) error { return nil }}
			})},
		},
		"LoopForgets": {
			reason: "a loop that does not call the library", in: "Success", promise: "P3", says: "",
			suite: conformance.Suite[job]{Program: &jobtest.Program[job]{
				Author: func(client.Client) jobkit.ControllerInterface[job] { return testjob.Controller{} },
				Loop: func(client.Client, *controller.JobController[job]) reconcile.Reconciler {
					return reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) { return reconcile.Result{}, nil })
				},
			}},
		},
		"LoopSwallowsErrors": {
			reason: "a loop that loses the result, and so what is due later", in: "TimeToLive", promise: "P7", says: "ttlSecondsAfterFinished is 30",
			suite: conformance.Suite[job]{Program: &jobtest.Program[job]{
				Author: func(client.Client) jobkit.ControllerInterface[job] { return testjob.Controller{} },
				Loop: loop(func(ctx context.Context, jobs *controller.JobController[job], j job) (reconcile.Result, error) {
					_, _ = jobs.ReconcileJobs(ctx, j)
					return reconcile.Result{}, nil
				}),
			}},
		},
	}
	broken := map[string]bool{}
	for _, tc := range tests {
		broken[tc.promise] = true
	}
	for i := range 12 {
		if promise := fmt.Sprintf("P%d", i+1); !broken[promise] {
			t.Errorf("no author breaks %s", promise)
		}
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tc.suite.Job == nil {
				tc.suite.Job = testJob()
			}
			tc.suite.Seeds = 5
			found := tc.suite.Check(t.Context(), tc.in)
			for _, f := range found {
				if f.Case == tc.in && f.Promise == tc.promise && strings.Contains(f.Message, tc.says) {
					if lines := strings.Count(f.Error(), "\n"); lines > 60 {
						t.Errorf("%s: the finding has %d lines", tc.reason, lines)
					}
					return
				}
			}
			t.Errorf("%s: want %q to find that %s: %q; it found %d:", tc.reason, tc.in, tc.promise, tc.says, len(found))
			for _, f := range found[:min(len(found), 3)] {
				t.Error(f)
			}
		})
	}
}

// TestNothingToTry: a suite that is not complete, or whose controller cannot be set up, says so once.
func TestNothingToTry(t *testing.T) {
	for reason, tt := range map[string]struct {
		suite conformance.Suite[job]
		says  string
	}{
		"no author":    {conformance.Suite[job]{Job: testJob()}, "Suite.Author is not set"},
		"no job":       {conformance.Suite[job]{Author: testjob.Controller{}}, "Suite.Job is not set"},
		"wrong set-up": {conformance.Suite[job]{Author: wrongParts{}, Job: testJob()}, "cannot set up the controller: Parts() of TestJob returns a Status"},
	} {
		t.Run(reason, func(t *testing.T) {
			found := tt.suite.Check(t.Context())
			if len(found) != 1 || found[0].Case != "SetUp" || !strings.HasPrefix(found[0].Message, tt.says) {
				t.Errorf("want one finding, %q; it found %v", tt.says, found)
			}
		})
	}
}

// oneSpec is a job whose template is a field of its own: Parts makes the replica specs.
type oneSpec struct{ testjob.Controller }

func (oneSpec) Parts(j job) jobkit.JobParts {
	parts := testjob.Controller{}.Parts(j)
	parts.ReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
		testv1.Master: {Template: j.Spec.TestReplicaSpecs[testv1.Master].Template},
	}
	return parts
}

// addsWorker has Workers in each job, by default.
type addsWorker struct{ testjob.Controller }

func (addsWorker) Default(j job) {
	if j.Spec.TestReplicaSpecs[testv1.Worker] == nil {
		j.Spec.TestReplicaSpecs[testv1.Worker] = replicas(1, testv1.ContainerName)
	}
}

// TestOwnSpecs: replica specs may be made of other fields of the job, and defaults may add some. Then no user
// can give them a restart policy, and what the suite changes has no effect.
func TestOwnSpecs(t *testing.T) {
	for name, author := range map[string]jobkit.ControllerInterface[job]{"made": oneSpec{}, "added": addsWorker{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := testJob()
			delete(j.Spec.TestReplicaSpecs, testv1.Worker)
			for _, f := range (conformance.Suite[job]{Author: author, Job: j, Seeds: 3}).Check(t.Context()) {
				t.Error(f)
			}
		})
	}
}

// TestNilSpec: a replica type without a spec is a mistake in the job, which says so.
func TestNilSpec(t *testing.T) {
	j := testJob()
	j.Spec.TestReplicaSpecs[testv1.Worker] = nil
	found := conformance.Suite[job]{Author: testjob.Controller{}, Job: j}.Check(t.Context(), "Success")
	if len(found) != 1 || found[0].Promise != "P3" || !strings.Contains(found[0].Message, "is not valid: spec.testReplicaSpecs[Worker]") {
		t.Errorf("it found %v", found)
	}
}

// tolerant is a job whose Workers have tolerations.
func tolerant() job {
	j := testJob()
	j.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Tolerations = []corev1.Toleration{{Key: "gpu"}}
	return j
}

// TestRightAuthors: what an author may do keeps the promises: control of pods and status, and a
// loop of one's own.
func TestRightAuthors(t *testing.T) {
	for name, program := range map[string]*jobtest.Program[job]{
		"PodControl": own(func(c client.Client) jobkit.ControllerInterface[job] {
			return wrongPods{client: c, deletes: rightDelete}
		}),
		"StatusWriter": own(func(c client.Client) jobkit.ControllerInterface[job] {
			return wrongStatus{client: c, write: func(ctx context.Context, c client.Client, j job, s *commonv1.JobStatus) error {
				to := j.DeepCopy()
				to.Status = *s.DeepCopy()
				return c.Status().Patch(ctx, to, client.MergeFromWithOptions(j, client.MergeFromWithOptimisticLock{}))
			}}
		}),
		"Loop": {
			Author: func(client.Client) jobkit.ControllerInterface[job] { return testjob.Controller{} },
			Loop: loop(func(ctx context.Context, jobs *controller.JobController[job], j job) (reconcile.Result, error) {
				return jobs.ReconcileJobs(ctx, j)
			}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conformance.Suite[job]{Program: program, Job: testJob()}.Run(t)
		})
	}
}

// rightDelete obeys what is set in the pod that it gets.
func rightDelete(ctx context.Context, c client.Client, pod *corev1.Pod) error {
	preconditions := client.Preconditions{UID: &pod.UID}
	if pod.ResourceVersion != "" {
		preconditions.ResourceVersion = &pod.ResourceVersion
	}
	options := []client.DeleteOption{preconditions}
	if pod.DeletionGracePeriodSeconds != nil {
		options = append(options, client.GracePeriodSeconds(*pod.DeletionGracePeriodSeconds))
	}
	return c.Delete(ctx, pod, options...)
}
