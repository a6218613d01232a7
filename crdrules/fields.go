package crdrules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/internal/plan"
)

// The rules of kinds whose roles have fields of their own (Role.Field). They say the same as those
// of a map, once for each role.

// place is where a job has the replica spec of a role.
type place struct {
	role *jobkit.Role
	// path is the field, for messages.
	path string
	// steps lead from the job to the replica spec, the first own of them to its anchor: the schema
	// with the rules about the role alone. It is the replica spec, or the first list or map on the
	// way. So the API server spares a job that had the mistake before, and has not changed there.
	steps []plan.SpecStep
	own   int
}

// hasFields reports whether a role of a kind has its replica spec in no map.
func hasFields(k *jobkit.Kind) bool {
	return slices.ContainsFunc(k.Roles, func(r jobkit.Role) bool { return r.Field != "" })
}

// places are those of all roles of a kind.
func places(k *jobkit.Kind) []place {
	out := make([]place, 0, len(k.Roles))
	for i := range k.Roles {
		r := &k.Roles[i]
		p := place{role: r, path: k.SpecPath(r.Type).String(), steps: plan.SpecSteps(k, r.Type)}
		p.own = slices.IndexFunc(p.steps, func(s plan.SpecStep) bool { return s.Kind != plan.StepField })
		if p.own < 0 {
			p.own = len(p.steps)
		}
		out = append(out, p)
	}
	return out
}

// completeFields completes the schema of a kind whose roles have fields of their own.
func completeFields(schema map[string]any, k *jobkit.Kind, o Options) error {
	all := places(k)
	for _, p := range all {
		spec := schemaAt(schema, p.steps)
		if child(spec, "properties", "template") == nil {
			return fmt.Errorf("the schema has no replica spec at %s: set Field of the role %s to its JSON path below spec", p.path, p.role.Type)
		}
		if err := prepare(spec, o); err != nil {
			return err
		}
	}
	for _, p := range all {
		if p.own < len(p.steps) {
			if err := closeEntries(schemaAt(schema, p.steps[:p.own]), p, all); err != nil {
				return err
			}
		}
		for _, r := range roleFieldRules(k, p) {
			add(schemaAt(schema, p.steps[:p.own]), []rule{r})
		}
	}
	add(child(schema, "properties", "spec"), specRules(k, all))
	add(schema, append(append([]rule{nameForm(), fieldsNameLength(all)}, fieldsSuccessRules(all)...), hostPortsStay()))
	return nil
}

// schemaAt is the schema at the end of steps, or nil.
func schemaAt(schema map[string]any, steps []plan.SpecStep) map[string]any {
	for _, s := range steps {
		switch s.Kind {
		case plan.StepField:
			schema = child(schema, "properties", s.Name)
		case plan.StepKey:
			schema = child(schema, "additionalProperties")
		case plan.StepIndex, plan.StepEntry:
			schema = child(schema, "items")
		}
	}
	return schema
}

// cel is what steps lead to from an expression, and the condition that it exists, "" if it always does.
func cel(from string, steps []plan.SpecStep) (at, there string) {
	at = from
	var conditions []string
	for _, s := range steps {
		condition, next := "", ""
		switch s.Kind {
		case plan.StepField:
			next = at + "." + escaped(s.Name)
			condition = fmt.Sprintf(`has(%s)`, next)
		case plan.StepKey:
			condition, next = fmt.Sprintf(`'%s' in %s`, s.Name, at), fmt.Sprintf(`%s['%s']`, at, s.Name)
		case plan.StepIndex:
			condition, next = fmt.Sprintf(`size(%s) > %d`, at, s.Index), fmt.Sprintf(`%s[%d]`, at, s.Index)
		case plan.StepEntry:
			is := fmt.Sprintf(`e, e.%s == '%s'`, escaped(s.Name), s.Value)
			condition, next = fmt.Sprintf(`%s.exists(%s)`, at, is), fmt.Sprintf(`%s.filter(%s)[0]`, at, is)
		}
		at, conditions = next, append(conditions, condition)
	}
	return at, strings.Join(conditions, " && ")
}

// escaped is the name of a field in CEL.
func escaped(name string) string {
	if slices.Contains(strings.Fields("true false null in as break const continue else for function if import let loop package namespace return var void while"), name) {
		return "__" + name + "__"
	}
	return strings.NewReplacer("__", "__underscores__", "-", "__dash__").Replace(name)
}

