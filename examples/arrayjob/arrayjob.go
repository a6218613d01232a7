// Package arrayjob is a complete kind whose replicas do not know each other, as in a batch array
// job: each index has a limit of its own, one that fails for good does not stop the others, and
// the status says which have succeeded.
package arrayjob

import (
	"cmp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	arrayv1 "github.com/jobkit/jobkit/examples/arrayjob/v1"
	"github.com/jobkit/jobkit/podtemplate"
)

// Controller is the kind.
type Controller struct{}

// What it implements. A method with a wrong signature does not compile.
var (
	_ jobkit.ControllerInterface[*arrayv1.ArrayJob] = Controller{}
	_ jobkit.Defaulter[*arrayv1.ArrayJob]           = Controller{}
	_ jobkit.Validator[*arrayv1.ArrayJob]           = Controller{}
	_ jobkit.StatusReporter[*arrayv1.ArrayJob]      = Controller{}
)

// Kind says what is true of every ArrayJob. Tasks need no host names, so there is no service.
func (Controller) Kind() jobkit.Kind {
	return jobkit.Kind{
		Roles:         []jobkit.Role{{Type: arrayv1.Task, Required: true, Min: 1, Max: 10_000}},
		ContainerName: arrayv1.ContainerName,
		RestartPolicy: commonv1.RestartPolicyExitCode,
		ServiceMode:   commonv1.ServiceModeNone,
	}
}

// Parts points at what the library reads and writes.
func (Controller) Parts(job *arrayv1.ArrayJob) jobkit.JobParts {
	return jobkit.JobParts{RunPolicy: &job.Spec.RunPolicy, ReplicaSpecs: job.Spec.ReplicaSpecs, Status: &job.Status.JobStatus}
}

// Default gives each index two restarts.
func (Controller) Default(job *arrayv1.ArrayJob) {
	job.Spec.RunPolicy.BackoffLimitPerReplica = cmp.Or(job.Spec.RunPolicy.BackoffLimitPerReplica, new(int32(2)))
}

// Validate wants an argument for each index, or none.
func (Controller) Validate(job *arrayv1.ArrayJob) field.ErrorList {
	have, want := len(job.Spec.Arguments), int(jobkit.Count(job.Spec.ReplicaSpecs))
	if have == 0 || have == want {
		return nil
	}
	fix := "set one for each of the " + strconv.Itoa(want) + " indexes, or none"
	return field.ErrorList{field.Invalid(field.NewPath("spec", "arguments"), have, fix)}
}

// Rules says that an index which fails for good does not stop the others. The job fails when
// they have all ended.
func (Controller) Rules(*arrayv1.ArrayJob) jobkit.Rules {
	return jobkit.Rules{Optional: []jobkit.ReplicaSelector{jobkit.All(arrayv1.Task)}}
}

// SetClusterSpec tells each Task its index and its argument.
func (Controller) SetClusterSpec(job *arrayv1.ArrayJob, r jobkit.Replica, template *corev1.PodTemplateSpec) error {
	env := podtemplate.Env{podtemplate.Fixed("TASK_INDEX", r.Index()), podtemplate.Fixed("TASK_COUNT", r.Count())}
	if i := int(r.Index()); i < len(job.Spec.Arguments) {
		env = append(env, podtemplate.Fixed("TASK_ARGUMENT", job.Spec.Arguments[i]))
	}
	env.ApplyToAll(template)
	return nil
}

// ReportStatus reports which indexes have succeeded.
func (Controller) ReportStatus(job *arrayv1.ArrayJob, tally *jobkit.Tally) []jobkit.Event {
	job.Status.CompletedIndexes = completed(tally.Of(arrayv1.Task))
	return nil
}

// mostRanges bounds the text: what the status holds must stay small.
const mostRanges = 100

// completed writes the indexes that have succeeded as ranges.
func completed(tasks *jobkit.TypeTally) string {
	if tasks == nil {
		return ""
	}
	var ranges []string
	done := func(i int) bool { return i < len(tasks.States) && tasks.States[i] == jobkit.Succeeded }
	for i := 0; i < len(tasks.States) && len(ranges) < mostRanges; i++ {
		if !done(i) {
			continue
		}
		first := i
		for done(i + 1) {
			i++
		}
		text := strconv.Itoa(first)
		if i > first {
			text += "-" + strconv.Itoa(i)
		}
		ranges = append(ranges, text)
	}
	return strings.Join(ranges, ",")
}
