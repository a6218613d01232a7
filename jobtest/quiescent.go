package jobtest

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// checkQuiescent checks a World that has come to rest: everything is as the jobs want it,
// and the operator has nothing to do, whether it remembers what it did or not.
func (m *monitor) checkQuiescent(ctx context.Context) {
	w := m.w
	m.checkOrphans()
	for _, job := range w.jobs.all() {
		m.checkJob(job)
	}
	if w.broken != nil {
		return
	}
	version := w.server.version
	w.logf("at rest; each job is reconciled once more, with and without pending writes")
	for range 2 {
		for i, p := range w.processes {
			if p == nil {
				w.startProcess(i)
				p = w.processes[i]
			}
			for _, job := range w.jobs.all() {
				m.probing = !obstructed(w.parts(job).Status) // one that is keeps trying
				p.reconcile(ctx, client.ObjectKeyFromObject(job))
			}
			w.processes[i] = nil
		}
	}
	m.probing = false
	if w.server.version != version && !slices.ContainsFunc(w.jobs.all(), m.remembersDeparted) {
		w.violatef("P2", "at rest, a pass over the jobs changed something")
	}
}

// remembersDeparted reports whether a job whose specification or operator cannot be trusted had a pod
// that ended or was disrupted, and is gone: its process keeps that in mind, and the next one does not.
func (m *monitor) remembersDeparted(job client.Object) bool {
	c := m.w.parts(job).Status.Condition(commonv1.JobStalled)
	if c == nil || c.Status != corev1.ConditionTrue ||
		!strings.HasSuffix(c.Reason, "FailedValidation") && !strings.HasSuffix(c.Reason, "OperatorError") {
		return false
	}
	for uid, pod := range m.ledger(job.GetUID()).pods {
		now := m.w.kubelet.pods.get(client.ObjectKeyFromObject(pod))
		if (now == nil || now.GetUID() != uid) && (m.failed[uid] || m.succeeded[uid] || m.doubtful[uid]) {
			return true
		}
	}
	return false
}

// checkOrphans checks that nothing is left of a job that is gone.
func (m *monitor) checkOrphans() {
	for _, t := range m.w.server.tables {
		for _, o := range t.all() {
			if owner := metav1.GetControllerOf(o); owner != nil && owner.Kind == m.w.jobs.gvk.Kind && !m.w.alive(owner.UID) && !m.stuck(o) {
				m.w.violatef("P9", "%s %s is left of a job that is gone", t.resource().Resource, o.GetName())
			}
		}
	}
}

// stuck reports whether something other than the operator keeps an object from going.
func (m *monitor) stuck(o client.Object) bool {
	if o.GetDeletionTimestamp() == nil {
		return false
	}
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return len(o.GetFinalizers()) > 0
	}
	_, lost := m.w.kubelet.lost[pod.Spec.NodeName]
	return lost && !m.byForce(pod) || len(pod.Finalizers) > 0
}

// byForce reports whether the job of a pod wants it deleted by force if need be.
func (m *monitor) byForce(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return false
	}
	for _, job := range m.w.jobs.objects {
		if job.GetUID() == owner.UID {
			return m.w.parts(job).RunPolicy.ForceDeleteAfterSeconds != nil
		}
	}
	return false
}

// children are the pods and services of a job.
func (m *monitor) children(job client.Object) (pods []*corev1.Pod, services []client.Object) {
	for _, t := range m.w.server.tables {
		for _, o := range t.all() {
			if owner := metav1.GetControllerOf(o); owner == nil || owner.UID != job.GetUID() {
				continue
			}
			switch o := o.(type) {
			case *corev1.Pod:
				pods = append(pods, o)
			case *corev1.Service:
				services = append(services, o)
			}
		}
	}
	return pods, services
}

// checkJob checks one job at rest.
func (m *monitor) checkJob(job client.Object) {
	w, parts := m.w, m.w.parts(job)
	if managedByAnother(parts) {
		return
	}
	if job.GetDeletionTimestamp() != nil {
		if !m.stuck(job) {
			w.violatef("P9", "job %s was deleted, but still exists", job.GetName())
		}
		return
	}
	status := parts.Status
	if status.ObservedGeneration != job.GetGeneration() {
		w.violatef("P3", "job %s: observedGeneration is %d, the generation is %d", job.GetName(), status.ObservedGeneration, job.GetGeneration())
	}
	pods, services := m.children(job)
	switch {
	case status.Finished():
		m.checkFinished(job, pods, services)
	case parts.RunPolicy.Suspend != nil && *parts.RunPolicy.Suspend:
		m.checkSuspended(job, pods, services)
	default:
		m.checkActive(job, pods, services)
	}
	m.checkRestarts(job)
	m.checkClaims(job)
}

