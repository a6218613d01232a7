package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

const metricsText = `# HELP apiserver_request_total Requests.
apiserver_request_total{code="201",group="",resource="pods",scope="resource",subresource="",verb="POST",version="v1"} 12
apiserver_request_total{code="409",group="",resource="pods",scope="resource",subresource="",verb="POST",version="v1"} 1
apiserver_request_total{code="200",group="",resource="pods",scope="resource",subresource="status",verb="PATCH",version="v1"} 5
apiserver_request_total{code="0",group="",resource="pods",scope="namespace",subresource="",verb="WATCH",version="v1"} 3
apiserver_request_total_of_others 7
x_bucket{framework="test",le="0.001"} 50
x_bucket{framework="test",le="0.002"} 90
x_bucket{framework="test",le="+Inf"} 100
x_sum{framework="test"} 1.5e-1
x_count{framework="test"} 100
`

// TestCalls: requests are counted by verb and kind, failed ones too, watches not.
func TestCalls(t *testing.T) {
	samples, err := parseMetrics(strings.NewReader(metricsText), "apiserver_request_total")
	if err != nil {
		t.Fatal(err)
	}
	c := callsOf(samples).since(calls{"POST pods": 3})
	if got, want := c.per(2), "POST pods 5, PATCH pods/status 2.50"; got != want {
		t.Errorf("calls are %q, want %q", got, want)
	}
	if got := c.only("pods").of("pods", "POST", "DELETE"); got != 10 {
		t.Errorf("%v writes of pods are counted, want 10", got)
	}
}

// TestQuantiles: they are estimated between two bounds, and never beyond the last.
func TestQuantiles(t *testing.T) {
	samples, err := parseMetrics(strings.NewReader(metricsText), "x_bucket", "x_sum", "x_count")
	if err != nil {
		t.Fatal(err)
	}
	h := histogramOf(samples, "x")
	for q, want := range map[float64]time.Duration{0.25: 500 * time.Microsecond, 0.7: 1500 * time.Microsecond, 0.99: 2 * time.Millisecond} {
		if got := h.quantile(q); got != want {
			t.Errorf("quantile %v is %s, want %s", q, got, want)
		}
	}
	if got := h.mean(); got != 1500*time.Microsecond {
		t.Errorf("the mean is %s, want 1.5ms", got)
	}
	if got := h.since(h).quantile(0.5); got != 0 {
		t.Errorf("a quantile of nothing is %s, want 0", got)
	}
}

// TestRounds: each round counts by its own ratio, the table shows the one in the middle, and
// the report shows how far apart the rounds are.
func TestRounds(t *testing.T) {
	b := &bench{report: newReport(), options: options{rounds: 3}, kind: batchJob}
	next := []time.Duration{30 * time.Second, 11 * time.Second, 12 * time.Second}
	floors := []time.Duration{24 * time.Second, 10 * time.Second, 10 * time.Second} // 0.8, 0.91, 0.83
	r, err := b.inRounds(func() (*figures, error) {
		f := &figures{line: &line{}, running: next[0], floor: &figures{line: &line{}, running: floors[0]}}
		next, floors = next[1:], floors[1:]
		return f, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := b.report.rows[0].running; len(b.report.rows) != 2 || got != 12*time.Second {
		t.Errorf("the table shows %d rows, the first of %s, want 2 and 12s", len(b.report.rows), got)
	}
	b.medianRatio("rate", r, runningRate)
	b.medianRatio("rate-of-two", r[:2], runningRate)
	b.medianRatio("same", r, func(*figures) float64 { return 2 })
	var out bytes.Buffer
	b.report.write(&out)
	for _, want := range []string{
		"rate in each round: 0.80 0.91 0.83\n", "rate-of-two in each round: 0.80 0.91\n", "\nrate 0.83\n", "\nrate-of-two 0.85\n", "\nsame 2\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "same in each round") {
		t.Error("rounds that do not differ are listed")
	}
}

// TestProxyIsLate: each byte arrives after the delay, in order, and what is sent
// meanwhile does not wait for what was sent before.
func TestProxyIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, near := net.Pipe()
		far, server := net.Pipe()
		p := &proxy{oneWay: 5 * time.Millisecond}
		p.wg.Go(func() { p.carry(far, near) })
		begun := time.Now()
		const parcels = 100
		go func() {
			defer client.Close()
			for range parcels {
				_, _ = client.Write([]byte("hello "))
			}
		}()
		got, err := io.ReadAll(server)
		if err != nil || !bytes.Equal(got, bytes.Repeat([]byte("hello "), parcels)) {
			t.Errorf("got %q, %v", got, err)
		}
		if took := time.Since(begun); took != 5*time.Millisecond {
			t.Errorf("all has arrived after %s, want 5ms", took)
		}
		p.wg.Wait()
	})
}

