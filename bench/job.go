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
	name, group, resource string
	// replicaSpecs is the field of the replicas, container their main container.
	replicaSpecs, container string
	// services are the modes that the kind knows, its default first.
	services []string
}

// batchJob is the reference of the field: an indexed Job of Kubernetes itself.
var batchJob = kind{name: "Job", group: "batch", resource: "jobs", container: "main", services: []string{noServices}} //nolint:gochecknoglobals // a constant

// kindNamed finds a kind by its name.
func kindNamed(name string) (kind, error) {
	kinds := []kind{
		{name: "TestJob", replicaSpecs: "testReplicaSpecs", container: "test-container", services: []string{perJob, perReplica}},
		{name: "TFJob", replicaSpecs: "tfReplicaSpecs", container: "tensorflow", services: []string{perReplica}},
		{name: "PyTorchJob", replicaSpecs: "pytorchReplicaSpecs", container: "pytorch", services: []string{perReplica}},
	}
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, fmt.Errorf("--kind is %q: use TestJob, TFJob or PyTorchJob", name)
	}
	k := kinds[i]
	k.group, k.resource = "kubeflow.org", strings.ToLower(k.name)+"s"
	return k, nil
}

func (k kind) gvr() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: k.group, Version: "v1", Resource: k.resource}
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
	var spec object
	if k.group == batchJob.group {
		template["spec"].(object)["restartPolicy"] = "Never" //nolint:forcetypeassert // made above
		n := int64(j.replicas)
		spec = object{"completionMode": "Indexed", "completions": n, "parallelism": n, "template": template}
	} else {
		policy := object{}
		if j.gang {
			policy["restartScope"] = scopeJob
		}
		if j.services != k.services[0] {
			policy["serviceMode"] = j.services
		}
		spec = object{"runPolicy": policy, k.replicaSpecs: object{"Worker": object{
			"replicas": int64(j.replicas), "restartPolicy": "ExitCode", "template": template,
		}}}
	}
	return &unstructured.Unstructured{Object: object{
		"apiVersion": k.group + "/v1", "kind": k.name, "metadata": object{"name": j.name}, "spec": spec,
	}}
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
	path := []string{statusField, "replicaStatuses", "Worker", "active"}
	if k.group == batchJob.group {
		path = []string{statusField, "ready"}
	}
	p.active, _, _ = unstructured.NestedInt64(u.Object, path...)
	p.restarts, _, _ = unstructured.NestedInt64(u.Object, statusField, "restarts")
	conditions, _, _ := unstructured.NestedSlice(u.Object, statusField, "conditions")
	for _, c := range conditions {
		c, ok := c.(object)
		if ok && c["status"] == "True" && slices.Contains([]any{"Succeeded", "Failed", "Complete"}, c["type"]) {
			p.finished = true
		}
	}
	return p
}
