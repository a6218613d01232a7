// Package charts tests the Helm chart and the kustomizations in config/, next to each other.
package charts

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	folder    = "../jobkit"
	release   = "jobkit"
	namespace = "jobkit-system"
)

// object is a manifest.
type object = map[string]any

// values are values of the chart, as a user writes them.
type values = map[string]any

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.Load(folder)
	if err != nil {
		t.Fatalf("cannot load the chart: %v", err)
	}
	return c
}

// render returns the chart's objects by "Kind/name", as "helm template" prints them.
func render(c *chart.Chart, v values) (map[string]object, error) {
	options := chartutil.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, v, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	out := map[string]object{}
	for name, text := range files {
		if filepath.Ext(name) == ".yaml" {
			if err := split(text, out); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return out, nil
}

func split(text string, into map[string]object) error {
	for doc := range strings.SplitSeq(text, "\n---") {
		var o object
		if err := yaml.UnmarshalStrict([]byte(doc), &o); err != nil {
			return fmt.Errorf("not valid YAML: %w\n%s", err, doc)
		}
		if o != nil {
			into[key(o)] = o
		}
	}
	return nil
}

func key(o object) string { return fmt.Sprintf("%s/%s", o["kind"], o["metadata"].(object)["name"]) }

// kustomize returns the objects of a kustomization by "Kind/name".
func kustomize(t *testing.T, path string) map[string]object {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), path)
	if err != nil {
		t.Fatalf("cannot build %s: %v", path, err)
	}
	out := map[string]object{}
	for _, r := range resources.Resources() {
		o, err := r.Map()
		if err != nil {
			t.Fatal(err)
		}
		out[key(o)] = o
	}
	return out
}

// plain returns an object as JSON has it, without the labels that only Helm sets.
func plain(t *testing.T, o object) object {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var out object
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	drop(out)
	return out
}

// visit calls f for each object inside of a value, the outer one first.
func visit(value any, f func(object)) {
	switch value := value.(type) {
	case object:
		f(value)
		for _, child := range value {
			visit(child, f)
		}
	case []any:
		for _, child := range value {
			visit(child, f)
		}
	}
}

func drop(value any) {
	visit(value, func(o object) {
		for _, label := range []string{"app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"} {
			delete(o, label)
		}
		if labels, isMap := o["labels"].(object); isMap && onlyName(labels) {
			delete(o, "labels") // config/ does not label roles
		}
	})
}

// onlyName drops Helm's labels, and reports whether at most the name is left.
func onlyName(labels object) bool {
	drop(labels)
	rest := maps.Clone(labels)
	delete(rest, "app.kubernetes.io/name")
	return len(rest) == 0
}

func TestLint(t *testing.T) {
	result := lint.AllWithKubeVersion(folder, nil, namespace, nil)
	for _, m := range result.Messages {
		if m.Severity > 1 { // an icon is recommended, which is none of our business
			t.Errorf("helm lint: %v", m)
		}
	}
}

// TestSameAsConfig compares what the chart installs with config/default, by default and with all components.
func TestSameAsConfig(t *testing.T) {
	t.Run("Default", func(t *testing.T) { sameAsConfig(t, nil, "../../config/default") })
	t.Run("Progress", func(t *testing.T) {
		sameAsConfig(t, values{"progress": values{"enabled": true}}, overlay(t, "progress"))
	})
	t.Run("Page", func(t *testing.T) {
		sameAsConfig(t, values{"page": values{"enabled": true}}, overlay(t, "page"))
	})
	t.Run("SecureMetrics", func(t *testing.T) {
		sameAsConfig(t, values{"metrics": values{"secure": true}}, overlay(t, "secure-metrics"))
	})
	t.Run("Components", func(t *testing.T) {
		sameAsConfig(t, values{
			"replicas": 2, "podDisruptionBudget": values{"enabled": true}, "networkPolicy": values{"enabled": true},
			"metrics":  values{"secure": true, "service": values{"enabled": true}, "serviceMonitor": values{"enabled": true}},
			"progress": values{"enabled": true}, "page": values{"enabled": true},
		}, overlay(t, "high-availability", "network-policy", "monitoring", "secure-metrics", "progress", "page"))
	})
}

