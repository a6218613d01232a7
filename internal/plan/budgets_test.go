package plan_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

func TestBadBudgets(t *testing.T) {
	const path, window = `spec.runPolicy.`, `with backoffLimitWindowSeconds the status holds the time of each restart: use at most `
	restart := new(commonv1.BackoffLimitPerReplicaRestartJob)
	cases := map[string]struct {
		reason string
		n      int32
		policy commonv1.RunPolicy
		want   string
	}{
		"NoWindow":         {reason: "0 seconds are none", policy: commonv1.RunPolicy{BackoffLimitWindowSeconds: new(int64(0)), BackoffLimit: new(int32(1))}, want: path + `backoffLimitWindowSeconds: Invalid value: 0: must be 1 or more`},
		"OneSecond":        {reason: "1 is enough", policy: commonv1.RunPolicy{BackoffLimitWindowSeconds: new(int64(1)), BackoffLimitPerReplica: new(int32(0))}},
		"NegativeLimit":    {reason: "it has one mistake", n: 10_001, policy: commonv1.RunPolicy{BackoffLimitWindowSeconds: new(int64(1)), BackoffLimitPerReplica: new(int32(-1))}, want: path + `backoffLimitPerReplica: Invalid value: -1: must be 0 or more`},
		"LimitOfZero":      {reason: "0 is a limit", n: 10_001, policy: commonv1.RunPolicy{BackoffLimitWindowSeconds: new(int64(1)), BackoffLimitPerReplica: new(int32(0))}, want: path + `backoffLimitPerReplica: Invalid value: 0: the job has 10001 replicas, and the status can hold what backoffLimitWindowSeconds and onBackoffLimitPerReplica need of 10000: use fewer replicas, or remove both`},
		"NoLimit":          {reason: "a window of no limit says nothing", policy: commonv1.RunPolicy{BackoffLimitWindowSeconds: new(int64(9))}, want: path + `backoffLimitWindowSeconds: Invalid value: 9: it says nothing without backoffLimit or backoffLimitPerReplica: add one of them, or remove it`},
		"LimitTooHigh":     {reason: "the status must hold the times", policy: commonv1.RunPolicy{BackoffLimitWindowSeconds: new(int64(9)), BackoffLimit: new(int32(1001))}, want: path + `backoffLimit: Invalid value: 1001: ` + window + `1000, or remove backoffLimitWindowSeconds`},
		"PerReplicaTooLow": {reason: "of all replicas", n: 10_000, policy: commonv1.RunPolicy{BackoffLimitWindowSeconds: new(int64(9)), BackoffLimitPerReplica: new(int32(5))}, want: path + `backoffLimitPerReplica: Invalid value: 5: ` + window + `4 for 10000 replicas, or remove backoffLimitWindowSeconds`},
		"MostTimes":        {reason: "of one replica", n: 1, policy: commonv1.RunPolicy{BackoffLimitWindowSeconds: new(int64(9)), BackoffLimitPerReplica: new(int32(49_999))}},
		"TooManyTimes":     {reason: "of one replica, too", n: 1, policy: commonv1.RunPolicy{BackoffLimitWindowSeconds: new(int64(9)), BackoffLimitPerReplica: new(int32(50_000))}, want: path + `backoffLimitPerReplica: Invalid value: 50000: ` + window + `49999 for 1 replicas, or remove backoffLimitWindowSeconds`},
		"TooLarge":         {reason: "a very large job has no room", n: 10_001, policy: commonv1.RunPolicy{BackoffLimitPerReplica: new(int32(1)), OnBackoffLimitPerReplica: restart}, want: path + `backoffLimitPerReplica: Invalid value: 1: the job has 10001 replicas, and the status can hold what backoffLimitWindowSeconds and onBackoffLimitPerReplica need of 10000: use fewer replicas, or remove both`},
		"NoSuchAction":     {reason: "the actions are listed", policy: commonv1.RunPolicy{BackoffLimitPerReplica: new(int32(1)), OnBackoffLimitPerReplica: new(commonv1.BackoffLimitPerReplicaAction("Restart"))}, want: path + `onBackoffLimitPerReplica: Unsupported value: "Restart": supported values: "FailJob", "RestartJob"`},
		"ActionOfNoLimit":  {reason: "an action of no limit says nothing", policy: commonv1.RunPolicy{OnBackoffLimitPerReplica: restart}, want: path + `onBackoffLimitPerReplica: Invalid value: "RestartJob": it says nothing without backoffLimitPerReplica: add that, or remove it`},
		"Negative":         {reason: "no negative number", policy: commonv1.RunPolicy{BackoffLimitPerReplica: new(int32(1)), OnBackoffLimitPerReplica: restart, MaxJobRestarts: new(int32(-1))}, want: path + `maxJobRestarts: Invalid value: -1: must be 0 or more`},
		"RestartsOfFailJob": {
			reason: "a job that fails at once restarts not at all", policy: commonv1.RunPolicy{BackoffLimitPerReplica: new(int32(1)), MaxJobRestarts: new(int32(1))},
			want: path + `maxJobRestarts: Invalid value: 1: it says nothing unless onBackoffLimitPerReplica or onStartDeadline is RestartJob: set one of them, or remove it`,
		},
		"Good": {
			reason: "all of it together", n: 10_000,
			policy: commonv1.RunPolicy{
				BackoffLimitWindowSeconds: new(int64(9)), BackoffLimit: new(int32(1000)), BackoffLimitPerReplica: new(int32(4)), OnBackoffLimitPerReplica: restart, MaxJobRestarts: new(int32(0)),
			},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel(workers(max(tc.n, 1)))
			m.in.RunPolicy = tc.policy
			got := ""
			if errs := plan.Validate(&m.in); len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestTimesOfReplicasEnd: with the window, or the limit of a replica, go the times that it needed.
func TestTimesOfReplicasEnd(t *testing.T) {
	for name, change := range map[string]func(*commonv1.RunPolicy){
		"Window": func(p *commonv1.RunPolicy) { p.BackoffLimitWindowSeconds = nil },
		"Limit":  func(p *commonv1.RunPolicy) { p.BackoffLimit, p.BackoffLimitPerReplica = new(int32(9)), nil },
	} {
		t.Run(name, func(t *testing.T) {
			m := started(workers(2), inWindow(nil, new(int32(3))))
			m.killed("worker-0")
			if times := m.in.Status.ReplicaStatuses[worker].RestartTimes; len(times["0"]) != 1 {
				t.Fatalf("want one time, got %v", times)
			}
			change(&m.in.RunPolicy)
			m.reconcileUntilStable()
			if times := m.in.Status.ReplicaStatuses[worker].RestartTimes; times != nil {
				t.Errorf("nothing needs these times any more: %v", times)
			}
		})
	}
}
