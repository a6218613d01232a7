package crdrules

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// rule is one rule of a schema, in CEL.
type rule struct {
	rule string
	// message says what is wrong, a colon, and the fix. expression, if not empty, is CEL that
	// says it with names and values of the job.
	message, expression string
	// fieldPath is the field to blame. Default: the one that has the rule.
	fieldPath string
	// ratchets is true of rules that spare jobs which existed before.
	ratchets bool
}

// schema is the rule as it stands in a schema.
func (r rule) schema() map[string]any {
	s := map[string]any{"rule": r.rule, "message": r.message}
	if r.expression != "" {
		s["messageExpression"] = r.expression
	}
	if r.fieldPath != "" {
		s["fieldPath"] = r.fieldPath
	}
	if r.ratchets {
		s["optionalOldSelf"] = true
	}
	return s
}

// on is a rule that is said of each replica spec, which stands in it as <spec>, as one about the
// result of an expression. ifThere says when its condition counts.
func (r rule) on(spec string, ifThere func(condition string) string) rule {
	r.rule = ifThere(strings.ReplaceAll(r.rule, "<spec>", spec))
	if r.ratchets {
		r.rule = `oldSelf.hasValue() || ` + r.rule
	}
	return r
}

// jobRules are the rules of a job as a whole: self is the job.
func jobRules(k *jobkit.Kind) []rule {
	steps := plan.SpecSteps(k, "")
	field, _ := cel("self", steps[:len(steps)-1])
	rules := append(nameRules(k, field), successRules(k, field)...)
	if _, there := cel("self.spec", steps[1:len(steps)-2]); there != "" {
		for i := range rules[1:] {
			rules[i+1].rule = unless(there, "("+rules[i+1].rule+")")
		}
	}
	return append(rules, hostPortsStay())
}

// nameRules are those of names: their form, and their length. Pods alone may have other names than
// services have.
func nameRules(k *jobkit.Kind, field string) []rule {
	rules := []rule{nameForm(), nameLength(k, field)}
	ofRole := func(r *jobkit.Role) bool { return r.Service != nil }
	if k.ServiceMode != commonv1.ServiceModeNone || len(typesWhere(k, ofRole)) > 0 {
		return rules
	}
	const none = `!(has(self.spec.runPolicy) && has(self.spec.runPolicy.serviceMode) && self.spec.runPolicy.serviceMode != 'None')`
	for i := range rules {
		rules[i].rule = none + ` || ` + rules[i].rule
		rules[i].message = "with serviceMode PerReplica or PerJob, " + rules[i].message
	}
	return append(rules, rule{
		rule:    `size(self.metadata.name) <= 63`,
		message: "metadata.name is too long: it is the value of a label and can have 63 characters: shorten the name",
	})
}

// nameForm is the form of names.
func nameForm() rule {
	return rule{
		rule: `self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')`,
		message: "metadata.name must start with a lower-case letter, hold lower-case letters, digits and '-' only, " +
			"and end with a letter or digit, because the pods and services are named after it: choose another name",
	}
}

// successPolicy is the field that has it.
const successPolicy = ".spec.runPolicy.successPolicy"

// successRules refuse success policies that never hold.
func successRules(k *jobkit.Kind, field string) []rule {
	return []rule{
		{
			rule: fmt.Sprintf(`!has(self.spec.runPolicy) || !has(self.spec.runPolicy.successPolicy) || `+
				`self.spec.runPolicy.successPolicy.rules.all(r, %s.exists(t, t.lowerAscii() == r.replicaType.lowerAscii()))`, field),
			fieldPath: successPolicy,
			message:   fmt.Sprintf("a rule names a replica type that the job does not have: use a type of %s, or add it", k.ReplicaSpecsField),
			expression: fmt.Sprintf(`self.spec.runPolicy.successPolicy.rules`+
				`.filter(r, !%[1]s.exists(t, t.lowerAscii() == r.replicaType.lowerAscii()))`+
				`.map(r, 'the job has no replica type "%%s", so the rule never holds: use a type of %[2]s, or add it'.format([r.replicaType]))[0]`,
				field, k.ReplicaSpecsField),
		},
		{
			rule: fmt.Sprintf(`!has(self.spec.runPolicy) || !has(self.spec.runPolicy.successPolicy) || `+
				`self.spec.runPolicy.successPolicy.rules.all(r, !has(r.count) || `+
				`%[1]s.all(t, t != r.replicaType || !has(%[1]s[t].replicas) || r.count <= %[1]s[t].replicas))`, field),
			fieldPath: successPolicy,
			message:   "count is more than there are replicas: lower it, or raise replicas",
			expression: fmt.Sprintf(`self.spec.runPolicy.successPolicy.rules.filter(r, has(r.count) && `+
				`%[1]s.exists(t, t == r.replicaType && has(%[1]s[t].replicas) && r.count > %[1]s[t].replicas))`+
				`.map(r, 'count is %%d, and the job has %%d replicas of %%s, so the rule never holds: lower count, or raise replicas'`+
				`.format([r.count, %[1]s[r.replicaType].replicas, r.replicaType]))[0]`, field),
		},
	}
}

