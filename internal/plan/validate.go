package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// failInvalid handles mistakes in the job. A mistake that existed from the start fails the
// job. One that came later, with an edit or with a stricter version of the operator, stalls it:
// what runs continues, may succeed and may exceed its deadline; the rest continues when the
// mistake is fixed. A suspended job has no need of the fix before it is resumed.
//
// Only a mistake that leaves open how to go on may stall a job. A rule that exists because a job
// would never start, never end or not do what its user expects is for new jobs: one that runs got by,
// under training-operator v1 or before it was scaled (see accepted).
func failInvalid(d *decision) bool {
	if d.in.OperatorError != "" {
		return false // Then the mistake may be the operator's.
	}
	problem := d.in.Problem
	if errs := Validate(d.in); len(errs) > 0 {
		problem = errs.ToAggregate().Error()
	}
	if problem == "" {
		return false
	}
	message := fmt.Sprintf("%s is not valid: %s", d.jobName(), problem)
	if d.in.accepted() {
		if !d.in.suspended() {
			d.setTrue(commonv1.JobStalled, d.reason(reasonFailedValidation), message)
			d.keepPods = true
		}
		return false
	}
	d.setTrue(commonv1.JobFailed, d.reason(reasonFailedValidation), message)
	d.cleanUp()
	return true
}

// FindsInvalid reports whether a plan is the first to report that a job is not valid.
func FindsInvalid(in *Input, p *Plan) bool {
	return saysInvalid(in, &p.Status) && !saysInvalid(in, &in.Status)
}

// saysInvalid reports whether a status says that the job is not valid.
func saysInvalid(in *Input, s *commonv1.JobStatus) bool {
	for _, t := range []commonv1.JobConditionType{commonv1.JobFailed, commonv1.JobStalled} {
		if c := s.Condition(t); c != nil && s.IsTrue(t) && c.Reason == in.Kind.Name+reasonFailedValidation {
			return true
		}
	}
	return false
}

// keepPodsOfInvalidEdit leaves the replicas of a job alone whose specification cannot be
// trusted. It only updates whether they run.
func keepPodsOfInvalidEdit(d *decision) bool {
	if d.keepPods {
		reportRunning(d)
	}
	return d.keepPods
}

// Validate finds the mistakes in a job that hold for every kind. Each error names
// the field, the value and the fix.
func Validate(in *Input) field.ErrorList {
	errs := append(validateTypes(in, specsPath(&in.Kind)), validateRunPolicy(in, field.NewPath("spec", "runPolicy"))...)
	for _, t := range in.types() {
		errs = append(errs, validateReplicaSpec(in, t, in.Kind.SpecPath(t))...)
	}
	errs = append(errs, validateStartAfter(in)...)
	return append(errs, validateName(in)...)
}

// validateTypes checks which replica types there are.
func validateTypes(in *Input, path *field.Path) field.ErrorList {
	known := typeNames(&in.Kind)
	if len(in.Replicas) == 0 {
		return field.ErrorList{field.Required(path, fmt.Sprintf(
			"the job has no replicas: add at least one of %s", strings.Join(keys(&in.Kind), ", ")))}
	}
	var errs field.ErrorList
	var total int64
	for _, t := range sortedTypes(in.Replicas) {
		switch spec := in.Replicas[t]; {
		case in.Kind.Role(t) == nil:
			errs = append(errs, unknownType(t, path, known))
		case spec == nil:
			errs = append(errs, field.Required(in.Kind.SpecPath(t), "the replica spec is null: give it a template, or remove the key"))
		default:
			total += int64(in.replicas(t))
		}
	}
	for i := range in.Kind.Roles {
		if t := in.Kind.Roles[i].Type; in.Kind.Roles[i].Required && !has(in.Replicas, t) {
			errs = append(errs, field.Required(in.Kind.SpecPath(t), fmt.Sprintf("every %s needs the replica type %s: add it", in.Kind.Name, t)))
		}
	}
	if len(errs) == 0 && total > jobkit.MaxReplicas && !tooMany(in) {
		errs = append(errs, field.Invalid(path, fmt.Sprintf("%d replicas in total", total),
			fmt.Sprintf("set replicas to %d or less in total", jobkit.MaxReplicas)))
	}
	if len(errs) == 0 && total == 0 && !in.accepted() && !negative(in) {
		errs = append(errs, field.Invalid(path, "0 replicas in total",
			"set replicas of at least one replica type to 1 or more; to hold a job back use runPolicy.suspend"))
	}
	return errs
}

