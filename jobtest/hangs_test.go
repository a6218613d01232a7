package jobtest

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// hanging has a job hang after the shortest time without progress that its source allows, about,
// or 30 seconds without any.
func hanging(source commonv1.ProgressSource, action commonv1.ProgressAction) func(*testv1.TestJob) {
	return func(j *testv1.TestJob) {
		stall := int64(30)
		if source == commonv1.ProgressSourceReadiness {
			stall = 20
		}
		j.Spec.RunPolicy.ProgressPolicy = &commonv1.ProgressPolicy{
			Source: source, Action: action, StallTimeoutSeconds: &stall, StartTimeoutSeconds: new(int64(30)),
		}
		for _, spec := range j.Spec.TestReplicaSpecs {
			spec.Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
		}
	}
}

// every are times of reports.
func every(d, until time.Duration) []time.Duration {
	var out []time.Duration
	for at := d; at <= until; at += d {
		out = append(out, at)
	}
	return out
}

// TestHangs: what a job looks like at a time, by its progress policy.
func TestHangs(t *testing.T) {
	const second = time.Second
	for name, tc := range map[string]struct {
		reason string
		source commonv1.ProgressSource
		action commonv1.ProgressAction
		fate   Fate // of worker 0 in its first attempt
		users  func(*World)
		after  time.Duration
		state  commonv1.JobConditionType
		hangs  int // how many are recorded
	}{
		"NotReadyAnyMore": {
			"it is restarted in time", commonv1.ProgressSourceReadiness, commonv1.ProgressActionRestartReplica,
			Fate{Hangs: 10 * second, Forever: true},
			nil, 33 * second, commonv1.JobRestarting, 1,
		},
		"Told": {
			"it is told", commonv1.ProgressSourceReadiness, "",
			Fate{Hangs: 10 * second, Forever: true},
			nil, 33 * second, commonv1.JobHung, 0,
		},
		"ToldNoMore": {
			"it is ready again", commonv1.ProgressSourceReadiness, "",
			Fate{Readiness: []time.Duration{second, 10 * second, 40 * second}, Forever: true},
			nil, 3 * time.Minute, commonv1.JobRunning, 0,
		},
		"Reports": {
			"it goes on", commonv1.ProgressSourceReport, commonv1.ProgressActionRestartReplica,
			Fate{Reports: every(28*second, time.Hour), Forever: true},
			nil, 55 * time.Minute, commonv1.JobRunning, 0,
		},
		"Silent": {
			"it reports no more", commonv1.ProgressSourceReport, commonv1.ProgressActionRestartJob,
			Fate{Reports: every(5*second, time.Hour), Hangs: 31 * second, Forever: true},
			nil, 63 * second, commonv1.JobRestarting, 1,
		},
		"NeverReports": {
			"it never did", commonv1.ProgressSourceReport, commonv1.ProgressActionFailJob,
			Fate{Forever: true},
			nil, 33 * second, commonv1.JobFailed, 1,
		},
		"ServerAway": {
			"no report can come", commonv1.ProgressSourceReport, commonv1.ProgressActionRestartReplica,
			Fate{Reports: every(5*second, time.Hour), Forever: true},
			func(w *World) {
				w.At(20*second, "has no report arrive", func(context.Context, client.Client) error { w.SetProgressServer(false); return nil })
				w.At(1000*second, "has reports arrive", func(context.Context, client.Client) error { w.SetProgressServer(true); return nil })
			}, 30 * time.Minute, commonv1.JobRunning, 0,
		},
		"OperatorAway": {
			"a new process gives it time", commonv1.ProgressSourceReport, commonv1.ProgressActionRestartReplica,
			Fate{Reports: every(5*second, time.Hour), Forever: true},
			func(w *World) {
				w.At(20*second, "stops the operator", func(context.Context, client.Client) error {
					w.SetProgressServer(false)
					return nil
				})
				w.At(1000*second, "starts it", func(context.Context, client.Client) error {
					w.crash(w.processes[0], false)
					w.SetProgressServer(true)
					return nil
				})
			}, 30 * time.Minute, commonv1.JobRunning, 0,
		},
		"AskedLater": {
			"its pods do not know where to report to", commonv1.ProgressSourceReport, commonv1.ProgressActionFailJob,
			Fate{Reports: every(5*second, time.Hour), Forever: true},
			func(w *World) {
				w.At(time.Hour, "asks for reports", edit(hanging(commonv1.ProgressSourceReport, commonv1.ProgressActionFailJob)))
			}, 2 * time.Hour, commonv1.JobRunning, 0,
		},
		"AskedAgain": {
			"what it reported in the meantime was refused", commonv1.ProgressSourceReport, commonv1.ProgressActionFailJob,
			Fate{Reports: every(7*second, 3*time.Hour), Forever: true},
			func(w *World) {
				w.At(20*second, "asks for no reports", edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.ProgressPolicy = nil }))
				w.At(time.Hour, "asks for reports again", edit(hanging(commonv1.ProgressSourceReport, commonv1.ProgressActionFailJob)))
			}, 2 * time.Hour, commonv1.JobRunning, 0,
		},
		"AskedAgainInVain": {
			"it hangs from when it is asked again", commonv1.ProgressSourceReport, commonv1.ProgressActionFailJob,
			Fate{Reports: every(7*second, 20*second), Forever: true},
			func(w *World) {
				w.At(20*second, "asks for no reports", edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.ProgressPolicy = nil }))
				w.At(time.Hour, "asks for reports again", edit(hanging(commonv1.ProgressSourceReport, commonv1.ProgressActionFailJob)))
			}, time.Hour + 34*second, commonv1.JobFailed, 1,
		},
		"Suspended": {
			"it has no pods", commonv1.ProgressSourceReport, commonv1.ProgressActionRestartReplica,
			Fate{Reports: every(5*second, time.Hour), Forever: true},
			func(w *World) {
				w.At(20*second, "suspends", edit(suspend(true)))
			}, 30 * time.Minute, commonv1.JobSuspended, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := story(t, Options{Fate: func(pod *corev1.Pod) Fate {
				f := tc.fate
				if pod.Labels[commonv1.ReplicaIndexLabel] != "0" || attemptLabel(pod) > 0 {
					f = Fate{Forever: true}
				}
				f.Start = second
				return f
			}}, newJob("j", 2, func(j *testv1.TestJob) {
				if name != "AskedLater" {
					hanging(tc.source, tc.action)(j)
				}
			}))
			if tc.users != nil {
				tc.users(w)
			}
			pass(t, w, tc.after)
			got := read(t, w, "j")
			hangs := 0
			for _, f := range got.Status.Failures {
				if f.Reason == "Hung" {
					hangs++
				}
			}
			if got.Status.State != tc.state || hangs != tc.hangs {
				t.Errorf("%s: the job is %s with %d hangs, want %s with %d\n%s", tc.reason, got.Status.State, hangs, tc.state, tc.hangs, w.Transcript())
			}
		})
	}
}

