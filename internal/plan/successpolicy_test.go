package plan_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// successRule makes a rule; a count of 0 and "" are none.
func successRule(t commonv1.ReplicaType, indexes string, count int32) commonv1.SuccessPolicyRule {
	r := commonv1.SuccessPolicyRule{ReplicaType: t}
	if indexes != "" {
		r.Indexes = &indexes
	}
	if count != 0 {
		r.Count = &count
	}
	return r
}

func successPolicy(rules ...commonv1.SuccessPolicyRule) func(*model) {
	return func(m *model) { m.in.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{Rules: rules} }
}

// succeedIn ends pods well.
func succeedIn(names ...string) func(*model) {
	return func(m *model) {
		for _, n := range names {
			m.end(m.pod(n), 0)
		}
	}
}

func TestSuccessPolicy(t *testing.T) {
	matched := func(i int) string {
		return "Succeeded=True TestJobSuccessPolicy: TestJob ns/job successfully completed. Matched rules at index " +
			strconv.Itoa(i) + " of runPolicy.successPolicy."
	}
	const goesOn = "Running=True TestJobRunning: TestJob ns/job is running."
	cases := map[string]struct {
		reason  string
		change  func(*model)
		rules   []commonv1.SuccessPolicyRule
		happens func(*model)
		want    string // the last condition
	}{
		"IndexesAll": {
			reason: "indexes alone: all of them",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "0,2-3", 0)}, happens: succeedIn("worker-0", "worker-2", "worker-3"), want: matched(0),
		},
		"IndexesNotAll": {
			reason: "indexes alone: others do not stand in for one that is missing",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "0,2-3", 0)}, happens: succeedIn("worker-0", "worker-1", "worker-2"), want: goesOn,
		},
		"Count": {
			reason: "count alone: so many of any",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "", 2)}, happens: succeedIn("worker-1", "worker-3"), want: matched(0),
		},
		"CountNotReached": {
			reason: "count alone: replicas of another type do not count",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "", 2)}, happens: succeedIn("worker-1", "master-0"), want: goesOn,
		},
		"Both": {
			reason: "both: so many of these",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "0-2", 2)}, happens: succeedIn("worker-0", "worker-2"), want: matched(0),
		},
		"BothOthers": {
			reason: "both: others do not count",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "0-2", 2)}, happens: succeedIn("worker-0", "worker-3"), want: goesOn,
		},
		"BothCountOfNone": {
			reason: "a mistake that was edited in ends nothing, although 0 of these have succeeded",
			happens: func(m *model) {
				successPolicy(commonv1.SuccessPolicyRule{ReplicaType: worker, Indexes: new("0"), Count: new(int32(0))})(m)
			},
			want:  `Stalled=True TestJobFailedValidation: TestJob ns/job is not valid: spec.runPolicy.successPolicy.rules[0].count: Invalid value: 0: must be 1 or more`,
			rules: []commonv1.SuccessPolicyRule{successRule(worker, "", 4)},
		},
		"SecondRule": {
			reason:  "rules are alternatives, and the message says which held",
			rules:   []commonv1.SuccessPolicyRule{successRule(master, "0", 0), successRule(worker, "3", 0)},
			happens: succeedIn("worker-3"), want: matched(1),
		},
		"FirstOfTwo": {
			reason:  "of two that hold the first is named",
			rules:   []commonv1.SuccessPolicyRule{successRule(worker, "0", 0), successRule(worker, "3", 0)},
			happens: succeedIn("worker-0", "worker-3"), want: matched(0),
		},
		"KindsRulesDoNotCount": {
			reason: "the kind says that its Master decides, and the user says otherwise",
			change: masterDecides, rules: []commonv1.SuccessPolicyRule{successRule(worker, "", 1)},
			happens: succeedIn("master-0"), want: goesOn,
		},
		"BeforeAFailure": {
			reason:  "a success outweighs a failure that ends the job",
			rules:   []commonv1.SuccessPolicyRule{successRule(worker, "0", 0)},
			happens: func(m *model) { m.end(m.pod("worker-1"), 1); m.end(m.pod("worker-0"), 0) }, want: matched(0),
		},
		"KindsWords": {
			reason: "the kind's own words are followed by the rule",
			change: func(m *model) {
				m.in.Rules.Messages = jobkit.Messages{Succeeded: "TestJob job is successfully completed."}
			},
			rules:   []commonv1.SuccessPolicyRule{successRule(worker, "0", 0)},
			happens: succeedIn("worker-0"),
			want:    "Succeeded=True TestJobSuccessPolicy: TestJob job is successfully completed. Matched rules at index 0 of runPolicy.successPolicy.",
		},
		"StoppedWithZero": {
			reason: "a pod that was stopped has not succeeded, whatever it exits with",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "0", 0)},
			happens: func(m *model) {
				m.terminate(m.pod("worker-0"))
				m.end(m.pod("worker-0"), 0)
			}, want: goesOn,
		},
		"PodGoneAfterSuccess": {
			reason: "a replica that succeeded has, although its pod is gone",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "0-1", 0)},
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.reconcileUntilStable()
				m.drop(m.pod("worker-0"))
				m.reconcileUntilStable()
				m.end(m.pod("worker-1"), 0)
			}, want: matched(0),
		},
		"RestartedAfterFailure": {
			reason: "a replica that is restarted counts when its next attempt succeeds",
			change: restartPolicy(commonv1.RestartPolicyExitCode),
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "0", 0)},
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 137)
				m.reconcileUntilStable()
				m.run()
				m.end(m.pod("worker-0"), 0)
			}, want: matched(0),
		},
		"RestartOfTheWholeJob": {
			reason: "a restart of the whole job begins again: what succeeded before does not count",
			change: func(m *model) {
				restartPolicy(commonv1.RestartPolicyExitCode)(m)
				m.in.RunPolicy.RestartScope = new(commonv1.RestartScopeJob)
			},
			rules: []commonv1.SuccessPolicyRule{successRule(worker, "", 2)},
			happens: func(m *model) {
				m.end(m.pod("worker-0"), 0)
				m.reconcileUntilStable()
				m.end(m.pod("worker-1"), 137)
				m.reconcileUntilStable()
				m.run()
				m.reconcileUntilStable()
				m.end(m.pod("worker-1"), 0)
			}, want: goesOn,
		},
		"ScaledDownToFewer": {
			reason: "a replica that an edit made unwanted does not count",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "", 2)},
			happens: func(m *model) {
				m.end(m.pod("worker-3"), 0)
				m.reconcileUntilStable()
				m.in.Replicas[worker].Replicas, m.in.Job.Generation = new(int32(3)), 2
				m.reconcileUntilStable()
				m.end(m.pod("worker-0"), 0)
			}, want: goesOn,
		},
		"ScaledBelowAnIndex": {
			reason: "an edit after which no rule can hold stalls the job, and what runs goes on running",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "3", 0)},
			happens: func(m *model) {
				m.in.Replicas[worker].Replicas, m.in.Job.Generation = new(int32(3)), 2
			},
			want: `Stalled=True TestJobFailedValidation: TestJob ns/job is not valid: spec.runPolicy.successPolicy.rules[0].indexes: ` +
				`Invalid value: "3": the job has 3 replicas of Worker, counted from 0, so the rule never holds: use indexes below 3, or raise replicas`,
		},
		"ScaledBackUp": {
			reason: "and goes on when it is undone",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "3", 0)},
			happens: func(m *model) {
				m.in.Replicas[worker].Replicas, m.in.Job.Generation = new(int32(3)), 2
				m.reconcileUntilStable()
				m.in.Replicas[worker].Replicas, m.in.Job.Generation = new(int32(4)), 3
				m.reconcileUntilStable()
				m.end(m.pod("worker-3"), 0)
			}, want: matched(0),
		},
		"Suspended": {
			reason: "a job that is suspended and resumed begins again",
			rules:  []commonv1.SuccessPolicyRule{successRule(worker, "", 2)},
			happens: func(m *model) {
				m.end(m.pod("worker-3"), 0)
				m.reconcileUntilStable()
				m.in.RunPolicy.Suspend, m.in.Job.Generation = new(true), 2
				m.reconcileUntilStable()
				m.in.RunPolicy.Suspend, m.in.Job.Generation = nil, 3
				m.reconcileUntilStable()
				m.run()
				m.reconcileUntilStable()
				m.end(m.pod("worker-0"), 0)
			}, want: goesOn,
		},
		"AllLeftOverFailed": {
			reason: "when all that may fail have, and no rule holds, the job fails",
			change: func(m *model) {
				m.in.Rules.Optional = []jobkit.ReplicaSelector{jobkit.All(worker)}
			},
			rules: []commonv1.SuccessPolicyRule{successRule(worker, "", 1)},
			happens: func(m *model) {
				m.end(m.pod("master-0"), 0)
				for i := range 4 {
					m.end(m.pod("worker-"+strconv.Itoa(i)), 1)
				}
			},
			want: "Failed=True TestJobFailed: TestJob ns/job has failed because 4 Worker replica(s) failed. " +
				"First failure: pod job-worker-0, exit code 1, restart policy Never.",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(map[commonv1.ReplicaType]int32{master: 1, worker: 4}, func(m *model) {
				if tc.change != nil {
					tc.change(m)
				}
				successPolicy(tc.rules...)(m)
			})
			tc.happens(m)
			m.reconcileUntilStable()
			all := conditions(&m.in.Status)
			if diff := cmp.Diff(tc.want, all[len(all)-1]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestSuccessPolicyCleansUp: what becomes of the pods that still run says cleanPodPolicy.
func TestSuccessPolicyCleansUp(t *testing.T) {
	for policy, left := range map[commonv1.CleanPodPolicy]int{
		commonv1.CleanPodPolicyAll: 0, commonv1.CleanPodPolicyRunning: 1, commonv1.CleanPodPolicyNone: 3,
	} {
		m := started(workers(3), func(m *model) {
			m.in.RunPolicy.CleanPodPolicy = &policy
			successPolicy(successRule(worker, "1", 0))(m)
		})
		m.end(m.pod("worker-1"), 0)
		m.reconcileUntilStable()
		if m.in.Status.State != commonv1.JobSucceeded || len(m.in.Pods) != left {
			t.Errorf("cleanPodPolicy %s: want Succeeded and %d pods, got %s and %d", policy, left, m.in.Status.State, len(m.in.Pods))
		}
	}
}

// TestSuccessPolicyAndAuthorsOutcome: the user's policy is in place of what the kind's own code
// says of success; that the job has failed the code still says.
func TestSuccessPolicyAndAuthorsOutcome(t *testing.T) {
	cases := map[string]struct {
		reason  string
		happens func(*model)
		outcome jobkit.Outcome
		want    commonv1.JobConditionType
	}{
		"Success":        {reason: "no rule holds", outcome: jobkit.Outcome{Running: true, Succeeded: true}, want: commonv1.JobRunning},
		"Failure":        {reason: "a failure ends the job", outcome: jobkit.Outcome{Failed: true}, want: commonv1.JobFailed},
		"Both":           {reason: "the success does not count, so the failure does", outcome: jobkit.Outcome{Succeeded: true, Failed: true}, want: commonv1.JobFailed},
		"Rule":           {reason: "a rule holds", happens: succeedIn("worker-0"), outcome: jobkit.Outcome{Running: true}, want: commonv1.JobSucceeded},
		"RuleAndFailure": {reason: "success goes first", happens: succeedIn("worker-0"), outcome: jobkit.Outcome{Failed: true}, want: commonv1.JobSucceeded},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), successPolicy(successRule(worker, "0", 0)))
			if tc.happens != nil {
				tc.happens(m)
			}
			if got := plan.Decide(&m.in, plan.TallyOf(&m.in), &tc.outcome).Status.State; got != tc.want {
				t.Errorf("%s: want %s, got %s", tc.reason, tc.want, got)
			}
		})
	}
}

