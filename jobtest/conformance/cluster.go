package conformance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// RunOnCluster puts an operator that runs on a real API server through the cases that such a
// server may decide otherwise than a simulated one: success, clean-up and time to live, failures,
// limits, suspension, scaling, deletion, deadlines, the success policy of a user. Each is a test of
// its own, and as many run at the same time as -parallel says. Pods live as the dev control plane
// has them live (see package devenv); on another cluster the test is skipped.
//
//	//go:build integration
//
//	func TestOnACluster(t *testing.T) {
//		config := devenv.Start(t, devenv.Options{CRDs: []string{"../../config/crd"}})
//		startOperator(t, config) // your own set-up: it is tested, too
//		c, err := client.New(config, client.Options{Scheme: knownTypes(t)})
//		...
//		conformance.RunOnCluster(t, c, simjob.Controller{}, simJob())
//	}
//
// The client is an administrator's, and its scheme knows the kind. The jobs are in a namespace of
// their own, which is deleted at the end.
func RunOnCluster[J client.Object](t *testing.T, c client.Client, author jobkit.ControllerInterface[J], job J) {
	t.Helper()
	Suite[J]{Author: author, Job: job}.RunOnCluster(t, c)
}

// RunOnCluster does what the function of that name does. Of the fields of the suite it uses
// Author, Program (for its Author), Job, Patience (default: three minutes for each step of a
// case, because the machine may be busy) and Skip.
func (s Suite[J]) RunOnCluster(t *testing.T, c client.Client) {
	t.Helper()
	simulated, err := livesAsAnnotated(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if !simulated {
		t.Skip("pods must live as their annotations say: start the dev control plane with devenv.Start, without KUBEBUILDER_ASSETS or USE_EXISTING_CLUSTER")
	}
	namespace, err := makeNamespace(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), namespace) })
	for _, cc := range s.clusterCases() {
		t.Run(cc.name, func(t *testing.T) {
			t.Parallel()
			if why := s.Skip[cc.name]; why != "" {
				t.Skip(why)
			}
			if f := s.tryOnCluster(t.Context(), c, namespace.Name, cc); f != nil {
				t.Error(f)
			}
		})
	}
}

// CheckOnCluster is to RunOnCluster what Check is to Run: it tries cases without a test, one after
// the other, and returns what they find. Without names it tries all, up to the first [MaxFindings]
// that fail. Whether pods live as their annotations say is up to the caller.
func (s Suite[J]) CheckOnCluster(ctx context.Context, c client.Client, names ...string) ([]*Finding, error) {
	namespace, err := makeNamespace(ctx, c)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Delete(context.WithoutCancel(ctx), namespace) }()
	var found []*Finding
	for _, cc := range s.clusterCases() {
		if s.Skip[cc.name] != "" || len(names) > 0 && !slices.Contains(names, cc.name) {
			continue
		}
		if f := s.tryOnCluster(ctx, c, namespace.Name, cc); f != nil {
			found = append(found, f)
		}
		if len(found) == MaxFindings {
			break
		}
	}
	return found, nil
}

// simulatedNode marks the nodes of the dev control plane, and lifePrefix begins the annotations by
// which their pods live.
const (
	simulatedNode = "kwok.x-k8s.io/node"
	lifePrefix    = "devcluster.jobkit.dev/"
)

// livesAsAnnotated reports whether pods live as their annotations say.
func livesAsAnnotated(ctx context.Context, c client.Client) (bool, error) {
	var nodes corev1.NodeList
	if err := c.List(ctx, &nodes, client.Limit(1)); err != nil {
		return false, fmt.Errorf("cannot list nodes: %w", err)
	}
	return len(nodes.Items) > 0 && nodes.Items[0].Annotations[simulatedNode] != "", nil
}

func makeNamespace(ctx context.Context, c client.Client) (*corev1.Namespace, error) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "conformance-"}}
	if err := c.Create(ctx, namespace); err != nil {
		return nil, fmt.Errorf("cannot create a namespace: %w", err)
	}
	return namespace, nil
}

// clusterCase is a case on a real API server.
type clusterCase[J client.Object] struct {
	name string
	// change changes the job before it is created. By default its pods succeed after a while.
	change func(jobkit.JobParts)
	// then are the steps that follow: what happens to the job, and what must become of it.
	then []step[J]
}

// step is a part of a case. What it finds is a finding.
type step[J client.Object] func(context.Context, *life[J]) error

// errRefused ends a case whose job the kind does not allow, and says so.
var errRefused = errors.New("the job is not valid")

// tryOnCluster plays a case, and explains what it finds.
func (s Suite[J]) tryOnCluster(ctx context.Context, c client.Client, namespace string, cc clusterCase[J]) *Finding {
	l := &life[J]{suite: s, client: c, job: s.job(), patience: cmp.Or(s.Patience, 3*time.Minute), began: time.Now()}
	l.job.SetNamespace(namespace)
	l.job.SetName("c-" + strings.ToLower(strings.ReplaceAll(cc.name, "/", "-")))
	err := l.play(ctx, cc)
	if err == nil || errors.Is(err, errRefused) && cc.change != nil {
		return nil
	}
	f, ok := errors.AsType[finding](err)
	if !ok {
		f = finding{promise: "error", message: err.Error()}
	}
	f.transcript = l.transcript(context.WithoutCancel(ctx))
	return s.explain(cc.name, f)
}

