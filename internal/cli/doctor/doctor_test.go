package doctor_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/internal/cli/doctor"
	"github.com/jobkit/jobkit/internal/cli/install"
)

func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

// read reads YAML documents.
func read(t *testing.T, text string) []runtime.Object {
	t.Helper()
	var out []runtime.Object
	for part := range strings.SplitSeq(text, "\n---\n") {
		u := &unstructured.Unstructured{}
		data, err := yaml.YAMLToJSON([]byte(part))
		if err == nil {
			err = u.UnmarshalJSON(data)
		}
		if err != nil {
			t.Fatal(err, part)
		}
		out = append(out, u)
	}
	return out
}

// healthy is a cluster in which all is well, CRDs apart.
const healthy = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: jobkit-operator, namespace: jobkit-system}
spec: {replicas: 1, template: {metadata: {labels: {app.kubernetes.io/name: jobkit-operator}}, spec: {serviceAccountName: jobkit-operator, containers: [{name: operator}]}}}
status: {availableReplicas: 1}
---
{apiVersion: v1, kind: Service, metadata: {name: kube-dns, namespace: kube-system}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: kube-dns-1, namespace: kube-system, labels: {kubernetes.io/service-name: kube-dns}}
endpoints: [{conditions: {ready: true}}]
---
{apiVersion: v1, kind: ResourceQuota, metadata: {name: team, namespace: ns}, status: {hard: {pods: "10", requests.cpu: "0"}, used: {pods: "9", requests.cpu: "0"}}}
---
apiVersion: v1
kind: Pod
metadata: {name: a-worker-0, namespace: ns, creationTimestamp: "2026-01-02T11:00:00Z", labels: {training.kubeflow.org/job-name: a}}
spec: {schedulerName: default-scheduler}
status: {phase: Pending, conditions: [{type: PodScheduled, status: "False", reason: Unschedulable}]}`

// tfjobs is one CRD, which is as good as all: they are large.
var tfjobs = sync.OnceValues(func() ([]install.Definition, error) {
	all, err := install.Definitions()
	return slices.DeleteFunc(all, func(d install.Definition) bool { return d.Object.GetName() != "tfjobs.kubeflow.org" }), err
})

func cluster(t *testing.T, text string, allowed func(verb, resource, namespace string) bool) (*fake.FakeDynamicClient, *doctor.Cluster) {
	t.Helper()
	definitions, err := tfjobs()
	if err != nil {
		t.Fatal(err)
	}
	objects := read(t, text)
	for _, d := range definitions {
		objects = append(objects, d.Object.DeepCopy())
	}
	client, d := clusterOf(t, objects, allowed)
	d.Definitions = definitions
	return client, d
}

// clusterOf is a cluster that has objects.
func clusterOf(t *testing.T, objects []runtime.Object, allowed func(verb, resource, namespace string) bool) (*fake.FakeDynamicClient, *doctor.Cluster) {
	t.Helper()
	kinds := map[schema.GroupVersionResource]string{
		{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}:               "CustomResourceDefinitionList",
		{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingwebhookconfigurations"}: "ValidatingWebhookConfigurationList",
		{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "mutatingwebhookconfigurations"}:   "MutatingWebhookConfigurationList",
		{Group: "apps", Version: "v1", Resource: "deployments"}:                                             "DeploymentList",
		{Group: "discovery.k8s.io", Version: "v1", Resource: "endpointslices"}:                              "EndpointSliceList",
		{Version: "v1", Resource: "services"}:                                                               "ServiceList",
		{Version: "v1", Resource: "pods"}:                                                                   "PodList",
		{Version: "v1", Resource: "resourcequotas"}:                                                         "ResourceQuotaList",
	}
	client := fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds, objects...)
	client.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		create, ok := a.(clienttesting.CreateAction)
		if !ok {
			return false, nil, nil
		}
		review, ok := create.GetObject().DeepCopyObject().(*unstructured.Unstructured)
		if !ok {
			return false, nil, nil
		}
		verb, _, _ := unstructured.NestedString(review.Object, "spec", "resourceAttributes", "verb")
		resource, _, _ := unstructured.NestedString(review.Object, "spec", "resourceAttributes", "resource")
		namespace, _, _ := unstructured.NestedString(review.Object, "spec", "resourceAttributes", "namespace")
		user, _, _ := unstructured.NestedString(review.Object, "spec", "user")
		yes := user == "system:serviceaccount:jobkit-system:jobkit-operator" && (allowed == nil || allowed(verb, resource, namespace))
		return true, review, unstructured.SetNestedField(review.Object, yes, "status", "allowed")
	})
	return client, &doctor.Cluster{Client: client, Release: "v1.31.0", Now: noon()}
}

// inTeamA has the operator's rights in the namespace team-a alone, and to its lease.
func inTeamA(_, resource, namespace string) bool {
	return namespace == "team-a" || resource == "leases" && namespace == "jobkit-system"
}

// inTeams has those rights in team-b, too.
func inTeams(verb, resource, namespace string) bool {
	return namespace == "team-b" || inTeamA(verb, resource, namespace)
}

// second is another deployment of the operator.
func second(container string) string {
	return `
