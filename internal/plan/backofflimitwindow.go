package plan

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// With backoffLimitWindowSeconds only the restarts of the last so many seconds count
// against a limit. The status keeps the times of no more restarts than the limit needs, in
// the write that counts them, so a time is never lost and never there twice.
//
// A restart has the time at which the failure was reported, by a clock of the control
// plane. It is compared with the times of other restarts, not with the clock of the
// operator: one that was down comes to the same conclusion as one that was not. What is not
// known counts in the job's favor: a restart of which no clock tells was as early as it can
// have been, and one that is reported from the future was no later than now.
const (
	// maxWindowLimit is the highest backoffLimit with a window.
	maxWindowLimit = 1000
	// maxReplicaTimes is how many times of single replicas a status may have to hold. Of a
	// larger job than MaxInPlace it holds none.
	maxReplicaTimes = 50_000
	// setBack is how much earlier than another a restart may be reported that comes after
	// it: the news of two pods may overtake each other. If it is more, a clock was set back,
	// and the time of the other says nothing.
	setBack = time.Minute
)

// restartTime is when a restart was: not before the one and not after the other.
type restartTime struct{ earliest, latest time.Time }

// at is a time that is known, to the second.
func at(t time.Time) restartTime {
	t = t.Truncate(time.Second)
	return restartTime{t, t}
}

// freshRestarts are the restarts that a pass counts: all of the job, and those of single
// replicas.
type freshRestarts struct {
	all []restartTime
	of  map[*replica][]restartTime
}

// add adds a restart of a replica, or of the whole job if that is nil.
func (f *freshRestarts) add(s *replica, t restartTime) {
	f.all = append(f.all, t)
	if s == nil {
		return
	}
	if f.of == nil {
		f.of = map[*replica][]restartTime{}
	}
	f.of[s] = append(f.of[s], t)
}

