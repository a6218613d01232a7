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

// checkOperators finds out whether one operator runs the jobs, and only one.
func checkOperators(ctx context.Context, c *Cluster) ([]Finding, error) {
	all, err := c.list(ctx, Deployments(), "", "")
	if err != nil {
		return nil, err
	}
	return judgeOperators(readAll(own(all)), readAll(running(V1(all)))), nil
}

// judgeOperators says what is wrong with the deployments that there are.
func judgeOperators(own, v1 []deployed) []Finding {
	found := besideV1(own, v1)
	if names := clashing(own); len(names) > 0 {
		found = append(found, Finding{
			Level: Problem, Message: "this operator runs more than once for the same jobs: " + strings.Join(names, ", ") + "; each creates and deletes pods of these",
			Fix: "keep one, or give each its own --namespace or --kinds",
		})
	}
	for i := range own {
		if own[i].unread != nil {
			found = append(found, Finding{
				Level: Unknown, Message: fmt.Sprintf("cannot find out which jobs the operator %s runs: %v", place(own[i].object), own[i].unread),
			})
		}
		if available, _, _ := unstructured.NestedInt64(own[i].object.Object, "status", "availableReplicas"); available == 0 {
			found = append(found, Finding{
				Level: Problem, Message: fmt.Sprintf("the operator %s has no pod that is ready: no job makes progress", place(own[i].object)),
				Fix: fmt.Sprintf("kubectl -n %s describe pods -l %s", own[i].object.GetNamespace(), OwnLabel),
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
		return ok("%s is available", place(own[0].object))
	}
	return found
}

// besideV1 finds deployments of training-operator v1 that run jobs, alone or beside this operator. Where each of the
// two runs kinds or namespaces of its own, as during a migration, all is well.
func besideV1(own, v1 []deployed) []Finding {
	var found []Finding
	for i := range v1 {
		o := v1[i].object
		switch {
		case len(own) == 0:
			found = append(found, Finding{
				Level: Warning, Message: fmt.Sprintf("training-operator v1 runs the jobs (%s)", place(o)), Fix: "jobkit migrate --dry-run",
			})
		case slices.ContainsFunc(own, v1[i].overlaps):
			found = append(found, Finding{
				Level: Problem, Message: fmt.Sprintf("training-operator v1 runs beside this operator (%s): both create and delete the pods of the same jobs", place(o)),
				Fix: fmt.Sprintf("kubectl -n %s scale deployment %s --replicas=0; see also: jobkit migrate", o.GetNamespace(), o.GetName()),
			})
		}
	}
	return found
}

// clashing are the deployments that run jobs of another one, too. What cannot be read is not judged.
func clashing(all []deployed) []string {
	var names []string
	for i := range all {
		for j := range all {
			a, b := &all[i], &all[j]
			if i != j && a.unread == nil && b.unread == nil && isRunning(a.object) && isRunning(b.object) && a.overlaps(*b) {
				names = append(names, place(a.object))
				break
			}
		}
	}
	return names
}

// running are the deployments that are not scaled to nothing.
func running(all []unstructured.Unstructured) []unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(all), func(d unstructured.Unstructured) bool { return !isRunning(&d) })
}

// isRunning reports whether a deployment is not scaled to nothing.
func isRunning(d *unstructured.Unstructured) bool {
	n, given, _ := unstructured.NestedInt64(d.Object, "spec", "replicas")
	return !given || n != 0
}

func place(o *unstructured.Unstructured) string { return o.GetNamespace() + "/" + o.GetName() }

// needs are rights without which the jobs of some kinds hang, each a verb and a resource with its group.
func needs(kinds []string) []string {
	all := []string{
		"create events.events.k8s.io", "create leases.coordination.k8s.io",
		"create persistentvolumeclaims", "delete persistentvolumeclaims", "list persistentvolumeclaims", "watch persistentvolumeclaims",
		"create pods", "delete pods", "list pods", "patch pods", "watch pods",
		"create services", "delete services", "list services", "watch services",
	}
	for _, kind := range kinds {
		all = append(all, "list "+kind+"s.kubeflow.org", "watch "+kind+"s.kubeflow.org")
	}
	return all
}

// checkPermissions asks whether the operator's service account may do what it needs.
func checkPermissions(ctx context.Context, c *Cluster) ([]Finding, error) {
	all, err := c.list(ctx, Deployments(), "", "")
	if err != nil {
		return nil, err
	}
	deployments := readAll(own(all))
	if len(deployments) == 0 {
		return ok("not checked: no deployment of the operator was found"), nil
	}
	var found []Finding
	var elsewhere []string
	for i := range deployments {
		if deployments[i].unread != nil {
			found = append(found, Finding{Level: Unknown, Message: "not checked: it is not known which jobs the operator " + place(deployments[i].object) + " runs"})
			continue
		}
		d, only := deployments[i].object, deployments[i].scope.Namespace
		if only != "" && c.Namespace != "" && only != c.Namespace {
			elsewhere = append(elsewhere, fmt.Sprintf("%s runs those of %s", place(d), only))
			continue
		}
		account, _, _ := unstructured.NestedString(d.Object, "spec", "template", "spec", "serviceAccountName")
		account = cmp.Or(account, "default")
		lacks, err := c.lacks(ctx, &deployments[i], account, cmp.Or(c.Namespace, only))
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
func (c *Cluster) lacks(ctx context.Context, d *deployed, account, jobs string) ([]string, error) {
	var out []string
	namespace := d.object.GetNamespace()
	for _, need := range needs(d.scope.Kinds) {
		verb, resource, _ := strings.Cut(need, " ")
		group := schema.ParseGroupResource(resource)
		attributes := map[string]any{"verb": verb, "group": group.Group, "resource": group.Resource, "namespace": jobs}
		if group.Resource == "leases" {
			attributes["namespace"] = cmp.Or(d.scope.LeaseNamespace, namespace) // by default the operator's own
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