// life is that of one job on a real API server.
type life[J client.Object] struct {
	suite    Suite[J]
	client   client.Client
	job      J
	patience time.Duration
	began    time.Time
	// said is what has happened so far, one line each, and last what was said of the status.
	said []string
	last string
}

// play plays a case, and deletes the job if all is well.
func (l *life[J]) play(ctx context.Context, cc clusterCase[J]) error {
	parts := l.parts()
	lives("", "run-for", "3s")(parts)
	if cc.change != nil {
		cc.change(parts)
	}
	l.sayf("user", "creates the job")
	if err := l.client.Create(ctx, l.job); apierrors.IsInvalid(err) {
		return fmt.Errorf("%w: %w", errRefused, err)
	} else if err != nil {
		return findingf("set-up", "the job cannot be created: %v", err)
	}
	for _, then := range cc.then {
		if err := then(ctx, l); err != nil {
			return err
		}
	}
	err := l.client.Delete(ctx, l.job, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if client.IgnoreNotFound(err) != nil {
		return findingf("P9", "the job cannot be deleted: %v", err)
	}
	return nil
}

// sayf adds a line to the transcript.
func (l *life[J]) sayf(who, format string, args ...any) {
	l.said = append(l.said, fmt.Sprintf("%5.1fs %s: ", time.Since(l.began).Seconds(), who)+fmt.Sprintf(format, args...))
}

// parts are those of the job as it was last read.
func (l *life[J]) parts() jobkit.JobParts { return l.suite.author().Parts(l.job) }

// read reads the job, and says what is new in its status.
func (l *life[J]) read(ctx context.Context) error {
	if err := l.client.Get(ctx, client.ObjectKeyFromObject(l.job), l.job); err != nil {
		return findingf("P9", "the job cannot be read: %v", err)
	}
	status := l.parts().Status
	var counts strings.Builder
	for _, t := range slices.Sorted(maps.Keys(status.ReplicaStatuses)) {
		if r := status.ReplicaStatuses[t]; r != nil {
			_, _ = fmt.Fprintf(&counts, "; %s: %d active, %d succeeded, %d failed", t, r.Active, r.Succeeded, r.Failed)
		}
	}
	if now := fmt.Sprintf("%s%s; %d restarts", state(status), &counts, status.Restarts); now != l.last {
		l.sayf("operator", "reports %s", now)
		l.last = now
	}
	if refused(status) {
		return errRefused
	}
	return nil
}

// eventually waits until a check finds nothing. A check that has begun when the time is up is
// finished: that a request was given up says nothing about the job.
func (l *life[J]) eventually(ctx context.Context, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 300*time.Millisecond, l.patience, true, func(context.Context) (bool, error) {
		last = check(ctx)
		return last == nil || errors.Is(last, errRefused), nil
	})
	if last == nil && ctx.Err() != nil {
		return findingf("error", "the case was ended: %v", err)
	}
	return last
}

// edit changes the job, again if someone else was faster.
func (l *life[J]) edit(ctx context.Context, what string, change func(jobkit.JobParts)) error {
	l.sayf("user", "%s", what)
	return l.eventually(ctx, func(ctx context.Context) error {
		if err := l.read(ctx); err != nil {
			return err
		}
		change(l.parts())
		if err := l.client.Update(ctx, l.job); err != nil {
			return findingf("set-up", "the job cannot be changed: %v", err)
		}
		return nil
	})
}

// pods are those that the job controls, of a type or of all, and are not about to go.
func (l *life[J]) pods(ctx context.Context, t commonv1.ReplicaType) ([]corev1.Pod, error) {
	var all corev1.PodList
	kind := l.suite.author().Kind()
	labels := client.MatchingLabels(kind.JobLabels(l.job.GetName()))
	if err := l.client.List(ctx, &all, client.InNamespace(l.job.GetNamespace()), labels); err != nil {
		return nil, findingf("error", "the pods cannot be listed: %v", err)
	}
	var own []corev1.Pod
	for _, pod := range all.Items {
		is := pod.Labels[commonv1.ReplicaTypeLabel]
		if metav1.IsControlledBy(&pod, l.job) && pod.DeletionTimestamp == nil && (t == "" || strings.EqualFold(is, string(t))) {
			own = append(own, pod)
		}
	}
	return own, nil
}

// transcript is what has happened, and how the job and its pods are now.
func (l *life[J]) transcript(ctx context.Context) string {
	_ = l.read(ctx) // Its last news, if it exists.
	lines := slices.Clone(l.said)
	for _, c := range l.parts().Status.Conditions {
		lines = append(lines, fmt.Sprintf("   now condition %s is %s: %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	pods, err := l.pods(ctx, "")
	if err != nil {
		lines = append(lines, "   now "+err.Error())
	}
	for i := range pods {
		lines = append(lines, fmt.Sprintf("   now pod %s, attempt %s, is %s", pods[i].Name, pods[i].Labels[commonv1.AttemptLabel], pods[i].Status.Phase))
	}
	return strings.Join(lines, "\n") + "\n"
}

// lives has pods of a type, or of all, live as annotations say.
func lives(t commonv1.ReplicaType, annotations ...string) func(jobkit.JobParts) {
	return func(p jobkit.JobParts) {
		for typ, spec := range p.ReplicaSpecs {
			if t != "" && t != typ {
				continue
			}
			all := maps.Clone(spec.Template.Annotations)
			if all == nil {
				all = map[string]string{}
			}
			for i := 0; i+1 < len(annotations); i += 2 {
				all[lifePrefix+annotations[i]] = annotations[i+1]
			}
			spec.Template.Annotations = all
		}
	}
}
