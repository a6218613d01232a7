package console

import (
	"strings"
	"unicode"
)

// Clean makes text from elsewhere (a status, a name, a type, an event) safe to show on a
// terminal: control characters, which may move the cursor or change what was written
// before, and what ends a line become spaces; format characters, which may show a text in
// another order than it is read, are left out.
func Clean(text string) string { return strings.Map(cleanRune, text) }

// cleanRune is what is shown in place of a character; negative is nothing.
func cleanRune(r rune) rune {
	switch {
	case unicode.In(r, unicode.Cc, unicode.Zl, unicode.Zp):
		return ' '
	case unicode.Is(unicode.Cf, r):
		return -1
	default:
		return r // what is not UTF-8 comes as the replacement character
	}
}

// CleanLines is Clean for text of several lines: line ends and tabs stay.
func CleanLines(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return cleanRune(r)
	}, text)
}

// OneLine is Clean for a message: what would break its line is one space.
func OneLine(text string) string { return strings.Join(strings.Fields(Clean(text)), " ") }
