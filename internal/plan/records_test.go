package plan_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// recordOf packs data as a record of single replicas.
func recordOf(data []byte) string {
	var out bytes.Buffer
	w, _ := flate.NewWriter(&out, flate.DefaultCompression)
	_, _ = w.Write(data)
	_ = w.Close()
	return "1:" + base64.RawStdEncoding.EncodeToString(out.Bytes())
}

// dataOf is the data of a record.
func dataOf(t *testing.T, record string) []byte {
	t.Helper()
	packed, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(record, "1:"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// unpacked is the status of the workers of which a record is all there is.
func unpacked(record string) *commonv1.ReplicaStatus {
	return plan.UnpackStatus(commonv1.JobStatus{
		ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: {Record: record}},
	}).ReplicaStatuses[worker]
}

// TestRecordsThatAreCutShort: a record of which a part is missing is none, wherever it ends.
func TestRecordsThatAreCutShort(t *testing.T) {
	m := newModel(workers(1200))
	m.in.RunPolicy.BackoffLimitWindowSeconds, m.in.RunPolicy.BackoffLimitPerReplica = new(int64(100)), new(int32(3))
	rs := fullStatus(1200, 300).ReplicaStatuses[worker]
	rs.EarlierRestarts, rs.RestartTimes = maps.Clone(rs.Attempts), map[string][]metav1.Time{}
	for i := range 1200 {
		rs.RestartTimes[strconv.Itoa(i)] = []metav1.Time{metav1.NewTime(epoch.Add(time.Duration(i) * time.Second)), metav1.NewTime(epoch.Add(time.Hour))}
	}
	m.in.Status = commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: rs}}
	data := dataOf(t, m.decide().Status.ReplicaStatuses[worker].Record)
	if whole := unpacked(recordOf(data)); len(whole.Attempts) != 1200 || len(whole.RestartTimes) != 1200 || len(whole.InPlaceRestarts) != 300 {
		t.Fatalf("the record is not whole: %d attempts", len(whole.Attempts))
	}
	for end := 0; end < len(data); end += max(len(data)/60, 1) {
		if diff := cmp.Diff(&commonv1.ReplicaStatus{}, unpacked(recordOf(data[:end]))); diff != "" {
			t.Fatalf("%d of %d bytes are taken for a record (-want +got):\n%s", end, len(data), diff)
		}
	}
}