// checkFinished checks that of a finished job only that is left which its clean-up
// policy leaves.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkFinished(job client.Object, pods []*corev1.Pod, services []client.Object) {
	w, parts := m.w, m.w.parts(job)
	if ttl := parts.RunPolicy.TTLSecondsAfterFinished; ttl != nil {
		w.violatef("P7", "job %s finished at %v and still exists, ttlSecondsAfterFinished is %d", job.GetName(), parts.Status.CompletionTime, *ttl)
	}
	policy := m.kind.CleanPodPolicy
	if p := parts.RunPolicy.CleanPodPolicy; p != nil && *p != "" {
		policy = *p
	}
	running := false
	for _, pod := range pods {
		if m.stuck(pod) {
			continue
		}
		over := pod.Status.Phase == corev1.PodSucceeded ||
			pod.Status.Phase == corev1.PodFailed && pod.Spec.RestartPolicy == corev1.RestartPolicyNever
		switch policy {
		case commonv1.CleanPodPolicyAll:
			w.violatef("P9", "job %s has finished with cleanPodPolicy All, but pod %s still exists", job.GetName(), pod.Name)
		case commonv1.CleanPodPolicyRunning:
			if !over {
				w.violatef("P9", "job %s has finished with cleanPodPolicy Running, but pod %s still exists and is %s", job.GetName(), pod.Name, pod.Status.Phase)
			}
		case commonv1.CleanPodPolicyNone, commonv1.CleanPodPolicyUndefined:
			running = running || !ended(pod)
		}
	}
	for _, s := range services {
		if !running && !m.stuck(s) {
			w.violatef("P9", "job %s has finished, but service %s still exists", job.GetName(), s.GetName())
		}
	}
}

// checkSuspended checks that nothing is left of a suspended job.
func (m *monitor) checkSuspended(job client.Object, pods []*corev1.Pod, services []client.Object) {
	w, status := m.w, m.w.parts(job).Status
	if !status.IsTrue(commonv1.JobSuspended) {
		w.violatef("P3", "job %s is suspended, but its condition does not say so", job.GetName())
	}
	for _, pod := range pods {
		if !m.stuck(pod) {
			w.violatef("P9", "job %s is suspended, but pod %s still exists", job.GetName(), pod.Name)
		}
	}
	for _, s := range services {
		if !m.stuck(s) {
			w.violatef("P9", "job %s is suspended, but service %s still exists", job.GetName(), s.GetName())
		}
	}
}

// checkActive checks that a job which goes on has the pods and services that it
// wants, and no others, and that its status counts them.
//
//nolint:gocognit // one rule after the other, each a line or two
func (m *monitor) checkActive(job client.Object, pods []*corev1.Pod, services []client.Object) {
	w, parts := m.w, m.w.parts(job)
	status := parts.Status
	if limit := parts.RunPolicy.ActiveDeadlineSeconds; limit != nil && status.StartTime != nil &&
		!w.now.Before(status.StartTime.Add(time.Duration(*limit)*time.Second)) {
		w.violatef("P7", "job %s started at %v and goes on, activeDeadlineSeconds is %d", job.GetName(), status.StartTime, *limit)
	}
	if obstructed(status) {
		return
	}
	m.checkDecided(job, pods)
	m.checkNoRuleHolds(job, pods)
	m.checkReported(job, pods)
	m.checkFindsNode(job, pods)
	m.checkHangsReported(job, pods)
	byName := map[string]*corev1.Pod{}
	for _, pod := range pods {
		byName[pod.Name] = pod
	}
	surplus := m.activeSurplus(job, pods)
	for t, spec := range parts.ReplicaSpecs {
		var counts commonv1.ReplicaStatus
		unsure := commonv1.ReplicaStatus{}
		for i := range wantedReplicas(spec) {
			name := m.kind.PodName(job.GetName(), t, i)
			pod := byName[name]
			delete(byName, name)
			m.checkReplica(job, t, i, pod)
			switch {
			case m.leftAlone(job, t, i) && (pod == nil || ended(pod)):
				counts.Failed++
			case pod != nil && pod.DeletionTimestamp != nil && ended(pod):
				count(&unsure, pod) // Whether it ended or was stopped, the operator may have come too late to see.
			case pod != nil:
				count(&counts, pod)
			case saysSucceeded(status, t, i):
				counts.Succeeded++
			}
		}
		is := status.ReplicaStatuses[t]
		if is == nil || is.Active < counts.Active || is.Active > counts.Active+surplus ||
			is.Succeeded < counts.Succeeded || is.Succeeded > counts.Succeeded+unsure.Succeeded ||
			is.Failed < counts.Failed || is.Failed > counts.Failed+unsure.Failed {
			w.violatef("P3", "job %s: the status of %s is %+v, but %d are active, %d to %d succeeded, %d to %d failed", job.GetName(), t, is,
				counts.Active, counts.Succeeded, counts.Succeeded+unsure.Succeeded, counts.Failed, counts.Failed+unsure.Failed)
		}
	}
	for name := range byName {
		if !m.stuck(byName[name]) {
			w.violatef("P9", "job %s does not want pod %s, but it exists", job.GetName(), name)
		}
	}
	m.checkServices(job, services)
	m.checkSeen(job)
}

