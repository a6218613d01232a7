// Package console writes to the person, or the pipe, that jobkit was started from.
//
//   - [Streams] are the standard streams, and what is known about them.
//   - [Reporter] shows the progress of jobs: a table that is redrawn in place on a
//     terminal, plain lines in a pipe. What it shows is made by package jobview.
package console
