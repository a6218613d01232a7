package jobtest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// monitor watches everything that happens and knows the promises.
type monitor struct {
	w    *World
	kind jobkit.Kind
	// failed and succeeded hold the pods that did so by themselves: before anyone asked
	// for their deletion.
	failed, succeeded map[types.UID]bool
	// doubtful are those that may be taken for failed: they were disrupted when they had
	// ended, or were being deleted, already.
	doubtful map[types.UID]bool
	// stopped are those that were being deleted when they were disrupted, as is clear to every
	// process that saw when their deletion was requested.
	stopped map[types.UID]bool
	// failedAt is when each of these did so first, and exitedAt when the containers of each ended whose end was
	// reported later: the status of a pod says that time.
	failedAt, exitedAt map[types.UID]time.Time
	// ledgers hold what is true of each job, by its UID.
	ledgers map[types.UID]*ledger
	// reported is when the server last received a report of each pod.
	reported map[types.UID]time.Time
	probing  bool // whether the operator should be quiet
	// takenOver are the jobs that had a status before the operator wrote one.
	takenOver map[types.NamespacedName]bool
}

// ledger is the truth about the restarts of one job, kept in the plainest way.
type ledger struct {
	// pods are all pods that the job ever had, as they last were.
	pods map[types.UID]*corev1.Pod
	// order lists them in the order of their creation.
	order []types.UID
	// replicas are the type and the index that each was created with: others may write anything into its labels.
	replicas map[types.UID]string
	// erred are those of which a container ended with an error before anyone asked for their
	// deletion, whether or not the kubelet has reported that they have failed.
	erred map[types.UID]bool
	// counted are the failed pods that were deleted by the operator to be replaced.
	counted map[types.UID]bool
	// asked is since when the job is asked for reports, if it was not from the start.
	asked time.Time
	// hung are those that the status told to hang.
	hung map[types.UID]bool
	// seen are the restarts in place that the status counted, by pod.
	seen map[types.UID]int32
	// free are the restarts of the whole job, and of roles, that no limit counts.
	free int32
	// turns counts how often a condition became True.
	turns int
	// lateStarts counts how often the job began to say that pods do not start.
	lateStarts int
	// startRestarts counts how often the job restarted because pods did not start in time.
	startRestarts int32
	// invalid is set when the server found a pod or service of the job invalid.
	invalid bool
	// touched is set when someone changed labels or owners of the job's pods.
	touched bool
	budgets budgetBook
}

func newMonitor(w *World, kind jobkit.Kind) monitor {
	return monitor{
		w: w, kind: kind,
		failed: map[types.UID]bool{}, succeeded: map[types.UID]bool{}, doubtful: map[types.UID]bool{}, stopped: map[types.UID]bool{},
		failedAt: map[types.UID]time.Time{}, exitedAt: map[types.UID]time.Time{},
		ledgers: map[types.UID]*ledger{}, takenOver: map[types.NamespacedName]bool{},
	}
}

// ended records every pod that ended, and whether it did so by itself.
func (m *monitor) ended(pod *corev1.Pod, byItself bool) {
	switch {
	case !byItself || pod == nil:
	case pod.Status.Phase == corev1.PodSucceeded:
		m.succeeded[pod.UID] = true
	default:
		m.failed[pod.UID] = true
		if at, known := m.exitedAt[pod.UID]; known && m.failedAt[pod.UID].IsZero() {
			m.failedAt[pod.UID] = at
		}
		m.failedNow(pod.UID)
	}
}

// exited records when the containers of a pod ended.
func (m *monitor) exited(uid types.UID) { m.exitedAt[uid] = m.w.now }

// missed says that a process does not see all that happens: it starts, or lists everything again.
func (m *monitor) missed() {
	for uid := range m.stopped {
		m.doubtful[uid] = true
	}
	clear(m.stopped)
}

// ledger is that of the job with a UID.
func (m *monitor) ledger(uid types.UID) *ledger {
	l := m.ledgers[uid]
	if l == nil {
		l = &ledger{
			pods: map[types.UID]*corev1.Pod{}, replicas: map[types.UID]string{},
			erred: map[types.UID]bool{}, counted: map[types.UID]bool{}, seen: map[types.UID]int32{},
		}
		m.ledgers[uid] = l
	}
	return l
}

