package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The labels of the deployments of operators.
const (
	OwnLabel = "app.kubernetes.io/name=jobkit-operator"
	// V1Label is that of training-operator v1.
	V1Label = "control-plane=kubeflow-training-operator"
)

// Deployments is the resource of deployments.
func Deployments() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
}

// V1 finds the deployments of training-operator v1, which mark their pods.
func V1(all []unstructured.Unstructured) []unstructured.Unstructured {
	key, value, _ := strings.Cut(V1Label, "=")
	return slices.DeleteFunc(slices.Clone(all), func(d unstructured.Unstructured) bool {
		labels, _, _ := unstructured.NestedStringMap(d.Object, "spec", "template", "metadata", "labels")
		return labels[key] != value
	})
}

// own finds the deployments of this operator.
func own(all []unstructured.Unstructured) []unstructured.Unstructured {
	key, value, _ := strings.Cut(OwnLabel, "=")
	return slices.DeleteFunc(slices.Clone(all), func(d unstructured.Unstructured) bool {
		labels, _, _ := unstructured.NestedStringMap(d.Object, "spec", "template", "metadata", "labels")
		return labels[key] != value
	})
}

// checkOperators finds out whether one operator runs the jobs, and only one.
func checkOperators(ctx context.Context, c *Cluster) ([]Finding, error) {
	all, err := c.list(ctx, Deployments(), "", "")
	if err != nil {
		return nil, err
	}
	return judgeOperators(own(all), running(V1(all))), nil
}

// judgeOperators says what is wrong with the deployments that there are.
func judgeOperators(own, v1 []unstructured.Unstructured) []Finding {
	var found []Finding
	for i := range v1 {
		if len(own) > 0 {
			found = append(found, Finding{
				Level: Problem, Message: fmt.Sprintf("training-operator v1 runs beside this operator (%s): both create and delete the pods of the same jobs", place(&v1[i])),
				Fix: fmt.Sprintf("kubectl -n %s scale deployment %s --replicas=0; see also: jobkit migrate", v1[i].GetNamespace(), v1[i].GetName()),
			})
		} else {
			found = append(found, Finding{
				Level: Warning, Message: fmt.Sprintf("training-operator v1 runs the jobs (%s)", place(&v1[i])), Fix: "jobkit migrate --dry-run",
			})
		}
	}
	if names := clashing(own); len(names) > 0 {
		found = append(found, Finding{
			Level: Problem, Message: "this operator is installed more than once: " + strings.Join(names, ", ") + "; two of them run the same jobs unless each has its own --namespace or --kinds",
			Fix: "keep one, or give each its own --namespace or --kinds",
		})
	}
	for i := range own {
		if available, _, _ := unstructured.NestedInt64(own[i].Object, "status", "availableReplicas"); available == 0 {
			found = append(found, Finding{
				Level: Problem, Message: fmt.Sprintf("the operator %s has no pod that is ready: no job makes progress", place(&own[i])),
				Fix: fmt.Sprintf("kubectl -n %s describe pods -l %s", own[i].GetNamespace(), OwnLabel),
			})
		}
	}
	if len(own)+len(v1) == 0 {
		return []Finding{{
			Level: Warning, Message: "no deployment of an operator was found: unless it runs elsewhere, no job makes progress",
			Fix: "install it: docs/operators/install.md",
		}}
	}
	if len(found) == 0 {
		return ok("%s is available", place(&own[0]))
	}
	return found
}

// clashing are the operators that run jobs which another one runs, too.
func clashing(all []unstructured.Unstructured) []string {
	var names []string
	for i := range all {
		if slices.ContainsFunc(all, func(other unstructured.Unstructured) bool {
			return place(&other) != place(&all[i]) && overlap(&all[i], &other)
		}) {
			names = append(names, place(&all[i]))
		}
	}
	return names
}

// overlap reports whether two operators run some of the same jobs.
func overlap(a, b *unstructured.Unstructured) bool {
	one, other := namespaceOf(a), namespaceOf(b)
	if one != "" && other != "" && one != other {
		return false
	}
	kinds, others := kindsOf(a), kindsOf(b)
	return len(kinds) == 0 || len(others) == 0 || slices.ContainsFunc(kinds, func(k string) bool { return slices.Contains(others, k) })
}

// namespaceOf is the namespace whose jobs an operator runs; empty for all.
func namespaceOf(d *unstructured.Unstructured) string {
	if given := flagOf(d, "namespace"); given != "" {
		return given
	}
	env, _, _ := unstructured.NestedSlice(first(d), "env")
	for _, e := range env {
		variable, _ := e.(map[string]any)
		if value, _ := variable["value"].(string); variable["name"] == "KUBEFLOW_NAMESPACE" {
			return value
		}
	}
	return ""
}

// kindsOf are the kinds that an operator runs, in lower case; none for all.
func kindsOf(d *unstructured.Unstructured) []string {
	kinds := append(strings.Split(flagOf(d, "kinds"), ","), flagsOf(d, "enable-scheme")...) // v1's flag, one for each kind
	for i := range kinds {
		kinds[i] = strings.ToLower(strings.TrimSpace(kinds[i]))
	}
	return slices.DeleteFunc(kinds, func(k string) bool { return k == "" })
}

