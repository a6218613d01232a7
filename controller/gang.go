package controller

import (
	"context"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/internal/plan"
)

// gangs holds what a JobController knows of gang scheduling.
type gangs struct {
	name      string
	scheduler gang.Scheduler
	// kinds are those of the objects that describe groups of pods.
	kinds []schema.GroupVersionKind
	// untyped are those of them that are read as unstructured objects, whatever the scheme knows.
	untyped []schema.GroupVersionKind
}

// gangName is the name of the gang scheduler in messages.
func gangName(s gang.Scheduler) string {
	if named, ok := s.(fmt.Stringer); ok {
		return named.String()
	}
	return fmt.Sprintf("%T", s)
}

// newGangs prepares the gang scheduler of the configuration, if there is one. A mapper
// finds the version of its API that the cluster serves; it may be nil.
func (c *JobController[J]) newGangs(scheme *runtime.Scheme, mapper meta.RESTMapper) (*gangs, error) {
	if c.Config.GangScheduler == nil {
		return nil, nil //nolint:nilnil // no gang scheduling is no error
	}
	g := &gangs{name: gangName(c.Config.GangScheduler), scheduler: c.Config.GangScheduler}
	if mapper != nil {
		var err error
		if g.scheduler, err = gang.Detect(mapper, g.scheduler); err != nil {
			return nil, fmt.Errorf("gang scheduler %s: %w", g.name, err)
		}
	}
	for _, o := range g.scheduler.Kinds() {
		gvk, err := apiutil.GVKForObject(o, scheme)
		if err != nil {
			return nil, fmt.Errorf("gang scheduler %s keeps objects of %T, which the scheme does not know: call its AddToScheme: %w", g.name, o, err)
		}
		g.kinds = append(g.kinds, gvk)
		if _, ok := o.(*unstructured.Unstructured); ok {
			g.untyped = append(g.untyped, gvk)
		}
	}
	return g, nil
}

// checkServed verifies that the cluster serves the kinds of the gang scheduler.
func (g *gangs) checkServed(mapper meta.RESTMapper) error {
	for _, gvk := range g.kinds {
		_, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if gang.NotServed(err) {
			return fmt.Errorf("gang scheduler %s needs the kind %s of %s, which the cluster does not serve: %s: %w",
				g.name, gvk.Kind, gvk.GroupVersion(), fixFor(gvk), err)
		}
		if err != nil {
			return fmt.Errorf("cannot find out whether the cluster serves the kind %s of %s: %w", gvk.Kind, gvk.GroupVersion(), err)
		}
	}
	return nil
}

// fixFor says what to do so that the cluster serves a kind.
func fixFor(gvk schema.GroupVersionKind) string {
	if gvk.Group == schedulingv1.GroupName {
		return "enable the feature gate GenericWorkload and the API " + gvk.GroupVersion().String() + " in the API server, or choose another gang scheduler"
	}
	return "install the scheduler with its CRDs, or choose another gang scheduler"
}

// gangObjects compares the objects that the gang scheduler wants for a job with the existing
// ones, which it removes from found. It records the state of the gang in the input of the
// plan.
//
// A job whose pods another operator made members of a group keeps that group. A job whose
// pods were created without a group continues without one: new pods in a group would wait
// for members that never join it.
func (c *JobController[J]) gangObjects(
	ctx context.Context, job J, in *plan.Input, tally *plan.Tally, found map[childName]client.Object,
) ([]plan.Object, error) {
	g := c.set.gang
	if g == nil {
		return nil, nil
	}
	adopted := g.adopted(in)
	if adopted == "" && g.runsUngrouped(in) {
		return nil, nil
	}
	if adopted == "" {
		if err := c.leftGroup(ctx, job, in, found); err != nil {
			return nil, err
		}
	}
	in.Gang = &plan.Gang{Group: adopted} // The warnings and templates below depend on it.
	of, err := c.gangJob(ctx, job, in, tally, adopted)
	if err != nil {
		return nil, err
	}
	if in.Status.Condition(commonv1.JobCreated) == nil {
		in.Warnings = append(in.Warnings, g.warnings(of)...)
	}
	g.countDone(of, in, tally)
	wanted := g.scheduler.Objects(of)
	if len(wanted) == 0 {
		in.Gang = nil
		return nil, nil
	}
	return c.compareGroups(in, of, wanted, found)
}

// compareGroups compares each object that the gang scheduler wants, and records what the existing
// ones say of the gang.
func (c *JobController[J]) compareGroups(
	in *plan.Input, of *gang.Job, wanted []jobkit.Object, found map[childName]client.Object,
) ([]plan.Object, error) {
	out := make([]plan.Object, 0, len(wanted))
	var existing []jobkit.Object
	var terminating *plan.Gang
	for _, w := range wanted {
		o, f, err := c.compareGroup(in, w, found)
		if err != nil {
			return nil, err
		}
		if o.Terminating {
			terminating = &plan.Gang{Group: in.Gang.Group, Hold: true, Since: f.GetDeletionTimestamp().Time, Why: fmt.Sprintf(
				"the %s %s of an earlier run is still being deleted", o.Kind, o.Name)}
		} else if f != nil {
			existing = append(existing, f)
		}
		out = append(out, o)
	}
	if terminating != nil {
		in.Gang = terminating
		return out, nil
	}
	state := c.set.gang.scheduler.State(of, existing)
	in.Gang = &plan.Gang{Group: in.Gang.Group, Hold: state.Hold, Why: state.Why, Since: state.Since}
	return out, nil
}

