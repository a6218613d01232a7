package jobtest

import (
	"context"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/gang/schedulers"
)

// oneOf chooses one of the values.
func oneOf[T any](c *Chance, values ...T) T { return values[c.Pick(len(values))] }

var jobKey = types.NamespacedName{Namespace: "default", Name: "j"}

// randomJob makes a job of which chance decides everything.
func randomJob(c *Chance) *testv1.TestJob {
	workers := 1 + c.Pick(3)
	if c.Percent(2) {
		workers = 12 // more than is created without another check
	}
	return newJob(jobKey.Name, int32(workers), func(j *testv1.TestJob) {
		spec := j.Spec.TestReplicaSpecs[testv1.Worker]
		spec.RestartPolicy = oneOf(c, "", commonv1.RestartPolicyExitCode, commonv1.RestartPolicyOnFailure, commonv1.RestartPolicyNever, commonv1.RestartPolicyAlways)
		if c.Percent(25) {
			j.Spec.TestReplicaSpecs[testv1.Master] = spec.DeepCopy()
			j.Spec.TestReplicaSpecs[testv1.Master].Replicas = new(int32(1))
		}
		if c.Percent(10) {
			spec.Template.Finalizers = []string{"example.com/keep"}
		}
		if c.Percent(10) {
			spec.Template.Spec.InitContainers = []corev1.Container{
				{Name: "proxy", Image: "p", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)},
			}
		}
		if master := j.Spec.TestReplicaSpecs[testv1.Master]; master != nil && c.Percent(40) {
			first, then := spec, master
			typ := testv1.Worker
			if c.Percent(60) {
				first, then, typ = master, spec, testv1.Master
			}
			then.StartAfter = &commonv1.StartAfter{
				ReplicaType: typ, State: oneOf(c, commonv1.StartAfterRunning, commonv1.StartAfterReady, commonv1.StartAfterSucceeded),
			}
			if c.Percent(70) {
				first.Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
			}
		}
		if c.Percent(15) {
			claimed(randomRetention(c))(j)
		}
		limits := c.Percent(30)
		for _, typ := range []commonv1.ReplicaType{testv1.Master, testv1.Worker} {
			role := j.Spec.TestReplicaSpecs[typ]
			if role == nil {
				continue
			}
			if limits {
				role.BackoffLimit = oneOf(c, new(int32(3)), new(int32(0)), new(int32(1)))
			}
			role.RestartScope = oneOf(c, nil, nil, new(commonv1.RestartScopeRole), new(commonv1.RestartScopeJob), new(commonv1.RestartScopeReplica))
		}
		p := &j.Spec.RunPolicy
		p.CleanPodPolicy = oneOf(c, nil, new(commonv1.CleanPodPolicyAll), new(commonv1.CleanPodPolicyNone))
		p.BackoffLimit = oneOf(c, nil, nil, new(int32(0)), new(int32(1)), new(int32(3)))
		p.ActiveDeadlineSeconds = oneOf(c, nil, nil, nil, nil, nil, nil, new(int64(25)))
		p.TTLSecondsAfterFinished = oneOf(c, nil, nil, nil, nil, nil, nil, new(int32(0)), new(int32(15)))
		p.RestartScope = oneOf(c, nil, new(commonv1.RestartScopeJob), new(commonv1.RestartScopeRole))
		p.ServiceMode = oneOf(c, nil, new(commonv1.ServiceModePerReplica), new(commonv1.ServiceModeNone))
		p.ForceDeleteAfterSeconds = oneOf(c, nil, nil, new(int64(20)))
		p.Suspend = oneOf(c, nil, nil, nil, nil, nil, nil, nil, new(true))
		if c.Percent(15) {
			p.SuccessPolicy = randomSuccessPolicy(c, j)
		}
		randomBudgets(c, p)
		randomProgress(c, j)
	})
}