// typeNames are the names of the replica types of a kind, for messages.
func typeNames(k *jobkit.Kind) []string {
	names := make([]string, 0, len(k.Roles))
	for _, t := range k.Types() {
		names = append(names, string(t))
	}
	return names
}

// keys are what a user adds to a job to give it each of the replica types of a kind.
func keys(k *jobkit.Kind) []string {
	names := typeNames(k)
	for i := range k.Roles {
		names[i] = cmp.Or(k.Roles[i].Field, names[i])
	}
	return names
}

// unknownType is the error about a replica type that the kind does not have.
func unknownType(t commonv1.ReplicaType, path *field.Path, known []string) *field.Error {
	for _, k := range known {
		if strings.EqualFold(string(t), k) {
			return field.Invalid(path, string(t), "the letter case of replica types counts: write "+k)
		}
	}
	return field.NotSupported(path, string(t), known)
}

// negative reports whether a negative replica count, which has its own error, makes
// the total 0.
func negative(in *Input) bool {
	for _, spec := range in.Replicas {
		if spec != nil && spec.Replicas != nil && *spec.Replicas < 0 {
			return true
		}
	}
	return false
}

// tooMany reports whether one type alone has more replicas than a job may have, which has
// its own error.
func tooMany(in *Input) bool {
	for _, spec := range in.Replicas {
		if spec != nil && spec.Replicas != nil && *spec.Replicas > jobkit.MaxReplicas {
			return true
		}
	}
	return false
}

func has(m map[commonv1.ReplicaType]*commonv1.ReplicaSpec, t commonv1.ReplicaType) bool {
	_, ok := m[t]
	return ok
}

func sortedTypes(m map[commonv1.ReplicaType]*commonv1.ReplicaSpec) []commonv1.ReplicaType {
	out := make([]commonv1.ReplicaType, 0, len(m))
	for t := range m {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// validateReplicaSpec checks one replica type.
func validateReplicaSpec(in *Input, t commonv1.ReplicaType, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	spec := in.Replicas[t]
	least, most := in.Kind.Role(t).Bounds()
	if n := spec.Replicas; n != nil && (*n < least || *n > most) {
		fix := fmt.Sprintf("must be from %d to %d", least, most)
		if least == most {
			fix = fmt.Sprintf("must be %d", least)
		}
		errs = append(errs, field.Invalid(path.Child("replicas"), *n, fix))
	}
	if p := spec.RestartPolicy; p != "" {
		errs = append(errs, oneOf(path.Child("restartPolicy"), &p, restartPolicies()...)...)
	}
	errs = append(errs, validateVolumeClaims(in, t, path)...)
	errs = append(errs, oneOf(path.Child("restartScope"), spec.RestartScope, restartScopes()...)...)
	if n := spec.BackoffLimit; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(path.Child("backoffLimit"), *n, "must be 0 or more"))
	}
	errs = append(errs, validateContainers(&in.Kind, &spec.Template, path.Child("template"))...)
	errs = append(errs, validateHostname(in, &spec.Template.Spec, path.Child("template", "spec"))...)
	return append(errs, validateLabels(spec.Template.Labels, path.Child("template", "metadata", "labels"))...)
}

