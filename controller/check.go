package controller

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
	"github.com/jobkit/jobkit/internal/servedschema"
)

// nearMiss returns an error if an author's type has some methods of an optional interface but
// does not implement it. Go accepts such methods as the type's own, and they would never be
// called.
func nearMiss(author any, optional reflect.Type, name string) error {
	name = path.Base(optional.PkgPath()) + "." + name
	own := reflect.TypeOf(author)
	pointer := own
	if own.Kind() != reflect.Pointer {
		pointer = reflect.PointerTo(own)
	}
	var has, missing []string
	onPointer := false
	for wanted := range optional.Methods() {
		m, ok := pointer.MethodByName(wanted.Name)
		if !ok {
			missing = append(missing, wanted.Name)
			continue
		}
		if got := signature(m.Type, 1); got != signature(wanted.Type, 0) {
			return fmt.Errorf("%s has the method %s%s, but %s has %s%s: give it that signature, or another name",
				own, wanted.Name, got, name, wanted.Name, signature(wanted.Type, 0))
		}
		has = append(has, wanted.Name)
		if _, ok := own.MethodByName(wanted.Name); !ok {
			onPointer = true
		}
	}
	switch {
	case len(has) == 0:
		return nil
	case len(missing) > 0:
		return fmt.Errorf("%s has the method %s of %s, but not %s: add it, or give the other another name",
			own, strings.Join(has, ", "), name, strings.Join(missing, ", "))
	case onPointer:
		return fmt.Errorf("the method %s of %s has a pointer receiver, and JobController.Controller is a %s: make it a pointer, as in &%s{}, or the receiver a value",
			strings.Join(has, ", "), name, own, own)
	default:
		return nil
	}
}

// signature is how a method is declared, without its name; first is its first parameter
// that is not the receiver.
func signature(t reflect.Type, first int) string {
	in := make([]string, 0, t.NumIn())
	for i := first; i < t.NumIn(); i++ {
		in = append(in, t.In(i).String())
	}
	out := make([]string, 0, t.NumOut())
	for out0 := range t.Outs() {
		out = append(out, out0.String())
	}
	s := "(" + strings.Join(in, ", ") + ")"
	switch len(out) {
	case 0:
		return s
	case 1:
		return s + " " + out[0]
	default:
		return s + " (" + strings.Join(out, ", ") + ")"
	}
}

// sentinel is a count of restarts that no job has at set-up.
const sentinel = 7

// checkParts verifies that the status which the author's Parts points at is in the job. If it
// were a copy, no status would ever be written, and no error would say so.
func checkParts[J client.Object](author jobkit.ControllerInterface[J], s *settings[J]) error {
	kind := &s.kind
	job, err := newJob[J]()
	if err != nil {
		return err
	}
	var parts, again jobkit.JobParts
	if !returnsNormally(func() { parts = author.Parts(job) }) {
		return nil // It may need what an empty job does not have.
	}
	if parts.Status == nil {
		return fmt.Errorf("Parts() of %s returns no Status: point at the job's own field, as in Status: &job.Status", kind.Name)
	}
	s.statusAt, s.policyAt = fieldOf(job, parts.Status), fieldOf(job, parts.RunPolicy)
	parts.Status.Restarts = sentinel
	other, ok := job.DeepCopyObject().(J)
	if !ok {
		return fmt.Errorf("the deep copy of a %T is not a %T: generate DeepCopyObject again", job, job)
	}
	if !returnsNormally(func() { again = author.Parts(other) }) {
		return nil
	}
	if again.Status == nil || again.Status.Restarts != sentinel {
		return fmt.Errorf("Parts() of %s returns a Status that is not the job's own, so what is written there is lost: point at the job's field, as in Status: &job.Status, not at a copy, and see that DeepCopyObject copies it", kind.Name)
	}
	if again.Status == parts.Status {
		return fmt.Errorf("Parts() of %s returns the same Status for two jobs: point at the job's own field, as in Status: &job.Status", kind.Name)
	}
	return nil
}

// fieldOf finds the field of a job that a pointer points at, or nil.
func fieldOf[T any](job client.Object, at *T) []int {
	v := reflect.ValueOf(job)
	if at == nil || v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	return fieldIn(v.Elem(), reflect.ValueOf(at))
}

