//go:build integration

package gang

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/gang/schedulers"
)

// published is the CRD of another project, as one version of its Go module holds it. The
// module is not a dependency: it is downloaded as a file, and its checksum is pinned here.
type published struct {
	module, sum, file string
	group             schema.GroupVersion
}

var (
	// volcanoCRD is of the newest version of Volcano that the Go module proxy has. That of
	// Volcano's Go types is newer, and has the same fields and more.
	volcanoCRD = published{
		module: "volcano.sh/volcano@v1.10.0", sum: "h1:+GzQinGgeV0j58WpWpxByOXgF+YfUPW55zghM8GqjF0=",
		file:  "config/crd/volcano/bases/scheduling.volcano.sh_podgroups.yaml",
		group: schema.GroupVersion{Group: "scheduling.volcano.sh", Version: "v1beta1"},
	}
	coschedulingCRD = published{
		module: "sigs.k8s.io/scheduler-plugins@v0.33.5", sum: "h1:9u4QAYbuoxa59aStrJKP4Bii2EQrZmGPN2tzvfs2gL0=",
		file:  "config/crd/bases/scheduling.x-k8s.io_podgroups.yaml",
		group: schema.GroupVersion{Group: "scheduling.x-k8s.io", Version: "v1alpha1"},
	}
)

// signsOfNoNetwork are what the go command says when it cannot reach any module proxy.
var signsOfNoNetwork = []string{
	"dial tcp", "no such host", "i/o timeout", "TLS handshake timeout", "connection refused", "network is unreachable",
	"module lookup disabled by GOPROXY=off",
}

// read downloads the module, or finds it in the module cache, and reads the CRD. Without a
// network the test is skipped.
func (p *published) read(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", p.module)
	download.Dir = t.TempDir()
	download.Env = append(os.Environ(), "GOWORK=off", "GONOSUMDB=*") // The checksum is compared here.
	out, err := download.Output()
	var got struct {
		Dir   string `json:"dir"`
		Sum   string `json:"sum"`
		Error string `json:"error"`
	}
	if jsonErr := json.Unmarshal(out, &got); jsonErr != nil {
		t.Fatalf("go mod download %s: %v", p.module, errors.Join(err, jsonErr))
	}
	for _, sign := range signsOfNoNetwork {
		if strings.Contains(got.Error, sign) {
			t.Skipf("no network, so the CRD of %s is not there to be tested against: %s", p.module, got.Error)
		}
	}
	if err != nil || got.Sum != p.sum {
		t.Fatalf("%s has the checksum %q, want %q: %v %s", p.module, got.Sum, p.sum, err, got.Error)
	}
	text, err := os.ReadFile(filepath.Join(got.Dir, filepath.FromSlash(p.file)))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

func parse(t *testing.T, text []byte) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	data, err := yaml.YAMLToJSON(text)
	if err == nil {
		err = u.UnmarshalJSON(data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// serve has the cluster serve a CRD.
func serve(t *testing.T, p *published) {
	t.Helper()
	crd := p.read(t)
	if err := client.IgnoreAlreadyExists(cluster.Create(t.Context(), crd)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the CRD is served", func() string {
		if err := cluster.List(t.Context(), listOf(p.group)); err != nil {
			return err.Error()
		}
		return ""
	})
}

// listOf is an empty list of the PodGroups of a version.
func listOf(v schema.GroupVersion) *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v.WithKind("PodGroupList"))
	return list
}

