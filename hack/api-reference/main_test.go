package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReference: the page is what "make generate" writes, and has what a reader looks for.
func TestReference(t *testing.T) {
	t.Parallel()
	const page = "../../docs/users/api.md"
	files, err := filepath.Glob("../../config/crd/kubeflow.org_*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crds []string
	for _, file := range files {
		if !strings.Contains(file, "testjobs") {
			crds = append(crds, file)
		}
	}
	written := filepath.Join(t.TempDir(), "api.md")
	if err := run(written, crds); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(written)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the page is out of date: run make generate (-now +page):\n%s", diff)
	}
	for _, text := range []string{
		"## PyTorchJob", "| `spec.elasticPolicy.minReplicas` | integer, at least 1 |", "| `restartScope` | `Replica`, `Role`, `Job` |",
		"| `podFailurePolicy.rules[].action` | ", "0 replicas in total", "| `replicaStatuses.*.restarts` | integer",
	} {
		if !strings.Contains(string(want), text) {
			t.Errorf("the page should have %q", text)
		}
	}
}

// TestReferenceOfOtherFiles: what is no CRD of a job kind is an error.
func TestReferenceOfOtherFiles(t *testing.T) {
	t.Parallel()
	for reason, file := range map[string]string{"no file": "nosuch.yaml", "no CRD": "../../config/crd/kustomization.yaml"} {
		if err := run(filepath.Join(t.TempDir(), "api.md"), []string{file}); err == nil {
			t.Errorf("%s: no error", reason)
		}
	}
}
