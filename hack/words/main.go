// Command words finds words in Go, Markdown and other text files that this repository
// does not use, and names the field's word for each: in comments, strings, identifiers
// and prose. The list is in list.go.
//
//	go run ./hack/words -allow hack/words/allowed.txt docs README.md
//
// It prints a line for each find, "file:line: the word: use the field's word", and fails
// if there is one. Directories are searched for .go and .md files; other files are read
// as text. Generated files, code blocks and links are left out.
package main

import (
	"bufio"
	"cmp"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	allow := flag.String("allow", "", "`file` of honest uses, a line each: a path, a tab, and text of the line that holds the word")
	count := flag.Bool("count", false, "print the number of finds per word and per directory instead")
	flag.Parse()

	code, err := run(os.Stdout, *allow, *count, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		code = 2
	}
	os.Exit(code)
}

// run checks paths and returns the exit code: 1 if a word was found.
func run(out io.Writer, allow string, count bool, paths []string) (int, error) {
	allowed, err := readAllowed(allow)
	if err != nil {
		return 0, err
	}
	files, err := filesOf(paths)
	if err != nil {
		return 0, err
	}
	var all []find
	words := list() // once: to compile it takes longer than to read most files
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			return 0, fmt.Errorf("cannot read the file: %w", err)
		}
		finds, err := check(words, file, source)
		if err != nil {
			return 0, err
		}
		lines := strings.Split(string(source), "\n")
		for _, f := range finds {
			if !allowed.holds(file, lines[f.line-1]) {
				all = append(all, f)
			}
		}
	}
	unused := allowed.unused(files)
	for _, line := range unused {
		fmt.Fprintf(out, "%s: nothing needs this line any longer: remove it\n", line)
	}
	report(out, all, count)
	if len(all)+len(unused) > 0 {
		return 1, nil
	}
	return 0, nil
}

func report(out io.Writer, finds []find, count bool) {
	if !count {
		for _, f := range finds {
			fmt.Fprintf(out, "%s: %q: use %s\n", f.place(), f.text, f.use)
		}
		return
	}
	counts := map[string]int{}
	for _, f := range finds {
		counts["use "+f.use]++
		counts[filepath.Dir(f.file)+"/"]++
	}
	for _, key := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		fmt.Fprintf(out, "%5d %s\n", counts[key], key)
	}
	fmt.Fprintf(out, "%5d in all\n", len(finds))
}

// filesOf are the files of paths: what lies below a directory if it is Go or Markdown, and
// is neither generated nor the list of words itself.
func filesOf(paths []string) ([]string, error) {
	var files []string
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			name := d.Name()
			switch {
			case d.IsDir() && (name == ".git" || name == "bin" || path == filepath.Join("hack", "words")):
				return filepath.SkipDir
			case d.IsDir(), strings.HasPrefix(name, "zz_generated"):
				return nil
			case path == root, strings.HasSuffix(name, ".go"), strings.HasSuffix(name, ".md"):
				files = append(files, filepath.ToSlash(path))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("cannot list the files: %w", err)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// find is a word that was found.
type find struct {
	file, text, use string
	line            int
}

func (f find) place() string { return fmt.Sprintf("%s:%d", f.file, f.line) }

// check finds the words of one file.
func check(words []word, file string, source []byte) ([]find, error) {
	var parts []part
	switch filepath.Ext(file) {
	case ".go":
		var err error
		if parts, err = goParts(file, source); err != nil {
			return nil, err
		}
	case ".md":
		parts = []part{{text: prose(string(source)), line: 1}}
	default:
		parts = []part{{text: string(source), line: 1}}
	}

	var finds []find
	for _, p := range parts {
		for _, f := range match(words, p.text) {
			f.file, f.line = file, p.line+f.line
			finds = append(finds, f)
		}
	}
	slices.SortStableFunc(finds, func(a, b find) int { return cmp.Compare(a.line, b.line) })
	return finds, nil
}

// match finds words in a text; of those that overlap, the first of the list. The lines
// of what it returns count from 0.
func match(words []word, text string) []find {
	var finds []find
	taken := make([]bool, len(text))
	for _, w := range words {
		for _, at := range w.avoid.FindAllStringIndex(text, -1) {
			if slices.Contains(taken[at[0]:at[1]], true) || w.unless != nil && w.unless.MatchString(text[at[1]:]) {
				continue
			}
			for i := at[0]; i < at[1]; i++ {
				taken[i] = true
			}
			finds = append(finds, find{
				text: strings.Join(strings.Fields(text[at[0]:at[1]]), " "), use: w.use, line: strings.Count(text[:at[0]], "\n"),
			})
		}
	}
	return finds
}

var notProse = regexp.MustCompile("(?s)(?m:^)[ \t]*```.*?\n[ \t]*```|`[^`\n]*`|\\]\\([^)\\s]*\\)|https?://\\S*")

// prose is Markdown in which code and the targets of links are blanks.
func prose(text string) string {
	return notProse.ReplaceAllStringFunc(text, blank)
}

// blank is as long as a text, and has its line breaks.
func blank(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' {
			return r
		}
		return '\u00a0' // no space for the list, so that words on both sides are not neighbours
	}, text)
}

// honest are the uses that are allowed.
type honest []*use

type use struct {
	file, text, place string
	used              bool
}

func readAllowed(name string) (honest, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the honest uses: %w", err)
	}
	defer file.Close()

	var all honest
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimRight(lines.Text(), " ")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		place := fmt.Sprintf("%s:%d", name, n)
		path, text, ok := strings.Cut(line, "\t")
		if !ok || strings.TrimSpace(text) == "" {
			return nil, fmt.Errorf("%s: want a path, a tab, and text of the line", place)
		}
		all = append(all, &use{file: path, text: strings.TrimSpace(text), place: place})
	}
	return all, lines.Err()
}

// holds reports whether a line of a file is an honest use.
func (h honest) holds(file, line string) bool {
	for _, u := range h {
		if ok, _ := filepath.Match(u.file, file); ok && strings.Contains(line, u.text) {
			u.used = true
			return true
		}
	}
	return false
}

// unused are the places of honest uses that these files no longer have.
func (h honest) unused(files []string) []string {
	var places []string
	for _, u := range h {
		if !u.used && slices.ContainsFunc(files, func(file string) bool { ok, _ := filepath.Match(u.file, file); return ok }) {
			places = append(places, u.place)
		}
	}
	return places
}
