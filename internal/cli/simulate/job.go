package simulate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/jobtest"
)

// Options say what happens to a job.
type Options struct {
	// Faults are what goes wrong.
	Faults []Fault
	// RunFor is how long pods run.
	RunFor RunFor
	// StartAfter is how long pods take to start. Default: 0.
	StartAfter time.Duration
	// Nodes is how many there are.
	Nodes int
	// Duration is how long the simulation goes on at most, in virtual time.
	Duration time.Duration
}

// MaxReplicas is how many replicas a job may have: the simulator does one thing after the other.
const MaxReplicas = 1000

// cleanUp is how long a job is watched after its end.
const cleanUp = 10 * time.Second

// Job runs a job and returns what happened. An error is a mistake in the options or in the job.
func Job(ctx context.Context, d *Decoded, o Options) (*Timeline, error) {
	t := &Timeline{Kind: d.Kind(), Namespace: d.Namespace(), Name: d.Name(), State: "Submitted"}
	replicas := describe(d, t)
	if err := check(replicas, o); err != nil {
		return nil, err
	}
	t.Setting = setting(o)
	r := &recorder{timeline: t, decoded: d, said: map[string]bool{}, killed: map[string]bool{}}
	world, err := d.kind.world(jobtest.Options{
		Nodes: o.Nodes, MaxSteps: 1 << 30, Fate: o.fate(reports(d)),
		Observer: jobtest.Observer{Changed: func(b, a client.Object) { r.changed(b, a) }, Recorded: r.recorded},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot start the simulator: %w", err)
	}
	start := world.Now()
	r.now = func() time.Duration { return world.Now().Sub(start) }
	r.given = claims(d)
	world.At(0, "create the claims", func(ctx context.Context, c client.Client) error { return createClaims(ctx, c, d.Namespace(), r.given) })
	world.At(0, "create the job", d.create)
	s := stage{world: world, recorder: r, decoded: d, lost: map[Fault]string{}}
	for _, f := range o.Faults {
		world.At(f.At, f.String(), func(ctx context.Context, c client.Client) error { return s.provoke(ctx, c, f) })
		if f.Back > 0 {
			world.At(f.At+f.Back, "node back", func(ctx context.Context, c client.Client) error { return s.restore(ctx, c, f) })
		}
	}
	err = world.RunUntil(ctx, o.Duration, func() bool { return r.over || ctx.Err() != nil })
	if err == nil && r.over && !t.Deleted {
		err = world.RunFor(ctx, cleanUp+timeToLive(d))
	}
	if err != nil {
		return nil, broken(err)
	}
	if t.took = r.ended; !r.over {
		t.took = r.now()
		r.add(Entry{Subject: theJob, What: StillGoing, Message: "it has not ended: the simulation is over, see --duration"})
	}
	for _, f := range o.Faults {
		if f.At > r.now() {
			s.note(cmp.Or(f.Target, theJob), fmt.Sprintf("--%s at %s: it does not happen, because the simulation ended before", f.Kind, clock(f.At)))
		}
	}
	t.Seconds = float64(t.took.Milliseconds()) / 1000 //nolint:mnd // to seconds
	return t, ctx.Err()
}

// claims are the volume claims that the job's templates name: a user has made them.
func claims(d *Decoded) []string {
	var names []string
	for _, spec := range d.kind.parts(d.job).ReplicaSpecs {
		if spec == nil {
			continue
		}
		for i := range spec.Template.Spec.Volumes {
			if c := spec.Template.Spec.Volumes[i].PersistentVolumeClaim; c != nil {
				names = append(names, c.ClaimName)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func createClaims(ctx context.Context, c client.Client, namespace string, names []string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, c.Create(ctx, &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}))
	}
	return errors.Join(errs...)
}

// broken says of an error of the simulator that it is not the user's.
func broken(err error) error {
	if v, ok := errors.AsType[*jobtest.ViolationError](err); ok {
		return fmt.Errorf("the operator broke a promise in the simulator (%s: %s): this is a bug of jobkit: report it with the manifest and the command",
			v.Promise, v.Message)
	}
	return fmt.Errorf("cannot simulate: %w", err)
}

// describe notes the form of a job, and returns the names of its replicas.
func describe(d *Decoded, t *Timeline) []string {
	parts := d.kind.parts(d.job)
	var names []string
	for _, role := range d.kind.about.Roles {
		for name, spec := range parts.ReplicaSpecs {
			if !strings.EqualFold(string(name), string(role.Type)) || spec == nil {
				continue
			}
			n := jobkit.Count(parts.ReplicaSpecs, name)
			t.Roles = append(t.Roles, Role{Type: name, Replicas: int(n)})
			for i := range min(n, MaxReplicas+1) {
				names = append(names, strings.TrimPrefix(d.kind.about.PodName(d.Name(), role.Type, i), d.Name()+"-"))
			}
		}
	}
	if p := parts.RunPolicy; p != nil && p.BackoffLimit != nil {
		t.limits = fmt.Sprintf("backoffLimit %d", *p.BackoffLimit)
	}
	return names
}

// check finds mistakes in the options: targets that do not exist.
func check(replicas []string, o Options) error {
	if len(replicas) > MaxReplicas {
		return fmt.Errorf("the job has more than %d replicas, too many for the simulator: lower replicas in a copy of the manifest", MaxReplicas)
	}
	for _, f := range o.Faults {
		aim := f.Kind.aim()
		if aim == "" || slices.Contains(replicas, f.Target) {
			continue
		}
		if number, found := strings.CutPrefix(f.Target, nodePrefix); found && aim == "NODE" {
			if i, err := strconv.Atoi(number); err == nil && i >= 0 && i < o.Nodes {
				continue
			}
			return fmt.Errorf("--%s: there is no %s: the nodes are node-0 to node-%d; --nodes sets how many there are", f.Kind, f.Target, o.Nodes-1)
		}
		return fmt.Errorf("--%s: the job has no replica %q: choose from %s", f.Kind, f.Target, ranges(replicas))
	}
	for name := range o.RunFor.Types {
		if !slices.ContainsFunc(replicas, func(r string) bool { return typeOf(r) == name }) {
			return fmt.Errorf("--run-for: the job has no replica type %q: it has %s", name, ranges(replicas))
		}
	}
	return nil
}

// typeOf is the type in the name of a replica, which may have no number.
func typeOf(replica string) string {
	cut := strings.LastIndexByte(replica, '-')
	if _, err := strconv.Atoi(replica[cut+1:]); cut < 0 || err != nil {
		return replica
	}
	return replica[:cut]
}

// setting is what is to happen, in words.
func setting(o Options) []string {
	runs := []string{"pods run for " + clock(o.RunFor.All)}
	for _, typ := range sortedKeys(o.RunFor.Types) {
		runs = append(runs, fmt.Sprintf("%s for %s", typ, clock(o.RunFor.Types[typ])))
	}
	words := []string{strings.Join(runs, ", ")}
	faults := slices.Clone(o.Faults)
	slices.SortStableFunc(faults, func(a, b Fault) int { return int(a.At - b.At) })
	for _, f := range faults {
		words = append(words, f.String())
	}
	return words
}

// fate is what becomes of a pod that nothing happens to. The programs of a job that is to report
// its progress do so by its master.
func (o Options) fate(reports bool) func(*corev1.Pod) jobtest.Fate {
	return func(pod *corev1.Pod) jobtest.Fate {
		run, ok := o.RunFor.Types[pod.Labels[commonv1.ReplicaTypeLabel]]
		if !ok {
			run = o.RunFor.All
		}
		f := jobtest.Fate{Start: o.StartAfter, Run: run}
		if pod.Spec.RestartPolicy == corev1.RestartPolicyOnFailure {
			f.Exits = make([]int32, 1000) // a run after one that failed is as long as the first
		}
		if reports && pod.Labels[commonv1.JobRoleLabel] == commonv1.JobRoleMaster {
			for at := reportEvery; at < run && len(f.Reports) < maxReports; at += reportEvery {
				f.Reports = append(f.Reports, at)
			}
		}
		return f
	}
}

// Reports of progress: how often a program sends one, and how many at most.
const (
	reportEvery = 10 * time.Second
	maxReports  = 100_000
)

// reports says whether the programs of a job are to report their progress.
func reports(d *Decoded) bool {
	p := d.kind.parts(d.job).RunPolicy
	return p != nil && p.ProgressPolicy != nil && p.ProgressPolicy.Source != commonv1.ProgressSourceReadiness
}

// timeToLive is how long the job exists after its end, if it is to be deleted.
func timeToLive(d *Decoded) time.Duration {
	p := d.kind.parts(d.job).RunPolicy
	if p == nil || p.TTLSecondsAfterFinished == nil {
		return 0
	}
	return time.Duration(*p.TTLSecondsAfterFinished) * time.Second
}

// stage is where faults are provoked.
type stage struct {
	world    *jobtest.World
	recorder *recorder
	decoded  *Decoded
	// lost are the nodes that faults have cut off.
	lost map[Fault]string
}

// provoke has a fault happen. What is not there cannot fail, which the timeline says.
func (s *stage) provoke(ctx context.Context, c client.Client, f Fault) error {
	if f.Kind == Suspend || f.Kind == Resume {
		return s.suspend(ctx, c, f.Kind == Suspend)
	}
	pod := types.NamespacedName{Namespace: s.decoded.Namespace(), Name: s.decoded.Name() + "-" + f.Target}
	found := &corev1.Pod{}
	node := f.Target
	if !strings.HasPrefix(f.Target, nodePrefix) {
		if err := c.Get(ctx, pod, found); err != nil || found.Spec.NodeName == "" {
			s.missed(f)
			return client.IgnoreNotFound(err) //nolint:wrapcheck // the simulator says it
		}
		node = found.Spec.NodeName
	}
	switch f.Kind {
	case Fail:
		if !s.world.Exit(pod, f.ExitCode) {
			s.missed(f)
		}
	case Hang:
		s.hang(f, pod)
	case Evict:
		s.note(f.Target, "--evict: its pod is evicted")
		s.world.Disrupt(pod, "EvictionByEvictionAPI")
	case Preempt:
		s.note(f.Target, "--preempt: the scheduler needs its place")
		s.world.Disrupt(pod, corev1.PodReasonPreemptionByScheduler)
	case Drain:
		s.note(node, "--drain: all its pods are evicted; "+s.residents(ctx, c, node))
		s.world.Drain(node)
	case NodeLoss:
		s.note(node, "--node-loss: it no longer answers; "+s.residents(ctx, c, node))
		s.world.LoseNode(node)
		s.lost[f] = node
		s.draw(ctx, c, node, laneNoReply)
	case NodeRemoval:
		s.note(node, "--node-removal: it is gone for good; "+s.residents(ctx, c, node))
		s.world.RemoveNode(node)
	case Suspend, Resume:
	}
	return nil
}

// hang has the program of a pod hang.
func (s *stage) hang(f Fault, pod types.NamespacedName) {
	if !s.world.Hang(pod) {
		s.missed(f)
		return
	}
	s.note(f.Target, "--hang: its program does nothing any more")
	l := s.recorder.lane(f.Target)
	l.spans = append(l.spans, span{s.recorder.now(), laneNoReply})
}

// restore brings the node back that a fault has cut off.
func (s *stage) restore(ctx context.Context, c client.Client, f Fault) error {
	if node := s.lost[f]; node != "" {
		s.note(node, "it is back")
		s.world.RestoreNode(node)
		s.draw(ctx, c, node, laneRuns)
	}
	return nil
}

// note adds an entry about a fault.
func (s *stage) note(subject, message string) {
	s.recorder.add(Entry{Subject: subject, What: Provoked, Message: message})
}

// missed says that a fault met nothing.
func (s *stage) missed(f Fault) {
	s.note(f.Target, fmt.Sprintf("--%s: it has no effect, because %s has no pod that runs", f.Kind, f.Target))
}

// suspend sets the job's suspend.
func (s *stage) suspend(ctx context.Context, c client.Client, on bool) error {
	job, ok := s.decoded.job.DeepCopyObject().(client.Object)
	if !ok {
		return nil
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(s.decoded.job), job); err != nil {
		return client.IgnoreNotFound(err) //nolint:wrapcheck // the simulator says it
	}
	s.note(theJob, fmt.Sprintf("spec.runPolicy.suspend is set to %t", on))
	s.decoded.kind.parts(job).RunPolicy.Suspend = &on
	return c.Update(ctx, job) //nolint:wrapcheck // the simulator says it
}

// podsOn are the job's pods on a node that have not ended.
func (s *stage) podsOn(ctx context.Context, c client.Client, node string) []string {
	pods := &corev1.PodList{}
	if err := c.List(ctx, pods, client.InNamespace(s.decoded.Namespace())); err != nil {
		return nil
	}
	var names []string
	for i := range pods.Items {
		if p := &pods.Items[i]; p.Spec.NodeName == node && !ended(p) {
			names = append(names, strings.TrimPrefix(p.Name, s.decoded.Name()+"-"))
		}
	}
	return names
}

// residents names the pods on a node.
func (s *stage) residents(ctx context.Context, c client.Client, node string) string {
	names := s.podsOn(ctx, c, node)
	if len(names) == 0 {
		return "no pod of the job there"
	}
	return "pods there: " + ranges(names)
}

// draw notes a state in the chart for the pods on a node that are not being deleted.
func (s *stage) draw(ctx context.Context, c client.Client, node, state string) {
	for _, name := range s.podsOn(ctx, c, node) {
		l := s.recorder.lane(name)
		if !s.recorder.killed[s.decoded.Name()+"-"+name] {
			l.spans = append(l.spans, span{s.recorder.now(), state})
		}
	}
}
