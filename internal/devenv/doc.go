// Package devenv gives tests, examples and the jobkit command a real Kubernetes
// control plane, with nothing but Go installed.
//
// The control plane is the program in the folder devcluster of this repository:
// etcd, kube-apiserver, kube-controller-manager, kube-scheduler and fake nodes
// in one process (its README.md describes how pods behave there). This package
//
//   - builds it ([Build]): minutes the first time, then from a cache in the
//     user's cache folder. The environment variable JOBKIT_DEVCLUSTER names a
//     ready binary instead.
//   - runs it for as long as the calling process lives ([Start]). A pipe ties the
//     two together, so that not even kill -9 leaves a cluster behind.
//   - or runs one for all ([Up], [Find], [Down]), for work at a terminal.
//
// A test of an operator needs only this:
//
//	cluster, err := devenv.Start(ctx, devenv.Options{CRDs: []string{"config/crd"}})
//	...
//	defer cluster.Stop()
//	config, err := cluster.RESTConfig()
package devenv