func TestBadSuccessPolicy(t *testing.T) {
	const rule, noList = `spec.runPolicy.successPolicy.rules[0]`, `: is no list of indexes: write indexes and ranges in ascending order, as in "0-3,7"`
	cases := map[string]struct {
		reason string
		rules  []commonv1.SuccessPolicyRule
		want   string
	}{
		"NoRules":     {reason: "a policy without rules would never end the job", want: `spec.runPolicy.successPolicy.rules: Required value: a policy without rules never ends the job: add a rule, or remove successPolicy`},
		"TooMany":     {reason: "as many as in batch/v1", rules: make([]commonv1.SuccessPolicyRule, 21), want: `spec.runPolicy.successPolicy.rules: Too many: 21: must have at most 20 items`},
		"UnknownType": {reason: "the types are listed", rules: []commonv1.SuccessPolicyRule{successRule("Boss", "", 1)}, want: rule + `.replicaType: Unsupported value: "Boss": supported values: "Master", "Worker"`},
		"LetterCase":  {reason: "the spelling is given", rules: []commonv1.SuccessPolicyRule{successRule("worker", "", 1)}, want: rule + `.replicaType: Invalid value: "worker": the letter case of replica types counts: write Worker`},
		"MissingType": {reason: "a type that the job does not have never succeeds", rules: []commonv1.SuccessPolicyRule{successRule(master, "", 1)}, want: rule + `.replicaType: Invalid value: "Master": the job has no Master, so the rule never holds: use a type that it has, or add it`},
		"Neither":     {reason: "a rule must ask for something", rules: []commonv1.SuccessPolicyRule{{ReplicaType: worker}}, want: rule + `: Required value: a rule needs indexes, count, or both: add one`},
		"Empty":       {reason: "no index is no list", rules: []commonv1.SuccessPolicyRule{{ReplicaType: worker, Indexes: new("")}}, want: rule + `.indexes: Invalid value: ""` + noList},
		"Letters":     {reason: "only numbers are indexes", rules: []commonv1.SuccessPolicyRule{successRule(worker, "0,a", 0)}, want: rule + `.indexes: Invalid value: "0,a"` + noList},
		"Spaces":      {reason: "as in batch/v1", rules: []commonv1.SuccessPolicyRule{successRule(worker, "0, 1", 0)}, want: rule + `.indexes: Invalid value: "0, 1"` + noList},
		"Negative":    {reason: "there is none below 0", rules: []commonv1.SuccessPolicyRule{successRule(worker, "-1", 0)}, want: rule + `.indexes: Invalid value: "-1"` + noList},
		"Backwards":   {reason: "a range goes up", rules: []commonv1.SuccessPolicyRule{successRule(worker, "2-1", 0)}, want: rule + `.indexes: Invalid value: "2-1"` + noList},
		"Twice":       {reason: "what is listed twice would count twice", rules: []commonv1.SuccessPolicyRule{successRule(worker, "0-1,1", 0)}, want: rule + `.indexes: Invalid value: "0-1,1"` + noList},
		"Huge":        {reason: "what is no index of a job overflows nothing", rules: []commonv1.SuccessPolicyRule{successRule(worker, "0-99999999999", 0)}, want: rule + `.indexes: Invalid value: "0-99999999999"` + noList},
		"Beyond":      {reason: "an index that the job does not have never succeeds", rules: []commonv1.SuccessPolicyRule{successRule(worker, "0-2,3", 0)}, want: rule + `.indexes: Invalid value: "0-2,3": the job has 3 replicas of Worker, counted from 0, so the rule never holds: use indexes below 3, or raise replicas`},
		"BeyondWithCount": {
			reason: "also where count could be reached without it, as in batch/v1", rules: []commonv1.SuccessPolicyRule{successRule(worker, "0-3", 1)},
			want: rule + `.indexes: Invalid value: "0-3": the job has 3 replicas of Worker, counted from 0, so the rule never holds: use indexes below 3, or raise replicas`,
		},
		"CountOfNone": {reason: "0 would hold at once", rules: []commonv1.SuccessPolicyRule{{ReplicaType: worker, Count: new(int32(0))}}, want: rule + `.count: Invalid value: 0: must be 1 or more`},
		"CountBeyond": {reason: "so many there are not", rules: []commonv1.SuccessPolicyRule{successRule(worker, "", 4)}, want: rule + `.count: Invalid value: 4: the job has 3 replicas of Worker, so the rule never holds: use a count of at most 3, or add replicas`},
		"CountBeyondIndexes": {
			reason: "nor so many indexes", rules: []commonv1.SuccessPolicyRule{successRule(worker, "0,2", 3)},
			want: rule + `.count: Invalid value: 3: indexes has 2, so the rule never holds: use a count of at most 2, or add replicas`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(3))
			successPolicy(tc.rules...)(m)
			p := m.decide()
			if c := p.Status.Condition(commonv1.JobFailed); c == nil || c.Message != "TestJob ns/job is not valid: "+tc.want {
				t.Errorf("%s: want %s\ngot %+v", tc.reason, tc.want, c)
			}
			// A rule that was edited in while the job runs never ends it.
			m = started(workers(3), nil)
			successPolicy(tc.rules...)(m)
			if p := m.decide(); p.Status.State != commonv1.JobStalled || len(p.Actions) > 0 {
				t.Errorf("%s: after an edit the job is %s, and wants %v", tc.reason, p.Status.State, p.Actions)
			}
		})
	}
}

