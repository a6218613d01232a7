// Package stages holds, as data, what happens to fake nodes and the pods on them.
//
// Each file is one kwok Stage: which objects it is for, how long to wait, and
// what to change then. README.md of this module lists the annotations that
// steer pods.
package stages

import "embed"

// Files are the stages, one YAML document a file.
//
//go:embed *.yaml
var Files embed.FS
