package optest

import (
	"fmt"
	"time"

	"github.com/jobkit/jobkit/jobtest"
)

// Succeeds is the fate of a pod that succeeds after a minute.
func Succeeds() Fate { return Fate{{Run: time.Minute}} }

// Fails is the fate of a pod whose containers end after a minute with an exit code,
// and again if they are restarted in place.
func Fails(codes ...int32) Fate { return Fate{{Run: time.Minute, Exits: codes}} }

// Policies makes the runs that show what the restart policies do to jobs of a kind.
type Policies struct {
	// Kind and Job are the names of the kind and the job.
	Kind, Job string
	// Manifest is the job with a restart policy in it.
	Manifest func(restartPolicy string) string
	// Type is the type of the replica that fails, Pod is its pod. Without it the job
	// runs.
	Type, Pod string
	// Running is the message of the condition Running, Failed is how that of the
	// condition Failed begins.
	Running, Failed string
}

// Runs are the runs.
func (p Policies) Runs() map[string]Run {
	run := func(policy, reason string, fate jobtest.Fate) Run {
		return Run{Reason: reason, Job: p.Manifest(policy), Fates: map[string]Fate{p.Pod: {fate}}}
	}
	goesOn := func(restarts int32, policy, reason string, fate jobtest.Fate) Run {
		r := run(policy, reason, fate)
		r.Restarts, r.Conditions = restarts, p.Conditions("Running")
		return r
	}
	fails := func(code int32, policy, reason string) Run {
		r := run(policy, reason, jobtest.Fate{Run: time.Minute, Exits: []int32{code}})
		r.Conditions = append(p.Conditions("Running ended"), fmt.Sprintf(
			"Failed True %sFailed: %s because 1 %s replica(s) failed. First failure: pod %s, exit code %d, restart policy %s.",
			p.Kind, p.Failed, p.Type, p.Pod, code, policy))
		return r
	}
	exits := func(codes ...int32) jobtest.Fate { return jobtest.Fate{Run: time.Minute, Exits: codes} }
	return map[string]Run{
		"Never":     fails(137, "Never", "a replica that is not to be restarted fails the job, whatever its exit code"),
		"Permanent": fails(127, "ExitCode", "known-bugs row 33: an exit code below 128 fails the job, at once and permanently"),
		"Retryable": goesOn(1, "ExitCode", "an exit code of 128 or more has the pod recreated", exits(128)),
		"OnFailure": goesOn(2, "OnFailure", "containers that fail are restarted in place", exits(1, 1)),
		"Always":    goesOn(2, "Always", "containers that end are restarted in place", exits(1, 0)),
		"Evicted": goesOn(1, "OnFailure", "known-bugs rows 6 and 34: a pod that was evicted is recreated, and the job goes on",
			jobtest.Fate{Run: time.Minute, Evicted: true}),
		"EvictedExitCode": goesOn(1, "ExitCode", "known-bugs row 41: an eviction is not a permanent error",
			jobtest.Fate{Run: time.Minute, Evicted: true}),
	}
}

// Conditions are those of a job that runs ("Running"), ran ("Running ended"), or
// succeeded with the given message.
func (p Policies) Conditions(how string) []string {
	out := []string{fmt.Sprintf("Created True %sCreated: %s %s is created.", p.Kind, p.Kind, p.Job)}
	running := func(status string) string { return fmt.Sprintf("Running %s %sRunning: %s", status, p.Kind, p.Running) }
	switch how {
	case "Running":
		return append(out, running("True"))
	case "Running ended":
		return append(out, running("False"))
	default:
		return append(out, running("False"), fmt.Sprintf("Succeeded True %sSucceeded: %s", p.Kind, how))
	}
}