func fieldIn(v, at reflect.Value) []int {
	for i := range v.NumField() {
		f := v.Field(i)
		if f.Kind() != reflect.Struct || !v.Type().Field(i).IsExported() {
			continue
		}
		if f.Type() == at.Type().Elem() && f.Addr().Pointer() == at.Pointer() {
			return []int{i}
		}
		if rest := fieldIn(f, at); rest != nil {
			return append([]int{i}, rest...)
		}
	}
	return nil
}

// fieldAt is the field of a job that fieldOf has found in another job, or nil.
func fieldAt[T any](job client.Object, index []int) *T {
	if index == nil {
		return nil
	}
	at, _ := reflect.TypeAssert[*T](reflect.ValueOf(job).Elem().FieldByIndex(index).Addr())
	return at
}

// checkRules verifies that the author's rules select replicas that a job can have, with a
// sample job that has every replica type.
func checkRules[J client.Object](author jobkit.ControllerInterface[J], defaulter jobkit.Defaulter[J], kind *jobkit.Kind) error {
	job, err := newJob[J]()
	if err != nil {
		return err
	}
	sample(job, kind)
	var parts jobkit.JobParts
	var rules jobkit.Rules
	asked := returnsNormally(func() {
		if defaulter != nil {
			defaulter.Default(job)
		}
		if parts = author.Parts(job); parts.RunPolicy != nil {
			plan.SetDefaults(kind, parts.RunPolicy, parts.ReplicaSpecs)
		}
		rules = author.Rules(job)
	})
	if !asked {
		return nil // They may need what the sample does not have.
	}
	if parts.RunPolicy == nil {
		return fmt.Errorf("Parts() of %s returns no RunPolicy: point at the job's own field, as in RunPolicy: &job.Spec.RunPolicy", kind.Name)
	}
	errs := append(plan.ValidateRules(kind, rules, len(parts.ReplicaSpecs) == len(kind.Roles)), mistakesInOrder(kind, rules)...)
	if len(errs) > 0 {
		return fmt.Errorf("Rules() of %s cannot hold: %w", kind.Name, errs.ToAggregate())
	}
	return nil
}

// mistakesInOrder are replica types in the rules that the kind does not have, and an order in which some never start.
func mistakesInOrder(kind *jobkit.Kind, rules jobkit.Rules) field.ErrorList {
	var errs field.ErrorList
	names := make([]string, 0, len(kind.Roles))
	for i := range kind.Roles {
		names = append(names, string(kind.Roles[i].Type))
	}
	known := func(at *field.Path, t commonv1.ReplicaType) {
		if t != "" && kind.Role(t) == nil {
			errs = append(errs, field.Invalid(at, t, fmt.Sprintf("the kind has no replica type %q: use one of Kind().Roles, %s", t, strings.Join(names, ", "))))
		}
	}
	for i, r := range rules.StartAfter {
		at := field.NewPath("StartAfter").Index(i)
		known(at.Child("Type"), r.Type)
		for j, t := range r.After {
			known(at.Child("After").Index(j), t)
		}
	}
	for _, t := range slices.Sorted(maps.Keys(rules.MinReplicas)) {
		known(field.NewPath("MinReplicas"), t)
	}
	waiting := kind.Types()
	for n := -1; n != len(waiting); { // Those that wait for none of the others start.
		n = len(waiting)
		all := slices.Clone(waiting)
		waiting = slices.DeleteFunc(waiting, func(t commonv1.ReplicaType) bool {
			return !slices.ContainsFunc(rules.StartAfter, func(r jobkit.StartAfter) bool {
				return r.Type == t && slices.ContainsFunc(r.After, func(o commonv1.ReplicaType) bool { return slices.Contains(all, o) })
			})
		})
	}
	if len(waiting) > 0 {
		errs = append(errs, field.Invalid(field.NewPath("StartAfter"), waiting, "these replica types never start, because each waits for another of them, or itself: remove what closes the circle"))
	}
	return errs
}

