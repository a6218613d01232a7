package controller_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/internal/fakeapi"
)

// timedJob is a kind of an author, with a field that Go reads strictly.
type timedJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec   timedSpec          `json:"spec"`
	Status commonv1.JobStatus `json:"status"`
}

type timedSpec struct {
	Every     *metav1.Duration                               `json:"every"`
	RunPolicy commonv1.RunPolicy                             `json:"runPolicy"`
	Replicas  map[commonv1.ReplicaType]*commonv1.ReplicaSpec `json:"replicas"`
}

// DeepCopyObject implements runtime.Object.
func (j *timedJob) DeepCopyObject() runtime.Object {
	out := &timedJob{TypeMeta: j.TypeMeta, ObjectMeta: *j.DeepCopy(), Status: *j.Status.DeepCopy()}
	out.Spec.RunPolicy = *j.Spec.RunPolicy.DeepCopy()
	if j.Spec.Every != nil {
		out.Spec.Every = new(*j.Spec.Every)
	}
	if j.Spec.Replicas != nil {
		out.Spec.Replicas = map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}
		for t, r := range j.Spec.Replicas {
			out.Spec.Replicas[t] = r.DeepCopy()
		}
	}
	return out
}

type timedJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`

	Items []timedJob `json:"items"`
}

// DeepCopyObject implements runtime.Object.
func (l *timedJobList) DeepCopyObject() runtime.Object {
	out := &timedJobList{TypeMeta: l.TypeMeta, ListMeta: l.ListMeta}
	for i := range l.Items {
		out.Items = append(out.Items, *l.Items[i].DeepCopyObject().(*timedJob))
	}
	return out
}

// timedController is the author of timedJob. Some of it keeps ConfigMaps.
type timedController struct {
	jobkit.Defaults[*timedJob]
}

func (timedController) Kind() jobkit.Kind {
	return jobkit.Kind{Roles: []jobkit.Role{{Type: "Worker"}}, ReplicaSpecsField: "replicas", ContainerName: "main", ServiceMode: commonv1.ServiceModeNone}
}

func (timedController) Parts(j *timedJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &j.Spec.RunPolicy, ReplicaSpecs: j.Spec.Replicas, Status: &j.Status}
}

type keepingController struct{ timedController }

func (keepingController) ObjectKinds() []jobkit.Object { return []jobkit.Object{&corev1.ConfigMap{}} }

func (keepingController) Objects(*timedJob, *jobkit.Tally) []jobkit.Object { return nil }

var timedGV = schema.GroupVersion{Group: "example.com", Version: "v1"}

// The kinds of the cluster, and where their jobs are.
var (
	testJobs  = fakeapi.Resource{Group: "kubeflow.org", Version: "v1", Resource: "testjobs", Kind: "TestJob"}
	timedJobs = fakeapi.Resource{Group: "example.com", Version: "v1", Resource: "timedjobs", Kind: "timedJob"}
)

const (
	testPath  = "/apis/kubeflow.org/v1/namespaces/default/testjobs/"
	timedPath = "/apis/example.com/v1/namespaces/default/timedjobs/"
)

// cluster is a manager that runs both kinds, against a server.
type cluster struct {
	*fakeapi.Server
	t       *testing.T
	mgr     ctrl.Manager
	test    *controller.JobController[*testv1.TestJob]
	timed   *controller.JobController[*timedJob]
	metrics *prometheus.Registry
	stop    context.CancelFunc
	ended   chan error
}

// newCluster sets the manager up. The author of timedJob is as given.
func newCluster(t *testing.T, api *fakeapi.Server, author jobkit.ControllerInterface[*timedJob], namespaces ...string) *cluster {
	t.Helper()
	served := httptest.NewServer(api)
	t.Cleanup(func() {
		served.CloseClientConnections()
		served.Close()
	})
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(timedGV, &timedJob{}, &timedJobList{})
	metav1.AddToGroupVersion(scheme, timedGV)
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, testv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	mgr, err := ctrl.NewManager(&rest.Config{Host: served.URL, QPS: -1}, ctrl.Options{
		Scheme: scheme, Cache: controller.CacheOptions(), Metrics: server.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{Server: api, t: t, mgr: mgr, metrics: prometheus.NewRegistry(), ended: make(chan error, 1)}
	c.test = &controller.JobController[*testv1.TestJob]{Controller: testjob.Controller{}, Metrics: c.metrics, Config: controller.Config{Namespaces: namespaces}}
	c.timed = &controller.JobController[*timedJob]{Controller: author, Metrics: c.metrics, Config: controller.Config{Namespaces: namespaces}}
	return c
}

// start sets the controllers up and starts the manager.
func (c *cluster) start() {
	c.t.Helper()
	for _, setUp := range []func(ctrl.Manager) error{c.test.SetupWithManager, c.timed.SetupWithManager} {
		if err := setUp(c.mgr); err != nil {
			c.t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(c.t.Context())
	c.stop = stop
	go func() { c.ended <- c.mgr.Start(ctx) }()
	c.t.Cleanup(c.mustStop)
}

// mustStop ends the manager, which takes no longer than 5 seconds.
func (c *cluster) mustStop() {
	c.t.Helper()
	c.stop()
	select {
	case err := <-c.ended:
		if err != nil {
			c.t.Errorf("the manager ended with %v", err)
		}
		c.ended <- nil
	case <-time.After(5 * time.Second):
		c.t.Error("the manager has not ended 5 s after it was asked to")
	}
}

// hangs is after how long a test takes what it waits for to hang, on however slow a machine.
const hangs = 2 * time.Minute

// eventually waits until a condition holds.
func (c *cluster) eventually(what string, holds func() bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), hangs)
	defer cancel()
	if !c.Wait(ctx, holds) {
		c.t.Fatalf("after %s it is not so that %s; requests: %s", hangs, what, strings.Join(c.Asked(), "\n"))
	}
}

// condition returns the message of a job's condition that is True, or "".
func (c *cluster) condition(path string, t commonv1.JobConditionType) string {
	raw, err := json.Marshal(c.Get(path)["status"])
	if err != nil {
		c.t.Fatal(err)
	}
	var status commonv1.JobStatus
	if err := json.Unmarshal(raw, &status); err != nil {
		c.t.Fatal(err)
	}
	if cond := status.Condition(t); cond != nil && cond.Status == corev1.ConditionTrue {
		return cond.Message
	}
	return ""
}

func (c *cluster) created(pod string) func() bool {
	return func() bool { return c.Get("/api/v1/namespaces/default/pods/"+pod) != nil }
}

// jobs as JSON.
func aTestJob(cpu, status string) string {
	return `{"apiVersion":"kubeflow.org/v1","kind":"TestJob","metadata":{"annotations":{"mine":"x"}},"spec":{"testReplicaSpecs":{"Worker":{"template":{"spec":{"containers":[
		{"name":"test-container","image":"x","resources":{"limits":{"cpu":"` + cpu + `"}}}]}}}}},"status":` + status + `}`
}

func aTimedJob(every, status string) string {
	return `{"apiVersion":"example.com/v1","kind":"timedJob","spec":{"every":"` + every + `","replicas":{"Worker":{"template":{"spec":{"containers":[
		{"name":"main","image":"x"}]}}}}},"status":` + status + `}`
}

const ranBefore = `{"startTime":"2026-01-01T00:00:00Z","conditions":[{"type":"Created","status":"True","lastUpdateTime":null,"lastTransitionTime":null},{"type":"Running","status":"True","reason":"r","message":"m","lastUpdateTime":null,"lastTransitionTime":null}],"state":"Running","unknown":"stays"}`

// TestUndecodable checks known-bugs row 93: a job that Go cannot decode says so, is
// touched nowhere but in its status, harms no other job, and goes on when it is fixed.
func TestUndecodable(t *testing.T) {
	for name, watchList := range map[string]bool{"WatchList": true, "List": false} {
		t.Run(name, func(t *testing.T) {
			api := fakeapi.New(append(fakeapi.Core(), testJobs, timedJobs)...)
			api.WatchList = watchList
			c := newCluster(t, api, timedController{})
			c.Put(testPath+"exponent", aTestJob("1e1.5", "{}"))
			c.Put(testPath+"hang", aTestJob("1e2147483648", "{}"))
			c.Put(testPath+"ran", aTestJob("1e1.5", ranBefore))
			c.Put(testPath+"good", aTestJob("1", "{}"))
			c.Put(timedPath+"new", aTimedJob("abc", "{}"))
			c.Put(timedPath+"ran", aTimedJob("abc", ranBefore))
			c.Put(timedPath+"good", aTimedJob("1m", "{}"))
			c.start()

			c.eventually("the other job of the kind runs", c.created("good-worker-0"))
			for path, want := range map[string]string{
				testPath + "exponent": `TestJob default/exponent cannot be read: spec.testReplicaSpecs[Worker].template.spec.containers[0].resources.limits[cpu]: Invalid value: "1e1.5": quantities must match`,
				testPath + "hang":     `Invalid value: "1e2147483648": a quantity has at most 64 characters`,
				timedPath + "new":     `timedJob default/new cannot be read: spec.every: Invalid value: "abc": time: invalid duration "abc"`,
			} {
				c.eventually(path+" has failed with the decoder's error", func() bool { return strings.Contains(c.condition(path, commonv1.JobFailed), want) })
			}
			for _, path := range []string{testPath + "ran", timedPath + "ran"} {
				c.eventually(path+" is stalled", func() bool { return strings.Contains(c.condition(path, commonv1.JobStalled), "Invalid value") })
				if c.condition(path, commonv1.JobRunning) == "" || c.condition(path, commonv1.JobFailed) != "" {
					t.Errorf("%s no longer says that it runs: %v", path, c.Get(path)["status"])
				}
				if s := c.Get(path)["status"].(map[string]any); s["unknown"] != "stays" || s["startTime"] != "2026-01-01T00:00:00Z" {
					t.Errorf("only what differs in the status is written: %v", s)
				}
			}

			// One that comes later, by the watch, and one that is spoilt while it runs.
			c.Put(timedPath+"later", aTimedJob("1x", "{}"))
			c.eventually("a later one has failed", func() bool { return c.condition(timedPath+"later", commonv1.JobFailed) != "" })
			c.Put(timedPath+"last", aTimedJob("5s", "{}"))
			c.eventually("jobs still run", c.created("last-worker-0"))
			c.eventually("it was accepted", func() bool { return c.condition(timedPath+"last", commonv1.JobCreated) != "" })
			spoilt := c.Get(timedPath + "last")
			spoilt["spec"].(map[string]any)["every"] = "1x"
			c.Put(timedPath+"last", asJSON(t, spoilt))
			c.eventually("it is stalled", func() bool { return c.condition(timedPath+"last", commonv1.JobStalled) != "" })

			// Fixed ones go on.
			fixed := c.Get(testPath + "ran")
			fixed["spec"] = map[string]any(nil)
			var good fakeapi.Object
			if err := json.Unmarshal([]byte(aTestJob("2", "{}")), &good); err != nil {
				t.Fatal(err)
			}
			fixed["spec"] = good["spec"]
			c.Put(testPath+"ran", asJSON(t, fixed))
			c.eventually("the fixed job goes on", c.created("ran-worker-0"))
			c.eventually("it is no longer stalled", func() bool { return c.condition(testPath+"ran", commonv1.JobStalled) == "" })

			exponent := asJSON(t, c.Get(testPath+"exponent"))
			if !strings.Contains(exponent, `"1e1.5"`) || !strings.Contains(exponent, `"mine":"x"`) || strings.Contains(exponent, "training.kubeflow.org/unreadable") {
				t.Errorf("nothing but the status is written: %s", exponent)
			}
			for _, pod := range []string{"exponent-worker-0", "hang-worker-0", "new-worker-0", "later-worker-0"} {
				if c.created(pod)() {
					t.Errorf("there is pod %s of a job that cannot be decoded", pod)
				}
			}
		})
	}
}

func asJSON(t *testing.T, o any) string {
	t.Helper()
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestUndecodableIsQuiet checks that a job that cannot be decoded costs one write.
func TestUndecodableIsQuiet(t *testing.T) {
	c := newCluster(t, fakeapi.New(append(fakeapi.Core(), testJobs, timedJobs)...), timedController{})
	c.Put(timedPath+"new", aTimedJob("abc", "{}"))
	c.start()
	c.eventually("it has failed", func() bool { return c.condition(timedPath+"new", commonv1.JobFailed) != "" })
	for i := range 20 {
		c.Put(timedPath+fmt.Sprint("good", i), aTimedJob("1s", "{}"))
		c.eventually("another job runs", c.created(fmt.Sprint("good", i, "-worker-0")))
	}
	writes := slices.DeleteFunc(c.Asked(), func(s string) bool { return s != "PATCH "+timedPath+"new/status" })
	if len(writes) != 1 {
		t.Errorf("there are %d writes of its status, want 1", len(writes))
	}
}

// TestForgedMark checks that no one can make a job look as if it could not be decoded.
func TestForgedMark(t *testing.T) {
	c := newCluster(t, fakeapi.New(append(fakeapi.Core(), testJobs, timedJobs)...), timedController{})
	forged := strings.Replace(aTestJob("1", "{}"), `"mine":"x"`, `"training.kubeflow.org/unreadable":"forged"`, 1)
	c.Put(testPath+"forged", forged)
	c.start()
	c.eventually("it runs", c.created("forged-worker-0"))
}

// TestUndecodableOfAnother checks that a job of another controller is not touched even if
// it cannot be decoded.
func TestUndecodableOfAnother(t *testing.T) {
	c := newCluster(t, fakeapi.New(append(fakeapi.Core(), testJobs, timedJobs)...), timedController{})
	foreign := strings.Replace(aTimedJob("abc", "{}"), `"every"`, `"runPolicy":{"managedBy":"kueue.x-k8s.io/multikueue"},"every"`, 1)
	c.Put(timedPath+"a-foreign", foreign)
	c.Put(timedPath+"b-own", aTimedJob("abc", "{}"))
	c.start()
	c.eventually("the own one has failed", func() bool { return c.condition(timedPath+"b-own", commonv1.JobFailed) != "" })
	c.Put(timedPath+"good", aTimedJob("1s", "{}"))
	c.eventually("another job runs", c.created("good-worker-0"))
	if writes := slices.DeleteFunc(c.Asked(), func(s string) bool { return !strings.HasPrefix(s, "PATCH "+timedPath+"a-foreign") }); len(writes) > 0 {
		t.Errorf("the job of another controller was written: %v", writes)
	}
}

// gauge reads the metrics of the kinds.
func (c *cluster) gauge(name string, labels ...string) float64 {
	c.t.Helper()
	families, err := c.metrics.Gather()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(values, labels) {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

// TestKindsStartEachForItself checks known-bugs row 93: what one kind cannot read keeps
// only that kind, which says so and begins when it can, and the manager ends when asked.
func TestKindsStartEachForItself(t *testing.T) {
	isList := func(r *http.Request, resource string) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/"+resource)
	}
	tests := map[string]struct {
		reason    string
		rule      func(*http.Request) int
		noCRD     bool
		says      []string
		resource  string
		why       string
		recovered bool
	}{
		"Forbidden": {
			reason: "jobs of the kind may not be listed", resource: "timedjobs", why: "Forbidden", recovered: true,
			rule: func(r *http.Request) int {
				if isList(r, "timedjobs") {
					return http.StatusForbidden
				}
				return fakeapi.Serve
			},
			says: []string{"jobs of this kind are not run: timedjobs: ", "the test refuses GET /apis/example.com/v1/timedjobs", "grant it to the operator"},
		},
		"NoCRD": {
			reason: "the CRD is missing", noCRD: true, resource: "timedjobs", why: "NoCRD", recovered: true,
			says: []string{`no matches for`, "install the CRD"},
		},
		"Hang": {
			reason: "the list never ends", resource: "timedjobs", why: "Reading",
			rule: func(r *http.Request) int {
				if isList(r, "timedjobs") {
					return fakeapi.Hang
				}
				return fakeapi.Serve
			},
			says: []string{"timedjobs: they are still being read"},
		},
		"Children": {
			reason: "objects that only this kind keeps may not be listed", resource: "configmaps", why: "Forbidden",
			rule: func(r *http.Request) int {
				if isList(r, "configmaps") {
					return http.StatusForbidden
				}
				return fakeapi.Serve
			},
			says: []string{"configmaps: ", "the test refuses GET /api/v1/configmaps"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := fakeapi.New(append(fakeapi.Core(), testJobs)...)
			if !tc.noCRD {
				api.Add(timedJobs)
			}
			c := newCluster(t, api, keepingController{})
			c.Rule(tc.rule)
			c.Put(testPath+"good", aTestJob("1", "{}"))
			c.Put(timedPath+"waits", aTimedJob("1s", "{}"))
			c.start()
			c.eventually("the other kind runs", c.created("good-worker-0"))
			c.eventually("it is ready", func() bool { return c.test.Ready(nil) == nil && c.gauge("jobkit_kind_ready", "test") == 1 })
			for _, want := range tc.says {
				c.eventually("the probe of the kind says "+want, func() bool { return strings.Contains(fmt.Sprint(c.timed.Ready(nil)), want) })
			}
			c.eventually("the metrics say so", func() bool {
				return c.gauge("jobkit_kind_ready", "timed") == 0 && c.gauge("jobkit_kind_waits", "timed", tc.why, tc.resource) == 1
			})
			if tc.recovered {
				if tc.noCRD {
					c.Add(timedJobs)
				}
				c.Rule(nil)
				c.eventually("the kind begins when it can", c.created("waits-worker-0"))
				c.eventually("it is ready", func() bool {
					return c.timed.Ready(nil) == nil && c.gauge("jobkit_kind_ready", "timed") == 1 && c.gauge("jobkit_kind_waits", "timed", tc.why, tc.resource) == -1
				})
			}
			c.mustStop()
		})
	}
}

// TestNamespaces checks that a controller of some namespaces asks for those only.
func TestNamespaces(t *testing.T) {
	c := newCluster(t, fakeapi.New(append(fakeapi.Core(), testJobs, timedJobs)...), timedController{}, "default", "team")
	inTeam, inOther := strings.Replace(timedPath, "default", "team", 1), strings.Replace(timedPath, "default", "other", 1)
	c.Put(timedPath+"a", aTimedJob("1s", "{}"))
	c.Put(inTeam+"b", aTimedJob("abc", "{}"))
	c.Put(inOther+"c", aTimedJob("1s", "{}"))
	c.start()
	c.eventually("a job runs", c.created("a-worker-0"))
	c.eventually("another one has failed", func() bool { return c.condition(inTeam+"b", commonv1.JobFailed) != "" })
	c.eventually("all is ready", func() bool { return c.timed.Ready(nil) == nil })
	if asked := c.Asked(); slices.Contains(asked, "GET /apis/example.com/v1/timedjobs") {
		t.Error("jobs of all namespaces were asked for")
	}
	var list timedJobList
	if err := c.timed.Reader().List(t.Context(), &list); err != nil || len(list.Items) != 2 {
		t.Errorf("the client lists %d jobs of its namespaces, want 2: %v", len(list.Items), err)
	}
	if err := c.timed.Reader().List(t.Context(), &list, client.InNamespace("team")); err != nil || len(list.Items) != 1 {
		t.Errorf("the client lists %d jobs of one namespace, want 1: %v", len(list.Items), err)
	}
}
