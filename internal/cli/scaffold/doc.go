// Package scaffold writes the module of a new job operator: what its author would otherwise
// copy from an example.
//
//   - [Read] reads what the author says of the kind, and explains what is wrong with it.
//   - [Project.Files] makes the files, from the templates in the folder of that name: one a
//     file, with the same place and name. It is pure.
//   - [Project.Write] writes them, and replaces nothing.
//
// The folder examples/simjob of this repository is written by this package; a test compares.
package scaffold
