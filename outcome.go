package jobkit

// Outcome is what an author's own code decides about a job, instead of the rules.
type Outcome struct {
	// Succeeded and Failed end the job; Succeeded goes first.
	Succeeded, Failed bool
	// Running makes the job count as running.
	Running bool
	// Message is for the condition. Default: the message of the rules.
	Message string
}

// Warning is what the user of a job should know but what is not a mistake. It becomes a
// warning event.
type Warning struct {
	// Reason is a word in CamelCase for machines, Message is a sentence for people.
	Reason, Message string
}
