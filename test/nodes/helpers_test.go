//go:build linux && nodes

package nodes

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

const (
	namespace = "default"
	// patience is how long a test waits for what must happen, on a busy machine.
	patience = 300 * time.Second
	poll     = 200 * time.Millisecond

	program = "/bin/program"
)

// kind is a job kind, and the replicas that its jobs have here.
type kind struct {
	word, specs, container string
	replicas               map[commonv1.ReplicaType]int64
}

var (
	tfJob      = kind{"TFJob", "tfReplicaSpecs", "tensorflow", map[commonv1.ReplicaType]int64{"PS": 1, "Worker": 2}}
	pytorchJob = kind{"PyTorchJob", "pytorchReplicaSpecs", "pytorch", map[commonv1.ReplicaType]int64{"Master": 1, "Worker": 2}}
	xgboostJob = kind{"XGBoostJob", "xgbReplicaSpecs", "xgboost", map[commonv1.ReplicaType]int64{"Master": 1, "Worker": 2}}
	paddleJob  = kind{"PaddleJob", "paddleReplicaSpecs", "paddle", map[commonv1.ReplicaType]int64{"Master": 1, "Worker": 2}}
	jaxJob     = kind{"JAXJob", "jaxReplicaSpecs", "jax", map[commonv1.ReplicaType]int64{"Worker": 3}}
	mpiJob     = kind{"MPIJob", "mpiReplicaSpecs", "mpi", map[commonv1.ReplicaType]int64{"Launcher": 1, "Worker": 2}}
)

// settings of a job.
type settings struct {
	kind

	// name is added to that of the test.
	name string
	// policy of all replicas, unless policies has another one for a type.
	policy   commonv1.RestartPolicy
	policies map[commonv1.ReplicaType]commonv1.RestartPolicy
	// runPolicy, besides cleanPodPolicy None.
	runPolicy map[string]any
	steps     int
	// peers is what a process does that loses another: "wait" or an exit code.
	peers string
	// stay is the types whose processes run until they are stopped.
	stay commonv1.ReplicaType
	// dns is the name server, by default the cluster's.
	dns string
	// change changes the pod spec of a type.
	change func(commonv1.ReplicaType, *corev1.PodSpec)
	// spec is more of the job's spec.
	spec map[string]any
	// processes is how many there are, unless each replica is one.
	processes int
}

// job is a job that was submitted.
type job struct {
	settings

	t    *testing.T
	name string // hides that of the settings
	dir  string
}

// submit submits a job, whose name comes from the test's.
func submit(t *testing.T, s settings) *job {
	t.Helper()
	name := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(t.Name(), "Test"), "/", "-"))
	if s.name != "" {
		name += "-" + s.name
	}
	j := &job{settings: s, t: t, name: name, dir: filepath.Join(world.Shared, name)}
	if err := os.MkdirAll(j.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	specs := map[string]any{}
	for replicaType, count := range s.replicas {
		pod := j.pod(replicaType)
		if s.change != nil {
			s.change(replicaType, pod)
		}
		template, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
		if err != nil {
			t.Fatal(err)
		}
		policy := s.policy
		if p, ok := s.policies[replicaType]; ok {
			policy = p
		}
		specs[string(replicaType)] = map[string]any{"replicas": count, "restartPolicy": string(policy), "template": map[string]any{"spec": template}}
	}
	runPolicy := map[string]any{"cleanPodPolicy": "None", "backoffLimit": int64(20)}
	maps.Copy(runPolicy, s.runPolicy)
	u := j.object()
	spec := map[string]any{"runPolicy": runPolicy, s.specs: specs}
	maps.Copy(spec, s.spec)
	u.Object["spec"] = spec
	if err := world.client.Create(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			j.report()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := world.client.Delete(ctx, j.object()); err != nil {
			t.Error(err)
		}
	})
	return j
}

