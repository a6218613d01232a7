package schedulers_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/gang/schedulers"
	"github.com/jobkit/jobkit/jobtest/gangtest"
)

// TestGolden pins the exact objects of each back end, and what it makes of a template.
// REWRITE=1 writes the files again.
func TestGolden(t *testing.T) {
	for _, name := range []string{
		"kubernetes", "kubernetes-v1", "kubernetes-v1alpha3", "kubernetes-v1alpha2", "volcano", "coscheduling", "my-scheduler",
	} {
		for variant, job := range map[string]*gang.Job{"plain": gangtest.Job(), "full": full()} {
			t.Run(name+"/"+variant, func(t *testing.T) {
				scheduler, version := name, ""
				if rest, ok := strings.CutPrefix(name, "kubernetes-"); ok {
					scheduler, version = "kubernetes", rest
				}
				got := render(t, schedulers.ByName(scheduler, schedulers.Options{Version: version}), job)
				file := filepath.Join("testdata", name+"-"+variant+".yaml")
				if os.Getenv("REWRITE") != "" {
					if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", file, diff)
				}
			})
		}
	}
}

// full is a job whose scheduling policy says all that one can say.
func full() *gang.Job {
	job := gangtest.Job()
	job.Whole = true
	job.Annotations = map[string]string{"volcano.sh/preemptable": "true", "training.kubeflow.org/pod-group-fields": "queue"}
	job.Policy = commonv1.SchedulingPolicy{
		MinAvailable: new(int32(2)), Queue: "research", PriorityClass: "high", ScheduleTimeoutSeconds: new(int32(300)),
	}
	job.Members[1].Priority = 10
	return job
}

// TestFields: the objects of other projects have only fields that these know. The schemas
// themselves are asked in test/gang.
func TestFields(t *testing.T) {
	known := map[string][]string{
		"scheduling.volcano.sh/v1beta1": {"minMember", "minResources", "priorityClassName", "queue"},
		"scheduling.x-k8s.io/v1alpha1":  {"minMember", "minResources", "scheduleTimeoutSeconds"},
	}
	for _, name := range []string{"volcano", "coscheduling", "my-scheduler"} {
		for _, o := range schedulers.ByName(name, schedulers.Options{}).Objects(full()) {
			u, ok := o.(*unstructured.Unstructured)
			if !ok {
				t.Fatalf("%s: it is a %T", name, o)
			}
			spec, _ := u.Object["spec"].(map[string]any)
			want := known[u.GetAPIVersion()]
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(spec))); diff != "" {
				t.Errorf("%s: a full policy sets other fields (-want +got):\n%s", name, diff)
			}
			if got := slices.Sorted(maps.Keys(u.Object)); !slices.Equal(got, []string{"apiVersion", "kind", "metadata", "spec"}) {
				t.Errorf("%s: it has %v", name, got)
			}
		}
	}
}

func render(t *testing.T, s gang.Scheduler, job *gang.Job) string {
	t.Helper()
	var out strings.Builder
	for _, o := range s.Objects(job) {
		gvk, err := apiutil.GVKForObject(o, scheme.Scheme)
		if err != nil {
			t.Fatal(err)
		}
		o.GetObjectKind().SetGroupVersionKind(gvk)
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(&out, "---\n%s", text)
	}
	template := &corev1.PodTemplateSpec{}
	s.Join(job, "Worker", template)
	text, err := yaml.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(&out, "---\n# what the template of a Worker gets\n%s", text)
	return out.String()
}

func TestByName(t *testing.T) {
	for _, name := range []string{"", "none"} {
		if s := schedulers.ByName(name, schedulers.Options{}); s != nil {
			t.Errorf("%q stands for no scheduler, got %T", name, s)
		}
	}
	for name, want := range map[string]string{"volcano": "mine", "coscheduling": "mine", "other": "mine", "kubernetes": "mine"} {
		template := &corev1.PodTemplateSpec{}
		schedulers.ByName(name, schedulers.Options{SchedulerName: "mine"}).Join(gangtest.Job(), "Worker", template)
		if got := template.Spec.SchedulerName; got != want {
			t.Errorf("%s: want schedulerName %q, got %q", name, want, got)
		}
	}
}

