package plan

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// ValidateKind finds the mistakes in a kind whose defaults are set. Each would make every
// job of the kind invalid, or objects of its jobs, as if their users had made a mistake.
// Each error names the field, the value and the fix.
func ValidateKind(k *jobkit.Kind) field.ErrorList {
	var errs field.ErrorList
	if problems := validation.IsValidLabelValue(k.OperatorName); len(problems) > 0 || k.OperatorName == "" {
		errs = append(errs, field.Invalid(field.NewPath("OperatorName"), k.OperatorName,
			"is the value of a label, and names the controller: use 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"))
	}
	if d := k.LabelDomain; d != "" && (len(validation.IsDNS1123Subdomain(d)) > 0 || d+"/" == commonv1.LabelPrefix) {
		errs = append(errs, field.Invalid(field.NewPath("LabelDomain"), d,
			"is a domain of the kind's own, for more labels: use a DNS name such as sim.example.com, other than training.kubeflow.org, which is always there"))
	}
	if !utf8.ValidString(k.Framework) || k.Framework == "" {
		errs = append(errs, field.Invalid(field.NewPath("Framework"), k.Framework, "is the value of a metric's label: use a short word in UTF-8"))
	}
	errs = append(errs, validateFields(k)...)
	errs = append(errs, validateMainContainer(k)...)
	errs = append(errs, oneOf(field.NewPath("RestartPolicy"), &k.RestartPolicy, restartPolicies()...)...)
	errs = append(errs, oneOf(field.NewPath("CleanPodPolicy"), &k.CleanPodPolicy,
		commonv1.CleanPodPolicyAll, commonv1.CleanPodPolicyRunning, commonv1.CleanPodPolicyNone)...)
	errs = append(errs, oneOf(field.NewPath("ServiceMode"), &k.ServiceMode,
		commonv1.ServiceModePerReplica, commonv1.ServiceModePerJob, commonv1.ServiceModeNone)...)
	return append(errs, validateRoles(k)...)
}

func restartPolicies() []commonv1.RestartPolicy {
	return []commonv1.RestartPolicy{
		commonv1.RestartPolicyAlways, commonv1.RestartPolicyOnFailure, commonv1.RestartPolicyNever, commonv1.RestartPolicyExitCode,
	}
}

// validateMainContainer checks the name and the port of the main container.
func validateMainContainer(k *jobkit.Kind) field.ErrorList {
	var errs field.ErrorList
	name, port, number := field.NewPath("ContainerName"), field.NewPath("PortName"), field.NewPath("PortNumber")
	if k.ContainerName == "" {
		errs = append(errs, field.Required(name, "name the main container of every replica"))
	} else if len(validation.IsDNS1123Label(k.ContainerName)) > 0 {
		errs = append(errs, field.Invalid(name, k.ContainerName,
			"is not a valid container name: use 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends"))
	}
	switch {
	case k.PortName == "" && k.PortNumber != 0:
		errs = append(errs, field.Required(port, fmt.Sprintf("PortNumber is %d: name the port, or remove PortNumber", k.PortNumber)))
	case k.PortName == "":
		return errs
	case len(validation.IsValidPortName(k.PortName)) > 0:
		errs = append(errs, field.Invalid(port, k.PortName,
			"is not a valid port name: use 1 to 15 lower-case letters, digits and single '-', with a letter among them and no '-' at either end"))
	}
	if len(validation.IsValidPortNum(int(k.PortNumber))) > 0 {
		errs = append(errs, field.Invalid(number, k.PortNumber, "must be from 1 to 65535, because PortName is set: give the port's number, or remove PortName"))
	}
	return errs
}

