package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/apierror"
	"github.com/jobkit/jobkit/progress"
)

// cluster is what the writes of several replicas write to: jobs with their versions, and a cache
// that may be behind.
type cluster struct {
	mu      sync.Mutex
	jobs    map[types.NamespacedName]progress.Job
	version int
	// lag is how far the cache is behind.
	lag time.Duration
	// replicas observe what the cache shows.
	replicas []*writes
	seen     map[types.NamespacedName]progress.Job
	// fails is what a write meets, if that is not nil.
	fails func(*commonv1.TrainerStatus) error
	// log is when which percentage was written.
	log      []string
	requests int
	began    time.Time
}

func newCluster() *cluster {
	return &cluster{jobs: map[types.NamespacedName]progress.Job{}, seen: map[types.NamespacedName]progress.Job{}, began: time.Now()}
}

// set changes what the cluster does.
func (c *cluster) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// asked is how many requests there were.
func (c *cluster) asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.requests
}

// change changes a job, as its controller or a write does.
func (c *cluster) change(k types.NamespacedName, f func(*progress.Job)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changeLocked(k, f)
}

func (c *cluster) changeLocked(k types.NamespacedName, f func(*progress.Job)) {
	job := c.jobs[k]
	f(&job)
	c.version++
	job.ResourceVersion = strconv.Itoa(c.version)
	c.jobs[k] = job
	time.AfterFunc(c.lag, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen[k] = job
		for _, w := range c.replicas {
			w.observe(jobKey{name: k, uid: job.UID}, job.Last)
		}
	})
}

func (c *cluster) get(k jobKey) (progress.Job, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	job, ok := c.seen[k.name]
	return job, ok
}

func (c *cluster) patch(_ context.Context, k jobKey, job progress.Job, s *commonv1.TrainerStatus) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests++
	if c.fails != nil {
		if err := c.fails(s); err != nil {
			return err
		}
	}
	if is := c.jobs[k.name]; is.ResourceVersion != job.ResourceVersion || is.UID != job.UID {
		return apierrors.NewConflict(schema.GroupResource{}, k.name.Name, errors.New("it has changed"))
	}
	c.log = append(c.log, fmt.Sprintf("%.1f s: %d", time.Since(c.began).Seconds(), *s.ProgressPercentage))
	c.changeLocked(k.name, func(j *progress.Job) { j.Last = s })
	return nil
}

func (c *cluster) written() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.log...)
}

// replica makes the writes of one replica, which run until the test ends them.
func (c *cluster) replica(t *testing.T) (*writes, func()) {
	t.Helper()
	m, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	w := newWrites()
	c.set(func() { c.replicas = append(c.replicas, w) })
	w.get, w.patch, w.now, w.log, w.metrics = c.get, c.patch, time.Now, logr.Discard(), m
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	return w, func() { cancel(); <-done }
}

func keyOf(name string) jobKey {
	return jobKey{name: types.NamespacedName{Namespace: "n", Name: name}, uid: types.UID(name)}
}

// says has a job report a percentage.
func (c *cluster) says(t *testing.T, w *writes, name string, percent int32) {
	t.Helper()
	k := keyOf(name)
	job, _ := c.get(k)
	s := &commonv1.TrainerStatus{
		ProgressPercentage: &percent, ReceivedTime: &metav1.MicroTime{Time: time.Now()}, Reporter: &commonv1.TrainerReporter{Pod: "p", PodUID: "p"},
	}
	w.accept(k, job, s, 100)
}

func (c *cluster) job(name string) {
	c.change(types.NamespacedName{Namespace: "n", Name: name}, func(j *progress.Job) { j.UID = types.UID(name) })
}

