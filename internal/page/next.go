package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// maxSteps is how many of the next restarts are listed one by one.
const maxSteps = 4

// Step is something that will happen, and when.
type Step struct {
	Text string `json:"text"`
	// At is when, 0 if that is not known.
	At int64 `json:"at,omitempty"`
	// Waits means that it happens only when something else does.
	Waits bool `json:"waits,omitempty"`
}

// Budget is a limit, and how much of it is used.
type Budget struct {
	Text  string `json:"text"`
	Used  int32  `json:"used"`
	Limit int32  `json:"limit"`
}

// Outlook is what happens next in a job, and how much of its limits is used.
type Outlook struct {
	Next    []Step   `json:"next"`
	Budgets []Budget `json:"budgets"`
}

// OutlookOf is that of a job. The page and the command line both show it.
func OutlookOf(in Input) Outlook {
	k := read(in)
	_, replicas := k.grid()
	return Outlook{Next: k.next(replicas), Budgets: k.budgets()}
}

// next says what happens next, the first first.
func (k *known) next(replicas []replica) []Step {
	steps := []Step{}
	add := func(s Step) { steps = append(steps, s) }
	if left := k.Job.Left; left != "" {
		add(Step{Text: "Not all is shown: " + text(left), Waits: true})
	}
	switch {
	case k.Job.Object.GetDeletionTimestamp() != nil:
		add(Step{Text: "The job is being deleted, and its pods with it."})
		return steps
	case k.status.Finished():
		return append(steps, k.afterEnd()...)
	case k.policy.Suspend != nil && *k.policy.Suspend:
		add(Step{Text: "Nothing runs until the job is resumed.", Waits: true})
		return steps
	case !k.job.TakenUp():
		add(Step{Text: "An operator has to take up the job: none has so far. Is the one for " + text(k.job.Kind) + " running?", Waits: true})
		return steps
	}
	if c := k.status.Condition(commonv1.JobStalled); c != nil && c.Status == corev1.ConditionTrue {
		add(Step{Text: "The job is stalled, and goes on by itself when the cause is gone: " + text(c.Message), Waits: true})
	}
	steps = append(steps, restartSteps(replicas)...)
	steps = append(steps, k.startSteps(replicas)...)
	steps = append(steps, k.deadlineSteps(replicas)...)
	steps = append(steps, k.avoidSteps()...)
	if len(steps) == 0 {
		add(Step{Text: "The job runs to its end."})
	}
	return steps
}

// afterEnd is what follows the end of the job.
func (k *known) afterEnd() []Step {
	if ttl, at := k.policy.TTLSecondsAfterFinished, k.status.CompletionTime; ttl != nil && at != nil {
		return []Step{{
			Text: fmt.Sprintf("The job is deleted (ttlSecondsAfterFinished %d).", *ttl), At: millis(later(at, int64(*ttl))),
		}}
	}
	return []Step{{Text: "Nothing: the job has ended. It stays until it is deleted."}}
}

// restartSteps are the restarts that are due, the next first.
func restartSteps(replicas []replica) []Step {
	var due []replica
	for i := range replicas {
		if replicas[i].square == SquareRestarts {
			due = append(due, replicas[i])
		}
	}
	slices.SortStableFunc(due, func(a, b replica) int { return a.due.Compare(b.due) })
	steps := []Step{}
	for i := range due[:min(len(due), maxSteps)] {
		steps = append(steps, Step{
			Text: fmt.Sprintf("Restart of %s, attempt %d", replicaName(due[i].typ, due[i].index), due[i].next), At: millis(due[i].due),
		})
	}
	if len(due) > maxSteps {
		steps = append(steps, Step{Text: fmt.Sprintf("and %d more restarts", len(due)-maxSteps), At: millis(due[len(due)-1].due)})
	}
	return steps
}