// randomProgress gives a job a progress policy of which chance decides.
func randomProgress(c *Chance, j *testv1.TestJob) {
	if !c.Percent(30) {
		return
	}
	p := &commonv1.ProgressPolicy{Source: oneOf(c, commonv1.ProgressSourceReadiness, commonv1.ProgressSourceReport, "")}
	p.StallTimeoutSeconds = oneOf(c, new(int64(30)), new(int64(35)), new(int64(60)))
	if p.Source == commonv1.ProgressSourceReadiness {
		p.StallTimeoutSeconds = oneOf(c, new(int64(10)), new(int64(15)), new(int64(40)))
	}
	p.StartTimeoutSeconds = oneOf(c, nil, nil, new(int64(15)), new(int64(60)))
	p.Action = oneOf(c, commonv1.ProgressActionRestartReplica, commonv1.ProgressActionRestartJob, "", commonv1.ProgressActionFailJob)
	j.Spec.RunPolicy.ProgressPolicy = p
	for _, spec := range j.Spec.TestReplicaSpecs {
		if spec.RestartPolicy == commonv1.RestartPolicyAlways && p.Source != commonv1.ProgressSourceReadiness {
			p.StartTimeoutSeconds = nil // It never ends and, after some attempts, never reports.
		}
		if p.Source == commonv1.ProgressSourceReadiness {
			spec.Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{}
		}
	}
}

// randomBudgets gives a job limits of replicas, and a window, of which chance decides.
func randomBudgets(c *Chance, p *commonv1.RunPolicy) {
	if c.Percent(25) {
		p.BackoffLimitPerReplica = new(int32(c.Pick(3)))
		if c.Percent(60) {
			p.OnBackoffLimitPerReplica = new(commonv1.BackoffLimitPerReplicaRestartJob)
			p.MaxJobRestarts = []*int32{new(int32(2)), new(int32(0)), new(int32(1))}[c.Pick(3)]
		}
	}
	if c.Percent(20) {
		p.AvoidNodes = randomAvoidNodes(c)
	}
	if (p.BackoffLimit != nil || p.BackoffLimitPerReplica != nil) && c.Percent(40) {
		p.BackoffLimitWindowSeconds = []*int64{new(int64(3)), new(int64(15)), new(int64(40)), new(int64(1000))}[c.Pick(4)]
	}
}

// randomAvoidNodes makes a policy of which chance decides everything.
func randomAvoidNodes(c *Chance) *commonv1.AvoidNodes {
	return &commonv1.AvoidNodes{
		Mode:          oneOf(c, "", commonv1.AvoidNodesRequired, commonv1.AvoidNodesPreferred),
		AfterFailures: []*int32{nil, new(int32(2))}[c.Pick(2)],
		Causes: [][]commonv1.AvoidNodesCause{
			nil, {commonv1.AvoidNodesFailed, commonv1.AvoidNodesDisrupted}, {commonv1.AvoidNodesDisrupted},
		}[c.Pick(3)],
		MaxNodes:   []*int32{nil, new(int32(1)), new(int32(2))}[c.Pick(3)],
		ForSeconds: []*int64{nil, new(int64(10)), new(int64(1000))}[c.Pick(3)],
	}
}

// randomNodes has a node kill what it runs, for a while.
func randomNodes(c *Chance, w *World) {
	if !c.Percent(20) {
		return
	}
	node, code := oneOf(c, "node-0", "node-1"), oneOf(c, int32(137), int32(1))
	w.At(time.Duration(c.Pick(20))*time.Second, node+" goes bad", func(context.Context, client.Client) error { w.SpoilNode(node, code); return nil })
	w.At(time.Duration(30+c.Pick(400))*time.Second, node+" is repaired", func(context.Context, client.Client) error { w.SpoilNode(node, 0); return nil })
}

// randomSuccessPolicy makes a success policy that can hold, as long as the job is not scaled
// down.
func randomSuccessPolicy(c *Chance, j *testv1.TestJob) *commonv1.SuccessPolicy {
	p := &commonv1.SuccessPolicy{}
	for range 1 + c.Pick(2) {
		r := commonv1.SuccessPolicyRule{ReplicaType: testv1.Worker}
		if j.Spec.TestReplicaSpecs[testv1.Master] != nil && c.Percent(30) {
			r.ReplicaType = testv1.Master
		}
		n := int(*j.Spec.TestReplicaSpecs[r.ReplicaType].Replicas)
		if c.Percent(50) {
			r.Indexes = new(strconv.Itoa(c.Pick(n)))
		}
		if r.Indexes == nil {
			r.Count = new(int32(1 + c.Pick(n)))
		}
		p.Rules = append(p.Rules, r)
	}
	return p
}

