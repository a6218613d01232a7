package simjob

// What the operator may do; "make generate" writes config/rbac/role.yaml from it.
//
// +kubebuilder:rbac:groups=sim.example.com,resources=simjobs,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=sim.example.com,resources=simjobs/status,verbs=patch
// +kubebuilder:rbac:groups=sim.example.com,resources=simjobs/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=services,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
