package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// The interfaces below are optional, as those of package jobkit are: a Controller that implements
// one of them replaces what the library does on the API server. It is found once, at set-up, and
// logged.

// PodControl creates and deletes pods in place of the library. Delete must honour
// the UID, and the resource version and the deletion grace period where they are
// set; the errors of both are those of the API server. They are called from several
// goroutines at once, for pods of one job, too.
type PodControl[J client.Object] interface {
	CreatePod(ctx context.Context, job J, pod *corev1.Pod) error
	DeletePod(ctx context.Context, job J, pod *corev1.Pod) error
}

// ServiceControl creates, updates and deletes services in place of the library, as
// [PodControl] does pods, and from several goroutines at once as well. Update changes ports,
// selector, and publishNotReadyAddresses where it is true, and must honour the UID and the
// resource version.
type ServiceControl[J client.Object] interface {
	CreateService(ctx context.Context, job J, service *corev1.Service) error
	UpdateService(ctx context.Context, job J, service *corev1.Service) error
	DeleteService(ctx context.Context, job J, service *corev1.Service) error
}

// ChildLister finds the pods and services of a job in place of the library, which
// looks them up in the cache by the UID of their controller. It must return only
// those whose controller is the job.
type ChildLister[J client.Object] interface {
	ListPods(ctx context.Context, job J) ([]*corev1.Pod, error)
	ListServices(ctx context.Context, job J) ([]*corev1.Service, error)
}

// StatusWriter writes the status of a job in place of the library. The write must
// fail with a conflict if the job's resource version is no longer the given one.
type StatusWriter[J client.Object] interface {
	WriteStatus(ctx context.Context, job J, status *commonv1.JobStatus) error
}