// TestSuccessPolicyAtTheLimits: how many rules there can be, and a count of a type without replicas.
func TestSuccessPolicyAtTheLimits(t *testing.T) {
	most := slices.Repeat([]commonv1.SuccessPolicyRule{successRule(worker, "", 1)}, 20)
	for name, tc := range map[string]struct {
		reason string
		rules  []commonv1.SuccessPolicyRule
		want   string
	}{
		"Most": {reason: "20 rules are allowed, as in batch/v1", rules: most},
		"NoReplicas": {
			reason: "there is no count to advise", rules: []commonv1.SuccessPolicyRule{successRule(master, "", 1)},
			want: `spec.runPolicy.successPolicy.rules[0].count: Invalid value: 1: the job has 0 replicas of Master, so the rule never holds: add replicas, or remove the rule`,
		},
		"CountAll": {reason: "all there are can be asked for", rules: []commonv1.SuccessPolicyRule{successRule(worker, "", 3)}},
	} {
		m := newModel(map[commonv1.ReplicaType]int32{master: 0, worker: 3})
		successPolicy(tc.rules...)(m)
		got := ""
		if errs := plan.Validate(&m.in); len(errs) > 0 {
			got = errs.ToAggregate().Error()
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", name, tc.reason, diff)
		}
	}
}

