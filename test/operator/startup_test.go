//go:build integration

package operator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// TestCluster checks known-bugs row 111 on a cluster that is not ready for the operator:
// the CRD of a kind is older than the operator, training-operator v1 has left its
// webhooks behind, and another controller writes the status of the same jobs. It reports
// each in log, event and probe, and continues without a restart when it is fixed.
func TestCluster(t *testing.T) {
	apply(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "startup"}}
	create(t, ns)
	outdate(t, "kubeflow.org_xgboostjobs.yaml")
	t.Cleanup(func() { update(context.Background(), t, "kubeflow.org_xgboostjobs.yaml") })
	create(t, v1Webhooks())
	template := func(container string) string {
		return "{restartPolicy: ExitCode, template: {metadata: {annotations: {devcluster.jobkit.dev/run-for: 2s, devcluster.jobkit.dev/exit-code: '137'}}, spec: {containers: [{name: " + container + ", image: busybox}]}}}"
	}
	xgb := job(t, "XGBoostJob", "{runPolicy: {backoffLimit: 1}, xgbReplicaSpecs: {Master: "+template("xgboost")+"}}")
	xgb.SetNamespace(ns.Name)
	create(t, xgb)
	p := start(t)

	p.notReady(t, "training-operator-v1", "kubectl delete validatingwebhookconfiguration validator.training-operator.kubeflow.org")
	p.logs(t, "kubectl delete validatingwebhookconfiguration validator.training-operator.kubeflow.org")
	event(t, "ValidatingWebhookConfiguration", "validator.training-operator.kubeflow.org", "WebhooksWithoutService")

	const command = "kubectl apply --server-side --force-conflicts -f config/crd/kubeflow.org_xgboostjobs.yaml"
	p.logs(t, command)
	p.notReady(t, "xgboostjob", command)
	event(t, "CustomResourceDefinition", "xgboostjobs.kubeflow.org", "CRDOutdated")
	event(t, "XGBoostJob", "xgboostjob", "CRDOutdated")
	pods := &corev1.PodList{}
	if err := cluster.client.List(t.Context(), pods, client.InNamespace(ns.Name)); err != nil || len(pods.Items) > 0 {
		t.Errorf("a job of a kind whose CRD is older has %d pods, error %v", len(pods.Items), err)
	}

	// Both are fixed.
	if err := cluster.client.Delete(t.Context(), v1Webhooks()); err != nil {
		t.Fatal(err)
	}
	update(t.Context(), t, "kubeflow.org_xgboostjobs.yaml")
	p.logs(t, "Jobs can be created and changed again")
	p.serves(t)
	eventually(t, "the job is run, and its one restart is counted", func(ctx context.Context) error {
		if err := cluster.client.Get(ctx, client.ObjectKeyFromObject(xgb), xgb); err != nil {
			return err
		}
		state, _, _ := unstructured.NestedString(xgb.Object, "status", "state")
		if restarts, _, _ := unstructured.NestedInt64(xgb.Object, "status", "restarts"); state != "Failed" || restarts != 1 {
			return fmt.Errorf("its state is %q after %d restarts", state, restarts)
		}
		return nil
	})

	// The CRD of v1 is applied over it while the operator runs, as it happens on the way back.
	outdate(t, "kubeflow.org_xgboostjobs.yaml")
	later := job(t, "XGBoostJob", "{xgbReplicaSpecs: {Master: "+template("xgboost")+"}}")
	later.SetNamespace(ns.Name)
	later.SetName("later")
	create(t, later)
	event(t, "XGBoostJob", "later", "CRDOutdated")
	update(t.Context(), t, "kubeflow.org_xgboostjobs.yaml")

	// Another controller writes the status of a job as soon as the operator has.
	tf := job(t, "TFJob", "{tfReplicaSpecs: {Worker: "+strings.ReplaceAll(template("tensorflow"), "2s", "1h")+"}}")
	tf.SetNamespace(ns.Name)
	create(t, tf)
	rival := 0
	eventually(t, "two controllers are noticed", func(ctx context.Context) error {
		rival++
		note := fmt.Sprintf(`{"status": {"conditions": [], "startTime": null, "replicaStatuses": {"Worker": {"active": %d}}}}`, rival)
		if err := cluster.client.Status().Patch(ctx, tf.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(note)), client.FieldOwner("manager")); err != nil {
			return err
		}
		if found := hasEvent(ctx, "TFJob", "tfjob", "TwoControllers"); found != nil {
			return found
		}
		return nil
	})
	p.notReady(t, "tfjob", `two controllers run the same jobs: another controller, "manager", writes the status of the same jobs`)
	p.logs(t, `another controller, \"manager\", writes the status of the same jobs`)
	p.ends(t)
	if log := p.log(); strings.Contains(log, "forbidden") || strings.Contains(log, "DATA RACE") {
		t.Errorf("the operator lacks permissions, or has a data race:\n%s", log)
	}
}