// overlay is a kustomization of config/default with components.
func overlay(t *testing.T, components ...string) string {
	t.Helper()
	path, err := os.MkdirTemp("../../config", "test-") //nolint:usetesting // kustomize takes relative paths only
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(path) })
	text := "resources: [../default]\ncomponents: [../components/" + strings.Join(components, ", ../components/") + "]\n"
	if err := os.WriteFile(filepath.Join(path, "kustomization.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func sameAsConfig(t *testing.T, v values, overlay string) {
	t.Helper()
	got, err := render(load(t), v)
	if err != nil {
		t.Fatal(err)
	}
	want := kustomize(t, overlay)
	for k := range want {
		if strings.HasPrefix(k, "CustomResourceDefinition/") || strings.HasPrefix(k, "Namespace/") {
			delete(want, k) // Helm has them elsewhere: the folder crds, --create-namespace
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Fatalf("objects of config/default (-) and of the chart (+):\n%s", diff)
	}
	for k := range want {
		if diff := cmp.Diff(plain(t, want[k]), plain(t, got[k])); diff != "" {
			t.Errorf("%s in config/default (-) and in the chart (+):\n%s", k, diff)
		}
	}
}

// TestCRDs compares the CRDs of the chart with those of config/: they differ in descriptions alone.
func TestCRDs(t *testing.T) {
	want := kustomize(t, "../../config/crd")
	got := map[string]object{}
	for _, f := range load(t).CRDObjects() {
		if err := split(string(f.File.Data), got); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Fatalf("CRDs of config/crd (-) and of the chart (+):\n%s", diff)
	}
	for k := range want {
		w, g := plain(t, want[k]), plain(t, got[k])
		forget(w)
		forget(g)
		if diff := cmp.Diff(w, g); diff != "" {
			t.Errorf("%s in config/crd (-) and in the chart (+):\n%s", k, diff)
		}
	}
}

// forget removes descriptions of schemas.
func forget(value any) {
	visit(value, func(o object) {
		if _, isText := o["description"].(string); isText {
			delete(o, "description")
		}
	})
}

// TestReleaseFits: Helm keeps a release, chart included, in a Secret of at most 1 MiB, and "kubectl
// apply" keeps an object, as JSON, in an annotation of at most 256 KiB.
func TestReleaseFits(t *testing.T) {
	c := load(t)
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	size := zipped.Len() * 4 / 3 // base64
	t.Logf("the chart takes %d KiB in the Secret of a release", size>>10)
	if size > 768<<10 {
		t.Errorf("the chart takes %d KiB in the Secret of a release: too much for what else is in it", size>>10)
	}
	for _, f := range c.CRDObjects() {
		asJSON, err := yaml.YAMLToJSON(f.File.Data)
		if err != nil {
			t.Fatal(err)
		}
		if len(asJSON) > 256<<10 {
			t.Errorf("%s takes %d KiB as JSON, more than an annotation holds", f.Name, len(asJSON)>>10)
		}
	}
}

// at returns what stands at a path of keys and indexes of an object.
func at(o any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := o.(object)
			o = m[p]
		case int:
			l, _ := o.([]any)
			if p >= len(l) {
				return nil
			}
			o = l[p]
		}
	}
	return o
}

