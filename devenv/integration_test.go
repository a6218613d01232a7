//go:build integration

package devenv_test

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/devenv"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

const crds = "../config/crd"

// TestStart starts a control plane with a kind, and takes it as the existing cluster of
// another test, which leaves it running.
func TestStart(t *testing.T) {
	config := devenv.Start(t, devenv.Options{CRDs: []string{crds}, Nodes: 1})
	refuses(t, config)
	t.Setenv("USE_EXISTING_CLUSTER", "true")
	t.Setenv("KUBECONFIG", kubeconfig(t, config))
	t.Run("existing", func(t *testing.T) {
		refuses(t, devenv.Start(t, devenv.Options{CRDs: []string{filepath.Join(crds, "kubeflow.org_testjobs.yaml")}}))
	})
	refuses(t, config)
}

// refuses checks that the kind is served with its rules.
func refuses(t *testing.T, config *rest.Config) {
	t.Helper()
	known := scheme.Scheme
	if err := testv1.AddToScheme(known); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: known})
	if err != nil {
		t.Fatal(err)
	}
	job := &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "job"}}
	job.Spec.TestReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"Boss": {Template: corev1.PodTemplateSpec{
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: testv1.ContainerName, Image: "x"}}},
	}}}
	if err := c.Create(t.Context(), job); !apierrors.IsInvalid(err) {
		t.Errorf("want a refusal, got %v", err)
	}
}

// kubeconfig writes how to reach a cluster to a file.
func kubeconfig(t *testing.T, config *rest.Config) string {
	t.Helper()
	read := func(data []byte, file string) []byte {
		if len(data) > 0 {
			return data
		}
		text, err := os.ReadFile(file)
		if err != nil && file != "" {
			t.Fatal(err)
		}
		return text
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		CurrentContext: "c",
		Contexts:       map[string]*clientcmdapi.Context{"c": {Cluster: "c", AuthInfo: "c"}},
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: config.Host, CertificateAuthorityData: read(config.CAData, config.CAFile)}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{"c": {
			ClientCertificateData: read(config.CertData, config.CertFile), ClientKeyData: read(config.KeyData, config.KeyFile), Token: config.BearerToken,
		}},
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
