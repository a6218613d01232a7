// Package crd holds the CustomResourceDefinitions of the kinds in this module, as
// generated from their Go types.
package crd

import "embed"

// Files are the CRDs, as <group>_<plural>.yaml.
//
//go:embed *_*.yaml
var Files embed.FS

// Example is the one of Files that is for trying out only: TestJob's. No documented install applies it.
const Example = "kubeflow.org_testjobs.yaml"
