package plan_test

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestPromises lets anything happen to jobs of any shape and checks, at every
// pass, the promises that hold for plans alone.
func TestPromises(t *testing.T) {
	rapid.Check(t, promises)
}

// FuzzPromises is TestPromises for the fuzzer (go test -fuzz Promises ./plan).
func FuzzPromises(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(promises))
}

func promises(t *rapid.T) {
	w := &world{model: drawJob(t), twin: &twin{}, ports: portBook{}}
	w.reconcileAndCheck(t)
	t.Repeat(map[string]func(*rapid.T){
		"start pods":   func(*rapid.T) { w.run() },
		"fail a pod":   w.failPod,
		"end a pod":    w.endPod,
		"restart":      w.restartContainer,
		"delete a pod": w.deletePod,
		"preempt":      w.preemptPod,
		"wait":         w.wait,
		"suspend":      w.toggleSuspend,
		"scale":        w.scale,
		"":             w.reconcileAndCheck,
	})
}

// drawJob makes a job of any shape.
func drawJob(t *rapid.T) *model {
	replicas := map[commonv1.ReplicaType]int32{worker: rapid.Int32Range(0, 3).Draw(t, "workers")}
	if rapid.Bool().Draw(t, "has master") || replicas[worker] == 0 {
		replicas[master] = 1
	}
	m := newModel(replicas)
	m.in.Job.Created = epoch
	for _, spec := range m.in.Replicas {
		spec.RestartPolicy = rapid.SampledFrom([]commonv1.RestartPolicy{
			commonv1.RestartPolicyNever, commonv1.RestartPolicyOnFailure, commonv1.RestartPolicyAlways, commonv1.RestartPolicyExitCode,
		}).Draw(t, "restart policy")
	}
	p := &m.in.RunPolicy
	p.CleanPodPolicy = new(rapid.SampledFrom([]commonv1.CleanPodPolicy{
		commonv1.CleanPodPolicyAll, commonv1.CleanPodPolicyRunning, commonv1.CleanPodPolicyNone,
	}).Draw(t, "clean pod policy"))
	p.ServiceMode = new(rapid.SampledFrom([]commonv1.ServiceMode{
		commonv1.ServiceModePerJob, commonv1.ServiceModePerReplica, commonv1.ServiceModeNone,
	}).Draw(t, "service mode"))
	p.RestartScope = new(rapid.SampledFrom([]commonv1.RestartScope{
		commonv1.RestartScopeReplica, commonv1.RestartScopeRole, commonv1.RestartScopeJob,
	}).Draw(t, "restart scope"))
	p.BackoffLimit = rapid.Ptr(rapid.Int32Range(0, 4), true).Draw(t, "backoff limit")
	p.ActiveDeadlineSeconds = rapid.Ptr(rapid.Int64Range(1, 100), true).Draw(t, "deadline")
	p.BackoffLimitPerReplica = rapid.Ptr(rapid.Int32Range(0, 2), true).Draw(t, "backoff limit per replica")
	if rapid.Bool().Draw(t, "has rules") {
		p.PodFailurePolicy = &commonv1.PodFailurePolicy{Rules: rapid.SliceOfN(rapid.Custom(drawRule), 1, 3).Draw(t, "rules")}
	}
	if (p.BackoffLimit != nil || p.BackoffLimitPerReplica != nil) && rapid.IntRange(0, 2).Draw(t, "has a window") == 2 {
		p.BackoffLimitWindowSeconds = new(rapid.Int64Range(1, 100).Draw(t, "window"))
	}
	if p.BackoffLimitPerReplica != nil && rapid.Bool().Draw(t, "replicas restart the job") {
		p.OnBackoffLimitPerReplica = new(commonv1.BackoffLimitPerReplicaRestartJob)
		p.MaxJobRestarts = rapid.Ptr(rapid.Int32Range(0, 2), true).Draw(t, "max job restarts")
	}
	if rapid.IntRange(0, 3).Draw(t, "has a success policy") == 3 {
		p.SuccessPolicy = &commonv1.SuccessPolicy{Rules: []commonv1.SuccessPolicyRule{drawSuccessRule(t, m.in.Replicas)}}
	}
	if replicas[master] > 0 && rapid.Bool().Draw(t, "workers may fail") {
		m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
	}
	drawRoles(t, m)
	drawStartDeadline(t, m)
	drawHostPorts(t, m)
	if replicas[master] > 0 && rapid.Bool().Draw(t, "master decides") {
		m.in.Rules.Success = []jobkit.SuccessRule{jobkit.AllOf(jobkit.All(master))}
	}
	return m
}

