package jobtest

import (
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/progress/protocol"
	"github.com/jobkit/jobkit/progress"
)

// reportEvery is how often the simulated server of reports writes the status of one job.
const reportEvery = 5 * time.Second

// progressServer plays the server that receives reports of progress, in every process of the
// operator, and writes them to the status of the job.
type progressServer struct {
	// away is true while no report arrives; back is when that last ended.
	away bool
	back time.Time
	jobs map[types.UID]*jobReports
	// late are reports on their way.
	late []lateReport
}

// jobReports is the last report of a job, when it was last written, and whether it is yet to be.
type jobReports struct {
	last    *commonv1.TrainerStatus
	written time.Time
	waits   bool
}

type lateReport struct {
	at  time.Time
	pod *corev1.Pod
}

// SetProgressServer says whether reports of progress arrive. While they do not, the operator
// knows that.
func (w *World) SetProgressServer(up bool) {
	w.logf("reports of progress arrive: %t", up)
	if w.progress.away && up {
		w.progress.back = w.now
	}
	w.progress.away = !up
}

// progressOf is what the controller of a process knows of its server.
func (w *World) progressOf(p *process) *progress.Server {
	return &progress.Server{
		URL:      "https://progress.example.com",
		CABundle: func() string { return "PEM" },
		UpSince: func() time.Time {
			p.mu.Lock()
			defer p.mu.Unlock()
			return w.upSince(p)
		},
	}
}

// upSince is since when the server of a process can be reached, zero if it cannot.
func (w *World) upSince(p *process) time.Time {
	switch {
	case w.progress.away:
		return time.Time{}
	case w.progress.back.After(p.born):
		return w.progress.back
	default:
		return p.born
	}
}

// send has a pod send a report. While things may go wrong it may be lost, or be late.
func (w *World) send(pod *corev1.Pod) string {
	if !canReport(pod) {
		return "would report progress, and does not know where to"
	}
	how := 0
	if w.steps > 0 {
		how = w.chance.pick(4, 80)
	}
	switch how {
	case 1:
		return "reports progress, which is lost"
	case 2, 3:
		w.progress.late = append(w.progress.late, lateReport{w.now.Add(time.Duration(how*how) * time.Second), pod})
		return "reports progress, which is late"
	}
	return w.receive(pod)
}

// canReport reports whether the program of a pod knows where to send reports.
func canReport(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == protocol.EnvURL })
	})
}

// receive has the server receive a report of a pod.
func (w *World) receive(pod *corev1.Pod) string {
	owner := metav1.GetControllerOf(pod)
	up := slices.ContainsFunc(w.processes, func(p *process) bool { return p != nil })
	if w.progress.away || !up || owner == nil || !w.takesReports(owner) {
		return "reports progress, and no one receives it"
	}
	if w.progress.jobs == nil {
		w.progress.jobs = map[types.UID]*jobReports{}
	}
	r := w.progress.jobs[owner.UID]
	if r == nil {
		r = &jobReports{}
		w.progress.jobs[owner.UID] = r
	}
	r.last = &commonv1.TrainerStatus{
		ReceivedTime: &metav1.MicroTime{Time: w.now},
		Reporter:     &commonv1.TrainerReporter{Pod: pod.Name, PodUID: pod.UID, Attempt: attemptLabel(pod)},
	}
	r.waits = true
	if w.monitor.reported == nil {
		w.monitor.reported = map[types.UID]time.Time{}
	}
	w.monitor.reported[pod.UID] = w.now
	w.writeReports()
	return "reports progress"
}

// takesReports reports whether the policy of a job asks for reports. If it does not, the server refuses
// them.
func (w *World) takesReports(owner *metav1.OwnerReference) bool {
	for _, job := range w.jobs.all() {
		if job.GetUID() == owner.UID {
			return asksForReports(w.parts(job).RunPolicy)
		}
	}
	return false
}

// asksForReports reports whether a policy does that, and not only for readiness.
func asksForReports(p *commonv1.RunPolicy) bool {
	return p != nil && p.ProgressPolicy != nil && p.ProgressPolicy.Source != commonv1.ProgressSourceReadiness
}

// nextReport is when a report arrives, or is written, next; zero if none is on its way.
func (w *World) nextReport() time.Time {
	var next time.Time
	consider := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	for _, r := range w.progress.late {
		consider(r.at)
	}
	for _, r := range w.progress.jobs {
		if r.waits {
			consider(r.written.Add(reportEvery))
		}
	}
	return next
}

