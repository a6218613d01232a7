package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strings"
)

// part is a text of a file, and the line on which it begins.
type part struct {
	text string
	line int
}

// goParts are the comments, strings and identifiers of a file. What other modules have
// named, which is what stands behind the name of a package, is left out, and so are paths
// of imports and tags of structs. Each identifier counts once.
func goParts(file string, source []byte) ([]part, error) {
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, file, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("cannot read the code: %w", err)
	}
	lineOf := func(p token.Pos) int { return positions.Position(p).Line }

	var parts []part
	for _, group := range parsed.Comments {
		begin, end := positions.Position(group.Pos()), positions.Position(group.End())
		if !strings.HasPrefix(group.List[0].Text, "//go:") {
			parts = append(parts, part{withoutMarks(string(source[begin.Offset:end.Offset])), begin.Line})
		}
	}

	w := walk{packages: map[string]bool{}, seen: map[string]bool{}, lineOf: lineOf, parts: parts}
	for _, spec := range parsed.Imports {
		w.packages[packageName(spec)] = true
	}
	ast.Inspect(parsed, w.visit)
	return w.parts, nil
}

// walk collects the strings and identifiers of a file.
type walk struct {
	packages, seen map[string]bool
	lineOf         func(token.Pos) int
	parts          []part
}

// visit takes one node, and reports whether those below it count.
func (w *walk) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.ImportSpec:
		return false
	case *ast.SelectorExpr:
		x, ok := n.X.(*ast.Ident)
		return !ok || !w.packages[x.Name]
	case *ast.Field:
		n.Tag = nil
	case *ast.BasicLit:
		if n.Kind == token.STRING {
			w.parts = append(w.parts, part{n.Value, w.lineOf(n.Pos())})
		}
	case *ast.Ident:
		if !w.seen[n.Name] {
			w.seen[n.Name] = true
			w.parts = append(w.parts, part{wordsOf(n.Name), w.lineOf(n.Pos())})
		}
	}
	return true
}

// packageName is the name by which a file knows a package.
func packageName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	path := strings.Trim(spec.Path.Value, `"`)
	return path[strings.LastIndex(path, "/")+1:]
}

var marks = regexp.MustCompile(`(?m)^\s*//|/\*|\*/`)

// withoutMarks is a comment with blanks for its marks, so that a phrase on two lines is one.
func withoutMarks(comment string) string {
	return marks.ReplaceAllStringFunc(comment, func(mark string) string { return strings.Repeat(" ", len(mark)) })
}

var border = regexp.MustCompile(`[a-z0-9][A-Z]|[A-Z][A-Z][a-z]|_`)

// wordsOf are the words of an identifier: lookAgain is "look Again", PVCLook "PVC Look".
func wordsOf(name string) string {
	for i := 0; i < len(name); {
		at := border.FindStringIndex(name[i:])
		if at == nil {
			break
		}
		i += at[0] + 1
		if name[i-1] == '_' {
			name = name[:i-1] + " " + name[i:]
			continue
		}
		name = name[:i] + " " + name[i:]
		i++
	}
	return name
}
