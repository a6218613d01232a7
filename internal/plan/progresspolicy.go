package plan

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

const (
	// reasonHung is the reason of a failure that is a hang, and ends the reason of the condition
	// Failed of a job that a hang ended.
	reasonHung = "Hung"
	// reasonNoProgressServer ends the reason of the condition Hung that is Unknown, because no
	// report can come.
	reasonNoProgressServer = "NoProgressServer"
	// reasonPodsCannotReport ends that of the same condition if pods are older than the policy.
	reasonPodsCannotReport = "PodsCannotReport"
	// hungSteady is how long the condition Hung stays at least, so that it does not flap when
	// reports come a little too late.
	hungSteady = time.Minute
)

// The bounds of the timeouts, in seconds. The status may be 12.5 seconds behind the last report
// (see package progress), so a job that reports every few seconds may seem to be silent for
// that long, and as long again if a write fails. Readiness has no such delay: a kubelet writes
// the condition as it changes, but it asks the probe only every 10 seconds by default.
const (
	minReportStall     = 30
	minProgressTimeout = 10
	maxProgressTimeout = 365 * 24 * 3600
)

// hungReplicas are the replicas that hang, as failures, unless that is only to be reported. A
// rule of the pod failure policy about conditions of pods may decide; one about exit codes does
// not, because the program has not ended.
func (d *decision) hungReplicas() []failedReplica {
	var out []failedReplica
	for i := range d.tally.hangs {
		h := &d.tally.hangs[i]
		f := failedReplica{replica: h.replica, byRule: true, failure: failure{reason: reasonHung, message: h.why(d.in), at: h.at, hung: true}}
		rule := d.ruleForHang(h.replica)
		switch action := d.in.progressAction(); {
		case rule >= 0:
			what := d.in.RunPolicy.PodFailurePolicy.Rules[rule].Action
			f.response = responseTo(what)
			f.because = fmt.Sprintf("rule %d of runPolicy.podFailurePolicy says %s", rule, what)
		case action == commonv1.ProgressActionReport:
			continue
		default:
			f.response = responseToHang(action)
			f.because = fmt.Sprintf("runPolicy.progressPolicy says %s", action)
		}
		out = append(out, f)
	}
	return out
}

// ruleForHang is the index of the first rule of the pod failure policy that a hung replica
// matches, below 0 if there is none.
func (d *decision) ruleForHang(s *replica) int {
	var rules []commonv1.PodFailurePolicyRule
	if p := d.in.RunPolicy.PodFailurePolicy; p != nil {
		rules = p.Rules
	}
	return slices.IndexFunc(rules, func(r commonv1.PodFailurePolicyRule) bool { return r.OnExitCodes == nil && ruleMet(&r, s) })
}

// responseToHang is the response to a hang by the action of the progress policy.
func responseToHang(a commonv1.ProgressAction) response {
	switch a {
	case commonv1.ProgressActionRestartReplica:
		return responseRestart
	case commonv1.ProgressActionRestartJob:
		return responseRestartJob
	case commonv1.ProgressActionFailJob, commonv1.ProgressActionReport:
		return responseFail
	default:
		return responseFail // Validate refuses others.
	}
}

// reportHung reports a hang in the condition Hung, if that is all that follows, and plans the
// pass in which the next may be found. Reports cause no pass of their own, so the condition is
// reconsidered from time to time.
func reportHung(d *decision) bool {
	if next := d.tally.nextHang; !next.IsZero() {
		d.requeueAt(next)
	}
	c, h := d.plan.Status.Condition(commonv1.JobHung), d.reportedHang()
	switch {
	case d.in.lacksProgressServer():
		d.reportUnwatched(reasonNoProgressServer, "This operator receives no reports of progress, so runPolicy.progressPolicy has no effect:"+
			" start it with --progress-bind-address, or set source to Readiness.")
	case d.tally.mute:
		d.reportUnwatched(reasonPodsCannotReport, "Pods that run were created before they were to report progress, so they cannot,"+
			" and runPolicy.progressPolicy has no effect until they are replaced: restart the job, or wait for that.")
	case h != nil:
		n := len(d.plan.Events)
		where := ""
		if node := h.replica.pod.Spec.NodeName; node != "" {
			where = " on node " + node
		}
		d.setTrue(commonv1.JobHung, d.reason(reasonHung), fmt.Sprintf("%s hangs: pod %s%s %s.", d.jobName(), h.replica.pod.Name, where, h.why(d.in)))
		d.eventsAreAbout(n, refTo(h.replica.pod))
		d.requeueAt(d.in.Now.Add(min(hungSteady, h.timeout(d.in))))
	case d.hungTooBriefly(c):
		d.requeueAt(c.LastTransitionTime.Add(hungSteady))
	default:
		d.remove(commonv1.JobHung)
	}
	return false
}

