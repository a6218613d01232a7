package server

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/progress"
)

// TestSlowWebhook: a webhook of one namespace that does not answer takes no writer from others, and their hangs are
// found as before.
func TestSlowWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster()
		slow := map[types.NamespacedName]bool{}
		for i := range 100 {
			k := types.NamespacedName{Namespace: "slow", Name: strconv.Itoa(i)}
			slow[k] = true
			c.change(k, func(j *progress.Job) { j.UID = types.UID("slow-" + k.Name) })
		}
		c.job("good")
		synctest.Wait()
		w, stop := c.replica(t)
		defer stop()
		w.patch = func(ctx context.Context, k jobKey, job progress.Job, s *commonv1.TrainerStatus) error {
			if slow[k.name] {
				<-ctx.Done()
				return ctx.Err()
			}
			return c.patch(ctx, k, job, s)
		}
		h := &health{now: time.Now, log: logr.Discard(), up: prometheus.NewGauge(prometheus.GaugeOpts{Name: "x", Help: "x"})}
		w.report, w.waited = h.wrote, h.waited
		h.probed(nil)
		start := time.Now()
		for i := range int32(60) {
			for name := range slow {
				k := jobKey{name: name, uid: types.UID("slow-" + name.Name)}
				job, _ := c.get(k)
				w.accept(k, job, &commonv1.TrainerStatus{
					ProgressPercentage: &i, ReceivedTime: &metav1.MicroTime{Time: time.Now()}, Reporter: &commonv1.TrainerReporter{PodUID: "p"},
				}, 100)
			}
			if i < 20 { // Then it is silent, and only those of the slow namespace are left.
				c.says(t, w, "good", i)
			}
			time.Sleep(time.Second)
		}
		if up := h.UpSince(); !up.Equal(start) {
			t.Errorf("the server is up since %v, want its start, %v", up, start)
		}
		if n := len(c.written()); n < 4 {
			t.Errorf("the other job was written to %d times in 20 seconds, want 4: %v", n, c.written())
		}
		if w.unwrittenAt("slow-1").IsZero() {
			t.Error("the reports of the slow namespace count as not received")
		}
	})
}
