package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestShort(t *testing.T) {
	const crd = `
spec:
  description: text of the library
  properties:
    template:
      description: text of Kubernetes
      type: object
      properties:
        description: {type: string, description: text of Kubernetes}
        spec:
          required: [containers]
          properties:
            containers:
              items: {description: text of Kubernetes, type: object}
`
	const want = `
spec:
  description: text of the library
  properties:
    template:
      type: object
      properties:
        description: {type: string}
        spec:
          required: [containers]
          properties:
            containers:
              items: {type: object}
`
	got, err := short([]byte(crd))
	if err != nil {
		t.Fatal(err)
	}
	var g, w any
	if err := yaml.Unmarshal(got, &g); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Errorf("only the descriptions inside of a template go (-want +got):\n%s", diff)
	}
}