func TestValues(t *testing.T) {
	const deployment = "Deployment/jobkit-operator"
	container := func(path ...any) []any {
		return append([]any{"spec", "template", "spec", "containers", 0}, path...)
	}
	for name, tc := range map[string]struct {
		reason string
		values values
		object string
		path   []any
		want   any
	}{
		"Args": {
			reason: "each value of the operator is one flag", object: deployment, path: container("args"),
			values: values{"operator": values{
				"kinds": []any{"mpijob", "tfjob"}, "gangScheduler": "volcano", "workers": 8, "pytorchInitContainerImage": "a", "mpiKubectlDeliveryImage": "b",
				"extraArgs": []any{"--zap-devel"},
			}},
			want: []any{
				"--leader-elect", "--kinds=mpijob,tfjob", "--gang-scheduler-name=volcano", "--workers=8", "--pytorch-init-container-image=a",
				"--mpi-kubectl-delivery-image=b", "--zap-devel",
			},
		},
		"Digest": {
			reason: "a digest takes the place of the tag", object: deployment, path: container("image"),
			values: values{"image": values{"tag": "v1", "digest": "sha256:" + strings.Repeat("0", 64)}},
			want:   "jobkit/operator@sha256:" + strings.Repeat("0", 64),
		},
		"OneNamespace": {
			reason: "in one namespace the operator has rights there alone", object: "RoleBinding/jobkit-operator", path: []any{"metadata", "namespace"},
			values: values{"operator": values{"watchNamespace": "team-a"}}, want: "team-a",
		},
		"NoNamespace": {
			reason: "what has no namespace is read all the same", object: "ClusterRole/jobkit-operator-cluster", path: []any{"rules", 0, "resources"},
			values: values{"operator": values{"watchNamespace": "team-a"}}, want: []any{"nodes"},
		},
		"Budget": {
			reason: "one operator stays while nodes are drained", object: "PodDisruptionBudget/jobkit-operator", path: []any{"spec", "minAvailable"},
			values: values{"replicas": 2, "podDisruptionBudget": values{"enabled": true}}, want: 1.0,
		},
		"Network": {
			reason: "only named ports are let in", object: "NetworkPolicy/jobkit-operator", path: []any{"spec", "ingress", 0, "ports", 1, "port"},
			values: values{"networkPolicy": values{"enabled": true}}, want: "probes",
		},
		"ServiceAccount": {
			reason: "the roles are bound to the service account that is named", object: "ClusterRoleBinding/jobkit-operator", path: []any{"subjects", 0, "name"},
			values: values{"serviceAccount": values{"create": false, "name": "mine"}}, want: "mine",
		},
		"ProgressElsewhere": {
			reason: "the operator knows the names of its Service and its Secret", object: "Deployment/mine", path: container("args"),
			values: values{"fullnameOverride": "mine", "progress": values{"enabled": true}},
			want: []any{
				"--leader-elect", "--progress-bind-address=:8443", "--progress-url=https://mine-progress.jobkit-system.svc", "--progress-secret-name=mine-progress",
			},
		},
		"ProgressSecret": {
			reason: "the operator has rights on this one Secret", object: "Role/jobkit-operator-progress", path: []any{"rules", 0, "resourceNames", 0},
			values: values{"progress": values{"enabled": true}}, want: "jobkit-operator-progress",
		},
		"Page": {
			reason: "each value of the page is one flag", object: "Deployment/jobkit-page", path: container("args"),
			values: values{
				"operator": values{"watchNamespace": "team-a"},
				"page":     values{"enabled": true, "clusterName": "the big one", "kinds": []any{"SimJob.v1.sim.example.com"}, "tlsSecret": "mine"},
			},
			want: []any{"page", "--namespace=team-a", "--cluster-name=the big one", "--kinds=SimJob.v1.sim.example.com", "--cert-dir=/etc/jobkit/page"},
		},
		"PageElsewhere": {
			reason: "two releases do not meet", object: "Deployment/mine-page", path: []any{"spec", "template", "spec", "serviceAccountName"},
			values: values{"fullnameOverride": "mine", "page": values{"enabled": true}}, want: "mine-page",
		},
		"SecureElsewhere": {
			reason: "the rights go to the service account of the release", object: "ClusterRoleBinding/mine-secure-metrics", path: []any{"subjects", 0, "name"},
			values: values{"fullnameOverride": "mine", "metrics": values{"secure": true}}, want: "mine",
		},
		"Monitor": {
			reason: "the ServiceMonitor selects the Service", object: "ServiceMonitor/jobkit-operator", path: []any{"spec", "endpoints", 0, "port"},
			values: values{"metrics": values{"service": values{"enabled": true}, "serviceMonitor": values{"enabled": true}}}, want: "metrics",
		},
		"Alerts": {
			reason: "the alerts are those of config/monitoring", object: "PrometheusRule/jobkit-operator", path: []any{"spec", "groups", 0, "name"},
			values: values{"metrics": values{"prometheusRule": values{"enabled": true}}}, want: "jobkit",
		},
		"Dashboards": {
			reason: "Grafana's sidecar finds dashboards by their label", object: "ConfigMap/jobkit-operator-dashboard-jobs", path: []any{"metadata", "labels", "grafana_dashboard"},
			values: values{"metrics": values{"dashboards": values{"enabled": true}}}, want: "1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := render(load(t), tc.values)
			if err != nil {
				t.Fatal(err)
			}
			o := objects[tc.object]
			if o == nil {
				t.Fatalf("%s: %s is not among %v", tc.reason, tc.object, slices.Sorted(maps.Keys(objects)))
			}
			if diff := cmp.Diff(tc.want, at(o, tc.path...)); diff != "" {
				t.Errorf("%s: %v (-want +got):\n%s", tc.reason, tc.path, diff)
			}
		})
	}
}