// TestWrites checks what is written, and when.
func TestWrites(t *testing.T) {
	away := func(*commonv1.TrainerStatus) error { return apierrors.NewServiceUnavailable("it is away") }
	tests := map[string]struct {
		reason string
		play   func(*testing.T, *cluster, *writes, *writes)
		want   []string
	}{
		"FirstAtOnce": {
			reason: "a report after a silence is seen at once",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				c.says(t, w, "a", 1)
				time.Sleep(20 * time.Second)
				c.says(t, w, "a", 2)
			},
			want: []string{"0.0 s: 1", "20.0 s: 2"},
		},
		"Merged": {
			reason: "of many reports the newest is written, one in five seconds",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				for i := range int32(90) {
					c.says(t, w, "a", i)
					time.Sleep(101 * time.Millisecond)
				}
			},
			want: []string{"0.0 s: 0", "5.0 s: 49", "10.0 s: 89"},
		},
		"TwoReplicas": {
			reason: "replicas that get reports in turn write one in five seconds together, and the newest wins",
			play: func(t *testing.T, c *cluster, w, v *writes) {
				for i := range int32(45) {
					c.says(t, w, "a", 2*i)
					time.Sleep(101 * time.Millisecond)
					c.says(t, v, "a", 2*i+1)
					time.Sleep(101 * time.Millisecond)
				}
			},
			want: []string{"0.0 s: 0", "5.0 s: 48", "10.0 s: 88", "17.5 s: 89"},
		},
		"LastAtOnce": {
			reason: "the program ends after 100 percent, and then it would be too late",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				c.says(t, w, "a", 99)
				time.Sleep(time.Second)
				c.says(t, w, "a", 100)
				time.Sleep(time.Second)
				c.says(t, w, "a", 100) // once
			},
			want: []string{"0.0 s: 99", "1.0 s: 100", "6.0 s: 100"},
		},
		"ManyLast": {
			reason: "all replicas of a job that ends report that; one report does not wait",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				c.says(t, w, "a", 99)
				time.Sleep(2 * time.Second)
				for range 10 {
					c.says(t, w, "a", 100)
					time.Sleep(101 * time.Millisecond)
					c.says(t, w, "a", 99)
					time.Sleep(101 * time.Millisecond)
				}
			},
			want: []string{"0.0 s: 99", "2.0 s: 100", "7.0 s: 99"},
		},
		"LastWhileAWriteIsUnderWay": {
			reason: "it does not wait for the next turn either, in which the job has ended",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				c.set(func() { c.lag = 50 * time.Millisecond })
				inner := w.patch
				w.patch = func(ctx context.Context, k jobKey, job progress.Job, s *commonv1.TrainerStatus) error {
					time.Sleep(200 * time.Millisecond) // the API server takes its time
					return inner(ctx, k, job, s)
				}
				c.says(t, w, "a", 99)
				time.Sleep(100 * time.Millisecond)
				c.says(t, w, "a", 100)
				time.Sleep(time.Second)
				c.change(keyOf("a").name, func(j *progress.Job) { j.Closed = "the job has ended" })
			},
			want: []string{"0.2 s: 99", "0.7 s: 100"}, // after a conflict: the cache does not show the first yet
		},
		"LastInsteadOfWaiting": {
			reason: "it takes the place of the one that waits",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				c.says(t, w, "a", 98)
				time.Sleep(time.Second)
				c.says(t, w, "a", 99)
				time.Sleep(time.Second)
				c.says(t, w, "a", 100)
			},
			want: []string{"0.0 s: 98", "2.0 s: 100"},
		},
		"Ended": {
			reason: "nothing is written to a job that has ended",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				c.says(t, w, "a", 1)
				time.Sleep(time.Second)
				c.says(t, w, "a", 2)
				c.change(keyOf("a").name, func(j *progress.Job) { j.Closed = "the job has ended" })
			},
			want: []string{"0.0 s: 1"},
		},
		"AnotherUID": {
			reason: "nor to another job of its name",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				c.says(t, w, "a", 1)
				time.Sleep(time.Second)
				c.says(t, w, "a", 2)
				c.change(keyOf("a").name, func(j *progress.Job) { j.UID, j.Last = "later", nil })
			},
			want: []string{"0.0 s: 1"},
		},
		"StaleCache": {
			reason: "the controller writes at the same time and the cache is behind: the write is made when it has caught up, on the job as it is",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				c.set(func() { c.lag = 950 * time.Millisecond })
				c.change(keyOf("a").name, func(*progress.Job) {})
				c.says(t, w, "a", 1)
				time.Sleep(3 * time.Second)
				if n := c.asked(); n != 2 {
					t.Errorf("%d requests, want 2: one that meets the conflict, one after the cache has caught up", n)
				}
			},
			want: []string{"1.0 s: 1"},
		},
		"EndedBehindTheCache": {
			reason: "the cache does not show yet that the job has ended: the precondition does",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				c.set(func() { c.lag = time.Second })
				c.change(keyOf("a").name, func(j *progress.Job) { j.Closed = "the job has ended" })
				c.says(t, w, "a", 1)
				time.Sleep(3 * time.Second)
			},
		},
		"Away": {
			reason: "the API server is away: the newest report is written when it is back",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				c.set(func() { c.fails = away })
				c.says(t, w, "a", 1)
				time.Sleep(3 * time.Second)
				c.says(t, w, "a", 2)
				c.set(func() { c.fails = nil })
			},
			want: []string{"5.0 s: 2"},
		},
		"TooLarge": {
			reason: "a status that has no room for metrics still shows that the job makes progress",
			play: func(_ *testing.T, c *cluster, w, _ *writes) {
				c.set(func() {
					c.fails = func(s *commonv1.TrainerStatus) error {
						if len(s.Metrics) > 0 {
							return apierrors.NewRequestEntityTooLargeError("limit is 3145728")
						}
						return nil
					}
				})
				job, _ := c.get(keyOf("a"))
				s := &commonv1.TrainerStatus{
					ProgressPercentage: new(int32(7)), Metrics: []commonv1.TrainerMetric{{Name: "a", Value: "b"}},
					ReceivedTime: &metav1.MicroTime{Time: time.Now()}, Reporter: &commonv1.TrainerReporter{PodUID: "p"},
				}
				w.accept(keyOf("a"), job, s, 100)
			},
			want: []string{"0.0 s: 7"},
		},
		"TooLargeForTheStore": {
			reason: "so does one for which the store has no room",
			play: func(_ *testing.T, c *cluster, w, _ *writes) {
				c.set(func() {
					c.fails = func(s *commonv1.TrainerStatus) error {
						if len(s.Metrics) > 0 {
							return apierrors.NewInternalError(errors.New("etcdserver: request is too large"))
						}
						return nil
					}
				})
				job, _ := c.get(keyOf("a"))
				s := &commonv1.TrainerStatus{
					ProgressPercentage: new(int32(7)), Metrics: []commonv1.TrainerMetric{{Name: "a", Value: "b"}},
					ReceivedTime: &metav1.MicroTime{Time: time.Now()}, Reporter: &commonv1.TrainerReporter{PodUID: "p"},
				}
				w.accept(keyOf("a"), job, s, 100)
			},
			want: []string{"0.0 s: 7"},
		},
		"Stopped": {
			reason: "what waits when the server ends is written then",
			play: func(t *testing.T, c *cluster, w, _ *writes) {
				c.says(t, w, "a", 1)
				time.Sleep(time.Second)
				c.says(t, w, "a", 2)
				time.Sleep(time.Second)
				c.set(func() { c.began = time.Now().Add(-time.Hour) }) // marks the end of the play
			},
			want: []string{"0.0 s: 1", "3600.0 s: 2"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster()
				c.job("a")
				time.Sleep(time.Millisecond) // until the cache shows it
				w, stop := c.replica(t)
				v, stopOther := c.replica(t)
				tc.play(t, c, w, v)
				if name != "Stopped" {
					time.Sleep(10 * time.Second)
				}
				stop()
				stopOther()
				if diff := cmp.Diff(tc.want, c.written()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
				}
				if w.bytes != 0 || v.bytes != 0 {
					t.Errorf("%d and %d bytes wait after all is written", w.bytes, v.bytes)
				}
			})
		})
	}
}