// sample gives an empty job one replica of each type, whose image has the name of the type, where
// the kind says that its replica specs are.
func sample(job client.Object, kind *jobkit.Kind) {
	job.SetNamespace("default")
	job.SetName("sample")
	var whole any
	for i := range kind.Roles {
		t := kind.Roles[i].Type
		whole = plan.PutSpec(whole, plan.SpecSteps(kind, t), commonv1.ReplicaSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			Containers: []corev1.Container{{Name: kind.ContainerName, Image: string(t)}},
		}}})
	}
	if data, err := json.Marshal(whole); err == nil {
		_ = json.Unmarshal(data, job) // A job with other fields stays without replicas.
	}
}

// checkFields verifies that a job has the fields at which the kind says that its replica specs are.
// Messages to users would name others.
func checkFields[J client.Object](author jobkit.ControllerInterface[J], kind *jobkit.Kind) error {
	for i := range kind.Roles {
		if err := checkField(reflect.TypeFor[J](), kind, i); err != nil {
			return err
		}
	}
	job, err := newJob[J]()
	if err != nil {
		return err
	}
	sample(job, kind)
	var parts jobkit.JobParts
	if !returnsNormally(func() { parts = author.Parts(job) }) {
		return nil // It may need what the sample does not have.
	}
	for _, t := range kind.Types() {
		spec := parts.ReplicaSpecs[t]
		if spec == nil || len(spec.Template.Spec.Containers) == 0 {
			continue
		}
		if other := commonv1.ReplicaType(spec.Template.Spec.Containers[0].Image); other != t && kind.Role(other) != nil {
			return fmt.Errorf("Parts() of %s returns %s as the replica spec of %s, which is at %s as Kind() says: correct Parts, or Role.Field",
				kind.Name, kind.SpecPath(other), t, kind.SpecPath(t))
		}
	}
	return nil
}

// checkField verifies that the type of a job has the field of a role's replica spec, as far as Go
// knows that.
func checkField(job reflect.Type, kind *jobkit.Kind, role int) error {
	r := &kind.Roles[role]
	at, path := job, ""
	for _, s := range plan.SpecSteps(kind, r.Type) {
		known, has := false, []string(nil)
		switch s.Kind {
		case plan.StepField:
			path = strings.TrimPrefix(path+"."+s.Name, ".")
			at, has, known = servedschema.Field(at, s.Name)
		case plan.StepKey:
			at, known = servedschema.Entry(at, false)
		case plan.StepIndex, plan.StepEntry:
			at, known = servedschema.Entry(at, true)
		}
		switch {
		case !known, at == nil && !strings.Contains(path, "."):
			return nil // A job without a spec is the author's concern.
		case at == nil:
			return noField(job, kind, role, path, has)
		}
	}
	if _, _, known := servedschema.Field(at, "template"); known && !servedschema.IsObject(at) {
		return noField(job, kind, role, path, nil) // A list, for example, of which no entry is named.
	}
	return nil
}

// noField says that a job has no such field, and what to write. has are the fields that there are
// instead, nil if the field exists and has another form.
func noField(job reflect.Type, kind *jobkit.Kind, role int, path string, has []string) error {
	r := &kind.Roles[role]
	wrong := "has no field " + path
	if has == nil {
		wrong = "has a field " + path + " that is not of that form"
	} else if len(has) <= namedFields*2 {
		wrong += fmt.Sprintf(" (there are %s)", strings.Join(has, ", "))
	}
	if r.Field != "" {
		return fmt.Errorf("Roles[%d].Field of %s is %q, but %s %s: name the field from which Parts takes the replica spec of %s",
			role, kind.Name, r.Field, job, wrong, r.Type)
	}
	fix := "name the field from which Parts takes the map of replica specs, or set Role.Field if each role has a field of its own"
	if at := servedschema.Find[map[commonv1.ReplicaType]*commonv1.ReplicaSpec](job); len(at) > 1 && at[0] == "spec" {
		fix = fmt.Sprintf("set it to %q, the map of replica specs", strings.Join(at[1:], "."))
	}
	return fmt.Errorf("ReplicaSpecsField of %s is %q, but %s %s: %s", kind.Name, kind.ReplicaSpecsField, job, wrong, fix)
}

// returnsNormally reports whether a function ends without a panic.
func returnsNormally(f func()) (ok bool) {
	defer func() { ok = recover() == nil && ok }()
	f()
	return true
}
