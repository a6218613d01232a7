// Package plan is the functional core of jobkit: it decides what to do about a job.
//
// It has no client, context, clock, logger or error. The input is what was observed,
// including the time; the output is values. Package controller is the shell around it: it
// observes, calls this package, and executes the plan.
//
//	observe ──► TallyOf ──► the author's outcome ──► Decide ──► execute ──► Conclude
//
// [TallyOf] finds the [jobkit.ReplicaState] of every replica that the job wants. [Decide]
// calls the policies in the order of the chain in decide.go, one file each, and returns
// a [Plan]: the complete status, the events, the [Action] values, and when to requeue.
// [Conclude] draws the conclusions from the result of the actions.
//
// # What holds
//
//   - The same input gives the same plan, and the input is not changed.
//   - A status with news is written before any action, on condition that the job is
//     still the one that was observed. Without news the job is read instead. So a plan made
//     from a stale view does no harm, and a restart is counted before the failed pod is
//     deleted.
//   - A pod belongs to a replica by its name, <job>-<type>-<index>. Two live pods of
//     one replica are impossible, and a changed label has no effect on that.
//   - A finished, suspended or deleted job gets no pod.
//   - Nothing but the status needs to be kept between two reconciles.
//
// # Restarts
//
// Each pod carries its attempt in a label, and the status records the attempt that
// each restarted replica is at. A failed pod counts only while its attempt is the
// one in the status. Counting it raises that attempt, and from then on the pod is
// [jobkit.Superseded]: it is deleted after its delay, and the next attempt is created when it
// is gone. A job with restart scope Job has one attempt for all of its replicas. Such a job
// also restarts when a replica is lost without a failure; no limit counts that.
//
// What happens first (the end of a pod, the request to delete it, a disruption) decides
// what the end means. No decision depends on the clock of a node.
package plan