// unless is a condition that counts only if another one holds.
func unless(there, condition string) string {
	if there == "" {
		return condition
	}
	return fmt.Sprintf(`!(%s) || %s`, there, condition)
}

// each joins what is said of each role.
func each(all []place, skip int, operator string, say func(p place, at, there string) string) string {
	var out []string
	for _, p := range all {
		at, there := cel("self", p.steps[skip:])
		if s := say(p, at, there); s != "" {
			out = append(out, "("+s+")")
		}
	}
	return strings.Join(out, operator)
}

// roleFieldRules are the rules about one role: self is its anchor.
func roleFieldRules(k *jobkit.Kind, p place) []rule {
	own := p.steps[p.own:]
	at, there := cel("self", own)
	on := func(condition string) string { return unless(there, condition) }
	if len(own) > 0 && own[0].Kind == plan.StepEntry {
		// As a rule of each entry it costs what the API server allows; of one that a filter finds, more.
		at, there = cel("e", own[1:])
		on = func(condition string) string {
			return fmt.Sprintf(`self.all(e, e.%s != '%s' || %s)`, escaped(own[0].Name), own[0].Value, unless(there, condition))
		}
	}
	rules := append(numberRules(k, p.role), specRulesOfAll(k)...)
	for i := range rules {
		rules[i] = rules[i].on(at, on)
	}
	return rules
}

// closeEntries bounds the list or map that has the replica specs of some roles: it has no others.
func closeEntries(schema map[string]any, p place, all []place) error {
	step, most := p.steps[p.own], 0
	var names []string
	for _, other := range all {
		if other.own >= len(other.steps) || !slices.Equal(other.steps[:other.own], p.steps[:p.own]) {
			continue
		}
		switch s := other.steps[other.own]; s.Kind { //nolint:exhaustive // an anchor is no other
		case plan.StepIndex:
			most = max(most, s.Index+1)
		case plan.StepEntry:
			names = append(names, s.Value)
		case plan.StepKey:
			names = append(names, s.Name)
		}
	}
	field, _, _ := strings.Cut(p.path, "[")
	if step.Kind == plan.StepIndex {
		atMost(schema, "maxItems", most)
		return nil
	}
	closed := rule{
		rule:    fmt.Sprintf(`self.all(t, t in %s)`, list(names)),
		message: fmt.Sprintf("the entries of %s are %s, spelled so: remove or rename the others", field, join(names, "and")),
	}
	if step.Kind == plan.StepKey {
		atMost(schema, "maxProperties", len(names)+1)
	} else {
		if keys, _ := schema["x-kubernetes-list-map-keys"].([]any); !slices.Contains(keys, any(step.Name)) {
			return fmt.Errorf("two entries of %s may have the same %s: put +listType=map and +listMapKey=%[2]s on it", field, step.Name)
		}
		atMost(schema, "maxItems", len(names)+1)
		closed.rule = fmt.Sprintf(`self.all(e, e.%s in %s)`, escaped(step.Name), list(names))
	}
	add(schema, []rule{closed})
	return nil
}

// atMost sets a bound of a schema that has none, or a higher one.
func atMost(schema map[string]any, bound string, most int) {
	if has, ok := schema[bound].(float64); !ok || int(has) > most {
		schema[bound] = most
	}
}

// specRules are the rules about the roles together: self is the spec of the job.
func specRules(k *jobkit.Kind, all []place) []rule {
	var rules []rule
	for _, p := range all {
		if p.role.Required {
			_, there := cel("self", p.steps[1:])
			rules = append(rules, rule{rule: there, message: fmt.Sprintf("a %s needs the replica type %s: add %s", k.Name, p.role.Type, p.path)})
		}
	}
	some := someReplicas(k)
	some.rule = `oldSelf.hasValue() || ` + each(all, 1, " || ", func(_ place, at, there string) string {
		return fmt.Sprintf(`%s && (!has(%[2]s.replicas) || %[2]s.replicas != 0)`, there, at)
	})
	return append(append(rules, some), fieldsStartRules(k, all)...)
}

