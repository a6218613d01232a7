package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/jobkit/jobkit/controller"
)

// crdPollPeriod is how often the operator checks for a missing CRD.
const crdPollPeriod = 10 * time.Second

// start sets up the controllers of the kinds. A missing CRD would prevent the manager from
// starting any of them, and end it after two minutes; so a kind is set up when its CRD
// exists.
func (p *Program) start(mgr ctrl.Manager) error {
	s := &starter{log: mgr.GetLogger().WithName("operator"), wait: crdPollPeriod, install: p.options.InstallCRD, several: len(p.flags.kinds.known) > 1}
	s.served = func(gvk schema.GroupVersionKind) (bool, error) { return served(mgr.GetRESTMapper(), gvk) }
	s.setUp = func(m missing) error {
		m.ready.Waits(waitsForCRD, nil)
		config := p.Config()
		config.Readiness = m.ready
		return m.kind.controller.SetupWithConfig(mgr, config)
	}
	for _, k := range p.kinds {
		gvk, err := apiutil.GVKForObject(k.Job, mgr.GetScheme())
		if err != nil {
			return fmt.Errorf("the scheme does not know the kind %s: name its AddToScheme in Options.AddToScheme: %w", k.name, err)
		}
		// The probe accepts no check after the manager has started, and a CRD may come later.
		ready, err := controller.NewReadiness(metrics.Registry, k.Framework)
		if err != nil {
			return fmt.Errorf("cannot report whether the kind %s is ready: %w", k.name, err)
		}
		if err := mgr.AddReadyzCheck(k.name, ready.Check); err != nil {
			return fmt.Errorf("cannot add the probe of the kind %s: %w", k.name, err)
		}
		s.missing = append(s.missing, missing{kind: k, gvk: gvk, ready: ready})
	}
	if err := s.setUpServed(); err != nil || len(s.missing) == 0 {
		return err
	}
	s.report()
	if err := mgr.Add(s); err != nil {
		return fmt.Errorf("cannot wait for the CRDs that are missing: %w", err)
	}
	return nil
}

// starter sets up the controllers of kinds as their CRDs appear.
type starter struct {
	// served reports whether the API server serves a kind, setUp sets its controller up.
	served func(schema.GroupVersionKind) (bool, error)
	setUp  func(missing) error
	// install says how to install a CRD; several is whether a flag names the kinds to run.
	install func(schema.GroupVersionKind) string
	several bool
	log     logr.Logger
	wait    time.Duration
	missing []missing
}

// missing is a kind whose controller is not set up yet.
type missing struct {
	kind  *kind
	gvk   schema.GroupVersionKind
	ready *controller.Readiness
}

// waitsForCRD is why a kind is not set up.
const waitsForCRD = "crd"

// crd is the name of the kind's CRD.
func (m missing) crd() string { return strings.ToLower(m.gvk.Kind) + "s." + m.gvk.Group }

func (s *starter) fix(m missing) string {
	if s.several {
		return s.install(m.gvk) + ", or leave " + m.kind.name + " out of --kinds"
	}
	return s.install(m.gvk)
}

// served reports whether the API server serves a kind.
func served(mapper meta.RESTMapper, gvk schema.GroupVersionKind) (bool, error) {
	_, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("cannot find out whether the API server serves %s: %w", gvk.Kind, err)
	}
	return true, nil
}

// setUpServed sets up the kinds that are served now. One that cannot be set up says so in its probe, stays
// missing, and holds up no other.
func (s *starter) setUpServed() error {
	var failed []error
	s.missing = slices.DeleteFunc(s.missing, func(m missing) bool {
		there, err := s.served(m.gvk)
		if err != nil || !there {
			failed = append(failed, err)
			return false
		}
		if err := s.setUp(m); err != nil {
			err = fmt.Errorf("cannot set up %s: %w", m.kind.name, err)
			m.ready.Waits(waitsForCRD, err)
			failed = append(failed, err)
			return false
		}
		return true
	})
	return errors.Join(failed...)
}

// report logs each missing kind, and how to fix that.
func (s *starter) report() {
	for _, m := range s.missing {
		m.ready.Waits(waitsForCRD, fmt.Errorf("%s is missing: %s: %w", m.crd(), s.fix(m),
			&meta.NoKindMatchError{GroupKind: m.gvk.GroupKind(), SearchedVersions: []string{m.gvk.Version}}))
		s.log.Error(nil, "The CRD of a job kind is missing, so its jobs are not run; the operator runs the other kinds, and checks again every "+s.wait.String(),
			"kind", m.gvk.Kind, "version", m.gvk.GroupVersion().String(), "crd", m.crd(), "fix", s.fix(m))
	}
}

// NeedLeaderElection lets the kinds be set up everywhere; their controllers wait for
// the lease.
func (s *starter) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable: it polls for the CRDs until all exist.
func (s *starter) Start(ctx context.Context) error {
	ticker := time.NewTicker(s.wait)
	defer ticker.Stop()
	for len(s.missing) > 0 {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		before := len(s.missing)
		if err := s.setUpServed(); err != nil {
			s.log.Error(err, "A kind whose CRD was missing cannot be set up yet; trying again")
		}
		if len(s.missing) < before {
			s.log.Info("CRDs have appeared; their jobs are run now", "stillMissing", len(s.missing))
		}
	}
	return nil
}
