package controller

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	expiring "k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	metricsregistry "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
	"github.com/jobkit/jobkit/internal/turns"
)

const (
	// Workers mostly wait for the API server, each for its own job. There are many, so that a
	// job past its deadline does not wait until others have created their pods.
	defaultWorkers = 64
	// Errors of the API server are tried again after this time, doubled each time
	// up to the maximum.
	minRetry = 200 * time.Millisecond
	maxRetry = time.Minute
	// For how long, and about how many, answers of the API server about things outside of the job are
	// remembered. What decides nothing within seconds is asked seldom.
	rememberedPriority = time.Minute
	rememberedNode     = 10 * time.Second
	maxRemembered      = 1000
)

// dependencies are those of the fields of a JobController that have a default, resolved. What
// the author set in the fields themselves stays there.
type dependencies struct {
	client client.Client
	// live reads from the API server itself.
	live      client.Reader
	recorder  events.EventRecorder
	clock     clock.PassiveClock
	readiness *Readiness
	registry  prometheus.Registerer
}

// dependencies returns those that need no manager. What is left nil has no default without one.
func (c *JobController[J]) dependencies() dependencies {
	d := dependencies{
		client: c.Client, live: c.APIReader, recorder: c.Recorder, clock: c.Clock, readiness: c.Config.Readiness, registry: c.Metrics,
	}
	if d.clock == nil {
		d.clock = clock.RealClock{}
	}
	if d.registry == nil {
		d.registry = metricsregistry.Registry
	}
	return d
}

// settings are what a JobController found out at set-up.
type settings[J client.Object] struct {
	dependencies

	gvk schema.GroupVersionKind
	// resource is that of the kind.
	resource schema.GroupVersionResource

	kind    jobkit.Kind
	pending *pendingWrites[J]
	// slots limit for how many jobs objects are written at a time.
	slots slots
	// turns limit how many workers write for the jobs of one namespace.
	turns *turns.Turns
	// delays are how long the events of large jobs wait.
	delays childDelays
	// departed are pods that are gone and whose end is yet to be counted.
	departed *departedPods
	metrics  *metrics
	rivals   *rivals
	// gate holds jobs back while the schema of the kind is not as it should be; nil if the
	// author writes the status.
	gate  *schemaGate
	cache *cacheLister[J]
	// jobs reads jobs from the cache.
	jobs client.Reader
	// parts is the author's.
	parts func(J) jobkit.JobParts
	// statusAt and policyAt are the paths of the fields of a job that Parts points at, nil if
	// they are not fields of the job.
	statusAt, policyAt []int
	// statusRoot is the path of the whole status, with the kind's own fields; nil if they are not
	// asked for.
	statusRoot []int
	// objectKinds are the kinds of the owned objects.
	objectKinds []schema.GroupVersionKind
	// priorities are the values of priority classes by name, which users choose, also of classes that do not
	// exist. The value of a class never changes, but the class can be deleted and created again.
	priorities *expiring.LRUExpireCache
	// nodes is whether nodes are dead, by name.
	nodes *expiring.LRUExpireCache
	// comparisons has the last comparisons of large owned objects that found nothing to change.
	comparisons *lru.Cache
	// asked is since when jobs are asked for reports of progress that were not before, by UID; zero
	// while they are not.
	asked *lru.Cache
	// gang schedules the pods of a job together; nil without gang scheduling.
	gang *gangs
	// limiter knows how long a job waits after an error.
	limiter workqueue.TypedRateLimiter[reconcile.Request]

	lister       ChildLister[J]
	pods         PodControl[J]
	services     ServiceControl[J]
	statusWriter StatusWriter[J]
	// writer is the library's own.
	writer    *writer[J]
	reporter  jobkit.StatusReporter[J]
	defaulter jobkit.Defaulter[J]
	validator jobkit.Validator[J]
	evaluator jobkit.StatusEvaluator[J]
	warner    jobkit.Warner[J]
	owned     jobkit.OwnedObjects[J]
	// custom names the optional interfaces that the author implements, and mistakes
	// says which are not quite implemented.
	custom   []string
	mistakes []error
}