// TestWritesOfOneJobFail: what one job meets says nothing about the others, so their hangs are
// found as before, and its own silence is no hang.
func TestWritesOfOneJobFail(t *testing.T) {
	internal := func(text string) error { return apierrors.NewInternalError(errors.New(text)) }
	for name, tc := range map[string]struct {
		reason string
		err    error
		away   bool
		// tried is how many writes there are in 31 seconds.
		tried int
	}{
		"Store": {"it is as large as the store takes: it would be refused again", internal("etcdserver: request is too large"), false, 1},
		"Message": {"a request of this size does not reach the store", internal(
			"rpc error: code = ResourceExhausted desc = trying to send message larger than max (2100000 vs. 2097152)"), false, 1},
		"Policy": {"a policy of the namespace refuses it for now", apierrors.NewForbidden(
			schema.GroupResource{Resource: "jobs"}, "bad", errors.New("ValidatingAdmissionPolicy 'p' denied request")), false, 7},
		"Webhook": {"a webhook of the namespace is away", internal(`failed calling webhook "w": connection refused`), false, 7},
		"Unknown": {"an error of its own that looks like the API server's", internal("it is broken"), true, 7},
	} {
		t.Run(name, func(t *testing.T) {
			if got := apierror.Away(tc.err); got != tc.away {
				t.Errorf("%s: the API server is away: %t", tc.reason, got)
			}
			synctest.Test(t, func(t *testing.T) {
				c, tried := newCluster(), 0
				c.fails = func(s *commonv1.TrainerStatus) error {
					if s.Reporter.PodUID != "bad" {
						return nil
					}
					tried++
					return tc.err
				}
				c.job("good")
				c.job("bad")
				synctest.Wait()
				w, stop := c.replica(t)
				defer stop()
				h := &health{now: time.Now, log: logr.Discard(), up: prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "x"})}
				w.report = h.wrote
				h.probed(nil)
				start := time.Now()
				job, _ := c.get(keyOf("bad"))
				w.accept(keyOf("bad"), job, &commonv1.TrainerStatus{
					ProgressPercentage: new(int32(1)), ReceivedTime: &metav1.MicroTime{Time: start}, Reporter: &commonv1.TrainerReporter{PodUID: "bad"},
				}, 100)
				for i := range int32(31) {
					if i%10 == 0 {
						c.says(t, w, "good", i)
					}
					time.Sleep(time.Second)
				}
				synctest.Wait()
				if up := h.UpSince(); !up.Equal(start) {
					t.Errorf("%s: the server is up since %v, want its start, %v", tc.reason, up, start)
				}
				c.set(func() {
					if tried != tc.tried {
						t.Errorf("%s: %d writes were tried, want %d", tc.reason, tried, tc.tried)
					}
				})
				if at := w.unwrittenAt("bad"); !at.Equal(start) {
					t.Errorf("%s: its unwritten report came at %v, want %v", tc.reason, at, start)
				}
				c.change(keyOf("bad").name, func(j *progress.Job) { j.Closed = "the job has ended" })
				time.Sleep(2 * forgetAfter)
				if at := w.unwrittenAt("bad"); !at.IsZero() || !w.unwrittenAt("good").IsZero() {
					t.Errorf("%s: it is still known after the job has ended", tc.reason)
				}
			})
		})
	}
}