// randomFates decides once what becomes of the pods of each attempt.
func randomFates(c *Chance) func(*corev1.Pod) Fate {
	var fates [12]Fate
	for i := range fates {
		f := Fate{Start: time.Second, Run: oneOf(c, 10*time.Second, time.Second, 30*time.Second)}
		f.Report = oneOf(c, 0, 0, time.Second, 1500*time.Millisecond)
		f.Graceful = c.Percent(30)
		f.StopsAtOnce = c.Percent(30)
		f.Collateral = oneOf(c, 0, 0, int32(1), int32(134))
		f.Readiness = oneOf(c, nil, []time.Duration{5 * time.Second}, []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second}, []time.Duration{40 * time.Second})
		f.NotReady = c.Percent(5)
		f.Hangs = oneOf(c, 0, 0, 0, 5*time.Second, 25*time.Second)
		f.Reports = oneOf(c, nil, []time.Duration{time.Second, 3 * time.Second, 7 * time.Second}, []time.Duration{9 * time.Second, 18 * time.Second, 27 * time.Second, 36 * time.Second})
		switch c.Pick(13) {
		case 1:
			f.Exits = []int32{1, 1, 0}
		case 2, 3:
			f.Exits = []int32{130}
		case 4:
			f.Exits = []int32{137, 0}
		case 5:
			f.Evicted, f.Untraced = true, i%2 == 1
		case 6:
			f.Forever = true
		case 7:
			f.Start = 20 * time.Second
		case 8, 9:
			f.Disrupted = oneOf(c, "PreemptionByScheduler", "EvictionByEvictionAPI", "DeletionByTaintManager")
		}
		fates[i] = f
	}
	return func(pod *corev1.Pod) Fate {
		index, _ := strconv.Atoi(pod.Labels[commonv1.ReplicaIndexLabel])
		if attempt := int(attemptLabel(pod)); attempt < 4 {
			return fates[(3*attempt+index)%len(fates)]
		}
		return Fate{Start: time.Second, Run: 10 * time.Second}
	}
}

// withWaits has the first pods of some replicas wait for something.
func withWaits(c *Chance, fates func(*corev1.Pod) Fate) func(*corev1.Pod) Fate {
	if !c.Percent(30) {
		return fates
	}
	waits := oneOf(c, WaitsForRoom, WaitsForClaim, WaitsForImage, WaitsForSecret, WaitsForVolume, WaitsForInit)
	start, stuck, index := oneOf(c, 3*time.Second, 33*time.Second, 100*time.Second), c.Percent(20), strconv.Itoa(c.Pick(2))
	return func(pod *corev1.Pod) Fate {
		f := fates(pod)
		if attemptLabel(pod) < 2 && pod.Labels[commonv1.ReplicaIndexLabel] == index {
			f.Waits, f.Start, f.Stuck = waits, start, stuck
		}
		return f
	}
}

// randomClocks sets the clocks of some nodes wrong: by seconds, or by hours.
func randomClocks(c *Chance, w *World) {
	for _, node := range []string{"node-0", "node-1"} {
		if off := oneOf(c, 0, 0, 0, -3*time.Second, 3*time.Second, -2*time.Hour, 2*time.Hour); off != 0 {
			w.SetNodeClock(node, off)
		}
	}
}

// edit has a user change the job, if it exists.
func edit(change func(*testv1.TestJob)) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		job := &testv1.TestJob{}
		if err := c.Get(ctx, jobKey, job); err != nil {
			return client.IgnoreNotFound(err)
		}
		change(job)
		return c.Update(ctx, job)
	}
}

func deleteJob(policy metav1.DeletionPropagation) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		job := &testv1.TestJob{ObjectMeta: metav1.ObjectMeta{Namespace: jobKey.Namespace, Name: jobKey.Name}}
		return client.IgnoreNotFound(c.Delete(ctx, job, client.PropagationPolicy(policy)))
	}
}