// childKinds are the kinds of the objects that belong to jobs.
func (c *JobController[J]) childKinds(mgr ctrl.Manager) ([]jobkit.Object, error) {
	children := []jobkit.Object{&corev1.Pod{}, &corev1.Service{}}
	if c.set.owned != nil {
		children = append(children, c.set.owned.ObjectKinds()...)
	}
	if c.set.kind.VolumeClaims {
		children = append(children, &corev1.PersistentVolumeClaim{})
	}
	if c.set.gang != nil {
		if err := c.set.gang.checkServed(mgr.GetRESTMapper()); err != nil {
			return nil, err
		}
		children = append(children, c.set.gang.scheduler.Kinds()...)
	}
	// The client reads objects without a Go type from the server, and knows no index of them.
	c.set.cache.foreign = mgr.GetCache()
	return children, nil
}

// Builder sets the controller up for a reconcile loop of the author's own, and
// returns a builder that watches the jobs, their pods and their services. Complete
// it with a reconciler that reads the job with [JobController.Reader], which also knows jobs
// that cannot be decoded, and calls ReconcileJobs.
func (c *JobController[J]) Builder(mgr ctrl.Manager) (*builder.Builder, error) {
	job, err := newJob[J]()
	if err != nil {
		return nil, err
	}
	d, err := c.managed(mgr)
	if err != nil {
		return nil, err
	}
	if err := c.init(mgr.GetScheme(), mgr.GetRESTMapper(), d); err != nil {
		return nil, err
	}
	name := c.set.kind.OperatorName
	children, err := c.childKinds(mgr)
	if err != nil {
		return nil, err
	}
	if err := c.registerKind(mgr); err != nil {
		return nil, err
	}
	c.set.cache.indexed = true
	jobs, err := c.watch(mgr, children)
	if err != nil {
		return nil, err
	}
	c.set.cache.lent = jobs.lent
	if err := errors.Join(c.forgetDeleted(jobs.informers), c.watchSchema(mgr), c.serveProgress(jobs)); err != nil {
		return nil, err
	}
	if c.Client == nil {
		c.set.client = readsJobs[J]{Client: c.set.client, jobs: jobs}
	}
	mgr.GetLogger().Info("Set up a job controller", "kind", c.set.gvk.String(), "operator", name,
		"ownImplementationsOf", c.set.custom)
	b := ctrl.NewControllerManagedBy(cachedManager{Manager: mgr, cache: jobs}).Named(name).
		For(job, builder.WithPredicates(c.withoutReports())).
		Watches(job, c.foundAtStart())
	for _, o := range children {
		b = b.Watches(o, forChildren{to: enqueueJob(c.set.gvk.GroupKind()), podSeen: c.PodSeen, podDeleted: c.PodDeleted, delays: &c.set.delays})
	}
	return b.
		WithOptions(ctrlcontroller.Options{
			MaxConcurrentReconciles: c.workers(),
			RateLimiter:             c.set.limiter,
			CacheSyncTimeout:        noTimeout,
		}), nil
}

// workers is how many jobs are reconciled at the same time.
func (c *JobController[J]) workers() int {
	return cmp.Or(c.Config.MaxConcurrentReconciles, defaultWorkers)
}

// managed returns the dependencies, with the defaults that a manager provides.
func (c *JobController[J]) managed(mgr ctrl.Manager) (dependencies, error) {
	d := c.dependencies()
	if d.client == nil {
		d.client = mgr.GetClient()
	}
	if d.live == nil {
		d.live = mgr.GetAPIReader()
	}
	if d.recorder == nil && c.Controller != nil {
		kind, _, err := kindOf(c.Controller, mgr.GetScheme())
		if err != nil {
			return d, err
		}
		if c.made == nil { // Set-up may be tried again, and a recorder has goroutines.
			c.made = NewRecorder(mgr, kind.OperatorName)
		}
		d.recorder = c.made
	}
	return d, nil
}

