package podtemplate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit/plan"
)

// Env are the environment variables that an operator gives a container.
type Env struct {
	// Fixed are those that the replicas need to find each other. They replace what
	// the template sets under the same names.
	Fixed []corev1.EnvVar
	// Preset are those that the template may set itself: then its value stays.
	Preset []corev1.EnvVar
}

// Var is a variable with a value.
func Var(name, value string) corev1.EnvVar { return corev1.EnvVar{Name: name, Value: value} }

// Apply sets the variables in a container, each once: first Preset, then Fixed, both
// after those of the template, which may be referred to as $(NAME).
func (e Env) Apply(c *corev1.Container) {
	kept := make([]corev1.EnvVar, 0, len(c.Env)+len(e.Fixed)+len(e.Preset))
	for _, v := range c.Env {
		if !named(e.Fixed, v.Name) {
			kept = append(kept, v)
		}
	}
	for _, v := range e.Preset {
		if !named(kept, v.Name) {
			kept = append(kept, v)
		}
	}
	c.Env = append(kept, e.Fixed...)
}

func named(vars []corev1.EnvVar, name string) bool {
	return slices.ContainsFunc(vars, func(v corev1.EnvVar) bool { return v.Name == name })
}

// Warning returns the event that tells the user of variables which the template of
// a replica type sets and the operator too, or nil if there are none. containers are
// those that the operator sets variables in. It says whose values are used.
func (e Env) Warning(replicaType string, containers []corev1.Container) *plan.Event {
	var replaced, kept []string
	for i := range containers {
		for _, v := range containers[i].Env {
			switch {
			case named(e.Fixed, v.Name):
				replaced = append(replaced, v.Name)
			case named(e.Preset, v.Name):
				kept = append(kept, v.Name)
			}
		}
	}
	var says []string
	if names := sortedOnce(replaced); names != "" {
		says = append(says, fmt.Sprintf("the values of %s are not used, because the operator sets them: remove them from the template", names))
	}
	if names := sortedOnce(kept); names != "" {
		says = append(says, fmt.Sprintf("the values of %s are used in place of the operator's", names))
	}
	if len(says) == 0 {
		return nil
	}
	return &plan.Event{Warning: true, Reason: "SetPodTemplateEnv", Message: fmt.Sprintf(
		"The pod template of %s sets variables that the operator sets too: %s.", replicaType, strings.Join(says, "; "))}
}

func sortedOnce(names []string) string {
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}