// validateRoles checks the replica types.
func validateRoles(k *jobkit.Kind) field.ErrorList {
	path := field.NewPath("Roles")
	if len(k.Roles) == 0 {
		return field.ErrorList{field.Required(path, "name at least one replica type")}
	}
	var errs field.ErrorList
	for i := range k.Roles {
		r, at := &k.Roles[i], path.Index(i)
		errs = append(errs, validateRoleName(k, i, at.Child("Type"))...)
		errs = append(errs, validateNumbers(r, at)...)
		if r.Unnumbered && r.Max != 1 {
			errs = append(errs, field.Invalid(at.Child("Max"), r.Max, fmt.Sprintf(
				"%s is Unnumbered, so all its pods would have one name: set Max to 1, or Unnumbered to false", r.Type)))
		}
		if r.RestartScope != "" {
			errs = append(errs, oneOf(at.Child("RestartScope"), &r.RestartScope, restartScopes()...)...)
		}
		if r.BackoffLimit != nil && *r.BackoffLimit < 0 {
			errs = append(errs, field.Invalid(at.Child("BackoffLimit"), *r.BackoffLimit, "must be 0 or more"))
		}
		errs = append(errs, validateRoleStartAfter(k, r, at.Child("StartAfter"))...)
		errs = append(errs, validateRoleService(k, r, at.Child("Service"))...)
	}
	return errs
}

// validateRoleName checks that the pods of a role can be named after it, and that their
// names differ from those of earlier roles.
func validateRoleName(k *jobkit.Kind, i int, path *field.Path) field.ErrorList {
	t := k.Roles[i].Type
	lower := strings.ToLower(string(t))
	longest := (&jobkit.Kind{}).PodName("j", t, jobkit.MaxReplicas-1) // of the shortest job
	if t == "" || len(validation.IsDNS1035Label(longest)) > 0 || strings.Trim(lower, "-") != lower {
		return field.ErrorList{field.Invalid(path, t,
			"pods are named after it: use 1 to 55 letters, digits and '-', with a letter or digit at both ends, as in \"Worker\"")}
	}
	for j := range k.Roles[:i] {
		other := &k.Roles[j]
		earlier := strings.ToLower(string(other.Type))
		switch {
		case lower == earlier:
			return field.ErrorList{field.Invalid(path, t, fmt.Sprintf(
				"is Roles[%d] already, because pod names are in lower case: remove or rename one of the two", j))}
		case k.Roles[i].Unnumbered && isNumbered(lower, earlier) && !other.Unnumbered,
			other.Unnumbered && isNumbered(earlier, lower) && !k.Roles[i].Unnumbered:
			return field.ErrorList{field.Invalid(path, t, fmt.Sprintf(
				"its pods can get the names of those of %s (Roles[%d]), of which one is Unnumbered and ends in a number: rename one of the two", other.Type, j))}
		}
	}
	return nil
}

// isNumbered reports whether a name is another one followed by an index.
func isNumbered(name, other string) bool {
	digits, ok := strings.CutPrefix(name, other+"-")
	return ok && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// validateNumbers checks the bounds of a role, and that its default number of replicas is
// within them.
func validateNumbers(r *jobkit.Role, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, n := range []struct {
		name  string
		value int32
	}{{"Min", r.Min}, {"Max", r.Max}} {
		if n.value < 0 || n.value > jobkit.MaxReplicas {
			errs = append(errs, field.Invalid(at.Child(n.name), n.value, fmt.Sprintf("must be from 0 to %d", jobkit.MaxReplicas)))
		}
	}
	least, most := r.Bounds()
	if least > most {
		return append(errs, field.Invalid(at.Child("Min"), r.Min, fmt.Sprintf("is more than Max, which is %d: lower Min, or raise Max", r.Max)))
	}
	switch n, path := r.Default, at.Child("Default"); {
	case len(errs) > 0:
	case n == nil && least > 1:
		errs = append(errs, field.Required(path, fmt.Sprintf(
			"it is 1 by default, which is less than Min: set it to %d or more", least)))
	case n != nil && (*n < least || *n > most):
		errs = append(errs, field.Invalid(path, *n, fmt.Sprintf("must be from %d to %d, the range of Min and Max", least, most)))
	}
	return errs
}