// registerKind verifies that no other controller of the process runs the jobs of the kind, and
// that they and their owned objects are namespaced, as far as that is known yet.
func (c *JobController[J]) registerKind(mgr ctrl.Manager) error {
	for i, gvk := range append([]schema.GroupVersionKind{c.set.gvk}, c.set.objectKinds...) {
		m, err := mgr.GetRESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil || m.Scope.Name() == meta.RESTScopeNameNamespace {
			continue
		}
		if i == 0 {
			return fmt.Errorf("the kind %s is not namespaced, but its pods are: remove +kubebuilder:resource:scope=Cluster from the Go type, generate the CRD and apply it", gvk.Kind)
		}
		return fmt.Errorf("ObjectKinds() of %s names the kind %s, which is not namespaced, so no job can own it: leave it out", c.set.kind.Name, gvk.Kind)
	}
	if skip := mgr.GetControllerOptions().SkipNameValidation; skip != nil && *skip {
		return nil // Several managers of one process, as in tests.
	}
	return registerController(c.set.registry, c.set.gvk, c.set.kind.OperatorName)
}

// noTimeout is how long a controller waits for what it watches: practically without a limit. A
// timeout would end the manager, and with it the controllers of all other kinds. Readiness says
// what it waits for.
const noTimeout = 100 * 365 * 24 * time.Hour

// watch adds the cache of the jobs to the manager. It does not wait for the lease, so that a
// standby fills it, and the cache of the jobs' children. (EnableWarmup of controller-runtime
// would also queue all events for as long as the process is a standby.)
func (c *JobController[J]) watch(mgr ctrl.Manager, children []jobkit.Object) (*jobCache[J], error) {
	if c.set.readiness == nil {
		ready, err := NewReadiness(c.set.registry, c.set.kind.Framework)
		if err != nil {
			return nil, err
		}
		c.set.readiness = ready
		if err := mgr.AddReadyzCheck(strings.ToLower(c.set.gvk.Kind), ready.Check); err != nil {
			mgr.GetLogger().Info("The probe does not say whether this kind is ready: set Config.Readiness, and add its check before the manager starts",
				"kind", c.set.gvk.Kind, "reason", err.Error())
		}
	}
	jobs, err := newJobCache(mgr, c, children)
	if err != nil {
		return nil, err
	}
	if err := mgr.Add(jobs); err != nil {
		return nil, fmt.Errorf("cannot watch the jobs of kind %s: %w", c.set.kind.Name, err)
	}
	c.set.jobs = jobs
	return jobs, nil
}

// watchSchema starts the check of the kind's schema, unless the author writes the status.
func (c *JobController[J]) watchSchema(mgr ctrl.Manager) error {
	w, ok := c.set.statusWriter.(*writer[J])
	if !ok {
		return nil
	}
	gate, err := newSchemaGate(mgr, c.set, c.set.recorder)
	if err != nil {
		return err
	}
	gate.report = func(why error) { c.set.readiness.Waits(waitsForSchema, why) }
	c.set.gate, w.gate = gate, gate
	c.set.rivals.report = func(why error) { c.set.readiness.Waits(waitsForRival, why) }
	if err := mgr.Add(rivalWatch{rivals: c.set.rivals, clock: c.set.clock}); err != nil {
		return fmt.Errorf("cannot watch who writes the status of %s: %w", c.set.kind.Name, err)
	}
	return nil
}

// Init sets the controller up without a manager, for tests and loops of the
// author's own: Client, APIReader and Recorder must be set. It finds pods and
// services by their labels and checks the owner.
func (c *JobController[J]) Init(scheme *runtime.Scheme) error {
	d := c.dependencies()
	if d.live == nil {
		d.live = d.client
	}
	return c.init(scheme, nil, d)
}

