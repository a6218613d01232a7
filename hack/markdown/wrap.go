package main

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var (
	fence    = regexp.MustCompile("^\\s*(```+|~~~+)")
	item     = regexp.MustCompile(`^(\s*)([-*+]|\d{1,9}[.)])(\s+)\S`)
	verbatim = regexp.MustCompile(`^\s*(#{1,6} |\||<|>|\[[^\]]+\]:\s|([-*_] *){3,}$|=+$)`)
	// block is a word that would begin a list, a heading or the like at the start of a line.
	block = regexp.MustCompile("^([-+*>|]|#{1,6}|\\d{1,9}[.)]|=+|-+|[>|].*|<!--.*|```.*|~~~.*)$")
)

// wrap fills the paragraphs and list items of a page at width. All else stays as it is:
// code, tables, headings, quotes, HTML. Done twice it is the same.
func wrap(text string) string {
	w := wrapper{}
	for _, line := range strings.SplitAfter(text, "\n") {
		w.add(line)
	}
	w.flush()
	return w.out.String()
}

// wrapper is the state of wrap between two lines.
type wrapper struct {
	out strings.Builder
	// fence is the mark that ends the fenced code that is open, or "".
	fence string
	// The paragraph that is open: its words, the text in front of them on the first line,
	// and how far the other lines are indented.
	words  []string
	prefix string
	indent int
	// content is the column at which the text of the last list item begins, 0 outside of lists.
	content int
}

func (w *wrapper) add(line string) {
	bare := strings.TrimRight(line, " \t\r\n")
	indent := len(bare) - len(strings.TrimLeft(bare, " "))
	mark := fence.FindStringSubmatch(bare)
	switch {
	case w.fence != "":
		w.out.WriteString(line)
		if mark != nil && strings.HasPrefix(mark[1], w.fence) {
			w.fence = ""
		}
	case mark != nil:
		w.keep(line)
		w.fence = mark[1]
	case bare == "":
		w.flush()
		w.out.WriteString(strings.TrimLeft(line, " \t\r"))
	case len(w.words) == 0 && indent >= w.contentAt(indent)+4, verbatim.MatchString(bare):
		w.keep(line)
	case item.MatchString(bare):
		w.flush()
		m := item.FindStringSubmatch(bare)
		w.prefix, w.indent = m[1]+m[2]+m[3], len(m[1]+m[2]+m[3])
		w.content = w.indent
		w.words = wordsOf(bare[w.indent:])
	default:
		if len(w.words) == 0 {
			w.content = w.contentAt(indent)
			w.prefix, w.indent = strings.Repeat(" ", indent), indent
		}
		w.words = append(w.words, wordsOf(strings.TrimLeft(bare, " "))...)
	}
	if strings.HasSuffix(bare, `\`) {
		w.flush()
	}
}

// contentAt is where the text of a list begins to which a line of that indent belongs.
func (w *wrapper) contentAt(indent int) int {
	if indent < w.content {
		return 0
	}
	return w.content
}

// keep writes a line as it is.
func (w *wrapper) keep(line string) {
	w.flush()
	w.out.WriteString(line)
}

// flush writes the paragraph that is open.
func (w *wrapper) flush() {
	if len(w.words) == 0 {
		return
	}
	line, column := w.prefix, utf8.RuneCountInString(w.prefix)
	for i, word := range w.words {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+w.glued(i) > width && !block.MatchString(word):
			w.out.WriteString(line + "\n")
			line, column = strings.Repeat(" ", w.indent), w.indent
		default:
			line, column = line+" ", column+1
		}
		line, column = line+word, column+n
	}
	w.out.WriteString(line + "\n")
	w.words = nil
}

// glued is the length of a word with those behind it that cannot begin a line.
func (w *wrapper) glued(i int) int {
	n := utf8.RuneCountInString(w.words[i])
	for i++; i < len(w.words) && block.MatchString(w.words[i]); i++ {
		n += 1 + utf8.RuneCountInString(w.words[i])
	}
	return n
}

// short is a link whose text is not worth a line break.
var short = regexp.MustCompile(`^\[[^\]]{1,40}\]\([^) ]*\)`)

// wordsOf are the words of a line; a code span and a link with a short text are in one word.
func wordsOf(line string) []string {
	var words []string
	begin, inCode := 0, false
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '[' && !inCode:
			i += max(0, len(short.FindString(line[i:]))-1)
		case line[i] == '`' && (inCode || strings.IndexByte(line[i+1:], '`') >= 0):
			inCode = !inCode
		case line[i] == ' ' && !inCode:
			if i > begin {
				words = append(words, line[begin:i])
			}
			begin = i + 1
		}
	}
	if begin < len(line) {
		words = append(words, line[begin:])
	}
	return words
}