// TestRecovery: each time counts from when the failure was seen, and what nodes and the API
// server take is not the operator's share.
func TestRecovery(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	type event struct {
		at   time.Duration
		what func(*world)
	}
	pod := func(name, uid string, change func(*corev1.Pod)) func(*world) {
		p := &corev1.Pod{}
		p.Name, p.UID, p.Status.Phase = name, types.UID(uid), corev1.PodRunning
		change(p)
		return func(w *world) { w.seePod(p, true) }
	}
	runs := func(*corev1.Pod) {}
	fails := func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }
	pending := func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }
	ends := func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }
	gone := func(uid string) func(*world) {
		return func(w *world) { w.seePod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: types.UID(uid)}}, false) }
	}
	counted := func(n int64) func(*world) {
		job := &unstructured.Unstructured{Object: object{"metadata": object{"uid": "job"}, "status": object{"restarts": n}}}
		return func(w *world) { w.seeJob(kind{}, job, true) }
	}
	tests := map[string]struct {
		reason string
		again  int
		events []event
		want   recovery
	}{
		"Replica": {
			reason: "one pod is deleted at once, and created again 40 ms after it is gone", again: 1,
			events: []event{
				{ms(5), pod("a", "1", fails)},
				{ms(105), counted(1)},
				{ms(125), gone("1")},
				{ms(165), pod("a", "3", pending)},
				{ms(265), pod("a", "3", runs)},
			},
			want: recovery{counted: ms(100), created: ms(160), running: ms(260), own: ms(160)},
		},
		"Job": {
			reason: "the pods that are deleted take 500 ms to end, and the last create 300 ms after the first", again: 2,
			events: []event{
				{ms(5), pod("a", "1", fails)},
				{ms(105), counted(1)},
				{ms(125), gone("1")},
				{ms(130), pod("b", "2", ends)},
				{ms(630), gone("2")},
				{ms(650), pod("a", "3", pending)},
				{ms(950), pod("b", "4", pending)},
				{ms(960), pod("a", "3", runs)},
				{ms(1000), pod("b", "4", runs)},
			},
			want: recovery{counted: ms(100), created: ms(945), running: ms(995), own: ms(140)},
		},
		"CountsNothing": {
			reason: "a kind without a count, and a new pod before the old one is gone", again: 1,
			events: []event{
				{ms(5), pod("a", "1", fails)},
				{ms(15), pod("a", "1", func(p *corev1.Pod) { fails(p); ends(p) })},
				{ms(25), pod("c", "3", runs)},
				{ms(35), gone("1")},
			},
			want: recovery{created: ms(20), running: ms(20), own: ms(10)},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld("")
				pod("a", "1", runs)(w)
				pod("b", "2", runs)(w)
				o, begun := w.observeRecovery(tc.again), time.Now()
				for _, e := range tc.events {
					time.Sleep(time.Until(begun.Add(e.at))) // virtual
					e.what(w)
				}
				if o.running.seen().IsZero() {
					t.Fatalf("%s: it is not seen that all run again: %+v", tc.reason, w.now())
				}
				if diff := cmp.Diff(tc.want, o.result(), cmp.AllowUnexported(recovery{})); diff != "" {
					t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
				}
			})
		})
	}
}

// TestReportOfRecovery: the table shows the median, the measures also the longest.
func TestReportOfRecovery(t *testing.T) {
	b := &bench{report: newReport(), kind: batchJob}
	f := &figures{scenario: "recovery Job", line: &line{}, alone: true, spent: spent{operatorCPU: 7}}
	b.reportRecovery(f, scopeJob, []recovery{
		{created: time.Second, running: 9 * time.Second, own: 300 * time.Millisecond},
		{created: 3 * time.Second, running: 4 * time.Second, own: 200 * time.Millisecond},
		{created: 2 * time.Second, running: 5 * time.Second, own: 100 * time.Millisecond},
	})
	var out bytes.Buffer
	b.report.write(&out)
	for _, want := range []string{
		"\nrecovery-created-seconds-job 2\n", "\nrecovery-running-seconds-max-job 9\n",
		"\nrecovery-own-seconds-job 0.20\n", "\nrecovery-own-seconds-max-job 0.30\n",
		"the operator's own share after 200ms, at most 300ms, of 3\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report has no %q:\n%s", want, out.String())
		}
	}
	if got := f.row(); got[6] != "2s" || got[8] != "5s" || got[12] != "7" {
		t.Errorf("the table has %q, want 2s, 5s and the operator's CPU seconds", got)
	}
}

