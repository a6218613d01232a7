// Command crd-bounds tightens generated CRDs, so that the API server refuses what Go cannot
// decode, or cannot decode in finite time: controller-gen allows any exponent of a quantity,
// also 1.5 or 2147483648, and ports and other numbers or names beyond 32 bits.
//
//	go run ./hack/crd-bounds config/crd/*.yaml
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// The pattern of quantities as controller-gen has it, and as resource.ParseQuantity has it,
// with an exponent of at most three digits.
const (
	generated = `pattern: ^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$`
	bounded   = `pattern: ^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]{1,3}))?$`
	// longest is how many characters a quantity has at most; see package decode.
	longest = "maxLength: 64"
	either  = "x-kubernetes-int-or-string: true"
)

func main() {
	var errs []error
	for _, path := range os.Args[1:] {
		errs = append(errs, tighten(path))
	}
	if err := errors.Join(errs...); err != nil {
		fmt.Fprintln(os.Stderr, "crd-bounds:", err)
		os.Exit(1)
	}
}

func tighten(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot read a CRD: %w", err)
	}
	if err := os.WriteFile(path, []byte(bounds(string(text))), 0o644); err != nil { //nolint:gosec // a file of the repository
		return fmt.Errorf("cannot write a CRD: %w", err)
	}
	return nil
}

// bounds returns the text of a CRD with bounds, which stand in the order of their names.
func bounds(text string) string {
	in := strings.Split(text, "\n")
	out := make([]string, 0, len(in))
	for i, line := range in {
		content := strings.TrimLeft(line, " ")
		indent := line[:len(line)-len(content)]
		switch {
		case content == generated:
			out = append(out, indent+longest, indent+bounded)
			continue
		case content == either && i > 0 && !strings.HasPrefix(in[i-1], indent+"pattern: ") && !strings.HasPrefix(in[i-1], indent+"minimum: "):
			out = append(out, indent+"maximum: 2147483647", indent+"minimum: -2147483648")
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}