// drawSuccessRule makes a rule that can hold.
func drawSuccessRule(t *rapid.T, replicas map[commonv1.ReplicaType]*commonv1.ReplicaSpec) commonv1.SuccessPolicyRule {
	var types []commonv1.ReplicaType
	for _, typ := range []commonv1.ReplicaType{master, worker} {
		if s := replicas[typ]; s != nil && *s.Replicas > 0 {
			types = append(types, typ)
		}
	}
	typ := rapid.SampledFrom(types).Draw(t, "type")
	n := *replicas[typ].Replicas
	var indexes []string
	for i := range n {
		if rapid.Bool().Draw(t, "listed") {
			indexes = append(indexes, strconv.Itoa(int(i)))
		}
	}
	if len(indexes) == 0 || rapid.Bool().Draw(t, "by count alone") {
		return successRule(typ, "", rapid.Int32Range(1, n).Draw(t, "count"))
	}
	count := int32(0)
	if rapid.Bool().Draw(t, "some of these") {
		count = rapid.Int32Range(1, int32(len(indexes))).Draw(t, "count")
	}
	return successRule(typ, strings.Join(indexes, ","), count)
}

// heldRule is the first rule of a policy that holds by the documentation alone, for the
// replicas that a status lists as succeeded and the pods that ended by themselves; -1 if none.
func heldRule(in *plan.Input, succeeded map[string]bool) int {
	for i, r := range in.RunPolicy.SuccessPolicy.Rules {
		of, all := map[string]bool{}, 0
		for j := range *in.Replicas[r.ReplicaType].Replicas {
			index := strconv.Itoa(int(j))
			if r.Indexes == nil || strings.Contains(","+*r.Indexes+",", ","+index+",") {
				all++
				if name := in.Kind.PodName(in.Job.Name, r.ReplicaType, j); succeeded[name] {
					of[name] = true
				}
			}
		}
		if r.Count != nil && len(of) >= int(*r.Count) || r.Count == nil && len(of) == all {
			return i
		}
	}
	return -1
}

