// Package install installs the CustomResourceDefinitions of this module on a cluster.
package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/config/crd"
)

// Discovery lists the kinds that a cluster serves; client-go's discovery client implements it.
type Discovery interface {
	// ServerResourcesForGroupVersionWithContext lists the resources of an API version.
	ServerResourcesForGroupVersionWithContext(ctx context.Context, groupVersion string) (*metav1.APIResourceList, error)
}

// Definition is one CustomResourceDefinition.
type Definition struct {
	// Object is the definition itself.
	Object *unstructured.Unstructured
	// YAML is its text.
	YAML []byte
	// Kinds are the kinds that it serves, one for each version.
	Kinds []schema.GroupVersionKind
	// Example is true of the kind that is for trying out only, TestJob.
	Example bool
}

// Definitions returns the definitions that a cluster gets, by name: those of config/crd and of the chart.
// An error means that the program was built from a broken file.
func Definitions() ([]Definition, error) {
	all, err := WithExample()
	return slices.DeleteFunc(all, func(d Definition) bool { return d.Example }), err
}

// WithExample returns the definitions of this module, by name, with that of the example kind, for
// control planes that are for trying out. An error means that the program was built from a broken file.
func WithExample() ([]Definition, error) {
	shared, err := parsed()
	if err != nil {
		return nil, err
	}
	own := slices.Clone(shared)
	for i := range own {
		own[i].Object = own[i].Object.DeepCopy()
	}
	return own, nil
}

// parsed are the definitions, which are large: they are read once, when they are needed.
//
//nolint:gochecknoglobals // a value of embedded files, which never change
var parsed = sync.OnceValues(parse)

func parse() ([]Definition, error) {
	names, err := fs.Glob(crd.Files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("cannot list the CRDs: %w", err)
	}
	definitions := make([]Definition, 0, len(names))
	for _, name := range names {
		text, err := crd.Files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read CRD %s: %w", path.Base(name), err)
		}
		definition, err := read(text)
		if err != nil {
			return nil, fmt.Errorf("CRD %s: %w", path.Base(name), err)
		}
		definition.Example = name == crd.Example
		definitions = append(definitions, definition)
	}
	return definitions, nil
}

// Files reads the definitions of YAML files, or of folders of them, one a file. What is no
// definition, such as kustomization.yaml, is left out.
func Files(paths []string) ([]Definition, error) {
	var definitions []Definition
	for _, given := range paths {
		found, err := filesIn(given)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s holds no CRD: name a file or a folder that does, or run make generate there", given)
		}
		definitions = append(definitions, found...)
	}
	return definitions, nil
}

// filesIn reads the definitions of a file, or of the files of a folder.
func filesIn(path string) ([]Definition, error) {
	names := []string{path}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		names, err = filepath.Glob(filepath.Join(path, "*.yaml"))
		if err != nil {
			return nil, fmt.Errorf("cannot list the CRDs: %w", err)
		}
	}
	var found []Definition
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("cannot read a CRD: %w", err)
		}
		definition, err := read(text)
		if definition.Object != nil && definition.Object.GetKind() != "CustomResourceDefinition" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("CRD %s: %w", name, err)
		}
		found = append(found, definition)
	}
	return found, nil
}

// Serves reports whether one of the definitions serves a kind.
func Serves(definitions []Definition, kind schema.GroupVersionKind) bool {
	return slices.ContainsFunc(definitions, func(d Definition) bool { return slices.Contains(d.Kinds, kind) })
}

// resource is what the API server calls definitions.
func resource() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
}

// CRDs applies the definitions and waits until the cluster serves their kinds.
// It does not change what is up to date, so that it can be called again.
func CRDs(ctx context.Context, client dynamic.Interface, discovery Discovery, definitions []Definition) error {
	crds := client.Resource(resource())
	for _, d := range definitions {
		_, err := crds.Apply(ctx, d.Object.GetName(), d.Object, metav1.ApplyOptions{FieldManager: "jobkit", Force: true})
		if err != nil {
			return fmt.Errorf("cannot apply CRD %s: %w", d.Object.GetName(), err)
		}
	}
	for _, d := range definitions {
		for _, kind := range d.Kinds {
			err := awaitKind(ctx, discovery, kind)
			if err != nil {
				return fmt.Errorf("CRD %s is applied, but %w%s", d.Object.GetName(), err,
					whyNot(context.WithoutCancel(ctx), crds, d.Object.GetName()))
			}
		}
	}
	return nil
}

// read reads one definition.
func read(text []byte) (Definition, error) {
	object := map[string]any{}
	err := yaml.Unmarshal(text, &object)
	if err != nil {
		return Definition{}, fmt.Errorf("not valid YAML: %w", err)
	}
	u := &unstructured.Unstructured{Object: object}
	group, _, _ := unstructured.NestedString(object, "spec", "group")
	kind, _, _ := unstructured.NestedString(object, "spec", "names", "kind")
	versions, _, _ := unstructured.NestedSlice(object, "spec", "versions")
	d := Definition{Object: u, YAML: text}
	for _, v := range versions {
		version, ok := v.(map[string]any)
		if served, _ := version["served"].(bool); !ok || !served {
			continue
		}
		name, _ := version["name"].(string)
		d.Kinds = append(d.Kinds, schema.GroupVersionKind{Group: group, Version: name, Kind: kind})
	}
	if u.GetName() == "" || len(d.Kinds) == 0 {
		return Definition{Object: u}, errors.New("it has no name or serves no version: generate it again (make generate)")
	}
	return d, nil
}

// awaitKind waits until the cluster serves a kind.
func awaitKind(ctx context.Context, discovery Discovery, kind schema.GroupVersionKind) error {
	const (
		interval = 50 * time.Millisecond
		longest  = 20 * time.Second
	)
	err := wait.PollUntilContextTimeout(ctx, interval, longest, true, func(ctx context.Context) (bool, error) {
		list, err := discovery.ServerResourcesForGroupVersionWithContext(ctx, kind.GroupVersion().String())
		if apierrors.IsNotFound(err) {
			return false, nil // the first kind of its API version
		}
		if err != nil {
			return false, fmt.Errorf("cannot read the kinds of %s: %w", kind.GroupVersion(), err)
		}
		return slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Kind == kind.Kind }), nil
	})
	if err != nil {
		return fmt.Errorf("the cluster does not serve %s: %w", kind, err)
	}
	return nil
}

// whyNot adds what the cluster says of a definition that it does not serve. ctx
// must not have ended; it asks once.
func whyNot(ctx context.Context, crds dynamic.ResourceInterface, name string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	object, err := crds.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return ""
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if condition, ok := c.(map[string]any); ok && condition["status"] == "False" {
			return fmt.Sprintf(" (%v: %v)", condition["type"], condition["message"])
		}
	}
	return ""
}
