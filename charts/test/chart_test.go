package charts

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/lint"
	"sigs.k8s.io/yaml"
)

type (
	object = Object
	values = Values
)

func load(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// must fails the test if something cannot be rendered.
func must(t *testing.T) func(map[string]object, error) map[string]object {
	t.Helper()
	return func(o map[string]object, err error) map[string]object {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
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
	t.Run("Default", func(t *testing.T) { sameAsConfig(t, nil, must(t)(Kustomize(config+"/default"))) })
	t.Run("Progress", func(t *testing.T) {
		sameAsConfig(t, values{"progress": values{"enabled": true}}, must(t)(Overlay("progress")))
	})
	t.Run("Page", func(t *testing.T) {
		sameAsConfig(t, values{"page": values{"enabled": true}}, must(t)(Overlay("page")))
	})
	t.Run("SecureMetrics", func(t *testing.T) {
		sameAsConfig(t, values{"metrics": values{"secure": true}}, must(t)(Overlay("secure-metrics")))
	})
	t.Run("Namespace", func(t *testing.T) {
		want := must(t)(Overlay("namespace-scoped"))
		// The role of kustomize has all rules; TestNamespaced compares those of the chart, which are in
		// two roles. Of the role that is bound in a namespace, what has no namespace has no effect.
		role := must(t)(Helm(load(t), values{"operator": values{"watchNamespace": "team-a"}}))["ClusterRole/jobkit-operator"]
		want["ClusterRole/jobkit-operator"] = role
		// There is one operator of kustomize in a namespace, so no other one waits for its lease.
		sameAsConfig(t, values{"operator": values{"watchNamespace": "team-a", "leaderElectionID": v1Lease}}, want)
	})
	t.Run("Components", func(t *testing.T) {
		sameAsConfig(t, values{
			"replicas": 2, "podDisruptionBudget": values{"enabled": true}, "networkPolicy": values{"enabled": true},
			"metrics":  values{"secure": true, "service": values{"enabled": true}, "serviceMonitor": values{"enabled": true}},
			"progress": values{"enabled": true}, "page": values{"enabled": true},
		}, must(t)(Overlay("high-availability", "network-policy", "monitoring", "secure-metrics", "progress", "page")))
	})
}

func sameAsConfig(t *testing.T, v values, want map[string]object) {
	t.Helper()
	got, err := Helm(load(t), v)
	if err != nil {
		t.Fatal(err)
	}
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
	want := must(t)(Kustomize(config + "/crd"))
	got := must(t)(CRDs(load(t)))
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
				"kinds": []any{"mpijob", "tfjob"}, "leaderElectionID": "mine", "gangScheduler": "volcano", "workers": 8, "pytorchInitContainerImage": "a", "mpiKubectlDeliveryImage": "b",
				"extraArgs": []any{"--zap-devel"},
			}},
			want: []any{
				"--leader-elect", "--kinds=mpijob,tfjob", "--leader-election-id=mine", "--gang-scheduler-name=volcano", "--workers=8", "--pytorch-init-container-image=a",
				"--mpi-kubectl-delivery-image=b", "--zap-devel",
			},
		},
		"Digest": {
			reason: "a digest takes the place of the tag", object: deployment, path: container("image"),
			values: values{"image": values{"tag": "v1", "digest": "sha256:" + strings.Repeat("0", 64)}},
			want:   "jobkit/operator@sha256:" + strings.Repeat("0", 64),
		},
		"Priority": {
			reason: "a name of digits is a text", object: deployment, path: []any{"spec", "template", "spec", "priorityClassName"},
			values: values{"priorityClassName": "1000"}, want: "1000",
		},
		"Domain": {
			reason: "and so is the value of a variable", object: deployment, path: container("env", 1, "value"),
			values: values{"operator": values{"clusterDomain": "1e3"}}, want: "1e3",
		},
		"Certificate": {
			reason: "and the name of a Secret", object: "Deployment/jobkit-page",
			path:   []any{"spec", "template", "spec", "volumes", 1, "secret", "secretName"},
			values: values{"page": values{"enabled": true, "tlsSecret": "1000"}}, want: "1000",
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
			objects, err := Helm(load(t), tc.values)
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

// TestRightsOfKinds: the operator has no rights that only kinds need which it does not run.
func TestRightsOfKinds(t *testing.T) {
	resources := func(kinds ...any) []string {
		objects, err := Helm(load(t), values{"operator": values{"kinds": kinds}})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, r := range objects["ClusterRole/jobkit-operator"]["rules"].([]any) {
			for _, name := range r.(object)["resources"].([]any) {
				out = append(out, name.(string))
			}
		}
		return out
	}
	all := resources()
	want := slices.DeleteFunc(slices.Clone(all), func(r string) bool {
		job, _, _ := strings.Cut(r, "/")
		return strings.HasSuffix(job, "jobs") && job != "tfjobs" ||
			slices.Contains([]string{"configmaps", "serviceaccounts", "roles", "rolebindings", "pods/exec"}, r)
	})
	if diff := cmp.Diff(want, resources("tfjob")); diff != "" || len(want) == len(all) {
		t.Errorf("TFJobs alone (-want +got):\n%s", diff)
	}
	want = slices.DeleteFunc(slices.Clone(all), func(r string) bool {
		job, _, _ := strings.Cut(r, "/")
		return strings.HasSuffix(job, "jobs") && job != "tfjobs" && job != "mpijobs"
	})
	if diff := cmp.Diff(want, resources("tfjob", "mpijob")); diff != "" {
		t.Errorf("TFJobs and MPIJobs (-want +got):\n%s", diff)
	}
}

// TestNamespaced: in one namespace the operator has the same rights, in two roles.
func TestNamespaced(t *testing.T) {
	objects, err := Helm(load(t), values{"operator": values{"watchNamespace": "team-a"}})
	if err != nil {
		t.Fatal(err)
	}
	all, err := Helm(load(t), nil)
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
		"Lease":          {values{"operator": values{"leaderElectionID": "My_lease"}}, "operator.leaderElectionID"},
		"LeaseAsFlag":    {values{"operator": values{"extraArgs": []any{"--leader-election-id=mine"}}}, "set operator.leaderElectionID instead"},
		"KindsAsFlag":    {values{"operator": values{"extraArgs": []any{"-v", "-kinds=mpijob"}}}, "set operator.kinds instead"},
		"ServiceAccount": {values{"serviceAccount": values{"create": false}}, "serviceAccount.name is empty"},
		"Monitor":        {values{"metrics": values{"serviceMonitor": values{"enabled": true}}}, "set metrics.service.enabled=true"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Helm(load(t), tc.values)
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
