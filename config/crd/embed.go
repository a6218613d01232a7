// Package crd holds the CustomResourceDefinitions of the kinds in this module, as
// generated from their Go types.
package crd

import "embed"

// Files are the CRDs, as <group>_<plural>.yaml.
//
//go:embed *_*.yaml
var Files embed.FS