// TestNumbersInRecords: what no job can have, another client wrote.
func TestNumbersInRecords(t *testing.T) {
	const counts, times, end = 1, 4, 253_402_300_799 // the parts of a record, and the end of the year 9999
	at := func(seconds ...int64) map[string][]metav1.Time {
		var list []metav1.Time
		for _, s := range seconds {
			list = append(list, metav1.Unix(s, 0))
		}
		return map[string][]metav1.Time{"2": list}
	}
	for name, tc := range map[string]struct {
		reason string
		data   []uint64
		want   commonv1.ReplicaStatus
	}{
		"Count":       {"the highest count", []uint64{counts, 1, math.MaxInt32, 0, 0, 0}, commonv1.ReplicaStatus{Attempts: map[string]int32{"0": math.MaxInt32}}},
		"CountBeyond": {"a higher one", []uint64{counts, 1, math.MaxInt32 + 1, 0, 0, 0}, commonv1.ReplicaStatus{}},
		"Replicas":    {"more replicas than a job can have", append([]uint64{counts, 100_001}, make([]uint64, 100_004)...), commonv1.ReplicaStatus{}},
		"NoReplicas":  {"none", []uint64{counts, 0, 0, 0, 0}, commonv1.ReplicaStatus{}},
		"Times":       {"two times, the second 5 seconds after the first", []uint64{times, 0, 1, 100, 2, 2, 7, 5}, commonv1.ReplicaStatus{RestartTimes: at(107, 112)}},
		"LastTime":    {"the last time there is", []uint64{times, 0, 1, end, 2, 1, 0}, commonv1.ReplicaStatus{RestartTimes: at(end)}},
		"AfterIt":     {"a later one", []uint64{times, 0, 1, end, 2, 1, 1}, commonv1.ReplicaStatus{}},
		"TooMany":     {"more times than a status can hold", []uint64{times, 0, 1, 100, 2, 50_001, 0}, commonv1.ReplicaStatus{}},
		"NoTimes":     {"none", []uint64{times, 0, 0, 100}, commonv1.ReplicaStatus{}},
	} {
		t.Run(name, func(t *testing.T) {
			var data []byte
			for _, n := range tc.data {
				data = binary.AppendUvarint(data, n)
			}
			if diff := cmp.Diff(&tc.want, unpacked(recordOf(data))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestKeysThatAreNoIndexes: what another client wrote under strange keys is dropped when the
// status is packed, and nothing else is.
func TestKeysThatAreNoIndexes(t *testing.T) {
	m := newModel(workers(1200))
	rs := fullStatus(1200, 0).ReplicaStatuses[worker]
	rs.RestartTimes, rs.SucceededIndexes = nil, ""
	want := maps.Clone(rs.Attempts)
	for _, key := range []string{"-1", "01", "+1", "x", "", "100000"} {
		rs.Attempts[key] = 7
	}
	rs.Attempts["99999"], want["99999"] = 3, 3
	m.in.Status = commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: rs}}
	got := plan.UnpackStatus(m.decide().Status).ReplicaStatuses[worker].Attempts
	if !maps.Equal(want, got) {
		t.Errorf("want %d keys, got %v", len(want), slices.Sorted(maps.Keys(got))[:8])
	}
}

// TestWhatIsPacked: a record is made of more than a thousand entries, or 8 KiB of indexes.
func TestWhatIsPacked(t *testing.T) {
	counts := func(n int) map[string]int32 {
		out := map[string]int32{}
		for i := range n {
			out[strconv.Itoa(i)] = 1
		}
		return out
	}
	inPlace := func(n int) map[string]commonv1.InPlaceRestarts {
		out := map[string]commonv1.InPlaceRestarts{}
		for i := range n {
			out[strconv.Itoa(i)] = commonv1.InPlaceRestarts{PodUID: "uid", Count: 1}
		}
		return out
	}
	times := func(n int) map[string][]metav1.Time {
		return map[string][]metav1.Time{"0": slices.Repeat([]metav1.Time{metav1.NewTime(epoch)}, n-1), "1": {metav1.NewTime(epoch)}}
	}
	indexes := func(first int) string {
		var out []string
		for i := first; i < 3500; i += 2 {
			out = append(out, strconv.Itoa(i))
		}
		return strings.Join(out, ",")
	}
	if n := len(indexes(2)); n != 8<<10 {
		t.Fatalf("%d bytes", n)
	}
	for name, tc := range map[string]struct {
		reason string
		status commonv1.ReplicaStatus
		packed bool
	}{
		"Few":         {"a thousand in all", commonv1.ReplicaStatus{Attempts: counts(400), IgnoredAttempts: counts(350), InPlaceRestarts: inPlace(250)}, false},
		"Many":        {"one more", commonv1.ReplicaStatus{Attempts: counts(400), IgnoredAttempts: counts(350), InPlaceRestarts: inPlace(251)}, true},
		"FewTimes":    {"a thousand in all", commonv1.ReplicaStatus{EarlierRestarts: counts(600), RestartTimes: times(400)}, false},
		"ManyTimes":   {"one more", commonv1.ReplicaStatus{EarlierRestarts: counts(600), RestartTimes: times(401)}, true},
		"FewIndexes":  {"8 KiB", commonv1.ReplicaStatus{SucceededIndexes: indexes(2)}, false},
		"ManyIndexes": {"one index more", commonv1.ReplicaStatus{SucceededIndexes: indexes(0)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(4000))
			// Of a job that has finished the status stays as it is.
			m.in.Status = commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: &tc.status}}
			markFailed(m)
			rs := m.decide().Status.ReplicaStatuses[worker]
			if (rs.Record != "") != tc.packed {
				t.Errorf("%s: packed: %t", tc.reason, rs.Record != "")
			}
		})
	}
}

// TestStrangeRestartsInPlace: what another client wrote of one replica costs no other its record.
func TestStrangeRestartsInPlace(t *testing.T) {
	const largest = "18446744073709551615"
	m := newModel(workers(1200))
	rs := fullStatus(1200, 900).ReplicaStatuses[worker]
	maps.Copy(rs.InPlaceRestarts, map[string]commonv1.InPlaceRestarts{
		"7": {PodUID: "a", Count: -1, Earlier: -1, PodResourceVersion: "x"}, "8": {PodUID: "#00", PodResourceVersion: "1"},
		"9": {PodUID: "#zz", PodResourceVersion: largest}, "10": {PodUID: "#0011223344556677z", PodResourceVersion: largest + "0"},
		"11": {PodUID: "#0011223344556677"},
	})
	delete(rs.Attempts, "3")
	rs.Attempts["5"], rs.SucceededIndexes = -3, ""
	m.in.Status = commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: rs}}
	is := unpacked(m.decide().Status.ReplicaStatuses[worker].Record)
	want := maps.Clone(rs.Attempts)
	delete(want, "5")
	if !maps.Equal(want, is.Attempts) {
		t.Errorf("a number below 0 is 0, and costs no other its own: %d attempts, want %d", len(is.Attempts), len(want))
	}
	if len(is.InPlaceRestarts) != 900 {
		t.Fatalf("%d restarts in place, want 900", len(is.InPlaceRestarts))
	}
	for key, want := range map[string]string{"7": "", "8": "1", "9": largest, "10": "", "11": "", "12": rs.InPlaceRestarts["12"].PodResourceVersion} {
		if got := is.InPlaceRestarts[key]; got.PodResourceVersion != want || key == "7" && (got.Count != 0 || got.Earlier != 0) {
			t.Errorf("of replica %s want version %q, got %+v", key, want, got)
		}
	}
	if a, b := is.InPlaceRestarts["11"].PodUID, is.InPlaceRestarts["10"].PodUID; a != "#0011223344556677" || b == a || len(b) != len(a) {
		t.Errorf("what is short already stays so, and only that: %q, %q", a, b)
	}
}

