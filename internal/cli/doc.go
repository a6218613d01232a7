// Package cli is the command line of jobkit: its commands, flags and exit codes.
// What the commands do is in the packages that it calls; here is only how they are
// asked for and how they answer.
package cli
