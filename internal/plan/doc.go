// Package plan is the functional core of jobkit: it decides what to do about a job.
//
// It has no client, context, clock, logger or error. What was observed goes in,
// the time included; values come out. The package controller is the shell around
// it: it observes, asks, and carries out.
//
//	observe ──► TallyOf ──► the author's verdict ──► Decide ──► carry out ──► Settle
//
// [TallyOf] finds the [jobkit.ReplicaState] of every replica the job wants. [Decide] asks
// the policies in the order of the chain in decide.go, one file each, and returns
// a [Plan]: the complete status, the events, the [Action] values, and when to look
// again. [Settle] draws the conclusions from what the actions met.
//
// # What holds
//
//   - The same input gives the same plan, and the input is not changed.
//   - A status with news is written before any action, on condition that the job is
//     still the one that was observed; without news the job is read. So a plan made
//     from a stale view does no harm, and a restart is counted before the pod that
//     makes it necessary is deleted.
//   - A pod belongs to a replica by its name, <job>-<type>-<index>. Two live pods of
//     one replica are impossible, and labels that somebody changed mislead nobody.
//   - A finished, suspended or deleted job gets no pod.
//   - Nothing needs to be remembered between two looks but the status.
//
// # Restarts
//
// Each pod carries its attempt in a label, and the status records the attempt that
// each restarted replica is at. A failed pod counts only while its attempt is the
// one that the status says; the count raises that, and from then on the pod is
// [Replaced]: it is deleted when its delay has passed, and the next attempt is
// created when it is gone. A job with restart scope Job has one attempt for all of
// its replicas. Such a job restarts also when a replica is lost without a failure, which
// no limit counts.
//
// What comes first (the end of a pod, the request to delete it, a disruption) decides
// what the end means. No answer depends on the clock of a node.
package plan
