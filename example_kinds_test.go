package jobkit_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/jobtest"
)

// kind is what all examples below have in common; each of them adds one thing.
type kind struct {
	jobkit.Defaults[*testv1.TestJob]
}

func (kind) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles:             []jobkit.Role{{Type: testv1.Master, Max: 1}, {Type: testv1.Worker}},
		ReplicaSpecsField: "testReplicaSpecs",
		ContainerName:     testv1.ContainerName,
	}
}

func (kind) Parts(job *testv1.TestJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.TestReplicaSpecs, Status: &job.Status}
}

// bert is a job with a Master and some Workers.
func bert(workers int32) *testv1.TestJob {
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: testv1.ContainerName, Image: "train"}}}}
	return &testv1.TestJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "bert"},
		Spec: testv1.TestJobSpec{TestReplicaSpecs: map[commonv1.ReplicaType]*commonv1.ReplicaSpec{
			testv1.Master: {Template: template},
			testv1.Worker: {Replicas: &workers, Template: template},
		}},
	}
}

// known is a scheme with Kubernetes' own types and the job's.
func known() *runtime.Scheme {
	s := runtime.NewScheme()
	_ = scheme.AddToScheme(s)
	_ = testv1.AddToScheme(s)
	return s
}

// withHosts gives each job a ConfigMap that lists its hosts.
type withHosts struct{ kind }

func (withHosts) ObjectKinds() []jobkit.Object { return []jobkit.Object{&corev1.ConfigMap{}} }

func (withHosts) Objects(job *testv1.TestJob, tally *jobkit.Tally) []jobkit.Object {
	var hosts strings.Builder
	about := kind{}.Kind()
	for i := range tally.Of(testv1.Worker).States {
		hosts.WriteString(about.PodName(job.Name, testv1.Worker, int32(i)) + "\n")
	}
	return []jobkit.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: job.Name + "-hosts"}, Data: map[string]string{"hosts": hosts.String()}}}
}

// How does a job get an object of its own, such as a ConfigMap? It is created before the
// pods, follows the job, and is deleted with it.
func ExampleOwnedObjects() {
	objects, err := jobtest.Render(withHosts{}, known(), bert(2))
	if err != nil {
		fmt.Println(err)
	}
	for _, o := range objects {
		if c, ok := o.(*corev1.ConfigMap); ok {
			fmt.Print(c.Name, " of ", c.OwnerReferences[0].Name, ":\n", c.Data["hosts"])
		}
	}
	// Output:
	// bert-hosts of bert:
	// bert-worker-0
	// bert-worker-1
}

// limited refuses jobs with more than four Workers.
type limited struct{ kind }

func (limited) Validate(job *testv1.TestJob) field.ErrorList {
	path := field.NewPath("spec", "testReplicaSpecs").Key("Worker").Child("replicas")
	if n := jobkit.Count(job.Spec.TestReplicaSpecs, testv1.Worker); n > 4 {
		return field.ErrorList{field.Invalid(path, n, "the license is for 4 Workers: set 4 or less")}
	}
	return nil
}

// How does a kind refuse mistakes in its own fields? The job fails with the message.
func ExampleValidator() {
	_, err := jobtest.Render(limited{}, known(), bert(5))
	fmt.Println(err)
	// Output:
	// TestJob default/bert is not valid: spec.testReplicaSpecs[Worker].replicas: Invalid value: 5: the license is for 4 Workers: set 4 or less
}

// ownDomain is a kind with a domain of its own.
type ownDomain struct{ kind }

func (ownDomain) Kind() jobkit.Kind {
	k := kind{}.Kind()
	k.LabelDomain = "sim.example.com"
	return k
}

// How do users select pods by labels under a domain of the kind's own?
func ExampleKind_labelDomain() {
	objects, err := jobtest.Render(ownDomain{}, known(), bert(1))
	if err != nil {
		fmt.Println(err)
	}
	selector := labels.SelectorFromSet(labels.Set{"sim.example.com/job-name": "bert", "sim.example.com/replica-type": "worker"})
	for _, o := range objects {
		if pod, ok := o.(*corev1.Pod); ok && selector.Matches(labels.Set(pod.Labels)) {
			fmt.Println(pod.Name, pod.Labels["sim.example.com/replica-index"], pod.Labels[commonv1.ReplicaIndexLabel])
		}
	}
	// Output:
	// bert-worker-0 0 0
}

// oneGPU warns of Workers that ask for no GPU: they would train on the CPU.
type oneGPU struct{ kind }

func (oneGPU) Warn(job *testv1.TestJob) []jobkit.Warning {
	workers := job.Spec.TestReplicaSpecs[testv1.Worker]
	if workers == nil {
		return nil
	}
	for _, c := range workers.Template.Spec.Containers {
		if _, ok := c.Resources.Limits["nvidia.com/gpu"]; ok {
			return nil
		}
	}
	return []jobkit.Warning{{Reason: "TestJobNoGPU", Message: "No Worker asks for nvidia.com/gpu: it would train on the CPU."}}
}

