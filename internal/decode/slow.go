package decode

import (
	"bytes"
	"fmt"
	"strings"
)

// The longest quantity, and the digits of its exponent, that are read.
const (
	maxQuantity = 64
	maxExponent = 3
)

var errSlow = fmt.Errorf("a quantity has at most %d characters, and an exponent of at most %d digits", maxQuantity, maxExponent)

// bounded reports whether a quantity is known to be cheap to read.
func bounded(quantity string) error {
	if len(quantity) > maxQuantity {
		return errSlow
	}
	if i := strings.LastIndexAny(quantity, "eE"); i >= 0 && len(strings.TrimLeft(quantity[i+1:], "+-")) > maxExponent {
		return errSlow
	}
	return nil
}

// maybeSlow reports whether the JSON of an object has text that might be a quantity which takes very long to read:
// of the exponent 2147483648 a number of so many digits is made. Most objects have no such text, and are read without
// further checks. An escaped character may stand for a digit. (Each event of each job comes through here, and a
// regular expression took twice as long as reading the object.)
func maybeSlow(raw []byte) bool {
	if bytes.Contains(raw, []byte(`\u00`)) {
		return true
	}
	digits := 0 // those that lead up to a character
	for i, c := range raw {
		switch {
		case c >= '0' && c <= '9' || c == '.':
			if digits++; digits > maxQuantity {
				return true
			}
			continue
		case digits > 0 && (c == 'e' || c == 'E') && longExponent(raw[i+1:]):
			return true
		}
		digits = 0
	}
	return false
}

// longExponent reports whether text begins with an exponent that has too many digits.
func longExponent(text []byte) bool {
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		text = text[1:]
	}
	if len(text) <= maxExponent {
		return false
	}
	for _, c := range text[:maxExponent+1] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