// drawRoles gives types policies of their own, and an order in which they start.
func drawRoles(t *rapid.T, m *model) {
	limits := rapid.Bool().Draw(t, "roles have limits")
	for _, typ := range []commonv1.ReplicaType{master, worker} {
		spec := m.in.Replicas[typ]
		if spec == nil {
			continue
		}
		if limits {
			spec.BackoffLimit = new(rapid.Int32Range(0, 4).Draw(t, "backoff limit of a role"))
		}
		if rapid.Bool().Draw(t, "role has a scope") {
			spec.RestartScope = new(rapid.SampledFrom([]commonv1.RestartScope{
				commonv1.RestartScopeReplica, commonv1.RestartScopeRole, commonv1.RestartScopeJob,
			}).Draw(t, "restart scope of a role"))
		}
	}
	if m.in.Replicas[master] == nil || m.in.Replicas[worker] == nil || !rapid.Bool().Draw(t, "has an order") {
		return
	}
	first, then := master, worker
	if rapid.Bool().Draw(t, "workers go first") {
		first, then = then, first
	}
	m.in.Replicas[then].StartAfter = &commonv1.StartAfter{ReplicaType: first, State: rapid.SampledFrom([]commonv1.StartAfterState{
		commonv1.StartAfterRunning, commonv1.StartAfterReady, commonv1.StartAfterSucceeded,
	}).Draw(t, "state")}
}

// drawRule makes a rule of the pod failure policy.
func drawRule(t *rapid.T) commonv1.PodFailurePolicyRule {
	action := rapid.SampledFrom([]commonv1.PodFailurePolicyAction{failJob, ignore, countIt, restartJob}).Draw(t, "action")
	if rapid.Bool().Draw(t, "on disruption") {
		return onDisruption(action)
	}
	op := rapid.SampledFrom([]batchv1.PodFailurePolicyOnExitCodesOperator{in, notIn}).Draw(t, "operator")
	return onCodes(action, op, rapid.SampledFrom([]int32{1, 127, 128, 137}).Draw(t, "code"))
}

// world is a job to which things happen, with the deliberately dumb twin that
// counts restarts from the reports of each.
type world struct {
	*model
	twin  *twin
	ports portBook
}

// reconcileAndCheck reconciles until the job is at rest, and checks every plan on the way.
func (w *world) reconcileAndCheck(t *rapid.T) {
	for range 12 {
		before := *w.in.Status.DeepCopy()
		w.twin.observe(&w.in)
		p := w.decide()
		checkDeterministic(t, &w.in, p)
		checkActions(t, &w.in, &p)
		checkStatus(t, &before, &p.Status)
		checkOrder(t, &w.in, &p)
		checkRoles(t, &w.in, &p.Status)
		checkRunning(t, &w.in, &p.Status)
		checkStarts(t, &w.in, &p.Status)
		w.reconcile()
		w.ports.check(t, &w.in)
		w.twin.check(t, &w.in)
		if w.wrote {
			checkSeconds(t, &before, &w.in.Status, w.in.Now)
		}
		if !w.wrote && len(p.Actions) == 0 {
			w.checkAtRest(t)
			return
		}
	}
	t.Fatalf("the job is not at rest after 12 passes")
}

// checkDeterministic: the same input gives the same plan, in whatever order the
// pods are listed, and is not changed by it.
func checkDeterministic(t *rapid.T, in *plan.Input, p plan.Plan) {
	shuffled := *in
	shuffled.Pods = append([]*corev1.Pod(nil), in.Pods...)
	rand.Shuffle(len(shuffled.Pods), func(i, j int) {
		shuffled.Pods[i], shuffled.Pods[j] = shuffled.Pods[j], shuffled.Pods[i]
	})
	again := plan.Decide(&shuffled, plan.TallyOf(&shuffled), nil)
	if diff := cmp.Diff(p.Status, again.Status); diff != "" {
		t.Fatalf("the status depends on the order of the pods:\n%s", diff)
	}
	if diff := cmp.Diff(actionSet(p), actionSet(again)); diff != "" {
		t.Fatalf("the actions depend on the order of the pods:\n%s", diff)
	}
}

