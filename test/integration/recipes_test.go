//go:build integration

package integration

import (
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// TestRecipes: the API server admits each manifest of examples/recipes, and knows all its fields.
func TestRecipes(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	files, err := filepath.Glob("../../examples/recipes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no recipes", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		job := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &job.Object); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		job.SetNamespace(ns)
		if err := cluster.client.Create(t.Context(), job, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
