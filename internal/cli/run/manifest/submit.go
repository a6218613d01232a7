package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"
)

// Discovery lists the kinds that a cluster serves; client-go's discovery client implements it.
type Discovery interface {
	// ServerResourcesForGroupVersionWithContext lists the resources of an API version.
	ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
	// ServerGroupsWithContext lists the API groups and their versions.
	ServerGroupsWithContext(ctx context.Context) (*metav1.APIGroupList, error)
}

// Submitter submits jobs to a cluster.
type Submitter struct {
	// Client and Discovery speak to the cluster.
	Client    dynamic.Interface
	Discovery Discovery
	// Namespace is where jobs go that name none.
	Namespace string
	// Forced means that Namespace was asked for, so that a job which names another
	// one is an error. Default: false, the job's own namespace is used.
	Forced bool
	// Replace deletes a job of the same name before. Default: false, it is an error.
	Replace bool
	// Say tells the user what takes long. Default: nil, nothing is said.
	Say func(string)
	// HowToInstall says how to install the CRD of a kind, or returns an empty string
	// if it does not know. Default: nil, it knows none.
	HowToInstall func(schema.GroupVersionKind) string
}

// Job is a job that was submitted, or is about to be.
type Job struct {
	Document

	// Resource is what the cluster calls the kind.
	Resource schema.GroupVersionResource
	// UID is what the cluster calls the job; empty until it is submitted.
	UID types.UID
}

// Target names the job as kubectl does, for example "testjobs.kubeflow.org/x -n y".
func (j Job) Target() string {
	return fmt.Sprintf("%s/%s -n %s", j.Resource.GroupResource(), j.Object.GetName(), j.Object.GetNamespace())
}

// Submit creates the jobs, or none of them: it has the API server check all of
// them first, and if one is refused after that it deletes those that it has
// created. Those that Replace has deleted do not come back. Its error says, for
// each invalid job, what is wrong and how to fix it.
func (s *Submitter) Submit(ctx context.Context, documents []Document) ([]Job, error) {
	jobs := make([]Job, 0, len(documents))
	var errs []error
	for _, document := range documents {
		job, err := s.resolve(ctx, document)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		jobs = append(jobs, job)
		err = s.create(ctx, &job, metav1.DryRunAll)
		if err != nil && (!s.Replace || !apierrors.IsAlreadyExists(err)) {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for i := range jobs {
		err := s.createOrReplace(ctx, &jobs[i])
		if err != nil {
			return nil, errors.Join(err, s.Delete(context.WithoutCancel(ctx), jobs[:i]))
		}
	}
	return jobs, nil
}

// Delete deletes jobs and what they own. One that is gone, or that was replaced by
// another of its name, is not an error.
func (s *Submitter) Delete(ctx context.Context, jobs []Job) error {
	var errs []error
	for _, job := range jobs {
		options := metav1.DeleteOptions{
			PropagationPolicy: ptr.To(metav1.DeletePropagationBackground),
			Preconditions:     &metav1.Preconditions{UID: &job.UID},
		}
		err := s.Client.Resource(job.Resource).Namespace(job.Object.GetNamespace()).
			Delete(ctx, job.Object.GetName(), options)
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("cannot delete %s: %w", job.Target(), err))
		}
	}
	return errors.Join(errs...)
}

// create creates a job, or with dryRun only has it checked.
func (s *Submitter) create(ctx context.Context, job *Job, dryRun ...string) error {
	created, err := s.Client.Resource(job.Resource).Namespace(job.Object.GetNamespace()).Create(ctx, job.Object,
		metav1.CreateOptions{
			DryRun:          dryRun,
			FieldManager:    "jobkit",
			FieldValidation: metav1.FieldValidationStrict,
		})
	switch {
	case apierrors.IsAlreadyExists(err):
		return &refusal{cause: err, message: fmt.Sprintf("%s: exists in namespace %s already: delete it before (--replace does), "+
			"rename the new one, or set metadata.generateName in place of metadata.name",
			job.Place(), job.Object.GetNamespace())}
	case err != nil:
		return fmt.Errorf("%s: %w", job.Place(), refused(err))
	}
	if len(dryRun) == 0 {
		job.Object, job.UID = created, created.GetUID()
	}
	return nil
}