// fieldsStartRules refuse orders in which nothing ever starts: self is the spec of the job.
func fieldsStartRules(k *jobkit.Kind, all []place) []rule {
	messages := startMessages(k)
	one := rule{message: messages[0], rule: each(all, 1, " && ", func(p place, at, there string) string {
		first := each(all, 1, " || ", func(o place, other, otherThere string) string {
			if o.role == p.role {
				return ""
			}
			is := fmt.Sprintf(`%s.startAfter.replicaType == '%s' && %s`, at, o.role.Type, otherThere)
			if len(all) == 2 {
				is += fmt.Sprintf(` && !has(%s.startAfter)`, other)
			}
			return is
		})
		starts := fmt.Sprintf(`!has(%s.startAfter)`, at)
		if first != "" {
			starts += " || " + first
		}
		return unless(there, starts)
	})}
	if len(all) <= 2 {
		return []rule{one}
	}
	// As in startRules: what each type starts after, and the rounds in which all must have started.
	after := make([]string, 0, len(all))
	for _, p := range all {
		at, there := cel("self", p.steps[1:])
		after = append(after, fmt.Sprintf(`'%s': %s && has(%s.startAfter) ? %[3]s.startAfter.replicaType : ''`, p.role.Type, there, at))
	}
	return []rule{one, {message: messages[1], rule: fmt.Sprintf(`[{%s}].all(m, [m.filter(t, !(m[t] in m) || m[t] == t)]%s[0].size() == %d)`,
		strings.Join(after, ", "), strings.Repeat(`.map(a, m.filter(t, t in a || m[t] in a || !(m[t] in m) || m[t] == t))`, len(all)-1), len(all))}}
}

// fieldsNameLength refuses names that are too long, as nameLength does: self is the job.
func fieldsNameLength(all []place) rule {
	services := false
	r := rule{rule: each(all, 0, " && ", func(p place, at, there string) string {
		standard := int32(1)
		if p.role.Default != nil {
			standard = *p.role.Default
		}
		// Besides the name and the type: two hyphens and the index.
		rest := fmt.Sprintf(`size(string(has(%[1]s.replicas) && %[1]s.replicas > 0 ? %[1]s.replicas - 1 : %[2]d)) + 2`, at, max(standard-1, 0))
		if p.role.Unnumbered {
			rest = "1"
		}
		if p.role.Service != nil {
			services = true
			rest = fmt.Sprintf(`[%s, (has(%[2]s.replicas) ? %[2]s.replicas > 0 : %[3]t) ? 5 : 0].max()`, rest, at, standard > 0)
		}
		return unless(there, fmt.Sprintf(`size(self.metadata.name) + %d + %s <= 63`, len(p.role.Type), rest))
	})}
	r.message = nameTooLong(services)
	return r
}

// fieldsSuccessRules refuse success policies that never hold: self is the job.
func fieldsSuccessRules(all []place) []rule {
	const no, policy = `!has(self.spec.runPolicy) || !has(self.spec.runPolicy.successPolicy) || `, `self.spec.runPolicy.successPolicy.rules`
	known := each(all, 0, " || ", func(p place, _, there string) string {
		return fmt.Sprintf(`r.replicaType.lowerAscii() == '%s' && %s`, strings.ToLower(string(p.role.Type)), there)
	})
	rules := []rule{{
		rule: fmt.Sprintf(`%s%s.all(r, %s)`, no, policy, known), fieldPath: successPolicy,
		message: "a rule names a replica type that the job does not have: use one that it has, or add it",
		expression: fmt.Sprintf(`%s.filter(r, !(%s)).map(r, 'the job has no replica type "%%s", so the rule never holds: use one that it has, or add it'`+
			`.format([r.replicaType]))[0]`, policy, known),
	}}
	for _, p := range all {
		at, there := cel("self", p.steps)
		fits := fmt.Sprintf(`r.replicaType != '%s' || !has(r.count) || !has(%s.replicas) || r.count <= %[2]s.replicas`, p.role.Type, at)
		rules = append(rules, rule{
			rule: no + fmt.Sprintf(`!(%s) || %s.all(r, %s)`, there, policy, fits), fieldPath: successPolicy,
			message: "count is more than there are replicas: lower it, or raise replicas",
			expression: fmt.Sprintf(`%s.filter(r, !(%s)).map(r, 'count is %%d, and the job has %%d replicas of %s, so the rule never holds: `+
				`lower count, or raise replicas'.format([r.count, %s.replicas]))[0]`, policy, fits, p.role.Type, at),
		})
	}
	return rules
}