func deletePod(name string) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: jobKey.Namespace, Name: name}}
		return client.IgnoreNotFound(c.Delete(ctx, pod))
	}
}

func deletePodByForce(name string) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: jobKey.Namespace, Name: name}}
		return client.IgnoreNotFound(c.Delete(ctx, pod, client.GracePeriodSeconds(0)))
	}
}

func deleteService(name string) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		o := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: jobKey.Namespace, Name: name}}
		return client.IgnoreNotFound(c.Delete(ctx, o))
	}
}

// foreign has a user create a pod and a service of a name, unless they exist.
func foreign(name string) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		meta := metav1.ObjectMeta{Namespace: jobKey.Namespace, Name: name, Labels: map[string]string{"foreign": "yes", commonv1.JobNameLabel: jobKey.Name, commonv1.OperatorNameLabel: "testjob-controller"}}
		for _, o := range []client.Object{&corev1.Pod{ObjectMeta: meta}, &corev1.Service{ObjectMeta: meta}} {
			if err := c.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) && !apierrors.IsForbidden(err) {
				return err
			}
		}
		return nil
	}
}

func deleteForeign(name string) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		for _, o := range []client.Object{&corev1.Pod{}, &corev1.Service{}} {
			err := c.Get(ctx, types.NamespacedName{Namespace: jobKey.Namespace, Name: name}, o)
			if err == nil && o.GetLabels()["foreign"] == "yes" {
				err = c.Delete(ctx, o)
			}
			if client.IgnoreNotFound(err) != nil {
				return err
			}
		}
		return nil
	}
}

// relabel changes a label of the first replica's pod.
func relabel(key, value string) func(context.Context, client.Client) error {
	return func(ctx context.Context, c client.Client) error {
		pod := &corev1.Pod{}
		if err := c.Get(ctx, types.NamespacedName{Namespace: jobKey.Namespace, Name: "j-worker-0"}, pod); err != nil {
			return client.IgnoreNotFound(err)
		}
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		pod.Labels[key] = value
		if value == "" {
			delete(pod.Labels, key)
		}
		return c.Update(ctx, pod)
	}
}

// disown takes the owner off the first replica's pod, which makes it a foreign one.
func disown(ctx context.Context, c client.Client) error {
	pod := &corev1.Pod{}
	if err := c.Get(ctx, types.NamespacedName{Namespace: jobKey.Namespace, Name: "j-worker-0"}, pod); err != nil {
		return client.IgnoreNotFound(err)
	}
	pod.OwnerReferences = nil
	return c.Update(ctx, pod)
}

