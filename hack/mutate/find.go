package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"strconv"
	"strings"
)

// mutant is one small change to the code.
type mutant struct {
	id   int // from 1
	file *source
	line int
	// function holds the change; it is nil for a change outside of functions.
	function *ast.FuncDecl
	// from, to and with are the change: the text in place of text[from:to].
	from, to int
	with     string
	// change says in words what the change is.
	change string
	// name identifies the change in the list of those to ignore: it stays the same
	// when lines are added elsewhere.
	name string
}

func (m *mutant) String() string { return fmt.Sprintf("%s:%d: %s", m.file.path, m.line, m.change) }

// source is a file of the package.
type source struct {
	path, name string
	text       string
	parsed     *ast.File
	fset       *token.FileSet
}

// finder collects the mutants of a file.
type finder struct {
	file     *source
	function *ast.FuncDecl
	found    []*mutant
}

// find lists the mutants of a file, in order. String methods are left out: they make
// texts. So are the signatures of functions, which only name types.
func find(file *source) []*mutant {
	f := &finder{file: file}
	for _, decl := range file.parsed.Decls {
		f.function, _ = decl.(*ast.FuncDecl)

		switch {
		case f.function == nil:
			ast.Inspect(decl, f.visit)
		case f.function.Body != nil && !isString(f.function):
			ast.Inspect(f.function.Body, f.visit)
		}
	}
	seen := map[string]int{}
	for _, m := range f.found {
		where := "outside of functions"
		if m.function != nil {
			where = m.function.Name.Name
		}
		m.name = fmt.Sprintf("%s %s: %s", file.name, where, m.change)
		if seen[m.name]++; seen[m.name] > 1 {
			m.name += fmt.Sprintf(" (%d)", seen[m.name])
		}
	}
	return f.found
}

func isString(function *ast.FuncDecl) bool {
	return function != nil && function.Recv != nil && function.Name.Name == "String"
}

// visit adds the mutants that begin at a node.
func (f *finder) visit(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.BinaryExpr:
		f.operator(n, n.OpPos, n.Op)
		if n.Op == token.LAND || n.Op == token.LOR {
			f.negate(n.X, n.Y)
		}
	case *ast.UnaryExpr:
		if n.Op == token.NOT {
			f.change(n, n.Pos(), n.X.Pos(), "")
		}
	case *ast.BasicLit:
		f.number(n)
	case *ast.Ident:
		f.swap(n, map[string]string{"true": "false", "false": "true"})
	case *ast.CallExpr:
		if name, ok := n.Fun.(*ast.Ident); ok {
			f.swap(name, map[string]string{"min": "max", "max": "min"})
		}
	case *ast.CompositeLit:
		f.elements(n)
	case ast.Stmt:
		f.statement(n)
	}
	return true
}

// statement adds the mutants of a statement.
func (f *finder) statement(stmt ast.Stmt) {
	switch n := stmt.(type) {
	case *ast.IfStmt:
		f.negate(n.Cond)
	case *ast.ForStmt:
		f.negate(n.Cond)
	case *ast.ReturnStmt:
		f.negate(n.Results...)
	case *ast.IncDecStmt:
		f.operator(n, n.TokPos, n.Tok)
	case *ast.AssignStmt:
		f.operator(n, n.TokPos, n.Tok)
	case *ast.BlockStmt:
		f.removeStatements(n.List)
	case *ast.CaseClause:
		f.removeStatements(n.Body)
	case *ast.SwitchStmt:
		f.cases(n.Body, n.Tag)
	case *ast.TypeSwitchStmt:
		f.cases(n.Body, n.Assign)
	}
}

// operator changes an operator to each of its counterparts.
func (f *finder) operator(n ast.Node, at token.Pos, op token.Token) {
	for _, other := range map[token.Token][]token.Token{
		token.EQL: {token.NEQ}, token.NEQ: {token.EQL},
		token.LSS: {token.LEQ, token.GEQ}, token.GEQ: {token.GTR, token.LSS},
		token.GTR: {token.GEQ, token.LEQ}, token.LEQ: {token.LSS, token.GTR},
		token.LAND: {token.LOR}, token.LOR: {token.LAND},
		token.ADD: {token.SUB}, token.SUB: {token.ADD}, token.MUL: {token.QUO}, token.QUO: {token.MUL},
		token.SHL: {token.SHR}, token.SHR: {token.SHL}, token.AND: {token.OR}, token.OR: {token.AND},
		token.ADD_ASSIGN: {token.SUB_ASSIGN}, token.SUB_ASSIGN: {token.ADD_ASSIGN},
		token.INC: {token.DEC}, token.DEC: {token.INC},
	}[op] {
		f.change(n, at, at+token.Pos(len(op.String())), other.String())
	}
}