// changed records every change in the cluster, when it has happened.
func (m *monitor) changed(t *table, c change) {
	if t == m.w.jobs {
		if status := m.w.parts(c.object).Status; status != nil && m.w.actor == nil && status.State == "" && len(status.Conditions) > 0 {
			m.takenOver[client.ObjectKeyFromObject(c.object)] = true
		}
		if c.verb == modified {
			m.jobChanged(c.was, c.object)
			if m.w.onStatus != nil && m.w.actor != nil {
				m.w.onStatus(c.was, c.object)
			}
		}
		return
	}
	m.recordPod(c)
	if m.w.actor == nil {
		return
	}
	if c.verb != deleted {
		m.checkGrants(m.w.actor, c.object)
	}
	if c.verb == added {
		m.created(m.w.actor, t, c.object)
	}
}

// recordPod enters a pod into the ledger of its job.
func (m *monitor) recordPod(c change) {
	pod, ok := c.object.(*corev1.Pod)
	if !ok {
		return
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return
	}
	l := m.ledger(owner.UID)
	if l.pods[pod.UID] == nil {
		l.order = append(l.order, pod.UID)
	}
	if old, ok := c.was.(*corev1.Pod); ok && old != nil && old.Labels[commonv1.AttemptLabel] != pod.Labels[commonv1.AttemptLabel] {
		l.touched = true
	}
	l.pods[pod.UID] = pod
	l.erred[pod.UID] = l.erred[pod.UID] || pod.DeletionTimestamp == nil && erred(pod)
	m.enter(l, pod.UID, restartCount(pod))
}

// erred reports whether a container of a pod has ended with an error, and will not run again.
func erred(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.State.Terminated != nil && s.State.Terminated.ExitCode != 0
	})
}

// beforeWrite records a write that a process asks for, before it is done.
func (m *monitor) beforeWrite(p *process, op call) {
	w := m.w
	if m.probing {
		w.violatef("P2", "at rest, %s wants to %s", p.name, op)
	}
	if op.table == w.jobs {
		if op.verb != verbDelete && !op.status {
			w.violatef("P8", "%s wants to %s: only the status of a job is the operator's", p.name, op)
		}
		if !op.guarded {
			w.violatef("preconditions", "%s wants to %s without a resource version or UID as precondition", p.name, op)
		}
		return
	}
	l := p.pass
	if l == nil || l.verified == nil {
		w.violatef("P5", "%s wants to %s, but did not verify in this pass that the job has not changed", p.name, op)
		return
	}
	switch op.verb {
	case verbCreate:
		m.checkCreate(p, op, l.verified)
	case verbDelete:
		m.checkDelete(p, op, l.verified)
	default:
		m.checkUpdate(p, op, l.verified)
	}
}

// checkUpdate checks that only the job's own services and owned objects are
// changed, under a precondition.
func (m *monitor) checkUpdate(p *process, op call, verification client.Object) {
	if !op.guarded {
		m.w.violatef("preconditions", "%s wants to %s without a resource version as precondition", p.name, op)
	}
	there := op.table.get(op.key)
	if there == nil || fresh(op.table, there, op.uid, op.version) != nil || changedUnseen(p.pass, there, verification) {
		return // The write does no harm, or the process cannot know better.
	}
	if claim, ok := there.(*corev1.PersistentVolumeClaim); ok && m.kind.VolumeClaims && m.claimUpdateAsked(op, claim, verification) {
		return
	}
	if _, ok := there.(*corev1.Pod); ok && !adopts(op.patch) || !metav1.IsControlledBy(there, verification) {
		m.w.violatef("P8", "%s wants to %s, which is not its concern", p.name, op)
	}
}

// adopts reports whether a patch sets labels of the operator and nothing else.
func adopts(patch []byte) bool {
	var body map[string]map[string]any
	if json.Unmarshal(patch, &body) != nil || len(body) != 1 {
		return false
	}
	labels, _ := body["metadata"]["labels"].(map[string]any)
	for key := range body["metadata"] {
		if key != "uid" && key != "resourceVersion" && key != "labels" {
			return false
		}
	}
	for key := range labels {
		if !strings.HasPrefix(key, commonv1.LabelPrefix) {
			return false
		}
	}
	return len(labels) > 0
}

// afterCreate records the server's answer to a create. An owned object that is invalid
// is no mistake of the job's user.
func (m *monitor) afterCreate(op call, err error) {
	_, pod := op.object.(*corev1.Pod)
	_, service := op.object.(*corev1.Service)
	if op.verb == verbCreate && (pod || service) && (apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)) {
		if owner := metav1.GetControllerOf(op.object); owner != nil {
			m.ledger(owner.UID).invalid = true
		}
	}
}

