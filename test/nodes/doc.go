// Package nodes runs the operators on real nodes: two kubelets with containers, networks
// and names of their own, joined to the dev control plane, and programs in the pods that
// talk to each other. All of it runs in a sandbox (package sandbox) on this machine.
//
// The tests have the build tag "nodes"; "make test-nodes" runs them. README.md says what they
// need.
package nodes
