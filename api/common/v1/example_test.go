package v1_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// How to tell from a status whether a job is over, and how it ended.
func ExampleJobStatus_Finished() {
	status := commonv1.JobStatus{Conditions: []commonv1.JobCondition{
		{Type: commonv1.JobCreated, Status: corev1.ConditionTrue},
		{Type: commonv1.JobRunning, Status: corev1.ConditionFalse},
		{Type: commonv1.JobFailed, Status: corev1.ConditionTrue, Message: "1 Worker replica(s) failed."},
	}}
	if status.Finished() {
		fmt.Println("succeeded:", status.IsTrue(commonv1.JobSucceeded))
		fmt.Println(status.Condition(commonv1.JobFailed).Message)
	}
	// Output:
	// succeeded: false
	// 1 Worker replica(s) failed.
}
