package plan_test

import (
	"encoding/json"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit/internal/plan"
)

// TestWhoMadeAMistake: of a pod that is invalid, the fields say who wrote them.
func TestWhoMadeAMistake(t *testing.T) {
	const written = `{
		"metadata": {"name": "p", "annotations": {"a.b/c": "user"}},
		"spec": {
			"priority": 7,
			"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}, {"name": "side", "image": "i"}],
			"initContainers": [{"name": "init", "image": "bad image"}],
			"command": ["c"], "ports": [{"name": "", "port": 1}, {"name": "", "port": 2}],
			"args": ["x"]
		}}`
	// The operator puts an init container and a variable first, and adds an annotation, a
	// container and a security context.
	const made = `{
		"metadata": {"name": "p", "annotations": {"a.b/c": "user", "d": "operator"}},
		"spec": {
			"priority": 7, "securityContext": {},
			"containers": [{"name": "main", "env": [{"name": "OPERATOR", "value": "2"}, {"name": "A", "value": "1"}]}, {"name": "side", "image": "i"}, {"name": "main", "image": "other"}],
			"initContainers": [{"name": "wait", "image": ""}, {"name": "init", "image": "bad image"}],
			"command": ["c"], "ports": [{"name": "", "port": 1}, {"name": "", "port": 2}],
			"args": ["y"]
		}}`
	invalid := func(fields ...string) []metav1.StatusCause {
		var out []metav1.StatusCause
		for _, f := range fields {
			out = append(out, metav1.StatusCause{Type: metav1.CauseTypeFieldValueInvalid, Field: f})
		}
		return out
	}
	duplicate := []metav1.StatusCause{{Type: metav1.CauseTypeFieldValueDuplicate, Field: "spec.containers[2].name"}}
	tests := map[string]struct {
		reason string
		causes []metav1.StatusCause
		want   bool
	}{
		"Scalar":           {reason: "the template says so", causes: invalid("spec.priority"), want: true},
		"MissingInBoth":    {reason: "what the template leaves out the user left out", causes: invalid("spec.containers[0].image"), want: true},
		"MovedEntry":       {reason: "an entry is known by its name", causes: invalid("spec.initContainers[1].image"), want: true},
		"MovedVariable":    {reason: "in whatever depth", causes: invalid("spec.containers[0].env[1].value"), want: true},
		"Annotation":       {reason: "keys may hold dots", causes: invalid("metadata.annotations[a.b/c]"), want: true},
		"AddedAnnotation":  {reason: "the operator added it", causes: invalid("metadata.annotations[d]")},
		"AllAnnotations":   {reason: "the operator is part of it", causes: invalid("metadata.annotations")},
		"AddedEntry":       {reason: "the operator added it", causes: invalid("spec.initContainers[0].image")},
		"MissingInAdded":   {reason: "what is missing in what the operator added is its own", causes: invalid("spec.initContainers[0].name.x", "spec.securityContext.runAsUser")},
		"AddedVariable":    {reason: "the operator added it", causes: invalid("spec.containers[0].env[0].name")},
		"ChangedScalar":    {reason: "the operator wrote something else", causes: invalid("spec.args[0]")},
		"AddedContainer":   {reason: "its name is the user's, but the operator gave it once more", causes: duplicate},
		"OneOfTwo":         {reason: "one mistake of the operator is enough", causes: invalid("spec.priority", "spec.args[0]")},
		"NoCauses":         {reason: "it is unknown"},
		"NoField":          {reason: "it is unknown", causes: invalid("")},
		"BeyondTheList":    {reason: "no such entry: the list as a whole decides", causes: invalid("spec.initContainers[7].image")},
		"BelowAScalar":     {reason: "the scalar decides", causes: invalid("spec.priority.x"), want: true},
		"NowhereInEither":  {reason: "what neither has the user should have given", causes: invalid("spec.hostname"), want: true},
		"UnclosedBrackets": {reason: "a strange path is no crash", causes: invalid("spec.args[", "[", "..")},
		"InAdded":          {reason: "nothing of what the operator added is the user's", causes: invalid("spec.securityContext.runAsUser")},
		"InAddedEntry":     {reason: "nor of an entry, whatever the user has in its place", causes: invalid("spec.initContainers[0].command")},
		"Place":            {reason: "what has no name is known by its place", causes: invalid("spec.command[0]"), want: true},
		"EmptyName":        {reason: "an empty name is none", causes: invalid("spec.ports[1].port"), want: true},
		"JustBeyond":       {reason: "no such entry: the list as a whole decides", causes: invalid("spec.args[1]")},
		"NegativePlace":    {reason: "neither is a place before the first", causes: invalid("spec.args[-1]")},
	}
	parse := func(s string) map[string]any {
		var m map[string]any
		if err := json.Unmarshal([]byte(s), &m); err != nil {
			t.Fatal(err)
		}
		return m
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := plan.FromUser(parse(made), parse(written), tc.causes); got != tc.want {
				t.Errorf("%s: want %t, got %t", tc.reason, tc.want, got)
			}
		})
	}
}
