// Package podtemplate has helpers for the SetClusterSpec of a kind: they set environment
// variables in a pod template, read its ports, and add init containers. All of it is pure.
package podtemplate
