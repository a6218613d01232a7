// Package charts renders the Helm chart and the kustomizations in config/, and tests them next to
// each other.
package charts

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// Where the chart and config/ are, seen from this folder: kustomize takes relative paths only.
const (
	folder    = "../jobkit"
	config    = "../../config"
	release   = "jobkit"
	namespace = "jobkit-system"
)

// Object is a manifest.
type Object = map[string]any

// Values are values of the chart, as a user writes them.
type Values = map[string]any

// Helm returns the chart's objects by "Kind/name", as "helm template" prints them.
func Helm(c *chart.Chart, v Values) (map[string]Object, error) { return Install(c, release, v) }

// Install returns the objects of a release with any name, as Helm does.
func Install(c *chart.Chart, name string, v Values) (map[string]Object, error) {
	options := chartutil.ReleaseOptions{Name: name, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, v, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, fmt.Errorf("the values are wrong: %w", err)
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, fmt.Errorf("cannot render the chart: %w", err)
	}
	out := map[string]Object{}
	for file, text := range files {
		if filepath.Ext(file) == ".yaml" {
			if err := split(text, out); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return out, nil
}

// Load loads the chart.
func Load() (*chart.Chart, error) {
	c, err := loader.Load(folder)
	if err != nil {
		return nil, fmt.Errorf("cannot load the chart: %w", err)
	}
	return c, nil
}

// CRDs returns the CRDs of the chart by "Kind/name".
func CRDs(c *chart.Chart) (map[string]Object, error) {
	out := map[string]Object{}
	for _, f := range c.CRDObjects() {
		if err := split(string(f.File.Data), out); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return out, nil
}

func split(text string, into map[string]Object) error {
	for doc := range strings.SplitSeq(text, "\n---") {
		var o Object
		if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil {
			return fmt.Errorf("not valid YAML: %w\n%s", err, doc)
		}
		if o != nil {
			into[key(o)] = o
		}
	}
	return nil
}

func key(o Object) string {
	metadata, _ := o["metadata"].(Object)
	return fmt.Sprintf("%s/%s", o["kind"], metadata["name"])
}

// Kustomize returns the objects of a kustomization by "Kind/name".
func Kustomize(path string) (map[string]Object, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		return nil, fmt.Errorf("cannot build %s: %w", path, err)
	}
	out := map[string]Object{}
	for _, r := range resources.Resources() {
		o, err := r.Map()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out[key(o)] = o
	}
	return out, nil
}

// Overlay returns the objects of config/default with components.
func Overlay(components ...string) (map[string]Object, error) {
	path, err := os.MkdirTemp(config, "test-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a kustomization: %w", err)
	}
	defer func() { _ = os.RemoveAll(path) }()
	text := "resources: [../default]\ncomponents: [../components/" + strings.Join(components, ", ../components/") + "]\n"
	if err := os.WriteFile(filepath.Join(path, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		return nil, fmt.Errorf("cannot make a kustomization: %w", err)
	}
	return Kustomize(path)
}
