package controller

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/openapi"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/servedschema"
)

const (
	// schemaRetry is how often the schema of a kind is checked while it is unknown or not as
	// it should be.
	schemaRetry = 10 * time.Second
	// namedFields is how many missing fields a message names.
	namedFields = 4
	// reasonCRDOutdated is the reason of the events of a kind that is not run.
	reasonCRDOutdated = "CRDOutdated"
)

// schemaGate holds back the jobs of a kind while the API server would drop fields of their
// status. It drops them without an error when the CustomResourceDefinition is older than the
// operator: then no restart would be counted, and no limit reached. The gate needs no
// permission, because every client may read the schemas of what is served.
//
// It checks when the operator starts, until the schema is right. A CRD that is replaced later
// is noticed when a status is written: the write asks the API server to refuse fields that it
// would drop (see writer.WriteStatus).
type schemaGate struct {
	gvk      schema.GroupVersionKind
	crd      string // the name of its CRD
	job      reflect.Type
	schemas  openapi.ClientWithContext
	log      logr.Logger
	recorder events.EventRecorder
	// report tells the probe of the process why the kind is not run, nil if it is.
	report func(error)

	mu sync.Mutex
	// known is set once the schema was checked; without it no job is run.
	known bool
	// why is the reason that no job is run, or empty.
	why string
	// reported are the jobs that have an event with the reason.
	reported map[types.UID]bool
	// again makes Start check again.
	again chan struct{}
}

// newSchemaGate makes the gate of a kind and has the manager run it.
func newSchemaGate[J client.Object](mgr ctrl.Manager, s *settings[J], recorder events.EventRecorder) (*schemaGate, error) {
	c, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, fmt.Errorf("cannot make a client for the schema of %s: %w", s.kind.Name, err)
	}
	plural := strings.ToLower(s.gvk.Kind) + "s"
	if m, err := mgr.GetRESTMapper().RESTMapping(s.gvk.GroupKind(), s.gvk.Version); err == nil {
		plural = m.Resource.Resource
	}
	g := &schemaGate{
		gvk: s.gvk, crd: plural + "." + s.gvk.Group, job: reflect.TypeFor[J](),
		schemas: openapi.ToClientWithContext(c.OpenAPIV3()), log: mgr.GetLogger().WithValues("kind", s.gvk.Kind), recorder: recorder,
		reported: map[types.UID]bool{}, again: make(chan struct{}, 1),
		report: func(error) {},
	}
	if err := mgr.Add(g); err != nil {
		return nil, fmt.Errorf("cannot check the schema of %s: %w", s.kind.Name, err)
	}
	return g, nil
}

// NeedLeaderElection is false, so that a standby checks, too, and its readiness says what would
// keep it from taking over.
func (g *schemaGate) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (g *schemaGate) Start(ctx context.Context) error {
	// A refused write is followed by a check some time later, so that many are followed by one.
	for atOnce := true; ; atOnce = false {
		check := func(ctx context.Context) (bool, error) { return g.check(ctx), nil }
		if err := wait.PollUntilContextCancel(ctx, schemaRetry, atOnce, check); err != nil {
			return nil //nolint:nilerr // the manager ends
		}
		select {
		case <-ctx.Done():
			return nil
		case <-g.again:
		}
	}
}

// check checks the schema, and reports whether it is right.
func (g *schemaGate) check(ctx context.Context) bool {
	why, served, err := g.findProblem(ctx)
	switch {
	case err != nil:
		// This is no reason not to run jobs. A write of the status still notices fields that
		// would be dropped.
		g.log.Info("Cannot find out whether the API server keeps all that the status of a job says; checking again",
			"after", schemaRetry.String(), "reason", err.Error())
		g.mu.Lock()
		g.known = true
		g.mu.Unlock()
	case !served: // The CRD does not exist yet.
		g.recordProblem("")
	case why == "":
		g.recordProblem("")
		return true
	default:
		g.recordProblem(why)
	}
	return false
}

// findProblem says what is wrong with the CRD, or "", and reports whether the API server serves
// the kind.
func (g *schemaGate) findProblem(ctx context.Context) (string, bool, error) {
	paths, err := g.schemas.PathsWithContext(ctx)
	if err != nil {
		return "", false, fmt.Errorf("cannot list the schemas: %w", err)
	}
	path := servedschema.Find[commonv1.JobStatus](g.job)
	document, served := paths["apis/"+g.gvk.GroupVersion().String()]
	if !served || len(path) == 0 {
		return "", len(path) == 0, nil // A status outside the job is the author's concern.
	}
	text, err := document.SchemaWithContext(ctx, "application/json")
	if err != nil {
		return "", false, fmt.Errorf("cannot read the schemas of %s: %w", g.gvk.GroupVersion(), err)
	}
	s, err := servedschema.Of(text, g.gvk, path[0])
	if err != nil || s == nil {
		return "", false, err
	}
	if lacks, err := servedschema.LacksStatus(text, g.plural()); err != nil || lacks {
		return g.withoutStatus(), true, err
	}
	if lost := servedschema.Dropped(s, path, reflect.TypeFor[commonv1.JobStatus]()); len(lost) > 0 {
		return g.outdated(lost), true, nil
	}
	return "", true, nil
}

