package controller

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// lastVersion is a cache whose watch of pods is up, and the API server behind it.
type lastVersion struct {
	cache.Cache
	cache.Informer

	mu      sync.Mutex
	version int
	refuse  error
	asked   int
}

func (l *lastVersion) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return l, nil
}

func (l *lastVersion) HasSynced() bool { return true }

// LastSyncResourceVersion is the resource version that the watch brought last.
func (l *lastVersion) LastSyncResourceVersion() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strconv.Itoa(l.version)
}

// become changes what the API server answers. Bookmarks come at the end of each of the minutes.
func (l *lastVersion) become(refuse error, minutes int) {
	l.mu.Lock()
	l.refuse, l.asked = refuse, 0
	l.mu.Unlock()
	for range minutes {
		time.Sleep(time.Minute)
		l.mu.Lock()
		l.version++
		l.mu.Unlock()
	}
}

func (l *lastVersion) requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

func (l *lastVersion) List(context.Context, client.ObjectList, ...client.ListOption) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	return l.refuse
}

// TestPermissionLostWhileItWatches checks known-bugs row 269: the controller says that it may no longer
// read pods, and when it may again. It asks only if the watch brings nothing.
func TestPermissionLostWhileItWatches(t *testing.T) {
	forbidden := apierrors.NewForbidden(corev1.Resource("pods"), "", errors.New(`User "operator" cannot list resource "pods"`))
	synctest.Test(t, func(t *testing.T) {
		ready, err := NewReadiness(prometheus.NewRegistry(), "test")
		if err != nil {
			t.Fatal(err)
		}
		watch := &lastVersion{}
		c := &jobCache[*gateJob]{
			Cache: watch, reader: &jobReader[*gateJob]{scheme: scheme.Scheme}, live: watch, ready: ready, namespaces: []string{""}, log: logr.Discard(),
			indexed: map[schema.GroupVersionKind]bool{corev1.SchemeGroupVersion.WithKind("Pod"): true},
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.watchChild(ctx, &corev1.Pod{})
		}()
		c.waits(ctx, "start", nil)

		is := func(reason, says string, requests int) {
			t.Helper()
			synctest.Wait()
			err := ready.Check(nil)
			if says == "" && err != nil || says != "" && !strings.Contains(fmt.Sprint(err), says) {
				t.Errorf("%s: the probe says %v, want %q", reason, err, says)
			}
			if got := watch.requests(); got > requests {
				t.Errorf("%s: %d requests, want %d at most", reason, got, requests)
			}
		}
		watch.become(forbidden, 30)
		is("a watch that goes on is not asked", "", 0)
		time.Sleep(longestSilence + 2*diagnosisInterval)
		is("the watch has ended, and cannot begin again", `pods: pods is forbidden: User "operator" cannot list resource "pods": grant it to the operator`, 3)
		watch.become(apierrors.NewTooManyRequests("busy", 1), 0)
		time.Sleep(diagnosisInterval)
		is("the API server is busy: that passes by itself", "", 2)
		watch.become(nil, 0)
		time.Sleep(time.Hour)
		is("nothing happens in the cluster, and the operator may read", "", 20)
		stop()
		<-ended
	})
}
