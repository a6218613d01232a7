package jobkit

// Outcome is what an author's own code says about a job, in place of the rules.
type Outcome struct {
	// Succeeded and Failed end the job; Succeeded goes first.
	Succeeded, Failed bool
	// Running makes the job count as running.
	Running bool
	// Message is for the condition. Default: what the rules would say.
	Message string
}

// Warning is what the user of a job should know and what is no mistake. It becomes a
// warning event.
type Warning struct {
	// Reason is a word in CamelCase for machines, Message is a sentence for people.
	Reason, Message string
}
