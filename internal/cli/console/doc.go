// Package console writes to the person, or the pipe, that jobkit was started from.
//
//   - [Streams] are the standard streams, and what is known about them.
//   - [Block] is text at the bottom of a terminal that is redrawn in place.
//   - [Clean] makes text from elsewhere safe to show.
package console
