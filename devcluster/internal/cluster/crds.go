package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

type crd = apiextensionsv1.CustomResourceDefinition

// readCRDs reads the CustomResourceDefinitions in files and in the YAML files of
// folders. Documents of other kinds are passed over, because manifests often
// hold both.
func readCRDs(paths []string) ([]*crd, error) {
	var all []*crd
	for _, path := range paths {
		files, err := yamlFiles(path)
		if err != nil {
			return nil, fmt.Errorf("cannot read CRDs: %w", err)
		}
		before := len(all)
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("cannot read CRDs: %w", err)
			}
			found, err := parseCRDs(data)
			if err != nil {
				return nil, fmt.Errorf("cannot read CRDs of %s: %w", file, err)
			}
			all = append(all, found...)
		}
		if len(all) == before {
			return nil, fmt.Errorf("cannot read CRDs: %s holds none", path)
		}
	}
	return all, nil
}

// yamlFiles returns the file itself, or the YAML files of a folder.
func yamlFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	return filepath.Glob(filepath.Join(path, "*.y*ml"))
}

func parseCRDs(data []byte) ([]*crd, error) {
	var found []*crd
	r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot split documents: %w", err)
		}
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(doc, &kind); err != nil {
			return nil, fmt.Errorf("cannot decode a document: %w", err)
		}
		if kind.Kind != "CustomResourceDefinition" || kind.APIVersion != apiextensionsv1.SchemeGroupVersion.String() {
			continue
		}
		c := &crd{}
		if err := yaml.UnmarshalStrict(doc, c); err != nil {
			return nil, fmt.Errorf("cannot decode a CustomResourceDefinition: %w", err)
		}
		found = append(found, c)
	}
}

// installCRDs creates the definitions, or updates those that a kept data folder
// holds already, and returns when all are served.
func installCRDs(ctx context.Context, config *rest.Config, crds []*crd) error {
	if len(crds) == 0 {
		return nil
	}
	set, err := clientset.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("cannot build the CRD client: %w", err)
	}
	client := set.ApiextensionsV1().CustomResourceDefinitions()
	for _, c := range crds {
		_, err := client.Create(ctx, c, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			var old *crd
			if old, err = client.Get(ctx, c.Name, metav1.GetOptions{}); err == nil {
				next := c.DeepCopy()
				next.ResourceVersion = old.ResourceVersion
				_, err = client.Update(ctx, next, metav1.UpdateOptions{})
			}
		}
		if err != nil {
			return fmt.Errorf("cannot install CRD %s: %w", c.Name, err)
		}
	}
	for _, c := range crds {
		err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
			got, err := client.Get(ctx, c.Name, metav1.GetOptions{})
			return err == nil && established(got), nil
		})
		if err != nil {
			return fmt.Errorf("CRD %s is not served: %w", c.Name, context.Cause(ctx))
		}
	}
	return nil
}

func established(c *crd) bool {
	for _, condition := range c.Status.Conditions {
		if condition.Type == apiextensionsv1.Established {
			return condition.Status == apiextensionsv1.ConditionTrue
		}
	}
	return false
}
