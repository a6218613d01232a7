package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// checkQuota finds quotas that are used up: pods over it are refused.
func checkQuota(ctx context.Context, c *Cluster) ([]Finding, error) {
	quotas, err := c.list(ctx, core("resourcequotas"), c.Namespace, "")
	if err != nil {
		return nil, err
	}
	var found []Finding
	for i := range quotas {
		hard, _, _ := unstructured.NestedStringMap(quotas[i].Object, "status", "hard")
		used, _, _ := unstructured.NestedStringMap(quotas[i].Object, "status", "used")
		var full []string
		for name, limit := range hard {
			if usedUp(limit, used[name]) {
				full = append(full, fmt.Sprintf("%s %s of %s", name, used[name], limit))
			}
		}
		if len(full) > 0 {
			slices.Sort(full)
			found = append(found, Finding{
				Level: Warning, Message: fmt.Sprintf("the quota %s is used up: %s; jobs that need more wait", place(&quotas[i]), few(full)),
				Fix: fmt.Sprintf("raise it, or end what uses it: jobkit top -n %s", quotas[i].GetNamespace()),
			})
		}
	}
	if len(found) == 0 {
		return ok("none of the %d quotas is used up", len(quotas)), nil
	}
	return found, nil
}

// usedUp reports whether nothing is left of an amount. A limit of zero is a ban, not an amount.
func usedUp(limit, used string) bool {
	l, err := resource.ParseQuantity(limit)
	u, err2 := resource.ParseQuantity(used)
	return err == nil && err2 == nil && !l.IsZero() && u.Cmp(l) >= 0
}

// ignoredAfter is how long a scheduler may take to say something about a pod.
const ignoredAfter = time.Minute

// checkSchedulers finds pods of jobs that no scheduler takes up, because the one that they name
// does not run, and a gang scheduler whose objects the cluster does not serve.
func checkSchedulers(ctx context.Context, c *Cluster) ([]Finding, error) {
	list, err := c.list(ctx, core("pods"), c.Namespace, commonv1.JobNameLabel)
	if err != nil {
		return nil, err
	}
	ignored := map[string][]string{}
	for i := range list {
		pod := &corev1.Pod{}
		if runtime.DefaultUnstructuredConverter.FromUnstructured(list[i].Object, pod) == nil && isIgnored(pod, c.Now) {
			ignored[pod.Spec.SchedulerName] = append(ignored[pod.Spec.SchedulerName], pod.Namespace+"/"+pod.Name)
		}
	}
	var found []Finding
	for name, pods := range ignored {
		slices.Sort(pods)
		found = append(found, Finding{
			Level:   Problem,
			Message: fmt.Sprintf("no scheduler has said anything about %d pods of jobs for a minute, such as %s: their scheduler %q does not run", len(pods), pods[0], name),
			Fix:     "start that scheduler, or change schedulerName in the pod templates",
		})
	}
	slices.SortFunc(found, func(a, b Finding) int { return strings.Compare(a.Message, b.Message) })
	gang, err := c.checkGang(ctx)
	if found = append(found, gang...); err != nil {
		return found, err
	}
	if len(found) == 0 {
		return ok("every pod of a job is known to its scheduler (%d pods)", len(list)), nil
	}
	return found, nil
}

// isIgnored reports whether a pod waits for a scheduler that has not said anything.
func isIgnored(pod *corev1.Pod, now time.Time) bool {
	if pod.Spec.NodeName != "" || len(pod.Spec.SchedulingGates) > 0 || pod.DeletionTimestamp != nil ||
		pod.Status.Phase != corev1.PodPending || now.Sub(pod.CreationTimestamp.Time) < ignoredAfter {
		return false
	}
	return !slices.ContainsFunc(pod.Status.Conditions, func(p corev1.PodCondition) bool { return p.Type == corev1.PodScheduled })
}

// gangKinds are the CRDs that gang schedulers need.
func gangKinds() map[string]string {
	return map[string]string{"volcano": "podgroups.scheduling.volcano.sh", "coscheduling": "podgroups.scheduling.x-k8s.io"}
}

// checkGang checks that the cluster serves the objects of the gang scheduler that the operator is
// told to use.
func (c *Cluster) checkGang(ctx context.Context) ([]Finding, error) {
	all, err := c.list(ctx, Deployments(), "", "")
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, d := range readAll(own(all)) {
		name := d.scope.GangScheduler
		crd := gangKinds()[name]
		if crd == "" {
			continue
		}
		there, err := c.get(ctx, crds(), "", crd)
		if err != nil {
			return found, err
		}
		if there == nil {
			found = append(found, Finding{
				Level: Problem, Message: fmt.Sprintf("the operator %s is to use %s, but the cluster has no %s: it does not start", place(d.object), name, crd),
				Fix: "install " + name + ", or remove --gang-scheduler-name",
			})
		}
	}
	return found, nil
}

// checkDNS checks that the cluster's DNS answers: replicas find each other by name.
func checkDNS(ctx context.Context, c *Cluster) ([]Finding, error) {
	why, err := c.answers(ctx, "kube-system", "kube-dns")
	if err != nil {
		return nil, err
	}
	if why == "" {
		return ok("the service kube-system/kube-dns answers"), nil
	}
	return []Finding{{
		Level: Warning, Message: "the service kube-system/kube-dns " + why + ": unless DNS is served otherwise, replicas do not find each other",
		Fix: "kubectl -n kube-system get pods -l k8s-app=kube-dns",
	}}, nil
}