// checkCreate checks that a job which ended, was suspended or is being deleted gets
// nothing new. What counts is the job as the server showed it to the process when
// the pass verified it: between that and the create the job may change, and no
// client can prevent that.
func (m *monitor) checkCreate(p *process, op call, verification client.Object) {
	parts := m.w.parts(verification)
	why := ""
	switch {
	case parts.Status == nil:
	case verification.GetDeletionTimestamp() != nil:
		why = "is being deleted"
	case parts.Status.Finished():
		why = "has finished"
	case parts.RunPolicy.Suspend != nil && *parts.RunPolicy.Suspend:
		why = "is suspended"
	}
	if why != "" {
		m.w.violatef("P5", "%s wants to %s for a job that %s", p.name, op, why)
	}
	m.checkLate(p, op, verification)
	owner := metav1.GetControllerOf(op.object)
	_, claim := op.object.(*corev1.PersistentVolumeClaim)
	outlives := claim && owner == nil && m.claimPolicy(verification, op.object).WhenDeleted != commonv1.VolumeClaimDelete
	if !outlives && (owner == nil || owner.UID != verification.GetUID()) {
		m.w.violatef("P9", "%s wants to %s without the job %s as its controller", p.name, op, verification.GetName())
	}
	m.checkOrder(p, op, verification)
	m.checkHostPorts(op, verification)
	m.checkReclaimed(p, op, verification)
	m.checkGangCreate(p, op, verification)
	m.checkAvoids(p, op, verification)
	m.checkNotAgain(p, op, verification)
}

// scopeOf is the restart scope of a type: what the job says of the type, of itself, or what
// its kind says.
func (m *monitor) scopeOf(parts jobkit.JobParts, t commonv1.ReplicaType) commonv1.RestartScope {
	role := m.kind.Role(t)
	switch spec := parts.ReplicaSpecs[t]; {
	case spec != nil && spec.RestartScope != nil:
		return *spec.RestartScope
	case parts.RunPolicy.RestartScope != nil:
		return *parts.RunPolicy.RestartScope
	case role != nil && role.RestartScope != "":
		return role.RestartScope
	default:
		return commonv1.RestartScopeReplica
	}
}

// checkGangCreate checks that no pod of a job, or of a role, which restarts as a whole is created
// while one of an earlier attempt exists. One that the job wants no more counts until it has ended.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkGangCreate(p *process, op call, verification client.Object) {
	pod, ok := op.object.(*corev1.Pod)
	if !ok {
		return
	}
	parts := m.w.parts(verification)
	status, of := parts.Status, ""
	if t, _, ok := m.replica(verification, pod); ok {
		of = string(t)
	}
	for _, o := range p.pass.seen {
		old, ok := o.(*corev1.Pod)
		if !ok || !metav1.IsControlledBy(old, verification) || !m.w.exists(op.table, old) || p.pass.gone[old.UID] {
			continue
		}
		typ, index, wanted := m.replica(verification, old)
		scope, counts := m.scopeOf(parts, typ), wanted || !ended(old)
		if counts && attemptLabel(old) < status.Attempt && !m.ledger(verification.GetUID()).touched {
			m.w.violatef("restart scope Job", "%s wants to %s, but has seen pod %s of attempt %d, before the restart of the whole job",
				p.name, op, old.Name, attemptLabel(old))
		}
		if scope == commonv1.RestartScopeReplica || scope == commonv1.RestartScopeRole && string(typ) != of {
			continue
		}
		if counts && attemptLabel(old) < attemptOf(status, typ, index) {
			m.w.violatef("restart scope Job", "%s wants to %s of attempt %d, but has seen pod %s of the earlier attempt %d",
				p.name, op, attemptLabel(pod), old.Name, attemptLabel(old))
		}
		if old.DeletionTimestamp != nil && !ended(old) {
			m.w.violatef("restart scope Job", "%s wants to %s, but has seen that pod %s is still being stopped", p.name, op, old.Name)
		}
	}
}

// batches are how many objects may be created after each time that a pass has verified
// the job.
func batches() []int { return []int{8, 32, 128, 512} }

