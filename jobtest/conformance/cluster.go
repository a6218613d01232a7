package conformance

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// RunOnCluster puts an operator that runs on a real API server through the cases that make sense
// there, each in a test of its own, all at the same time: success, failures under each restart
// policy and scope, limits, suspension, scaling, deletion, deadlines, the success policy of a
// user. Pods live as the dev control plane has them live (see package devenv), so it is needed.
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
// Author, Job, Patience and Skip.
func (s Suite[J]) RunOnCluster(t *testing.T, c client.Client) {
	t.Helper()
	var nodes corev1.NodeList
	if err := c.List(t.Context(), &nodes, client.Limit(1)); err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) == 0 || nodes.Items[0].Annotations[simulatedNode] == "" {
		t.Skip("pods must live as their annotations say: start the dev control plane with devenv.Start, without KUBEBUILDER_ASSETS or USE_EXISTING_CLUSTER")
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "conformance-"}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.WithoutCancel(t.Context()), namespace) })
	for _, cc := range s.clusterCases() {
		t.Run(cc.name, func(t *testing.T) {
			t.Parallel()
			if why := s.Skip[cc.name]; why != "" {
				t.Skip(why)
			}
			l := &life[J]{suite: s, client: c, job: s.job(), patience: s.Patience}
			if l.patience == 0 {
				l.patience = 3 * time.Minute // The machine may be busy; nothing waits longer than it must.
			}
			l.job.SetNamespace(namespace.Name)
			l.job.SetName("c-" + strings.ToLower(strings.ReplaceAll(cc.name, "/", "-")))
			if err := l.play(t.Context(), cc); err != nil {
				t.Errorf("%s: %v\n%s", cc.name, err, l.describe(context.WithoutCancel(t.Context())))
			}
		})
	}
}

// simulatedNode marks the nodes of the dev control plane, and lifePrefix begins the annotations by
// which their pods live.
const (
	simulatedNode = "kwok.x-k8s.io/node"
	lifePrefix    = "devcluster.jobkit.dev/"
)

// clusterCase is a case on a real API server.
type clusterCase[J client.Object] struct {
	name string
	// change changes the job before it is created. By default its pods succeed after a while.
	change func(jobkit.JobParts)
	// then is what happens to the job, and what must become of it.
	then func(context.Context, *life[J]) error
}

// life is that of one job on a real API server.
type life[J client.Object] struct {
	suite    Suite[J]
	client   client.Client
	job      J
	patience time.Duration
}

// play plays a case. A job that the kind refuses for what the case changed is none of it.
func (l *life[J]) play(ctx context.Context, cc clusterCase[J]) error {
	parts := l.parts()
	lives("", "run-for", "4s")(parts)
	if cc.change != nil {
		cc.change(parts)
	}
	if err := l.client.Create(ctx, l.job); apierrors.IsInvalid(err) && cc.change != nil {
		return nil
	} else if err != nil {
		return fmt.Errorf("the job cannot be created: %w", err)
	}
	err := cc.then(ctx, l)
	if errors.Is(err, errRefused) && cc.change != nil {
		err = nil
	}
	if err == nil {
		err = client.IgnoreNotFound(l.client.Delete(ctx, l.job, client.PropagationPolicy(metav1.DeletePropagationBackground)))
	}
	return err
}

// errRefused ends a case whose job the operator finds invalid.
var errRefused = errors.New("the job is not valid")

func (l *life[J]) parts() jobkit.JobParts { return l.suite.author().Parts(l.job) }

// until waits until the status of the job is as wanted.
func (l *life[J]) until(ctx context.Context, want func(*commonv1.JobStatus) error) error {
	return l.eventually(ctx, func(ctx context.Context) error {
		if err := l.client.Get(ctx, client.ObjectKeyFromObject(l.job), l.job); err != nil {
			return fmt.Errorf("the job cannot be read: %w", err)
		}
		status := l.parts().Status
		if refused(status) {
			return errRefused
		}
		return want(status)
	})
}

// eventually waits until a check finds nothing.
func (l *life[J]) eventually(ctx context.Context, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 300*time.Millisecond, l.patience, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil || errors.Is(last, errRefused), nil
	})
	if last == nil {
		return err //nolint:wrapcheck // it says that the time is over
	}
	return last
}

// edit changes the job, again if someone else was faster.
func (l *life[J]) edit(ctx context.Context, change func(jobkit.JobParts)) error {
	return l.eventually(ctx, func(ctx context.Context) error {
		if err := l.client.Get(ctx, client.ObjectKeyFromObject(l.job), l.job); err != nil {
			return fmt.Errorf("the job cannot be read: %w", err)
		}
		change(l.parts())
		if err := l.client.Update(ctx, l.job); err != nil {
			return fmt.Errorf("the job cannot be changed: %w", err)
		}
		return nil
	})
}

// pods are those that the job controls, of a type or of all, and are not about to go.
func (l *life[J]) pods(ctx context.Context, t commonv1.ReplicaType) ([]corev1.Pod, error) {
	var all corev1.PodList
	labels := (&jobkit.Kind{}).JobLabels(l.job.GetName())
	if err := l.client.List(ctx, &all, client.InNamespace(l.job.GetNamespace()), client.MatchingLabels(labels)); err != nil {
		return nil, fmt.Errorf("the pods cannot be listed: %w", err)
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

// untilPods waits until the job has so many pods of a type, or at least one if n is below 0.
func (l *life[J]) untilPods(ctx context.Context, t commonv1.ReplicaType, n int) error {
	return l.eventually(ctx, func(ctx context.Context) error {
		pods, err := l.pods(ctx, t)
		if err == nil && len(pods) != n && (n >= 0 || len(pods) == 0) {
			err = fmt.Errorf("the job has %d pods %s, want %d", len(pods), t, n)
		}
		return err
	})
}

// gone waits until the job and its pods are gone.
func (l *life[J]) gone(ctx context.Context) error {
	return l.eventually(ctx, func(ctx context.Context) error {
		job := l.suite.job()
		if err := l.client.Get(ctx, client.ObjectKeyFromObject(l.job), job); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the job still exists (%w)", err)
		}
		if pods, err := l.pods(ctx, ""); err != nil || len(pods) > 0 {
			return fmt.Errorf("%d pods of the job still exist (%w)", len(pods), err)
		}
		return nil
	})
}

// describe says how the job and its pods are.
func (l *life[J]) describe(ctx context.Context) string {
	var out strings.Builder
	for _, c := range l.parts().Status.Conditions {
		_, _ = fmt.Fprintf(&out, "condition %s is %s: %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
	pods, _ := l.pods(ctx, "")
	for i := range pods {
		_, _ = fmt.Fprintf(&out, "pod %s, attempt %s, is %s\n", pods[i].Name, pods[i].Labels[commonv1.AttemptLabel], pods[i].Status.Phase)
	}
	return out.String()
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