// flagOf is the value of a flag of a deployment; empty if it is not given.
func flagOf(d *unstructured.Unstructured, name string) string {
	given := flagsOf(d, name)
	if len(given) == 0 {
		return ""
	}
	return given[len(given)-1] // the last one counts
}

// flagsOf are the values of a flag of a deployment, which may be in the same word or in the next.
func flagsOf(d *unstructured.Unstructured, name string) []string {
	var values []string
	args := arguments(d)
	for i, a := range args {
		key, value, inOne := strings.Cut(a, "=")
		switch {
		case strings.TrimLeft(key, "-") != name || key == name:
		case inOne:
			values = append(values, value)
		case i+1 < len(args):
			values = append(values, args[i+1])
		}
	}
	return values
}

// first is a deployment's first container.
func first(d *unstructured.Unstructured) map[string]any {
	containers, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
	if len(containers) == 0 {
		return nil
	}
	container, _ := containers[0].(map[string]any)
	return container
}

// arguments are those of a deployment's first container.
func arguments(d *unstructured.Unstructured) []string {
	args, _, _ := unstructured.NestedStringSlice(first(d), "args")
	command, _, _ := unstructured.NestedStringSlice(first(d), "command")
	return slices.Concat(command, args)
}

// running are the deployments that are not scaled to nothing.
func running(all []unstructured.Unstructured) []unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(all), func(d unstructured.Unstructured) bool {
		n, given, _ := unstructured.NestedInt64(d.Object, "spec", "replicas")
		return given && n == 0
	})
}

func place(o *unstructured.Unstructured) string { return o.GetNamespace() + "/" + o.GetName() }

// needs are rights without which jobs hang, each a verb and a resource with its group.
func needs() []string {
	return []string{
		"create events.events.k8s.io", "create leases.coordination.k8s.io",
		"create persistentvolumeclaims", "delete persistentvolumeclaims", "list persistentvolumeclaims", "watch persistentvolumeclaims",
		"create pods", "delete pods", "list pods", "patch pods", "watch pods",
		"list pytorchjobs.kubeflow.org", "watch pytorchjobs.kubeflow.org",
		"create services", "delete services", "list services", "watch services",
	}
}

// checkPermissions asks whether the operator's service account may do what it needs.
func checkPermissions(ctx context.Context, c *Cluster) ([]Finding, error) {
	all, err := c.list(ctx, Deployments(), "", "")
	if err != nil {
		return nil, err
	}
	deployments := own(all)
	if len(deployments) == 0 {
		return ok("not checked: no deployment of the operator was found"), nil
	}
	var found []Finding
	var elsewhere []string
	for i := range deployments {
		d := &deployments[i]
		only := namespaceOf(d)
		if only != "" && c.Namespace != "" && only != c.Namespace {
			elsewhere = append(elsewhere, fmt.Sprintf("%s runs those of %s", place(d), only))
			continue
		}
		account, _, _ := unstructured.NestedString(d.Object, "spec", "template", "spec", "serviceAccountName")
		lacks, err := c.lacks(ctx, d.GetNamespace(), cmp.Or(account, "default"), cmp.Or(c.Namespace, only))
		if err != nil {
			return found, err
		}
		if len(lacks) > 0 {
			found = append(found, Finding{
				Level: Problem, Message: fmt.Sprintf("the service account %s of %s may not %s", account, place(d), few(lacks)),
				Fix: "apply the roles of this version: config/rbac/operator, or the chart",
			})
		}
	}
	if len(elsewhere) == len(deployments) {
		return []Finding{{
			Level: Warning, Message: fmt.Sprintf("no operator that was found runs the jobs of namespace %s: %s", c.Namespace, few(elsewhere)),
			Fix: "install one for this namespace: docs/operators/install.md",
		}}, nil
	}
	if len(found) == 0 {
		return ok("the operator may do what it needs"), nil
	}
	return found, nil
}

// lacks are the rights that a service account needs and has not, where the jobs are; empty is everywhere.
func (c *Cluster) lacks(ctx context.Context, namespace, account, jobs string) ([]string, error) {
	var out []string
	for _, need := range needs() {
		verb, resource, _ := strings.Cut(need, " ")
		group := schema.ParseGroupResource(resource)
		attributes := map[string]any{"verb": verb, "group": group.Group, "resource": group.Resource, "namespace": jobs}
		if group.Resource == "leases" {
			attributes["namespace"] = namespace // the operator's own
		}
		allowed, err := c.allowed(ctx, namespace, account, attributes)
		if err != nil {
			return nil, err
		}
		if !allowed {
			out = append(out, need)
		}
	}
	return out, nil
}

// allowed asks the API server whether a service account may do something.
func (c *Cluster) allowed(ctx context.Context, namespace, account string, attributes map[string]any) (bool, error) {
	review := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
		"spec": map[string]any{
			"user":               fmt.Sprintf("system:serviceaccount:%s:%s", namespace, account),
			"groups":             []any{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
			"resourceAttributes": attributes,
		},
	}}
	resource := schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "subjectaccessreviews"}
	answer, err := c.Client.Resource(resource).Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, fmt.Errorf("cannot ask what the operator may do: %w", err)
	}
	allowed, _, _ := unstructured.NestedBool(answer.Object, "status", "allowed")
	return allowed, nil
}