// init is Init with the mapper of a manager, or nil.
func (c *JobController[J]) init(scheme *runtime.Scheme, mapper meta.RESTMapper, d dependencies) error {
	switch {
	case c.Controller == nil:
		return errors.New("JobController.Controller is not set: give it a type that implements ControllerInterface")
	case d.client == nil:
		return errors.New("JobController.Client is not set: set it, or use SetupWithManager")
	case d.recorder == nil:
		return errors.New("JobController.Recorder is not set: set it, or use SetupWithManager")
	case c.Config.MaxParallelWrites < 0 || c.Config.MaxConcurrentReconciles < 0:
		return fmt.Errorf("JobController.Config has a negative number: MaxParallelWrites %d, MaxConcurrentReconciles %d: use 0 for the default",
			c.Config.MaxParallelWrites, c.Config.MaxConcurrentReconciles)
	}
	gangs, err := c.newGangs(scheme, mapper)
	if err != nil {
		return err
	}
	kind, gvk, err := kindOf(c.Controller, scheme)
	if err != nil {
		return err
	}
	s := &settings[J]{
		dependencies: d,
		gvk:          gvk, resource: resourceOf(gvk, mapper), kind: kind, parts: c.Controller.Parts, jobs: d.client,
		pending: newPendingWrites[J](), departed: newDepartedPods(), slots: make(slots, startSlots), rivals: newRivals(kind.OperatorName),
		turns:       workerTurns(c.workers()),
		comparisons: lru.New(maxComparisons),
		asked:       lru.New(maxRemembered),
		priorities:  expiring.NewLRUExpireCacheWithClock(maxRemembered, d.clock),
		nodes:       expiring.NewLRUExpireCacheWithClock(maxRemembered, d.clock),
		limiter:     workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](minRetry, maxRetry),
	}
	w := &writer[J]{client: d.client, status: s.statusOf, pending: s.pending, rivals: s.rivals, name: client.FieldOwner(kind.OperatorName)}
	if s.metrics, err = newMetrics(d.registry, kind.Framework); err != nil {
		return err
	}
	s.cache = &cacheLister[J]{reader: d.client, foreign: d.client, scheme: scheme, kind: &s.kind}
	s.lister, s.pods, s.services, s.statusWriter, s.writer = s.cache, w, w, w, w
	choose(s, c.Controller, "Defaulter", &s.defaulter)
	choose(s, c.Controller, "Validator", &s.validator)
	choose(s, c.Controller, "StatusEvaluator", &s.evaluator)
	choose(s, c.Controller, "StatusReporter", &s.reporter)
	choose(s, c.Controller, "Warner", &s.warner)
	choose(s, c.Controller, "OwnedObjects", &s.owned)
	choose(s, c.Controller, "PodControl", &s.pods)
	choose(s, c.Controller, "ServiceControl", &s.services)
	choose(s, c.Controller, "ChildLister", &s.lister)
	choose(s, c.Controller, "StatusWriter", &s.statusWriter)
	s.mistakes = append(s.mistakes, checkParts(c.Controller, s), s.checkReporter(), s.resolveObjectKinds(scheme),
		checkFields(c.Controller, &kind), checkRules(c.Controller, s.defaulter, &kind))
	if err := errors.Join(s.mistakes...); err != nil {
		return err
	}
	if s.gang = gangs; gangs != nil {
		s.objectKinds = append(s.objectKinds, s.gang.kinds...)
		s.cache.untyped = append(s.cache.untyped, s.gang.untyped...)
	}
	c.set = s
	return nil
}

// resolveObjectKinds finds the kinds of the owned objects.
func (s *settings[J]) resolveObjectKinds(scheme *runtime.Scheme) error {
	if s.owned == nil {
		return nil
	}
	for _, o := range s.owned.ObjectKinds() {
		if isNil(o) {
			return fmt.Errorf("ObjectKinds() of %s names an object that is nil: give an empty object of the kind, for example &corev1.ConfigMap{}", s.kind.Name)
		}
		gvk, err := apiutil.GVKForObject(o, scheme)
		if err != nil {
			return fmt.Errorf("ObjectKinds() of %s names %T, which the scheme does not know: call its AddToScheme: %w", s.kind.Name, o, err)
		}
		switch {
		case gvk == corev1.SchemeGroupVersion.WithKind("Pod"), gvk == corev1.SchemeGroupVersion.WithKind("Service"):
			return fmt.Errorf("ObjectKinds() of %s names %s, which the library keeps itself, and would delete those that it did not make: leave it out, and see Kind().ServiceMode and SetClusterSpec", s.kind.Name, gvk.Kind)
		case s.kind.VolumeClaims && gvk == volumeClaimKind():
			return fmt.Errorf("ObjectKinds() of %s names %s, which the library keeps itself where Kind().VolumeClaims is set: leave one of the two out", s.kind.Name, gvk.Kind)
		case gvk == s.gvk:
			return fmt.Errorf("ObjectKinds() of %s names the kind of the jobs themselves: leave it out", s.kind.Name)
		case slices.ContainsFunc(s.objectKinds, func(k schema.GroupVersionKind) bool { return k.Kind == gvk.Kind }):
			return fmt.Errorf("ObjectKinds() of %s names the kind %s twice: leave one out; kinds of one name in two groups cannot both be kept", s.kind.Name, gvk.Kind)
		}
		s.objectKinds = append(s.objectKinds, gvk)
		if _, ok := o.(*unstructured.Unstructured); ok {
			s.cache.untyped = append(s.cache.untyped, gvk)
		}
	}
	return nil
}