// writeReports lets reports arrive that are late, and writes those whose time has come.
func (w *World) writeReports() {
	due := func(r lateReport) bool { return !r.at.After(w.now) }
	for at := slices.IndexFunc(w.progress.late, due); at >= 0; at = slices.IndexFunc(w.progress.late, due) {
		pod := w.progress.late[at].pod
		w.progress.late = slices.Delete(w.progress.late, at, at+1)
		w.logf("node: a late report of pod %s: it %s", pod.Name, w.receive(pod))
	}
	for _, job := range w.jobs.all() {
		r := w.progress.jobs[job.GetUID()]
		if r == nil || !r.waits || w.now.Before(r.written.Add(reportEvery)) {
			continue
		}
		r.waits, r.written = false, w.now
		next := clone(job)
		if status := w.statusOf(next); status != nil && !status.Finished() {
			status.TrainerStatus = r.last
			actor := w.actor
			w.actor = nil
			w.server.replace(w.jobs, job, next)
			w.actor = actor
		}
	}
	for uid, r := range w.progress.jobs {
		if r.waits && !w.alive(uid) {
			delete(w.progress.jobs, uid)
		}
	}
}

// onlyReport reports whether two versions of a job differ in the last report alone: that causes
// no reconcile.
func (w *World) onlyReport(was, is client.Object) bool {
	if was == nil || is == nil {
		return false
	}
	x, y := w.statusOf(was), w.statusOf(is)
	if x == nil || y == nil || equality.Semantic.DeepEqual(x.TrainerStatus, y.TrainerStatus) {
		return false
	}
	a, b := clone(was), clone(is)
	w.statusOf(a).TrainerStatus = y.TrainerStatus
	a.SetResourceVersion(b.GetResourceVersion())
	return equality.Semantic.DeepEqual(a, b)
}

// hangsAt is when the program of a pod hangs, zero if it does not.
func (l *life) hangsAt() time.Time {
	if l.fate.Hangs == 0 {
		return time.Time{}
	}
	return l.began.Add(l.fate.Hangs)
}

// reportsAt is when the program of a pod reports next, zero if it does not.
func (l *life) reportsAt() time.Time {
	if l.reported >= len(l.fate.Reports) {
		return time.Time{}
	}
	return l.began.Add(l.fate.Reports[l.reported])
}

// dueRunning is when something happens next to a pod that runs.
func (l *life) dueRunning(pod *corev1.Pod) (at time.Time, ok bool) {
	if l.hung {
		return at, false
	}
	at, ok = l.started.Add(l.fate.Run), !l.fate.endless(l.runs)
	if h := l.hangsAt(); !h.IsZero() && (!ok || h.Before(at)) {
		at, ok = h, true
	}
	if turn, turns := l.turn(pod); turns && (!ok || turn.Before(at)) {
		at, ok = turn, true
	}
	if r := l.reportsAt(); !r.IsZero() && (!ok || r.Before(at)) {
		at, ok = r, true
	}
	return at, ok
}

// progresses has the program of a running pod report, or hang, if that is what is due.
func (k *kubelet) progresses(l *life, pod *corev1.Pod) (string, bool) {
	at, _ := l.dueRunning(pod)
	switch now := k.server.now(); {
	case !l.running || at.After(now):
		return "", false
	case at.Equal(l.reportsAt()):
		l.reported++
		return k.report(pod), true
	case at.Equal(l.hangsAt()):
		l.hung = true
		if probed(pod) {
			k.update(pod, func(p *corev1.Pod) { l.setReady(p, false, k.clock(p, now), now) })
		}
		return "hangs", true
	}
	return "", false
}

// setReady says of a pod whether it is ready, and remembers the true time.
func (l *life) setReady(pod *corev1.Pod, ready bool, at metav1.Time, now time.Time) {
	setReady(pod, ready, at)
	if l.turned.IsZero() || l.ready != ready {
		l.turned = now
	}
	l.ready, l.wasReady = ready, l.wasReady || ready
}

// life is what the kubelet knows of a pod, nil if that is gone.
func (m *monitor) life(pod *corev1.Pod) *life {
	for _, l := range m.w.kubelet.lives {
		if l.uid == pod.UID {
			return l
		}
	}
	return nil
}

