package podtemplate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/plan"
)

// Env are the environment variables that an operator gives a container, in order.
type Env []Var

// Var is one of them.
type Var struct {
	corev1.EnvVar

	// Preset is true when the template may set the variable itself: then its value
	// stays. Without it the variable is one that the replicas need to find each other,
	// and replaces what the template sets under the same name.
	Preset bool
}

// Value is what a variable can be made of.
type Value interface {
	~string | ~int | ~int32 | ~int64
}

// Fixed is a variable that the template cannot set.
func Fixed[V Value](name string, value V) Var {
	return Var{EnvVar: corev1.EnvVar{Name: name, Value: fmt.Sprint(value)}}
}

// Preset is a variable that the template may set itself.
func Preset[V Value](name string, value V) Var {
	return Var{EnvVar: corev1.EnvVar{Name: name, Value: fmt.Sprint(value)}, Preset: true}
}

// Apply sets the variables in a container, each once and in order, after those of
// the template, which may be referred to as $(NAME).
func (e Env) Apply(c *corev1.Container) {
	env := make([]corev1.EnvVar, 0, len(c.Env)+len(e))
	for _, v := range c.Env {
		if own := e.named(v.Name); own == nil || own.Preset {
			env = append(env, v)
		}
	}
	for _, v := range e {
		if !slices.ContainsFunc(env, func(o corev1.EnvVar) bool { return o.Name == v.Name }) {
			env = append(env, v.EnvVar)
		}
	}
	c.Env = env
}

// ApplyToAll sets the variables in all containers of a template but its init
// containers.
func (e Env) ApplyToAll(template *corev1.PodTemplateSpec) {
	for i := range template.Spec.Containers {
		e.Apply(&template.Spec.Containers[i])
	}
}

// named returns the variable of a name, or nil.
func (e Env) named(name string) *Var {
	for i := range e {
		if e[i].Name == name {
			return &e[i]
		}
	}
	return nil
}

// EnvWarning returns the event that tells the user of variables which the templates
// of a job set and the operator too, and whose values are used; or none. container
// is the one that the operator sets variables in, "" if it is all of them; env
// returns what it sets in a replica type.
func EnvWarning(specs map[commonv1.ReplicaType]*commonv1.ReplicaSpec, container string, env func(commonv1.ReplicaType) Env) []plan.Event {
	var in, replaced, kept []string
	for t, spec := range specs {
		if spec == nil {
			continue
		}
		for _, v := range env(t).taken(&spec.Template, container) {
			in = append(in, string(t))
			if v.Preset {
				kept = append(kept, v.Name)
			} else {
				replaced = append(replaced, v.Name)
			}
		}
	}
	var says []string
	if len(replaced) > 0 {
		says = append(says, fmt.Sprintf("the values of %s are not used, because the operator sets them: remove them from the template", sortedOnce(replaced)))
	}
	if len(kept) > 0 {
		says = append(says, fmt.Sprintf("the values of %s are used in place of the operator's", sortedOnce(kept)))
	}
	if len(says) == 0 {
		return nil
	}
	return []plan.Event{{Warning: true, Reason: "SetPodTemplateEnv", Message: fmt.Sprintf(
		"The pod template of %s sets variables that the operator sets too: %s.", sortedOnce(in), strings.Join(says, "; "))}}
}

// taken are the variables that the named container of a template, or all of them,
// sets itself.
func (e Env) taken(template *corev1.PodTemplateSpec, container string) []*Var {
	var out []*Var
	for i := range template.Spec.Containers {
		c := &template.Spec.Containers[i]
		if container != "" && c.Name != container {
			continue
		}
		for _, v := range c.Env {
			if own := e.named(v.Name); own != nil {
				out = append(out, own)
			}
		}
	}
	return out
}

func sortedOnce(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}
