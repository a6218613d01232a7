package plan

import (
	"cmp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// SpecStep is one step of the path to a replica spec in the JSON of a job.
type SpecStep struct {
	Kind StepKind
	// Name is that of the field, or the key of the entry.
	Name string
	// Value is that of the field Name of an entry that is found by it.
	Value string
	// Index is that of an entry of a list.
	Index int
}

// StepKind is what a step leads to.
type StepKind int

// The kinds of steps.
const (
	StepField StepKind = iota // the field Name of an object
	StepKey                   // the entry Name of a map
	StepIndex                 // the entry Index of a list
	StepEntry                 // the entry of a list whose field Name is Value
)

// SpecSteps are the steps to the replica spec of a type, from the job on, for a valid kind: what
// [jobkit.Kind.SpecPath] says in words.
func SpecSteps(k *jobkit.Kind, t commonv1.ReplicaType) []SpecStep {
	steps := []SpecStep{{Name: "spec"}}
	if role := k.Role(t); role != nil && role.Field != "" {
		below, _ := stepsOf(role.Field)
		return append(steps, below...)
	}
	for name := range strings.SplitSeq(specsField(k), ".") {
		steps = append(steps, SpecStep{Name: name})
	}
	return append(steps, SpecStep{Kind: StepKey, Name: string(t)})
}

// stepsOf reads the path of Role.Field, and reports whether it is one.
func stepsOf(path string) ([]SpecStep, bool) {
	var steps []SpecStep
	for part := range strings.SplitSeq(path, ".") {
		name, entry, listed := strings.Cut(part, "[")
		if !isFieldName(name) {
			return nil, false
		}
		steps = append(steps, SpecStep{Name: name})
		if !listed {
			continue
		}
		entry, closed := strings.CutSuffix(entry, "]")
		key, value, byKey := strings.Cut(entry, "=")
		index, err := strconv.ParseUint(entry, 10, 7) // A kind has no hundred roles.
		switch {
		case closed && byKey && isFieldName(key) && isFieldName(value):
			steps = append(steps, SpecStep{Kind: StepEntry, Name: key, Value: value})
		case closed && err == nil:
			steps = append(steps, SpecStep{Kind: StepIndex, Index: int(index)})
		default:
			return nil, false
		}
	}
	return steps, true
}

func isFieldName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// SpecAt returns what the JSON of a job has at the end of steps, nil if it has nothing.
func SpecAt(in any, steps []SpecStep) any {
	for _, s := range steps {
		fields, _ := in.(map[string]any)
		list, _ := in.([]any)
		in = fields[s.Name]
		switch {
		case s.Kind == StepIndex && s.Index < len(list):
			in = list[s.Index]
		case s.Kind == StepEntry:
			in = nil
			if i := entryOf(list, s); i >= 0 {
				in = list[i]
			}
		}
	}
	return in
}

// PutSpec puts a value at the end of steps into the JSON of a job, with what is missing on the way,
// and returns the job.
func PutSpec(in any, steps []SpecStep, value any) any {
	if len(steps) == 0 {
		return value
	}
	s, rest := steps[0], steps[1:]
	if s.Kind == StepField || s.Kind == StepKey {
		fields, _ := in.(map[string]any)
		if fields == nil {
			fields = map[string]any{}
		}
		fields[s.Name] = PutSpec(fields[s.Name], rest, value)
		return fields
	}
	list, _ := in.([]any)
	i := s.Index
	if s.Kind == StepEntry {
		if i = entryOf(list, s); i < 0 {
			i = len(list)
		}
	}
	for len(list) <= i {
		list = append(list, map[string]any{})
	}
	entry := PutSpec(list[i], rest, value)
	if fields, ok := entry.(map[string]any); ok && s.Kind == StepEntry {
		fields[s.Name] = s.Value
	}
	list[i] = entry
	return list
}

// entryOf is the index of the entry of a list that a step leads to, -1 if there is none.
func entryOf(list []any, s SpecStep) int {
	for i, e := range list {
		if fields, _ := e.(map[string]any); fields[s.Name] == s.Value {
			return i
		}
	}
	return -1
}

// validateFields checks the paths of the replica specs of a kind.
func validateFields(k *jobkit.Kind) field.ErrorList {
	var errs field.ErrorList
	for name := range strings.SplitSeq(specsField(k), ".") {
		if isFieldName(name) {
			continue
		}
		errs = append(errs, field.Invalid(field.NewPath("ReplicaSpecsField"), k.ReplicaSpecsField,
			"is a path of JSON names: use letters, digits, '-' and '_', with a '.' between two names, as in \"cluster.replicaSpecs\""))
		break
	}
	for i := range k.Roles {
		path, at := k.Roles[i].Field, field.NewPath("Roles").Index(i).Child("Field")
		if path == "" {
			continue
		}
		if _, ok := stepsOf(path); !ok {
			errs = append(errs, field.Invalid(at, path,
				`is a path of JSON names below spec: write it as in "driver", "cluster.driver", "workerGroups[0]" or "tasks[name=Driver]"`))
		}
		for j := range k.Roles[:i] {
			if k.Roles[j].Field == path {
				errs = append(errs, field.Invalid(at, path,
					"is that of Roles["+strconv.Itoa(j)+"], too, and each role has a replica spec of its own: correct one of the two"))
				break
			}
		}
	}
	return errs
}

// specsField is the path of the map of replica specs below spec.
func specsField(k *jobkit.Kind) string { return cmp.Or(k.ReplicaSpecsField, "replicaSpecs") }

// specsPath is the field that has the replica specs of a kind: the map, or spec if each role has a
// field of its own.
func specsPath(k *jobkit.Kind) *field.Path {
	for i := range k.Roles {
		if k.Roles[i].Field == "" {
			return field.NewPath("spec", specsField(k))
		}
	}
	return field.NewPath("spec")
}

// whereToAdd says where a user adds a replica type of the kind.
func whereToAdd(k *jobkit.Kind, t commonv1.ReplicaType) string {
	if role := k.Role(t); role != nil && role.Field != "" {
		return "add " + k.SpecPath(t).String()
	}
	return "add it to " + field.NewPath("spec", specsField(k)).String()
}

// belowSpec is a field of the replica spec of a type, for sentences about a job's own fields.
func belowSpec(k *jobkit.Kind, t commonv1.ReplicaType, name string) string {
	return strings.TrimPrefix(k.SpecPath(t).Child(name).String(), "spec.")
}