func actionSet(p plan.Plan) map[string]int {
	set := map[string]int{}
	for _, a := range p.Actions {
		set[a.String()]++
	}
	return set
}

// checkActions: creates are within range, never double, never for a job that must
// not have pods; deletes are of what was observed.
func checkActions(t *rapid.T, in *plan.Input, p *plan.Plan) {
	pods, services, uids := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, pod := range in.Pods {
		pods[pod.Name], uids[string(pod.UID)] = true, true
	}
	for _, s := range in.Services {
		services[s.Name], uids[string(s.UID)] = true, true
	}
	none := p.Status.Finished() || in.Job.Deleted || in.RunPolicy.Suspend != nil && *in.RunPolicy.Suspend
	for _, a := range p.Actions {
		switch a := a.(type) {
		case plan.CreatePod:
			if none || pods[a.Name] || a.Index < 0 || a.Index >= *in.Replicas[a.Type].Replicas {
				t.Fatalf("must not %s (the job is %s)", a, p.Status.State)
			}
			pods[a.Name] = true
		case plan.CreateService:
			if none || services[a.Name] {
				t.Fatalf("must not %s (the job is %s)", a, p.Status.State)
			}
			services[a.Name] = true
		case plan.DeletePod:
			if !uids[string(a.UID)] {
				t.Fatalf("must not %s: it was not observed", a)
			}
		case plan.DeleteService:
			if !uids[string(a.UID)] {
				t.Fatalf("must not %s: it was not observed", a)
			}
		}
	}
}

// checkOrder: no pod is created whose type starts after another that is not so far.
func checkOrder(t *rapid.T, in *plan.Input, p *plan.Plan) {
	for _, a := range p.Actions {
		create, ok := a.(plan.CreatePod)
		if ok && waitsForOthers(in, &p.Status, create.Type) {
			t.Fatalf("must not %s: %+v", a, in.Replicas[create.Type].StartAfter)
		}
	}
}

// waitsForOthers says by the documentation alone whether a type has to wait.
func waitsForOthers(in *plan.Input, status *commonv1.JobStatus, typ commonv1.ReplicaType) bool {
	after := in.Replicas[typ].StartAfter
	if after == nil {
		return false
	}
	for i := range *in.Replicas[after.ReplicaType].Replicas {
		rs, index := status.ReplicaStatuses[after.ReplicaType], strconv.Itoa(int(i))
		if rs == nil {
			rs = &commonv1.ReplicaStatus{}
		}
		reached := slices.Contains(indexesOf(rs.SucceededIndexes), i)
		for _, pod := range in.Pods {
			if pod.Name == in.Kind.PodName(in.Job.Name, after.ReplicaType, i) {
				at := status.Attempt + rs.Attempt + rs.Attempts[index]
				label, _ := strconv.Atoi(pod.Labels[commonv1.AttemptLabel])
				reached = reached || int32(label) >= at && pod.DeletionTimestamp == nil && //nolint:gosec // small
					(pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodRunning && after.State != commonv1.StartAfterSucceeded)
			}
		}
		if !reached {
			return true
		}
	}
	return false
}

// indexesOf are the indexes that a list such as "0-2,5" names.
func indexesOf(list string) []int32 {
	var out []int32
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(from)
		last, _ := strconv.Atoi(to)
		for i := first; err == nil && i <= last; i++ {
			out = append(out, int32(i))
		}
	}
	return out
}

// checkRoles: a role whose replicas restart together does so because of one of them, and the
// others go on; of the restarts of a job whose roles all have limits, each is one of a role.
func checkRoles(t *rapid.T, in *plan.Input, after *commonv1.JobStatus) {
	sum, all := int32(0), true
	for typ, spec := range in.Replicas {
		was, is := in.Status.ReplicaStatuses[typ], after.ReplicaStatuses[typ]
		if is == nil {
			continue
		}
		if was == nil {
			was = &commonv1.ReplicaStatus{}
		}
		all = all && spec.BackoffLimit != nil
		sum += is.Restarts
		scope := in.RunPolicy.RestartScope
		if spec.RestartScope != nil {
			scope = spec.RestartScope
		}
		switch {
		case is.Attempt < was.Attempt || is.Attempt > was.Attempt+1 || is.Restarts < was.Restarts:
			t.Fatalf("%s went from attempt %d to %d, and from %d restarts to %d", typ, was.Attempt, is.Attempt, was.Restarts, is.Restarts)
		case is.Attempt > was.Attempt && (*scope != commonv1.RestartScopeRole || after.Attempt > in.Status.Attempt):
			t.Fatalf("%s restarts together, but its scope is %s, and the attempt of the job went from %d to %d", typ, *scope, in.Status.Attempt, after.Attempt)
		case is.Attempt > was.Attempt && !slices.ContainsFunc(in.Pods, func(p *corev1.Pod) bool {
			return strings.Contains(p.Name, "-"+strings.ToLower(string(typ))+"-") && p.Status.Phase != corev1.PodPending
		}):
			t.Fatalf("%s restarts together, but none of its pods has begun", typ)
		}
	}
	if all && sum != after.Restarts {
		t.Fatalf("the roles counted %d restarts, the job %d", sum, after.Restarts)
	}
}

