package v1

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// runPolicyPath and the like are where the fields are.
func runPolicyPath() *field.Path { return field.NewPath("spec", "runPolicy") }
func elasticPath() *field.Path   { return field.NewPath("spec", "elasticPolicy") }

// specsPath is where the replica specs of a kind are.
func specsPath(name string) *field.Path { return field.NewPath("spec", name) }

// accepted reports whether a job was accepted before, perhaps by training-operator v1. What v1 runs goes
// on here, although it is refused in a new job.
func accepted(s *commonv1.JobStatus) bool { return s.Condition(commonv1.JobCreated) != nil }

// ValidateTFJob finds the mistakes that are particular to a TFJob. Each error names
// the field, the value and the fix. It can be given anything, with or without
// defaults. A job whose status says that it was accepted may have what training-operator
// v1 runs.
func ValidateTFJob(job *TFJob) field.ErrorList {
	path := specsPath("tfReplicaSpecs")
	errs := validateManagedBy(&job.Spec.RunPolicy)
	if !accepted(&job.Status) {
		errs = append(errs, validateNewTFJob(job, path)...)
	}
	errs = append(errs, validateImages(job.Spec.TFReplicaSpecs, path)...)
	chief, master := job.Spec.TFReplicaSpecs.get(TFJobReplicaTypeChief), job.Spec.TFReplicaSpecs.get(TFJobReplicaTypeMaster)
	if chief != nil && master != nil {
		errs = append(errs, field.Forbidden(path.Key(string(TFJobReplicaTypeMaster)),
			"Chief and Master are two names of one role, of which a TFJob has one replica: remove one of them"))
	}
	return errs
}

// validateNewTFJob refuses what v1 runs, although its user means something else: it takes a success
// policy that it does not know for the default, and waits for the success of each Chief.
func validateNewTFJob(job *TFJob, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p := job.Spec.SuccessPolicy; p != nil && *p != SuccessPolicyDefault && *p != SuccessPolicyAllWorkers {
		errs = append(errs, field.NotSupported(field.NewPath("spec", "successPolicy"), *p,
			[]SuccessPolicy{SuccessPolicyDefault, SuccessPolicyAllWorkers}))
	}
	for _, t := range []commonv1.ReplicaType{TFJobReplicaTypeChief, TFJobReplicaTypeMaster} {
		if spec := job.Spec.TFReplicaSpecs.get(t); spec != nil && spec.Replicas != nil && *spec.Replicas > 1 {
			errs = append(errs, field.Invalid(path.Key(string(t)).Child("replicas"), *spec.Replicas,
				fmt.Sprintf("a TFJob has at most one %s: set it to 1", t)))
		}
	}
	return errs
}

// ValidatePyTorchJob finds the mistakes that are particular to a PyTorchJob. Each
// error names the field, the value and the fix. It can be given anything, with or
// without defaults.
func ValidatePyTorchJob(job *PyTorchJob) field.ErrorList {
	path, specs := specsPath("pytorchReplicaSpecs"), job.Spec.PyTorchReplicaSpecs
	errs := validateManagedBy(&job.Spec.RunPolicy)
	errs = append(errs, validateImages(specs, path)...)
	e := job.Spec.ElasticPolicy
	if e == nil {
		return errs
	}
	errs = append(errs, validateElastic(e.MinReplicas, e.MaxReplicas, e.MaxRestarts, specs, path)...)
	if e.NProcPerNode != nil && job.Spec.NprocPerNode != nil {
		errs = append(errs, field.Forbidden(elasticPath().Child("nProcPerNode"), fmt.Sprintf(
			"it is %d and spec.nprocPerNode is %q, which says the same: remove this one, it is deprecated",
			*e.NProcPerNode, *job.Spec.NprocPerNode)))
	}
	if p := e.RDZVPort; p != nil && (*p < 0 || *p > 65535) {
		errs = append(errs, field.Invalid(elasticPath().Child("rdzvPort"), *p, "must be from 0 to 65535"))
	}
	return errs
}

// ValidateMPIJob finds the mistakes that are particular to an MPIJob. Each error
// names the field, the value and the fix. It can be given anything, with or
// without defaults.
func ValidateMPIJob(job *MPIJob) field.ErrorList {
	errs := validateManagedBy(&job.Spec.RunPolicy)
	if n := job.Spec.SlotsPerWorker; n != nil && *n < 0 {
		errs = append(errs, field.Invalid(field.NewPath("spec", "slotsPerWorker"), *n, "must be 0 or more"))
	}
	if p := job.Spec.LauncherCreationPolicy; p != nil && *p != LauncherCreationAtStartup && *p != LauncherCreationWaitForWorkersReady {
		errs = append(errs, field.NotSupported(field.NewPath("spec", "launcherCreationPolicy"), *p,
			[]LauncherCreationPolicy{LauncherCreationAtStartup, LauncherCreationWaitForWorkersReady}))
	}
	errs = append(errs, validateImages(job.Spec.MPIReplicaSpecs, specsPath("mpiReplicaSpecs"))...)
	return append(errs, validateMainContainer(job)...)
}

