package controller

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"

	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestObstaclesAreRememberedForTheirTime: what was refused is held back until its time has
// come, whether the passes in between want it or not, and forgotten when it is done.
func TestObstaclesAreRememberedForTheirTime(t *testing.T) {
	job := &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "job", UID: "uid", Generation: 1}}
	refused := []plan.Obstruction{{Action: plan.CreatePod{Name: "job-worker-0"}, Obstacle: plan.Refused}}
	began := time.Unix(1_800_000_000, 0)
	cases := map[string]struct {
		reason string
		after  time.Duration // is when the next pass found no obstacle
		held   bool
		want   int
	}{
		"NotWanted":   {reason: "a pass in which another policy goes first has not tried it", after: 200 * time.Millisecond, want: 1},
		"HeldBack":    {reason: "a pass that would do it says so", after: 200 * time.Millisecond, held: true, want: 1},
		"Done":        {reason: "it was tried when its time had come, and met no obstacle", after: time.Second},
		"HeldForLong": {reason: "something else is still held back", after: time.Minute, held: true, want: 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newPendingWrites[*testv1.TestJob]()
			w.recordObstacles(job, refused, false, began, began.Add(time.Second))
			w.recordObstacles(job, nil, tc.held, began.Add(tc.after), began.Add(tc.after))
			if got := w.tried(job); len(got) != tc.want {
				t.Errorf("%s: want %d to be remembered, got %+v", tc.reason, tc.want, got)
			}
		})
	}
}

// TestOwnStatusWriteThatIsNeverShown: after etcd was restored from a backup the own write of a status does not exist
// any more, and its version is never reached again. The job continues from what the API server has.
func TestOwnStatusWriteThatIsNeverShown(t *testing.T) {
	now := clocktesting.NewFakePassiveClock(time.Unix(1_800_000_000, 0))
	w := newPendingWrites[*testv1.TestJob]()
	written := &testv1.TestJob{}
	written.Namespace, written.Name, written.UID, written.ResourceVersion = "ns", "job", "u", "2000"
	w.recordStatusWrite(written)
	seen := written.DeepCopy()
	seen.ResourceVersion = "1500"
	for range 60 {
		now.SetTime(now.Now().Add(time.Minute))
		w.newest(seen, now.Now())
	}
	if got := w.newest(seen, now.Now()); got.ResourceVersion != "1500" {
		t.Errorf("an hour later the job is still taken to be of version %s, which the API server does not have", got.ResourceVersion)
	}
}