apiVersion: apps/v1
kind: Deployment
metadata: {name: second, namespace: jobkit-system}
spec: {template: {metadata: {labels: {app.kubernetes.io/name: jobkit-operator}}, spec: {serviceAccountName: jobkit-operator, containers: [` + container + `]}}}
status: {availableReplicas: 1}`
}

// twice is what is found if the second one runs jobs of the first.
func twice() []doctor.Finding {
	return []doctor.Finding{{
		Level: doctor.Problem, Check: "operator", Fix: "keep one, or give each its own --namespace or --kinds",
		Message: "this operator runs more than once for the same jobs: jobkit-system/jobkit-operator, jobkit-system/second; each creates and deletes pods of these",
	}}
}

func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason string
		// more is added to a healthy cluster, of which old is replaced by new; crd changes TFJob's
		// CRD, and gone deletes it.
		more, old, new string
		crd            func(*unstructured.Unstructured)
		gone           bool
		release        string
		allowed        func(verb, resource, namespace string) bool
		namespace      string
		want           []doctor.Finding
	}{
		{reason: "a cluster in which all is well"},
		{
			reason: "a Kubernetes that is too old", release: "v1.30.4", want: []doctor.Finding{{
				Level: doctor.Warning, Check: "Kubernetes", Fix: "upgrade the cluster; see docs/operators/tested-with.md",
				Message: "Kubernetes v1.30.4 is older than v1.31, the oldest that is supported: its API server may refuse the CRDs, " +
					"and drops fields that it does not know, those of pods too",
			}},
		},
		{
			reason: "a kind is missing", gone: true, want: []doctor.Finding{{
				Level: doctor.Problem, Check: "CRDs", Fix: "jobkit install-crds",
				Message: "missing: tfjobs.kubeflow.org; jobs of these kinds cannot be created",
			}},
		},
		{
			reason: "an older CRD drops what it does not know",
			crd: func(u *unstructured.Unstructured) {
				versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
				version, _ := versions[0].(map[string]any)
				unstructured.RemoveNestedField(version, "schema", "openAPIV3Schema", "properties", "status", "properties", "restarts")
				_ = unstructured.SetNestedSlice(u.Object, versions, "spec", "versions")
			},
			want: []doctor.Finding{{
				Level: doctor.Problem, Check: "CRDs", Fix: "jobkit install-crds",
				Message: "tfjobs.kubeflow.org is older than this version, and lacks status.restarts: the operator runs none of its jobs",
			}},
		},
		{
			reason: "v1 left its webhooks behind", more: `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: v1}
webhooks:
- {clientConfig: {service: {namespace: kubeflow, name: training-operator}}, rules: [{apiGroups: [kubeflow.org], resources: [tfjobs]}]}
- {clientConfig: {service: {namespace: kubeflow, name: training-operator}}, rules: [{apiGroups: [kubeflow.org], resources: [jaxjobs]}]}`,
			want: []doctor.Finding{{
				Level: doctor.Problem, Check: "webhooks", Fix: "start what answers it, or remove it: kubectl delete validatingwebhookconfiguration v1",
				Message: "v1 asks the service kubeflow/training-operator about tfjobs, which does not exist: the API server refuses them",
			}},
		},
		{
			reason: "webhooks that may fail, or concern nothing of jobs, do no harm", more: `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: mesh}
