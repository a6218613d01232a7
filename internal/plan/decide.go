package plan

import (
	"time"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Plan is what to do about a job, as values. The shell executes it in this order, and
// stops at the first step that fails:
//
//  1. If StatusChange is StatusNews, or the write does not wait, write Status, on condition
//     that the job is still the one that was observed; otherwise, if there are actions,
//     verify that by reading it. A plan made from a stale view ends here and has done no harm.
//  2. Emit the Events.
//  3. Execute the Actions: in order, neighbours of the same verb in parallel.
//  4. Hand the result to Conclude.
//  5. Requeue after RequeueAfter, or earlier to write a status that waits.
//
// The status comes first because it holds the count of restarts: a restart is counted
// before the failed pod is deleted, so that no crash in between can lose or double the
// count.
type Plan struct {
	// Status is the complete status that the job should have.
	Status commonv1.JobStatus
	// StatusChange is how Status differs from the status that was observed.
	StatusChange StatusChange
	// Events are emitted once the status is written.
	Events []Event
	// Actions are executed after that.
	Actions []Action
	// Open is true when the result of the actions decides whether the job is stalled.
	Open bool
	// Held is true when actions that met an obstacle recently are held back (see
	// Input.Tried).
	Held bool
	// RetryAfter is how long to hold back the actions that met an obstacle. Only
	// Conclude sets it.
	RetryAfter time.Duration
	// RecordsEnds is true when Status says all that is to be known of pods that have ended, so
	// that they may be gone once it is written.
	RecordsEnds bool
	// Restarts are those that this pass counts, by cause. They are part of Status.
	Restarts Restarts
	// NodeFailures are the failures for which they are counted, of pods that had a node.
	NodeFailures []NodeFailure
	// RequeueAfter is when to requeue even if nothing happens: the nearest deadline of
	// the job. 0 is never.
	RequeueAfter time.Duration
}

// Restarts counts restarts by cause.
type Restarts struct {
	// Failed: the replica's containers ended with an error, or did not start in time.
	Failed int32
	// Disrupted: the pod was evicted or preempted, or its node was lost.
	Disrupted int32
	// Hung: the replica showed no progress.
	Hung int32
	// InPlace: the kubelet restarted a container.
	InPlace int32
	// Ignored: a rule of the pod failure policy says not to count it, or a pod of a job
	// that restarts as a whole was deleted by a user or another client.
	Ignored int32
}

// policy decides one aspect of a job. It returns true to skip the later policies of the
// chain.
type policy func(*decision) bool

// chain is the order in which the policies are called. It documents which policy takes
// precedence.
func chain() []policy {
	return []policy{
		skipDeleted,           // the garbage collector's; nothing to do
		reportUnreadable,      // the user's mistake, and nothing else is known about the job
		forceDeleteStuckPods,  // pods that will not go by themselves
		cleanUpFinished,       // clean up, count the time to live
		acceptJob,             // condition Created, start of the job's time
		failInvalid,           // the user's mistake
		suspend,               // no pods until resumed
		countInPlaceRestarts,  // count restarts in place
		stallOnOperatorError,  // the operator's own code failed
		succeed,               // the rules are met
		failPastDeadline,      // active for too long
		keepPodsOfInvalidEdit, // the user's mistake came with an edit: change nothing
		restartOrFail,         // failed replicas: restart them or fail the job
		failPastStartDeadline, // replicas have not started in time
		reportRunning,         // conditions Running and Restarting
		reportHung,            // condition Hung
		stallUndecided,        // all has ended, and nothing decides what that means
		deleteSurplus,         // remove what the job no longer wants
		relaxAvoidance,        // pods that find no node but avoided ones
		syncObjects,           // create, update and delete the kind's own objects
		waitForGang,           // no pods before the gang scheduler wants to see them
		createSharedObjects,   // those that may not be the job's, only together with pods
		syncServices,          // create the services that are missing, before the pods that look them up
		syncVolumeClaims,      // the claims of the replicas, before the pods that use them
		createPods,            // create the pods that are missing
		clearStalled,          // nothing is in the way any longer
		reportWaits,           // report what the pods wait for
	}
}

// decision is a plan in the making.
type decision struct {
	in    *Input
	tally *Tally
	// outcome is what an author's own code decides; nil leaves it to the rules.
	outcome *jobkit.Outcome
	// keepPods is true when the replicas must be left as they are.
	keepPods bool
	// tooEarly is true when it is not known yet what failures mean.
	tooEarly bool
	// fresh are the restarts that this pass counts, if a window decides which count.
	fresh freshRestarts
	// failedFrom and restartCause are since when and why the job restarts, if this pass counts that.
	failedFrom   time.Time
	restartCause commonv1.RestartCause
	// spent is why the whole job restarts: a replica has used up its own limit. spentBy is the
	// replica if its failure did that, and not a restart in place.
	spent   string
	spentBy *replica
	plan    Plan
}

// Decide plans what to do about a job. A nil outcome leaves success and running to
// the rules. The same input always gives the same plan.
func Decide(in *Input, tally *Tally, outcome *jobkit.Outcome) Plan {
	in = withUnpackedStatus(in)
	d := &decision{in: in, tally: tally, outcome: outcome}
	d.plan.Status = *in.Status.DeepCopy()
	if in.foreignManager() {
		d.plan.RecordsEnds = true // Nothing of it is to be known here.
		return d.plan
	}
	for _, decide := range chain() {
		if decide(d) {
			break
		}
	}
	if !in.Job.Deleted {
		d.keepRestartTimes()
		d.keepUncounted()
		d.holdBack()
		d.finishStatus()
	}
	d.plan.RecordsEnds = d.recordsEnds()
	packStatus(&d.plan.Status)
	return d.plan
}

// maxNote is how long the message of an event can be.
const maxNote = 1000

func (d *decision) act(a ...Action) { d.plan.Actions = append(d.plan.Actions, a...) }

func (d *decision) event(warning bool, reason, message string) {
	d.plan.Events = append(d.plan.Events, Event{Warning: warning, Reason: reason, Message: Note(message)})
}

// eventsAreAbout names the pod that the events from the n-th on are about.
func (d *decision) eventsAreAbout(n int, pod PodRef) {
	about := d.plan.Events[n:]
	for i := range about {
		about[i].Pod = pod
	}
}

// requeueAt requeues the job at a time, unless it is requeued earlier.
func (d *decision) requeueAt(at time.Time) {
	after := max(at.Sub(d.in.Now), time.Millisecond)
	if d.plan.RequeueAfter == 0 || after < d.plan.RequeueAfter {
		d.plan.RequeueAfter = after
	}
}

// skipDeleted leaves a job that is being deleted to the garbage collector.
func skipDeleted(d *decision) bool { return d.in.Job.Deleted }
