//go:build integration

package integration

import (
	"os"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

func patchFrom(o client.Object) client.Patch { return client.MergeFrom(o) }

// TestOperatorCrashes kills the operator again and again while jobs start, fail
// and restart, until all have finished, and checks that no restart is lost and none
// is counted twice. It does not run beside the others: they would have to wait for
// the operator.
func TestOperatorCrashes(t *testing.T) {
	const jobs, minKills, maxKills = 100, 5, 25
	begun := time.Now()
	trial := startTrial(t, jobs)
	kills := 0
	for ; kills < maxKills && trial.unfinished(t) > 0; kills++ {
		// Long enough to start working, short enough to be in the middle of it, and
		// another moment each time.
		moment := time.After(2*time.Second + time.Duration(kills*370%1000)*time.Millisecond)
		trial.history.waitForWrite(t) // It lives, however slow the machine is.
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-moment:
		}
		restartOperator(t)
	}
	trial.waitForAll(t)
	t.Logf("%d jobs finished in %.1f s, in which the operator was killed %d times", jobs, time.Since(begun).Seconds(), kills)
	if kills < minKills {
		t.Errorf("the operator was killed only %d times: the jobs are too short for this test", kills)
	}
	trial.check(t)

	// One more operator reconciles all of them again, before it reconciles a new one.
	restartOperator(t)
	last := newJob(namespace(t), "last", nil, replicas(1, "run-for", "100ms"))
	create(t, last)
	waitFor(t, last, commonv1.JobSucceeded)
	trial.check(t)
}

func restartOperator(t *testing.T) {
	t.Helper()
	cluster.operator.kill()
	if err := cluster.operator.start(); err != nil {
		t.Fatal(err)
	}
}

// TestTwoOperators has two operators work on the same jobs, without a leader: what
// both write at the same time wastes a request at most. It does not run beside the
// others, which count events.
func TestTwoOperators(t *testing.T) {
	const jobs = 50
	// The API server records the name of the program that wrote each field.
	first := cluster.operator
	second := &operator{binary: first.binary + "-2", log: first.log + "-2", kubeconfig: first.kubeconfig}
	if err := os.Link(first.binary, second.binary); err != nil {
		t.Fatal(err)
	}
	if err := second.start(); err != nil {
		t.Fatal(err)
	}
	defer second.kill()
	begun := time.Now()
	trial := startTrial(t, jobs)
	trial.waitForAll(t)
	made := trial.history.managed()
	t.Logf("%d jobs finished in %.1f s; pods by the operator that created them: %v", jobs, time.Since(begun).Seconds(), made)
	if len(made) != 2 {
		t.Errorf("both operators were to create pods, and these did: %v", made)
	}
	trial.check(t)
	second.kill()
	if log, err := os.ReadFile(second.log); err != nil || containsRace(log) {
		t.Errorf("the race detector spoke in the second operator's log: %v\n%s", err, log)
	}
}