// TestPublishedCRDs creates the golden objects with the CRDs of their projects. The API
// server refuses what their schemas do not know, and adds nothing that we would change back.
func TestPublishedCRDs(t *testing.T) {
	for _, tc := range []struct {
		reason, scheduler string
		crd               *published
	}{
		{"Volcano's own schema", "volcano", &volcanoCRD},
		{"that of the coscheduling plugin", "coscheduling", &coschedulingCRD},
		{"another name is another scheduler with that plugin", "my-scheduler", &coschedulingCRD},
	} {
		t.Run(tc.scheduler, func(t *testing.T) {
			serve(t, tc.crd)
			strict := client.WithFieldValidation(cluster, metav1.FieldValidationStrict)
			for _, variant := range []string{"plain", "full"} {
				ns := namespace(t)
				wanted := golden(t, tc.scheduler+"-"+variant)
				wanted.SetNamespace(ns)
				found := wanted.DeepCopy()
				if err := strict.Create(t.Context(), found); err != nil {
					t.Fatalf("%s, %s: %v", tc.reason, variant, err)
				}
				if patch := schedulers.ByName(tc.scheduler, schedulers.Options{}).Patch(wanted, found); len(patch) > 0 {
					t.Errorf("%s, %s: as it was created it says something else than is wanted: %v", tc.reason, variant, patch)
				}
				if diff := cmp.Diff(wanted.Object["spec"], found.Object["spec"]); diff != "" {
					t.Errorf("%s, %s: the schema sets or drops fields (-wanted +found):\n%s", tc.reason, variant, diff)
				}
				bad := wanted.DeepCopy()
				bad.SetName("bad")
				if err := unstructured.SetNestedField(bad.Object, "x", "spec", "noSuchField"); err != nil {
					t.Fatal(err)
				}
				if err := strict.Create(t.Context(), bad); err == nil {
					t.Error("a field that the schema does not know is not refused: this test shows nothing")
				}
			}
		})
	}
}

// golden is the group in a golden file: the first of its documents.
func golden(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "gang", "schedulers", "testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, []byte(strings.SplitN(string(text), "---\n", 3)[1]))
}

// TestCoscheduling runs the operator with the CRD of the coscheduling plugin.
func TestCoscheduling(t *testing.T) {
	serve(t, &coschedulingCRD)
	operator := operatorFor(t, "coscheduling", "pytorchjob")
	operator.start(t)
	ns := namespace(t)
	template := corev1.PodTemplateSpec{Spec: onePod(ns).Spec}
	template.Spec.Containers[0].Name = "pytorch"
	job := &kubeflowv1.PyTorchJob{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "train"}}
	job.Spec.PyTorchReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{"Worker": {Replicas: new(int32(2)), Template: template}}
	job.Spec.RunPolicy.SchedulingPolicy = &commonv1.SchedulingPolicy{
		MinAvailable: new(int32(1)), Queue: "research", PriorityClass: "high", ScheduleTimeoutSeconds: new(int32(60)),
		MinResources: &map[corev1.ResourceName]resource.Quantity{"cpu": resource.MustParse("1500m")},
	}
	create(t, job)
	eventually(t, "the pods exist", func() string { return expect(pods(t, ns), 2) })
	list := listOf(coschedulingCRD.group)
	if err := cluster.List(t.Context(), list, client.InNamespace(ns)); err != nil || len(list.Items) != 1 {
		t.Fatalf("want one group, got %d: %v", len(list.Items), err)
	}
	want := map[string]any{"minMember": int64(1), "scheduleTimeoutSeconds": int64(60), "minResources": map[string]any{"cpu": "1500m"}}
	if diff := cmp.Diff(want, list.Items[0].Object["spec"]); diff != "" {
		t.Errorf("the group (-want +got):\n%s", diff)
	}
	quietGroup(t, &list.Items[0])
}

// quietGroup checks that a group is not written for a while in which the job is reconciled.
func quietGroup(t *testing.T, group *unstructured.Unstructured) {
	t.Helper()
	const rest = 2 * time.Second
	version, since := "", time.Now()
	eventually(t, "the group is quiet", func() string {
		if err := cluster.Get(t.Context(), client.ObjectKeyFromObject(group), group); err != nil {
			return err.Error()
		}
		if now := group.GetResourceVersion(); now != version {
			version, since = now, time.Now()
		}
		if time.Since(since) < rest {
			return "it was written " + time.Since(since).String() + " ago"
		}
		return ""
	})
}