// resolve finds the resource and the namespace of a document.
func (s *Submitter) resolve(ctx context.Context, d Document) (Job, error) {
	kind := d.Object.GroupVersionKind()
	if builtIn(kind.Group) {
		return Job{}, fmt.Errorf("%s: %s (%s) is not a job kind: jobkit runs the kinds that jobkit operators and "+
			"training-operator bring, such as TestJob; apply this object with kubectl before",
			d.Place(), kind.Kind, kind.GroupVersion())
	}
	d.Object.SetResourceVersion("") // of a job that "kubectl get -o yaml" printed, as kubectl create does
	d.Object.SetUID("")
	namespace := d.Object.GetNamespace()
	switch {
	case namespace == "":
		d.Object.SetNamespace(s.Namespace)
	case s.Forced && namespace != s.Namespace:
		return Job{}, fmt.Errorf("%s: its metadata.namespace is %q, but --namespace is %q: make them the same, or leave one out",
			d.Place(), namespace, s.Namespace)
	}
	list, err := s.Discovery.ServerResourcesForGroupVersionWithContext(ctx, kind.GroupVersion().String())
	if err != nil && !apierrors.IsNotFound(err) {
		return Job{}, fmt.Errorf("%s: cannot read the kinds of the cluster: %w", d.Place(), err)
	}
	if err == nil {
		for _, resource := range list.APIResources {
			if resource.Kind == kind.Kind && !strings.Contains(resource.Name, "/") {
				return Job{Document: d, Resource: kind.GroupVersion().WithResource(resource.Name)}, nil
			}
		}
	}
	return Job{}, s.unknown(ctx, d)
}

// unknown says that the cluster does not know a kind, and how to install it.
func (s *Submitter) unknown(ctx context.Context, d Document) error {
	kind := d.Object.GroupVersionKind()
	problem := fmt.Sprintf("%s: the cluster does not know the kind %s in %s", d.Place(), kind.Kind, kind.GroupVersion())
	if other := s.otherVersions(ctx, kind); len(other) > 0 {
		return fmt.Errorf("%s, only in %s: change apiVersion", problem, strings.Join(other, ", "))
	}
	if s.HowToInstall != nil {
		if how := s.HowToInstall(kind); how != "" {
			return fmt.Errorf("%s: its CRD is not installed: install it with %q", problem, how)
		}
	}
	return fmt.Errorf("%s: check the spelling, or install the CRD of the operator that brings this kind", problem)
}

// otherVersions are the API versions in which the cluster knows a kind.
func (s *Submitter) otherVersions(ctx context.Context, kind schema.GroupVersionKind) []string {
	groups, err := s.Discovery.ServerGroupsWithContext(ctx)
	if err != nil {
		return nil // it only adds to an error that is reported anyway
	}
	var found []string
	for _, group := range groups.Groups {
		if group.Name != kind.Group {
			continue
		}
		for _, version := range group.Versions {
			list, err := s.Discovery.ServerResourcesForGroupVersionWithContext(ctx, version.GroupVersion)
			if err == nil && slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind.Kind }) {
				found = append(found, version.GroupVersion)
			}
		}
	}
	return found
}

// builtIn reports whether an API group is Kubernetes' own. None of its kinds has the
// status of a job.
func builtIn(group string) bool {
	return !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

// refused puts the answer of an API server that refused a request into words: each
// cause with its field, without the repetitions of the server's own message.
func refused(err error) error {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err
	}
	details := status.Status().Details
	if details == nil || len(details.Causes) == 0 {
		return fmt.Errorf("the server refused it: %w", err)
	}
	var causes []string
	for _, cause := range details.Causes {
		text := cause.Message
		if cause.Field != "" && cause.Field != "<nil>" {
			text = cause.Field + ": " + text
		}
		if !slices.Contains(causes, text) {
			causes = append(causes, text)
		}
	}
	if len(causes) == 1 {
		return &refusal{message: "the server refused it: " + causes[0], cause: err}
	}
	return &refusal{message: "the server refused it:\n  - " + strings.Join(causes, "\n  - "), cause: err}
}

// refusal is an error with a message of its own and the cause behind it.
type refusal struct {
	message string
	cause   error
}

func (r *refusal) Error() string { return r.message }

func (r *refusal) Unwrap() error { return r.cause }
