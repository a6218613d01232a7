package operator

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// eventLog keeps events.
type eventLog []string

func (l *eventLog) Eventf(regarding, _ runtime.Object, kind, reason, _, note string, args ...any) {
	*l = append(*l, fmt.Sprintf("%s %s %s: %s", regarding.GetObjectKind().GroupVersionKind().Kind, kind, reason, fmt.Sprintf(note, args...)))
}

// webhooks are those of training-operator v1.
func webhooks(change func(*admissionregistrationv1.ValidatingWebhook)) *admissionregistrationv1.ValidatingWebhookConfiguration {
	fail := admissionregistrationv1.Fail
	c := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: v1Webhooks}}
	for _, plural := range []string{"jaxjobs", "paddlejobs", "pytorchjobs", "tfjobs", "xgboostjobs"} {
		w := admissionregistrationv1.ValidatingWebhook{
			Name: "validator." + strings.TrimSuffix(plural, "s") + ".training-operator.kubeflow.org", FailurePolicy: &fail,
			ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "kubeflow", Name: "training-operator"}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"kubeflow.org"}, APIVersions: []string{"v1"}, Resources: []string{plural}},
			}},
		}
		if change != nil {
			change(&w)
		}
		c.Webhooks = append(c.Webhooks, w)
	}
	return c
}

// TestWebhooksWithoutService checks known-bugs row 111: webhooks of training-operator v1
// that no one answers are reported, with the command that removes them.
func TestWebhooksWithoutService(t *testing.T) {
	selector := map[string]string{"control-plane": "kubeflow-training-operator"}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "kubeflow", Name: "training-operator"}, Spec: corev1.ServiceSpec{Selector: selector}}
	pod := func(ready corev1.ConditionStatus) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Namespace: "kubeflow", Name: "training-operator-1", Labels: selector},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
		}
	}
	const refused = "he API server refuses every new and changed job of pytorchjobs, tfjobs: the ValidatingWebhookConfiguration " +
		"validator.training-operator.kubeflow.org of training-operator v1 calls the service kubeflow/training-operator, which "
	const command = ". If v1 is not to come back: kubectl delete validatingwebhookconfiguration validator.training-operator.kubeflow.org"
	tests := map[string]struct {
		reason  string
		objects []client.Object
		err     error
		why     string
		log     string
	}{
		"Never":     {reason: "there was no v1"},
		"Forbidden": {reason: "with a Role for one namespace it may not read them", err: apierrors.NewForbidden(schema.GroupResource{}, v1Webhooks, nil)},
		"Deleted":   {reason: "its deployment and service were deleted", objects: []client.Object{webhooks(nil)}, why: refused + "is not there" + command},
		"Stopped":   {reason: "its deployment has 0 replicas", objects: []client.Object{webhooks(nil), service}, why: refused + "has no pod that is ready" + command},
		"Crashing":  {reason: "its pod does not answer", objects: []client.Object{webhooks(nil), service, pod(corev1.ConditionFalse)}, why: refused + "has no pod that is ready" + command},
		"Running": {
			reason:  "it runs: the webhooks answer, and the log says so",
			objects: []client.Object{webhooks(nil), service, pod(corev1.ConditionTrue)}, log: "training-operator v1 runs in this cluster, too",
		},
		"Ignored": {
			reason: "webhooks that are ignored when they fail refuse nothing",
			objects: []client.Object{webhooks(func(w *admissionregistrationv1.ValidatingWebhook) {
				w.FailurePolicy = new(admissionregistrationv1.Ignore)
			})},
		},
		"Others": {
			reason: "they are asked about kinds that are not run here",
			objects: []client.Object{webhooks(func(w *admissionregistrationv1.ValidatingWebhook) {
				w.Rules[0].APIGroups = []string{"trainer.kubeflow.org"}
			})},
		},
		"URL": {
			reason: "whether an address outside of the cluster answers is not known",
			objects: []client.Object{webhooks(func(w *admissionregistrationv1.ValidatingWebhook) {
				w.ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: new("https://example.com")}
			})},
		},
		"NoSelector": {
			reason: "nor behind a service without a selector", log: "training-operator v1 runs in this cluster, too",
			objects: []client.Object{webhooks(nil), &corev1.Service{ObjectMeta: service.ObjectMeta}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(tc.objects...).WithInterceptorFuncs(interceptor.Funcs{
				Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
					if tc.err != nil {
						return tc.err
					}
					return c.Get(ctx, key, o, opts...)
				},
			}).Build()
			var lines []string
			var recorded eventLog
			l := &leftovers{
				reader: c, recorder: &recorded, plurals: []string{"mpijobs", "pytorchjobs", "tfjobs"},
				log: funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{}),
			}
			for range 3 {
				l.check(t.Context())
			}
			var wantEvents []string
			why := ""
			if err := l.ready(nil); err != nil {
				why = err.Error()
			}
			if tc.why != "" {
				tc.log, wantEvents = tc.why, []string{"ValidatingWebhookConfiguration Warning WebhooksWithoutService: T" + tc.why}
				tc.why = "t" + tc.why
			}
			if diff := cmp.Diff(tc.why, why); diff != "" {
				t.Errorf("%s: what the probe says (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(wantEvents, []string(recorded)); diff != "" {
				t.Errorf("%s: events (-want +got):\n%s", tc.reason, diff)
			}
			if tc.log == "" && len(lines) > 0 || tc.log != "" && (len(lines) != 1 || !strings.Contains(lines[0], tc.log)) {
				t.Errorf("%s: the log says it once: %q", tc.reason, lines)
			}
			if tc.why == "" {
				return
			}
			if err := c.Delete(t.Context(), webhooks(nil)); err != nil {
				t.Fatal(err)
			}
			if l.check(t.Context()); l.ready(nil) != nil {
				t.Errorf("the webhooks are gone, and the probe says %v", l.ready(nil))
			}
		})
	}
	if (&leftovers{}).NeedLeaderElection() {
		t.Error("a standby says what would keep it from taking over, too")
	}
}

// TestPage checks that the page about training-operator v1 has the commands and words that
// the operator reports to its users.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/operators/from-training-operator-v1.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"kubectl delete validatingwebhookconfiguration " + v1Webhooks, "kubectl apply --server-side --force-conflicts", "`training-operator-v1`",
		"`" + reasonWebhooksLeft + "`", "`CRDOutdated`", "`TwoControllers`", "--enable-scheme",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("docs/operators/from-training-operator-v1.md does not have %s", want)
		}
	}
}
