// Command markdown checks the Markdown files of this repository: the targets of relative
// links and their anchors exist, the pages that other files mention by their path
// (docs/….md) exist, and prose is wrapped at 120 columns.
//
//	go run ./hack/markdown README.md docs/README.md   # check
//	go run ./hack/markdown -w README.md               # wrap the prose
//
// Files that are not Markdown are checked for mentions only. Paths begin at the working
// directory, which is the top of the repository.
package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
)

// width is the widest line of prose. Tables, code, headings and single long words may be
// wider.
const width = 120

func main() {
	write := flag.Bool("w", false, "wrap the prose of the files instead of checking them")
	flag.Parse()

	problems, err := run(os.DirFS("."), flag.Args(), *write)
	if err != nil {
		fmt.Fprintln(os.Stderr, "markdown:", err)
		os.Exit(2)
	}
	printAll(os.Stdout, problems)
	if len(problems) > 0 {
		os.Exit(1)
	}
}

func printAll(out io.Writer, problems []string) {
	for _, problem := range problems {
		fmt.Fprintln(out, problem)
	}
}

// run checks files, or wraps those that are Markdown. It returns what is wrong with them,
// as "file:line: what".
func run(repository fs.FS, files []string, write bool) ([]string, error) {
	var problems []string
	for _, file := range files {
		source, err := fs.ReadFile(repository, file)
		if err != nil {
			return nil, fmt.Errorf("cannot read the file: %w", err)
		}
		text := string(source)
		markdown := path.Ext(file) == ".md"
		if write {
			if wrapped := wrap(text); markdown && wrapped != text {
				if err := os.WriteFile(file, []byte(wrapped), 0o644); err != nil { //nolint:gosec // a document is for all to read
					return nil, fmt.Errorf("cannot write the file: %w", err)
				}
			}
			continue
		}
		problems = append(problems, mentions(repository, file, text)...)
		if markdown {
			problems = append(problems, links(repository, file, text)...)
			problems = append(problems, unwrapped(file, text)...)
		}
	}
	return problems, nil
}

var mention = regexp.MustCompile(`(^|[^\w/.-])(docs/[\w./-]+\.md)`)

// mentions finds pages that a file names by their path and that do not exist.
func mentions(repository fs.FS, file, text string) []string {
	var problems []string
	for _, m := range mention.FindAllStringSubmatchIndex(text, -1) {
		page := text[m[4]:m[5]]
		// The path of a relative link begins at the file's own folder: links checks it.
		if strings.HasSuffix(text[:m[4]], "](") {
			continue
		}
		if _, err := fs.Stat(repository, page); err != nil {
			problems = append(problems, fmt.Sprintf("%s:%d: %s does not exist: name the page that has its contents now", file, lineOf(text, m[4]), page))
		}
	}
	return problems
}

func lineOf(text string, at int) int { return 1 + strings.Count(text[:at], "\n") }

// unwrapped names the first line of a file that wrap would change.
func unwrapped(file, text string) []string {
	want := wrap(text)
	if want == text {
		return nil
	}
	have, wanted := strings.Split(text, "\n"), strings.Split(want, "\n")
	n := 0
	for n < len(have)-1 && n < len(wanted)-1 && have[n] == wanted[n] {
		n++
	}
	return []string{fmt.Sprintf("%s:%d: the prose is not wrapped at %d columns: run make fmt", file, n+1, width)}
}
