package operator

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/operators"
)

const (
	// v1Webhooks is the ValidatingWebhookConfiguration that training-operator v1 installs.
	v1Webhooks = "validator.training-operator.kubeflow.org"
	// leftoversPeriod is how often the operator checks for it, which is one request, and
	// leftoversRetry how often while jobs are refused.
	leftoversPeriod = time.Minute
	leftoversRetry  = 10 * time.Second
	// reasonWebhooksLeft is the reason of the event about it.
	reasonWebhooksLeft = "WebhooksWithoutService"
)

// leftovers watches for what training-operator v1 leaves in a cluster when its deployment is
// deleted, or stopped: webhooks that no one answers, so that the API server refuses every
// job.
type leftovers struct {
	reader   client.Reader
	recorder events.EventRecorder
	log      logr.Logger
	// plurals are the kinds that are run, as the webhooks name them.
	plurals []string

	mu  sync.Mutex
	why string
	// note is what was logged last beside why.
	note string
}

// watchLeftovers adds the check for leftovers to the manager.
func watchLeftovers(mgr ctrl.Manager, kinds []operators.Kind) error {
	l := &leftovers{
		reader: mgr.GetAPIReader(), recorder: controller.NewRecorder(mgr, "jobkit-operator"), log: mgr.GetLogger().WithName("operator"),
	}
	for _, k := range kinds {
		gvk, err := apiutil.GVKForObject(k.Job, mgr.GetScheme())
		if err != nil {
			return fmt.Errorf("the scheme does not know the kind %s: %w", k.Name, err)
		}
		l.plurals = append(l.plurals, strings.ToLower(gvk.Kind)+"s")
	}
	if err := mgr.AddReadyzCheck("training-operator-v1", l.ready); err != nil {
		return fmt.Errorf("cannot add a probe: %w", err)
	}
	if err := mgr.Add(l); err != nil {
		return fmt.Errorf("cannot watch for what training-operator v1 has left: %w", err)
	}
	return nil
}

// NeedLeaderElection makes a standby check, too.
func (l *leftovers) NeedLeaderElection() bool { return false }

// Start implements manager.Runnable.
func (l *leftovers) Start(ctx context.Context) error {
	for ctx.Err() == nil {
		next := leftoversPeriod
		if l.check(ctx); l.ready(nil) != nil {
			next = leftoversRetry
		}
		select {
		case <-ctx.Done():
		case <-time.After(next):
		}
	}
	return nil
}

// ready is a healthz.Checker.
func (l *leftovers) ready(*http.Request) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.why != "" {
		return fmt.Errorf("%s", l.why)
	}
	return nil
}

// check checks once, and reports what is new.
func (l *leftovers) check(ctx context.Context) {
	var webhooks admissionregistrationv1.ValidatingWebhookConfiguration
	err := l.reader.Get(ctx, client.ObjectKey{Name: v1Webhooks}, &webhooks)
	var why, said string
	if err == nil {
		why, said, err = l.examine(ctx, &webhooks)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		// With a Role for one namespace it may not read this. The operator still runs.
		l.log.V(1).Info("Cannot check whether training-operator v1 has left webhooks behind", "name", v1Webhooks, "reason", err.Error())
		return
	}
	l.mu.Lock()
	was, before := l.why, l.note
	l.why, l.note = why, said
	l.mu.Unlock()
	switch {
	case why != "" && why != was:
		l.log.Error(nil, "Jobs cannot be created or changed", "reason", why)
		webhooks.SetGroupVersionKind(admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration"))
		l.recorder.Eventf(&webhooks, nil, corev1.EventTypeWarning, reasonWebhooksLeft, "Check", "%s", strings.ToUpper(why[:1])+why[1:])
	case why == "" && was != "":
		l.log.Info("Jobs can be created and changed again")
	}
	if said != "" && said != before {
		l.log.Info(said)
	}
}

// examine says why the webhooks refuse every job, if they do, or that v1 runs.
func (l *leftovers) examine(
	ctx context.Context, webhooks *admissionregistrationv1.ValidatingWebhookConfiguration,
) (why, said string, err error) {
	var plurals []string
	var reason string
	for i := range webhooks.Webhooks {
		w := &webhooks.Webhooks[i]
		names := l.concerned(w)
		service := w.ClientConfig.Service
		if len(names) == 0 || service == nil || w.FailurePolicy != nil && *w.FailurePolicy == admissionregistrationv1.Ignore {
			continue
		}
		wrong, err := l.answers(ctx, service)
		if err != nil {
			return "", "", err
		}
		if wrong != "" {
			plurals, reason = append(plurals, names...), fmt.Sprintf("the service %s/%s, which %s", service.Namespace, service.Name, wrong)
			continue
		}
		said = fmt.Sprintf("training-operator v1 runs in this cluster, too (service %s/%s): stop it, or have each of the two run kinds of its own (--kinds here, --enable-scheme there)",
			service.Namespace, service.Name)
	}
	if len(plurals) == 0 {
		return "", said, nil
	}
	slices.Sort(plurals)
	return fmt.Sprintf("the API server refuses every new and changed job of %s: the ValidatingWebhookConfiguration %s of training-operator v1 calls %s. "+
		"If v1 is not to come back: kubectl delete validatingwebhookconfiguration %s",
		strings.Join(slices.Compact(plurals), ", "), webhooks.Name, reason, webhooks.Name), said, nil
}

// concerned are the kinds that are run and that a webhook is asked about.
func (l *leftovers) concerned(w *admissionregistrationv1.ValidatingWebhook) []string {
	var names []string
	has := func(list []string, name string) bool {
		return slices.Contains(list, name) || slices.Contains(list, "*")
	}
	for _, plural := range l.plurals {
		if slices.ContainsFunc(w.Rules, func(r admissionregistrationv1.RuleWithOperations) bool {
			return has(r.APIGroups, kubeflowv1.GroupVersion.Group) && has(r.Resources, plural)
		}) {
			names = append(names, plural)
		}
	}
	return names
}

// answers says what is wrong with a service, or nothing if it has a pod that answers.
func (l *leftovers) answers(ctx context.Context, ref *admissionregistrationv1.ServiceReference) (string, error) {
	var service corev1.Service
	err := l.reader.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, &service)
	if apierrors.IsNotFound(err) {
		return "is not there", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot read service %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	if len(service.Spec.Selector) == 0 {
		return "", nil // Another controller manages its addresses.
	}
	var pods corev1.PodList
	if err := l.reader.List(ctx, &pods, client.InNamespace(ref.Namespace), client.MatchingLabels(service.Spec.Selector)); err != nil {
		return "", fmt.Errorf("cannot list the pods of service %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	for i := range pods.Items {
		if slices.ContainsFunc(pods.Items[i].Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			return "", nil
		}
	}
	return "has no pod that is ready", nil
}