// activeSurplus is how many pods run of replicas that a job in a queue does not want: they are
// stuck, and still count.
func (m *monitor) activeSurplus(job client.Object, pods []*corev1.Pod) (n int32) {
	if job.GetLabels()[queueLabel] == "" {
		return 0
	}
	for _, pod := range pods {
		if _, _, wanted := m.replica(job, pod); !wanted && pod.Status.Phase == corev1.PodRunning {
			n++
		}
	}
	return n
}

// checkSeen checks that the operator sees all that is the job's: what lacks its labels,
// its caches do not show.
func (m *monitor) checkSeen(job client.Object) {
	for _, t := range m.w.server.tables {
		if m.w.cacheFilters[t] == nil {
			continue
		}
		for _, o := range t.all() {
			if owner := metav1.GetControllerOf(o); owner == nil || owner.UID != job.GetUID() || m.stuck(o) {
				continue
			}
			if o.GetLabels()[commonv1.OperatorNameLabel] == "" {
				m.w.violatef("P3", "job %s goes on, but its %s %s lacks the operator's label", job.GetName(), t.gvk.Kind, o.GetName())
			}
		}
	}
}

// checkDecided checks that a job whose replicas have all succeeded has ended, or says why
// it cannot: nothing else will happen to it.
func (m *monitor) checkDecided(job client.Object, pods []*corev1.Pod) {
	parts := m.w.parts(job)
	ended := map[string]bool{}
	for _, pod := range pods {
		ended[pod.Name] = pod.Status.Phase == corev1.PodSucceeded && pod.DeletionTimestamp == nil
	}
	wanted, succeeded := 0, 0
	for t, spec := range parts.ReplicaSpecs {
		for i := range wantedReplicas(spec) {
			wanted++
			if ended[m.kind.PodName(job.GetName(), t, i)] || saysSucceeded(parts.Status, t, i) {
				succeeded++
			}
		}
	}
	if wanted > 0 && wanted == succeeded {
		m.w.violatef("P3", "all %d replicas of job %s have succeeded, but it goes on as %s and says nothing", wanted, job.GetName(), parts.Status.State)
	}
}

func count(c *commonv1.ReplicaStatus, pod *corev1.Pod) {
	switch pod.Status.Phase {
	case corev1.PodRunning:
		c.Active++
	case corev1.PodSucceeded:
		c.Succeeded++
	case corev1.PodFailed:
		c.Failed++
	case corev1.PodPending, corev1.PodUnknown:
	}
}

// checkReplica checks that a replica has a pod of its present attempt, which did
// not fail.
func (m *monitor) checkReplica(job client.Object, t commonv1.ReplicaType, index int32, pod *corev1.Pod) {
	w, at := m.w, attemptOf(m.w.parts(job).Status, t, index)
	switch {
	case pod == nil && saysSucceeded(w.parts(job).Status, t, index):
		if !m.succeededOnce(job, t, index, at) {
			w.violatef("P3", "job %s: the status says that %s %d has succeeded, but no pod of attempt %d ever did", job.GetName(), t, index, at)
		}
	case pod == nil && m.leftAlone(job, t, index):
		// Its pod went after it had failed for good.
	case pod == nil:
		if !m.waits(job) && !m.waitsForOthers(job, t) {
			w.violatef("P3", "job %s goes on, but %s %d has no pod", job.GetName(), t, index)
		}
	case m.stuck(pod):
	case pod.DeletionTimestamp != nil:
		w.violatef("P3", "job %s goes on, but pod %s is still being deleted", job.GetName(), pod.Name)
	case attemptLabel(pod) < at && !saysSucceeded(w.parts(job).Status, t, index) && !m.leftAlone(job, t, index):
		w.violatef("P3", "job %s: %s %d is at attempt %d, but its pod is of attempt %d", job.GetName(), t, index, at, attemptLabel(pod))
	case pod.Status.Phase == corev1.PodFailed && !m.leftAlone(job, t, index):
		w.violatef("P3", "job %s goes on, but pod %s failed and nothing follows", job.GetName(), pod.Name)
	}
}

