package jobtest_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest"
)

// keeper is a TestJob that also has a ConfigMap, and may be unable to make its pods.
type keeper struct {
	testjob.Controller

	err error
}

func (k keeper) SetClusterSpec(job *testv1.TestJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	if r.Index() > 0 && k.err != nil {
		return k.err
	}
	return k.Controller.SetClusterSpec(job, r, template)
}

func (keeper) ObjectKinds() []jobkit.Object { return []jobkit.Object{&corev1.ConfigMap{}} }

func (keeper) Objects(job *testv1.TestJob, _ *jobkit.Tally) []jobkit.Object {
	return []jobkit.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: job.Name + "-config"}}}
}

func TestRender(t *testing.T) {
	known := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(known), testv1.AddToScheme(known)); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		reason string
		edit   func(*testv1.TestJob)
		err    error
		want   []string
		fails  string
	}{
		"All": {
			reason: "pods come first, in the order of their replicas, then services, then owned objects; all have their kind and the job's namespace",
			want: []string{
				"Pod default/train-master-0", "Pod default/train-worker-0", "Pod default/train-worker-1",
				"Service default/train", "ConfigMap default/train-config",
			},
		},
		"Namespace": {
			reason: "a job in a namespace keeps it, and the service mode of the job counts",
			edit: func(job *testv1.TestJob) {
				job.Namespace, job.Spec.RunPolicy.ServiceMode = "team", new(commonv1.ServiceModeNone)
				delete(job.Spec.TestReplicaSpecs, testv1.Worker)
			},
			want: []string{"Pod team/train-master-0", "ConfigMap team/train-config"},
		},
		"Suspended": {
			reason: "a suspended job has nothing",
			edit:   func(job *testv1.TestJob) { job.Spec.RunPolicy.Suspend = new(true) },
		},
		"Invalid": {
			reason: "a job that is not valid has nothing, and the error says why",
			edit:   func(job *testv1.TestJob) { job.Spec.TestReplicaSpecs[testv1.Master].Replicas = new(int32(2)) },
			fails:  "spec.testReplicaSpecs[Master].replicas: Invalid value: 2",
		},
		"Broken": {
			reason: "an error of the author's code is the error",
			err:    errors.New("no idea what to do"),
			fails:  "cannot create pod train-worker-1: no idea what to do",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			job := &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Name: "train"}}
			spec := commonv1.ReplicaSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: testv1.ContainerName}}}}}
			job.Spec.TestReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{testv1.Master: spec.DeepCopy(), testv1.Worker: spec.DeepCopy()}
			job.Spec.TestReplicaSpecs[testv1.Worker].Replicas = new(int32(2))
			if tc.edit != nil {
				tc.edit(job)
			}
			before := job.DeepCopy()
			objects, err := jobtest.Render[*testv1.TestJob](keeper{err: tc.err}, known, job)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("%s: got error %v, want %q", tc.reason, err, tc.fails)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, o := range objects {
				got = append(got, o.GetObjectKind().GroupVersionKind().Kind+" "+client.ObjectKeyFromObject(o).String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			if diff := cmp.Diff(before, job); diff != "" {
				t.Errorf("the job that is rendered stays as it is (-before +after):\n%s", diff)
			}
		})
	}
}

// strange is a TestJob operator that Render cannot make sense of.
type strange struct {
	testjob.Controller

	parts   func(*testv1.TestJob) jobkit.JobParts
	kind    func()
	kinds   []jobkit.Object
	objects func() []jobkit.Object
}

func (s strange) Kind() jobkit.Kind {
	if s.kind != nil {
		s.kind()
	}
	return s.Controller.Kind()
}

func (s strange) Parts(job *testv1.TestJob) jobkit.JobParts {
	if s.parts == nil {
		return s.Controller.Parts(job)
	}
	return s.parts(job)
}

func (s strange) ObjectKinds() []jobkit.Object { return s.kinds }

func (s strange) Objects(*testv1.TestJob, *jobkit.Tally) []jobkit.Object {
	if s.objects == nil {
		return nil
	}
	return s.objects()
}