// overWindow reports whether more restarts than the limit were within a window: of those
// that were counted before, and of fresh ones. If none is fresh, an edit may have lowered the
// limit; then the window is that before now.
func overWindow(counted []metav1.Time, fresh []restartTime, limit int32, window time.Duration, now time.Time) bool {
	if len(counted)+len(fresh) <= int(limit) {
		return false
	}
	if len(fresh) == 0 {
		return inWindow(believable(counted, now), now, window) > int(limit)
	}
	all := append(believable(counted, newestOf(fresh)), fresh...)
	// Windows that end before a fresh restart were judged when theirs were counted.
	first := slices.MinFunc(fresh, func(a, b restartTime) int { return a.latest.Compare(b.latest) }).latest
	ends := make([]time.Time, 0, len(all))
	for _, t := range all {
		if !t.latest.Before(first) {
			ends = append(ends, t.latest)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	for _, end := range slices.CompactFunc(ends, time.Time.Equal) {
		if inWindow(all, end, window) > int(limit) {
			return true
		}
	}
	return false
}

// inWindow is how many restarts were surely in the window that ends at a time.
func inWindow(times []restartTime, end time.Time, window time.Duration) int {
	n := 0
	for _, t := range times {
		if !t.latest.After(end) && end.Sub(t.earliest) < window {
			n++
		}
	}
	return n
}

// newestOf is the time of the newest of some restarts.
func newestOf(times []restartTime) time.Time {
	return slices.MaxFunc(times, func(a, b restartTime) int { return a.latest.Compare(b.latest) }).latest
}

// believable are the restarts that were counted before one of a given time. One that seems
// to be later comes from a clock that has been set back since.
func believable(counted []metav1.Time, newest time.Time) []restartTime {
	var out []restartTime
	for i := range counted {
		if t := counted[i].Time; !t.After(newest.Add(setBack)) {
			out = append(out, at(t))
		}
	}
	return out
}

// needed are the times that a limit needs, of restarts that were counted before and of
// fresh ones: those that are in one window with the newest, the newest limit+1 of them. None
// is in the future: of two clocks that differ by more than they may, the earlier counts.
func needed(counted []metav1.Time, fresh []restartTime, limit int32, window time.Duration, now time.Time) []metav1.Time {
	most := int(limit) + 1
	if len(fresh) == 0 {
		return counted[max(len(counted)-most, 0):]
	}
	newest := newestOf(fresh)
	all := append(believable(counted, newest), fresh...)
	slices.SortFunc(all, func(a, b restartTime) int { return a.earliest.Compare(b.earliest) })
	var out []metav1.Time
	for _, t := range all[max(len(all)-most, 0):] {
		if t.earliest.After(now.Add(slack)) {
			t.earliest = now.Truncate(time.Second)
		}
		if newest.Sub(t.earliest) < window {
			out = append(out, metav1.NewTime(t.earliest))
		}
	}
	return out
}

// window is what messages say of it.
func (d *decision) window() string {
	if w := d.in.RunPolicy.BackoffLimitWindowSeconds; w != nil {
		return fmt.Sprintf(" in %d seconds (backoffLimitWindowSeconds)", *w)
	}
	return ""
}

// noteInPlace notes the times of restarts in place that a pass counts. The last of them was
// when its container ended. Of those that were seen together with it no clock tells.
func (d *decision) noteInPlace(s *replica, gained int32) {
	if d.in.RunPolicy.BackoffLimitWindowSeconds == nil {
		return
	}
	last := inPlaceAt(s.pod, d.in.Now)
	for range min(gained-1, maxWindowLimit) {
		d.fresh.add(s, restartTime{at(s.pod.CreationTimestamp.Time).earliest, last.latest})
	}
	d.fresh.add(s, last)
}

// noteRestarts notes the times of restarts that a pass counts.
func (d *decision) noteRestarts(failed []failedReplica) {
	if d.in.RunPolicy.BackoffLimitWindowSeconds != nil {
		d.asked(&d.fresh, failed)
	}
}

// asked adds the restarts that failures ask for and that count: as countedRestarts does, one of
// the whole job, and one of each role that restarts together, which are none of a single replica.
func (d *decision) asked(to *freshRestarts, failed []failedReplica) {
	whole := d.restartsWhole(failed)
	var roles []commonv1.ReplicaType
	for i := range failed {
		f := &failed[i]
		t := f.replica.typ
		switch {
		case f.response == responseIgnore, slices.Contains(roles, t):
		case whole:
			to.add(nil, at(countedAt(f)))
			return
		case d.in.scopeOf(t) == commonv1.RestartScopeRole:
			to.add(nil, at(countedAt(f)))
			roles = append(roles, t)
		default:
			to.add(f.replica, at(countedAt(f)))
		}
	}
}

// restartTimes are the times of a replica's restarts that the status knows.
func (in *Input) restartTimes(s *replica) []metav1.Time {
	if rs := in.Status.ReplicaStatuses[s.typ]; rs != nil && len(rs.RestartTimes) > 0 {
		return rs.RestartTimes[strconv.Itoa(int(s.index))]
	}
	return nil
}

// keepRestartTimes writes down the times of the restarts that this pass has counted, and
// drops those that the limits no longer need. That a restart leaves the window is not worth
// a write.
func (d *decision) keepRestartTimes() {
	if d.in.Status.Finished() || d.in.Unreadable != "" {
		return
	}
	status, p := &d.plan.Status, &d.in.RunPolicy
	w := p.BackoffLimitWindowSeconds
	if w == nil || p.BackoffLimit == nil {
		status.RestartTimes = nil
	} else {
		status.RestartTimes = needed(status.RestartTimes, d.fresh.all, *p.BackoffLimit, seconds(*w), d.in.Now)
	}
	d.keepTimesOfReplicas()
}

// keepTimesOfReplicas does that for the limit of each replica.
func (d *decision) keepTimesOfReplicas() {
	p := &d.in.RunPolicy
	w := p.BackoffLimitWindowSeconds
	if w == nil || p.BackoffLimitPerReplica == nil {
		for _, rs := range d.plan.Status.ReplicaStatuses {
			if rs != nil {
				rs.RestartTimes = nil
			}
		}
		return
	}
	if d.spent != "" {
		return // Each replica has its whole budget again.
	}
	for of, fresh := range d.fresh.of {
		rs, index := d.replicaStatus(of.typ), strconv.Itoa(int(of.index))
		if rs.RestartTimes == nil {
			rs.RestartTimes = map[string][]metav1.Time{}
		}
		rs.RestartTimes[index] = needed(rs.RestartTimes[index], fresh, *p.BackoffLimitPerReplica, seconds(*w), d.in.Now)
	}
}

// countedAt is when a replica failed, by a clock of the control plane if one tells.
func countedAt(f *failedReplica) time.Time {
	if f.failure.hung {
		return f.failure.at
	}
	if at := toldAt(f.replica.pod); !at.IsZero() {
		return at
	}
	return f.failure.at
}

// toldAt is when a pod failed, by a clock of the control plane; zero if none tells.
func toldAt(pod *corev1.Pod) time.Time {
	if c := disruption(pod); c != nil && c.Reason != corev1.PodReasonTerminationByKubelet {
		return c.LastTransitionTime.Time
	}
	return reportedAt(pod)
}

// inPlaceAt is when a container of a pod ended that was restarted in place last. A node
// says how long that was before it last wrote the status of the pod; the API server says
// when that was. So the clock of the node may be wrong.
func inPlaceAt(p *corev1.Pod, now time.Time) restartTime {
	ended, newest := nodeTimes(p)
	reported, created := reportedAt(p), p.CreationTimestamp.Time
	switch {
	case ended.IsZero(): // between the creation and the report
		if reported.IsZero() {
			reported = now
		}
		return restartTime{at(created).earliest, at(later(reported, created)).latest}
	case reported.IsZero():
		if ended.After(now) {
			ended = now
		}
		return at(later(ended, created))
	default:
		return at(later(reported.Add(-max(newest.Sub(ended), 0)), created))
	}
}

// nodeTimes are times by the clock of a pod's node: when a container ended that was
// restarted since, and the newest of all that the kubelet tells.
func nodeTimes(p *corev1.Pod) (ended, newest time.Time) {
	for _, list := range ownStatuses(p) {
		for i := range list {
			c := &list[i]
			if t := c.LastTerminationState.Terminated; t != nil {
				ended = later(ended, t.FinishedAt.Time)
			}
			if r := c.State.Running; r != nil {
				newest = later(newest, r.StartedAt.Time)
			}
			if t := c.State.Terminated; t != nil {
				newest = later(newest, t.FinishedAt.Time)
			}
		}
	}
	for i := range p.Status.Conditions {
		c := &p.Status.Conditions[i]
		if slices.Contains([]corev1.PodConditionType{
			corev1.PodReady, corev1.ContainersReady, corev1.PodInitialized, corev1.PodReadyToStartContainers,
		}, c.Type) {
			newest = later(newest, c.LastTransitionTime.Time)
		}
	}
	return ended, newest
}

// validateBudgets checks the fields that say how limits count.
func validateBudgets(in *Input, path *field.Path) field.ErrorList {
	p := &in.RunPolicy
	var errs field.ErrorList
	w, action := p.BackoffLimitWindowSeconds, p.OnBackoffLimitPerReplica
	errs = append(errs, oneOf(path.Child("onBackoffLimitPerReplica"), action,
		commonv1.BackoffLimitPerReplicaFailJob, commonv1.BackoffLimitPerReplicaRestartJob)...)
	if w != nil {
		errs = append(errs, validateWindow(p, path)...)
	}
	if action != nil && p.BackoffLimitPerReplica == nil {
		errs = append(errs, field.Invalid(path.Child("onBackoffLimitPerReplica"), *action,
			"it says nothing without backoffLimitPerReplica: add that, or remove it"))
	}
	if p.MaxJobRestarts != nil && !in.restartsJobInstead() && !in.restartsPastStartDeadline() {
		errs = append(errs, field.Invalid(path.Child("maxJobRestarts"), *p.MaxJobRestarts,
			"it says nothing unless onBackoffLimitPerReplica or onStartDeadline is RestartJob: set one of them, or remove it"))
	}
	limit, n := p.BackoffLimitPerReplica, jobkit.Count(in.Replicas)
	if limit == nil || *limit < 0 {
		return errs
	}
	if w != nil || in.restartsJobInstead() {
		switch {
		case n > MaxInPlace:
			errs = append(errs, field.Invalid(path.Child("backoffLimitPerReplica"), *limit, fmt.Sprintf(
				"the job has %d replicas, and the status can hold what backoffLimitWindowSeconds and onBackoffLimitPerReplica need of %d: "+
					"use fewer replicas, or remove both", n, MaxInPlace)))
		case w != nil && int64(n)*(int64(*limit)+1) > maxReplicaTimes:
			errs = append(errs, field.Invalid(path.Child("backoffLimitPerReplica"), *limit, fmt.Sprintf(
				"with backoffLimitWindowSeconds the status holds the time of each restart: use at most %d for %d replicas, or remove backoffLimitWindowSeconds",
				maxReplicaTimes/n-1, n)))
		}
	}
	return errs
}

// validateWindow checks the window, and the limit of the job for which it holds times.
func validateWindow(p *commonv1.RunPolicy, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seconds := path.Child("backoffLimitWindowSeconds")
	if *p.BackoffLimitWindowSeconds < 1 {
		errs = append(errs, field.Invalid(seconds, *p.BackoffLimitWindowSeconds, "must be 1 or more"))
	}
	if p.BackoffLimit == nil && p.BackoffLimitPerReplica == nil {
		errs = append(errs, field.Invalid(seconds, *p.BackoffLimitWindowSeconds,
			"it says nothing without backoffLimit or backoffLimitPerReplica: add one of them, or remove it"))
	}
	if p.BackoffLimit != nil && *p.BackoffLimit > maxWindowLimit {
		errs = append(errs, field.Invalid(path.Child("backoffLimit"), *p.BackoffLimit, fmt.Sprintf(
			"with backoffLimitWindowSeconds the status holds the time of each restart: use at most %d, or remove backoffLimitWindowSeconds", maxWindowLimit)))
	}
	return errs
}

// countTimes is how many times there are.
func countTimes(m map[string][]metav1.Time) int {
	n := 0
	for _, list := range m {
		n += len(list)
	}
	return n
}

// appendTimes writes the times of replicas, in order of the replicas: the number of them, a
// time that is not later than any, and for each replica with times the distance of its
// index to the one before, how many there are, and their distances.
func appendTimes(out []byte, m map[string][]metav1.Time) []byte {
	at := map[int][]metav1.Time{}
	base := int64(maxUnix)
	for key, list := range m {
		if i, ok := indexOf(key); ok && len(list) > 0 {
			at[i], base = list, max(min(base, list[0].Unix()), 0)
		}
	}
	out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(len(at))), uint64(base))
	last := 0
	for _, i := range slices.Sorted(maps.Keys(at)) {
		out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(i-last)), uint64(len(at[i]))) //nolint:gosec // sorted
		last = i
		was := base
		for _, t := range at[i] {
			now := max(t.Unix(), was) // What another client wrote may be in no order.
			out = binary.AppendUvarint(out, uint64(now-was))
			was = now
		}
	}
	return out
}

// maxUnix is the latest time that is read from a record: the end of the year 9999.
const maxUnix = 253_402_300_799

func (r *recordReader) times() map[string][]metav1.Time {
	n := r.number(jobkit.MaxReplicas)
	base := r.number(maxUnix)
	var m map[string][]metav1.Time
	index := uint64(0)
	for range n {
		index += r.number(jobkit.MaxReplicas)
		count := r.number(maxReplicaTimes)
		if r.failed {
			return nil
		}
		if m == nil {
			m = map[string][]metav1.Time{}
		}
		list, at := make([]metav1.Time, 0, min(count, uint64(len(r.data)))), base
		for range count {
			if at += r.number(maxUnix); r.failed || at > maxUnix {
				r.failed = true
				return nil
			}
			list = append(list, metav1.Unix(int64(at), 0))
		}
		m[strconv.FormatUint(index, 10)] = list
	}
	return m
}
