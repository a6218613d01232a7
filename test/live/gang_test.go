//go:build live

package live

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// room is the CPUs of a node, and each test has one to itself.
const room = 4

// waitTime is longer than a job waits before it says so.
const waitTime = 15 * time.Second

// poolLabel of a node says whose it is.
const poolLabel = "pool"

// gangTest is one that has a node of its own.
type gangTest func(*testing.T, *gangs)

// gangs are the jobs of a test beside a gang scheduler: in a namespace of their own, on a node of
// their own.
type gangs struct {
	*world
	ns, pool string
	// version is that of the scheduler's PodGroups.
	version string
	// policy is what each job's scheduling policy has.
	policy map[string]any
}

// nodes gives each test a node.
func (w *world) nodes(t *testing.T, tests map[string]gangTest) {
	t.Helper()
	var pools []string
	for name := range tests {
		pools = append(pools, strings.ToLower(name))
	}
	w.label(t, poolLabel, pools...)
}

// jobOf is a job of the test, each of whose pods wants a CPU of the test's node.
func (g *gangs) jobOf(s jobSpec) *unstructured.Unstructured {
	pod := map[string]any{"nodeSelector": map[string]any{poolLabel: g.pool}}
	maps.Copy(pod, s.pod)
	s.pod = pod
	policy := map[string]any{}
	maps.Copy(policy, s.policy)
	scheduling := map[string]any{}
	maps.Copy(scheduling, g.policy)
	if own, ok := policy["schedulingPolicy"].(map[string]any); ok {
		maps.Copy(scheduling, own)
	}
	if len(scheduling) > 0 {
		policy["schedulingPolicy"] = scheduling
	}
	s.policy = policy
	return s.job(g.ns)
}

// workers is a JAXJob: all of its replicas decide.
func (g *gangs) workers(t *testing.T, name string, n int, life string) *unstructured.Unstructured {
	t.Helper()
	j := g.jobOf(jobSpec{kind: "JAXJob", name: name, replicas: map[string]int{"Worker": n}, life: lasts(life)})
	g.create(t, j)
	return j
}

// scale changes the number of workers.
func (g *gangs) scale(t *testing.T, j *unstructured.Unstructured, n int) {
	t.Helper()
	g.patch(t, j, fmt.Sprintf(`{"spec": {"jaxReplicaSpecs": {"Worker": {"replicas": %d}}}}`, n))
}

// suspend suspends or resumes a job.
func (g *gangs) suspend(t *testing.T, j *unstructured.Unstructured, yes bool) {
	t.Helper()
	g.patch(t, j, fmt.Sprintf(`{"spec": {"runPolicy": {"suspend": %t}}}`, yes))
}

// whole waits until n pods of a job have a node.
func (g *gangs) whole(t *testing.T, j *unstructured.Unstructured, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d pods of %s have a node", n, j.GetName()), func() error {
		if have := g.bound(t, j); have != n {
			return fmt.Errorf("%d have", have)
		}
		return nil
	})
}

// nothing checks that no pod of a job has a node for longer than it takes to say why, and that the
// job then says what is given.
func (g *gangs) nothing(t *testing.T, j *unstructured.Unstructured, parts ...string) {
	t.Helper()
	stays(t, "no pod of "+j.GetName()+" has a node", waitTime, func() error {
		if n := g.bound(t, j); n > 0 {
			return fmt.Errorf("%d have", n)
		}
		return nil
	})
	g.says(t, j, commonv1.JobStalled, parts...)
}

// clear checks that a job does not say any more that it waits.
func (g *gangs) clear(t *testing.T, j *unstructured.Unstructured) {
	t.Helper()
	eventually(t, j.GetName()+" does not wait any more", func() error {
		for _, c := range g.status(t, j).Conditions {
			if c.Type == commonv1.JobStalled && c.Status == corev1.ConditionTrue {
				return fmt.Errorf("it says %q", c.Message)
			}
		}
		return nil
	})
}

