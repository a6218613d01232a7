package plan

import (
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// Progress is the server that receives reports of progress, as a job needs it.
type Progress struct {
	// URL is where the job's pods send reports, Audience is that of their tokens, and CA are the
	// certificates, in PEM, by which they know the server.
	URL, Audience, CA string
	// UpSince is since when the server can be reached; zero if it cannot. A silence before that
	// says nothing.
	UpSince time.Time
}

// hang is a replica that shows no progress.
type hang struct {
	replica *replica
	// at is when that had lasted too long. started is true if it had shown progress before.
	at      time.Time
	started bool
}

// watchesProgress reports whether a job can hang.
func (in *Input) watchesProgress() bool {
	p := in.RunPolicy.ProgressPolicy
	return p != nil && (p.StallTimeoutSeconds != nil || p.StartTimeoutSeconds != nil)
}

// byReadiness reports whether readiness probes show the progress of a job.
func (in *Input) byReadiness() bool {
	p := in.RunPolicy.ProgressPolicy
	return p != nil && p.Source == commonv1.ProgressSourceReadiness
}

// progressAction is what follows a hang.
func (in *Input) progressAction() commonv1.ProgressAction {
	if p := in.RunPolicy.ProgressPolicy; p != nil && p.Action != "" {
		return p.Action
	}
	return commonv1.ProgressActionReport
}

// findHangs finds the replicas that hang, in the order of time, and when the next may. A cache
// may show pods as they were long ago, so a hang that is not reported yet is in doubt: the shell
// reads the pods again. The last report is in the job itself, and the precondition of its status
// write verifies it.
func (t *Tally) findHangs(in *Input) {
	if !in.watchesProgress() || !in.mayLose() {
		return
	}
	if in.byReadiness() {
		t.findUnready(in)
	} else {
		t.findSilent(in)
	}
	slices.SortStableFunc(t.hangs, func(a, b hang) int { return a.at.Compare(b.at) })
	t.inDoubt = t.inDoubt || len(t.hangs) > 0 && !in.saysHung()
}

// saysHung reports whether the status says that the job hangs, and nothing else is to follow.
func (in *Input) saysHung() bool {
	return in.Status.IsTrue(commonv1.JobHung) && in.progressAction() == commonv1.ProgressActionReport
}

// judge compares how long a replica has shown no progress with the limit for that.
func (t *Tally) judge(in *Input, s *replica, since time.Time, started bool) {
	limit := in.RunPolicy.ProgressPolicy.StartTimeoutSeconds
	if started {
		limit = in.RunPolicy.ProgressPolicy.StallTimeoutSeconds
	}
	if limit == nil {
		return
	}
	due := since.Add(seconds(*limit))
	if !in.Now.Before(due) {
		t.hangs = append(t.hangs, hang{replica: s, at: due, started: started})
		return
	}
	if next := in.Now.Add(seconds(*limit)); due.After(next) {
		due = next // The clock was set back. The next report has a time of the new one.
	}
	t.nextHang = earliest(t.nextHang, due)
}

// findUnready judges replicas by their readiness: each that runs and is not ready.
func (t *Tally) findUnready(in *Input) {
	t.each(func(s *replica) {
		if s.state != jobkit.Active {
			return
		}
		ready := podCondition(s.pod, corev1.PodReady)
		began := in.mainBegan(s)
		if ready == nil || ready.Status == corev1.ConditionTrue || began.IsZero() {
			return
		}
		// The condition changes when a container becomes ready and when it is no longer. One
		// that changed before the container began has not changed since.
		lost := ready.LastTransitionTime.Time
		t.judge(in, s, ourTime(s.pod, later(lost, began)), lost.After(began))
	})
}

// findSilent judges a job by the last report: it is one program, of which usually one replica
// reports. While replicas that it needs do not run, it waits for those.
func (t *Tally) findSilent(in *Input) {
	since, ok := t.allRunSince(in)
	s, last := t.reporter(in, since)
	t.mute = s != nil && last == nil && !CanReport(s.pod)
	if in.Progress == nil || !ok {
		return
	}
	// Neither a report nor the return of the server causes a pass.
	p := in.RunPolicy.ProgressPolicy
	for _, limit := range []*int64{p.StallTimeoutSeconds, p.StartTimeoutSeconds} {
		if limit != nil {
			t.nextHang = earliest(t.nextHang, in.Now.Add(seconds(*limit)))
		}
	}
	if s == nil || t.mute || in.Progress.UpSince.IsZero() && !in.saysHung() {
		return
	}
	if !in.saysHung() { // What hung when the operator went away hangs until a report comes.
		since = later(since, in.Progress.UpSince)
	}
	if last != nil {
		since = later(since, last.ReceivedTime.Time)
	}
	t.judge(in, s, since, last != nil)
}

// allRunSince is since when all replicas run that the job needs; false if they do not.
func (t *Tally) allRunSince(in *Input) (time.Time, bool) {
	since := time.Time{}
	for i := range t.byType {
		began, running := t.byType[i].runSince(in)
		if running < in.fewest(t.byType[i].Type) {
			return time.Time{}, false
		}
		since = later(since, began)
	}
	return since, true
}

// began is when a replica that has ended, or is disrupted, began to run; zero if its pod is gone. Of a
// pod that was evicted it may be unknown: it was not before its node took it up.
func (s *replica) began(main string) time.Time {
	if s.pod == nil {
		return time.Time{}
	}
	at := beganBeforeItEnded(s.pod, main)
	if at.IsZero() {
		at = beganToRun(s.pod, main)
	}
	if at.IsZero() {
		return s.pod.CreationTimestamp.Time
	}
	return ourTime(s.pod, at)
}

// lastReport is the last report of progress, nil if there is none or if it is unknown who sent it, or when.
func (in *Input) lastReport() *commonv1.TrainerStatus {
	if last := in.Status.TrainerStatus; last != nil && last.Reporter != nil && last.ReceivedTime != nil {
		return last
	}
	return nil
}

// reported reports whether a report is of the pod of a replica, and of the process that runs there, or ran last.
func (in *Input) reported(s *replica, last *commonv1.TrainerStatus) bool {
	return s != nil && s.pod != nil && s.pod.UID == last.Reporter.PodUID && !in.beganAgain(s, last.ReceivedTime.Time)
}

// hadBegun is when a replica began to run: not after it reported. When it began is known badly if its node
// says late that it ended.
func (in *Input) hadBegun(s *replica, began time.Time) time.Time {
	if last := in.lastReport(); last != nil && in.reported(s, last) {
		return earliest(began, last.ReceivedTime.Time)
	}
	return began
}

// runSince is since when the replicas of a type run that do, and how many run or need not. What has
// succeeded ran with the others: since it began, if that was later, they are one program.
func (t *typeTally) runSince(in *Input) (since time.Time, running int32) {
	main := in.mainContainer(t.Type)
	for i := range t.replicas {
		var began time.Time
		switch s := &t.replicas[i]; {
		case s.state == jobkit.Active:
			if began = beganToRun(s.pod, main); began.IsZero() {
				continue
			}
			began = ourTime(s.pod, began)
		case s.state == jobkit.Succeeded, s.state == jobkit.Failed && s.left: // Otherwise it may restart.
			began = s.began(main)
		default:
			continue
		}
		running++
		since = later(since, in.hadBegun(&t.replicas[i], began))
	}
	return since, running
}

// reporter is the replica of which the next report is expected, nil if none is; and the last
// report, if it is of this attempt and of the process that runs. Before the first report it is
// the replica that reported in an earlier attempt, or else the first by which the job counts as
// running, which has rank 0 in most kinds. since is since when all replicas run.
func (t *Tally) reporter(in *Input, since time.Time) (*replica, *commonv1.TrainerStatus) {
	if last := in.lastReport(); last != nil {
		s := t.replicaOf(last.Reporter.Pod)
		current := in.reported(s, last)
		active := s != nil && s.state == jobkit.Active
		switch done := last.ProgressPercentage != nil && *last.ProgressPercentage >= 100; {
		case current && active && !done:
			return s, last
		case current && (done || s.state == jobkit.Succeeded), s != nil && s.pod == nil && s.state == jobkit.Succeeded && s.attempt == 0:
			return nil, nil // What follows the training need not report.
		case active:
			return s, nil
		case !last.ReceivedTime.Time.Before(since):
			return t.firstReporter(in), last // The replica is no longer wanted, or has succeeded or failed since; the others go on.
		}
	}
	return t.firstReporter(in), nil
}

// firstReporter is the replica of which the first report is expected, nil if none runs.
func (t *Tally) firstReporter(in *Input) *replica {
	var first, decides *replica
	t.each(func(s *replica) {
		switch {
		case s.state != jobkit.Active:
		case decides == nil && in.Rules.Decides(s.typ, s.index):
			decides = s
		case first == nil:
			first = s
		}
	})
	if decides != nil {
		return decides
	}
	return first
}

// mainBegan is when the main container of a replica began to run, by the clock of its node;
// zero if it does not run: the node restarts it, or it has ended.
func (in *Input) mainBegan(s *replica) time.Time { return beganToRun(s.pod, in.mainContainer(s.typ)) }

// beganAgain reports whether the node has restarted the main container of a replica in place since
// a time: what it reported before then is of another process.
func (in *Input) beganAgain(s *replica, at time.Time) bool {
	if s.state != jobkit.Active || restartsInPlace(s.pod) == 0 {
		return false // The first process began before it reported.
	}
	began := in.mainBegan(s)
	return !began.IsZero() && ourTime(s.pod, began).After(at)
}

// beganToRun is when a container of a pod began to run, as mainBegan has it.
func beganToRun(pod *corev1.Pod, main string) time.Time {
	for i := range pod.Status.ContainerStatuses {
		c := &pod.Status.ContainerStatuses[i]
		switch {
		case c.Name != main:
		case c.State.Running == nil:
			return time.Time{}
		case !c.State.Running.StartedAt.IsZero():
			return c.State.Running.StartedAt.Time
		}
	}
	if at := pod.Status.StartTime; at != nil {
		return at.Time
	}
	return pod.CreationTimestamp.Time
}

// beganBeforeItEnded is when a container of a pod began that has ended; zero if that is not known.
func beganBeforeItEnded(pod *corev1.Pod, main string) time.Time {
	for i := range pod.Status.ContainerStatuses {
		if c := &pod.Status.ContainerStatuses[i]; c.Name == main && c.State.Terminated != nil {
			return c.State.Terminated.StartedAt.Time
		}
	}
	return time.Time{}
}

// ourTime is a time by the clock of a node as the control plane tells it, or later. The node
// says how long that was before it last wrote the status of the pod; the API server says when
// that was. Both times are in seconds, so the second in which it was must be over.
func ourTime(p *corev1.Pod, at time.Time) time.Time {
	if written := writtenAt(p); !written.IsZero() {
		_, newest := nodeTimes(p)
		at = earliest(written, written.Add(at.Sub(newest)))
	}
	return later(at, p.CreationTimestamp.Time).Truncate(time.Second).Add(time.Second)
}

// why says in which way a replica hangs, in words that stay the same.
func (h *hang) why(in *Input) string {
	p := in.RunPolicy.ProgressPolicy
	what := "has reported no progress"
	if in.byReadiness() {
		what = "was not ready"
	}
	if h.started {
		return fmt.Sprintf("%s for more than %d seconds (runPolicy.progressPolicy.stallTimeoutSeconds)", what, *p.StallTimeoutSeconds)
	}
	return fmt.Sprintf("%s within %d seconds of its start (runPolicy.progressPolicy.startTimeoutSeconds)", what, *p.StartTimeoutSeconds)
}