// hangsSince is since when a pod truly shows no progress, by the policy of its job, and which
// limits may be for that; zero if it does.
func (m *monitor) hangsSince(job client.Object, pod *corev1.Pod, actor *process) (time.Time, []*int64) {
	p, l := m.w.parts(job).RunPolicy.ProgressPolicy, m.life(pod)
	switch {
	case p == nil || l == nil || !l.running:
		return time.Time{}, nil
	case p.Source == commonv1.ProgressSourceReadiness:
		return l.unreadySince(p)
	case m.lastReport(job).IsZero() && !canReport(pod):
		return time.Time{}, nil // It was created before reports were asked for.
	}
	since, there, again := m.allRunSince(job)
	limits, last := []*int64{p.StartTimeoutSeconds}, m.lastReport(job)
	// Of a pod that no other has replaced, the report counts as long as the others run on.
	gap := last.Sub(since)
	stands := gap > 0 && !m.reporterReplaced(job)
	switch {
	case again == processOther:
	case again == processUnknown:
		limits = append(limits, p.StallTimeoutSeconds)
	case there, stands && gap > 2*time.Second:
		limits = []*int64{p.StallTimeoutSeconds}
		if gap > 0 {
			since = last
		}
	case stands: // A node and the API server tell times in seconds: which came first is not known.
		limits = append(limits, p.StallTimeoutSeconds)
	}
	if actor != nil && m.w.upSince(actor).After(since) {
		since = m.w.upSince(actor)
	}
	if asked := m.ledger(job.GetUID()).asked; asked.After(since) {
		since = asked
	}
	return since, limits
}

// processOf is of which process of a pod a report is, as far as times in seconds tell: the node may have
// restarted it in place since.
type processOf int

const (
	processSame processOf = iota
	processUnknown
	processOther
)

// reportedBy is which process of a pod that runs sent a report.
func (m *monitor) reportedBy(l *life, pod *corev1.Pod, at time.Time) processOf {
	switch gap := at.Sub(l.started); {
	case restartCount(pod) == 0, gap > 2*time.Second:
		return processSame
	case gap > 0:
		return processUnknown
	default:
		return processOther
	}
}

// allRunSince is since when all pods of a job run that do, or have succeeded, whether the one that
// reported last is among those that run, and whether its process is still the same.
func (m *monitor) allRunSince(job client.Object) (since time.Time, there bool, by processOf) {
	last := m.lastReport(job)
	for _, peer := range m.w.kubelet.lives {
		pod := m.w.kubelet.pod(peer)
		if pod == nil || !metav1.IsControlledBy(pod, job) {
			continue
		}
		runs := peer.running && !ended(pod) // One that was evicted does not.
		t, index, _ := m.replica(job, pod)
		if !runs && pod.Status.Phase != corev1.PodSucceeded && !m.leftAlone(job, t, index) {
			continue
		}
		if peer.started.After(since) {
			since = peer.started
		}
		if !runs {
			continue
		}
		if at, ok := m.reported[peer.uid]; ok && at.Equal(last) && m.mayStand(job, peer.uid, at) {
			there, by = true, m.reportedBy(peer, pod, at)
		}
	}
	return since, there, by
}

// reporterReplaced reports whether another pod of the replica that reported last runs.
func (m *monitor) reporterReplaced(job client.Object) bool {
	last, pods := m.lastReport(job), m.ledger(job.GetUID()).pods
	for uid, pod := range pods {
		if at, ok := m.reported[uid]; !ok || !at.Equal(last) {
			continue
		}
		name := client.ObjectKeyFromObject(pod)
		if slices.ContainsFunc(m.w.kubelet.lives, func(l *life) bool { return l.running && l.uid != uid && l.key == name }) {
			return true
		}
	}
	return false
}

// mayStand reports whether the report of a pod may be the one in the status: of several at the
// same time it is that of one pod.
func (m *monitor) mayStand(job client.Object, uid types.UID, at time.Time) bool {
	s := m.w.parts(job).Status.TrainerStatus
	return s == nil || s.Reporter == nil || s.ReceivedTime == nil || !s.ReceivedTime.Time.Equal(at) || s.Reporter.PodUID == uid
}

