package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// checkWebhooks finds webhooks that no one answers, and that the API server asks before it takes
// a job or a pod: such as those that training-operator v1 leaves behind.
func checkWebhooks(ctx context.Context, c *Cluster) ([]Finding, error) {
	var found []Finding
	asked := 0
	for _, kind := range []string{"validatingwebhookconfigurations", "mutatingwebhookconfigurations"} {
		resource := schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: kind}
		configurations, err := c.list(ctx, resource, "", "")
		if err != nil {
			return found, err
		}
		for i := range configurations {
			webhooks := concerned(&configurations[i])
			asked += len(webhooks)
			f, err := c.silent(ctx, webhooks, strings.TrimSuffix(kind, "s"), configurations[i].GetName())
			if err != nil {
				return found, err
			}
			if f != nil {
				found = append(found, *f)
			}
		}
	}
	if len(found) == 0 {
		return ok("each of the %d webhooks that jobs and pods depend on has a service that answers", asked), nil
	}
	return found, nil
}

// silent finds the first webhook of a configuration that does not answer; nil if all do.
func (c *Cluster) silent(ctx context.Context, webhooks []webhook, kind, name string) (*Finding, error) {
	for _, w := range webhooks {
		why, err := c.answers(ctx, w.namespace, w.service)
		if err != nil {
			return nil, err
		}
		if why != "" {
			return &Finding{
				Level: Problem,
				Message: fmt.Sprintf("%s asks the service %s/%s about %s, which %s: the API server refuses them",
					name, w.namespace, w.service, strings.Join(w.resources, ", "), why),
				Fix: fmt.Sprintf("start what answers it, or remove it: kubectl delete %s %s", kind, name),
			}, nil
		}
	}
	return nil, nil //nolint:nilnil // all answer
}

// webhook is one that jobs or pods depend on.
type webhook struct {
	namespace, service string
	resources          []string
}

// concerned are the webhooks of a configuration that must answer before a job or a pod is taken.
func concerned(configuration *unstructured.Unstructured) []webhook {
	var out []webhook
	list, _, _ := unstructured.NestedSlice(configuration.Object, "webhooks")
	for _, item := range list {
		w, _ := item.(map[string]any)
		policy, given, _ := unstructured.NestedString(w, "failurePolicy")
		name, _, _ := unstructured.NestedString(w, "clientConfig", "service", "name")
		if given && policy != "Fail" || name == "" {
			continue
		}
		namespace, _, _ := unstructured.NestedString(w, "clientConfig", "service", "namespace")
		rules, _, _ := unstructured.NestedSlice(w, "rules")
		var resources []string
		for _, r := range rules {
			rule, _ := r.(map[string]any)
			resources = append(resources, affected(rule)...)
		}
		// One that is for some namespaces only may concern no job; whether it does, it says itself.
		if len(resources) > 0 {
			slices.Sort(resources)
			out = append(out, webhook{namespace, name, slices.Compact(resources)})
		}
	}
	return out
}

// affected are the jobs and pods that a rule is about.
func affected(rule map[string]any) []string {
	groups, _, _ := unstructured.NestedStringSlice(rule, "apiGroups")
	resources, _, _ := unstructured.NestedStringSlice(rule, "resources")
	var out []string
	for _, r := range resources {
		switch {
		case slices.Contains(groups, "kubeflow.org") && strings.HasSuffix(r, "jobs"), slices.Contains(groups, "") && r == "pods":
			out = append(out, r)
		case r == "*" && (slices.Contains(groups, "*") || slices.Contains(groups, "kubeflow.org")):
			out = append(out, "jobs")
		case r == "*" && slices.Contains(groups, ""):
			out = append(out, "pods")
		}
	}
	return out
}
