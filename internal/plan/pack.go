package plan

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// A status is part of one object of the store, which holds up to 1.5 MiB, and is sent with
// each write. Its records of single replicas are plain as long as they are few; those of a
// large job are packed (see docs/maintainers/decisions/0011-large-statuses.md).
const (
	// maxPlain is how many entries, and maxPlainIndexes how many bytes of succeededIndexes and
	// of failedIndexes, of one replica type stay plain.
	maxPlain        = 1000
	maxPlainIndexes = 8 << 10
	// MaxInPlace is the highest number of replicas of a job whose nodes restart containers
	// in place. For each of these the status must hold which pod it counted last.
	MaxInPlace = 10_000
)

// Parts of a packed record.
const (
	packedPrefix  = "1:" // the version of the format
	packedCounts  = 1
	packedIndexes = 2
	// These came later. They are last, so that operators that do not know them read the others.
	packedBudgets = 4
	packedFailed  = 8
	hashSize      = 8
	hashPrefix    = "#"
)

// UnpackStatus returns a status with all records of single replicas in plain fields. It is
// the same status if nothing is packed; otherwise it shares nothing that was packed.
func UnpackStatus(status commonv1.JobStatus) commonv1.JobStatus {
	copied := false
	for t, rs := range status.ReplicaStatuses {
		if rs == nil || rs.Record == "" {
			continue
		}
		if !copied {
			status.ReplicaStatuses, copied = maps.Clone(status.ReplicaStatuses), true
		}
		plain := *rs
		plain.Record = ""
		// An invalid record was written by another client: it is ignored.
		_ = decodeRecord(rs.Record, &plain)
		status.ReplicaStatuses[t] = &plain
	}
	return status
}

// withUnpackedStatus is the input with its status unpacked.
func withUnpackedStatus(in *Input) *Input {
	for _, rs := range in.Status.ReplicaStatuses {
		if rs != nil && rs.Record != "" {
			plain := *in
			plain.Status = UnpackStatus(in.Status)
			return &plain
		}
	}
	return in
}

// packStatus packs the records of single replicas, which are all unpacked, if they are large. The
// maps of the status may be shared; it replaces them.
func packStatus(status *commonv1.JobStatus) {
	for t, rs := range status.ReplicaStatuses {
		if rs == nil {
			continue
		}
		parts := largeParts(rs)
		if parts == 0 {
			continue
		}
		packed := *rs
		packed.Record = encodeRecord(rs, parts)
		if parts&packedCounts != 0 {
			packed.Attempts, packed.IgnoredAttempts, packed.InPlaceRestarts = nil, nil, nil
		}
		if parts&packedIndexes != 0 {
			packed.SucceededIndexes = ""
		}
		if parts&packedBudgets != 0 {
			packed.EarlierRestarts, packed.RestartTimes = nil, nil
		}
		if parts&packedFailed != 0 {
			packed.FailedIndexes = ""
		}
		status.ReplicaStatuses[t] = &packed
	}
}

// largeParts are the parts of a replica status that are large.
func largeParts(rs *commonv1.ReplicaStatus) byte {
	parts := byte(0)
	if len(rs.Attempts)+len(rs.IgnoredAttempts)+len(rs.InPlaceRestarts) > maxPlain {
		parts |= packedCounts
	}
	if len(rs.SucceededIndexes) > maxPlainIndexes {
		parts |= packedIndexes
	}
	if len(rs.EarlierRestarts)+countTimes(rs.RestartTimes) > maxPlain {
		parts |= packedBudgets
	}
	if len(rs.FailedIndexes) > maxPlainIndexes {
		parts |= packedFailed
	}
	return parts
}

