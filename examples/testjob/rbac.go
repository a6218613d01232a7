package testjob

// What the operator may do; config/rbac/testjob is generated from it.
//
// +kubebuilder:rbac:groups=kubeflow.org,resources=testjobs,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=kubeflow.org,resources=testjobs/status,verbs=patch
// +kubebuilder:rbac:groups=kubeflow.org,resources=testjobs/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