// dropFinalizers lets the pods go that only a finalizer keeps.
func dropFinalizers(ctx context.Context, c client.Client) error {
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		return err
	}
	for i := range pods.Items {
		pods.Items[i].Finalizers = nil
		if err := c.Update(ctx, &pods.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

// randomActions has users do things.
func randomActions(c *Chance, w *World, job *testv1.TestJob) {
	kinds := []func(*Chance, *World, time.Duration, *testv1.TestJob){
		actNothing, actSuspend, actScale, actDelete, actRecreate, actOnPod, actOnPod, actQuota, actNode, actNode,
		actEdit, actEdit, actForeign, actOnService, actLabel, actInvalid, actManager, actNamespace, actAdmission, actOutage, actOutage,
		actRoom, actPolicy, actGroup, actDisrupt, actDisrupt, actRefuse, actRefuse, actClaim, actServer,
	}
	for range c.Pick(5) {
		kinds[c.Pick(len(kinds))](c, w, time.Duration(c.Pick(40))*time.Second, job)
	}
	for i := range 8 * len(job.Spec.TestReplicaSpecs[testv1.Worker].Template.Finalizers) {
		w.At(time.Duration(60+60*i)*time.Second, "removes finalizers", dropFinalizers)
	}
}

func actNothing(_ *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	w.At(at, "does nothing", func(context.Context, client.Client) error { return nil })
}

func actSuspend(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	suspend := func(v *bool) func(*testv1.TestJob) {
		return func(j *testv1.TestJob) { j.Spec.RunPolicy.Suspend = v }
	}
	kind := c.Pick(3)
	if kind != 1 {
		w.At(at, "suspends", edit(suspend(new(true))))
	}
	if kind != 2 {
		w.At(at+time.Duration(c.Pick(30))*time.Second, "resumes", edit(suspend(nil)))
	}
}

func actScale(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	n := int32(c.Pick(4))
	w.At(at, "scales to "+strconv.Itoa(int(n)), edit(func(j *testv1.TestJob) { j.Spec.TestReplicaSpecs[testv1.Worker].Replicas = &n }))
}

func actDelete(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	w.At(at, "deletes the job", deleteJob(oneOf(c,
		metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan)))
}

func actRecreate(c *Chance, w *World, at time.Duration, job *testv1.TestJob) {
	again := job.DeepCopy()
	w.At(at, "deletes the job", deleteJob(metav1.DeletePropagationBackground))
	w.At(at+time.Duration(c.Pick(5))*time.Second, "creates it again", func(ctx context.Context, c client.Client) error {
		if err := c.Create(ctx, again.DeepCopy()); !apierrors.IsAlreadyExists(err) && !apierrors.IsForbidden(err) {
			return err
		}
		return nil
	})
}

func actOnPod(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	if c.Percent(20) {
		w.At(at, "disowns a pod", disown)
		return
	}
	name := oneOf(c, "j-worker-0", "j-worker-1", "j-master-0")
	if c.Percent(30) {
		w.At(at, "deletes pod "+name+" by force", deletePodByForce(name))
		return
	}
	w.At(at, "deletes pod "+name, deletePod(name))
}

// actDisrupt drains a node, or has one pod preempted or evicted.
func actDisrupt(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	if c.Percent(30) {
		node := oneOf(c, "node-0", "node-1")
		w.At(at, "drains "+node, func(context.Context, client.Client) error { w.Drain(node); return nil })
		return
	}
	pod := types.NamespacedName{Namespace: jobKey.Namespace, Name: oneOf(c, "j-worker-0", "j-worker-1", "j-master-0")}
	reason := oneOf(c, "PreemptionByScheduler", "EvictionByEvictionAPI", "DeletionByTaintManager")
	w.At(at, "has a pod disrupted", func(context.Context, client.Client) error { w.Disrupt(pod, reason); return nil })
}

func actOnService(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	if c.Percent(20) {
		w.At(at, "changes the service of the Workers", retypeService("j-worker-svc"))
		return
	}
	w.At(at, "deletes a service", deleteService(oneOf(c, "j", "j-worker-0", "j-worker-svc")))
}

func actQuota(_ *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	set := func(pods int) func(context.Context, client.Client) error {
		return func(context.Context, client.Client) error { w.SetQuota("default", pods); return nil }
	}
	w.At(at, "lowers the quota", set(1))
	w.At(at+20*time.Second, "raises the quota", set(-1))
}

func actNode(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	node, remove := oneOf(c, "node-0", "node-1"), c.Percent(50)
	w.At(at, "a node is lost", func(context.Context, client.Client) error { w.LoseNode(node); return nil })
	w.At(at+oneOf(c, 10*time.Second, 400*time.Second), "the node is seen to", func(context.Context, client.Client) error {
		if remove {
			w.RemoveNode(node)
		} else {
			w.RestoreNode(node)
		}
		return nil
	})
}

func actEdit(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	scope := oneOf(c, commonv1.RestartScopeJob, commonv1.RestartScopeReplica, commonv1.RestartScopeRole)
	mode := oneOf(c, commonv1.ServiceModePerJob, commonv1.ServiceModePerReplica, commonv1.ServiceModeNone)
	policy := oneOf(c, commonv1.CleanPodPolicyAll, commonv1.CleanPodPolicyRunning)
	kind := c.Pick(6)
	w.At(at, "edits the job", edit(func(j *testv1.TestJob) {
		switch p := &j.Spec.RunPolicy; kind {
		case 0:
			p.BackoffLimit = new(int32(2))
		case 1:
			p.RestartScope = &scope
		case 2:
			p.ServiceMode = &mode
		case 3:
			p.CleanPodPolicy = &policy
		case 4:
			main := &j.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Containers[0]
			main.Ports = append(main.Ports, corev1.ContainerPort{Name: "extra", ContainerPort: 8080})
		case 5:
			if j.Spec.TestReplicaSpecs[testv1.Master] != nil && j.Spec.TestReplicaSpecs[testv1.Master].StartAfter == nil {
				j.Spec.TestReplicaSpecs[testv1.Worker].StartAfter = &commonv1.StartAfter{ReplicaType: testv1.Master, State: commonv1.StartAfterReady}
			}
		}
	}))
}

func actForeign(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	name := oneOf(c, "j-worker-0", "j-worker-1", "j-worker-2", "j", "j-worker-svc")
	w.At(at, "creates a pod and a service named "+name, foreign(name))
	w.At(at+time.Duration(20+c.Pick(200))*time.Second, "deletes them", deleteForeign(name))
}

func actLabel(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	if c.Percent(50) {
		key := oneOf(c, commonv1.ReplicaIndexLabel, commonv1.ReplicaTypeLabel, commonv1.AttemptLabel)
		w.At(at, "writes nonsense into labels", relabel(key, oneOf(c, "-1", "7", "x")))
		return
	}
	w.At(at, "takes the operator's label off a pod", relabel(commonv1.OperatorNameLabel, ""))
	w.At(at+time.Duration(c.Pick(60))*time.Second, "puts it back", relabel(commonv1.OperatorNameLabel, "testjob-controller"))
}

func actInvalid(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	rename := func(name string) func(*testv1.TestJob) {
		return func(j *testv1.TestJob) {
			j.Spec.TestReplicaSpecs[testv1.Worker].Template.Spec.Containers[0].Name = name
		}
	}
	w.At(at, "makes the job invalid", edit(rename("x")))
	w.At(at+time.Duration(c.Pick(60))*time.Second, "makes it valid", edit(rename(testv1.ContainerName)))
}

func actManager(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	w.At(at, "hands the job to another controller", edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.ManagedBy = new("example.com/other") }))
	w.At(at+time.Duration(c.Pick(60))*time.Second, "takes it back", edit(func(j *testv1.TestJob) { j.Spec.RunPolicy.ManagedBy = nil }))
}

