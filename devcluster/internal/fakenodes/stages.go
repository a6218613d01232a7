package fakenodes

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
	"sigs.k8s.io/kwok/pkg/apis/v1alpha1"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/yaml"

	"github.com/jobkit/jobkit/devcluster/stages"
)

// Stages are what happens to objects, by kind.
type Stages map[internalversion.StageResourceRef][]*internalversion.Stage

// LoadStages returns the built-in stages, with those of the files added or put
// in place of the built-in ones of the same name.
func LoadStages(files []string) (Stages, error) {
	var all []*internalversion.Stage
	builtin, err := fs.Glob(stages.Files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("cannot list built-in stages: %w", err)
	}
	for _, name := range builtin {
		if all, err = add(all, name, stages.Files.ReadFile); err != nil {
			return nil, err
		}
	}
	for _, name := range files {
		if all, err = add(all, name, os.ReadFile); err != nil {
			return nil, err
		}
	}
	set := Stages{}
	for _, s := range all {
		set[s.Spec.ResourceRef] = append(set[s.Spec.ResourceRef], s)
	}
	return set, nil
}

// add adds the stages of a file, or puts them in place of those of their name.
func add(all []*internalversion.Stage, file string, read func(string) ([]byte, error)) ([]*internalversion.Stage, error) {
	data, err := read(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read stages: %w", err)
	}
	parsed, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read stages of %s: %w", file, err)
	}
	for _, s := range parsed {
		i := slices.IndexFunc(all, func(old *internalversion.Stage) bool { return old.Name == s.Name })
		if i >= 0 {
			all[i] = s
		} else {
			all = append(all, s)
		}
	}
	return all, nil
}

// parse reads the YAML documents of one file, each of which must be a Stage.
func parse(data []byte) ([]*internalversion.Stage, error) {
	var out []*internalversion.Stage
	r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("cannot split documents: %w", err)
		}
		// kwok ignores fields it does not know, which turns a typing error into
		// a stage that silently does something else.
		var strict v1alpha1.Stage
		if err := yaml.UnmarshalStrict(doc, &strict); err != nil {
			return nil, fmt.Errorf("cannot decode a Stage: %w", err)
		}
		s, err := config.UnmarshalWithType[*internalversion.Stage](doc)
		if err != nil {
			return nil, fmt.Errorf("cannot decode a Stage: %w", err)
		}
		if s.Name == "" {
			return nil, errors.New("a Stage has no metadata.name")
		}
		out = append(out, s)
	}
}
