package main

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"unicode"
)

var (
	code       = regexp.MustCompile("(?s)(?m:^)[ \t]*```.*?\n[ \t]*```|``[^\n]+?``|`[^`\n]*`")
	link       = regexp.MustCompile(`\]\(\s*<?([^)\s>]+)>?[^)]*\)`)
	definition = regexp.MustCompile(`(?m)^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?\s*$`)
	scheme     = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)
)

// links finds relative links of a page that lead nowhere.
func links(repository fs.FS, file, text string) []string {
	text = code.ReplaceAllStringFunc(text, func(c string) string {
		return strings.Map(func(r rune) rune {
			if r == '\n' {
				return r
			}
			return ' '
		}, c)
	})
	var problems []string
	for _, form := range []*regexp.Regexp{link, definition} {
		for _, m := range form.FindAllStringSubmatchIndex(text, -1) {
			target := text[m[2]:m[3]]
			if scheme.MatchString(target) || strings.HasPrefix(target, "//") {
				continue
			}
			if problem := follow(repository, file, target); problem != "" {
				problems = append(problems, fmt.Sprintf("%s:%d: the link to %s: %s", file, lineOf(text, m[2]), target, problem))
			}
		}
	}
	return problems
}

// follow says why a relative link leads nowhere, or is "".
func follow(repository fs.FS, file, target string) string {
	name, anchor, _ := strings.Cut(target, "#")
	page := file
	if name != "" {
		page = path.Join(path.Dir(file), name)
	}
	if !fs.ValidPath(page) {
		return "it leaves the repository"
	}
	info, err := fs.Stat(repository, page)
	switch {
	case err != nil:
		return page + " does not exist"
	case anchor == "" || path.Ext(page) != ".md" || info.IsDir():
		return ""
	}
	source, err := fs.ReadFile(repository, page)
	if err != nil {
		return err.Error()
	}
	if !anchors(string(source))[anchor] {
		return page + " has no heading of that name"
	}
	return ""
}

var (
	heading  = regexp.MustCompile(`(?m)^#{1,6} +(.+?)(?: +#+)?$`)
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors are what links into a page can name: GitHub makes them of its headings.
func anchors(text string) map[string]bool {
	// Code spans belong to a heading, fenced code does not.
	text = regexp.MustCompile("(?s)(?m:^)[ \t]*```.*?\n[ \t]*```").ReplaceAllString(text, "")
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			default:
				return -1
			}
		}, linkText.ReplaceAllString(m[1], "$1"))
		unique := anchor
		for n := 1; found[unique]; n++ {
			unique = fmt.Sprintf("%s-%d", anchor, n)
		}
		found[unique] = true
	}
	return found
}