func actNamespace(_ *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	w.At(at, "deletes the namespace", func(context.Context, client.Client) error { w.TerminateNamespace("default"); return nil })
}

// refusal is what admission says of new pods and services: nothing if it is nil.
type refusal struct{ err func(o client.Object) error }

func (r *refusal) admit(o client.Object) error {
	if _, job := o.(*testv1.TestJob); job || r.err == nil || o.GetLabels()["foreign"] == "yes" {
		return nil
	}
	return r.err(o)
}

// actAdmission has an admission webhook, or the server itself, refuse pods and
// services for a while, in one of the ways that poisoned knows.
func actAdmission(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	kind, pods := oneOf(c, "denied", "invalid", "overload", "broken", "policy", "webhook 404", "not served", "too large"), c.Percent(50)
	set := func(err func(client.Object) error) func(context.Context, client.Client) error {
		return func(context.Context, client.Client) error { w.server.admit = (&refusal{err}).admit; return nil }
	}
	w.At(at, "has admission answer: "+kind, set(func(o client.Object) error {
		if _, pod := o.(*corev1.Pod); pods && !pod {
			return nil
		}
		return refuse(kind, o.GetName())
	}))
	w.At(at+time.Duration(c.Pick(60))*time.Second, "has admission admit all", set(nil))
}

// actRefuse has the server refuse some of the operator's writes for a while.
func actRefuse(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	verb := oneOf(c, "patch", "delete", "write the status of", "create")
	kind := oneOf(c, "denied", "policy", "webhook 404", "too large")
	w.At(at, "has the API server refuse to "+verb+": "+kind, func(context.Context, client.Client) error {
		w.denies = func(op call) error {
			if op.verb != verb {
				return nil
			}
			return refuse(kind, op.key.Name)
		}
		return nil
	})
	w.At(at+time.Duration(c.Pick(90))*time.Second, "has it refuse nothing", func(context.Context, client.Client) error { w.denies = nil; return nil })
}