// TestRenderNeverPanics: what is wrong with a controller is an error of Render.
func TestRenderNeverPanics(t *testing.T) {
	known := runtime.NewScheme()
	if err := errors.Join(scheme.AddToScheme(known), testv1.AddToScheme(known)); err != nil {
		t.Fatal(err)
	}
	named := func(o jobkit.Object, name string) jobkit.Object { o.SetName(name); return o }
	isTrain := func(job *testv1.TestJob) bool { return job.Name == "train" }
	changes := 0
	tests := map[string]struct {
		reason string
		author jobkit.ControllerInterface[*testv1.TestJob]
		scheme *runtime.Scheme
		job    *testv1.TestJob
		want   string // "" if it renders
	}{
		"NoAuthor": {reason: "an author is required", scheme: known, job: &testv1.TestJob{}, want: "JobController.Controller is not set"},
		"NoScheme": {reason: "so is a scheme", author: strange{}, job: &testv1.TestJob{}, want: "Render needs a scheme and a job"},
		"NoJob":    {reason: "and a job", author: strange{}, scheme: known, want: "Render needs a scheme and a job"},
		"Kind":     {reason: "whatever panics is an error", author: strange{kind: func() { panic("oops") }}, want: "the controller's own code panicked: oops"},
		"StatusOfACopy": {
			reason: "no status would be written",
			author: strange{parts: func(job *testv1.TestJob) jobkit.JobParts {
				p := testjob.Controller{}.Parts(job.DeepCopy())
				p.RunPolicy = &job.Spec.RunPolicy
				return p
			}},
			want: "returns a Status that is not the job's own",
		},
		"NilParts": {
			reason: "there is nothing to work with",
			author: strange{parts: func(job *testv1.TestJob) jobkit.JobParts { return jobkit.JobParts{Status: &job.Status} }},
			want:   "Parts() of TestJob returns no RunPolicy: point at the",
		},
		"PanicInParts": {
			reason: "for this job alone",
			author: strange{parts: func(job *testv1.TestJob) jobkit.JobParts {
				if isTrain(job) {
					panic("oops")
				}
				return testjob.Controller{}.Parts(job)
			}},
			want: "panicked: oops",
		},
		"ServiceAmongTheKinds":   {reason: "the library keeps services", author: strange{kinds: []jobkit.Object{&corev1.Service{}}}, want: "names Service, which the library keeps itself"},
		"ServiceAmongTheObjects": {reason: "nor is one wanted", author: strange{objects: func() []jobkit.Object { return []jobkit.Object{named(&corev1.Service{}, "s")} }}, want: `wants the Service "s" of v1, but ObjectKinds() does not name that kind`},
		"OtherKind": {
			reason: "an object that no one would find again",
			author: strange{kinds: []jobkit.Object{&corev1.ConfigMap{}}, objects: func() []jobkit.Object { return []jobkit.Object{named(&corev1.Secret{}, "s")} }},
			want:   `wants the Secret "s" of v1, but ObjectKinds() does not name that kind`,
		},
		"NilObject": {
			reason: "nil is no object",
			author: strange{kinds: []jobkit.Object{&corev1.ConfigMap{}}, objects: func() []jobkit.Object { return []jobkit.Object{nil} }},
			want:   "wants an object that is nil",
		},
		"ObjectThatChanges": {
			reason: "what the first pass created is what there is",
			author: strange{kinds: []jobkit.Object{&corev1.ConfigMap{}}, objects: func() []jobkit.Object {
				changes++
				return []jobkit.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Data: map[string]string{"n": strings.Repeat("x", changes)}}}
			}},
		},
		"ObjectThatGoes": {
			reason: "and stays",
			author: strange{kinds: []jobkit.Object{&corev1.ConfigMap{}}, objects: func() []jobkit.Object {
				if changes++; changes%2 == 0 {
					return nil
				}
				return []jobkit.Object{named(&corev1.ConfigMap{}, "c")}
			}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			changes = 0
			if tc.scheme == nil && tc.job == nil {
				tc.scheme = known
				tc.job = &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Name: "train"}}
				tc.job.Spec.TestReplicaSpecs = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{testv1.Worker: {
					Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: testv1.ContainerName}}}},
				}}
			}
			objects, err := jobtest.Render(tc.author, tc.scheme, tc.job)
			switch {
			case tc.want == "" && (err != nil || len(objects) != 3):
				t.Errorf("%s: want a pod, a service and a ConfigMap, got %d objects, %v", tc.reason, len(objects), err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want) || len(objects) > 0):
				t.Errorf("%s: want an error with %q, got %v", tc.reason, tc.want, err)
			}
		})
	}
}