// validateMainContainer checks that the launcher finds the container in which it
// is to start processes.
func validateMainContainer(job *MPIJob) field.ErrorList {
	worker := job.Spec.MPIReplicaSpecs.get(MPIJobReplicaTypeWorker)
	if job.Spec.MainContainer == "" || worker == nil || worker.Replicas == nil || *worker.Replicas == 0 {
		return nil
	}
	var names []string
	for i := range worker.Template.Spec.Containers {
		if worker.Template.Spec.Containers[i].Name == job.Spec.MainContainer {
			return nil
		}
		names = append(names, strconv.Quote(worker.Template.Spec.Containers[i].Name))
	}
	return field.ErrorList{field.Invalid(field.NewPath("spec", "mainContainer"), job.Spec.MainContainer,
		fmt.Sprintf("Worker has no container of that name, it has %s: name one of them", strings.Join(names, ", ")))}
}

// ValidateXGBoostJob finds the mistakes that are particular to an XGBoostJob. Each
// error names the field, the value and the fix. It can be given anything, with or
// without defaults.
func ValidateXGBoostJob(job *XGBoostJob) field.ErrorList {
	errs := validateManagedBy(&job.Spec.RunPolicy)
	return append(errs, validateImages(job.Spec.XGBReplicaSpecs, specsPath("xgbReplicaSpecs"))...)
}

// ValidatePaddleJob finds the mistakes that are particular to a PaddleJob. Each
// error names the field, the value and the fix. It can be given anything, with or
// without defaults.
func ValidatePaddleJob(job *PaddleJob) field.ErrorList {
	path, specs := specsPath("paddleReplicaSpecs"), job.Spec.PaddleReplicaSpecs
	errs := validateManagedBy(&job.Spec.RunPolicy)
	errs = append(errs, validateImages(specs, path)...)
	if e := job.Spec.ElasticPolicy; e != nil && !accepted(&job.Status) {
		errs = append(errs, validateElastic(e.MinReplicas, e.MaxReplicas, e.MaxRestarts, specs, path)...)
	}
	return errs
}

// ValidateJAXJob finds the mistakes that are particular to a JAXJob. Each error
// names the field, the value and the fix. It can be given anything, with or
// without defaults.
func ValidateJAXJob(job *JAXJob) field.ErrorList {
	errs := validateManagedBy(&job.Spec.RunPolicy)
	return append(errs, validateImages(job.Spec.JAXReplicaSpecs, specsPath("jaxReplicaSpecs"))...)
}

// validateManagedBy checks which controller the job names.
func validateManagedBy(p *commonv1.RunPolicy) field.ErrorList {
	known := []string{commonv1.ManagedByTrainingOperator, commonv1.ManagedByMultiKueue}
	if p.ManagedBy == nil || *p.ManagedBy == "" || slices.Contains(known, *p.ManagedBy) {
		return nil
	}
	return field.ErrorList{field.NotSupported(runPolicyPath().Child("managedBy"), *p.ManagedBy, known)}
}

// validateImages checks that every container has an image, which the pod template
// of the API does not ask for.
func validateImages(specs ReplicaSpecs, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, t := range specs.types() {
		if specs[t] == nil {
			continue
		}
		pod, podPath := &specs[t].Template.Spec, path.Key(string(t)).Child("template", "spec")
		errs = append(errs, imagesOf(pod.InitContainers, podPath.Child("initContainers"))...)
		errs = append(errs, imagesOf(pod.Containers, podPath.Child("containers"))...)
	}
	return errs
}

func imagesOf(containers []corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range containers {
		if containers[i].Image == "" {
			errs = append(errs, field.Required(path.Index(i).Child("image"), fmt.Sprintf("container %q has none: name one", containers[i].Name)))
		}
	}
	return errs
}

// validateElastic checks what elastic policies have in common.
func validateElastic(least, most, restarts *int32, specs ReplicaSpecs, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if specs.get("Worker") == nil {
		errs = append(errs, field.Forbidden(elasticPath(), fmt.Sprintf(
			"it scales Workers, and the job has none: add Worker to %s, or remove elasticPolicy", path)))
	}
	atLeast := func(name string, v *int32, n int32) {
		if v != nil && *v < n {
			errs = append(errs, field.Invalid(elasticPath().Child(name), *v, fmt.Sprintf("must be %d or more", n)))
		}
	}
	atLeast("minReplicas", least, 1)
	atLeast("maxReplicas", most, 1)
	atLeast("maxRestarts", restarts, 0)
	if least != nil && most != nil && *least > *most {
		errs = append(errs, field.Invalid(elasticPath().Child("minReplicas"), *least, fmt.Sprintf(
			"is more than maxReplicas, %d: lower it, or raise maxReplicas", *most)))
	}
	return errs
}