// startSteps are the pods that are to be created, to start, or to stop first.
func (k *known) startSteps(replicas []replica) []Step {
	steps := []Step{}
	for _, t := range k.roles {
		count := k.count(t, replicas)
		for _, what := range []struct {
			square Square
			format string
		}{
			{SquareMissing, k.missingFormat(t)},
			{SquareWaiting, "%d waiting for a node"},
			{SquareStarting, "%d starting"},
			{SquareProblem, "%d unable to start"},
			{SquareStopping, "%d stopping, before others take their place"},
		} {
			if n := count[what.square]; n > 0 {
				steps = append(steps, Step{Text: text(string(t)) + ": " + fmt.Sprintf(what.format, n)})
			}
		}
	}
	return steps
}

// missingFormat says of missing replicas of a type what they wait for.
func (k *known) missingFormat(t commonv1.ReplicaType) string {
	const format = "%d to be created"
	if spec := k.specs[t]; spec != nil && spec.StartAfter != nil {
		return format + ", when " + strings.ReplaceAll(startAfterWords(spec.StartAfter), "%", "%%")
	}
	return format
}

// count is how many wanted replicas of a type are in each state, as far as that is known.
func (k *known) count(t commonv1.ReplicaType, replicas []replica) map[Square]int {
	count := map[Square]int{}
	for i := range replicas {
		if r := &replicas[i]; r.typ == t && int(r.index) < k.job.Replicas[t] {
			count[r.square]++
		}
	}
	if k.Job.Pods == nil {
		count[SquareMissing] = 0 // they may not be read
	}
	return count
}

func startAfterWords(after *commonv1.StartAfter) string {
	return "all of " + text(string(after.ReplicaType)) + " are " + text(string(after.State))
}

// budgets are the limits of restarts, and what is used of them.
func (k *known) budgets() []Budget {
	out := []Budget{}
	if limit := k.policy.BackoffLimit; limit != nil {
		b := Budget{Text: "restarts of the job", Used: k.status.Restarts, Limit: *limit}
		if window := k.policy.BackoffLimitWindowSeconds; window != nil {
			b.Text += " in " + shortDuration(*window)
			b.Used = inWindow(k.status.RestartTimes, k.Now.Add(-time.Duration(*window)*time.Second))
		}
		out = append(out, b)
	}
	for _, t := range k.roles {
		spec, rs := k.specs[t], k.status.ReplicaStatuses[t]
		if spec == nil || rs == nil {
			continue
		}
		if spec.BackoffLimit != nil {
			out = append(out, Budget{Text: "restarts of " + text(string(t)), Used: rs.Restarts, Limit: *spec.BackoffLimit})
		}
		if limit := k.policy.BackoffLimitPerReplica; limit != nil {
			if b := busiest(t, rs, *limit); b.Used > 0 {
				out = append(out, b)
			}
		}
	}
	if limit := k.policy.MaxJobRestarts; limit != nil {
		out = append(out, Budget{Text: "restarts of the whole job for replicas at their limit", Used: k.status.JobRestarts, Limit: *limit})
	}
	return out
}

// busiest is the replica of a type that has used most of its own limit.
func busiest(t commonv1.ReplicaType, rs *commonv1.ReplicaStatus, limit int32) Budget {
	used := map[string]int32{}
	for index, n := range rs.Attempts {
		used[index] += n - rs.IgnoredAttempts[index] - rs.EarlierRestarts[index]
	}
	for index, in := range rs.InPlaceRestarts {
		used[index] += in.Count + in.Earlier
	}
	most, index := int32(0), ""
	for i, n := range used {
		if n > most || n == most && cmp.Less(i, index) {
			most, index = n, i
		}
	}
	return Budget{Text: "restarts of " + strings.ToLower(text(string(t))) + "-" + text(index) + ", which has most", Used: most, Limit: limit}
}

// inWindow is how many restarts were after a moment.
func inWindow(times []metav1.Time, from time.Time) int32 {
	n := int32(0)
	for i := range times {
		if times[i].After(from) {
			n++
		}
	}
	return n
}

// later is so many seconds after a time.
func later(t *metav1.Time, seconds int64) time.Time {
	return t.Add(time.Duration(seconds) * time.Second)
}