// lastReport is when any pod of a job reported last.
func (m *monitor) lastReport(job client.Object) time.Time {
	var last time.Time
	for uid := range m.ledger(job.GetUID()).pods {
		if at := m.reported[uid]; at.After(last) {
			last = at
		}
	}
	return last
}

// unreadySince is since when a pod is not ready.
func (l *life) unreadySince(p *commonv1.ProgressPolicy) (time.Time, []*int64) {
	if l.ready || l.turned.IsZero() {
		return time.Time{}, nil
	}
	since := l.turned
	if l.started.After(since) {
		since = l.started
	}
	switch gap := l.turned.Sub(l.started); {
	case !l.wasReady, gap < -time.Second:
		return since, []*int64{p.StartTimeoutSeconds}
	case gap > time.Second:
		return since, []*int64{p.StallTimeoutSeconds}
	default: // A node tells times in seconds.
		return since, []*int64{p.StartTimeoutSeconds, p.StallTimeoutSeconds}
	}
}

// hungBetween is when a pod hangs by the truth, at the earliest and at the latest: which of two limits is
// for it may not be known. The earliest is zero if it does not hang, the latest if it need not.
func (m *monitor) hungBetween(job client.Object, pod *corev1.Pod, actor *process) (earliest, latest time.Time) {
	since, limits := m.hangsSince(job, pod, actor)
	for _, n := range limits {
		if n == nil {
			continue
		}
		at := since.Add(time.Duration(*n) * time.Second)
		if earliest.IsZero() || at.Before(earliest) {
			earliest = at
		}
		if at.After(latest) {
			latest = at
		}
	}
	if slices.Contains(limits, nil) {
		latest = time.Time{}
	}
	return earliest, latest
}

// checkHangs checks the hangs that a status begins to tell: each is one, is recorded once, and
// in time. From then on they are failures like others.
func (m *monitor) checkHangs(job client.Object, old, status *commonv1.JobStatus) {
	l := m.ledger(job.GetUID())
	if status.IsTrue(commonv1.JobHung) && (status.Finished() || status.IsTrue(commonv1.JobSuspended)) {
		m.w.violatef("conditions", "the job hangs and is %s", status.State)
	}
	if c := status.Condition(commonv1.JobHung); status.IsTrue(commonv1.JobHung) && !old.IsTrue(commonv1.JobHung) {
		for _, uid := range l.order {
			if pod := l.pods[uid]; strings.Contains(c.Message, " pod "+pod.Name+" ") && m.life(pod) != nil {
				m.checkHang(job, pod)
			}
		}
	}
	m.countHangs(job, l, old, status)
}

// countHangs takes in each hang that a status is the first to count.
func (m *monitor) countHangs(job client.Object, l *ledger, old, status *commonv1.JobStatus) {
	for i := range status.Failures {
		f := &status.Failures[i]
		if f.Reason != "Hung" || slices.ContainsFunc(old.Failures, func(o commonv1.ReplicaFailure) bool { return sameFailure(f, &o) }) {
			continue
		}
		name := m.kind.PodName(job.GetName(), f.Type, f.Index)
		for _, uid := range slices.Backward(l.order) {
			if pod := l.pods[uid]; pod.Name == name && attemptLabel(pod) == f.Attempt {
				m.countHang(job, l, pod, f.Time.Time)
				break
			}
		}
	}
}

// sameFailure reports whether two failures are those of one pod.
func sameFailure(a, b *commonv1.ReplicaFailure) bool {
	return a.Reason == b.Reason && a.Type == b.Type && a.Index == b.Index && a.Attempt == b.Attempt && a.Time.Equal(&b.Time)
}

// countHang takes in that the status counts the hang of a pod at a time. A pass that comes late finds hangs of
// different times at once.
func (m *monitor) countHang(job client.Object, l *ledger, pod *corev1.Pod, at time.Time) {
	if l.hung[pod.UID] {
		m.w.violatef("P6", "the hang of pod %s is counted twice", pod.Name)
	}
	if l.hung == nil {
		l.hung = map[types.UID]bool{}
	}
	l.hung[pod.UID], m.failed[pod.UID] = true, true
	m.failedAt[pod.UID] = at
	m.checkHang(job, pod)
}

