package console

import (
	"io"
	"sync"
	"unicode/utf8"
)

// plainWriter passes on text without control sequences for a terminal. Most of what the
// command prints comes from elsewhere; text that is not cleaned where it is read, for
// example an error of the API server, is cleaned here.
type plainWriter struct {
	to io.Writer
	mu sync.Mutex
	// rest is the beginning of a character whose end is yet to come.
	rest []byte
}

// Write implements io.Writer.
func (w *plainWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	text := append(w.rest, p...) //nolint:gocritic // it goes on from there
	end := len(text)
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if last := text[len(text)-i:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				end -= i
			}
			break
		}
	}
	w.rest = append([]byte(nil), text[end:]...)
	if _, err := io.WriteString(w.to, CleanLines(string(text[:end]))); err != nil {
		return 0, err //nolint:wrapcheck // as the writer says it
	}
	return len(p), nil
}
