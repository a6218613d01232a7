package crdrules

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
)

// schemaOf is a definition whose schema has the properties, each in YAML at indentation 10.
func schemaOf(properties ...string) string {
	return `---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
spec:
  versions:
  - name: v1
    schema:
      openAPIV3Schema:
        properties:
` + strings.Join(properties, "")
}

func TestBound(t *testing.T) {
	quantity := func(more string) string {
		return "          cpu:\n            anyOf:\n            - type: integer\n            - type: string\n" + more + "            x-kubernetes-int-or-string: true\n"
	}
	port := func(more string) string {
		return "          port:\n            anyOf:\n            - type: integer\n            - type: string\n            description: |-\n              Port.\n              Two lines.\n" + more + "            x-kubernetes-int-or-string: true\n"
	}
	in := schemaOf(quantity("            pattern: "+generatedPattern+"\n"), port(""))
	want := schemaOf(quantity("            maxLength: 64\n            pattern: "+boundedPattern+"\n"), port("            maximum: 2147483647\n            minimum: -2147483648\n"))
	for _, text := range []string{in, want} { // a second time changes nothing
		got, err := Bound([]byte(text))
		if diff := cmp.Diff(want, string(got)); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

// TestPattern checks that what the pattern admits can be decoded, and that nothing sensible
// is refused.
func TestPattern(t *testing.T) {
	pattern := regexp.MustCompile(boundedPattern)
	tests := map[string]bool{
		"1": true, "0": true, "+1": true, "-1": true, "1.5": true, "1.": true, ".5": true, "100m": true, "1Gi": true, "1.5Ti": true, "5k": true, "3u": true, "2n": true,
		"1E": true, "1Ei": true, "1e3": true, "1E3": true, "1e-3": true, "1.5e+9": true, "12e006": true, "1e999": true, "1e-999": true,
		"1e1.5": false, "1e.5": false, "1e2147483648": false, "1e-2147483648": false, "1e1000": false, "1K": false, "1ki": false, "": false, "e3": false, "1 Gi": false, "one": false,
	}
	for value, admitted := range tests {
		if pattern.MatchString(value) != admitted {
			t.Errorf("%q is admitted: %t, want %t", value, !admitted, admitted)
		}
		if admitted {
			if _, err := resource.ParseQuantity(value); err != nil {
				t.Errorf("%q is admitted and cannot be decoded: %v", value, err)
			}
		}
	}
}