webhooks:
- {failurePolicy: Ignore, clientConfig: {service: {namespace: mesh, name: mesh}}, rules: [{apiGroups: [""], resources: [pods]}]}
- {clientConfig: {service: {namespace: mesh, name: mesh}}, rules: [{apiGroups: [apps], resources: [deployments]}]}`,
		},
		{
			reason: "a webhook for pods keeps them from being created", more: `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: mesh}
webhooks: [{failurePolicy: Fail, clientConfig: {service: {namespace: kube-system, name: gone}}, rules: [{apiGroups: [""], resources: [pods]}]}]`,
			want: []doctor.Finding{{
				Level: doctor.Problem, Check: "webhooks", Fix: "start what answers it, or remove it: kubectl delete mutatingwebhookconfiguration mesh",
				Message: "mesh asks the service kube-system/gone about pods, which does not exist: the API server refuses them",
			}},
		},
		{
			reason: "no pod of the operator is ready", old: "availableReplicas: 1", new: "availableReplicas: 0", want: []doctor.Finding{{
				Level: doctor.Problem, Check: "operator", Fix: "kubectl -n jobkit-system describe pods -l app.kubernetes.io/name=jobkit-operator",
				Message: "the operator jobkit-system/jobkit-operator has no pod that is ready: no job makes progress",
			}},
		},
		{
			reason: "two operators", more: `
apiVersion: apps/v1
kind: Deployment
metadata: {name: training-operator, namespace: kubeflow}
spec: {template: {metadata: {labels: {control-plane: kubeflow-training-operator}}}}`,
			want: []doctor.Finding{{
				Level: doctor.Problem, Check: "operator", Fix: "kubectl -n kubeflow scale deployment training-operator --replicas=0; see also: jobkit migrate",
				Message: "training-operator v1 runs beside this operator (kubeflow/training-operator): both create and delete the pods of the same jobs",
			}},
		},
		{
			reason: "v1 that is stopped is none", more: `