// encodeRecord writes the parts of a replica status as columns of small numbers, which are
// then compressed.
func encodeRecord(rs *commonv1.ReplicaStatus, parts byte) string {
	out := []byte{parts}
	if parts&packedCounts != 0 {
		out = appendColumn(out, rs.Attempts)
		out = appendColumn(out, rs.IgnoredAttempts)
		out = appendInPlace(out, rs.InPlaceRestarts)
	}
	if parts&packedIndexes != 0 {
		out = appendIndexes(out, rs.SucceededIndexes)
	}
	if parts&packedBudgets != 0 {
		out = appendTimes(appendColumn(out, rs.EarlierRestarts), rs.RestartTimes)
	}
	if parts&packedFailed != 0 {
		out = appendIndexes(out, rs.FailedIndexes)
	}
	var buffer bytes.Buffer
	w, _ := flate.NewWriter(&buffer, flate.DefaultCompression) // fails for a wrong level only
	_, _ = w.Write(out)                                        // a buffer takes all
	_ = w.Close()
	return packedPrefix + base64.RawStdEncoding.EncodeToString(buffer.Bytes())
}

// appendIndexes writes a list of indexes, a bit for each.
func appendIndexes(out []byte, list string) []byte {
	bits := []byte{}
	for i := range parseIndexes(list, jobkit.MaxReplicas) {
		for int(i/8) >= len(bits) {
			bits = append(bits, make([]byte, int(i/8)+1-len(bits))...)
		}
		bits[i/8] |= 1 << (i % 8)
	}
	return append(binary.AppendUvarint(out, uint64(len(bits))), bits...)
}

// indexOf reads the index of a replica, which is below MaxReplicas.
func indexOf(key string) (int, bool) {
	i, err := strconv.Atoi(key)
	return i, err == nil && i >= 0 && i < jobkit.MaxReplicas && strconv.Itoa(i) == key
}

// appendColumn writes the numbers of a map, by index.
func appendColumn(out []byte, m map[string]int32) []byte {
	var column []int32
	for key, n := range m {
		if i, ok := indexOf(key); ok {
			if i >= len(column) {
				column = append(column, make([]int32, i+1-len(column))...)
			}
			column[i] = max(n, 0)
		}
	}
	out = binary.AppendUvarint(out, uint64(len(column)))
	for _, n := range column {
		out = binary.AppendUvarint(out, uint64(n)) //nolint:gosec // not negative
	}
	return out
}

// appendInPlace writes the restarts in place, in columns of the same kind of number.
func appendInPlace(out []byte, m map[string]commonv1.InPlaceRestarts) []byte {
	var at []int
	base := uint64(0)
	for key, r := range m {
		if i, ok := indexOf(key); ok {
			at = append(at, i)
		}
		if v := versionOf(r.PodResourceVersion); v > 0 && (base == 0 || v < base) {
			base = v
		}
	}
	slices.Sort(at)
	out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(len(at))), base)
	last := 0
	for _, i := range at {
		out = binary.AppendUvarint(out, uint64(i-last)) //nolint:gosec // sorted
		last = i
	}
	for _, number := range []func(commonv1.InPlaceRestarts) uint64{
		func(r commonv1.InPlaceRestarts) uint64 {
			if v := versionOf(r.PodResourceVersion); v > 0 {
				return v - base + 1
			}
			return 0
		},
		func(r commonv1.InPlaceRestarts) uint64 { return uint64(max(r.Count, 0)) },
		func(r commonv1.InPlaceRestarts) uint64 { return uint64(max(r.Earlier, 0)) },
	} {
		for _, i := range at {
			out = binary.AppendUvarint(out, number(m[strconv.Itoa(i)]))
		}
	}
	for _, i := range at {
		out = append(out, hashOf(m[strconv.Itoa(i)].PodUID)...)
	}
	return out
}