// hungTooBriefly reports whether the condition Hung, nil if there is none, stays although nothing
// hangs any more.
func (d *decision) hungTooBriefly(c *commonv1.JobCondition) bool {
	return d.plan.Status.IsTrue(commonv1.JobHung) && d.in.watchesProgress() && !d.restarting() &&
		d.in.Now.Before(c.LastTransitionTime.Add(hungSteady))
}

// reportedHang is the first hang of which nothing but the condition follows, nil if there is
// none.
func (d *decision) reportedHang() *hang {
	for i := range d.tally.hangs {
		if h := &d.tally.hangs[i]; d.in.progressAction() == commonv1.ProgressActionReport && !d.superseded(h.replica) {
			return h
		}
	}
	return nil
}

// lacksProgressServer reports whether a job waits for reports that this operator cannot receive.
func (in *Input) lacksProgressServer() bool {
	return in.RunPolicy.ProgressPolicy != nil && !in.byReadiness() && in.Progress == nil
}

// reportUnwatched says why no report can come, so that nothing watches over the job.
func (d *decision) reportUnwatched(ending, message string) {
	reason := d.reason(ending)
	if c := d.plan.Status.Condition(commonv1.JobHung); c == nil || c.Reason != reason {
		d.event(true, reason, message)
	}
	d.set(commonv1.JobHung, "Unknown", reason, message)
}

// timeout is the limit that a hang exceeded.
func (h *hang) timeout(in *Input) time.Duration {
	p := in.RunPolicy.ProgressPolicy
	if h.started {
		return seconds(*p.StallTimeoutSeconds)
	}
	return seconds(*p.StartTimeoutSeconds)
}

// addLastReport adds the last report of the job to the record of a hang.
func (d *decision) addLastReport(entry *commonv1.ReplicaFailure) {
	last := d.in.Status.TrainerStatus
	if last == nil || d.in.byReadiness() {
		return
	}
	if at := last.ReceivedTime; at != nil {
		entry.LastReportTime = &metav1.Time{Time: at.Truncate(time.Second)}
	}
	entry.ProgressPercentage = last.ProgressPercentage
}

// validateProgress checks the progress policy, for kinds whose CRD does not.
func validateProgress(p *commonv1.ProgressPolicy, path *field.Path) field.ErrorList {
	if p == nil {
		return nil
	}
	var errs field.ErrorList
	if p.Source != "" {
		errs = append(errs, oneOf(path.Child("source"), &p.Source, commonv1.ProgressSourceReport, commonv1.ProgressSourceReadiness)...)
	}
	if p.Action != "" {
		errs = append(errs, oneOf(path.Child("action"), &p.Action, commonv1.ProgressActionReport, commonv1.ProgressActionRestartReplica,
			commonv1.ProgressActionRestartJob, commonv1.ProgressActionFailJob)...)
	}
	errs = append(errs, validateProgressTimeouts(p, path)...)
	if p.StallTimeoutSeconds == nil && p.StartTimeoutSeconds == nil {
		if p.Source == commonv1.ProgressSourceReadiness {
			errs = append(errs, field.Invalid(path.Child("source"), p.Source, "it says nothing without a timeout: add stallTimeoutSeconds or startTimeoutSeconds"))
		}
		if p.Action != "" {
			errs = append(errs, field.Invalid(path.Child("action"), p.Action, "it says nothing without a timeout: add stallTimeoutSeconds or startTimeoutSeconds, or remove it"))
		}
	}
	return errs
}

// validateProgressTimeouts checks the timeouts of a progress policy.
func validateProgressTimeouts(p *commonv1.ProgressPolicy, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, number := range []struct {
		name  string
		value *int64
	}{{"startTimeoutSeconds", p.StartTimeoutSeconds}, {"stallTimeoutSeconds", p.StallTimeoutSeconds}} {
		if n := number.value; n != nil && (*n < minProgressTimeout || *n > maxProgressTimeout) {
			bounds := fmt.Sprintf("must be from %d to %d", minProgressTimeout, maxProgressTimeout)
			errs = append(errs, field.Invalid(path.Child(number.name), *n, bounds))
		}
	}
	n, byReports := p.StallTimeoutSeconds, p.Source != commonv1.ProgressSourceReadiness
	if byReports && n != nil && *n >= minProgressTimeout && *n < minReportStall {
		errs = append(errs, field.Invalid(path.Child("stallTimeoutSeconds"), *n, fmt.Sprintf("must be at least %d with source Report,"+
			" because the status may be 12.5 seconds behind the last report: raise it, or set source to Readiness", minReportStall)))
	}
	return errs
}