// pod is what a replica runs.
func (j *job) pod(replicaType commonv1.ReplicaType) *corev1.PodSpec {
	then := "exit"
	if replicaType == j.stay {
		then = "stay"
	}
	steps, peers := j.steps, j.peers
	if steps == 0 {
		steps = 10
	}
	if peers == "" {
		peers = "wait"
	}
	folder := corev1.HostPathDirectory
	c := corev1.Container{
		Name: j.container, Image: ProgramImage, ImagePullPolicy: corev1.PullIfNotPresent,
		Command: []string{program},
		Env: []corev1.EnvVar{
			{Name: "JOBKIT_DIR", Value: "/work"},
			{Name: "JOBKIT_STEPS", Value: strconv.Itoa(steps)},
			{Name: "JOBKIT_PAUSE", Value: "100ms"},
			{Name: "JOBKIT_PEERS", Value: peers},
			{Name: "JOBKIT_THEN", Value: then},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/work"}},
	}
	pod := &corev1.PodSpec{
		TerminationGracePeriodSeconds: new(int64(2)),
		Containers:                    []corev1.Container{c},
		Volumes:                       []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: j.dir, Type: &folder}}}},
		TopologySpreadConstraints: []corev1.TopologySpreadConstraint{{
			MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.ScheduleAnyway,
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{commonv1.JobNameLabel: j.name}},
		}},
	}
	switch {
	case j.word != mpiJob.word:
	case replicaType == "Launcher":
		pod.Containers[0].Command = []string{program, "mpirun"}
	default: // waits for what the launcher starts
		pod.Containers[0].Command = []string{"/bin/sleep", "365d"}
	}
	if j.dns != "" {
		pod.DNSPolicy = corev1.DNSNone
		pod.DNSConfig = &corev1.PodDNSConfig{
			Nameservers: []string{j.dns}, Searches: []string{namespace + ".svc.cluster.local", "svc.cluster.local", "cluster.local"},
			Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("5")}},
		}
	}
	return pod
}

func (j *job) object() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("kubeflow.org/v1")
	u.SetKind(j.word)
	u.SetNamespace(namespace)
	u.SetName(j.name)
	return u
}

// status is the status of the job.
func (j *job) status() *commonv1.JobStatus {
	j.t.Helper()
	u := j.object()
	if err := world.client.Get(j.t.Context(), client.ObjectKeyFromObject(u), u); err != nil {
		j.t.Fatal(err)
	}
	var holder struct {
		Status commonv1.JobStatus `json:"status"`
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &holder); err != nil {
		j.t.Fatal(err)
	}
	return &holder.Status
}

// pods are the job's pods by name, without "<job>-".
func (j *job) pods() map[string]*corev1.Pod {
	j.t.Helper()
	var list corev1.PodList
	if err := world.client.List(j.t.Context(), &list, client.InNamespace(namespace), client.MatchingLabels{commonv1.JobNameLabel: j.name}); err != nil {
		j.t.Fatal(err)
	}
	pods := map[string]*corev1.Pod{}
	for i := range list.Items {
		pods[strings.TrimPrefix(list.Items[i].Name, j.name+"-")] = &list.Items[i]
	}
	return pods
}

// uids identify pods.
func uids(pods map[string]*corev1.Pod) map[string]types.UID {
	ids := map[string]types.UID{}
	for name, p := range pods {
		ids[name] = p.UID
	}
	return ids
}