// TestVersionsThatAreClose: what the versions of pods have in common is written once, so large ones take little
// more room than small ones.
func TestVersionsThatAreClose(t *testing.T) {
	const n = 1200
	size := func(first uint64) int {
		m := newModel(workers(n))
		rs := &commonv1.ReplicaStatus{InPlaceRestarts: map[string]commonv1.InPlaceRestarts{}}
		for i := range n {
			rs.InPlaceRestarts[strconv.Itoa(i)] = commonv1.InPlaceRestarts{PodUID: "x", Count: 1, PodResourceVersion: strconv.FormatUint(first+uint64(i), 10)}
		}
		m.in.Status.ReplicaStatuses = map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: rs}
		return len(dataOf(t, m.decide().Status.ReplicaStatuses[worker].Record))
	}
	if small, large := size(1), size(5_000_000_000); large > small+10 {
		t.Errorf("%d pods: %d bytes with small versions, %d with large ones", n, small, large)
	}
}

// TestTimesInNoOrder: what another client wrote may be in no order, and is in order afterwards.
func TestTimesInNoOrder(t *testing.T) {
	m := newModel(workers(600))
	m.in.RunPolicy.BackoffLimitWindowSeconds, m.in.RunPolicy.BackoffLimitPerReplica = new(int64(100)), new(int32(3))
	rs := &commonv1.ReplicaStatus{RestartTimes: map[string][]metav1.Time{}}
	for i := range 600 {
		rs.RestartTimes[strconv.Itoa(i)] = []metav1.Time{metav1.Unix(1000+int64(i), 0), metav1.Unix(900, 0)}
	}
	rs.RestartTimes["7"], rs.RestartTimes["8"] = []metav1.Time{metav1.Unix(-5, 0)}, []metav1.Time{}
	m.in.Status = commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{worker: rs}}
	got := plan.UnpackStatus(m.decide().Status).ReplicaStatuses[worker].RestartTimes
	for key, want := range map[string][]int64{"0": {1000, 1000}, "599": {1599, 1599}, "7": {0}, "8": nil} {
		if diff := cmp.Diff(want, unix(got[key])); diff != "" {
			t.Errorf("of replica %s (-want +got):\n%s", key, diff)
		}
	}
}

// TestEmptyEntriesInAStatus: another client may write null for a type, which is as good as none.
func TestEmptyEntriesInAStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		reason  string
		change  func(*model)
		happens func(*model)
	}{
		"AtRest":  {"nothing happens", func(*model) {}, func(*model) {}},
		"Restart": {"a replica restarts", restartPolicy(commonv1.RestartPolicyExitCode), func(m *model) { m.end(m.pod("worker-0"), 137) }},
		"Budget": {"a replica restarts the job", func(m *model) {
			restartPolicy(commonv1.RestartPolicyExitCode)(m)
			restartsJob(0, nil)(m)
		}, func(m *model) { m.end(m.pod("worker-0"), 137) }},
		"Late": {"the job restarts because it is late", func(m *model) {
			m.in.RunPolicy.StartDeadlineSeconds = new(int64(60))
			restartsLate(m)
		}, func(m *model) {
			m.pod("worker-0").Status.Phase = "Pending"
			m.after(time.Hour)
		}},
		"Window":   {"times are kept", inWindow(new(int32(1)), new(int32(1))), func(m *model) { m.end(m.pod("worker-0"), 137) }},
		"Finished": {"the job ends", func(*model) {}, func(m *model) { m.end(m.pod("worker-0"), 0); m.end(m.pod("worker-1"), 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), tc.change)
			tc.happens(m)
			want := m.decide()
			m.in.Status.ReplicaStatuses[master] = nil
			got := m.decide()
			delete(got.Status.ReplicaStatuses, master)
			if got.StatusChange != plan.StatusUnchanged && want.StatusChange == plan.StatusUnchanged {
				t.Errorf("%s: it is worth a write", tc.reason)
			}
			want.StatusChange = got.StatusChange
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-without +with):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestUnpackingLeavesTheRest: of several types only those with a record are unpacked.
func TestUnpackingLeavesTheRest(t *testing.T) {
	plain := &commonv1.ReplicaStatus{Active: 3}
	status := commonv1.JobStatus{ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{
		worker: {Record: recordOf([]byte{1, 1, 7, 0, 0, 0})}, master: plain, "Other": nil,
	}}
	got := plan.UnpackStatus(status).ReplicaStatuses
	if got[master] != plain || got["Other"] != nil || got[worker].Attempts["0"] != 7 || status.ReplicaStatuses[worker].Record == "" {
		t.Errorf("got %+v", got)
	}
}
