package simulate

import (
	"context"
	gojson "encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/json"

	"github.com/jobkit/jobkit"
	kubeflowv1 "github.com/jobkit/jobkit/api/kubeflow/v1"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/internal/cli/run/manifest"
	jobkinds "github.com/jobkit/jobkit/internal/kinds"
	"github.com/jobkit/jobkit/jobtest"
	"github.com/jobkit/jobkit/operators/jaxjob"
	"github.com/jobkit/jobkit/operators/mpijob"
	"github.com/jobkit/jobkit/operators/paddlejob"
	"github.com/jobkit/jobkit/operators/pytorchjob"
	"github.com/jobkit/jobkit/operators/tfjob"
	"github.com/jobkit/jobkit/operators/xgboostjob"
)

// kind is a job kind that can be simulated.
type kind struct {
	gvk schema.GroupVersionKind
	// read decodes a job.
	read func(*unstructured.Unstructured) (client.Object, error)
	// parts are those of a job.
	parts func(client.Object) jobkit.JobParts
	// about is what is true of every job of the kind.
	about jobkit.Kind
	// world makes a World of the kind.
	world func(jobtest.Options) (*jobtest.World, error)
	// render returns what the controller creates for a job.
	render func(client.Object) ([]client.Object, error)
}

// kinds are all kinds of this module.
func kinds() []kind {
	v1 := func(name string) schema.GroupVersionKind { return kubeflowv1.GroupVersion.WithKind(name) }
	return []kind{
		kindOf[*kubeflowv1.JAXJob](v1(kubeflowv1.JAXJobKind), jaxjob.Controller{}),
		kindOf[*kubeflowv1.MPIJob](v1(kubeflowv1.MPIJobKind), mpijob.Controller{}),
		kindOf[*kubeflowv1.PaddleJob](v1(kubeflowv1.PaddleJobKind), paddlejob.Controller{}),
		kindOf[*kubeflowv1.PyTorchJob](v1(kubeflowv1.PyTorchJobKind), pytorchjob.Controller{}),
		kindOf[*kubeflowv1.TFJob](v1(kubeflowv1.TFJobKind), tfjob.Controller{}),
		kindOf[*kubeflowv1.XGBoostJob](v1(kubeflowv1.XGBoostJobKind), xgboostjob.Controller{}),
		kindOf[*testv1.TestJob](testv1.GroupVersion.WithKind("TestJob"), testjob.Controller{}),
	}
}

// kindOf makes a kind from its controller.
func kindOf[J client.Object](gvk schema.GroupVersionKind, author jobkit.ControllerInterface[J]) kind {
	k := kind{gvk: gvk, about: author.Kind()}
	k.read = func(u *unstructured.Unstructured) (client.Object, error) { return read[J](u, gvk) }
	k.parts = func(o client.Object) jobkit.JobParts {
		job, ok := o.(J)
		if !ok {
			return jobkit.JobParts{}
		}
		return author.Parts(job)
	}
	k.world = func(o jobtest.Options) (*jobtest.World, error) {
		scheme, err := jobkinds.Scheme()
		if err != nil {
			return nil, err
		}
		return jobtest.NewWorld(author, scheme, o)
	}
	k.render = func(o client.Object) ([]client.Object, error) {
		scheme, err := jobkinds.Scheme()
		if err != nil {
			return nil, err
		}
		job, ok := o.(J)
		if !ok {
			return nil, fmt.Errorf("a %s is a %T", gvk.Kind, o)
		}
		return jobtest.Render(author, scheme, job)
	}
	return k
}

// read decodes a job. What its type does not know is an error.
func read[J client.Object](u *unstructured.Unstructured, gvk schema.GroupVersionKind) (client.Object, error) {
	scheme, err := jobkinds.Scheme()
	if err != nil {
		return nil, err
	}
	object, err := scheme.New(gvk)
	if err != nil {
		return nil, fmt.Errorf("cannot make a %s: %w", gvk.Kind, err)
	}
	job, ok := object.(J)
	if !ok {
		return nil, fmt.Errorf("a %s is a %T", gvk.Kind, object)
	}
	content := u.DeepCopy().Object
	leaveOutClusters(content)
	text, err := gojson.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("cannot read it: %w", err)
	}
	unknown, err := json.UnmarshalStrict(text, job)
	return job, errors.Join(append(unknown, err)...)
}

// leaveOutClusters removes what a cluster adds to a job, so that what "kubectl get -o yaml" prints
// is a manifest. Its owner is not in the simulation: a garbage collector would delete the job.
func leaveOutClusters(content map[string]any) {
	delete(content, "status")
	metadata, _ := content["metadata"].(map[string]any)
	for _, name := range []string{
		"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "generation",
		"managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid",
	} {
		delete(metadata, name)
	}
}

// IsJob reports whether a document is a job of a kind that can be simulated.
func IsJob(d manifest.Document) bool {
	return slices.ContainsFunc(kinds(), func(k kind) bool { return k.gvk == d.Object.GroupVersionKind() })
}

// Decoded is a job that was read from a manifest.
type Decoded struct {
	kind kind
	job  client.Object
}

// Decode reads the job of a document. The error names the place, and the fix.
func Decode(d manifest.Document) (*Decoded, error) {
	gvk := d.Object.GroupVersionKind()
	var known []string
	for _, k := range kinds() {
		if k.gvk != gvk {
			known = append(known, k.gvk.Kind)
			continue
		}
		job, err := k.read(d.Object)
		if err != nil {
			return nil, fmt.Errorf("%s: %s", d.Place(), decodeMessage(err, job))
		}
		if job.GetName() == "" {
			job.SetName(job.GetGenerateName() + "00000") // what the API server would end it with is random
		}
		if job.GetNamespace() == "" {
			job.SetNamespace("default")
		}
		return &Decoded{kind: k, job: job}, nil
	}
	return nil, fmt.Errorf("%s: no operator here runs %s of %s: the kinds are %s, of %s",
		d.Place(), gvk.Kind, d.Object.GetAPIVersion(), strings.Join(known, ", "), kubeflowv1.GroupVersion)
}

// decodeMessage is what is wrong with a job, in fewer words than the decoder's.
func decodeMessage(err error, job client.Object) string {
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		line = strings.TrimPrefix(line, "json: ")
		if field, found := strings.CutPrefix(line, "unknown field "); found {
			line = "unknown field " + field + ": correct its name, or remove it"
			if meant := similar(job, strings.Trim(field, `"`)); meant != "" {
				line = fmt.Sprintf("unknown field %s: write %q, or remove it", field, meant)
			}
		} else if what, found := strings.CutPrefix(line, "cannot unmarshal "); found {
			value, into, _ := strings.Cut(what, " into Go struct field ")
			_, path, _ := strings.Cut(into, ".")
			field, form, _ := strings.Cut(path, " of type ")
			line = fmt.Sprintf("%s is a %s: it must be a value of type %s", field, value, form)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

// Objects are what the controller creates for the job, if all goes well.
func (d *Decoded) Objects() ([]client.Object, error) { return d.kind.render(d.job) }

// Name of the job.
func (d *Decoded) Name() string { return d.job.GetName() }

// Namespace of the job.
func (d *Decoded) Namespace() string { return d.job.GetNamespace() }

// Kind of the job.
func (d *Decoded) Kind() string { return d.kind.gvk.Kind }

// create is what a user does.
func (d *Decoded) create(ctx context.Context, c client.Client) error {
	job, ok := d.job.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("a copy of a %T is none", d.job)
	}
	return c.Create(ctx, job) //nolint:wrapcheck // the simulator says it
}