// checkHang checks that a pod which a status takes for one that hangs does, and that this was
// not found too late. What changed while the pass went on, it need not know.
func (m *monitor) checkHang(job client.Object, pod *corev1.Pod) {
	l, actor := m.life(pod), m.w.actor
	if l == nil || actor == nil || actor.pass == nil || !m.w.kubelet.isCurrent(l) {
		return
	}
	began := actor.pass.began
	if l.changedSince(began) || m.w.progress.back.After(began) || m.reported[l.uid].After(began) {
		return
	}
	due, latest := m.hungBetween(job, pod, actor)
	if due.IsZero() || m.w.now.Before(due) {
		m.w.violatef("no false hang", "%s says that pod %s hangs, but it does so at %s at the earliest", actor.name, pod.Name, due.Sub(m.w.start))
	}
	// Nodes tell times in seconds, and a pass takes some milliseconds.
	const most = 2*time.Second + 200*time.Millisecond
	if late := m.w.now.Sub(latest); !latest.IsZero() && late > most && m.w.calm(latest) {
		m.w.violatef("P7", "%s finds %s too late that pod %s hangs", actor.name, late, pod.Name)
	}
}

// changedSince reports whether a pod that hung at a time has gone on, begun again, or ended, since.
func (l *life) changedSince(at time.Time) bool {
	return l.running && !l.started.Before(at) || !l.running && !l.stopped.Before(at) || l.ready && l.turned.After(at)
}

// isCurrent reports whether the pod of a life still exists.
func (k *kubelet) isCurrent(l *life) bool { return k.pod(l) != nil }

// calm reports whether nothing went wrong for a while before a time.
func (w *World) calm(at time.Time) bool {
	return (w.chance == nil || w.steps <= 0 && !w.calmSince.IsZero() && at.After(w.calmSince.Add(2*time.Minute))) &&
		len(w.outages) == 0 && w.denies == nil && len(w.processes) == 1
}

// checkHangsReported checks that nothing of a job at rest hangs without a consequence.
func (m *monitor) checkHangsReported(job client.Object, pods []*corev1.Pod) {
	parts := m.w.parts(job)
	p := parts.RunPolicy.ProgressPolicy
	if p == nil || parts.Status.IsTrue(commonv1.JobHung) || p.Source != commonv1.ProgressSourceReadiness && !m.expectsReports(job, pods) {
		return
	}
	for _, pod := range pods {
		t, i, wanted := m.replica(job, pod)
		current := wanted && live(pod) && attemptLabel(pod) >= attemptOf(parts.Status, t, i) && !m.stuck(pod)
		if _, at := m.hungBetween(job, pod, m.w.processes[0]); current && !at.IsZero() && m.w.now.Sub(at) > 3*time.Second {
			m.w.violatef("P7", "job %s is at rest, but its pod %s hangs since %s, and nothing follows", job.GetName(), pod.Name, at.Sub(m.w.start))
		}
	}
}

// live reports whether nothing has ended a pod.
func live(pod *corev1.Pod) bool { return pod.DeletionTimestamp == nil && !disrupted(pod) }

// expectsReports reports whether a job could report progress: all its replicas run, those that have
// never reported know where to, and the server can be reached.
func (m *monitor) expectsReports(job client.Object, pods []*corev1.Pod) bool {
	if m.lastReport(job).IsZero() && slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return !canReport(p) }) {
		return false
	}
	running, wanted, parts := 0, 0, m.w.parts(job)
	for t, spec := range parts.ReplicaSpecs {
		for i := range wantedReplicas(spec) {
			wanted++
			if saysSucceeded(parts.Status, t, i) || m.leftAlone(job, t, i) {
				running++
			}
		}
	}
	for _, pod := range pods {
		if l := m.life(pod); l != nil && l.running && live(pod) {
			running++
		}
	}
	return running >= wanted && !m.w.upSinceNow().IsZero() && !m.reporterSucceeded(job)
}

// reporterSucceeded reports whether the pod that reported last has succeeded: then no report is
// expected.
func (m *monitor) reporterSucceeded(job client.Object) bool {
	last := m.lastReport(job)
	for uid := range m.ledger(job.GetUID()).pods {
		if at, ok := m.reported[uid]; ok && at.Equal(last) && m.succeeded[uid] {
			return true
		}
	}
	return false
}

// upSinceNow is since when the server can be reached, whichever process it is in.
func (w *World) upSinceNow() time.Time {
	if w.progress.away || w.processes[0] == nil {
		return time.Time{}
	}
	return w.upSince(w.processes[0])
}
