package describe_test

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// paper is a client for a controller that is asked what it would do: it reads from the
// cluster, and notes down what would be written. Nothing is.
type paper struct {
	client.Client

	dynamic dynamic.Interface
	scheme  *runtime.Scheme
	job     *unstructured.Unstructured
	// created, deleted and patched are what would be.
	created, deleted, patched []client.Object
	// written is the job with the status that would be written, nil if none would be.
	written client.Object
}

// blank forgets what would be written.
func (p *paper) blank() { p.created, p.deleted, p.patched, p.written = nil, nil, nil, nil }

// resource is where objects of a kind are.
func (p *paper) resource(gvk schema.GroupVersionKind, namespace string) dynamic.ResourceInterface {
	plural, _ := meta.UnsafeGuessKindToResource(gvk)
	if namespace == "" {
		return p.dynamic.Resource(plural)
	}
	return p.dynamic.Resource(plural).Namespace(namespace)
}

// Get implements client.Reader.
func (p *paper) Get(ctx context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	gvk, err := p.GroupVersionKindFor(into)
	if err != nil {
		return err
	}
	found := p.job
	if gvk.Kind != p.job.GetKind() || key != client.ObjectKeyFromObject(p.job) {
		found, err = p.resource(gvk, key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
	}
	if u, ok := into.(*unstructured.Unstructured); ok {
		u.Object = found.DeepCopy().Object
		return nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Object, into); err != nil {
		return fmt.Errorf("cannot read %s: %w", gvk.Kind, err)
	}
	return nil
}

// List implements client.Reader. The controller asks for what belongs to the job.
func (p *paper) List(ctx context.Context, list client.ObjectList, _ ...client.ListOption) error {
	gvk, err := p.GroupVersionKindFor(list)
	if err != nil {
		return err
	}
	gvk.Kind = gvk.Kind[:len(gvk.Kind)-len("List")]
	ofJob := metav1.ListOptions{LabelSelector: commonv1.JobNameLabel + "=" + p.job.GetName()}
	found, err := p.resource(gvk, p.job.GetNamespace()).List(ctx, ofJob)
	if meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return err
	}
	var items []runtime.Object
	for i := range found.Items {
		item := &found.Items[i]
		if owner := metav1.GetControllerOf(item); owner != nil && owner.UID != p.job.GetUID() {
			continue
		}
		if _, untyped := list.(*unstructured.UnstructuredList); untyped {
			items = append(items, item)
			continue
		}
		typed, err := p.scheme.New(gvk)
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", gvk.Kind, err)
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(item.Object, typed); err != nil {
			return fmt.Errorf("cannot read %s: %w", gvk.Kind, err)
		}
		items = append(items, typed)
	}
	return meta.SetList(list, items)
}

// Create implements client.Writer.
func (p *paper) Create(_ context.Context, o client.Object, _ ...client.CreateOption) error {
	p.created = append(p.created, o)
	return nil
}

// Delete implements client.Writer.
func (p *paper) Delete(_ context.Context, o client.Object, _ ...client.DeleteOption) error {
	p.deleted = append(p.deleted, o)
	return nil
}

// Patch implements client.Writer.
func (p *paper) Patch(_ context.Context, o client.Object, _ client.Patch, _ ...client.PatchOption) error {
	p.patched = append(p.patched, o)
	return nil
}

// Update implements client.Writer.
func (p *paper) Update(_ context.Context, o client.Object, _ ...client.UpdateOption) error {
	p.patched = append(p.patched, o)
	return nil
}

// Scheme implements client.Client.
func (p *paper) Scheme() *runtime.Scheme { return p.scheme }

// GroupVersionKindFor implements client.Client.
func (p *paper) GroupVersionKindFor(o runtime.Object) (schema.GroupVersionKind, error) {
	return apiutil.GVKForObject(o, p.scheme)
}

// Status implements client.Client.
func (p *paper) Status() client.SubResourceWriter { return statusPaper{p: p} }

// statusPaper notes down the status of the job.
type statusPaper struct {
	client.SubResourceWriter

	p *paper
}

// Patch implements client.SubResourceWriter.
func (s statusPaper) Patch(_ context.Context, o client.Object, _ client.Patch, _ ...client.SubResourcePatchOption) error {
	s.p.written = o
	return nil
}
