package plan_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

func uidOf(r *rand.Rand) types.UID {
	return types.UID(fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", r.Uint32(), r.Uint32N(1<<16), r.Uint32N(1<<12), r.Uint32N(1<<12), r.Uint64N(1<<48)))
}

// fullStatus is that of a job in which every replica was restarted in every way, at
// random, and every second one has succeeded.
func fullStatus(replicas, inPlace int) commonv1.JobStatus {
	r := rand.New(rand.NewPCG(1, 2))
	rs := &commonv1.ReplicaStatus{
		Attempts: map[string]int32{}, IgnoredAttempts: map[string]int32{}, InPlaceRestarts: map[string]commonv1.InPlaceRestarts{},
	}
	var indexes []string
	for i := range replicas {
		key := strconv.Itoa(i)
		rs.Attempts[key] = 1 + r.Int32N(100)
		rs.IgnoredAttempts[key] = 1 + r.Int32N(rs.Attempts[key])
		if i < inPlace {
			rs.InPlaceRestarts[key] = commonv1.InPlaceRestarts{
				PodUID: uidOf(r), Count: 1 + r.Int32N(100), Earlier: 1 + r.Int32N(100),
				PodResourceVersion: strconv.FormatUint(5_000_000_000+r.Uint64N(1_000_000_000), 10),
			}
		}
		if i%2 == 0 {
			indexes = append(indexes, key)
		}
	}
	rs.SucceededIndexes = strings.Join(indexes, ",")
	return commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: rs}, StartTime: &metav1.Time{Time: epoch}}
}

// TestLargestStatus: the status of the largest job that is admitted, with every replica
// restarted in every way that it can be, fits well into the store.
func TestLargestStatus(t *testing.T) {
	m := newModel(workers(jobkit.MaxReplicas))
	m.in.Status = fullStatus(jobkit.MaxReplicas, plan.MaxInPlace)
	long := strings.Repeat("\u00e4\xff", 5000)
	for range commonv1.MaxFailures {
		m.in.Status.Failures = append(m.in.Status.Failures, commonv1.ReplicaFailure{Type: worker, Message: strings.Repeat("x", 256), Reason: strings.Repeat("x", 256)})
	}
	p := m.decide()
	s := plan.Conclude(&m.in, plan.TallyOf(&m.in), p, plan.ExecutionResult{
		Obstructions: []plan.Obstruction{{Action: plan.CreatePod{Name: "job-worker-1", Type: worker}, Obstacle: plan.Refused, Message: long}},
	})
	data, err := json.Marshal(&s.Status)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(data))
	if len(data) >= 512<<10 {
		t.Errorf("the status has %d bytes, want less than 512 KiB", len(data))
	}
	was := m.in.Status.ReplicaStatuses[worker]
	is := plan.UnpackStatus(s.Status).ReplicaStatuses[worker]
	if !maps.Equal(was.Attempts, is.Attempts) { // cmp.Diff takes long
		t.Error("attempts differ when unpacked")
	}
	if !maps.Equal(was.IgnoredAttempts, is.IgnoredAttempts) {
		t.Error("ignored attempts differ when unpacked")
	}
	if was.SucceededIndexes != is.SucceededIndexes {
		t.Error("succeeded indexes differ when unpacked")
	}
	for key, w := range was.InPlaceRestarts {
		i := is.InPlaceRestarts[key]
		if i.Count != w.Count || i.Earlier != w.Earlier || i.PodResourceVersion != w.PodResourceVersion {
			t.Fatalf("restarts in place of %s: want %+v, got %+v", key, w, i)
		}
	}
}

// TestPackedStatusIsTheSame: a pass over a job whose status is packed finds nothing new,
// and counts no restart twice, whether it knows the pods by their UIDs or by short forms.
func TestPackedStatusIsTheSame(t *testing.T) {
	const n = 1500
	m := started(workers(n), func(m *model) {
		m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyOnFailure
	})
	for _, p := range m.in.Pods {
		p.ResourceVersion = "1000"
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", RestartCount: 2}}
	}
	m.reconcileUntilStable()
	if rs := m.in.Status.ReplicaStatuses[worker]; rs.Record == "" || len(rs.InPlaceRestarts) > 0 || m.in.Status.Restarts != 2*n {
		t.Fatalf("want %d restarts, packed, got %d, %d plain", 2*n, m.in.Status.Restarts, len(rs.InPlaceRestarts))
	}
	m.in.Now = m.in.Now.Add(time.Hour)
	if p := m.decide(); p.StatusChange != plan.StatusUnchanged || p.Status.Restarts != 2*n {
		t.Errorf("nothing is new, but it writes %v, restarts are %d", p.StatusChange != plan.StatusUnchanged, p.Status.Restarts)
	}

	// One more restart of a pod that is known; a successor of another; and that one seen again.
	stale := m.in.Pods[7].DeepCopy()
	m.in.Pods[3].Status.ContainerStatuses[0].RestartCount, m.in.Pods[3].ResourceVersion = 3, "1001"
	m.in.Pods[7].UID, m.in.Pods[7].ResourceVersion = "another", "1002"
	m.in.Pods[7].Status.ContainerStatuses[0].RestartCount = 1
	m.reconcileUntilStable()
	if got := m.in.Status.Restarts; got != 2*n+2 {
		t.Errorf("want %d restarts, got %d", 2*n+2, got)
	}
	m.in.Pods[7] = stale
	m.reconcileUntilStable()
	if got := m.in.Status.Restarts; got != 2*n+2 {
		t.Errorf("an old view of a pod counts again: want %d restarts, got %d", 2*n+2, got)
	}
	if in := plan.UnpackStatus(m.in.Status).ReplicaStatuses[worker].InPlaceRestarts["7"]; in.Earlier != 2 || in.Count != 1 {
		t.Errorf("want 2 earlier and 1, got %+v", in)
	}
}

