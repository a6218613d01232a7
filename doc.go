// Package jobkit is what the author of a job operator writes against. A kind of job is a
// set of pods in roles, such as a Master and Workers, that start together, find each other
// and end together. The author describes the kind; package controller runs its jobs.
//
// # Three steps
//
// First, write a type that implements [ControllerInterface]. It has four methods:
//
//	type Controller struct{ jobkit.Defaults[*v1.TrainJob] }
//
//	// What is true of every job of the kind.
//	func (Controller) Kind() jobkit.Kind {
//		return jobkit.Kind{ContainerName: "main", Roles: []jobkit.Role{{Type: "Master", Max: 1}, {Type: "Worker"}}}
//	}
//
//	// Where the library finds the parts of a job that it reads and writes.
//	func (Controller) Parts(job *v1.TrainJob) jobkit.JobParts {
//		return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.ReplicaSpecs, Status: &job.Status}
//	}
//
// Rules says which replicas decide (see below) and SetClusterSpec completes the template of
// a pod. [Defaults] has both, for kinds that do not need them.
//
// Second, make a controller.JobController with it. All other fields have defaults:
//
//	jobs := &controller.JobController[*v1.TrainJob]{Controller: Controller{}}
//
// Third, run it with jobs.SetupWithManager(mgr). An operator with a loop of its own
// calls jobs.ReconcileJobs(ctx, job) there instead. The folder examples/testjob is a
// complete operator in 95 lines.
//
// # Who decides
//
// [Rules] are a value. Replicas are selected by [All] and [Index]; [AllOf] and [AnyOf] make
// a rule of them. The zero value suits replicas that are all alike: the job runs when one
// does, and succeeds when all have succeeded.
//
//	jobkit.Rules{
//		Success: []jobkit.SuccessRule{jobkit.AllOf(jobkit.All("Master"))}, // the Master decides,
//		Running: []jobkit.ReplicaSelector{jobkit.All("Master")},
//		StartAfter: []jobkit.StartAfter{{Type: "Worker", After: []commonv1.ReplicaType{"Master"}}},
//	}
//
// Code that must examine the states of the replicas itself implements [StatusEvaluator]: it
// gets a [Tally] and returns an [Outcome].
//
// # How replicas find each other
//
// SetClusterSpec is called for each pod that is created, with its [Replica]:
//
//	func (Controller) SetClusterSpec(job *v1.TrainJob, r jobkit.Replica, t *corev1.PodTemplateSpec) error {
//		podtemplate.Env{
//			podtemplate.Fixed("MASTER", fmt.Sprintf("%s:%d", r.Host("Master", 0), r.Port("Master"))),
//			podtemplate.Fixed("RANK", r.Index()),
//			podtemplate.Fixed("WORLD_SIZE", r.Count()),
//		}.ApplyToAll(t)
//		return nil
//	}
//
// What is the same for all replicas and grows with their number, such as a list of all
// hosts, is computed once for all by [Shared].
//
// # What else a kind can say
//
// These interfaces are optional. They are found on the author's type at set-up, which
// refuses a method that has one of their names and another signature.
//
//	Defaulter         sets defaults of the kind's own fields
//	Validator         finds mistakes in them: the job fails, with a message for its user
//	Warner            reports what is unusual but not a mistake, in a warning event
//	OwnedObjects      gives jobs other objects: a ConfigMap, permissions, an autoscaler
//	StatusEvaluator   decides on success and failure in code, instead of Rules
//	StatusReporter    sets status fields and records events of the kind's own
//
// Package controller has others (PodControl, ServiceControl, ChildLister, StatusWriter),
// which replace how it calls the API server.
//
// # What an author can rely on
//
// Methods are called from several goroutines at once. The job is a copy with all defaults
// set. A panic or an error stalls the job that causes it, and no other; a condition of the job
// says so. An error wrapped by reconcile.TerminalError is a mistake of the job's user.
//
// Operators are tested with package jobtest: the real controller in a simulated cluster
// with virtual time, crashes, stale caches and lost replies.
package jobkit