// negate negates conditions, except those in which an operator is changed anyway.
// What is not a condition does not compile, and does not count.
func (f *finder) negate(conditions ...ast.Expr) {
	for _, e := range conditions {
		switch n := e.(type) {
		case *ast.Ident, *ast.SelectorExpr, *ast.CallExpr, *ast.IndexExpr:
			text := f.text(n.Pos(), n.End())
			if text != "true" && text != "false" {
				f.change(n, n.Pos(), n.End(), "!"+text)
			}
		case *ast.ParenExpr:
			f.negate(n.X)
		}
	}
}

// number changes an integer by one, up and down.
func (f *finder) number(n *ast.BasicLit) {
	if value, err := strconv.ParseInt(n.Value, 0, 64); err == nil && n.Kind == token.INT {
		f.changeWord(n, strconv.FormatInt(value+1, 10))
		f.changeWord(n, fmt.Sprintf("(%d)", value-1))
	}
}

// swap changes a word to another.
func (f *finder) swap(n *ast.Ident, words map[string]string) {
	if other := words[n.Name]; other != "" {
		f.changeWord(n, other)
	}
}

// elements leaves out each element of a list, and each field of a struct.
func (f *finder) elements(n *ast.CompositeLit) {
	for i, e := range n.Elts {
		next := n.Rbrace
		if i+1 < len(n.Elts) {
			next = n.Elts[i+1].Pos()
		}
		f.remove(e, e.Pos(), next)
	}
}

// removeStatements leaves out each statement that does something.
func (f *finder) removeStatements(list []ast.Stmt) {
	for _, stmt := range list {
		switch n := stmt.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				f.remove(n, n.Pos(), n.End())
			}
		case *ast.ExprStmt, *ast.IncDecStmt, *ast.ReturnStmt, *ast.BranchStmt, *ast.DeferStmt:
			f.remove(n, n.Pos(), n.End())
		}
	}
}

// cases leaves out each case of a switch, and each value of a case. A case of a switch
// over a value that does the same as the default is for the reader only.
func (f *finder) cases(body *ast.BlockStmt, over ast.Node) {
	usual := ""
	for _, stmt := range body.List {
		if c, ok := stmt.(*ast.CaseClause); ok && c.List == nil {
			usual = f.body(c)
		}
	}
	for _, stmt := range body.List {
		c, ok := stmt.(*ast.CaseClause)
		if !ok || over != nil && f.body(c) == usual {
			continue
		}
		f.remove(c, c.Pos(), c.End())
		f.values(c.List)
		if over == nil {
			f.negate(c.List...)
		}
	}
}

// values leaves out each of several values of a case.
func (f *finder) values(list []ast.Expr) {
	for i, value := range list {
		if i+1 < len(list) {
			f.remove(value, value.Pos(), list[i+1].Pos())
		} else if i > 0 {
			f.remove(value, list[i-1].End(), value.End())
		}
	}
}

// body is the text of what a case does.
func (f *finder) body(c *ast.CaseClause) string {
	return strings.TrimSpace(f.text(c.Colon+1, c.End()))
}

func (f *finder) remove(n ast.Node, from, to token.Pos) {
	f.add(from, to, "", "removed: "+brief(f.text(n.Pos(), n.End())))
}

// change adds a change within a node.
func (f *finder) change(n ast.Node, from, to token.Pos, with string) {
	after := f.text(n.Pos(), from) + with + f.text(to, n.End())
	f.add(from, to, with, brief(f.text(n.Pos(), n.End()))+"  becomes  "+brief(after))
}

// changeWord changes a word, which means something only with its line.
func (f *finder) changeWord(n ast.Node, with string) {
	from, to := f.offset(n.Pos()), f.offset(n.End())
	begin := strings.LastIndexByte(f.file.text[:from], '\n') + 1
	end := to + strings.IndexByte(f.file.text[to:]+"\n", '\n')
	before, _, _ := strings.Cut(f.file.text[begin:end], " //")
	after, _, _ := strings.Cut(f.file.text[begin:from]+with+f.file.text[to:end], " //")
	f.add(n.Pos(), n.End(), with, brief(before)+"  becomes  "+brief(after))
}

func (f *finder) add(from, to token.Pos, with, change string) {
	f.found = append(f.found, &mutant{
		file: f.file, line: f.file.fset.Position(from).Line, function: f.function,
		from: f.offset(from), to: f.offset(to), with: with, change: change,
	})
}

func (f *finder) offset(at token.Pos) int { return f.file.offset(at) }

func (s *source) offset(at token.Pos) int { return s.fset.Position(at).Offset }

// place is the line and column of an offset.
func (s *source) place(offset int) place {
	begin := strings.LastIndexByte(s.text[:offset], '\n') + 1
	return place{line: strings.Count(s.text[:begin], "\n") + 1, column: offset - begin + 1}
}

func (f *finder) text(from, to token.Pos) string { return f.file.text[f.offset(from):f.offset(to)] }

// brief puts code on one line.
func brief(code string) string {
	const most = 140
	code = strings.Join(strings.Fields(code), " ")
	if len(code) > most {
		code = strings.ToValidUTF8(code[:most], "") + " ..."
	}
	return code
}
