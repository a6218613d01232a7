package jobtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestLargeObjects: the caches hold of a large object of a job a digest only. It is as wanted all the same,
// and is read only after it was changed: by others, or by the operator itself if its cache was
// faster than its next pass. What others add to it stays.
func TestLargeObjects(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 100<<10)
	author := careless{object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "j-config"}, Data: map[string]string{"file": large}}}
	w := storyOf(t, &author, Options{Fate: func(*corev1.Pod) Fate { return Fate{Start: time.Second, Forever: true} }})
	if err := w.Client().Create(t.Context(), newJob("j", 2)); err != nil {
		t.Fatal(err)
	}
	key := func(name string) client.ObjectKey { return client.ObjectKey{Namespace: jobKey.Namespace, Name: name} }
	edit := func(change func(*corev1.ConfigMap)) func(context.Context, client.Client) error {
		return func(ctx context.Context, c client.Client) error {
			config := &corev1.ConfigMap{}
			if err := c.Get(ctx, key(author.object.Name), config); err != nil {
				return err
			}
			change(config)
			return c.Update(ctx, config)
		}
	}
	reads := func() int { return w.served[key("j")]["read configmap"] }
	for _, step := range []struct {
		reason string
		do     func(context.Context, client.Client) error
		want   map[string]string
		reads  int
	}{
		{reason: "a new object is compared at most once", want: map[string]string{"file": large}, reads: 1},
		{
			reason: "what others change is changed back; it is read before, and perhaps after",
			do:     edit(func(c *corev1.ConfigMap) { c.Data["file"] = large + "y" }), want: map[string]string{"file": large}, reads: 2,
		},
		{
			reason: "what others add stays, and is read once", do: edit(func(c *corev1.ConfigMap) { c.Data["more"] = "m" }),
			want: map[string]string{"file": large, "more": "m"}, reads: 1,
		},
		{
			reason: "a pass without a change of the object reads nothing", want: map[string]string{"file": large, "more": "m"},
			do: func(ctx context.Context, c client.Client) error {
				job := read(t, w, "j")
				job.Annotations = map[string]string{"someone": "passes by"}
				return c.Update(ctx, job)
			},
		},
	} {
		before := reads()
		if step.do != nil {
			if err := step.do(t.Context(), w.Client()); err != nil {
				t.Fatal(err)
			}
		}
		pass(t, w, 10*time.Minute)
		config := &corev1.ConfigMap{}
		if err := w.Client().Get(t.Context(), key(author.object.Name), config); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, config.Data); diff != "" {
			t.Errorf("%s (-want +got):\n%.300s", step.reason, diff)
		}
		if n := reads() - before; n > step.reads {
			t.Errorf("%s: it was read %d times, want at most %d:\n%.3000s", step.reason, n, step.reads, w.Transcript())
		}
	}
}

// TestRandomLargeObjects: whatever goes wrong, a large object that others change ends as it is wanted.
func TestRandomLargeObjects(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 10<<10)
	Search(t, 150, func(chance *Chance) error {
		author := careless{object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "j-config"}, Data: map[string]string{"file": large}}}
		w, err := NewWorld(&author, testScheme, Options{Chance: chance, Fate: func(*corev1.Pod) Fate { return Fate{Start: time.Second, Forever: true} }})
		if err != nil {
			return err
		}
		if err := w.Client().Create(t.Context(), newJob("j", 2)); err != nil {
			return err
		}
		key := client.ObjectKey{Namespace: jobKey.Namespace, Name: author.object.Name}
		for range chance.Pick(4) {
			w.At(time.Duration(chance.Pick(20_000))*time.Millisecond, "changes the object", func(ctx context.Context, c client.Client) error {
				config := &corev1.ConfigMap{}
				if err := c.Get(ctx, key, config); err != nil {
					return client.IgnoreNotFound(err)
				}
				if chance.Percent(20) {
					return c.Delete(ctx, config)
				}
				config.Data = map[string]string{"file": []string{"small", large + "y"}[chance.Pick(2)]}
				return c.Update(ctx, config)
			})
		}
		if err := w.RunFor(t.Context(), time.Hour); err != nil {
			return err
		}
		config := &corev1.ConfigMap{}
		if err := w.Client().Get(t.Context(), key, config); err != nil {
			return err
		}
		if config.Data["file"] != large {
			return fmt.Errorf("the object is not as wanted: %.80q", config.Data["file"])
		}
		return nil
	})
}

// TestManyLabels: the caches do not hold the many labels that a user gives to pods, and still hold which
// attempt a pod is. Restarts are counted all the same, and the limit is kept.
func TestManyLabels(t *testing.T) {
	t.Parallel()
	w := storyOf(t, testjob.Controller{}, Options{Fate: failsFirst(137, 137, 137, 137, 137, 137)}, newJob("j", 1, exitCode, func(j *testv1.TestJob) {
		j.Spec.RunPolicy.BackoffLimit = new(int32(2))
		many := map[string]string{} // each shorter than the operator's own
		for i := range 1000 {
			many[fmt.Sprintf("l%d", i)] = "x"
		}
		j.Spec.TestReplicaSpecs[testv1.Worker].Template.Labels = many
	}))
	pass(t, w, time.Hour)
	if got := read(t, w, "j").Status; got.State != commonv1.JobFailed || got.Restarts != 2 {
		t.Errorf("the job is %s after %d restarts, want Failed after 2\n%.3000s", got.State, got.Restarts, w.Transcript())
	}
}