// hostPortsStay refuses a change of host ports. It is a rule of the job, because one of runPolicy is
// not asked when the whole of it is added or removed.
func hostPortsStay() rule {
	return rule{
		rule: hostPorts("self", "hostPorts") + ` == ` + hostPorts("oldSelf", "hostPorts") + ` && ` +
			hostPorts("self", "hostPortRange") + ` == ` + hostPorts("oldSelf", "hostPortRange") + ` && ` +
			`(!` + hostPorts("self", "hostPortRange") + ` || self.spec.runPolicy.hostPortRange == oldSelf.spec.runPolicy.hostPortRange)`,
		fieldPath: ".spec.runPolicy",
		message: "hostPorts and hostPortRange cannot be changed, because pods that run would keep other ports: " +
			"undo the change, or create another job",
	}
}

// hostPorts is the CEL that says whether a job has a field about host ports.
func hostPorts(job, field string) string {
	return fmt.Sprintf(`(has(%[1]s.spec.runPolicy) && has(%[1]s.spec.runPolicy.%[2]s))`, job, field)
}

// nameLength refuses names that are too long for the pod with the highest index, or for the service
// of a role.
func nameLength(k *jobkit.Kind, field string) rule {
	// The index of the last replica of jobs that do not say how many there are.
	last := "0"
	if defaults := defaultIndexes(k); defaults != "" {
		last = "t in " + defaults + " ? " + defaults + "[t] : 0"
	}
	// Besides the name and the type: two hyphens and the index.
	rest := fmt.Sprintf(`size(string(has(%[1]s[t].replicas) && %[1]s[t].replicas > 0 ? %[1]s[t].replicas - 1 : %[2]s)) + 2`, field, last)
	if plain := typesWhere(k, func(r *jobkit.Role) bool { return r.Unnumbered }); len(plain) > 0 {
		rest = fmt.Sprintf(`(t in %s ? 1 : %s)`, list(plain), rest)
	}
	services := typesWhere(k, func(r *jobkit.Role) bool { return r.Service != nil })
	if len(services) > 0 {
		// The name of a service ends with "-svc". A role without replicas has none.
		there := "true"
		if none := typesWhere(k, func(r *jobkit.Role) bool { return r.Service != nil && r.Default != nil && *r.Default == 0 }); len(none) > 0 {
			there = fmt.Sprintf(`!(t in %s)`, list(none))
		}
		rest = fmt.Sprintf(`[%[1]s, t in %[2]s && (has(%[3]s[t].replicas) ? %[3]s[t].replicas > 0 : %[4]s) ? 5 : 0].max()`,
			rest, list(services), field, there)
	}
	return rule{
		rule:    fmt.Sprintf(`%s.all(t, size(self.metadata.name) + size(t) + %s <= 63)`, field, rest),
		message: nameTooLong(len(services) > 0),
	}
}

// nameTooLong says so, and what is named after a job: services of roles, if there are any.
func nameTooLong(services bool) string {
	names := "<name>-<replica type>-<index> is the name of a pod"
	if services {
		names += ", and <name>-<replica type>-svc that of a service,"
	}
	return fmt.Sprintf("metadata.name is too long: %s and can have 63 characters: shorten the name", names)
}