// groups are the PodGroups of the test.
func (g *gangs) groups(t *testing.T) []unstructured.Unstructured {
	t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion(g.version)
	list.SetKind("PodGroupList")
	if err := g.client.List(t.Context(), list, client.InNamespace(g.ns)); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// group waits for the one group of the test, with a number of members.
func (g *gangs) group(t *testing.T, members int64) *unstructured.Unstructured {
	t.Helper()
	var found *unstructured.Unstructured
	eventually(t, fmt.Sprintf("there is a group of %d", members), func() error {
		all := g.groups(t)
		if len(all) != 1 {
			return fmt.Errorf("there are %d groups", len(all))
		}
		found = &all[0]
		if n, _, _ := unstructured.NestedInt64(found.Object, "spec", "minMember"); n != members {
			return fmt.Errorf("it has %d", n)
		}
		return nil
	})
	return found
}

// alone waits until there is no group left.
func (g *gangs) alone(t *testing.T) {
	t.Helper()
	eventually(t, "the groups are gone", func() error {
		if all := g.groups(t); len(all) > 0 {
			return fmt.Errorf("there are %d", len(all))
		}
		return nil
	})
}

// quiet checks that neither a job nor its group is written while nothing happens.
func (g *gangs) quiet(t *testing.T, j *unstructured.Unstructured, members int64) {
	t.Helper()
	versions := func() string {
		g.get(t, j)
		return j.GetResourceVersion() + " " + g.group(t, members).GetResourceVersion()
	}
	last, since := versions(), time.Now()
	eventually(t, "nothing is written", func() error {
		if now := versions(); now != last {
			last, since = now, time.Now()
		}
		if rest := time.Since(since); rest < 5*time.Second {
			return fmt.Errorf("the last write was %v ago", rest)
		}
		return nil
	})
}

// within checks that the pods of the test never had more CPUs than its node.
func (g *gangs) within(t *testing.T) {
	t.Helper()
	most := g.watch(t, g.ns, func(p *corev1.Pod) bool { return p.Spec.NodeName != "" })
	t.Cleanup(func() {
		if n := most(); n > room {
			t.Errorf("pods with a node had %d CPUs at a time, of %d", n, room)
		}
	})
}

// gangContention: of jobs that are created at the same time, and each of which needs more than
// half, none waits forever.
func gangContention(t *testing.T, g *gangs) {
	var jobs []*unstructured.Unstructured
	for i := range 4 {
		jobs = append(jobs, g.workers(t, fmt.Sprintf("job%d", i), 3, "2s"))
	}
	for _, j := range jobs {
		g.reaches(t, j, commonv1.JobSucceeded)
	}
	g.alone(t)
}

// gangKinds: a job of each kind starts whole, and one after the other.
func gangKinds(t *testing.T, g *gangs) {
	life := lasts("3s")
	life["PS"] = map[string]string{"run-for": "10m"}
	for kind, replicas := range map[string]map[string]int{
		"TFJob": {"Chief": 1, "PS": 1, "Worker": 1}, "PyTorchJob": {"Master": 1, "Worker": 2}, "XGBoostJob": {"Master": 1, "Worker": 2},
		"PaddleJob": {"Master": 1, "Worker": 2}, "JAXJob": {"Worker": 3},
		"MPIJob": {"Launcher": 1, "Worker": 2},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			own := maps.Clone(life)
			if kind == "MPIJob" { // its launcher decides, and ends after its Workers have started
				own["Worker"] = map[string]string{"run-for": "10m"}
			}
			j := g.jobOf(jobSpec{kind: kind, name: strings.ToLower(kind), replicas: replicas, life: own})
			g.create(t, j)
			if s := g.reaches(t, j, commonv1.JobSucceeded); s.Restarts != 0 {
				t.Errorf("%d restarts are counted", s.Restarts)
			}
		})
	}
}

// gangRoom: a gang that does not fit starts nothing and says why, and starts when another ends.
func gangRoom(why ...string) gangTest {
	return func(t *testing.T, g *gangs) {
		first := g.workers(t, "first", 3, "45s")
		g.reaches(t, first, commonv1.JobRunning)
		g.whole(t, first, 3)
		second := g.workers(t, "second", 3, "2s")
		g.nothing(t, second, why...)
		g.reaches(t, first, commonv1.JobSucceeded)
		g.reaches(t, second, commonv1.JobSucceeded)
		g.clear(t, second)
		g.alone(t)
	}
}

// gangDeletion: the room of a gang that is deleted is another's, and it leaves no group.
func gangDeletion(t *testing.T, g *gangs) {
	first := g.workers(t, "first", 3, "10m")
	g.whole(t, first, 3)
	second := g.workers(t, "second", 3, "10m")
	third := g.workers(t, "third", 3, "10m")
	g.nothing(t, second)
	g.remove(t, second) // while it waits
	g.remove(t, first)
	g.reaches(t, third, commonv1.JobRunning)
	g.whole(t, third, 3)
	g.group(t, 3)
}

