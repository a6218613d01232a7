// Package messages has the messages of conditions that clients of kubeflow.org/v1 know.
package messages

import "github.com/jobkit/jobkit"

// Unqualified returns messages that name the job without its namespace, as the kinds that have a
// master do.
func Unqualified(kind, job string) jobkit.Messages {
	name := kind + " " + job
	return jobkit.Messages{
		Running: name + " is running.", Succeeded: name + " is successfully completed.",
		Restarting: name + " is restarting", Failed: name + " is failed",
	}
}
