package manifest

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Read reads manifests, and reports all that is wrong with them at once. The file
// named - is the given standard input.
func Read(files []string, stdin io.Reader) ([]Document, error) {
	var (
		documents []Document
		errs      []error
	)
	for _, file := range files {
		found, err := readFile(file, stdin)
		errs = append(errs, err)
		documents = append(documents, found...)
	}
	return documents, errors.Join(errs...)
}

// readFile reads one manifest.
func readFile(file string, stdin io.Reader) ([]Document, error) {
	if file == "-" {
		text, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("cannot read the manifest on standard input: %w", err)
		}
		return Parse("standard input", text)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read the manifest: %w", err)
	}
	return Parse(file, text)
}