// compareGroup compares one object of a group with the existing one.
func (c *JobController[J]) compareGroup(
	in *plan.Input, wanted client.Object, found map[childName]client.Object,
) (plan.Object, client.Object, error) {
	o, f, err := c.match(in, wanted, found)
	if err != nil || f == nil {
		return o, f, err
	}
	o.Patch = maps.Clone(c.set.gang.scheduler.Patch(wanted, f))
	if metadata := plan.Difference(ownMetadata(wanted), ownMetadata(f)); metadata != nil {
		if o.Patch == nil {
			o.Patch = map[string]any{}
		}
		o.Patch["metadata"] = metadata
	}
	return o, f, nil
}

// joinGang makes a pod template that of a member of the job's gang, if it has one.
func (c *JobController[J]) joinGang(in *plan.Input, a plan.CreatePod, template *corev1.PodTemplateSpec) {
	if in.Gang == nil {
		return
	}
	job := groupOf(in, in.Gang.Group)
	if c.set.gang.scheduler.Join(job, a.Type, template) {
		gang.SetLabel(template, commonv1.PodGroupLabel, job.GroupName())
	}
}

// adopted is the name of the group that the pods of a job are members of, if another
// operator created them: training-operator v1 gives a group the name of its job. The
// membership of a pod cannot change, so missing pods join that group, too, as long as one
// of its members exists.
func (g *gangs) adopted(in *plan.Input) string {
	job := groupOf(in, in.Job.Name)
	for _, p := range in.Pods {
		if plan.IsLive(p) && (p.Labels[commonv1.PodGroupLabel] == job.Group || g.marked(job, p)) {
			return job.Group
		}
	}
	return ""
}

// marked reports whether a pod has the labels and annotations by which the gang scheduler
// recognizes the members of a group, and another operator set them.
func (g *gangs) marked(job *gang.Job, p *corev1.Pod) bool {
	var bare corev1.PodTemplateSpec
	if p.Labels[commonv1.PodGroupLabel] != "" || !g.scheduler.Join(job, replicaTypeOf(job, p), &bare) {
		return false
	}
	has := func(have, marks map[string]string) bool {
		for key, value := range marks {
			if have[key] != value {
				return false
			}
		}
		return true
	}
	return len(bare.Labels)+len(bare.Annotations) > 0 && has(p.Labels, bare.Labels) && has(p.Annotations, bare.Annotations)
}

// replicaTypeOf is the replica type that a pod's label names.
func replicaTypeOf(job *gang.Job, p *corev1.Pod) commonv1.ReplicaType {
	for i := range job.Members {
		if strings.EqualFold(string(job.Members[i].Type), p.Labels[commonv1.ReplicaTypeLabel]) {
			return job.Members[i].Type
		}
	}
	return ""
}

// groupOf describes a job to the gang scheduler, without priorities. named is the name of
// its group, or empty.
func groupOf(in *plan.Input, named string) *gang.Job {
	job := &gang.Job{
		Group:      named,
		APIVersion: in.Kind.APIVersion, Kind: in.Kind.Name, Namespace: in.Job.Namespace, Name: in.Job.Name,
		Whole: in.RestartsWhole(),
	}
	if p := in.RunPolicy.SchedulingPolicy; p != nil {
		job.Policy = *p
	}
	for i := range in.Kind.Roles {
		t := in.Kind.Roles[i].Type
		if spec := in.Replicas[t]; spec != nil {
			job.Members = append(job.Members, gang.Member{Type: t, Replicas: jobkit.Count(in.Replicas, t), Template: &spec.Template})
		}
	}
	return job
}

// gangJob describes a job to the gang scheduler. It reads priorities only if they matter:
// when the group does not need all pods.
func (c *JobController[J]) gangJob(ctx context.Context, owner J, in *plan.Input, tally *plan.Tally, named string) (*gang.Job, error) {
	job := groupOf(in, named)
	job.Annotations = annotationsOf(owner)
	for i := range job.Members {
		m := &job.Members[i]
		m.Waiting = plan.Waiting(in, tally, m.Type)
		m.Completed = func() *corev1.PodTemplateSpec { return c.completed(ctx, owner, in, m) }
	}
	if job.MinMember() >= job.Total() || job.Policy.MinResources != nil {
		return job, nil
	}
	for i := range job.Members {
		m := &job.Members[i]
		if own := m.Template.Spec.Priority; own != nil {
			m.Priority = *own
			continue
		}
		var err error
		if m.Priority, err = c.priorityOf(ctx, m.Template.Spec.PriorityClassName); err != nil {
			return nil, err
		}
	}
	return job, nil
}

