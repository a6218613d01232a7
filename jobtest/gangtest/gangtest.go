// Package gangtest checks that a gang.Scheduler keeps what the library promises.
package gangtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/jobtest"
)

// firstWorker is the name of the pod that fails first.
const firstWorker = "job-worker-0"

// Backend is a back end, and how its scheduler behaves.
type Backend struct {
	Scheduler gang.Scheduler
	// AddToScheme makes Go types known that client-go's scheme does not know. Optional.
	AddToScheme func(*runtime.Scheme) error
	// Admit changes an object of a group as the scheduler does when it wants to see the
	// pods. Leave it out if the scheduler does no such thing.
	Admit func(o jobkit.Object)
	// Refuse changes an object of a group as the scheduler does when the group does not
	// fit, and has been so since the given time. The job's condition must then report
	// Says. Leave both out if the scheduler reports it on the pods.
	Refuse func(o jobkit.Object, since time.Time)
	Says   string
	// Fixed is true when the API lets nothing of a group change.
	Fixed bool
}

// Exercise checks a back end: its methods one by one, and the life of a job with it.
func Exercise(t *testing.T, b Backend) {
	t.Helper()
	t.Run("Kinds", func(t *testing.T) { kinds(t, &b) })
	t.Run("Objects", func(t *testing.T) { objects(t, &b) })
	t.Run("OneGroupAKind", func(t *testing.T) { oneGroupAKind(t, &b) })
	t.Run("Patch", func(t *testing.T) { patch(t, &b) })
	t.Run("Join", func(t *testing.T) { join(t, &b) })
	t.Run("AnotherScheduler", func(t *testing.T) { anotherScheduler(t, &b) })
	for _, scope := range []commonv1.RestartScope{commonv1.RestartScopeReplica, commonv1.RestartScopeJob} {
		t.Run("Life/"+string(scope), func(t *testing.T) { life(t, &b, scope) })
	}
	t.Run("Partial", func(t *testing.T) { partial(t, &b) })
	t.Run("InOrder", func(t *testing.T) { checkOrder(t, &b) })
	if !b.Fixed {
		t.Run("Done", func(t *testing.T) { done(t, &b) })
	}
	if b.Refuse != nil {
		t.Run("Waits", func(t *testing.T) { waits(t, &b) })
	}
}

// Job is a job as Exercise gives it to the back end: one Master and three Workers.
func Job() *gang.Job {
	pod := func(cpu string) *corev1.PodTemplateSpec {
		c := corev1.Container{Name: containerName, Image: "test"}
		c.Resources.Requests = quantities(cpu)
		return &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{c}}}
	}
	return &gang.Job{
		APIVersion: groupVersion().String(), Kind: kindName, Namespace: "ns", Name: "job",
		Members: []gang.Member{{Type: "Master", Replicas: 1, Template: pod("2")}, {Type: "Worker", Replicas: 3, Template: pod("1")}},
	}
}

func kinds(t *testing.T, b *Backend) {
	t.Helper()
	known := b.scheme(t)
	named := map[string]bool{}
	for _, o := range b.Scheduler.Kinds() {
		named[kindOf(t, known, o)] = true
	}
	for _, o := range b.Scheduler.Objects(Job()) {
		if kind := kindOf(t, known, o); !named[kind] {
			t.Errorf("Objects returns a %s, which is not among Kinds", kind)
		}
	}
}

func kindOf(t *testing.T, known *runtime.Scheme, o jobkit.Object) string {
	t.Helper()
	gvk, err := apiutil.GVKForObject(o, known)
	if err != nil {
		t.Fatal(err)
	}
	return gvk.String()
}

func objects(t *testing.T, b *Backend) {
	t.Helper()
	job := Job()
	first := b.Scheduler.Objects(job)
	if len(first) == 0 {
		t.Fatal("a job whose pods are all members has no group")
	}
	for range 20 {
		if diff := cmp.Diff(first, b.Scheduler.Objects(job)); diff != "" {
			t.Fatalf("Objects is not a pure function (-first +later):\n%s", diff)
		}
	}
	if diff := cmp.Diff(Job(), job); diff != "" {
		t.Errorf("Objects changed the job (-before +after):\n%s", diff)
	}
	for _, o := range first {
		if len(o.GetName()) > 63 || o.GetNamespace() != job.Namespace {
			t.Errorf("%T %s/%s is not named as it must be", o, o.GetNamespace(), o.GetName())
		}
	}
}