// TestRandomManyPorts: the caches hold of the many ports of a service a digest. The service is left alone as
// long as it has them, and changed back when others have changed one.
func TestRandomManyPorts(t *testing.T) {
	t.Parallel()
	Search(t, 50, func(chance *Chance) error {
		w, err := NewWorld(testjob.Controller{}, testScheme, Options{Chance: chance, Fate: func(*corev1.Pod) Fate { return Fate{Start: time.Second, Forever: true} }})
		if err != nil {
			return err
		}
		many := newJob("j", 1, func(j *testv1.TestJob) {
			j.Spec.RunPolicy.ServiceMode = new(commonv1.ServiceModePerJob)
			main := &j.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Containers[0]
			for i := range 200 {
				main.Ports = append(main.Ports, corev1.ContainerPort{Name: fmt.Sprintf("a-long-name-%d", i), ContainerPort: int32(1000 + i)})
			}
		})
		if err := w.Client().Create(t.Context(), many); err != nil {
			return err
		}
		key, last := client.ObjectKey{Namespace: jobKey.Namespace, Name: "j"}, 199
		w.At(time.Minute, "changes a port", func(ctx context.Context, c client.Client) error {
			service := &corev1.Service{}
			if err := c.Get(ctx, key, service); err != nil {
				return client.IgnoreNotFound(err)
			}
			if held, ok := w.cacheFilters[w.server.table(corev1.SchemeGroupVersion.WithKind("Service"))].apply(service).(*corev1.Service); !ok || len(held.Spec.Ports) > 20 {
				return errors.New("the caches hold all ports")
			}
			service.Spec.Ports[last].Port = 7
			return c.Update(ctx, service)
		})
		if err := w.RunFor(t.Context(), time.Hour); err != nil {
			return err
		}
		service := &corev1.Service{}
		if err := w.Client().Get(t.Context(), key, service); err != nil {
			return err
		}
		if len(service.Spec.Ports) != 201 || service.Spec.Ports[last].Port != 1199 {
			return fmt.Errorf("of %d ports the one that was changed is %+v", len(service.Spec.Ports), service.Spec.Ports[last])
		}
		return nil
	})
}

// TestP8LargeObjectDisownedBeforeTheCacheShowsIt: a large object that was changed and then taken away from the
// job is not changed back, although the cache still shows it as the job's.
func TestP8LargeObjectDisownedBeforeTheCacheShowsIt(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 100<<10)
	author := careless{object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "j-config"}, Data: map[string]string{"file": large}}}
	h := &byHand{World: storyOf(t, &author, Options{}, newJob("j", 1)), t: t}
	h.ctx = log.IntoContext(t.Context(), logr.Discard())
	h.startProcess(0)
	config := &corev1.ConfigMap{}
	change := func(f func()) {
		h.user(func(ctx context.Context, c client.Client) error {
			if err := c.Get(ctx, client.ObjectKey{Namespace: jobKey.Namespace, Name: author.object.Name}, config); err != nil {
				return err
			}
			f()
			return c.Update(ctx, config)
		})
	}
	for range 3 {
		h.reconcile(0)
		h.showAll(0)
	}
	change(func() { config.Data["file"] = large + "y" })
	h.showAll(0)
	change(func() { config.OwnerReferences = nil })
	want := config.ResourceVersion
	h.reconcile(0)
	h.must(h.Client().Get(h.ctx, client.ObjectKeyFromObject(config), config))
	if config.ResourceVersion != want {
		t.Errorf("the object that was taken away from the job was changed:\n%.3000s", h.Transcript())
	}
}

// TestDigestThatAUserWrites: without the caches of controller.CacheOptions an object comes as the API server has
// it. What a user writes into it is not taken for the digest of a cache: the object is compared.
func TestDigestThatAUserWrites(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 10<<10)
	author := careless{object: &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "j-config"}, Data: map[string]string{"file": large}}}
	w := storyOf(t, &author, Options{Fate: func(*corev1.Pod) Fate { return Fate{Start: time.Second, Forever: true} }}, newJob("j", 1))
	configs := w.server.table(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	outlines := *w.cacheFilters[configs]
	*w.cacheFilters[configs] = cacheFilter{}
	key := client.ObjectKey{Namespace: jobKey.Namespace, Name: author.object.Name}
	pass(t, w, 10*time.Minute)
	config := &corev1.ConfigMap{}
	if err := w.Client().Get(t.Context(), key, config); err != nil {
		t.Fatal(err)
	}
	// All that an outline says, which was compared and found as wanted, and other data.
	outline := outlines.apply(config)
	config.Annotations = map[string]string{commonv1.LabelPrefix + "content-digest": strings.TrimPrefix(outline.GetSelfLink(), "content-digest:")}
	maps.Copy(config.Annotations, outline.GetAnnotations())
	config.SelfLink = outline.GetSelfLink() //nolint:staticcheck // the cache keeps the digest there
	config.Data["file"] = "changed"
	if err := w.Client().Update(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	pass(t, w, 10*time.Minute)
	if err := w.Client().Get(t.Context(), key, config); err != nil {
		t.Fatal(err)
	}
	if config.Data["file"] != large {
		t.Errorf("the object is not changed back:\n%.3000s", w.Transcript())
	}
}
