// Package operator tests what is needed to run the operator on a cluster: its
// manifests, its permissions, and the program itself.
package operator

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// manifests are the documents of a kustomization and of those that it names, in order.
func manifests(folder string) ([][]byte, error) {
	text, err := os.ReadFile(filepath.Join(folder, "kustomization.yaml"))
	if err != nil {
		return nil, err
	}
	var k struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Resources  []string `json:"resources"`
		Patches    []any    `json:"patches"`
	}
	if err := yaml.UnmarshalStrict(text, &k); err != nil {
		return nil, err
	}
	if len(k.Patches) > 0 && k.Kind != "Component" {
		return nil, fmt.Errorf("%s has patches, which are not applied here: only those of components may be left out", folder)
	}
	var all [][]byte
	for _, resource := range k.Resources {
		path := filepath.Join(folder, resource)
		if info, err := os.Stat(path); err != nil {
			return nil, err
		} else if info.IsDir() {
			below, err := manifests(path)
			if err != nil {
				return nil, err
			}
			all = append(all, below...)
			continue
		}
		file, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(file)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			if len(bytes.Trim(document, "- \n")) > 0 {
				all = append(all, document)
			}
		}
	}
	return all, nil
}

// objects are what config/default holds beside CRDs, decoded strictly.
func objects(t *testing.T) []client.Object {
	t.Helper()
	documents, err := manifests("../../config/default")
	if err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var all []client.Object
	for _, d := range documents {
		if bytes.Contains(d, []byte("\nkind: CustomResourceDefinition\n")) {
			continue
		}
		o, _, err := decoder.Decode(d, nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, d)
		}
		all = append(all, o.(client.Object))
	}
	return all
}

// TestManifests checks that the manifests fit together.
func TestManifests(t *testing.T) {
	var deployment *appsv1.Deployment
	var account *corev1.ServiceAccount
	var subjects []rbacv1.Subject
	roles := map[string]bool{}
	var refs []string
	for _, o := range objects(t) {
		switch o := o.(type) {
		case *appsv1.Deployment:
			deployment = o
		case *corev1.ServiceAccount:
			account = o
		case *rbacv1.ClusterRole:
			roles["ClusterRole "+o.Name] = true
		case *rbacv1.Role:
			roles["Role "+o.Name] = true
		case *rbacv1.ClusterRoleBinding:
			subjects, refs = append(subjects, o.Subjects...), append(refs, o.RoleRef.Kind+" "+o.RoleRef.Name)
		case *rbacv1.RoleBinding:
			subjects, refs = append(subjects, o.Subjects...), append(refs, o.RoleRef.Kind+" "+o.RoleRef.Name)
		}
	}
	if deployment == nil || account == nil || len(subjects) != 2 {
		t.Fatal("config/default lacks a deployment, a service account, or a binding")
	}
	for _, s := range subjects {
		if s.Name != account.Name || s.Namespace != account.Namespace {
			t.Errorf("a binding is for %s/%s, the service account is %s/%s", s.Namespace, s.Name, account.Namespace, account.Name)
		}
	}
	for _, r := range refs {
		if !roles[r] {
			t.Errorf("a binding refers to %s, which is not there", r)
		}
	}
	pod := deployment.Spec.Template.Spec
	if pod.ServiceAccountName != account.Name || deployment.Namespace != account.Namespace {
		t.Error("the deployment does not use the service account")
	}
	c := pod.Containers[0]
	s := c.SecurityContext
	if !*pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault ||
		!*s.ReadOnlyRootFilesystem || *s.AllowPrivilegeEscalation || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) {
		t.Error("the operator needs no privileges: it must not have any")
	}
	if c.LivenessProbe == nil || c.ReadinessProbe == nil || c.Resources.Requests == nil || c.Resources.Limits == nil {
		t.Error("the operator has no probes or resources")
	}
	for k, v := range deployment.Spec.Selector.MatchLabels {
		if deployment.Spec.Template.Labels[k] != v {
			t.Error("the deployment does not select its pods")
		}
	}
}

// TestAllCRDs checks that config/crd/kustomization.yaml names all CRDs but that of the
// example.
func TestAllCRDs(t *testing.T) {
	files, err := filepath.Glob("../../config/crd/kubeflow.org_*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	documents, err := manifests("../../config/crd")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range documents {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(d, &o.Object); err != nil {
			t.Fatal(err)
		}
		names = append(names, o.GetName())
	}
	for _, f := range files {
		plural := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), "kubeflow.org_"), ".yaml")
		if want := plural != "testjobs"; slices.Contains(names, plural+".kubeflow.org") != want {
			t.Errorf("config/crd/kustomization.yaml names %s: %t, want %t", plural, !want, want)
		}
	}
}