// saysSucceeded reports whether a status lists a replica among those that have
// succeeded.
func saysSucceeded(status *commonv1.JobStatus, t commonv1.ReplicaType, index int32) bool {
	rs := status.ReplicaStatuses[t]
	return rs != nil && lists(rs.SucceededIndexes, index)
}

// lists reports whether a list of indexes, as in "0-2,5", has one.
func lists(list string, index int32) bool {
	for part := range strings.SplitSeq(list, ",") {
		from, to, _ := strings.Cut(part, "-")
		first, err := strconv.Atoi(from)
		last, err2 := strconv.Atoi(cmp.Or(to, from))
		if err == nil && err2 == nil && first <= int(index) && int(index) <= last {
			return true
		}
	}
	return false
}

// succeededOnce reports whether a pod of the given attempt of a replica ever ended well by
// itself.
func (m *monitor) succeededOnce(job client.Object, t commonv1.ReplicaType, index, attempt int32) bool {
	for uid, pod := range m.ledger(job.GetUID()).pods {
		if pod.Name == m.kind.PodName(job.GetName(), t, index) && m.succeeded[uid] && attemptLabel(pod) >= attempt {
			return true
		}
	}
	return false
}

// waits reports whether a job that restarts as a whole waits for a pod that something
// else keeps from going.
func (m *monitor) waits(job client.Object) bool {
	pods, _ := m.children(job)
	return slices.ContainsFunc(pods, func(p *corev1.Pod) bool { return m.stuck(p) })
}

// checkServices checks that a job has the services of its service mode.
func (m *monitor) checkServices(job client.Object, services []client.Object) {
	w, parts := m.w, m.w.parts(job)
	mode := m.kind.ServiceMode
	if p := parts.RunPolicy.ServiceMode; p != nil {
		mode = *p
	}
	want := map[string]bool{}
	switch mode {
	case commonv1.ServiceModePerJob, "":
		want[job.GetName()] = true
	case commonv1.ServiceModePerReplica:
		for t, spec := range parts.ReplicaSpecs {
			for i := range wantedReplicas(spec) {
				want[m.kind.PodName(job.GetName(), t, i)] = true
			}
		}
	case commonv1.ServiceModeNone:
	}
	m.checkRoleServices(job, services, want)
	for _, s := range services {
		if !want[s.GetName()] && !m.stuck(s) {
			w.violatef("P9", "job %s does not want service %s, but it exists", job.GetName(), s.GetName())
		}
		delete(want, s.GetName())
	}
	for name := range want {
		w.violatef("P3", "job %s wants service %s, but it is not there", job.GetName(), name)
	}
}

// checkRestarts compares the counts of restarts with what really happened. That
// each recreation is counted once is checked when it is counted and when the failed
// pod is deleted; what is left are the restarts in place. Those of pods that
// exist, and of pods that failed and were replaced, must be counted in full. Those
// of a pod that another client deleted may have been seen or not, and what a pod does
// after its hang was counted is no news; once they were seen, they must not be forgotten.
func (m *monitor) checkRestarts(job client.Object) {
	l, status := m.ledger(job.GetUID()), m.w.parts(job).Status
	if l.touched || obstructed(status) {
		return
	}
	reported, recreated := int64(0), recreations(l, status)
	for _, rs := range status.ReplicaStatuses {
		for _, r := range rs.InPlaceRestarts {
			reported += int64(r.Earlier) + int64(r.Count)
		}
	}
	if int64(status.Restarts) != reported+recreated {
		m.w.violatef("P6", "job %s: restarts is %d, but %d containers were restarted in place and %d pods recreated", job.GetName(), status.Restarts, reported, recreated)
	}
	least, most := m.inPlaceBounds(job, l, status)
	if reported < least || reported > most {
		m.w.violatef("P6", "job %s: the status counts %d restarts in place, but there were %d to %d", job.GetName(), reported, least, most)
	}
}

// inPlaceBounds are between which numbers the restarts in place are that a status may count.
func (m *monitor) inPlaceBounds(job client.Object, l *ledger, status *commonv1.JobStatus) (least, most int64) {
	for uid, pod := range l.pods {
		n := int64(restartCount(pod))
		most += n
		_, _, wanted := m.replica(job, pod)
		there := m.w.kubelet.pods.get(client.ObjectKeyFromObject(pod))
		owned := there != nil && there.GetUID() == uid && metav1.IsControlledBy(there, job)
		if l.counted[uid] && !l.hung[uid] || !status.Finished() && wanted && owned && !m.stuck(pod) {
			least += n
		} else {
			least += int64(l.seen[uid])
		}
	}
	return least, most
}
