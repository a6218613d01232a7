// Command chart-files puts into the Helm chart what it shares with config/: the CRDs, the
// rules of the operator's roles, the alerts and the dashboards.
//
// The CRDs of the chart are short: the descriptions of pod templates are left out, which are
// those that "kubectl explain pod.spec" prints. With them a release would not fit into the
// Secret in which Helm keeps it.
//
//	go run ./hack/chart-files config charts/jobkit
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// podTemplate is the name of the property of a schema whose descriptions are those of Kubernetes.
const podTemplate = "template"

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: chart-files CONFIG CHART")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "chart-files:", err)
		os.Exit(1)
	}
}

func run(config, chart string) error {
	crds, err := filepath.Glob(filepath.Join(config, "crd", "kubeflow.org_*.yaml"))
	if err != nil {
		return fmt.Errorf("cannot list the CRDs: %w", err)
	}
	var errs []error
	for _, path := range crds {
		if !strings.Contains(path, "testjobs") { // an example, not a product
			errs = append(errs, convert(path, filepath.Join(chart, "crds"), short))
		}
	}
	for _, name := range []string{"role.yaml", "leader_election_role.yaml"} {
		errs = append(errs, convert(filepath.Join(config, "rbac", "operator", name), filepath.Join(chart, "files"), unchanged))
	}
	errs = append(errs, convert(filepath.Join(config, "monitoring", "alerts.yaml"), filepath.Join(chart, "files"), unchanged))
	dashboards, err := filepath.Glob(filepath.Join(config, "monitoring", "dashboards", "*.json"))
	if err != nil {
		return fmt.Errorf("cannot list the dashboards: %w", err)
	}
	for _, path := range dashboards {
		errs = append(errs, convert(path, filepath.Join(chart, "files", "dashboards"), unchanged))
	}
	return errors.Join(errs...)
}

// convert writes what change makes of a file into a folder, under the same name.
func convert(path, folder string, change func([]byte) ([]byte, error)) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	if text, err = change(text); err != nil {
		return fmt.Errorf("cannot convert %s: %w", path, err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("cannot create %s: %w", folder, err)
	}
	if err := os.WriteFile(filepath.Join(folder, filepath.Base(path)), text, 0o644); err != nil { //nolint:gosec // a file of the repository
		return fmt.Errorf("cannot write to %s: %w", folder, err)
	}
	return nil
}

func unchanged(text []byte) ([]byte, error) { return text, nil }

// short returns a CRD without the descriptions of its pod templates.
func short(text []byte) ([]byte, error) {
	var crd map[string]any
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return nil, fmt.Errorf("not valid YAML: %w", err)
	}
	strip(crd, false)
	out, err := yaml.Marshal(crd)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the CRD: %w", err)
	}
	return out, nil
}

// strip removes the descriptions of schemas inside of a pod template. A property named
// "description" is not a description: it is a schema, not a text.
func strip(value any, inside bool) {
	switch value := value.(type) {
	case map[string]any:
		if _, isText := value["description"].(string); isText && inside {
			delete(value, "description")
		}
		for key, child := range value {
			strip(child, inside || key == podTemplate)
		}
	case []any:
		for _, child := range value {
			strip(child, inside)
		}
	}
}