// recreated names the pods that are not those before.
func (j *job) recreated(before map[string]*corev1.Pod) []string {
	j.t.Helper()
	var names []string
	for name, p := range j.pods() {
		if before[name] == nil || before[name].UID != p.UID {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// eventually waits until a check returns "".
func (j *job) eventually(what string, check func() string) {
	j.t.Helper()
	for end := time.Now().Add(patience); ; {
		said := check()
		if said == "" {
			return
		}
		if time.Now().After(end) {
			j.t.Fatalf("%s: not %s: %s", j.name, what, said)
		}
		time.Sleep(poll)
	}
}

// finish waits for the end of the job and checks it.
func (j *job) finish(want commonv1.JobConditionType) *commonv1.JobStatus {
	j.t.Helper()
	var s *commonv1.JobStatus
	j.eventually("finished", func() string {
		if s = j.status(); s.Finished() {
			return ""
		}
		return fmt.Sprintf("%s, %v", s.State, s.ReplicaStatuses)
	})
	if s.State != want {
		j.t.Errorf("%s ends as %s, want %s: %+v", j.name, s.State, want, s.Conditions[len(s.Conditions)-1])
	}
	return s
}

// event is a line of a process's diary.
type event struct {
	at   time.Time
	pod  string
	rank int
	word string
	n    int
	// more is the rest of the line.
	more []string
}

// diaries are what the job's processes did, in the order of time.
func (j *job) diaries() []event {
	j.t.Helper()
	files, _ := filepath.Glob(filepath.Join(j.dir, "*.log"))
	var all []event
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			j.t.Fatal(err)
		}
		pod := strings.TrimPrefix(strings.TrimSuffix(filepath.Base(file), ".log"), j.name+"-")
		for line := range strings.Lines(string(data)) {
			e := event{pod: pod}
			var ms int64
			// The last line may still be being written.
			if _, err := fmt.Sscan(line, &ms, &e.rank, &e.word, &e.n); err == nil {
				e.at, e.more = time.UnixMilli(ms), strings.Fields(line)[4:]
				all = append(all, e)
			}
		}
	}
	slices.SortStableFunc(all, func(x, y event) int { return x.at.Compare(y.at) })
	return all
}

// last is for each rank the latest number of a word.
func (j *job) last(word string) map[int]int {
	j.t.Helper()
	last := map[int]int{}
	for _, e := range j.diaries() {
		if e.word == word {
			last[e.rank] = e.n
		}
	}
	return last
}

// size is how many processes the job has.
func (j *job) size() int {
	if j.processes > 0 {
		return j.processes
	}
	n := 0
	for _, count := range j.replicas {
		n += int(count)
	}
	return n
}

// stepped waits until all processes have made a number of steps.
func (j *job) stepped(n int) {
	j.t.Helper()
	j.eventually(fmt.Sprintf("at step %d", n), func() string {
		last := j.last("step")
		for rank := range j.size() {
			if last[rank] < n {
				return fmt.Sprint(last)
			}
		}
		return ""
	})
}

// complete checks that all processes made all steps.
func (j *job) complete() {
	j.t.Helper()
	done := j.last("done")
	for rank := range j.size() {
		if done[rank] != j.steps {
			j.t.Errorf("%s: rank %d is done at step %d, want %d", j.name, rank, done[rank], j.steps)
		}
	}
}

// recovery logs how long the job took until all its processes stepped again.
func (j *job) recovery(what string, since time.Time) {
	j.t.Helper()
	started, stepped, processes := j.again(since)
	j.t.Logf("%s: all %d processes step again %.1f s after %s; the last of them started after %.1f s",
		j.name, processes, stepped.Sub(since).Seconds(), what, started.Sub(since).Seconds())
}

// again is when the last process started, since something happened, when all of them had made
// a step with it, and how many they are.
func (j *job) again(since time.Time) (started, stepped time.Time, processes int) {
	j.t.Helper()
	started = since
	ranks := map[int]bool{}
	for _, e := range j.diaries() {
		switch {
		case !e.at.After(since):
		case e.word == "start":
			started = e.at
			clear(ranks)
		case e.word == "step" && !ranks[e.rank]:
			ranks[e.rank], stepped = true, e.at
		}
	}
	return started, stepped, len(ranks)
}

// order sends a command to a process.
func (j *job) order(pod, command string) {
	j.t.Helper()
	file := filepath.Join(j.dir, j.name+"-"+pod+".command")
	if err := os.WriteFile(file+".tmp", []byte(command), 0o600); err != nil {
		j.t.Fatal(err)
	}
	if err := os.Rename(file+".tmp", file); err != nil {
		j.t.Fatal(err)
	}
}

// report logs what is known of a job whose test has failed.
func (j *job) report() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	u := j.object()
	_ = world.client.Get(ctx, client.ObjectKeyFromObject(u), u)
	j.t.Logf("status: %v", u.Object["status"])
	var pods corev1.PodList
	_ = world.client.List(ctx, &pods, client.InNamespace(namespace), client.MatchingLabels{commonv1.JobNameLabel: j.name})
	for _, p := range pods.Items {
		j.t.Logf("pod %s on %s: %s %s %v %v", p.Name, p.Spec.NodeName, p.Status.Phase, p.Status.Message, p.Status.ContainerStatuses, p.DeletionTimestamp)
		if log, err := world.core.CoreV1().Pods(namespace).GetLogs(p.Name, &corev1.PodLogOptions{TailLines: new(int64(8))}).DoRaw(ctx); err == nil {
			j.t.Logf("%s", log)
		}
	}
	var events corev1.EventList
	_ = world.client.List(ctx, &events, client.InNamespace(namespace))
	for _, e := range events.Items {
		if strings.HasPrefix(e.InvolvedObject.Name, j.name) {
			j.t.Logf("event %s %s: %s %s", e.LastTimestamp.Format(time.TimeOnly), e.InvolvedObject.Name, e.Reason, e.Message)
		}
	}
}
