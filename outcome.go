package jobkit

// Outcome is what an author's own code decides about a job, instead of the rules.
type Outcome struct {
	// Succeeded and Failed end the job; Succeeded goes first.
	Succeeded, Failed bool
	// Running makes the job count as running.
	Running bool
	// Reason is a word in CamelCase for machines, which becomes the reason of the condition
	// Succeeded or Failed. Start it with the name of the kind, as the library's own reasons do.
	// Default: the kind and the condition, for example "SimJobFailed".
	Reason string
	// Message is a sentence for people, which becomes the message of that condition.
	// Default: the message of the rules.
	Message string
}

// Event is something that happened once and that the users of a job should know. It is recorded
// as an event of the job.
type Event struct {
	// Warning is true for a warning. Default: false, a normal event.
	Warning bool
	// Reason is a word in CamelCase for machines, Message is a sentence for people. Both are
	// required. Messages are cut at 1,000 bytes.
	Reason, Message string
}

// Warning is what the user of a job should know but what is not a mistake. It becomes a
// warning event.
type Warning struct {
	// Reason is a word in CamelCase for machines, Message is a sentence for people.
	Reason, Message string
}
