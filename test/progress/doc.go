// Package progress tests on a real control plane that jobs report their progress: the operator as
// its manifests have it run, in several replicas behind what stands for a Service, real tokens,
// and clients that know the three variables of the protocol and nothing else.
package progress