// TestDetect: the best version of which all kinds are served.
func TestDetect(t *testing.T) {
	both := []string{"Workload", "PodGroup"}
	for name, tc := range map[string]struct {
		reason, scheduler string
		options           schedulers.Options
		served            map[string][]string
		want              string
	}{
		"None":  {reason: "then its kinds are not served, which set-up says", scheduler: "kubernetes", served: map[string][]string{"v1": {"PriorityClass"}}},
		"V1.36": {reason: "v1 has priority classes only", scheduler: "kubernetes", served: map[string][]string{"v1": {"PriorityClass"}, "v1alpha2": both}, want: "v1alpha2"},
		"V1.37": {reason: "a beta before an alpha", scheduler: "kubernetes", served: map[string][]string{"v1beta1": both, "v1alpha3": both}, want: "v1beta1"},
		"Alpha": {reason: "only the alpha is switched on", scheduler: "kubernetes", served: map[string][]string{"v1alpha3": both}, want: "v1alpha3"},
		"Later": {reason: "the best of all", scheduler: "kubernetes", served: map[string][]string{"v1beta1": both, "v1": both}, want: "v1"},
		"Half":  {reason: "half of a version is none", scheduler: "kubernetes", served: map[string][]string{"v1": {"PodGroup"}, "v1beta1": both}, want: "v1beta1"},
		"Given": {reason: "what is said counts", scheduler: "kubernetes", options: schedulers.Options{Version: "v1alpha3"}, served: map[string][]string{"v1": both}, want: "v1alpha3"},
		"Other": {reason: "others have one version", scheduler: "volcano", served: map[string][]string{"v1": both}},
	} {
		t.Run(name, func(t *testing.T) {
			mapper := meta.NewDefaultRESTMapper(nil)
			for version, kinds := range tc.served {
				for _, kind := range kinds {
					mapper.Add(schema.GroupVersionKind{Group: "scheduling.k8s.io", Version: version, Kind: kind}, meta.RESTScopeNamespace)
				}
			}
			got, err := gang.Detect(mapper, schedulers.ByName(tc.scheduler, tc.options))
			want := schedulers.ByName(tc.scheduler, schedulers.Options{Version: tc.want})
			if err != nil || got != want {
				t.Errorf("%s: want %#v, got %#v, %v", tc.reason, want, got, err)
			}
		})
	}
}

// TestVolcanoState: which phases hold pods back, and what Volcano says.
func TestVolcanoState(t *testing.T) {
	condition := func(typ, at string) any {
		return map[string]any{"type": typ, "status": "True", "message": "3/4 tasks in gang unschedulable", "lastTransitionTime": at}
	}
	cases := map[string]struct {
		reason string
		queue  string
		status map[string]any
		hold   bool
		why    string
	}{
		"New": {
			reason: "no scheduler has handled it yet: Volcano says nothing of a group of a queue that does not exist, so both are named", hold: true,
			why: `has not looked at PodGroup job-testjob yet: make sure that its queue "default" exists, and that Volcano runs`,
		},
		"NewInQueue": {reason: "the queue is the job's", queue: "research", hold: true, why: `its queue "research" exists`},
		"Pending":    {reason: "the queue has no room", status: map[string]any{"phase": "Pending"}, hold: true, why: `queue "default" has no room for it yet, or is closed`},
		"Says": {
			reason: "Volcano's own words go first", hold: true, why: "3/4 tasks in gang unschedulable",
			status: map[string]any{"phase": "Pending", "conditions": []any{condition("Unschedulable", "2026-01-01T00:00:00Z")}},
		},
		"Inqueue": {reason: "now it wants to see pods", status: map[string]any{"phase": "Inqueue"}},
		"Waits": {
			reason: "it may have to wait even then", why: "3/4 tasks in gang unschedulable",
			status: map[string]any{"phase": "Inqueue", "conditions": []any{condition("Unschedulable", "2026-01-01T00:00:00Z")}},
		},
		"Old": {
			reason: "what it said before it found room does not count",
			status: map[string]any{"phase": "Unknown", "conditions": []any{condition("Unschedulable", "2026-01-01T00:00:00Z"), condition("Scheduled", "2026-01-01T00:00:01Z")}},
		},
		"Running": {
			reason: "nor while it runs",
			status: map[string]any{"phase": "Running", "conditions": []any{condition("Unschedulable", "2026-01-01T00:00:00Z")}},
		},
	}
	s := schedulers.ByName("volcano", schedulers.Options{})
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			objects := s.Objects(gangtest.Job())
			u, ok := objects[0].(*unstructured.Unstructured)
			if !ok {
				t.Fatalf("it is a %T", objects[0])
			}
			if tc.status != nil {
				u.Object["status"] = tc.status
			}
			job := gangtest.Job()
			job.Policy.Queue = tc.queue
			got := s.State(job, objects)
			if got.Hold != tc.hold || (tc.why == "") != (got.Why == "") || !strings.Contains(got.Why, tc.why) {
				t.Errorf("%s: got %+v", tc.reason, got)
			}
		})
	}
}