// plural is the name of the resource.
func (g *schemaGate) plural() string { return strings.TrimSuffix(g.crd, "."+g.gvk.Group) }

// withoutStatus says that the status of a job cannot be written, and how to fix that.
func (g *schemaGate) withoutStatus() string {
	return fmt.Sprintf("the CustomResourceDefinition %s has no subresource status, so the status of a job cannot be written. "+
		"No %s is run until it has: put +kubebuilder:subresource:status on the Go type, generate the CRD and apply it", g.crd, g.gvk.Kind)
}

// outdated says what is wrong with the CRD, and how to fix it.
func (g *schemaGate) outdated(lost []string) string {
	names := strings.Join(lost[:min(len(lost), namedFields)], ", ")
	if more := len(lost) - namedFields; more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("the CustomResourceDefinition %s is older than the operator: the API server drops %s, so no restart would be counted. "+
		"No %s is run until the CRD of this version is applied: kubectl apply --server-side --force-conflicts -f config/crd/%s_%s.yaml",
		g.crd, names, g.gvk.Kind, g.gvk.Group, g.plural())
}

// refused makes Start check the schema again: the API server refused a status because it would
// drop a part of it, or serves no status. The text of that error decides nothing, because it
// quotes the job.
func (g *schemaGate) refused() {
	if g == nil {
		return
	}
	select {
	case g.again <- struct{}{}:
	default:
	}
}

// recordProblem opens the gate, or closes it for a reason, and reports a change.
func (g *schemaGate) recordProblem(why string) {
	g.mu.Lock()
	was := g.why
	g.known, g.why = true, why
	if why == "" {
		clear(g.reported)
	}
	g.mu.Unlock()
	switch why {
	case was:
	case "":
		g.report(nil)
		g.log.Info("The CustomResourceDefinition is that of this version now; its jobs are run", "crd", g.crd)
	default:
		g.report(outdatedError(why))
		g.log.Error(nil, "Jobs of a kind are not run", "crd", g.crd, "reason", why)
		crd := &metav1.PartialObjectMetadata{}
		crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
		crd.SetName(g.crd)
		g.recordEvent(crd, why)
	}
}

// forget drops what is kept of a job that is gone.
func (g *schemaGate) forget(uid types.UID) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.reported, uid)
}

// holds reports whether a job must not be run now, and when to requeue it. An event of the
// job says why, once.
func (g *schemaGate) holds(job client.Object, finished bool) (time.Duration, bool) {
	if g == nil {
		return 0, false
	}
	g.mu.Lock()
	known, why := g.known, g.why
	emit := why != "" && !finished && !g.reported[job.GetUID()]
	if emit {
		g.reported[job.GetUID()] = true
	}
	g.mu.Unlock()
	if emit {
		g.recordEvent(job, why)
	}
	switch {
	case why != "":
		return schemaRetry, true
	case !known:
		return retryStale, true
	}
	return 0, false
}

// outdatedError is why a kind is not ready whose CRD is older than the operator.
type outdatedError string

func (e outdatedError) Error() string { return string(e) }

func (g *schemaGate) recordEvent(about runtime.Object, why string) {
	g.recorder.Eventf(about, nil, corev1.EventTypeWarning, reasonCRDOutdated, "Reconcile", "%s", strings.ToUpper(why[:1])+why[1:])
}

// wouldDrop returns an error that names the fields that the API server would drop, if it
// refused a write for that. The API server's own message is left out: it has the whole job.
func wouldDrop(err error) error {
	if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) {
		return nil
	}
	const begin = "strict decoding error: unknown field "
	text := err.Error()
	at := strings.LastIndex(text, begin)
	if at < 0 {
		return nil
	}
	fields := strings.ReplaceAll(strings.NewReplacer(`\"`, "", `"`, "").Replace(text[at+len(begin):]), "unknown field ", "")
	return droppedError(fields)
}

// droppedError is the fields of a status that the API server would drop.
type droppedError string

func (e droppedError) Error() string {
	return fmt.Sprintf("the API server would drop %.200s: the CustomResourceDefinition is older than the operator", string(e))
}
