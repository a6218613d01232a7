package jobtest

import (
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jobkit/jobkit"
	"github.com/jobkit/jobkit/controller"
)

// Program is what runs in each process of the operator, for [NewWorldOf]: an author's part that
// needs a client, as that of controller.PodControl or controller.StatusWriter does, or a loop of
// the author's own. Each process begins with what these functions return, so what they hold is
// lost in a crash.
type Program[J client.Object] struct {
	// Author makes the author's part with the client of the process, whose calls may fail, and
	// which reads from caches. It is called once more than there are processes, for what the
	// World itself has to know of the kind. Required.
	Author func(client.Client) jobkit.ControllerInterface[J]
	// Loop makes the loop around the controller, which is set up. Default: it reads the job, and
	// calls ReconcileJobs.
	Loop func(client.Client, *controller.JobController[J]) reconcile.Reconciler
}