// checkStatus: an end is permanent, counts never fall, and one state holds at a time.
func checkStatus(t *rapid.T, before, after *commonv1.JobStatus) {
	for _, end := range []commonv1.JobConditionType{commonv1.JobSucceeded, commonv1.JobFailed} {
		if before.IsTrue(end) && !after.IsTrue(end) {
			t.Fatalf("%s was undone", end)
		}
	}
	if before.CompletionTime != nil && !before.CompletionTime.Equal(after.CompletionTime) {
		t.Fatalf("the completion time changed from %v to %v", before.CompletionTime, after.CompletionTime)
	}
	if after.Finished() != (after.CompletionTime != nil) {
		t.Fatalf("finished is %v but the completion time is %v", after.Finished(), after.CompletionTime)
	}
	if after.Restarts < before.Restarts || after.Attempt < before.Attempt || after.JobRestarts < before.JobRestarts {
		t.Fatalf("restarts fell from %d to %d", before.Restarts, after.Restarts)
	}
	for _, of := range []commonv1.JobConditionType{commonv1.JobRunning, commonv1.JobRestarting} {
		states := 0
		for _, c := range []commonv1.JobConditionType{of, commonv1.JobSuspended, commonv1.JobSucceeded, commonv1.JobFailed} {
			if after.IsTrue(c) {
				states++
			}
		}
		if states > 1 {
			t.Fatalf("%d states at once: %q", states, conditions(after))
		}
	}
	for i, c := range after.Conditions {
		if old := before.Condition(c.Type); old != nil && old.Status == c.Status && !old.LastTransitionTime.Equal(&c.LastTransitionTime) {
			t.Fatalf("condition %d, %s: the transition time moved although the status is still %s", i, c.Type, c.Status)
		}
	}
}

// checkRunning: Running is True while a pod runs that is to continue, and no longer.
func checkRunning(t *rapid.T, in *plan.Input, after *commonv1.JobStatus) {
	if after.Finished() || in.Job.Deleted || after.IsTrue(commonv1.JobSuspended) {
		return
	}
	runs, all := false, true
	for typ, spec := range in.Replicas {
		for i := range *spec.Replicas {
			rs, index := after.ReplicaStatuses[typ], strconv.Itoa(int(i))
			at := after.Attempt + rs.Attempt + rs.Attempts[index]
			done := slices.Contains(strings.Split(rs.SucceededIndexes, ","), index)
			for _, p := range in.Pods {
				if p.Name == in.Kind.PodName(in.Job.Name, typ, i) {
					label, _ := strconv.Atoi(p.Labels[commonv1.AttemptLabel])
					runs = runs || p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil && int32(label) >= at //nolint:gosec // small
					done = done || p.Status.Phase == corev1.PodSucceeded
				}
			}
			all = all && done
		}
	}
	if is := after.IsTrue(commonv1.JobRunning); is != runs && !all {
		t.Fatalf("that a pod runs is %t, but the conditions are %q", runs, conditions(after))
	}
}