// gangScaling: a gang that is larger than the cluster starts nothing; scaled down it starts; scaled
// while it runs, its group follows, and nothing is written afterwards.
func gangScaling(why ...string) gangTest {
	return func(t *testing.T, g *gangs) {
		j := g.workers(t, "elastic", 1000, "10m")
		g.nothing(t, j, why...)
		g.scale(t, j, 2)
		g.reaches(t, j, commonv1.JobRunning)
		g.whole(t, j, 2)
		g.clear(t, j)
		g.scale(t, j, 4)
		g.whole(t, j, 4)
		g.quiet(t, j, 4)
		g.scale(t, j, 3)
		g.whole(t, j, 3)
		g.quiet(t, j, 3)
		if s := g.status(t, j); s.Restarts != 0 {
			t.Errorf("%d restarts are counted: to scale is none", s.Restarts)
		}
	}
}

// gangRestart: all replicas restart together when one fails, once.
func gangRestart(t *testing.T, g *gangs) {
	j := g.jobOf(jobSpec{
		kind: "PyTorchJob", name: "again", replicas: map[string]int{"Master": 1, "Worker": 3},
		life:    map[string]map[string]string{"": {"run-for": "4s", "stop-delay": "1s"}, "Worker": {"run-for": "2s", "exit-code": "137", "fail-index": "1", "fail-until-attempt": "1"}},
		replica: map[string]any{"restartPolicy": "ExitCode", "restartScope": "Job"},
	})
	g.create(t, j)
	if s := g.reaches(t, j, commonv1.JobSucceeded); s.Restarts != 1 {
		t.Errorf("%d restarts are counted, want 1", s.Restarts)
	}
	g.alone(t)
}

// gangReplica: a replica of a running gang is replaced by itself.
func gangReplica(t *testing.T, g *gangs) {
	j := g.jobOf(jobSpec{
		kind: "PyTorchJob", name: "one", replicas: map[string]int{"Master": 1, "Worker": 3},
		life: map[string]map[string]string{
			"": {"run-for": "15s"}, "Worker": {"run-for": "2s", "exit-code": "137", "fail-index": "1", "fail-until-attempt": "1"},
		},
		replica: map[string]any{"restartPolicy": "ExitCode", "restartScope": "Replica"},
	})
	g.create(t, j)
	g.whole(t, j, 4)
	master := &corev1.Pod{}
	master.Namespace, master.Name = g.ns, "one-master-0"
	g.get(t, master)
	uid := master.UID
	if s := g.reaches(t, j, commonv1.JobSucceeded); s.Restarts != 1 {
		t.Errorf("%d restarts are counted, want 1", s.Restarts)
	}
	g.get(t, master)
	if master.UID != uid {
		t.Error("the Master was replaced too")
	}
}

// gangSuspension: a suspended gang gives its room away, and waits for it when it is resumed.
func gangSuspension(t *testing.T, g *gangs) {
	first := g.workers(t, "first", 3, "3s")
	g.suspend(t, first, true)
	g.reaches(t, first, commonv1.JobSuspended)
	g.alone(t)
	second := g.workers(t, "second", 4, "10m")
	g.whole(t, second, 4)
	g.suspend(t, first, false)
	g.nothing(t, first)
	g.suspend(t, second, true)
	g.reaches(t, first, commonv1.JobSucceeded)
	g.reaches(t, second, commonv1.JobSuspended)
	g.alone(t)
	g.suspend(t, second, false)
	g.reaches(t, second, commonv1.JobRunning)
	g.whole(t, second, 4)
	if s := g.status(t, second); s.Restarts != 0 {
		t.Errorf("%d restarts are counted: a suspension is none", s.Restarts)
	}
}

// gangMinAvailable: a part of a job is enough to start, and the rest follows when there is room.
func gangMinAvailable(t *testing.T, g *gangs) {
	j := g.jobOf(jobSpec{
		kind: "JAXJob", name: "part", replicas: map[string]int{"Worker": 6}, life: lasts("5s"),
		policy: map[string]any{"schedulingPolicy": map[string]any{"minAvailable": int64(3)}},
	})
	g.create(t, j)
	g.group(t, 3)
	eventually(t, "as many as fit have a node", func() error {
		if n := g.bound(t, j); n < room {
			return fmt.Errorf("%d have", n)
		}
		return nil
	})
	g.reaches(t, j, commonv1.JobSucceeded)
}