// oneGroupAKind is row 67 of docs/maintainers/known-bugs.md.
func oneGroupAKind(t *testing.T, b *Backend) {
	t.Helper()
	other := Job()
	other.Kind = "OtherJob"
	for i, o := range b.Scheduler.Objects(Job()) {
		if b.Scheduler.Objects(other)[i].GetName() == o.GetName() {
			t.Errorf("jobs of one name and two kinds share the %T %s", o, o.GetName())
		}
	}
}

// patch is row 64.
func patch(t *testing.T, b *Backend) {
	t.Helper()
	smaller := Job()
	smaller.Policy.MinAvailable = new(int32(2))
	found := b.Scheduler.Objects(Job())
	for _, o := range found {
		o.SetLabels(map[string]string{"theirs": "stays"})
		if u, ok := o.(*unstructured.Unstructured); ok {
			spec, _ := u.Object["spec"].(map[string]any)
			spec["theirs"] = map[string]any{"a": "b"}
		}
	}
	for i, o := range b.Scheduler.Objects(Job()) {
		if p := b.Scheduler.Patch(o, found[i]); len(p) > 0 {
			t.Errorf("%T says all that is wanted, but is patched with %v", o, p)
		}
	}
	before, changed := deepCopies(found), 0
	for i, o := range b.Scheduler.Objects(smaller) {
		p := b.Scheduler.Patch(o, found[i])
		changed += len(p)
		if strings.Contains(fmt.Sprint(p), "theirs") {
			t.Errorf("the patch of %T touches what is not ours: %v", o, p)
		}
	}
	if b.Fixed && changed > 0 {
		t.Error("the API lets nothing of a group change, but it is patched")
	}
	if changed == 0 && !b.Fixed {
		t.Error("another size of the group changes none of its objects")
	}
	if diff := cmp.Diff(before, found); diff != "" {
		t.Errorf("Patch changed what was found (-before +after):\n%s", diff)
	}
}

func deepCopies(list []jobkit.Object) []jobkit.Object {
	var out []jobkit.Object
	for _, o := range list {
		if c, ok := o.DeepCopyObject().(jobkit.Object); ok {
			out = append(out, c)
		}
	}
	return out
}

func join(t *testing.T, b *Backend) {
	t.Helper()
	job := Job()
	job.Members[1].Template.Labels = map[string]string{"a": "b"}
	job.Members[1].Template.Annotations = map[string]string{"c": "d"}
	before := job.Members[1].Template.DeepCopy()
	shared := *job.Members[1].Template
	if !b.Scheduler.Join(job, "Worker", &shared) {
		t.Fatal("a template that names no scheduler is a member")
	}
	if diff := cmp.Diff(before, job.Members[1].Template); diff != "" {
		t.Errorf("Join changed a map that is shared (-before +after):\n%s", diff)
	}
	if cmp.Equal(*before, shared) {
		t.Error("Join changed nothing: how does the scheduler know the group?")
	}
	if shared.Labels["a"] != "b" || shared.Annotations["c"] != "d" {
		t.Error("Join dropped what the template says")
	}
}

func anotherScheduler(t *testing.T, b *Backend) {
	t.Helper()
	job := Job()
	job.Members[0].Template.Spec.SchedulerName = "another-scheduler"
	before := job.Members[0].Template.DeepCopy()
	if b.Scheduler.Join(job, "Master", job.Members[0].Template) {
		t.Error("a template that names another scheduler is no member")
	}
	if diff := cmp.Diff(before, job.Members[0].Template); diff != "" {
		t.Errorf("it is to be left alone (-before +after):\n%s", diff)
	}
	job.Members[1].Template.Spec.SchedulerName = "another-scheduler"
	if o := b.Scheduler.Objects(job); len(o) > 0 {
		t.Errorf("a job without members needs no group, got %d objects", len(o))
	}
}

