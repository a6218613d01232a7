package page_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/page"
)

// noon is when tests happen. Times below are in seconds from noon.
func noon() time.Time { return time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC) }

func at(seconds int) metav1.Time {
	return metav1.NewTime(noon().Add(time.Duration(seconds) * time.Second))
}

// stamp is a time as YAML has it.
func stamp(seconds int) string { return at(seconds).UTC().Format(time.RFC3339) }

func ref(name string) page.Ref {
	return page.Ref{Resource: "testjobs.v1.kubeflow.org", Namespace: "default", Name: name}
}

// object is a TestJob from the YAML of its spec and its status, in which @-10@ is a time.
func object(t *testing.T, name, spec, status string) *unstructured.Unstructured {
	t.Helper()
	text := fmt.Sprintf("{apiVersion: kubeflow.org/v1, kind: TestJob, metadata: {name: %s, namespace: default, uid: uid-%s, creationTimestamp: %q}, spec: %s, status: %s}",
		name, name, stamp(-100), spec, status)
	for i := -100; i <= 100; i++ {
		text = strings.ReplaceAll(text, fmt.Sprintf("@%d@", i), fmt.Sprintf("%q", stamp(i)))
	}
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return whole(o)
}

// whole makes integers of the numbers, as the API server's client does.
func whole(o *unstructured.Unstructured) *unstructured.Unstructured {
	var fix func(any) any
	fix = func(v any) any {
		switch v := v.(type) {
		case float64:
			return int64(v)
		case map[string]any:
			for k := range v {
				v[k] = fix(v[k])
			}
		case []any:
			for i := range v {
				v[i] = fix(v[i])
			}
		}
		return v
	}
	fix(o.Object)
	return o
}

// pod is the pod of a worker of job a.
func pod(index, attempt int, phase corev1.PodPhase, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("a-worker-%d", index), Namespace: "default", UID: types.UID(fmt.Sprintf("pod-%d", index)), CreationTimestamp: at(-90),
			Labels: map[string]string{
				commonv1.ReplicaTypeLabel: "worker", commonv1.ReplicaIndexLabel: strconv.Itoa(index), commonv1.AttemptLabel: strconv.Itoa(attempt),
			},
		},
		Spec: corev1.PodSpec{NodeName: "node-1", Containers: []corev1.Container{{Name: "main"}}}, Status: corev1.PodStatus{Phase: phase},
	}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: at(-85)}}
	switch phase {
	case corev1.PodRunning:
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(-80)}}}}
	case corev1.PodFailed:
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{StartedAt: at(-80), FinishedAt: at(-5), ExitCode: 137, Reason: "OOMKilled"},
		}}}
	default:
	}
	for _, c := range change {
		c(p)
	}
	return p
}

// cluster is a page.Source and a page.Steering.
type cluster struct {
	mu      sync.Mutex
	jobs    map[page.Ref]page.Job
	changed func(page.Ref)
	watches chan struct{}
	events  []corev1.Event
	trouble string // of the events
	log     string
	logged  []page.LogRequest
	did     []string
	err     error
	// unread are the jobs that the cluster has, and that are not known yet; missed is closed when the page
	// has asked for one.
	unread map[page.Ref]page.Job
	missed chan struct{}
}

func newCluster() *cluster {
	return &cluster{jobs: map[page.Ref]page.Job{}, watches: make(chan struct{}), missed: make(chan struct{})}
}

// put stores a job, or deletes it if it has no object.
func (c *cluster) put(name string, job page.Job) {
	c.mu.Lock()
	if job.Object == nil {
		delete(c.jobs, ref(name))
	} else {
		c.jobs[ref(name)] = job
	}
	changed := c.changed
	c.mu.Unlock()
	if changed != nil {
		changed(ref(name))
	}
}

func (c *cluster) Watch(ctx context.Context, changed func(page.Ref)) error {
	c.mu.Lock()
	c.changed = changed
	for r := range c.jobs {
		changed(r)
	}
	c.mu.Unlock()
	close(c.watches)
	<-ctx.Done()
	return nil
}

func (c *cluster) Job(r page.Ref) (page.Job, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	job, ok := c.jobs[r]
	if !ok && c.unread != nil {
		select {
		case <-c.missed:
		default:
			close(c.missed)
		}
	}
	return job, ok
}

func (c *cluster) Known(page.Ref) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unread == nil
}

// forget has the page know nothing, as when it starts.
func (c *cluster) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unread, c.jobs = c.jobs, map[page.Ref]page.Job{}
}

// read has it know all jobs that there are.
func (c *cluster) read() {
	c.mu.Lock()
	c.jobs, c.unread = c.unread, nil
	refs := slices.Collect(maps.Keys(c.jobs))
	changed := c.changed
	c.mu.Unlock()
	for _, r := range append(refs, page.Ref{}) {
		changed(r)
	}
}

func (c *cluster) Events(ctx context.Context, r page.Ref, changed func([]corev1.Event, string)) error {
	if _, ok := c.Job(r); !ok {
		return nil
	}
	changed(c.events, c.trouble)
	<-ctx.Done()
	return nil
}

func (c *cluster) Logs(_ context.Context, r page.LogRequest) (io.ReadCloser, error) {
	c.logged = append(c.logged, r)
	if r.Container == "none" {
		return nil, errors.New("there is no container none")
	}
	return io.NopCloser(strings.NewReader(c.log)), nil
}

func (c *cluster) Troubles() []string { return nil }

func (c *cluster) Rights(context.Context, page.Ref) (page.Rights, error) {
	return page.Rights{Change: true, Logs: true}, nil
}

func (c *cluster) Do(_ context.Context, r page.Ref, uid types.UID, action page.Action) error {
	c.did = append(c.did, fmt.Sprintf("%s %s %s", action, r.Name, uid))
	return c.err
}