// TestWritesOfManyJobs: 2,000 reports a second of 100 jobs that start at once are 20 writes a
// second, in each second, on two replicas.
func TestWritesOfManyJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const jobs, seconds = 100, 60
		c := newCluster()
		c.lag = 50 * time.Millisecond
		for i := range jobs {
			c.job(strconv.Itoa(i))
		}
		time.Sleep(time.Second) // until the cache shows them
		w, stop := c.replica(t)
		v, stopOther := c.replica(t)
		for tick := range seconds * 20 {
			for i := range jobs {
				c.says(t, []*writes{w, v}[(tick+i)%2], strconv.Itoa(i), int32(tick%99))
			}
			time.Sleep(time.Second / 20)
		}
		if n := c.asked(); n > 20*(seconds+1) {
			t.Errorf("%d reports in %d seconds cost %d requests, %d a second, want at most 20", jobs*20*seconds, seconds, n, n/seconds)
		}
		if n := len(c.written()); n < jobs*seconds/6 {
			t.Errorf("%d writes in %d seconds: the jobs are not followed", n, seconds)
		}
		stop()
		stopOther()
	})
}

// TestAdmit: one job's reports are limited, and take nothing from those of another; what is known
// of jobs that no longer report is forgotten.
func TestAdmit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		w, stop := c.replica(t)
		defer stop()
		admitted := 0
		for range 1000 {
			if w.admit(keyOf("loud")) {
				admitted++
			}
		}
		if admitted != jobBurst || !w.admit(keyOf("quiet")) {
			t.Errorf("%d of 1000 reports at once are admitted, want %d, and those of another job", admitted, jobBurst)
		}
		time.Sleep(time.Second)
		if !w.admit(keyOf("loud")) {
			t.Error("a second later none is admitted")
		}
		time.Sleep(3 * forgetAfter)
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.entries) != 0 {
			t.Errorf("%d jobs are remembered", len(w.entries))
		}
	})
}