// life takes a job through its life: its group comes before its pods, is quiet at rest,
// goes when the job is suspended, comes back, and goes when the job has finished.
func life(t *testing.T, b *Backend, scope commonv1.RestartScope) {
	w := newWorld(t, b, scope)
	groups := len(b.Scheduler.Objects(Job()))
	w.runFor(time.Second)
	w.expect("taken up", groups, w.beforeAdmission(4))
	w.admit()
	w.runFor(time.Second)
	w.expect("admitted", groups, 4)
	w.scale(2)
	w.runFor(time.Second)
	w.expect("scaled down", groups, 3)
	w.suspend(true)
	w.runFor(time.Minute)
	w.expect("suspended", 0, 0)
	w.suspend(false)
	w.runFor(time.Second)
	w.expect("resumed", groups, w.beforeAdmission(3))
	w.admit()
	w.runFor(time.Second)
	w.expect("admitted again", groups, 3)
	w.runFor(2 * time.Hour)
	if job := w.job(); job.Status.Restarts != 1 && scope == commonv1.RestartScopeJob || !job.Status.Finished() {
		t.Errorf("want a job that was restarted and has finished, got %+v", job.Status)
	}
	w.expect("finished", 0, -1)
	w.rest()
}

// partial is row 66: a group that waits again does not keep missing pods of a job that
// runs from being created.
func partial(t *testing.T, b *Backend) {
	w := newWorld(t, b, commonv1.RestartScopeReplica)
	w.runFor(time.Second)
	w.admit()
	w.runFor(5 * time.Second)
	if b.Refuse != nil {
		w.each(func(o jobkit.Object) { b.Refuse(o, w.world.Now()) })
	}
	w.must(w.world.Client().Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job-worker-1"}}))
	w.runFor(time.Minute)
	w.expect("one pod was taken away", len(b.Scheduler.Objects(Job())), 4)
}

// checkOrder: a group does not wait for pods that start after others of it, and waits for them
// when they are created. A restart of the whole job begins with the order again.
func checkOrder(t *testing.T, b *Backend) {
	t.Helper()
	w := newWorldOf(t, b, commonv1.RestartScopeJob, func(pod *corev1.Pod) jobtest.Fate {
		if pod.Name == firstWorker && pod.Labels[commonv1.AttemptLabel] == "0" {
			return jobtest.Fate{Start: time.Second, Run: time.Minute, Exits: []int32{137}}
		}
		return jobtest.Fate{Start: 5 * time.Second, Forever: true}
	}, func(job *testJob) {
		job.Spec.ReplicaSpecs[worker].StartAfter = &commonv1.StartAfter{ReplicaType: master, State: commonv1.StartAfterRunning}
	})
	groups, first := len(b.Scheduler.Objects(Job())), Job()
	first.Members[1].Waiting = first.Members[1].Replicas
	w.runFor(time.Second)
	w.admit()
	for _, attempt := range []string{"first", "second"} {
		w.runFor(time.Second)
		w.expect("the Master goes first in the "+attempt+" attempt", groups, 1)
		if attempt == "first" || !b.Fixed {
			w.expectGroup("the Workers wait in the "+attempt+" attempt", first)
		}
		w.runFor(10 * time.Second)
		w.expect("the Master runs in the "+attempt+" attempt", groups, 4)
		if !b.Fixed {
			w.expectGroup("nothing waits in the "+attempt+" attempt", Job())
		}
		w.runFor(55 * time.Second)
	}
	if job := w.job(); job.Status.Attempt != 1 {
		t.Errorf("the job was restarted as a whole, but is at attempt %d", job.Status.Attempt)
	}
}

// done: a replica that has ended well needs no room beside one that waits for some. Once
// its pod is gone, no scheduler can count it.
func done(t *testing.T, b *Backend) {
	w := newWorldOf(t, b, commonv1.RestartScopeReplica, func(pod *corev1.Pod) jobtest.Fate {
		switch f := (jobtest.Fate{Start: time.Second, Run: time.Minute}); {
		case pod.Name == "job-worker-2":
			return f
		case pod.Name == firstWorker && pod.Labels[commonv1.AttemptLabel] == "0":
			f.Run, f.Exits = 2*time.Minute, []int32{137}
			return f
		case pod.Name == firstWorker:
			return jobtest.Fate{Unschedulable: true}
		default:
			return jobtest.Fate{Start: time.Second, Forever: true}
		}
	})
	w.runFor(time.Second)
	w.admit()
	w.runFor(time.Minute + 30*time.Second)
	want := Job()
	w.expectGroup("while all that have not ended run, the size stays", want)
	w.runFor(time.Minute)
	want.Done, want.Members[1].Done = 1, 1
	w.expectGroup("one has ended well, and one waits", want)
	w.must(w.world.Client().Delete(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job-worker-2"}}))
	w.runFor(time.Minute)
	want.Gone = 1
	w.expectGroup("the pod of the one that ended is gone", want)
	for i, o := range b.Scheduler.Objects(want) {
		if len(b.Scheduler.Patch(o, b.Scheduler.Objects(Job())[i])) > 0 {
			return
		}
	}
	t.Error("a replica whose pod is gone makes no difference to the group, but can never be scheduled")
}

// waits is row 28, and what the user sees.
func waits(t *testing.T, b *Backend) {
	w := newWorld(t, b, commonv1.RestartScopeReplica)
	w.runFor(time.Second)
	w.each(func(o jobkit.Object) { b.Refuse(o, w.world.Now()) })
	w.runFor(5 * time.Second)
	if c := w.job().Status.Condition(commonv1.JobStalled); c != nil {
		t.Errorf("to wait for a moment is nothing to report: %s", c.Message)
	}
	if w.beforeAdmission(4) == 0 {
		w.runFor(time.Minute)
		c := w.job().Status.Condition(commonv1.JobStalled)
		if c == nil || !strings.Contains(c.Message, b.Says) {
			t.Fatalf("the job does not say why it waits, %q, but %+v", b.Says, w.job().Status.Conditions)
		}
		version := w.job().ResourceVersion
		w.runFor(time.Hour)
		if now := w.job().ResourceVersion; now != version {
			t.Errorf("a job that waits writes its status, from version %s to %s", version, now)
		}
	}
	w.admit()
	w.runFor(time.Minute)
	if c := w.job().Status.Condition(commonv1.JobStalled); c != nil {
		t.Errorf("it no longer waits, but says: %s", c.Message)
	}
	w.expect("admitted", len(b.Scheduler.Objects(Job())), 4)
}

// theWorld is a World with one job in it.
type theWorld struct {
	t     *testing.T
	b     *Backend
	world *jobtest.World
}

func (b *Backend) scheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	known := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{scheme.AddToScheme, addTestJob, b.AddToScheme} {
		if add == nil {
			continue
		}
		if err := add(known); err != nil {
			t.Fatal(err)
		}
	}
	return known
}

// newWorld has a job of which one Worker fails once.
func newWorld(t *testing.T, b *Backend, scope commonv1.RestartScope) *theWorld {
	t.Helper()
	return newWorldOf(t, b, scope, func(pod *corev1.Pod) jobtest.Fate {
		if pod.Name == firstWorker && pod.Labels[commonv1.AttemptLabel] == "0" {
			return jobtest.Fate{Start: time.Second, Run: 10 * time.Minute, Exits: []int32{137}}
		}
		return jobtest.Fate{Start: time.Second, Run: time.Hour}
	})
}

func newWorldOf(
	t *testing.T, b *Backend, scope commonv1.RestartScope, fate func(*corev1.Pod) jobtest.Fate, change ...func(*testJob),
) *theWorld {
	t.Helper()
	world, err := jobtest.NewWorld[*testJob](testJobController{}, b.scheme(t), jobtest.Options{Gang: b.Scheduler, Fate: fate})
	if err != nil {
		t.Fatal(err)
	}
	w := &theWorld{t: t, b: b, world: world}
	specs := map[commonv1.ReplicaType]*commonv1.ReplicaSpec{}
	for _, m := range Job().Members {
		specs[m.Type] = &commonv1.ReplicaSpec{Replicas: &m.Replicas, Template: *m.Template, RestartPolicy: commonv1.RestartPolicyExitCode}
	}
	job := &testJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job"}, Spec: testJobSpec{ReplicaSpecs: specs}}
	job.Spec.RunPolicy.RestartScope = &scope
	job.Spec.RunPolicy.CleanPodPolicy = new(commonv1.CleanPodPolicyAll)
	for _, f := range change {
		f(job)
	}
	w.must(world.Client().Create(t.Context(), job))
	return w
}

func (w *theWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *theWorld) runFor(d time.Duration) {
	w.t.Helper()
	w.must(w.world.RunFor(w.t.Context(), d))
}

// rest lets the World come to rest, and has it check that all is quiet.
func (w *theWorld) rest() {
	w.t.Helper()
	w.must(w.world.Run(w.t.Context()))
}

func (w *theWorld) job() *testJob {
	w.t.Helper()
	job := &testJob{}
	w.must(w.world.Client().Get(w.t.Context(), client.ObjectKey{Namespace: "ns", Name: "job"}, job))
	return job
}

func (w *theWorld) scale(workers int32) {
	w.t.Helper()
	job := w.job()
	job.Spec.ReplicaSpecs[worker].Replicas = &workers
	w.must(w.world.Client().Update(w.t.Context(), job))
}

func (w *theWorld) suspend(yes bool) {
	w.t.Helper()
	job := w.job()
	job.Spec.RunPolicy.Suspend = &yes
	w.must(w.world.Client().Update(w.t.Context(), job))
}

// beforeAdmission is how many pods there are before the scheduler has done anything.
func (w *theWorld) beforeAdmission(all int) int {
	if w.b.Scheduler.State(Job(), nil).Hold {
		return 0
	}
	return all
}

// groups are the objects of the group.
func (w *theWorld) groups() []jobkit.Object {
	w.t.Helper()
	var out []jobkit.Object
	for _, o := range w.b.Scheduler.Objects(Job()) {
		err := w.world.Client().Get(w.t.Context(), client.ObjectKeyFromObject(o), o)
		if client.IgnoreNotFound(err) != nil {
			w.t.Fatal(err)
		}
		if err == nil {
			out = append(out, o)
		}
	}
	return out
}

// each changes the objects of the group as a scheduler does.
func (w *theWorld) each(change func(jobkit.Object)) {
	w.t.Helper()
	for _, o := range w.groups() {
		change(o)
		if _, ok := o.(*unstructured.Unstructured); ok {
			w.must(w.world.Client().Update(w.t.Context(), o))
			continue
		}
		if err := w.world.Client().Status().Update(w.t.Context(), o); client.IgnoreNotFound(err) != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *theWorld) admit() {
	w.t.Helper()
	if w.b.Admit != nil {
		w.each(w.b.Admit)
	}
}

// expect checks how many objects the group and how many pods the job has, and that the
// pods are members. A negative number of pods is any.
func (w *theWorld) expect(when string, groups, pods int) {
	w.t.Helper()
	if got := len(w.groups()); got != groups {
		w.t.Fatalf("%s: want %d objects of the group, got %d\n%s", when, groups, got, w.world.Transcript())
	}
	var list corev1.PodList
	w.must(w.world.Client().List(w.t.Context(), &list, client.InNamespace("ns")))
	list.Items = slices.DeleteFunc(list.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
	if pods >= 0 && len(list.Items) != pods {
		w.t.Fatalf("%s: want %d pods, got %d\n%s", when, pods, len(list.Items), w.world.Transcript())
	}
	for i := range list.Items {
		if list.Items[i].Labels[commonv1.PodGroupLabel] != Job().GroupName() {
			w.t.Errorf("%s: pod %s is no member of the group", when, list.Items[i].Name)
		}
	}
}

// expectGroup checks that the group is what the back end wants for a job.
func (w *theWorld) expectGroup(when string, job *gang.Job) {
	w.t.Helper()
	found := w.groups()
	for i, o := range w.b.Scheduler.Objects(job) {
		if p := w.b.Scheduler.Patch(o, found[i]); len(p) > 0 {
			w.t.Errorf("%s: %T says something else than is wanted; the patch is %v\n%s", when, o, p, w.world.Transcript())
		}
	}
}

func quantities(cpu string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
}