// TestReportsCostNothing: reports cause no pass, and no write of the operator.
func TestReportsCostNothing(t *testing.T) {
	w := story(t, Options{Fate: func(*corev1.Pod) Fate {
		return Fate{Start: time.Second, Forever: true, Reports: every(time.Second, 30*time.Minute)}
	}}, newJob("j", 1, hanging(commonv1.ProgressSourceReport, commonv1.ProgressActionRestartReplica)))
	pass(t, w, time.Minute)
	before, version := w.passes, w.server.version
	pass(t, w, 20*time.Minute)
	if n := w.passes - before; n > 20*60/15 {
		t.Errorf("in 20 minutes with 1200 reports there were %d passes", n)
	}
	if n := w.server.version - version; n > 20*60/5+1 {
		t.Errorf("in 20 minutes there were %d writes", n)
	}
}

// TestFoundByReadiness: replicas whose readiness shows their progress find each other before they
// make any, also those of a job that is edited while it runs.
func TestFoundByReadiness(t *testing.T) {
	byReadiness := hanging(commonv1.ProgressSourceReadiness, "")
	perReplica := func(j *testv1.TestJob) { j.Spec.RunPolicy.ServiceMode = new(commonv1.ServiceModePerReplica) }
	for name, tc := range map[string]struct {
		reason       string
		change, edit func(*testv1.TestJob)
		published    bool
	}{
		"Always": {"from the start", byReadiness, func(*testv1.TestJob) {}, true},
		"Edited": {"their services change", func(*testv1.TestJob) {}, byReadiness, true},
		"Never":  {"as in kubeflow.org/v1", func(*testv1.TestJob) {}, func(*testv1.TestJob) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := story(t, Options{Fate: func(*corev1.Pod) Fate { return Fate{Start: time.Second, Forever: true} }}, newJob("j", 2, perReplica, tc.change))
			w.At(20*time.Second, "edits", edit(tc.edit))
			pass(t, w, time.Minute)
			services := w.serviceTable().all()
			if len(services) != 2 {
				t.Fatalf("there are %d services, want one of each replica", len(services))
			}
			for _, o := range services {
				if s, ok := o.(*corev1.Service); !ok || s.Spec.PublishNotReadyAddresses != tc.published {
					t.Errorf("%s: %s, published before it is ready: %v, want %v", tc.reason, o.GetName(), !tc.published, tc.published)
				}
			}
		})
	}
}
