package operator

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/jobkit/jobkit/operator"
)

// Scope is which jobs an operator runs, and how, as its command line and its environment say.
type Scope struct {
	// Namespace is the one whose jobs are run; empty is all.
	Namespace string
	// Kinds are those that are run, in lower case, by name.
	Kinds []string
	// GangScheduler is the one that it uses. Default: empty, none.
	GangScheduler string
	// LeaseNamespace is where its lease is. Default: empty, its own namespace.
	LeaseNamespace string
}

// errRead ends the start of the program once its flags have been read.
var errRead = errors.New("the flags have been read")

// reading is held while flags are read: package config of controller-runtime keeps one of them in a variable.
//
//nolint:gochecknoglobals // it guards a global variable of another package
var reading sync.Mutex

// ScopeOf reads a command line, without the program's name, as the operator does. It reads no file and
// starts nothing. The error is a mistake in the command line, or a flag that this version does not have.
func ScopeOf(args []string, getenv func(string) string) (Scope, error) {
	o := &options{getenv: getenv}
	program := o.program(args, io.Discard, io.Discard)
	program.Complete = func() error { return errRead }
	reading.Lock()
	_, err := operator.Parse(program, o.controllers()...)
	reading.Unlock()
	if !errors.Is(err, errRead) {
		return Scope{}, fmt.Errorf("it does not run jobs with these arguments: %w", err)
	}
	value := func(name string) string { return o.set.Lookup(name).Value.String() }
	s := Scope{
		Namespace: value("namespace"), GangScheduler: value("gang-scheduler-name"), LeaseNamespace: value("leader-election-namespace"),
	}
	for _, k := range o.selected() {
		s.Kinds = append(s.Kinds, k.Name)
	}
	return s, nil
}