apiVersion: apps/v1
kind: Deployment
metadata: {name: training-operator, namespace: kubeflow}
spec: {replicas: 0, template: {metadata: {labels: {control-plane: kubeflow-training-operator}}}}`,
		},
		{
			reason: "roles of an older version lack volume claims", allowed: func(verb, resource, _ string) bool { return resource != "persistentvolumeclaims" || verb == "list" },
			want: []doctor.Finding{{
				Level: doctor.Problem, Check: "permissions", Fix: "apply the roles of this version: config/rbac/operator, or the chart",
				Message: "the service account jobkit-operator of jobkit-system/jobkit-operator may not create persistentvolumeclaims, delete persistentvolumeclaims, watch persistentvolumeclaims",
			}},
		},
		{
			reason: "an operator of one namespace has rights in that one", old: "{name: operator}",
			new: "{name: operator, args: [--namespace=team-a, --leader-election-namespace=jobkit-system]}", allowed: inTeamA,
		},
		{
			reason: "it does not run the jobs of others", old: "{name: operator}", new: "{name: operator, args: [--namespace=team-a]}", allowed: inTeamA, namespace: "ns",
			want: []doctor.Finding{{
				Level: doctor.Warning, Check: "permissions", Fix: "install one for this namespace: docs/operators/install.md",
				Message: "no operator that was found runs the jobs of namespace ns: jobkit-system/jobkit-operator runs those of team-a",
			}},
		},
		{
			reason: "where the lease is does not say whose jobs are run", old: "{name: operator}", new: "{name: operator, args: [--leader-election-namespace=jobkit-system]}",
			more: second("{name: operator, args: [--leader-election-namespace=other]}"), want: twice(),
		},
		{
			reason: "each has its namespace, one of them in words of its own", old: "{name: operator}", new: "{name: operator, args: [--namespace, team-a]}", allowed: inTeams,
			more: second("{name: operator, command: [/operator, --namespace=team-b]}"),
		},
		{
			reason: "each has its kinds, by flags of training-operator v1; permissions are those for these kinds", old: "{name: operator}", new: "{name: operator, args: [--enable-scheme, tfjob]}",
			more:    second("{name: operator, args: [--kinds=jaxjob]}"),
			allowed: func(_, resource, _ string) bool { return resource != "pytorchjobs" },
		},
		{
			reason: "each has a namespace, which is the same", old: "{name: operator}", new: "{name: operator, args: [--namespace=team-a]}", allowed: inTeams,
			more: second(`{name: operator, args: ["--namespace=$(WHERE)"], env: [{name: TEAM, value: team}, {name: WHERE, value: $(TEAM)-a}]}`),
			want: twice(),
		},
		{
			reason: "each has kinds, and one of them is the same", old: "{name: operator}", new: "{name: operator, args: [--kinds=tfjob]}",
			more: second("{name: operator, args: ['--kinds=jaxjob,tfjob']}"), want: twice(),
		},
		{
			reason: "one that is scaled to nothing runs no jobs of another", old: "replicas: 1", new: "replicas: 0", more: second("{name: operator}"),
		},
		{
			reason: "an operator of one namespace, by the environment", old: "{name: operator}",
			new:     "{name: operator, env: [{name: KUBEFLOW_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}]}",
			allowed: func(_, _, namespace string) bool { return namespace == "jobkit-system" },
		},
		{
			reason: "what its variables are is elsewhere", old: "{name: operator}",
			new: "{name: operator, env: [{name: KUBEFLOW_NAMESPACE, valueFrom: {configMapKeyRef: {name: a, key: b}}}]}", want: []doctor.Finding{
				{
					Level: doctor.Unknown, Check: "operator",
					Message: "cannot find out which jobs the operator jobkit-system/jobkit-operator runs: the value of its variable KUBEFLOW_NAMESPACE is not in the deployment",
				},
				{Level: doctor.Unknown, Check: "permissions", Message: "not checked: it is not known which jobs the operator jobkit-system/jobkit-operator runs"},
			},
		},
		{
			reason: "during a migration, v1 runs kinds of its own", old: "{name: operator}", new: "{name: operator, args: [--kinds=tfjob]}", more: `