// TestPlainStatusStaysPlain: what little there is to say of single replicas is plain.
func TestPlainStatusStaysPlain(t *testing.T) {
	m := newModel(workers(300))
	m.in.Status = fullStatus(300, 300)
	if rs := m.decide().Status.ReplicaStatuses[worker]; rs.Record != "" || len(rs.Attempts) != 300 {
		t.Errorf("300 replicas are packed: %d bytes", len(rs.Record))
	}
}

// TestInvalidRecords: an invalid record of another client does no harm.
func TestInvalidRecords(t *testing.T) {
	full := fullStatus(2000, 100)
	m := newModel(workers(2000))
	m.in.Status = full
	good := m.decide().Status.ReplicaStatuses[worker].Record
	for _, record := range []string{"x", "1:", "1:AwA", "1:!", "1:AAAA", "2:" + good[2:], good[:len(good)/2], good[:len(good)-1]} {
		m.in.Status = commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {Record: record}}}
		if rs := plan.UnpackStatus(m.in.Status).ReplicaStatuses[worker]; rs.Record != "" || len(rs.Attempts)+len(rs.InPlaceRestarts) > 0 {
			t.Errorf("%.20q is taken for a record", record)
		}
		_ = m.decide()
	}
}

// TestRecordsHaveABound: a record that unpacks to more than the largest job needs is not read.
func TestRecordsHaveABound(t *testing.T) {
	for more, want := range map[int]string{0: "0", 1: ""} {
		data := make([]byte, 64*jobkit.MaxReplicas+more)
		copy(data, []byte{2, 1, 1}) // the indexes of succeeded replicas: one byte, of which the first bit is set
		var packed bytes.Buffer
		w, err := flate.NewWriter(&packed, flate.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(data)
		_ = w.Close()
		record := "1:" + base64.RawStdEncoding.EncodeToString(packed.Bytes())
		s := plan.UnpackStatus(commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {Record: record}}})
		if got := s.ReplicaStatuses[worker].SucceededIndexes; got != want {
			t.Errorf("%d bytes: want %q, got %q", len(data), want, got)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	m := newModel(workers(2000))
	m.in.Status = fullStatus(2000, 100)
	f.Add(m.decide().Status.ReplicaStatuses[worker].Record)
	f.Add("1:AAAA")
	f.Fuzz(func(_ *testing.T, record string) {
		_ = plan.UnpackStatus(commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {Record: record}}})
	})
}

// TestNoRestartsInPlaceInVeryLargeJobs: there is no room to count them.
func TestNoRestartsInPlaceInVeryLargeJobs(t *testing.T) {
	for n, want := range map[int32]corev1.RestartPolicy{plan.MaxInPlace: corev1.RestartPolicyOnFailure, plan.MaxInPlace + 1: corev1.RestartPolicyNever} {
		m := newModel(workers(n))
		m.in.Replicas[worker].RestartPolicy = commonv1.RestartPolicyOnFailure
		pod := plan.NewPod(&m.in, plan.CreatePod{Name: "p", Type: worker}, &corev1.PodTemplateSpec{})
		if pod.Spec.RestartPolicy != want {
			t.Errorf("%d replicas: want %s, got %s", n, want, pod.Spec.RestartPolicy)
		}
	}
}

// TestLongTexts: whatever is said, a condition and an event hold only so much of it, in
// valid UTF-8, and saying it again is no news.
func TestLongTexts(t *testing.T) {
	m := newModel(workers(1))
	m.in.RunPolicy.ServiceMode = new(commonv1.ServiceModeNone)
	f := plan.Obstruction{Action: plan.CreatePod{Name: "job-worker-0", Type: worker}, Obstacle: plan.Refused, Message: "a" + strings.Repeat("\u00e4\xff", 5000)}
	for i := range 2 {
		s := plan.Conclude(&m.in, plan.TallyOf(&m.in), m.decide(), plan.ExecutionResult{Obstructions: []plan.Obstruction{f}})
		texts := []string{s.Status.Condition(commonv1.JobStalled).Message}
		for _, e := range s.Events {
			texts = append(texts, e.Message)
		}
		for _, text := range texts {
			if len(text) > 2048 || !utf8.ValidString(text) {
				t.Errorf("%d bytes, valid is %v", len(text), utf8.ValidString(text))
			}
		}
		if (s.StatusChange == plan.StatusNews) != (i == 0) {
			t.Errorf("pass %d: write is %v", i, s.StatusChange != plan.StatusUnchanged)
		}
		m.in.Status = s.Status
	}
}

// TestOnlyWhatIsLargeIsPacked: short lists stay readable beside counts that are packed.
func TestOnlyWhatIsLargeIsPacked(t *testing.T) {
	m := newModel(workers(2000))
	rs := &commonv1.ReplicaStatus{SucceededIndexes: "0-9", Attempts: map[string]int32{}}
	for i := range 1900 {
		rs.Attempts[strconv.Itoa(i+10)] = 1
	}
	m.in.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: rs}
	packed := m.decide().Status.ReplicaStatuses[worker]
	if packed.Record == "" || len(packed.Attempts) > 0 || packed.SucceededIndexes != "0-9" {
		t.Errorf("want a record of the attempts beside the indexes, got %d attempts, indexes %q, a record of %d bytes", len(packed.Attempts), packed.SucceededIndexes, len(packed.Record))
	}
}
