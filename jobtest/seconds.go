package jobtest

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// checkSeconds checks how a job accounts for its time: all of it since its creation, each second in
// the state that the status before named, and no more often than the state changes.
func (m *monitor) checkSeconds(job client.Object, old, status *commonv1.JobStatus) {
	is, was := status.Seconds, old.Seconds
	if m.takenOver[client.ObjectKeyFromObject(job)] || is == nil && was == nil && old.Finished() {
		return
	}
	if is == nil && status.Condition(commonv1.JobCreated) == nil {
		return // It is not accepted yet: it waits.
	}
	if is == nil {
		m.w.violatef("seconds", "job %s does not account for its time", job.GetName())
		return
	}
	if was == nil {
		was = &commonv1.JobSeconds{}
	}
	sum := is.Waiting + is.Starting + is.Running + is.Hung + is.Suspended + restartingSeconds(is)
	if want := int64(is.Since.Sub(job.GetCreationTimestamp().Truncate(time.Second)) / time.Second); sum != want || is.Since.After(m.w.now) {
		m.w.violatef("seconds", "the seconds of job %s add up to %d, but it is %d since its creation until %v: %+v", job.GetName(), sum, want, is.Since, is)
	}
	m.checkGained(job, old, status, was, is)
}

// checkGained checks that seconds are added to the state that the status before named, and only
// when the state changes.
func (m *monitor) checkGained(job client.Object, old, status *commonv1.JobStatus, was, is *commonv1.JobSeconds) {
	before := stateBelow(old)
	if before == stateBelow(status) && old.Seconds != nil && !equality.Semantic.DeepEqual(is, was) {
		m.w.violatef("seconds", "job %s was %s and is so, but its seconds went from %+v to %+v", job.GetName(), before, was, is)
	}
	pass, resumed := m.w.actor.pass, before == commonv1.JobSuspended && stateBelow(status) != before
	if resumed && pass != nil && is.Since.Time.Before(pass.began.Truncate(time.Second)) {
		m.w.violatef("seconds", "job %s was suspended until now, but its next state lasts since %s: %+v", job.GetName(), is.Since, is)
	}
	for _, gain := range []struct {
		state commonv1.JobConditionType
		n     int64
	}{
		{commonv1.JobCreated, is.Waiting + is.Starting - was.Waiting - was.Starting},
		{commonv1.JobRunning, is.Running - was.Running},
		{commonv1.JobSuspended, is.Suspended - was.Suspended},
		{commonv1.JobRestarting, restartingSeconds(is) - restartingSeconds(was)},
	} {
		if gain.n < 0 || gain.n > 0 && gain.state != before && (gain.state != commonv1.JobCreated || before != "") {
			m.w.violatef("seconds", "job %s was %s, and gained %d s as %s: from %+v to %+v", job.GetName(), before, gain.n, gain.state, was, is)
		}
	}
}

// restartingSeconds is how long a job was Restarting, whatever the cause.
func restartingSeconds(s *commonv1.JobSeconds) int64 {
	n := int64(0)
	for _, cause := range commonv1.RestartCauses() {
		n += s.Restarting.Of(cause)
	}
	return n
}

// stateBelow is the last condition that is True, but for Stalled.
func stateBelow(s *commonv1.JobStatus) commonv1.JobConditionType {
	for _, c := range slices.Backward(s.Conditions) {
		if c.Status == corev1.ConditionTrue && c.Type != commonv1.JobStalled {
			return c.Type
		}
	}
	return ""
}
