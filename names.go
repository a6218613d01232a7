package jobkit

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/labels"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// podName is the name of a replica's pod, and of its service where each replica
// has one: <job>-<type in lower case>-<index>.
func podName(job string, t commonv1.ReplicaType, index int32) string {
	// A reconcile needs the name of every replica, so only the name itself is allocated.
	name := make([]byte, 0, 64)
	name = append(append(name, job...), '-')
	for _, r := range t {
		name = utf8.AppendRune(name, unicode.ToLower(r))
	}
	return string(strconv.AppendInt(append(name, '-'), int64(index), 10))
}

// RoleServiceName is the name of the service that a role has by [Role].Service:
// <job>-<type in lower case>-svc. No pod or other service of the job has it.
func (k *Kind) RoleServiceName(job string, t commonv1.ReplicaType) string {
	return job + "-" + strings.ToLower(string(t)) + "-svc"
}

// JobLabels select all pods of a job. If the kind has no OperatorName, the default is used, as at
// set-up. If it has no Name either, the labels select by the job's name alone, and then also
// select the pods of a job of another kind with that name.
func (k *Kind) JobLabels(job string) labels.Set {
	set := labels.Set{commonv1.JobNameLabel: job}
	if name := k.operatorName(); name != "" {
		set[commonv1.OperatorNameLabel] = name
	}
	return set
}
