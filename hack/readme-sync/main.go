// Command readme-sync puts code of this repository into its Markdown files, so that
// what a reader sees is what compiles and is tested. Between
//
//	<!-- code: examples/testjob/testjob.go Controller Controller.Rules -->
//	<!-- /code -->
//
// it writes these top-level declarations (a method is Type.Method), in that order and
// with their comments; without names, the whole file, which then need not be Go.
// Paths begin at the working directory. With -check it writes nothing, and fails if it would.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail if a file is not up to date")
	flag.Parse()
	if err := run(os.DirFS("."), flag.Args(), *check); err != nil {
		fmt.Fprintln(os.Stderr, "readme-sync:", err)
		os.Exit(1)
	}
}

// run brings files up to date, or only checks that they are.
func run(repository fs.FS, files []string, check bool) error {
	for _, name := range files {
		old, err := fs.ReadFile(repository, name)
		if err != nil {
			return fmt.Errorf("cannot read the document: %w", err)
		}
		text, err := sync(repository, string(old))
		switch {
		case err != nil:
			return fmt.Errorf("%s:%w", name, err)
		case text == string(old):
			continue
		case check:
			return fmt.Errorf("%s shows code that has changed since: run make generate", name)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil { //nolint:gosec // a document is for all to read
			return fmt.Errorf("cannot write the document: %w", err)
		}
	}
	return nil
}

const (
	beginMark = "<!-- code: "
	markEnd   = " -->"
	endMark   = "<!-- /code -->"
)

// sync returns a document with the code between its marks replaced. Its errors begin
// with the line number.
func sync(repository fs.FS, text string) (string, error) {
	var (
		out  strings.Builder
		open int // line of the mark whose end is missing so far
	)
	for i, line := range strings.SplitAfter(text, "\n") {
		bare := strings.TrimRight(line, "\r\n")
		spec, begins := strings.CutPrefix(bare, beginMark)
		switch {
		case begins && open != 0:
			return "", fmt.Errorf("%d: this begins before %s ended the one of line %d", i+1, endMark, open)
		case begins:
			code, err := block(repository, strings.TrimSuffix(spec, markEnd))
			if err != nil {
				return "", fmt.Errorf("%d: %w", i+1, err)
			}
			open = i + 1
			fmt.Fprintf(&out, "%s\n%s%s\n", bare, code, endMark)
		case bare == endMark && open == 0:
			return "", fmt.Errorf("%d: %s without a beginning", i+1, endMark)
		case bare == endMark:
			open = 0
		case open == 0:
			out.WriteString(line)
		}
	}
	if open != 0 {
		return "", fmt.Errorf("%d: this never ends: write %s", open, endMark)
	}
	return out.String(), nil
}

// block is the fenced code that a mark asks for: a path, and names in that file.
func block(repository fs.FS, spec string) (string, error) {
	fields := strings.Fields(spec)
	if len(fields) == 0 {
		return "", errors.New("name a file")
	}
	source, err := fs.ReadFile(repository, fields[0])
	if err != nil {
		return "", fmt.Errorf("cannot read the code: %w", err)
	}
	if names := fields[1:]; len(names) > 0 {
		if source, err = declarations(fields[0], source, names); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("```%s\n%s\n```\n", strings.TrimPrefix(path.Ext(fields[0]), "."), bytes.TrimSpace(source)), nil
}

// declarations cuts the named ones out of a Go file.
func declarations(file string, source []byte, names []string) ([]byte, error) {
	positions := token.NewFileSet()
	parsed, err := parser.ParseFile(positions, file, source, parser.ParseComments)
	if err != nil {
		return nil, fmt.Errorf("cannot read the code: %w", err)
	}
	found := map[string][]byte{}
	for _, d := range parsed.Decls {
		begin := d.Pos()
		if comment := commentOf(d); comment != nil {
			begin = comment.Pos()
		}
		text := source[positions.Position(begin).Offset:positions.Position(d.End()).Offset]
		for _, name := range namesOf(d) {
			found[name] = text
		}
	}
	var parts [][]byte
	for _, name := range names {
		text, ok := found[name]
		if !ok {
			return nil, fmt.Errorf("%s declares no %s", file, name)
		}
		parts = append(parts, text)
	}
	return bytes.Join(parts, []byte("\n\n")), nil
}

// commentOf is the comment that belongs to a declaration, if there is one.
func commentOf(d ast.Decl) *ast.CommentGroup {
	switch d := d.(type) {
	case *ast.FuncDecl:
		return d.Doc
	case *ast.GenDecl:
		return d.Doc
	default:
		return nil
	}
}

// namesOf are the names that a declaration gives: several if it is a group.
func namesOf(d ast.Decl) []string {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			return []string{d.Name.Name}
		}
		return []string{receiver(d.Recv.List[0].Type) + "." + d.Name.Name}
	case *ast.GenDecl:
		var names []string
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, spec.Name.Name)
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					names = append(names, name.Name)
				}
			}
		}
		return names
	default:
		return nil
	}
}

// receiver is the type's name without pointer and type parameters.
func receiver(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}