// actServer has no report of progress arrive for a while.
func actServer(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	set := func(up bool) func(context.Context, client.Client) error {
		return func(context.Context, client.Client) error { w.SetProgressServer(up); return nil }
	}
	w.At(at, "has no report arrive", set(false))
	w.At(at+time.Duration(c.Pick(60))*time.Second, "has reports arrive", set(true))
}

// actOutage has some calls of the operator meet the same fault for a while.
func actOutage(c *Chance, w *World, at time.Duration, _ *testv1.TestJob) {
	verb := oneOf(c, "", "create", "delete", "read", "write the status of")
	fault := oneOf(c, TooManyRequests, Timeout, ServerError, LostReply)
	long := time.Duration(c.Pick(40)) * time.Second
	w.At(at, "has the API server fail: "+string(fault), func(context.Context, client.Client) error {
		w.outages = append(w.outages, outage{over: w.now.Add(long), fault: fault, hits: func(op call) bool {
			return (verb == "" || op.verb == verb) && (op.write || fault != LostReply)
		}})
		return nil
	})
}

// randomStartDeadline gives a job a limit of the time that its pods may take to start. What
// never starts must not restart the job forever.
func randomStartDeadline(c *Chance, p *commonv1.RunPolicy) {
	p.StartDeadlineSeconds = oneOf(c, nil, nil, nil, new(int64(40)))
	if p.StartDeadlineSeconds != nil && c.Percent(60) {
		p.OnStartDeadline = new(commonv1.StartDeadlineRestartJob)
		if p.MaxJobRestarts == nil {
			p.MaxJobRestarts = new(int32(c.Pick(3)))
		}
	}
}

// randomRun is a run of which chance decides everything.
func randomRun(c *Chance) error {
	job := randomJob(c)
	randomStartDeadline(c, &job.Spec.RunPolicy)
	scheduler := []string{schedulers.None, "kubernetes", "volcano", "coscheduling"}[c.pick(4, 60)]
	author := withService{
		service: randomService(c), runs: []commonv1.ReplicaType{"", testv1.Master, testv1.Worker}[c.pick(3, 60)], optional: c.pick(2, 80) == 1,
	}
	w, err := NewWorld[*testv1.TestJob](author, testScheme, Options{
		Chance: c, Fate: withWaits(c, randomFates(c)), Operators: 1 + c.pick(2, 70), Gang: schedulers.ByName(scheduler, schedulers.Options{}),
	})
	if err != nil {
		return err
	}
	groups := playGang(w, scheduler)
	if groups != nil && c.Percent(50) {
		job.Spec.RunPolicy.SchedulingPolicy = fitting(randomPolicy(c), job)
		if p := job.Spec.RunPolicy.SchedulingPolicy; p != nil && p.MinAvailable != nil && c.Percent(50) {
			p.MinAvailable = new(jobkit.Count(job.Spec.TestReplicaSpecs)) // To scale the job down goes below it.
		}
	}
	randomClocks(c, w)
	randomNodes(c, w)
	randomActions(c, w, job)
	twin := newBatchTwin(w)
	w.onStatus = func(before, after client.Object) { twin.wrote(before, after); notTooSmall(w, after) }
	ports, queue := groups == nil && c.pick(2, 90) == 1, c.pick(2, 80) == 1
	for _, name := range []string{"j", "k", "l"}[:1+c.pick(3, 70)] {
		another := job
		if name != job.Name {
			another = randomJob(c)
			randomStartDeadline(c, &another.Spec.RunPolicy)
			another.Name = name
		}
		if ports {
			onHosts(32)(another)
		}
		if queue {
			another.Labels = map[string]string{queueLabel: "q"}
		}
		if err := w.Client().Create(context.Background(), another.DeepCopy()); err != nil {
			return err
		}
	}
	if err := w.Run(context.Background()); err != nil || groups == nil {
		return err
	}
	groups.atRest()
	return w.err()
}

func TestRandomRuns(t *testing.T) { Search(t, 200, randomRun) }
