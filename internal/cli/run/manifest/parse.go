// Package manifest reads job manifests and submits them to a cluster.
//
//   - [Read] reads files, and [Parse] the YAML or JSON in them, with any number of
//     documents.
//   - [Submitter] finds out which resource each document is, has the API server
//     check all of them, and only then creates them: all or none.
//
// Every error names the file, the line and the object that it is about, and says
// how to fix it.
package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// Document is one object of a manifest.
type Document struct {
	// Source is the file that it comes from, and Line where it begins there.
	Source string
	Line   int
	// Object is the object itself.
	Object *unstructured.Unstructured
}

// Place says where the document is and what, for example "job.yaml:12: TestJob x".
func (d Document) Place() string {
	name := d.Object.GetName()
	if name == "" {
		name = d.Object.GetGenerateName() + "*"
	}
	return fmt.Sprintf("%s:%d: %s %s", d.Source, d.Line, d.Object.GetKind(), name)
}

// Parse reads a manifest: YAML or JSON documents, separated by lines of "---".
// Objects of kind List are taken apart; empty documents are left out. It reports
// all mistakes at once; a manifest without any document is one.
func Parse(source string, data []byte) ([]Document, error) {
	var (
		documents []Document
		errs      []error
	)
	for _, p := range split(string(data)) {
		found, err := parse(source, p)
		if err != nil {
			errs = append(errs, err)
		}
		documents = append(documents, found...)
	}
	if len(documents) == 0 && len(errs) == 0 {
		return nil, fmt.Errorf("%s: it holds no object: write a job manifest in it", source)
	}
	return documents, errors.Join(errs...)
}

// piece is the text of one document.
type piece struct {
	text string
	line int // of its first line that is neither empty nor a comment
	base int // lines before it in the file
}

// split cuts a manifest at its separators.
func split(data string) []piece {
	var (
		pieces []piece
		text   []string
		base   int
	)
	lines := strings.Split(data, "\n")
	flush := func(next int) {
		for i, line := range text {
			trimmed := strings.TrimSpace(line)
			if trimmed != "" && !strings.HasPrefix(trimmed, "#") {
				pieces = append(pieces, piece{text: strings.Join(text, "\n"), line: base + i + 1, base: base})
				break
			}
		}
		text, base = nil, next
	}
	for i, line := range lines {
		if rest, found := strings.CutPrefix(line, "---"); found && strings.TrimSpace(rest) == "" {
			flush(i + 1)
			continue
		}
		text = append(text, line)
	}
	flush(len(lines))
	return pieces
}

// parse reads one document, which a List makes several.
func parse(source string, p piece) ([]Document, error) {
	object := map[string]any{}
	err := yaml.UnmarshalStrict([]byte(p.text), &object)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %s", source, p.line, yamlMessage(err, p.base))
	}
	u := &unstructured.Unstructured{Object: object}
	if !u.IsList() {
		d := Document{Source: source, Line: p.line, Object: u}
		return []Document{d}, check(d)
	}
	list, err := u.ToList()
	if err != nil {
		return nil, fmt.Errorf("%s:%d: cannot read the items of the list: %w", source, p.line, err)
	}
	documents := make([]Document, 0, len(list.Items))
	errs := make([]error, 0, len(list.Items))
	for i := range list.Items {
		d := Document{Source: source, Line: p.line, Object: &list.Items[i]}
		documents = append(documents, d)
		errs = append(errs, check(d))
	}
	return documents, errors.Join(errs...)
}

// check says what every object must have.
func check(d Document) error {
	where := fmt.Sprintf("%s:%d: ", d.Source, d.Line)
	switch o := d.Object; {
	case o.GetAPIVersion() == "":
		return errors.New(where + `apiVersion is missing: write for example "apiVersion: kubeflow.org/v1"`)
	case o.GetKind() == "":
		return errors.New(where + `kind is missing: write for example "kind: TestJob"`)
	case o.GetName() == "" && o.GetGenerateName() == "":
		return fmt.Errorf("%s%s has no name: set metadata.name, or metadata.generateName to have one made", where, o.GetKind())
	}
	return nil
}

// yamlMessage changes the line numbers in a message of the YAML reader to those of the
// file, and removes the reader's name.
func yamlMessage(err error, base int) string {
	message := err.Error()
	if strings.Contains(message, "cannot unmarshal") {
		return "it is not an object: write apiVersion, kind, metadata and spec"
	}
	for _, prefix := range []string{
		"error converting YAML to JSON: ", "yaml: ", "error unmarshaling JSON: ", "while decoding JSON: ", "unmarshal errors:\n  ",
	} {
		message = strings.TrimPrefix(message, prefix)
	}
	line := regexp.MustCompile(`\bline (\d+)`)
	message = line.ReplaceAllStringFunc(message, func(match string) string {
		number, err := strconv.Atoi(strings.TrimPrefix(match, "line "))
		if err != nil {
			return match
		}
		return fmt.Sprintf("line %d", number+base)
	})
	return "not valid YAML: " + message
}
