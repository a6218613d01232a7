// Package controller runs jobs: it is the shell around the decisions of package
// plan. The author of an operator
//
//  1. writes a type that implements [jobkit.ControllerInterface] (see examples/testjob),
//  2. instantiates [JobController] with it, and
//  3. calls [JobController.ReconcileJobs] in the reconcile loop, or lets
//     [JobController.SetupWithManager] be the loop.
//
// # One pass
//
// ReconcileJobs reads the job's pods and services from the cache (observe.go), has a plan
// made, writes the status if it has changed, on condition that the job is the one that was
// read (jobcontroller.go, verify.go), executes the actions in parallel (execute.go,
// create.go), and concludes from their outcome. It knows no policy.
//
// # What an author can rely on
//
//   - An object is the job's only if its controller has the job's UID. Anything else
//     is neither changed nor deleted nor counted.
//   - Every write has a precondition: a create its fixed name, a delete the UID, a
//     status write the resource version. A stale cache, a second leader or a lost
//     reply wastes a request and does no harm.
//   - Errors of the API server are retried and never fail a job.
//   - A panic in the author's code stalls the job that causes it, and no other.
//
// # Replacing what the library does
//
// The optional interfaces of package jobkit ([jobkit.Defaulter], [jobkit.Validator],
// [jobkit.StatusEvaluator] and others) and of this package ([PodControl], [ServiceControl],
// [ChildLister], [StatusWriter]) are found on the author's type at set-up.
package controller
