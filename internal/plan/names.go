package plan

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// podNames are the names of the pods of one replica type. They give the replica of a pod
// without making the names of all.
type podNames struct {
	prefix string
	// whole is true when the prefix is the whole name.
	whole bool
}

func podNamesOf(k *jobkit.Kind, job string, t commonv1.ReplicaType) podNames {
	first := k.PodName(job, t, 0)
	if role := k.Role(t); role != nil && role.Unnumbered {
		return podNames{prefix: first, whole: true}
	}
	return podNames{prefix: strings.TrimSuffix(first, "0")}
}

// index is the index of the replica whose pod has this name.
func (n podNames) index(pod string) (int, bool) {
	digits, ok := strings.CutPrefix(pod, n.prefix)
	if n.whole || !ok {
		return 0, ok && digits == ""
	}
	i, err := strconv.Atoi(digits)
	// "007" and "+7" are numbers, but not part of any pod's name.
	return i, err == nil && (digits[0] >= '1' && digits[0] <= '9' || digits == "0")
}

// ControllersLabels are the labels that the controller sets on pods and services. A pod template
// cannot have them. Others under the same domain are the user's.
func ControllersLabels() []string {
	return []string{
		commonv1.OperatorNameLabel, commonv1.JobNameLabel, commonv1.ReplicaTypeLabel, commonv1.ReplicaIndexLabel,
		commonv1.JobRoleLabel, commonv1.AttemptLabel, commonv1.PodGroupLabel,
	}
}

// typeLabels select the pods of one replica type of a job.
func typeLabels(kind jobkit.Kind, job string, t commonv1.ReplicaType) labels.Set {
	set := kind.JobLabels(job)
	set[commonv1.ReplicaTypeLabel] = strings.ToLower(string(t))
	return set
}

// replicaLabels select the pod of one replica of a job.
func replicaLabels(kind jobkit.Kind, job string, t commonv1.ReplicaType, index int32) labels.Set {
	set := typeLabels(kind, job, t)
	set[commonv1.ReplicaIndexLabel] = strconv.Itoa(int(index))
	return set
}