// TestDecide: the cluster spec of a large TFJob is rendered once, and everything is measured.
func TestDecide(t *testing.T) {
	b := &bench{report: newReport()}
	if err := b.planGrows(t.Context()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	b.report.write(&out)
	t.Log(out.String())
	for _, m := range b.report.ratios {
		if m.value <= 0 || strings.HasPrefix(m.name, "cluster-spec") && m.value > 0.5 {
			t.Errorf("%s is %v", m.name, m.value)
		}
	}
	if got := len(b.report.ratios); got != 5 {
		t.Errorf("%d measures are reported, want 5", got)
	}
}

// TestAwait: a wait goes on as long as something happens, however long it takes.
func TestAwait(t *testing.T) {
	for _, tt := range []struct {
		reason string
		after  []time.Duration // when another pod runs; three are expected
		want   string
	}{
		{"slow, but steady", []time.Duration{patience - time.Second, patience, patience}, ""},
		{"nothing happens any more", []time.Duration{time.Second, time.Second, 3 * patience}, "nothing has happened for 15m0s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := &world{}
			var pods sync.WaitGroup
			defer pods.Wait()
			pods.Go(func() {
				for _, d := range tt.after {
					time.Sleep(d)
					w.mu.Lock()
					w.counts.running++
					w.notify()
					w.mu.Unlock()
				}
			})
			_, err := w.until(t.Context(), "three run", func(c counts) bool { return c.running >= 3 })
			if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) {
				t.Errorf("%s: %v", tt.reason, err)
			}
		})
	}
}

// TestOptions: invalid combinations are refused.
func TestOptions(t *testing.T) {
	for _, args := range []string{
		"--scenarios=x", "--operator=foo", "--operator=external", "--kind=TFJob", "--scale=0", "--services=Some", "--operator-command=x", "--writers=0",
	} {
		if _, err := parse([]string{args}, io.Discard); err == nil {
			t.Errorf("%s is accepted", args)
		}
	}
	if _, err := parse([]string{"--operator=external", "--operator-command=x --y", "--kind=TFJob"}, io.Discard); err != nil {
		t.Error(err)
	}
}

// TestManifests: unset fields are left to the operator.
func TestManifests(t *testing.T) {
	k, err := kindNamed("TestJob")
	if err != nil {
		t.Fatal(err)
	}
	text, err := k.manifest(job{name: "j", replicas: 3, services: perJob}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"apiVersion":"kubeflow.org/v1","kind":"TestJob","metadata":{"name":"j"},"spec":{"runPolicy":{},"testReplicaSpecs":{"Worker":` +
		`{"replicas":3,"restartPolicy":"ExitCode","template":{"metadata":{"annotations":{}},"spec":{"containers":[{"image":"busybox","name":"test-container"}]}}}}}}`
	if got := strings.TrimSpace(string(text)); got != want {
		t.Errorf("the manifest is\n%s, want\n%s", got, want)
	}
}

// TestJobSetCountsPods: the status of a JobSet counts the Jobs of which all pods run.
func TestJobSetCountsPods(t *testing.T) {
	k, err := kindNamed("JobSet")
	if err != nil {
		t.Fatal(err)
	}
	set := k.manifest(job{name: "j", replicas: 3})
	for ready, want := range map[int64]int64{0: 0, 1: 3} {
		states := []any{object{"name": "worker", "ready": ready}}
		if err := unstructured.SetNestedSlice(set.Object, states, "status", "replicatedJobsStatus"); err != nil {
			t.Fatal(err)
		}
		if got := k.progressOf(set).active; got != want {
			t.Errorf("with %d Jobs ready, %d pods run, want %d", ready, got, want)
		}
	}
}

// TestOperatorThatEnds: an error says that an operator has ended, and what it wrote.
func TestOperatorThatEnds(t *testing.T) {
	o := &operator{command: []string{"sh", "-c", "echo no namespace for the lease; exit 1", "--"}, log: filepath.Join(t.TempDir(), "log")}
	if err := o.start("kubeconfig"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := o.whileItRuns(t.Context())
	defer cancel()
	<-ctx.Done()
	if err := context.Cause(ctx); !strings.Contains(err.Error(), "no namespace for the lease") {
		t.Errorf("the error does not say what the operator wrote: %v", err)
	}
	if err := o.stop(); err == nil {
		t.Error("stopping it says nothing")
	}
}
