// Package jobtest is a test kit for authors of job operators: it runs the real
// controller of a job kind in a simulated cluster.
//
// A [World] has an API server with resource versions, conflicts, finalizers,
// graceful deletion, garbage collection, quota and admission; caches that lag behind
// it, each kind for itself; nodes that run pods as a [Fate] says; and one process of
// the operator or more. Time is simulated too: nothing waits, hours take
// milliseconds. Everything happens one after the other, and the same [Chance] makes
// the same things happen, so a run that failed can be repeated.
//
// # A single run
//
// [NewWorld] makes a World, its Client is a user's, and [World.Run] lets things
// happen until nothing is left to happen. [World.Transcript] says what did. See the
// example.
//
// # Many runs
//
// [Search] runs a scenario with many seeds. In each run chance decides what goes
// wrong: calls fail or their replies are lost (see [Fault]), processes crash before
// and after calls and start again with empty memory and old caches, caches lag, skip
// and go back in time, processes pause in the middle of a pass while all else goes
// on. Where it fails it takes back choices as long as the same promise is broken, and
// prints what is left. [Exhaust] runs a scenario with each fault at each call, or
// each pair of faults.
//
// [NewWorldOf] runs a [Program] instead of a controller alone: an author's part with a client, or a
// loop of the author's own. Package conformance has the runs that every kind should survive.
//
// # What is checked
//
// While things happen:
//
//   - A finished, suspended or deleted job gets no new pod or service. Between the
//     moment when a process verifies the job's state and the create that follows
//     the job may change, which no client can prevent. So what is checked is: in each
//     pass at a job, before anything is created or deleted, the process wrote the
//     job's status under its resource version or read the job from the server, and
//     what the server showed then was not finished, suspended or deleted.
//   - There are never two pods of one replica that have not ended.
//   - A finished job stays as it finished; its completion time is set once; start
//     time changes at a resume only; no count of restarts falls; at most one of
//     Running, Restarting, Suspended, Succeeded and Failed is True, but for the first
//     two, which may be True together; the conditions do not flap; the last that is
//     True is the state.
//   - Each restart that is counted is that of a pod that really failed by itself, in
//     the attempt that the replica was at. A pod that failed is not deleted before
//     that is counted. There are no more restarts than backoffLimit allows, and none
//     fewer when the job fails for that reason.
//   - A job fails only if its user made a mistake, its deadline passed or a replica
//     really failed.
//   - Every write has a precondition. Objects of others are neither changed nor
//     deleted. A pass writes the status at most once.
//
// When nothing goes wrong any more:
//
//   - The World comes to rest in a bounded number of steps.
//   - Each job has the pods and services that it wants and no others, its status
//     counts them, deadlines and times to live have been obeyed, and nothing is left
//     of jobs that are gone.
//   - Restarts of containers in place are counted: fully for pods that exist or
//     were replaced after they failed; for others, what was counted stays counted.
//   - Another reconcile of each job writes nothing, with memory and without.
package jobtest
