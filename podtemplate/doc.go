// Package podtemplate holds what the SetClusterSpec of most kinds does to a pod
// template: setting environment variables, and reading ports. All of it is pure.
package podtemplate
