package doctor

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jobkit/jobkit/internal/operator"
)

// deployed is a deployment of an operator, and what it is told.
type deployed struct {
	object *unstructured.Unstructured
	scope  operator.Scope
	// unread says why its command line cannot be read; nil if it can. scope is then empty.
	unread error
}

// overlaps reports whether two operators run the same jobs. What cannot be read could be all.
func (d deployed) overlaps(other deployed) bool {
	a, b := d.scope, other.scope
	if a.Namespace != "" && b.Namespace != "" && a.Namespace != b.Namespace {
		return false
	}
	return a.Kinds == nil || b.Kinds == nil || slices.ContainsFunc(a.Kinds, func(k string) bool { return slices.Contains(b.Kinds, k) })
}

// own finds the deployments of this operator.
func own(all []unstructured.Unstructured) []unstructured.Unstructured {
	key, value, _ := strings.Cut(OwnLabel, "=")
	return slices.DeleteFunc(slices.Clone(all), func(d unstructured.Unstructured) bool {
		labels, _, _ := unstructured.NestedStringMap(d.Object, "spec", "template", "metadata", "labels")
		return labels[key] != value
	})
}

// readAll reads what the deployments of operators say. training-operator v1 has the same flags.
func readAll(deployments []unstructured.Unstructured) []deployed {
	out := make([]deployed, 0, len(deployments))
	for i := range deployments {
		d := deployed{object: &deployments[i]}
		d.scope, d.unread = scopeOf(d.object)
		out = append(out, d)
	}
	return out
}

// scopeOf is which jobs a deployment of an operator runs.
func scopeOf(d *unstructured.Unstructured) (operator.Scope, error) {
	container, err := containerOf(d)
	if err != nil {
		return operator.Scope{}, err
	}
	v := variables{namespace: d.GetNamespace(), env: container.Env}
	var args []string
	if len(container.Command) > 1 { // the first is the program
		args = append(args, container.Command[1:]...)
	}
	args = append(args, container.Args...)
	for i := range args {
		args[i] = v.expand(args[i])
	}
	scope, err := operator.ScopeOf(args, v.get)
	if err == nil && v.unknown != "" {
		return operator.Scope{}, fmt.Errorf("the value of its variable %s is not in the deployment", v.unknown)
	}
	return scope, err
}

// containerOf is the container of an operator's deployment that runs it: the one of that name, or the first.
func containerOf(d *unstructured.Unstructured) (*corev1.Container, error) {
	pod := &corev1.PodSpec{}
	spec, _, _ := unstructured.NestedMap(d.Object, "spec", "template", "spec")
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(spec, pod); err != nil {
		return nil, fmt.Errorf("cannot read its containers: %w", err)
	}
	if len(pod.Containers) == 0 {
		return &corev1.Container{}, nil
	}
	i := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == "operator" })
	return &pod.Containers[max(0, i)], nil
}

// variables are the environment of a container.
type variables struct {
	namespace string
	env       []corev1.EnvVar
	// unknown is one that was asked for, and whose value is elsewhere.
	unknown string
}

// get is os.Getenv in the container.
func (v *variables) get(name string) string {
	value, _ := v.lookup(name)
	return value
}

// lookup is os.LookupEnv in the container.
func (v *variables) lookup(name string) (string, bool) {
	for i := range slices.Backward(v.env) { // the last one counts
		e := &v.env[i]
		switch from := e.ValueFrom; {
		case e.Name != name:
		case from == nil:
			before := &variables{namespace: v.namespace, env: v.env[:i]}
			value := before.expand(e.Value)
			v.unknown = cmp.Or(v.unknown, before.unknown)
			return value, true
		case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.namespace":
			return v.namespace, true
		default:
			v.unknown = name
			return "", true
		}
	}
	return "", false
}

// expand replaces references such as $(NAME), as the kubelet does: what is not defined stays, and so does $$(NAME), with one $.
func (v *variables) expand(text string) string {
	return reference().ReplaceAllStringFunc(text, func(found string) string {
		if rest, escaped := strings.CutPrefix(found, "$$"); escaped {
			return "$" + rest
		}
		if value, defined := v.lookup(found[2 : len(found)-1]); defined {
			return value
		}
		return found
	})
}

func reference() *regexp.Regexp { return regexp.MustCompile(`\$?\$\([^()]+\)`) }
