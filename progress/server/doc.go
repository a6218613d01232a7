// Package server is a server that receives reports of progress from the pods of jobs, in the
// protocol of Kubeflow Trainer, and writes them to status.trainerStatus. Training code that speaks
// it, for example Transformers, needs no change; docs/users/progress.md shows the rest.
//
//	reports, err := server.New(ctx, mgr, server.Options{
//		BindAddress: ":8443",
//		URL:         "https://my-operator-progress.my-namespace.svc",
//		Secret:      types.NamespacedName{Namespace: "my-namespace", Name: "my-operator-progress"},
//	})
//	...
//	jobs := &controller.JobController[*v1.MyJob]{Controller: myController, Progress: reports}
//
// It runs in every replica of the operator, whether that leads or not, so a Service may choose any
// of them. Reports are accepted at once and written later: at most one write in five seconds for a
// job. A report is good only with a token that the API server signed for a pod that is a live
// child of this very job.
//
// The operator needs these permissions beyond those of its controllers: get and update of the one
// Secret (and create, if it does not exist), patch of the status of its jobs, and get of the URLs
// /.well-known/openid-configuration and /openid/v1/jwks. config/components/progress has them.
package server
