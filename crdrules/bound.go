package crdrules

import "math"

// The pattern of quantities as controller-gen has it, and as resource.ParseQuantity has it,
// with an exponent of at most three digits.
const (
	generatedPattern = `^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$`
	boundedPattern   = `^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]{1,3}))?$`
	// longestQuantity is how many characters a quantity has at most; see package decode.
	longestQuantity = 64
)

// Bound returns a definition, in YAML, whose API server refuses what Go cannot decode, or
// cannot decode in finite time. controller-gen allows any exponent of a quantity, also 1.5 or
// 2147483648, and ports and other numbers or names beyond 32 bits.
func Bound(crd []byte) ([]byte, error) {
	return change(crd, func(map[string]any) error { return nil })
}

// bound sets the bounds in a part of a schema.
func bound(in any) {
	switch in := in.(type) {
	case map[string]any:
		if in["x-kubernetes-int-or-string"] == true {
			boundEither(in)
		}
		for _, v := range in {
			bound(v)
		}
	case []any:
		for _, v := range in {
			bound(v)
		}
	}
}

// boundEither bounds what is a number or a text: a quantity if it has a pattern.
func boundEither(schema map[string]any) {
	switch {
	case schema["pattern"] == generatedPattern:
		schema["pattern"], schema["maxLength"] = boundedPattern, longestQuantity
	case schema["pattern"] == nil && schema["minimum"] == nil:
		schema["minimum"], schema["maximum"] = math.MinInt32, math.MaxInt32
	}
}
