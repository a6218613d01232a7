package controller

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
)

// Readiness reports whether a controller sees all that it needs to run the jobs of its kind:
// the jobs themselves, their pods, their services and so on. Each kind becomes ready on its
// own, also without the lease. The metrics jobkit_kind_ready and jobkit_kind_waits say the same.
type Readiness struct {
	framework      string
	ready, waiting *prometheus.GaugeVec

	mu sync.Mutex
	// waits holds the resources that cannot be read yet, and why.
	waits map[string]error
}

// errStarting is why a new controller waits.
var errStarting = errors.New("the controller is not started yet")

// NewReadiness makes a Readiness that is not ready. The framework is that of the kind
// (see jobkit.Kind), and labels its metrics.
func NewReadiness(registry prometheus.Registerer, framework string) (*Readiness, error) {
	ready, err1 := register(registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "jobkit_kind_ready", Help: "1 if the controller of a kind sees all that it needs, 0 if its jobs are not run or may not be.",
	}, []string{labelFramework}))
	waiting, err2 := register(registry, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "jobkit_kind_waits", Help: "What the controller of a kind waits for, and why; nothing if it is ready.",
	}, []string{labelFramework, "resource", "reason"}))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	r := &Readiness{framework: framework, ready: ready, waiting: waiting, waits: map[string]error{}}
	r.Waits("start", errStarting)
	return r, nil
}

// Waits records that the controller cannot see a resource, and why; nil means that it can.
// It returns true if that is new.
func (r *Readiness) Waits(resource string, why error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.waits[resource]
	if why != nil {
		r.waits[resource] = why
	} else {
		delete(r.waits, resource)
	}
	is := 1.0
	if len(r.waits) > 0 {
		is = 0
	}
	r.ready.WithLabelValues(r.framework).Set(is)
	if was != nil && (why == nil || reasonOf(was) != reasonOf(why)) {
		r.waiting.DeleteLabelValues(r.framework, resource, reasonOf(was))
	}
	if why != nil {
		r.waiting.WithLabelValues(r.framework, resource, reasonOf(why)).Set(1)
	}
	return fmt.Sprint(was) != fmt.Sprint(why)
}

// Check is a healthz.Checker: its error says what the controller waits for, and why.
func (r *Readiness) Check(*http.Request) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]string, 0, len(r.waits))
	for _, resource := range slices.Sorted(maps.Keys(r.waits)) {
		all = append(all, resource+": "+r.waits[resource].Error())
	}
	if len(all) == 0 {
		return nil
	}
	if len(r.waits) == 1 && errors.Is(r.waits[waitsForRival], errRival) {
		return errors.New(all[0]) // The jobs are run, only not by this controller alone.
	}
	return fmt.Errorf("jobs of this kind are not run: %s", strings.Join(all, "; "))
}

// What a controller waits for that it does not watch.
const (
	waitsForSchema = "schema"
	waitsForRival  = "status"
)

func isOutdated(err error) bool {
	_, ok := errors.AsType[outdatedError](err)
	return ok
}

// reasonOf is an error in one word, for a metric.
func reasonOf(err error) string {
	switch reason := apierrors.ReasonForError(err); {
	case meta.IsNoMatchError(err):
		return "NoCRD"
	case errors.Is(err, errStarting):
		return "Starting"
	case errors.Is(err, errRival):
		return reasonRival
	case isOutdated(err):
		return reasonCRDOutdated
	case errors.Is(err, errReading):
		return "Reading"
	case reason != "":
		return string(reason)
	default:
		return "Unreachable"
	}
}