// TestBounded: what waits has a limit in bytes.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		c.fails = func(*commonv1.TrainerStatus) error { return apierrors.NewServiceUnavailable("it is away") }
		w, stop := c.replica(t)
		defer stop()
		s := &commonv1.TrainerStatus{
			ReceivedTime: &metav1.MicroTime{Time: time.Now()}, Reporter: &commonv1.TrainerReporter{PodUID: "p"},
			Metrics: []commonv1.TrainerMetric{{Name: "loss", Value: "1"}},
		}
		for i := range 2 * maxPending >> 16 {
			c.job(strconv.Itoa(i))
		}
		time.Sleep(time.Millisecond) // until the cache shows them
		for i := range 2 * maxPending >> 16 {
			w.accept(keyOf(strconv.Itoa(i)), progress.Job{}, s, 64<<10)
		}
		w.accept(keyOf("0"), progress.Job{}, s, 64<<10) // a report takes the place of the one before it
		whole, short := 0, 0
		w.mu.Lock()
		for _, e := range w.entries {
			switch {
			case e.pending == nil:
				t.Error("a report is lost, and its job seems to hang")
			case len(e.pending.Metrics) > 0:
				whole++
			default:
				short++
			}
		}
		w.mu.Unlock()
		if whole != maxPending>>16 || short != maxPending>>16 || w.bytes > maxPending {
			t.Errorf("%d reports of 64 KiB wait, and %d without metrics, want %d of each", whole, short, maxPending>>16)
		}
	})
}

func TestPatch(t *testing.T) {
	got, err := patchOf(progress.Job{UID: "u", ResourceVersion: "7"}, &commonv1.TrainerStatus{
		ProgressPercentage: new(int32(5)), ReceivedTime: &metav1.MicroTime{Time: time.Date(2026, 11, 28, 1, 2, 3, 4000, time.UTC)},
		Reporter: &commonv1.TrainerReporter{Pod: "p", PodUID: "q"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"metadata":{"resourceVersion":"7","uid":"u"},"status":{"trainerStatus":{"estimatedRemainingSeconds":null,"lastUpdatedTime":null,` +
		`"metrics":null,"progressPercentage":5,"receivedTime":"2026-11-28T01:02:03.000004Z",` +
		`"reporter":{"pod":"p","podUID":"q","type":null,"index":0,"attempt":0}}}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("what a report does not have is removed, nothing else is touched (-want +got):\n%s", diff)
	}
}