// definition is a CRD of this version.
func definition(t *testing.T, file string) *unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../config/crd", file))
	if err != nil {
		t.Fatal(err)
	}
	crd := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(text, &crd.Object); err != nil {
		t.Fatal(err)
	}
	return crd
}

// outdate makes a CRD that of training-operator v1, as far as the status goes.
func outdate(t *testing.T, file string) {
	t.Helper()
	crd := definition(t, file)
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	status := versions[0].(map[string]any)["schema"].(map[string]any)["openAPIV3Schema"].(map[string]any)["properties"].(map[string]any)["status"].(map[string]any)
	fields := status["properties"].(map[string]any)
	for name := range fields {
		if !slices.Contains([]string{"conditions", "replicaStatuses", "startTime", "completionTime", "lastReconcileTime"}, name) {
			delete(fields, name)
		}
	}
	delete(status, "required")
	if err := unstructured.SetNestedSlice(crd.Object, versions, "spec", "versions"); err != nil {
		t.Fatal(err)
	}
	applyCRD(t.Context(), t, crd, "kubectl")
}

// update applies a CRD of this version.
func update(ctx context.Context, t *testing.T, file string) {
	t.Helper()
	applyCRD(ctx, t, definition(t, file), "kubectl")
}

func applyCRD(ctx context.Context, t *testing.T, crd *unstructured.Unstructured, owner string) {
	t.Helper()
	if err := cluster.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(crd), client.FieldOwner(owner), client.ForceOwnership); err != nil {
		t.Fatal(err)
	}
}

// v1Webhooks are what training-operator v1 leaves behind, for one kind.
func v1Webhooks() *admissionregistrationv1.ValidatingWebhookConfiguration {
	return &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "validator.training-operator.kubeflow.org"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name:         "validator.paddlejob.training-operator.kubeflow.org",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: "kubeflow", Name: "training-operator"}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"kubeflow.org"}, APIVersions: []string{"v1"}, Resources: []string{"paddlejobs"}},
			}},
			SideEffects: new(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		}},
	}
}

// logs waits until the operator's log says something.
func (p *process) logs(t *testing.T, want string) {
	t.Helper()
	eventually(t, "the log says "+want, func(context.Context) error {
		if !strings.Contains(p.log(), want) {
			return errors.New("it does not")
		}
		return nil
	})
}

// notReady waits until the probe fails, and the check of a name says why.
func (p *process) notReady(t *testing.T, check, want string) {
	t.Helper()
	for path, want := range map[string]string{"/readyz": "[-]" + check + " failed", "/readyz/" + check: want} {
		eventually(t, path+" says "+want, func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.probes+path, nil)
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(string(body), want) {
				return fmt.Errorf("the answer is %s: %s", resp.Status, body)
			}
			return nil
		})
	}
}

// event waits for an event about an object.
func event(t *testing.T, kind, name, reason string) {
	t.Helper()
	eventually(t, fmt.Sprintf("there is an event %s about %s %s", reason, kind, name), func(ctx context.Context) error {
		return hasEvent(ctx, kind, name, reason)
	})
}

func hasEvent(ctx context.Context, kind, name, reason string) error {
	var list eventsv1.EventList
	if err := cluster.client.List(ctx, &list); err != nil {
		return err
	}
	for i := range list.Items {
		if e := &list.Items[i]; e.Regarding.Kind == kind && e.Regarding.Name == name && e.Reason == reason {
			return nil
		}
	}
	return errors.New("there is none")
}