func versionOf(s string) uint64 {
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// hashOf is a short form of a UID, of 64 bits: enough to distinguish the few pods of one
// replica.
func hashOf(uid types.UID) []byte {
	if h, ok := strings.CutPrefix(string(uid), hashPrefix); ok {
		if b, err := hex.DecodeString(h); err == nil && len(b) == hashSize {
			return b
		}
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(uid)) // never fails
	return h.Sum(nil)
}

// samePod reports whether a recorded UID, which may be a short form, is that of a pod.
func samePod(recorded, uid types.UID) bool {
	return recorded == uid || strings.HasPrefix(string(recorded), hashPrefix) && bytes.Equal(hashOf(recorded), hashOf(uid))
}

// maxRecord is how large an unpacked record can be: all that a job of MaxReplicas can have.
const maxRecord = 64 * jobkit.MaxReplicas

var errRecord = errors.New("the record of a replica type is not valid")

// decodeRecord reads a record into a replica status.
func decodeRecord(packed string, rs *commonv1.ReplicaStatus) error {
	text, ok := strings.CutPrefix(packed, packedPrefix)
	if !ok {
		return errRecord
	}
	compressed, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return errRecord
	}
	var unpacked bytes.Buffer
	_, err = unpacked.ReadFrom(&bounded{from: flate.NewReader(bytes.NewReader(compressed)), left: maxRecord})
	data := unpacked.Bytes()
	if err != nil || len(data) == 0 {
		return errRecord
	}
	r := &recordReader{data: data[1:]}
	read := *rs
	if data[0]&packedCounts != 0 {
		read.Attempts, read.IgnoredAttempts, read.InPlaceRestarts = r.column(), r.column(), r.inPlace()
	}
	if data[0]&packedIndexes != 0 {
		read.SucceededIndexes = r.indexes()
	}
	if data[0]&packedBudgets != 0 {
		read.EarlierRestarts, read.RestartTimes = r.column(), r.times()
	}
	if data[0]&packedFailed != 0 {
		read.FailedIndexes = r.indexes()
	}
	if r.failed {
		return errRecord
	}
	*rs = read
	return nil
}

// recordReader reads the parts of a record.
type recordReader struct {
	data   []byte
	failed bool
}

func (r *recordReader) number(most uint64) uint64 {
	n, size := binary.Uvarint(r.data)
	if size <= 0 || n > most {
		r.failed, r.data = true, nil
		return 0
	}
	r.data = r.data[size:]
	return n
}

func (r *recordReader) bytes(n int) []byte {
	if n > len(r.data) {
		r.failed, r.data = true, nil
		return nil
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *recordReader) column() map[string]int32 {
	var m map[string]int32
	for i := range r.number(jobkit.MaxReplicas) {
		if n := r.number(math.MaxInt32); n > 0 {
			if m == nil {
				m = map[string]int32{}
			}
			m[strconv.FormatUint(i, 10)] = int32(n) //nolint:gosec // at most that
		}
	}
	return m
}

func (r *recordReader) inPlace() map[string]commonv1.InPlaceRestarts {
	entries := int(r.number(jobkit.MaxReplicas)) //nolint:gosec // small
	base := r.number(math.MaxUint64)
	if entries == 0 {
		return nil
	}
	at, list := make([]uint64, entries), make([]commonv1.InPlaceRestarts, entries)
	last := uint64(0)
	for i := range at {
		last += r.number(jobkit.MaxReplicas)
		at[i] = last
	}
	for i := range list {
		if v := r.number(math.MaxUint64); v > 0 {
			list[i].PodResourceVersion = strconv.FormatUint(base+v-1, 10)
		}
	}
	for i := range list {
		list[i].Count = int32(r.number(math.MaxInt32)) //nolint:gosec // at most that
	}
	for i := range list {
		list[i].Earlier = int32(r.number(math.MaxInt32)) //nolint:gosec // at most that
	}
	m := make(map[string]commonv1.InPlaceRestarts, entries)
	for i := range list {
		list[i].PodUID = types.UID(hashPrefix + hex.EncodeToString(r.bytes(hashSize)))
		m[strconv.FormatUint(at[i], 10)] = list[i]
	}
	return m
}

func (r *recordReader) indexes() string {
	bits := r.bytes(int(r.number(jobkit.MaxReplicas))) //nolint:gosec // small
	listed := func(i int) bool { return bits[i/8]&(1<<(i%8)) != 0 }
	return ranges(min(8*len(bits), jobkit.MaxReplicas), listed)
}

// cutText cuts a text to at most n bytes of valid UTF-8, as the texts of a status or an event
// must be.
func cutText(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}

// bounded limits how much is read: another client may have written a record that unpacks
// without end.
type bounded struct {
	from interface {
		Read(into []byte) (int, error)
	}
	left int
}

func (b *bounded) Read(into []byte) (int, error) {
	n, err := b.from.Read(into)
	if b.left -= n; b.left < 0 {
		return n, errRecord
	}
	return n, err
}
