package jobtest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
)

// TestOwnWrites: the monitor knows what a process knows of pods, beside what its cache
// shows.
func TestOwnWrites(t *testing.T) {
	newUID := func(uid types.UID) *testv1.TestJob {
		return &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "j", UID: uid}}
	}
	job := newUID("job")
	pod := func(uid, version string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "j-worker-0", UID: types.UID(uid), ResourceVersion: version,
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job, testv1.GroupVersion.WithKind("TestJob"))},
		}}
	}
	key := types.NamespacedName{Namespace: "ns", Name: "j-worker-0"}
	write := func(verb, uid, version string) call {
		return call{verb: verb, key: key, uid: types.UID(uid), version: version, write: true}
	}
	notFound, conflict := apierrors.NewNotFound(corev1.Resource("pods"), key.Name), apierrors.NewConflict(corev1.Resource("pods"), key.Name, nil)
	const made, gone = "made", "none"
	cases := map[string]struct {
		reason string
		does   func(*ownWrites)
		shown  *corev1.Pod
		from   time.Duration
		to     time.Duration
		want   []string
	}{
		"Nothing": {reason: "what is shown is all that it knows", shown: pod("a", "5"), want: []string{"a"}},
		"Created": {
			reason: "it made the pod, which the cache does not show yet",
			does:   func(o *ownWrites) { o.note("job", write(verbCreate, "", ""), pod(made, "7"), nil, epoch()) },
			want:   []string{made, made},
		},
		"CreatedAndShown": {
			reason: "the cache shows it, and what became of it",
			does:   func(o *ownWrites) { o.note("job", write(verbCreate, "", ""), pod(made, "7"), nil, epoch()) },
			shown:  pod("b", "8"), want: []string{"b", "b"},
		},
		"CreatedBesideOlder": {
			reason: "the cache shows the one before",
			does:   func(o *ownWrites) { o.note("job", write(verbCreate, "", ""), pod(made, "7"), nil, epoch()) },
			shown:  pod("a", "5"), want: []string{made, made},
		},
		"Forgotten": {
			reason: "it was too long ago",
			does:   func(o *ownWrites) { o.note("job", write(verbCreate, "", ""), pod(made, "7"), nil, epoch()) },
			from:   remembered, to: remembered,
		},
		"PerhapsForgotten": {
			reason: "no one knows when in its pass the process read it",
			does:   func(o *ownWrites) { o.note("job", write(verbCreate, "", ""), pod(made, "7"), nil, epoch()) },
			to:     remembered, want: []string{made, gone},
		},
		"Deleted": {
			reason: "it asked for the deletion",
			does:   func(o *ownWrites) { o.note("job", write(verbDelete, "a", ""), nil, nil, epoch()) },
			shown:  pod("a", "5"), want: []string{"a, being deleted", "a, being deleted"},
		},
		"DeletedByOthers": {
			reason: "it found it gone",
			does:   func(o *ownWrites) { o.note("job", write(verbDelete, "a", ""), nil, notFound, epoch()) },
			shown:  pod("a", "5"), want: []string{"a, being deleted", "a, being deleted"},
		},
		"MadeAndGone": {
			reason: "what it made is gone",
			does: func(o *ownWrites) {
				o.note("job", write(verbCreate, "", ""), pod(made, "7"), nil, epoch())
				o.note("job", write(verbDelete, made, "7"), nil, notFound, epoch())
			},
		},
		"MadeAndChanged": {
			reason: "what it made is no longer that, and perhaps not the job's",
			does: func(o *ownWrites) {
				o.note("job", write(verbCreate, "", ""), pod(made, "7"), nil, epoch())
				o.note("job", write(verbDelete, made, "7"), nil, conflict, epoch())
			},
			want: []string{made + ", being deleted", made + ", being deleted"},
		},
		"Refused": {
			reason: "a webhook says nothing of whether the pod exists",
			does: func(o *ownWrites) {
				o.note("job", write(verbDelete, "a", ""), nil, refuse("webhook 404", "j-worker-0"), epoch())
			},
			shown: pod("a", "5"), want: []string{"a"},
		},
		"AnotherJob": {
			reason: "of two jobs of one name it may have forgotten one",
			does: func(o *ownWrites) {
				o.note("job", write(verbCreate, "", ""), pod(made, "7"), nil, epoch())
				o.sawJob(newUID("another"))
			},
			want: []string{made, made, gone},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := newOwnWrites()
			o.sawJob(job)
			if tc.does != nil {
				tc.does(&o)
			}
			var shown []*corev1.Pod
			if tc.shown != nil {
				shown = append(shown, tc.shown)
			}
			var got []string
			for _, p := range o.knows(job, shown, epoch().Add(tc.from), epoch().Add(tc.to))[key.Name] {
				switch {
				case p == nil:
					got = append(got, gone)
				case p.DeletionTimestamp != nil:
					got = append(got, string(p.UID)+", being deleted")
				default:
					got = append(got, string(p.UID))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