// annotationsOf are the annotations of a job that its group gets, too. The manifest that kubectl
// apply keeps there is that of the job, and not of the group.
func annotationsOf(job client.Object) map[string]string {
	annotations := maps.Clone(job.GetAnnotations())
	delete(annotations, corev1.LastAppliedConfigAnnotation)
	return annotations
}

// completed is the template of a replica type with what the operator adds to it for the
// first replica. An error of the operator's code is reported when a pod is created.
func (c *JobController[J]) completed(ctx context.Context, job J, in *plan.Input, m *gang.Member) *corev1.PodTemplateSpec {
	template := m.Template.DeepCopy()
	if err := c.setClusterSpec(ctx, job, replicasOf(in)(m.Type, 0, 0), template); err != nil {
		return m.Template
	}
	return template
}

// priorityOf is the value of a priority class: 0 if there is none.
func (c *JobController[J]) priorityOf(ctx context.Context, name string) (int32, error) {
	if name == "" {
		return 0, nil
	}
	if known, ok := c.set.priorities.Get(name); ok {
		if value, ok := known.(int32); ok {
			return value, nil
		}
	}
	var class schedulingv1.PriorityClass
	if err := c.set.live.Get(ctx, client.ObjectKey{Name: name}, &class); err != nil && !apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("cannot read priority class %s: %w", name, err)
	}
	c.set.priorities.Add(name, class.Value, rememberedPriority)
	return class.Value, nil
}

// warnings returns a warning if a template names another scheduler.
func (g *gangs) warnings(job *gang.Job) []jobkit.Warning {
	for i := range job.Members {
		m := &job.Members[i]
		if name := m.Template.Spec.SchedulerName; name != "" && !g.scheduler.Join(job, m.Type, m.Template.DeepCopy()) {
			return []jobkit.Warning{{Reason: "SetPodTemplateSchedulerName", Message: fmt.Sprintf(
				"The pod template of %s names the scheduler %s, so its pods are not scheduled together with the others: remove schedulerName to leave that to gang scheduler %s.",
				m.Type, name, g.name)}}
		}
	}
	return nil
}

// leaves reports whether the gang scheduler leaves the pods of a replica type alone, because the
// template names another scheduler. They are neither in the group nor without one.
func (g *gangs) leaves(job *gang.Job, m *gang.Member) bool {
	template := *m.Template
	return !g.scheduler.Join(job, m.Type, &template)
}

// runsUngrouped reports whether a job runs pods that are not members of a group, and none
// that are.
func (g *gangs) runsUngrouped(in *plan.Input) bool {
	job, left := groupOf(in, ""), map[commonv1.ReplicaType]bool{}
	for i := range job.Members {
		left[job.Members[i].Type] = g.leaves(job, &job.Members[i])
	}
	without := false
	for _, p := range in.Pods {
		switch {
		case !plan.IsLive(p):
		case p.Labels[commonv1.PodGroupLabel] != "":
			return false
		case !left[replicaTypeOf(job, p)]:
			without = true
		}
	}
	return without
}

// countDone counts the replicas of the group that have succeeded, or failed for good while the job goes
// on, and those of them that no longer have a pod that a scheduler counts. Both are 0 when no other
// replica waits to be scheduled: then the size of the group does not matter, and stays.
func (g *gangs) countDone(of *gang.Job, in *plan.Input, tally *plan.Tally) {
	placed, there := map[commonv1.ReplicaType]int{}, map[commonv1.ReplicaType]int{}
	for _, p := range in.Pods {
		if plan.IsLive(p) && p.Spec.NodeName != "" {
			placed[replicaTypeOf(of, p)]++
		}
		if p.Status.Phase == corev1.PodSucceeded && p.DeletionTimestamp == nil {
			there[replicaTypeOf(of, p)]++
		}
	}
	waits, gone := false, 0
	done := make([]int, len(of.Members))
	for i := range of.Members {
		m := &of.Members[i]
		types := tally.Of(m.Type)
		if types == nil || g.leaves(of, m) {
			continue // What is not in the group does not make it smaller.
		}
		succeeded, failed := types.Count(jobkit.Succeeded), tally.LeftAlone(m.Type)
		waits = waits || placed[m.Type]+succeeded+failed < int(m.Replicas)
		done[i], gone = succeeded+failed, gone+max(succeeded-there[m.Type], 0)+failed
	}
	if !waits {
		return
	}
	for i, n := range done {
		of.Members[i].Done = int32(min(n, jobkit.MaxReplicas)) //nolint:gosec // it is at most MaxReplicas
		of.Done += of.Members[i].Done
	}
	of.Gone = int32(min(gone, jobkit.MaxReplicas))
}