apiVersion: apps/v1
kind: Deployment
metadata: {name: training-operator, namespace: kubeflow}
spec:
  template:
    metadata: {labels: {control-plane: kubeflow-training-operator}}
    spec: {containers: [{name: training-operator, command: [/manager], args: [--enable-scheme=jaxjob, --enable-scheme=mpijob]}]}`,
		},
		{
			reason: "a kind that the operator does not run is missing on purpose", old: "{name: operator}", new: "{name: operator, args: [--kinds=jaxjob]}", gone: true,
		},
		{
			reason: "a quota that is used up", old: `used: {pods: "9"`, new: `used: {pods: "10"`, want: []doctor.Finding{{
				Level: doctor.Warning, Check: "quota", Fix: "raise it, or end what uses it: jobkit top -n ns",
				Message: "the quota ns/team is used up: pods 10 of 10; jobs that need more wait",
			}},
		},
		{
			reason: "a scheduler that does not run", old: "{schedulerName: default-scheduler}\nstatus: {phase: Pending, conditions: [{type: PodScheduled, status: \"False\", reason: Unschedulable}]}",
			new: "{schedulerName: volcano}\nstatus: {phase: Pending}", want: []doctor.Finding{{
				Level: doctor.Problem, Check: "scheduler", Fix: "start that scheduler, or change schedulerName in the pod templates",
				Message: `no scheduler has said anything about 1 pods of jobs for a minute, such as ns/a-worker-0: their scheduler "volcano" does not run`,
			}},
		},
		{
			reason: "a gang scheduler that is not installed", old: "{name: operator}", new: "{name: operator, args: [--gang-scheduler-name=volcano]}", want: []doctor.Finding{{
				Level: doctor.Problem, Check: "scheduler", Fix: "install volcano, or remove --gang-scheduler-name",
				Message: "the operator jobkit-system/jobkit-operator is to use volcano, but the cluster has no podgroups.scheduling.volcano.sh: it does not start",
			}},
		},
		{
			reason: "no DNS", old: "ready: true", new: "ready: false", want: []doctor.Finding{{
				Level: doctor.Warning, Check: "DNS", Fix: "kubectl -n kube-system get pods -l k8s-app=kube-dns",
				Message: "the service kube-system/kube-dns has no pod that is ready: unless DNS is served otherwise, replicas do not find each other",
			}},
		},
	} {
		text := healthy
		if c.old != "" {
			text = strings.Replace(text, c.old, c.new, 1)
			if text == healthy {
				t.Fatalf("%s: there is no %q", c.reason, c.old)
			}
		}
		if c.more != "" {
			text += "\n---\n" + c.more
		}
		client, d := cluster(t, text, c.allowed)
		d.Namespace = c.namespace
		crds := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
		if c.release != "" {
			d.Release = c.release
		}
		if c.crd != nil || c.gone {
			o, err := client.Tracker().Get(crds, "", "tfjobs.kubeflow.org")
			u, ok := o.(*unstructured.Unstructured)
			if err != nil || !ok {
				t.Fatal(err)
			}
			if c.gone {
				err = client.Tracker().Delete(crds, "", u.GetName())
			} else {
				u = u.DeepCopy()
				c.crd(u)
				err = client.Tracker().Update(crds, u, "")
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		var got []doctor.Finding
		for _, f := range doctor.Run(t.Context(), d) {
			if f.Level != doctor.OK {
				got = append(got, f)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.reason, diff)
		}
	}
}

// TestInstalled has a cluster that was installed as documented: with kustomize. The chart has the same CRDs, which
// TestDefinitions of package install compares.
func TestInstalled(t *testing.T) {
	t.Parallel()
	text := func(name string) string {
		data, err := os.ReadFile(filepath.Join("../../../config", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	var installed struct{ Resources []string }
	if err := yaml.Unmarshal([]byte(text("crd/kustomization.yaml")), &installed); err != nil {
		t.Fatal(err)
	}
	definitions, err := install.Definitions()
	if err != nil || len(definitions) != len(installed.Resources) {
		t.Fatalf("%d definitions, %v; config/crd installs %d", len(definitions), err, len(installed.Resources))
	}
	_, healthyRest, _ := strings.Cut(healthy, "\n---\n")
	objects := []string{healthyRest, text("manager/deployment.yaml") + "\nstatus: {availableReplicas: 1}"}
	for _, name := range installed.Resources {
		objects = append(objects, strings.TrimPrefix(text("crd/"+name), "---\n"))
	}
	_, d := clusterOf(t, read(t, strings.Join(objects, "\n---\n")), nil)
	d.Definitions = definitions
	for _, f := range doctor.Run(t.Context(), d) {
		if f.Level != doctor.OK {
			t.Errorf("all is well after an install: %+v", f)
		}
	}
}

// TestForbidden has a user who may read nothing: what is not known is not called good.
func TestForbidden(t *testing.T) {
	t.Parallel()
	client, d := cluster(t, healthy, nil)
	client.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("forbidden") })
	d.Release = ""
	for _, f := range doctor.Run(t.Context(), d) {
		if f.Level != doctor.Unknown {
			t.Errorf("it cannot know that: %+v", f)
		}
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	got := "\n" + strings.Join(doctor.Show([]doctor.Finding{
		{Level: doctor.OK, Check: "CRDs", Message: "fine"},
		{Level: doctor.Problem, Check: "webhooks", Message: strings.Repeat("one two ", 12), Fix: "kubectl\x1b delete it"},
	}, false), "\n") + "\n"
	want := `
ok       CRDs         fine
problem  webhooks     one two one two one two one two one two one two one two one two one two one
                      two one two one two
                      fix: kubectl delete it
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