// TestSuccessPolicyIsThatOfBatch holds policies of any shape against the words of the
// documentation, for any replicas that succeed, in any order.
func TestSuccessPolicyIsThatOfBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(map[commonv1.ReplicaType]int32{master: 1, worker: rapid.Int32Range(1, 5).Draw(t, "workers")})
		for range rapid.IntRange(1, 3).Draw(t, "rules") {
			if m.in.RunPolicy.SuccessPolicy == nil {
				m.in.RunPolicy.SuccessPolicy = &commonv1.SuccessPolicy{}
			}
			p := m.in.RunPolicy.SuccessPolicy
			p.Rules = append(p.Rules, drawSuccessRule(t, m.in.Replicas))
		}
		if errs := plan.Validate(&m.in); len(errs) > 0 {
			t.Fatalf("%+v: %v", m.in.RunPolicy.SuccessPolicy, errs)
		}
		m.reconcileUntilStable()
		m.run()
		m.reconcileUntilStable()
		names := make([]string, 0, len(m.in.Pods))
		for _, p := range m.in.Pods {
			names = append(names, p.Name)
		}
		done := map[string]bool{}
		for _, name := range rapid.Permutation(names).Draw(t, "order") {
			done[name] = true
			m.end(m.pod(strings.TrimPrefix(name, "job-")), 0)
			held := heldRule(&m.in, done)
			m.reconcileUntilStable()
			c := m.in.Status.Condition(commonv1.JobSucceeded)
			switch {
			case held < 0 && c != nil:
				t.Fatalf("no rule holds after %v, but the job has succeeded: %s", done, c.Message)
			case held >= 0 && (c == nil || !strings.Contains(c.Message, fmt.Sprintf("at index %d ", held))):
				t.Fatalf("rule %d holds after %v, but the condition is %+v", held, done, c)
			case held >= 0:
				return
			}
		}
		t.Fatal("all replicas have succeeded, and the job goes on")
	})
}
