package console

import "io"

// Redraws reads text in which a carriage return ends a line, as programs write that draw a line again: without it
// nothing of a progress bar would be seen until it ends.
func Redraws(text io.Reader) io.Reader { return &redraws{Reader: text} }

type redraws struct {
	io.Reader

	// returned is whether the last character was a carriage return.
	returned bool
}

// Read implements io.Reader.
func (r *redraws) Read(p []byte) (int, error) {
	for {
		n, err := r.Reader.Read(p)
		kept := p[:0]
		for _, c := range p[:n] {
			switch {
			case c == '\r':
				kept = append(kept, '\n')
			case c != '\n' || !r.returned: // "\r\n" ends one line
				kept = append(kept, c)
			}
			r.returned = c == '\r'
		}
		if len(kept) > 0 || err != nil || n == 0 {
			return len(kept), err
		}
	}
}
