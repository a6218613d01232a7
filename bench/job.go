package main

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// How many services a job has.
const (
	perJob     = "PerJob"
	perReplica = "PerReplica"
	noServices = "None"
)

// How much of a job restarts when one replica fails.
const (
	scopeReplica = "Replica"
	scopeJob     = "Job"
)

// runFor is the annotation that says how long the pods of the dev control plane run.
const runFor = "devcluster.jobkit.dev/run-for"

// kind is a kind of job that the bench can create. Jobs are handled without Go types,
// so that any operator can be measured.
type kind struct {
	name, group, version, resource string
	// replicaSpecs is the field of the replicas, container their main container.
	replicaSpecs, container string
	// services are the modes that the kind knows, its default first.
	services []string
}

// The kinds whose pods the Job controller of Kubernetes creates.
//
//nolint:gochecknoglobals // constants
var (
	// batchJob is the reference of the field: an indexed Job of Kubernetes itself.
	batchJob = kind{name: "Job", group: "batch", version: "v1", resource: "jobs", container: "main", services: []string{noServices}}
	// jobSet is a JobSet of one such Job, which restarts as a whole.
	jobSet = kind{
		name: "JobSet", group: "jobset.x-k8s.io", version: "v1alpha2", resource: "jobsets", container: "main", services: []string{perJob},
	}
)

// kindNamed finds a kind by its name.
func kindNamed(name string) (kind, error) {
	kinds := []kind{
		{name: "TestJob", replicaSpecs: "testReplicaSpecs", container: "test-container", services: []string{perJob, perReplica}},
		{name: "TFJob", replicaSpecs: "tfReplicaSpecs", container: "tensorflow", services: []string{perReplica}},
		{name: "PyTorchJob", replicaSpecs: "pytorchReplicaSpecs", container: "pytorch", services: []string{perReplica}},
		jobSet,
	}
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, fmt.Errorf("--kind is %q: use TestJob, TFJob, PyTorchJob or JobSet", name)
	}
	k := kinds[i]
	if k.group == "" {
		k.group, k.version, k.resource = "kubeflow.org", "v1", strings.ToLower(k.name)+"s"
	}
	return k, nil
}

func (k kind) gvr() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.group, Version: k.version, Resource: k.resource}
}

// job is what the bench asks an operator for.
type job struct {
	name     string
	replicas int
	services string
	// gang restarts the whole job when one replica fails.
	gang bool
	// runFor is how long the pods run; "" is forever.
	runFor string
}

// statusField is the field of the status, and the subresource of that name.
const statusField = "status"

type object = map[string]any

// manifest renders a job.
func (k kind) manifest(j job) *unstructured.Unstructured {
	annotations := object{}
	if j.runFor != "" {
		annotations[runFor] = j.runFor
	}
	template := object{
		"metadata": object{"annotations": annotations},
		"spec":     object{"containers": []any{object{"name": k.container, "image": "busybox"}}},
	}
	return &unstructured.Unstructured{Object: object{
		"apiVersion": k.group + "/" + k.version, "kind": k.name, "metadata": object{"name": j.name}, "spec": k.spec(j, template),
	}}
}

// spec is that of a job whose pods are made from a template.
func (k kind) spec(j job, template object) object {
	switch k.group {
	case batchJob.group:
		return indexedJob(j.replicas, template)
	case jobSet.group:
		one := indexedJob(j.replicas, template)
		one["backoffLimit"] = int64(0) // One failed pod is a failed Job, and that restarts the JobSet.
		return object{
			"network":        object{"enableDNSHostnames": true, "subdomain": j.name, "publishNotReadyAddresses": true},
			"failurePolicy":  object{"maxRestarts": int64(10)},
			"replicatedJobs": []any{object{"name": "worker", "replicas": int64(1), "template": object{"spec": one}}},
		}
	}
	policy := object{}
	if j.gang {
		policy["restartScope"] = scopeJob
	}
	if j.services != k.services[0] {
		policy["serviceMode"] = j.services
	}
	return object{"runPolicy": policy, k.replicaSpecs: object{"Worker": object{
		"replicas": int64(j.replicas), "restartPolicy": "ExitCode", "template": template,
	}}}
}

// indexedJob is the spec of an indexed Job.
func indexedJob(replicas int, template object) object {
	template["spec"].(object)["restartPolicy"] = "Never" //nolint:forcetypeassert // made by manifest
	n := int64(replicas)
	return object{"completionMode": "Indexed", "completions": n, "parallelism": n, "template": template}
}

// progress is what the status of a job reports.
type progress struct {
	// active is the number of pods that run.
	active int64
	// restarts are those that the status counts; 0 if the kind counts none.
	restarts int64
	// finished is true when the job has succeeded or failed.
	finished bool
}

// progressOf reads the status of a job.
func (k kind) progressOf(u *unstructured.Unstructured) progress {
	var p progress
	switch k.group {
	case batchJob.group:
		p.active, _, _ = unstructured.NestedInt64(u.Object, statusField, "ready")
	case jobSet.group:
		p.active = readyOfJobSet(u)
	default:
		p.active, _, _ = unstructured.NestedInt64(u.Object, statusField, "replicaStatuses", "Worker", "active")
	}
	p.restarts, _, _ = unstructured.NestedInt64(u.Object, statusField, "restarts")
	conditions, _, _ := unstructured.NestedSlice(u.Object, statusField, "conditions")
	for _, c := range conditions {
		c, ok := c.(object)
		if ok && c["status"] == "True" && slices.Contains([]any{"Succeeded", "Failed", "Complete", "Completed"}, c["type"]) {
			p.finished = true
		}
	}
	return p
}

// readyOfJobSet is how many pods of a JobSet run. Its status counts Jobs of which all pods do.
func readyOfJobSet(u *unstructured.Unstructured) int64 {
	jobs, _, _ := unstructured.NestedSlice(u.Object, "spec", "replicatedJobs")
	states, _, _ := unstructured.NestedSlice(u.Object, statusField, "replicatedJobsStatus")
	if len(jobs) != 1 || len(states) != 1 {
		return 0
	}
	spec, _ := jobs[0].(object)
	state, _ := states[0].(object)
	pods, _, _ := unstructured.NestedInt64(spec, "template", "spec", "parallelism")
	ready, _, _ := unstructured.NestedInt64(state, "ready")
	return ready * pods
}