// checkLate checks that a pass verifies the job again before each batch that it
// creates, and after a pause: at most one batch may be too many when the job has changed.
func (m *monitor) checkLate(p *process, op call, verification client.Object) {
	l, is := p.pass, m.w.jobs.get(p.pass.key)
	l.creates++
	if l.made++; l.made > batches()[min(l.verifications, len(batches()))-1] {
		m.w.violatef("P5", "%s wants to %s, the %dth since it last verified that the job has not changed", p.name, op, l.made)
	}
	parts := controllerParts(m.w, is)
	if is == nil || is.GetUID() != verification.GetUID() || is.GetGeneration() != verification.GetGeneration() ||
		is.GetDeletionTimestamp() != nil || parts.Status.Finished() {
		l.late++
	}
	// What is under way when a process is paused, or takes long to arrive, no one can take back.
	if age := op.begun.Sub(l.verifiedAt); l.late > 0 && age > 2*time.Second {
		m.w.violatef("P5", "%s wants to %s, but the job has changed, and it last verified the job %s before", p.name, op, age)
	}
}

// controllerParts are the parts of a job, empty if there is none.
func controllerParts(w *World, job client.Object) jobkit.JobParts {
	if job == nil {
		return jobkit.JobParts{Status: &commonv1.JobStatus{}}
	}
	return w.parts(job)
}

// lastRefusal is when a write was refused, of a job of which generation.
type lastRefusal struct {
	at         time.Time
	uid        types.UID
	generation int64
}

// refused records a write that the server refused, and checks that the same is not
// tried again before its time, whatever happens to the job: no sooner than after a second.
func (m *monitor) refused(p *process, op call, err error) {
	switch {
	case p.pass == nil, apierrors.IsConflict(err), apierrors.IsNotFound(err) && op.verb != verbCreate, apierrors.IsAlreadyExists(err),
		apierrors.IsTooManyRequests(err), apierrors.IsInternalError(err), apierrors.IsTimeout(err),
		apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return
	}
	now := lastRefusal{at: m.w.now}
	if job := p.pass.job; job != nil {
		now.uid, now.generation = job.GetUID(), job.GetGeneration()
	}
	if job := p.pass.verified; job != nil { // An edit that it does not know of yet changes nothing.
		now.generation = job.GetGeneration()
	}
	what := op.String()
	switch {
	case op.force:
		what += " by force" // which is tried when the other was of no use
	case adopts(op.patch):
		what += " to adopt it" // another write than what was refused before: someone took its label off meanwhile
	}
	if p.refusals == nil {
		p.refusals = map[string]lastRefusal{}
	}
	was, again := p.refusals[what]
	// Of the first refusal the status may be visible only in the next pass; the time of a pass
	// is that of its beginning.
	if gap := now.at.Sub(was.at); again && was.uid == now.uid && was.generation == now.generation && gap < 900*time.Millisecond {
		m.w.violatef("P10", "%s was refused: %s, %s after the time before", p.name, what, gap)
	}
	p.refusals[what] = now
}

// exists reports whether an object still exists.
func (w *World) exists(t *table, o client.Object) bool {
	now := t.get(client.ObjectKeyFromObject(o))
	return now != nil && now.GetUID() == o.GetUID()
}

// checkDelete checks that only the job's own objects are deleted, and failed pods
// only after their restart was counted.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkDelete(p *process, op call, verification client.Object) {
	if !op.guarded {
		m.w.violatef("preconditions", "%s wants to %s without a UID as precondition", p.name, op)
	}
	there := op.table.get(op.key)
	if there == nil || fresh(op.table, there, op.uid, op.version) != nil {
		return
	}
	owner := metav1.GetControllerOf(there)
	if owner == nil || owner.UID != verification.GetUID() {
		if !changedUnseen(p.pass, there, verification) {
			m.w.violatef("P8", "%s wants to %s, which is not the job's", p.name, op)
		}
		return
	}
	if claim, ok := there.(*corev1.PersistentVolumeClaim); ok && m.kind.VolumeClaims {
		m.claimDeleteAsked(p, op, claim, verification)
	}
	pod, ok := there.(*corev1.Pod)
	if ok && op.force && pod.DeletionTimestamp == nil && pod.Spec.NodeName != "" && !ended(pod) {
		m.w.violatef("P4", "%s wants to %s by force, while its containers run: those of the next pod would meet them", p.name, op)
	}
	if !ok || !m.failed[pod.UID] {
		return
	}
	parts := m.w.parts(verification)
	typ, index, wanted := m.replica(verification, pod)
	if !wanted || parts.Status.Finished() || parts.RunPolicy.Suspend != nil && *parts.RunPolicy.Suspend {
		return
	}
	l := m.ledger(verification.GetUID())
	l.counted[pod.UID] = true
	if at := attemptOf(parts.Status, typ, index); at <= attemptLabel(pod) && !l.touched && !m.leftAlone(verification, typ, index) {
		m.w.violatef("P6", "%s wants to %s, which failed as attempt %d, but the status counts only %d restarts of the replica",
			p.name, op, attemptLabel(pod), at)
	}
}

