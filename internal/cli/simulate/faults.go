package simulate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// FaultKind is a way in which something goes wrong, or is done to the job.
type FaultKind string

// The kinds of faults. Each is the name of its flag.
const (
	// Fail ends the containers of a replica with an exit code.
	Fail FaultKind = "fail"
	// Hang has the program of a replica do nothing any more, without an end.
	Hang FaultKind = "hang"
	// Evict evicts the pod of a replica, as kubectl drain does.
	Evict FaultKind = "evict"
	// Preempt has the scheduler take the place of a replica for a pod of higher priority.
	Preempt FaultKind = "preempt"
	// Drain evicts all pods of a node.
	Drain FaultKind = "drain"
	// NodeLoss cuts a node off: it no longer answers.
	NodeLoss FaultKind = "node-loss"
	// NodeRemoval removes a node for good, as a cloud does with a machine that it has lost.
	NodeRemoval FaultKind = "node-removal"
	// Suspend and Resume set the field suspend of the job's runPolicy.
	Suspend FaultKind = "suspend"
	Resume  FaultKind = "resume"
)

// Fault is one thing that happens to a job.
type Fault struct {
	Kind FaultKind
	// Target is a replica ("worker-1") or, for faults of nodes, a node ("node-1") or the
	// replica whose node it is.
	Target string
	// At is when it happens, since the job was submitted.
	At time.Duration
	// ExitCode is that of Fail.
	ExitCode int32
	// Back is how long after NodeLoss the node is back. Default: 0, never.
	Back time.Duration
}

// aim says what a kind of fault is aimed at.
func (k FaultKind) aim() string {
	switch k {
	case Drain, NodeLoss, NodeRemoval:
		return "NODE"
	case Fail, Hang, Evict, Preempt:
		return "REPLICA"
	case Suspend, Resume:
		return ""
	}
	return ""
}

// Form is how the value of a kind's flag is written.
func (k FaultKind) Form() string {
	switch {
	case k.aim() == "":
		return "TIME"
	case k == Fail:
		return "REPLICA@TIME=CODE"
	case k == NodeLoss:
		return "NODE@TIME[=BACK]"
	}
	return k.aim() + "@TIME"
}

// example is a value of a kind's flag that is right.
func (k FaultKind) example() string {
	switch {
	case k.aim() == "":
		return "20s"
	case k == Fail:
		return "worker-1@30s=137"
	case k == NodeLoss:
		return "node-1@45s or node-1@45s=10m"
	case k.aim() == "NODE":
		return "node-1@45s"
	}
	return "worker-1@30s"
}

// ReadFault reads the value of a flag. The error names the flag, the value and what is right.
func ReadFault(kind FaultKind, text string) (Fault, error) {
	f := Fault{Kind: kind}
	wrong := func(what string) (Fault, error) {
		return Fault{}, fmt.Errorf("--%s is %q: %s: write %s, for example %s", kind, text, what, kind.Form(), kind.example())
	}
	rest := text
	if kind.aim() != "" {
		var found bool
		f.Target, rest, found = strings.Cut(text, "@")
		if !found {
			return wrong("it has no @ with a time")
		}
		if f.Target == "" {
			return wrong("nothing is named before the @")
		}
	}
	at, value, valued := strings.Cut(rest, "=")
	var err error
	f.At, err = time.ParseDuration(at)
	if err != nil || f.At < 0 {
		return wrong(fmt.Sprintf("%q is not a time since the start", at))
	}
	f.Target = strings.ToLower(f.Target)
	switch {
	case kind == Fail:
		code, err := strconv.ParseUint(value, 10, 8)
		if err != nil || code == 0 {
			return wrong("an exit code from 1 to 255 is missing at its end")
		}
		f.ExitCode = int32(code)
	case kind == NodeLoss && valued:
		f.Back, err = time.ParseDuration(value)
		if err != nil || f.Back <= 0 {
			return wrong(fmt.Sprintf("%q is not how long it is lost", value))
		}
	case valued:
		return wrong(fmt.Sprintf("%q says more than there is to say", "="+value))
	}
	return f, nil
}

// String is a fault in words.
func (f Fault) String() string {
	at := " at " + clock(f.At)
	switch f.Kind {
	case Fail:
		return fmt.Sprintf("%s fails with exit code %d%s", f.Target, f.ExitCode, at)
	case Hang:
		return f.Target + " hangs" + at
	case Evict:
		return f.Target + " is evicted" + at
	case Preempt:
		return f.Target + " is preempted" + at
	case Drain:
		return nodeOf(f.Target) + " is drained" + at
	case NodeLoss:
		if f.Back > 0 {
			at += " for " + clock(f.Back)
		}
		return nodeOf(f.Target) + " is lost" + at
	case NodeRemoval:
		return nodeOf(f.Target) + " is removed" + at
	case Suspend:
		return "the job is suspended" + at
	case Resume:
		return "the job is resumed" + at
	}
	return string(f.Kind) + at
}

// nodeOf names the node that a fault is aimed at.
func nodeOf(target string) string {
	if strings.HasPrefix(target, nodePrefix) {
		return target
	}
	return "the node of " + target
}

// nodePrefix begins the names of the simulated nodes.
const nodePrefix = "node-"

// RunFor is how long the pods of a job run.
type RunFor struct {
	// All is how long those of types run that are not in Types.
	All time.Duration
	// Types holds others, by replica type in lower case.
	Types map[string]time.Duration
}

// ReadRunFor reads values like "60s" and "master=90s". Later ones count.
func ReadRunFor(values []string) (RunFor, error) {
	r := RunFor{All: DefaultRunFor, Types: map[string]time.Duration{}}
	for _, text := range values {
		name, value, typed := strings.Cut(text, "=")
		if !typed {
			value = name
		}
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 || typed && name == "" {
			return r, fmt.Errorf("--run-for is %q: write a time above 0, for example 60s, or one for a replica type, for example master=90s", text)
		}
		if typed {
			r.Types[strings.ToLower(name)] = d
		} else {
			r.All = d
		}
	}
	return r, nil
}

// DefaultRunFor is how long pods run if nothing else is said.
const DefaultRunFor = time.Minute