// TestNamespaced: in one namespace the operator has the same rights, in two roles.
func TestNamespaced(t *testing.T) {
	objects, err := render(load(t), values{"operator": values{"watchNamespace": "team-a"}})
	if err != nil {
		t.Fatal(err)
	}
	all, err := render(load(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	rules := func(o object) []string {
		var out []string
		for _, r := range o["rules"].([]any) {
			text, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(text))
		}
		return out
	}
	got := append(rules(objects["ClusterRole/jobkit-operator"]), rules(objects["ClusterRole/jobkit-operator-cluster"])...)
	want := rules(all["ClusterRole/jobkit-operator"])
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules in all namespaces (-) and in one (+):\n%s", diff)
	}
	if objects["ClusterRoleBinding/jobkit-operator"] != nil {
		t.Error("the rights are given in all namespaces")
	}
}

func TestBadValues(t *testing.T) {
	for name, tc := range map[string]struct {
		values values
		want   string
	}{
		"UnknownKind":    {values{"operator": values{"kinds": []any{"sparkjob"}}}, "operator.kinds.0"},
		"UnknownValue":   {values{"replica": 2}, "replica"},
		"Replicas":       {values{"replicas": -1}, "replicas"},
		"PageKinds":      {values{"page": values{"kinds": []any{"simjobs"}}}, "page.kinds.0"},
		"Digest":         {values{"image": values{"digest": "abc"}}, "image.digest"},
		"ServiceAccount": {values{"serviceAccount": values{"create": false}}, "serviceAccount.name is empty"},
		"Monitor":        {values{"metrics": values{"serviceMonitor": values{"enabled": true}}}, "set metrics.service.enabled=true"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := render(load(t), tc.values)
			if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), "/", "."), tc.want) {
				t.Errorf("the error %v does not name %q", err, tc.want)
			}
		})
	}
}

// TestValuesAreDocumented: each value has a comment, or stands in a group that says what it is.
func TestValuesAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(folder, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var schema object
	raw, err := os.ReadFile(filepath.Join(folder, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &schema); err != nil {
		t.Fatal(err)
	}
	var v object
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	properties := schema["properties"].(object)
	for name := range v {
		if properties[name] == nil {
			t.Errorf("value %s is not in values.schema.json", name)
		}
	}
	for name := range properties {
		if _, found := v[name]; !found && name != "global" {
			t.Errorf("value %s of values.schema.json is not in values.yaml", name)
		}
	}
}