// checkAtRest: the pods are those that the job should have.
func (w *world) checkAtRest(t *rapid.T) {
	status := &w.in.Status
	if slices.ContainsFunc(w.in.Pods, func(p *corev1.Pod) bool { return p.DeletionTimestamp != nil }) {
		return // what is being stopped goes when its node is done with it
	}
	w.checkStartsAtRest(t)
	want := 0
	for typ, spec := range w.in.Replicas {
		want += int(*spec.Replicas) - w.failedAndGone(typ)
	}
	switch {
	case status.Finished():
		if *w.in.RunPolicy.CleanPodPolicy == commonv1.CleanPodPolicyAll && len(w.in.Pods) > 0 {
			t.Fatalf("%d pods are left although cleanPodPolicy is All", len(w.in.Pods))
		}
	case status.IsTrue(commonv1.JobSuspended):
		if len(w.in.Pods)+len(w.in.Services) > 0 {
			t.Fatalf("%d pods and %d services are left although the job is suspended", len(w.in.Pods), len(w.in.Services))
		}
	case len(w.in.Pods) != want:
		// A gang waits for the failed pod's delay before it starts again, and a type for another.
		waits := false
		for typ := range w.in.Replicas {
			waits = waits || waitsForOthers(&w.in, status, typ)
		}
		if !waits && (!hasRestartJob(&w.in) || w.decide().RequeueAfter == 0) {
			t.Fatalf("there are %d pods, and the job wants %d", len(w.in.Pods), want)
		}
	}
}

// failedAndGone is how many replicas of a type have failed for good by the status, and have no pod.
func (w *world) failedAndGone(typ commonv1.ReplicaType) int {
	n := 0
	if rs := w.in.Status.ReplicaStatuses[typ]; rs != nil {
		for _, i := range indexesOf(rs.FailedIndexes) {
			if w.pod(strings.TrimPrefix(w.in.Kind.PodName(w.in.Job.Name, typ, i), "job-")) == nil {
				n++
			}
		}
	}
	return n
}

// Things that happen.

func (w *world) runningPod(t *rapid.T) *corev1.Pod {
	var names []string
	for _, p := range w.in.Pods {
		if p.Status.Phase == corev1.PodRunning && p.DeletionTimestamp == nil {
			names = append(names, strings.TrimPrefix(p.Name, "job-"))
		}
	}
	if len(names) == 0 {
		t.Skip("no such pod")
	}
	return w.pod(rapid.SampledFrom(names).Draw(t, "pod"))
}

func (w *world) failPod(t *rapid.T) {
	p := w.runningPod(t)
	if code := rapid.SampledFrom([]int32{0, 1, 127, 128, 137, 255}).Draw(t, "exit code, 0 is evicted"); code == 0 {
		w.evict(p)
	} else {
		w.end(p, code)
	}
}

func (w *world) endPod(t *rapid.T) { w.end(w.runningPod(t), 0) }

func (w *world) restartContainer(t *rapid.T) {
	p := w.runningPod(t)
	if p.Spec.RestartPolicy == corev1.RestartPolicyNever {
		t.Skip("the kubelet restarts nothing")
	}
	w.restartInPlace(p)
}

// deletePod takes a pod away, as a user with kubectl does: at once, or by way of
// a container that is ended by a signal.
func (w *world) deletePod(t *rapid.T) {
	p := w.runningPod(t)
	if rapid.Bool().Draw(t, "gracefully") {
		w.terminate(p)
		w.end(p, 143)
		w.reconcileAndCheck(t)
	}
	w.drop(p)
}

// preemptPod has a pod preempted, which is counted whether or not it is seen before its
// container has been stopped.
func (w *world) preemptPod(t *rapid.T) {
	p := w.runningPod(t)
	w.disrupt(p, preempted)
	w.terminate(p)
	if rapid.Bool().Draw(t, "seen at once") {
		w.reconcileAndCheck(t)
	}
	w.end(p, rapid.SampledFrom([]int32{143, 0, 1}).Draw(t, "exit code"))
	w.reconcileAndCheck(t)
	w.drop(p)
}

func (w *world) wait(t *rapid.T) {
	w.in.Now = w.in.Now.Add(time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second)
}

func (w *world) toggleSuspend(*rapid.T) {
	w.in.RunPolicy.Suspend = new(w.in.RunPolicy.Suspend == nil || !*w.in.RunPolicy.Suspend)
	w.in.Job.Generation++
}

func (w *world) scale(t *rapid.T) {
	was := w.in.Replicas[worker].Replicas
	w.in.Replicas[worker].Replicas = new(rapid.Int32Range(0, 4).Draw(t, "workers"))
	w.in.Job.Generation++
	if len(plan.Validate(&w.in)) == 0 {
		return
	}
	// No rule of the success policy could hold any more: nothing is touched until that is
	// undone.
	if p := w.decide(); len(p.Actions) > 0 && !p.Status.Finished() && !p.Status.IsTrue(commonv1.JobSuspended) {
		t.Fatalf("the job is not valid, and wants %v", p.Actions)
	}
	w.in.Replicas[worker].Replicas = was
}