// validateContainers checks that a main container exists.
func validateContainers(kind *jobkit.Kind, template *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	containers, wanted := path.Child("spec", "containers"), fmt.Sprintf("a container named %q", kind.ContainerName)
	if kind.AnyContainer {
		wanted = "a container"
	}
	switch {
	case kind.MainContainer(&template.Spec) != nil:
		return nil
	case equality.Semantic.DeepEqual(template, &corev1.PodTemplateSpec{}):
		return field.ErrorList{field.Required(path, fmt.Sprintf("there is no template: add one, with %s", wanted))}
	case len(template.Spec.Containers) == 0:
		return field.ErrorList{field.Required(containers, fmt.Sprintf("there is no container: add %s", wanted))}
	}
	names := make([]string, 0, len(template.Spec.Containers))
	for i := range template.Spec.Containers {
		names = append(names, template.Spec.Containers[i].Name)
	}
	return field.ErrorList{field.Invalid(containers, strings.Join(names, ", "),
		fmt.Sprintf("no container is named %q: name the main container %[1]q", kind.ContainerName))}
}

// validateHostname refuses names by which replicas are not found if the job has one service: then
// hostname and subdomain of the pods are the addresses that the replicas are told. A job that was
// accepted before continues: perhaps its replicas need no addresses.
func validateHostname(in *Input, pod *corev1.PodSpec, path *field.Path) field.ErrorList {
	if in.serviceMode() != commonv1.ServiceModePerJob || in.accepted() {
		return nil
	}
	var errs field.ErrorList
	for _, f := range []struct{ name, value, own string }{{"hostname", pod.Hostname, ""}, {"subdomain", pod.Subdomain, in.Job.Name}} {
		if f.value != "" && f.value != f.own {
			errs = append(errs, field.Invalid(path.Child(f.name), f.value,
				"with serviceMode PerJob the replicas look for each other at <pod>.<job>: remove it, or set runPolicy.serviceMode to PerReplica"))
		}
	}
	return errs
}

// validateLabels refuses labels of the template that the controller sets, whatever their value: a
// rule of the CRD does the same, and cannot know the controller's.
func validateLabels(labels map[string]string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, k := range slices.Sorted(slices.Values(ControllersLabels())) {
		if value, ok := labels[k]; ok {
			errs = append(errs, field.Invalid(path.Key(k), value, "the controller sets this label: remove it"))
		}
	}
	return errs
}

// validateName checks that the pods and services of a new job can be named after it. The name of one
// that was accepted does not change: what cannot be created is refused by the API server, and the
// rest goes on.
func validateName(in *Input) field.ErrorList {
	name, path, longest := in.Job.Name, field.NewPath("metadata", "name"), in.longestName()
	const most = validation.DNS1035LabelMaxLength
	switch {
	case in.accepted():
	case longest == "" && len(name) > validation.LabelValueMaxLength:
		return field.ErrorList{field.Invalid(path, name, fmt.Sprintf(
			"is too long: it has %d characters and is the value of a label, which can have %d: use a name of at most %[2]d characters",
			len(name), validation.LabelValueMaxLength))}
	case longest == "":
		// The API server sees to the letters: names of jobs may have the same ones as names of pods.
	case len(name) <= most && len(validation.IsDNS1035Label(name)) > 0:
		return field.ErrorList{field.Invalid(path, name,
			"must start with a lower-case letter, hold lower-case letters, digits and '-' only, and end with a letter or digit, because the pods and services are named after it: choose another name")}
	case len(name)+len(longest) > most:
		return field.ErrorList{field.Invalid(path, name, fmt.Sprintf(
			"is too long: %s%s would be the name of a pod and a service and have %d characters, %d are allowed: use a name of at most %d characters",
			name, longest, len(name)+len(longest), most, most-len(longest)))}
	}
	return nil
}

// longestName is the longest name that follows that of the job in the names of services and hosts; ""
// if the job has no services. Names of pods can be longer: the node cuts the name of the host off.
func (in *Input) longestName() string {
	longest := ""
	for _, t := range in.types() {
		suffix := ""
		if in.serviceMode() != commonv1.ServiceModeNone {
			suffix = in.Kind.PodName("", t, max(in.replicas(t)-1, 0))
		}
		if in.roleService(t) != nil {
			// The service of the role may have the longer name.
			if ofRole := in.Kind.RoleServiceName("", t); len(ofRole) > len(suffix) {
				suffix = ofRole
			}
		}
		if len(suffix) > len(longest) {
			longest = suffix
		}
	}
	return longest
}