// How does a kind tell its user what is no mistake? An event says it, once.
func ExampleWarner() {
	world, err := jobtest.NewWorld(oneGPU{}, known(), jobtest.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := world.Client().Create(context.Background(), bert(1)); err != nil {
		fmt.Println(err)
	}
	if err := world.Run(context.Background()); err != nil {
		fmt.Println(err)
	}
	for line := range strings.Lines(world.Transcript()) {
		if _, event, ok := strings.Cut(line, "event TestJobNoGPU "); ok {
			fmt.Print(event)
		}
	}
	// Output:
	// on bert: No Worker asks for nvidia.com/gpu: it would train on the CPU.
}

// Which rule decides over success? The first that holds: here a Master, or any Worker.
func ExampleRules_Succeeded() {
	rules := jobkit.Rules{Success: []jobkit.SuccessRule{
		jobkit.AllOf(jobkit.All("Master")),
		jobkit.AnyOf(jobkit.All("Worker")),
	}}
	workers := func(states ...jobkit.ReplicaState) *jobkit.Tally {
		return &jobkit.Tally{Types: []jobkit.TypeTally{{Type: "Worker", States: states}}}
	}
	fmt.Println(rules.Succeeded(workers(jobkit.Active, jobkit.Active)))
	fmt.Println(rules.Succeeded(workers(jobkit.Active, jobkit.Succeeded)))
	// Output:
	// false
	// true
}

// halfIsEnough ends a job well when half of its Workers have succeeded.
type halfIsEnough struct{ kind }

func (halfIsEnough) EvaluateStatus(_ *testv1.TestJob, tally *jobkit.Tally) *jobkit.Outcome {
	done := 0
	states := tally.Of(testv1.Worker).States
	for _, state := range states {
		if state == jobkit.Succeeded {
			done++
		}
	}
	if 2*done < len(states) {
		return &jobkit.Outcome{Running: true}
	}
	return &jobkit.Outcome{Succeeded: true, Message: fmt.Sprintf("%d of %d Workers are enough.", done, len(states))}
}

// What if no rule can say when a job has succeeded? Code can. Here Workers take an hour
// for each step of their index, and the job ends when the second of four has.
func ExampleStatusEvaluator() {
	world, err := jobtest.NewWorld(halfIsEnough{}, known(), jobtest.Options{Fate: func(pod *corev1.Pod) jobtest.Fate {
		steps := int(pod.Name[len(pod.Name)-1] - '0')
		return jobtest.Fate{Run: time.Hour * time.Duration(1+steps)}
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, job := context.Background(), bert(4)
	delete(job.Spec.TestReplicaSpecs, testv1.Master)
	if err := world.Client().Create(ctx, job); err != nil {
		fmt.Println(err)
	}
	if err := world.RunFor(ctx, 3*time.Hour); err != nil {
		fmt.Println(err)
	}
	_ = world.Client().Get(ctx, jobKey, job)
	last := job.Status.Conditions[len(job.Status.Conditions)-1]
	fmt.Println(last.Type, "after", job.Status.CompletionTime.Sub(job.CreationTimestamp.Time).Round(time.Hour))
	fmt.Println(last.Message)
	// Output:
	// Succeeded after 2h0m0s
	// 2 of 4 Workers are enough.
}

// masterLast starts the Master when all Workers are ready.
type masterLast struct{ kind }

func (masterLast) Rules(*testv1.TestJob) jobkit.Rules {
	return jobkit.Rules{StartAfter: []jobkit.StartAfter{{Type: testv1.Master, After: []commonv1.ReplicaType{testv1.Worker}, Ready: true}}}
}

// How do some replicas start after others? Here image pulls of the Workers take a minute.
func ExampleStartAfter() {
	world, err := jobtest.NewWorld(masterLast{}, known(), jobtest.Options{Fate: func(*corev1.Pod) jobtest.Fate {
		return jobtest.Fate{Start: time.Minute, Run: time.Hour}
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := world.Client().Create(ctx, bert(2)); err != nil {
		fmt.Println(err)
	}
	for _, wait := range []time.Duration{30 * time.Second, time.Minute} {
		if err := world.RunFor(ctx, wait); err != nil {
			fmt.Println(err)
		}
		var pods corev1.PodList
		_ = world.Client().List(ctx, &pods)
		names := map[string]bool{}
		for i := range pods.Items {
			names[pods.Items[i].Name] = true
		}
		fmt.Println(slices.Sorted(maps.Keys(names)))
	}
	// Output:
	// [bert-worker-0 bert-worker-1]
	// [bert-master-0 bert-worker-0 bert-worker-1]
}

var jobKey = types.NamespacedName{Namespace: "default", Name: "bert"}