// twin counts restarts the dumb way: it keeps every pod that ever existed and
// records which pod failed in a way that counts, and the highest
// restart count of every pod.
type twin struct {
	failed  map[string]bool
	inPlace map[string]int32
}

func (w *twin) observe(in *plan.Input) {
	if w.failed == nil {
		w.failed, w.inPlace = map[string]bool{}, map[string]int32{}
	}
	for _, p := range in.Pods {
		w.inPlace[string(p.UID)] = max(w.inPlace[string(p.UID)], restartCount(p))
		disrupted := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.DisruptionTarget })
		if (disrupted || p.Status.Phase == corev1.PodFailed && p.DeletionTimestamp == nil) && isARestart(in, p, disrupted) {
			w.failed[string(p.UID)] = true
		}
	}
}

// isARestart says by the documentation alone whether a failed pod is restarted, and
// that counted. It knows the rules that drawRule makes, and no others.
func isARestart(in *plan.Input, p *corev1.Pod, disrupted bool) bool {
	code := int32(0)
	for _, c := range p.Status.ContainerStatuses {
		if c.State.Terminated != nil && !disrupted {
			code = c.State.Terminated.ExitCode
		}
	}
	if in.RunPolicy.PodFailurePolicy != nil {
		for _, r := range in.RunPolicy.PodFailurePolicy.Rules {
			met := code == 0
			if r.OnExitCodes != nil {
				met = code != 0 && (r.OnExitCodes.Operator == "In") == (r.OnExitCodes.Values[0] == code)
			}
			if met {
				return r.Action == "Count"
			}
		}
	}
	spec := in.Replicas[worker]
	if strings.Contains(p.Name, "-master-") {
		spec = in.Replicas[master]
	}
	switch spec.RestartPolicy {
	case "Never":
		return false
	case "ExitCode":
		return code == 0 || code > 127
	default:
		return true
	}
}

// hasRestartJob reports whether one failure may restart several replicas.
func hasRestartJob(in *plan.Input) bool {
	for _, spec := range in.Replicas {
		if spec.RestartScope != nil && *spec.RestartScope != commonv1.RestartScopeReplica {
			return true
		}
	}
	return *in.RunPolicy.RestartScope != commonv1.RestartScopeReplica || in.RunPolicy.OnBackoffLimitPerReplica != nil || in.RunPolicy.OnStartDeadline != nil ||
		in.RunPolicy.PodFailurePolicy != nil &&
			slices.ContainsFunc(in.RunPolicy.PodFailurePolicy.Rules, func(r commonv1.PodFailurePolicyRule) bool { return r.Action == restartJob })
}

// check: in a job that continues and whose replicas are restarted one by one, every
// pod that failed by itself in a way that counts is a restart, and so is every
// restart in place; and a job whose restarts are more than its limit has failed.
func (w *twin) check(t *rapid.T, in *plan.Input) {
	status := &in.Status
	limit := in.RunPolicy.BackoffLimit
	if limit != nil && in.RunPolicy.BackoffLimitWindowSeconds == nil && status.Restarts > *limit && !status.Finished() && !status.IsTrue(commonv1.JobSuspended) {
		t.Fatalf("restarts is %d, over the limit of %d, but the job is %s", status.Restarts, *limit, status.State)
	}
	for typ, spec := range in.Replicas {
		if rs := status.ReplicaStatuses[typ]; spec.BackoffLimit != nil && rs != nil && rs.Restarts > *spec.BackoffLimit &&
			!status.Finished() && !status.IsTrue(commonv1.JobSuspended) {
			t.Fatalf("%s has %d restarts, over its limit of %d, but the job is %s", typ, rs.Restarts, *spec.BackoffLimit, status.State)
		}
	}
	if status.Finished() || status.IsTrue(commonv1.JobSuspended) || in.Job.Deleted || hasRestartJob(in) {
		return
	}
	want := int32(len(w.failed))
	for _, n := range w.inPlace {
		want += n
	}
	if status.Restarts != want {
		t.Fatalf("restarts is %d; the twin counted %d", status.Restarts, want)
	}
}