// changedUnseen reports whether an object was the job's when a process began to reconcile the
// job: that someone took it away since, the process cannot know.
func changedUnseen(l *passState, o, job client.Object) bool {
	return slices.ContainsFunc(l.seen, func(seen client.Object) bool {
		return seen.GetUID() == o.GetUID() && metav1.IsControlledBy(seen, job)
	})
}

// created records an object that the operator created.
func (m *monitor) created(p *process, t *table, o client.Object) {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return
	}
	l := m.ledger(owner.UID)
	replica := pod.Labels[commonv1.ReplicaTypeLabel] + " " + pod.Labels[commonv1.ReplicaIndexLabel]
	for _, other := range t.objects {
		q, ok := other.(*corev1.Pod)
		if !ok || q.UID == pod.UID || ended(q) || l.replicas[q.UID] != replica || l.touched {
			continue
		}
		if of := metav1.GetControllerOf(q); of != nil && of.UID == owner.UID {
			m.w.violatef("P4", "%s created pod %s, while pod %s of the same replica still exists", p.name, pod.Name, q.Name)
		}
	}
	l.replicas[pod.UID] = replica
}

// passEnded records the end of a pass over a job.
func (m *monitor) passEnded(p *process, l *passState) {
	m.forgetForeign(p, l)
	if l.statusWrites > 1 {
		m.w.violatef("P10", "%s wrote the status of %s %d times in one pass", p.name, l.key.Name, l.statusWrites)
	}
	// One read verifies that the job is the one observed; each name that is taken
	// costs another. In a long create it is verified again before each batch, and when the
	// verification is a second old. Of a job that another operator ran until now, the objects are read;
	// and what verifies that pods are gone, for which a whole job restarts, costs a few. Each large
	// object may be read once to see what it says, and each that others make to see whether it exists.
	again := int(m.w.now.Sub(l.began) / time.Second)
	for left := l.creates - batches()[0]; left > 0; again++ {
		left -= batches()[min(again+1, len(batches())-1)]
	}
	if l.creates > 0 && l.made == 0 && l.statusWrites == 0 && l.verified.GetResourceVersion() != l.job.GetResourceVersion() {
		again++ // Before the next batch, which there was none of: the job had changed.
	}
	most := 1 + l.writes + again + min(l.podReads, plan.FirstBatch) + len(l.outlines) + len(l.lookups)
	if m.takenOver[l.key] {
		most += len(m.w.cacheFilters)
	}
	if l.reads > most {
		m.w.violatef("P10", "%s read %d times in one pass over %s, with %d writes", p.name, l.reads, l.key.Name, l.writes)
	}
}

// replica finds which replica of a job a pod is by its name, and whether the job
// wants that.
func (m *monitor) replica(job client.Object, pod *corev1.Pod) (commonv1.ReplicaType, int32, bool) {
	for typ, spec := range m.w.parts(job).ReplicaSpecs {
		if role := m.kind.Role(typ); role != nil && role.Unnumbered {
			if spec != nil && pod.Name == m.kind.PodName(job.GetName(), typ, 0) {
				return typ, 0, wantedReplicas(spec) > 0
			}
			continue
		}
		prefix := job.GetName() + "-" + strings.ToLower(string(typ)) + "-"
		rest, ok := strings.CutPrefix(pod.Name, prefix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(rest, 10, 32)
		if err != nil || spec == nil {
			continue
		}
		return typ, int32(n), int32(n) < wantedReplicas(spec)
	}
	return "", 0, false
}

func wantedReplicas(spec *commonv1.ReplicaSpec) int32 {
	if spec.Replicas == nil {
		return 1
	}
	return *spec.Replicas
}

// attemptOf is the attempt that a status says a replica is at.
func attemptOf(s *commonv1.JobStatus, typ commonv1.ReplicaType, index int32) int32 {
	n := s.Attempt
	if rs := s.ReplicaStatuses[typ]; rs != nil {
		n += rs.Attempt + rs.Attempts[strconv.Itoa(int(index))]
	}
	return n
}

// attemptLabel is the attempt that a pod says it is; nonsense is taken for 0.
func attemptLabel(pod *corev1.Pod) int32 {
	n, err := strconv.ParseInt(pod.Labels[commonv1.AttemptLabel], 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int32(n)
}
