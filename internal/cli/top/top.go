// Package top shows what jobs use: their replicas by state, and what their pods ask for.
package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/jobkit/jobkit/gang"
	"github.com/jobkit/jobkit/internal/cli/console"
	"github.com/jobkit/jobkit/internal/cli/jobs"
)

// Usage is what one job uses.
type Usage struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	State     string `json:"state"`
	Wanted    int    `json:"wanted"`
	Pending   int    `json:"pending"`
	Running   int    `json:"running"`
	Succeeded int    `json:"succeeded"`
	Failed    int    `json:"failed"`
	// Requests are those of the pods that have not ended; nil if the pods cannot be read.
	Requests corev1.ResourceList `json:"requests"`
}

// Of is what jobs use, the largest first.
func Of(found []jobs.Found) []Usage {
	all := make([]Usage, 0, len(found))
	for i := range found {
		view := found[i].View()
		tally := view.Tally()
		u := Usage{
			Kind: view.Kind, Namespace: view.Namespace, Name: view.Name, State: view.State(),
			Pending: tally.Pending, Running: tally.Running, Succeeded: tally.Succeeded, Failed: tally.Failed,
			Requests: corev1.ResourceList{},
		}
		for _, n := range view.Replicas {
			u.Wanted += n
		}
		for _, pod := range found[i].Pods {
			if pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed {
				add(u.Requests, gang.PodRequests(&pod.Spec))
			}
		}
		if found[i].NoPods != nil {
			u.Requests = nil
		}
		all = append(all, u)
	}
	slices.SortStableFunc(all, func(a, b Usage) int { return cmp.Compare(b.Running+b.Pending, a.Running+a.Pending) })
	return all
}

// add adds amounts to a sum.
func add(sum, more corev1.ResourceList) {
	for name, q := range more {
		total := sum[name]
		total.Add(q)
		sum[name] = total
	}
}

// Table shows what jobs use, with a last line for their sum.
func Table(all []Usage) []string {
	total := Usage{Name: "total", Requests: corev1.ResourceList{}}
	rows := [][]string{{"JOB", "KIND", "STATE", "WANTED", "PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CPU", "MEMORY", "OTHER"}}
	several := slices.ContainsFunc(all, func(u Usage) bool { return u.Namespace != all[0].Namespace })
	for _, u := range all {
		if several {
			u.Name = u.Namespace + "/" + u.Name
		}
		rows = append(rows, u.cells())
		total.Wanted += u.Wanted
		total.Pending += u.Pending
		total.Running += u.Running
		total.Succeeded += u.Succeeded
		total.Failed += u.Failed
		add(total.Requests, u.Requests)
	}
	if len(all) > 1 {
		rows = append(rows, total.cells())
	}
	return console.Columns(rows, 3, 4, 5, 6, 7, 8, 9) //nolint:mnd // the numbers are on the right
}

// cells are those of a job's row.
func (u Usage) cells() []string {
	cpu, memory := amount(u.Requests, corev1.ResourceCPU), amount(u.Requests, corev1.ResourceMemory)
	if u.Requests == nil {
		cpu, memory = "?", "?"
	}
	return []string{
		console.Clean(u.Name), console.Clean(u.Kind), console.Clean(u.State),
		count(u.Wanted), count(u.Pending), count(u.Running), count(u.Succeeded), count(u.Failed),
		cpu, memory, others(u.Requests),
	}
}

func count(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

// amount is how much of a resource is asked for.
func amount(r corev1.ResourceList, name corev1.ResourceName) string {
	q, ok := r[name]
	if !ok || q.IsZero() {
		return "-"
	}
	if name == corev1.ResourceMemory {
		return memory(q)
	}
	return q.String()
}

// memory is an amount in the largest unit in which it is above one.
func memory(q resource.Quantity) string {
	const kilo = 1024
	value, unit := float64(q.Value()), ""
	for _, next := range []string{"Ki", "Mi", "Gi", "Ti"} {
		if value < kilo {
			break
		}
		value, unit = value/kilo, next
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + unit
}

// others are the resources beside CPU and memory.
func others(r corev1.ResourceList) string {
	var out []string
	for name, q := range r {
		if name != corev1.ResourceCPU && name != corev1.ResourceMemory {
			out = append(out, console.Clean(string(name))+"="+q.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}