// defaultIndexes is the CEL map of the highest indexes by default, or "" if all are 0.
func defaultIndexes(k *jobkit.Kind) string {
	var pairs []string
	for i := range k.Roles {
		if d := k.Roles[i].Default; d != nil && *d > 1 {
			pairs = append(pairs, fmt.Sprintf("'%s': %d", k.Roles[i].Type, *d-1))
		}
	}
	if len(pairs) == 0 {
		return ""
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

// typesWhere are the types whose role is such.
func typesWhere(k *jobkit.Kind, is func(*jobkit.Role) bool) []commonv1.ReplicaType {
	return slices.DeleteFunc(k.Types(), func(t commonv1.ReplicaType) bool { return !is(k.Role(t)) })
}

// replicaRules are the rules of the replica specs: self is the map of them.
func replicaRules(k *jobkit.Kind) []rule {
	rules := []rule{{
		rule:    fmt.Sprintf(`self.all(t, t in %s)`, list(k.Types())),
		message: fmt.Sprintf("the replica %s, spelled so: remove or rename the others", areTheTypes(k)),
	}}
	for i := range k.Roles {
		r := &k.Roles[i]
		if r.Required {
			rules = append(rules, rule{
				rule:    fmt.Sprintf(`'%s' in self`, r.Type),
				message: fmt.Sprintf("a %s needs the replica type %s: add it to %s", k.Name, r.Type, k.ReplicaSpecsField),
			})
		}
		for _, of := range numberRules(k, r) {
			rules = append(rules, of.on("self[t]", func(c string) string { return fmt.Sprintf(`self.all(t, t != '%s' || %s)`, r.Type, c) }))
		}
	}
	some := someReplicas(k)
	some.rule = `oldSelf.hasValue() || self.exists(t, !has(self[t].replicas) || self[t].replicas != 0)`
	rules = append(rules, some)
	for _, of := range specRulesOfAll(k) {
		rules = append(rules, of.on("self[t]", func(c string) string { return fmt.Sprintf(`self.all(t, %s)`, c) }))
	}
	return append(rules, startRules(k)...)
}

// someReplicas refuses new jobs that have no replicas, without its condition.
func someReplicas(k *jobkit.Kind) rule {
	return rule{
		ratchets: true,
		message: fmt.Sprintf("a new %s needs at least one replica: set replicas of %s to 1 or more; to hold a job back use runPolicy.suspend",
			k.Name, join(k.Types(), "or")),
	}
}

// specRulesOfAll are those of each replica spec.
func specRulesOfAll(k *jobkit.Kind) []rule {
	var rules []rule
	if !k.AnyContainer {
		rules = append(rules, rule{
			rule: fmt.Sprintf(`<spec>.template.spec.containers.exists(c, c.name == '%s')`, k.ContainerName),
			message: fmt.Sprintf("each replica type needs a container named %q in template.spec.containers: give the main container this name",
				k.ContainerName),
		})
	}
	rules = append(rules, rule{
		// A list, and not a prefix of each label: that would cost too much for kinds of three types.
		rule: fmt.Sprintf(`!has(<spec>.template.metadata) || !has(<spec>.template.metadata.labels) || `+
			`!%s.exists(l, l in <spec>.template.metadata.labels)`, list(plan.ControllersLabels())),
		ratchets: true, // In a job that is accepted the controller ignores them.
		message: "the controller sets the labels operator-name, job-name, replica-type, replica-index, job-role, attempt and pod-group " +
			"under training.kubeflow.org/: remove these from template.metadata.labels",
	})
	if !k.VolumeClaims {
		rules = append(rules, rule{
			rule:    `!has(<spec>.volumeClaimTemplates) || size(<spec>.volumeClaimTemplates) == 0`,
			message: fmt.Sprintf("a %s keeps no volume claims: remove volumeClaimTemplates, or use a volume of the pod template", k.Name),
		})
	}
	return rules
}

// numberRules say how many replicas of a type a job may have.
func numberRules(k *jobkit.Kind, r *jobkit.Role) []rule {
	var rules []rule
	// A job that names a type and no number has the default, which set-up checks.
	within := func(holds string) string { return `!has(<spec>.replicas) || <spec>.replicas ` + holds }
	switch least, most := r.Min, r.Max; {
	case most > 0 && least == most:
		rules = append(rules, rule{
			rule:    within(fmt.Sprintf("== %d", most)),
			message: fmt.Sprintf("a %s has exactly %s %s: set replicas of %[3]s to %[4]d", k.Name, number(most), r.Type, most),
		})
	default:
		if most > 0 {
			fix := cmp.Or(map[int32]string{1: "1"}[most], fmt.Sprintf("%d or fewer", most))
			rules = append(rules, rule{
				rule:    within(fmt.Sprintf("<= %d", most)),
				message: fmt.Sprintf("a %s has at most %s %s: set replicas of %[3]s to %[4]s", k.Name, number(most), r.Type, fix),
			})
		}
		if least > 0 {
			rules = append(rules, rule{
				rule:    within(fmt.Sprintf(">= %d", least)),
				message: fmt.Sprintf("a %s has at least %s %s: set replicas of %[3]s to %[4]d or more", k.Name, number(least), r.Type, least),
			})
		}
	}
	return rules
}

// startRules refuse orders in which nothing ever starts.
func startRules(k *jobkit.Kind) []rule {
	messages := startMessages(k)
	switch types := len(k.Roles); types {
	case 1:
		return []rule{{rule: `self.all(t, !has(self[t].startAfter))`, message: messages[0]}}
	case 2:
		return []rule{{
			rule: `self.all(t, !has(self[t].startAfter) || self[t].startAfter.replicaType in self && ` +
				`self[t].startAfter.replicaType != t && !has(self[self[t].startAfter.replicaType].startAfter))`,
			message: messages[0],
		}}
	default:
		// Those that start after none start, then those that start after these, and so on: after
		// as many rounds as there are types, all must have started.
		round := `.map(a, self.filter(t, t in a || self[t].startAfter.replicaType in a))`
		return []rule{
			{
				rule:    `self.all(t, !has(self[t].startAfter) || self[t].startAfter.replicaType in self && self[t].startAfter.replicaType != t)`,
				message: messages[0],
			},
			{
				rule: `self.all(t, !has(self[t].startAfter) || !(self[t].startAfter.replicaType in self)) || ` +
					`[self.filter(t, !has(self[t].startAfter) || !(self[t].startAfter.replicaType in self) || self[t].startAfter.replicaType == t)]` +
					strings.Repeat(round, types-1) + `[0].size() == self.size()`,
				message: messages[1],
			},
		}
	}
}

// startMessages are what the rules about start orders say, in order.
func startMessages(k *jobkit.Kind) []string {
	switch len(k.Roles) {
	case 1:
		return []string{fmt.Sprintf("a %s has one replica type, which can start after no other: remove startAfter", k.Name)}
	case 2:
		return []string{"startAfter.replicaType must be another replica type of the job, which starts after none: name one, or remove startAfter"}
	default:
		return []string{
			"startAfter.replicaType is the type itself, or none that the job has: name another replica type of the job, or remove startAfter",
			"replica types start after each other, so none of them ever starts: remove startAfter of one of them",
		}
	}
}

// areTheTypes says which replica types the kind has.
func areTheTypes(k *jobkit.Kind) string {
	if len(k.Roles) == 1 {
		return fmt.Sprintf("type of a %s is %s", k.Name, k.Roles[0].Type)
	}
	return fmt.Sprintf("types of a %s are %s", k.Name, join(k.Types(), "and"))
}

// number is a small number in a sentence.
func number(n int32) string {
	if n == 1 {
		return "one"
	}
	return strconv.Itoa(int(n))
}

// list is the CEL list of texts.
func list[T ~string](texts []T) string {
	quoted := make([]string, 0, len(texts))
	for _, t := range texts {
		quoted = append(quoted, "'"+string(t)+"'")
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// join lists types in a sentence.
func join[T ~string](types []T, word string) string {
	names := make([]string, 0, len(types))
	for _, t := range types {
		names = append(names, string(t))
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " " + word + " " + names[last]
}