// choose takes the author's implementation of an optional interface, if there is one.
func choose[J client.Object, I any](s *settings[J], author any, name string, into *I) {
	if own, ok := author.(I); ok {
		*into = own
		s.custom = append(s.custom, name)
	} else if err := nearMiss(author, reflect.TypeFor[I](), name); err != nil {
		s.mistakes = append(s.mistakes, err)
	}
}

// kindOf completes and checks what the author says of the kind.
func kindOf[J client.Object](author jobkit.ControllerInterface[J], scheme *runtime.Scheme) (jobkit.Kind, schema.GroupVersionKind, error) {
	job, err := newJob[J]()
	if err != nil {
		return jobkit.Kind{}, schema.GroupVersionKind{}, err
	}
	gvk, err := apiutil.GVKForObject(job, scheme)
	if err != nil {
		return jobkit.Kind{}, gvk, fmt.Errorf("the scheme does not know %T: call its AddToScheme: %w", job, err)
	}
	kind := author.Kind()
	for _, f := range []struct{ name, says, is string }{
		{"Name", kind.Name, gvk.Kind}, {"APIVersion", kind.APIVersion, gvk.GroupVersion().String()},
	} {
		if f.says != "" && f.says != f.is {
			return kind, gvk, fmt.Errorf("Kind() of %s is not valid: %s: %q is not what the scheme says of %T, which is %q: leave the field out", gvk.Kind, f.name, f.says, job, f.is)
		}
	}
	kind.Name, kind.APIVersion = gvk.Kind, gvk.GroupVersion().String()
	kind.SetDefaults()
	if errs := plan.ValidateKind(&kind); len(errs) > 0 {
		return kind, gvk, fmt.Errorf("Kind() of %s is not valid: %w", kind.Name, errs.ToAggregate())
	}
	return kind, gvk, nil
}

// knownParts are the parts of a job that may be incomplete. They are found without the
// author's code if possible, so that the error of a job on which that code fails can be
// written. A part that cannot be found is nil.
func (s *settings[J]) knownParts(job J) jobkit.JobParts {
	parts := jobkit.JobParts{Status: fieldAt[commonv1.JobStatus](job, s.statusAt), RunPolicy: fieldAt[commonv1.RunPolicy](job, s.policyAt)}
	if parts.Status == nil || parts.RunPolicy == nil {
		returnsNormally(func() { parts = s.parts(job) })
	}
	return parts
}

// statusOf is the status of a job, or nil.
func (s *settings[J]) statusOf(job J) *commonv1.JobStatus { return s.knownParts(job).Status }

// newJob returns an empty job.
func newJob[J client.Object]() (J, error) {
	t := reflect.TypeFor[J]()
	if t.Kind() != reflect.Pointer {
		var none J
		return none, fmt.Errorf("JobController needs a pointer to the job's type, for example *TestJob, and got %s", t)
	}
	job, ok := reflect.TypeAssert[J](reflect.New(t.Elem()))
	if !ok {
		return job, fmt.Errorf("cannot make a new %s", t)
	}
	return job, nil
}

// metadata returns an empty object to read the metadata of a job into.
func (s *settings[J]) metadata() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(s.gvk)
	return m
}
