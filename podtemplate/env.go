package podtemplate

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
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

// Fixed is a variable that the template cannot set.
func Fixed[V ~string | ~int | ~int32 | ~int64](name string, value V) Var {
	return Var{EnvVar: corev1.EnvVar{Name: name, Value: text(value)}}
}

// Preset is a variable that the template may set itself.
func Preset[V ~string | ~int | ~int32 | ~int64](name string, value V) Var {
	return Var{EnvVar: corev1.EnvVar{Name: name, Value: text(value)}, Preset: true}
}

// text is a value as a variable holds it. Long ones, such as lists of hosts, are not copied.
func text[V ~string | ~int | ~int32 | ~int64](value V) string {
	if s, ok := any(value).(string); ok {
		return s
	}
	return fmt.Sprint(value)
}

// Apply sets the variables in a container, each once. One that the template sets too
// takes the place that it has there, one that a variable of the template refers to as
// $(NAME) comes before that, and the others come last, in order. So the variables of
// the template and the operator's can refer to each other: Kubernetes resolves a
// reference only if it is to a variable before it.
func (e Env) Apply(c *corev1.Container) {
	p := placement{env: e, template: c.Env, out: make([]corev1.EnvVar, 0, len(c.Env)+len(e)), placed: map[string]bool{}}
	for i := range c.Env {
		v := &c.Env[i]
		if own := e.named(v.Name); own != nil && !own.Preset {
			p.place(own, i)
			continue
		}
		for _, name := range references(v) {
			p.place(e.named(name), i)
		}
		p.add(v)
	}
	for i := range e {
		p.place(&e[i], len(c.Env))
	}
	c.Env = p.out
}

// placement puts the variables of an operator among those of a template.
type placement struct {
	env      Env
	template []corev1.EnvVar
	out      []corev1.EnvVar
	placed   map[string]bool
}

func (p *placement) add(v *corev1.EnvVar) {
	p.out = append(p.out, *v)
	p.placed[v.Name] = true
}

// place adds a variable of the operator, and those that it refers to before it, at a
// place in the template's list. It is left for later if it exists already, if the
// template has a value of its own, or if it refers to a variable after it.
func (p *placement) place(own *Var, at int) {
	if own == nil || p.placed[own.Name] || own.Preset && p.inTemplate(own.Name, 0) {
		return
	}
	p.placed[own.Name] = true // so that a circle ends
	for _, name := range references(&own.EnvVar) {
		needed := p.env.named(name)
		p.place(needed, at)
		if !p.placed[name] && (needed != nil || p.inTemplate(name, at)) {
			p.placed[own.Name] = false
			return
		}
	}
	p.add(&own.EnvVar)
}

// inTemplate reports whether the template sets a variable at a place or after it.
func (p *placement) inTemplate(name string, at int) bool {
	return slices.ContainsFunc(p.template[at:], func(v corev1.EnvVar) bool { return v.Name == name })
}

// references are the names of the variables that the value of a variable refers to, as
// Kubernetes reads it: $(NAME), while $$ stands for a dollar sign.
func references(v *corev1.EnvVar) []string {
	var out []string
	for rest := v.Value; ; {
		_, after, found := strings.Cut(rest, "$")
		if !found || after == "" {
			return out
		}
		rest = after[1:]
		if after[0] != '(' {
			continue // $$, or a dollar sign that means nothing
		}
		if name, behind, closed := strings.Cut(rest, ")"); closed {
			out, rest = append(out, name), behind
		}
	}
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

// maxVariable is how long a variable may be, with its name, "=" and the byte that ends it
// (MAX_ARG_STRLEN of Linux). With a longer one no program starts.
const maxVariable = 128 << 10

// EnvWarning returns the events that warn the user of variables which the templates of a job
// set and the operator too, saying whose values are used, and of variables that are too long for
// a program to start; or none. container is the one that the operator sets variables in, "" if
// it is all of them; env returns what it sets in a replica.
func EnvWarning[J jobkit.Object](
	c jobkit.ControllerInterface[J], job J, container string, env func(J, jobkit.Replica) Env,
) []jobkit.Warning {
	var in, replaced, kept, long []string
	specs := c.Parts(job).ReplicaSpecs
	replica := c.Parts(job).Replicas(c.Kind(), job)
	for t, spec := range specs {
		if spec == nil {
			continue
		}
		own := env(job, replica(t, 0, 0))
		long = append(long, own.tooLong(t)...)
		for _, v := range own.taken(&spec.Template, container) {
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
	var warnings []jobkit.Warning
	if len(says) > 0 {
		warnings = append(warnings, jobkit.Warning{Reason: "SetPodTemplateEnv", Message: fmt.Sprintf(
			"The pod template of %s sets variables that the operator sets too: %s.", sortedOnce(in), strings.Join(says, "; "))})
	}
	if len(long) > 0 {
		slices.Sort(long)
		warnings = append(warnings, jobkit.Warning{Reason: "EnvTooLong", Message: fmt.Sprintf(
			"The job has too many replicas for what the operator tells each: %s, and Linux starts no program with a variable of more than %d bytes. Use fewer replicas.",
			strings.Join(long, "; "), maxVariable)})
	}
	return warnings
}

// tooLong describes the variables of a replica of a type with which no program starts.
func (e Env) tooLong(t commonv1.ReplicaType) []string {
	var out []string
	for i := range e {
		if n := len(e[i].Name) + len(e[i].Value) + len("=\x00"); n > maxVariable {
			out = append(out, fmt.Sprintf("the variable %s of %s has %d bytes", e[i].Name, t, n))
		}
	}
	return out
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
