package hack_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestReasonsAreDocumented: the page about troubleshooting has each reason of a condition, and of
// an event, that the code can give.
func TestReasonsAreDocumented(t *testing.T) {
	const page = "../docs/operators/troubleshooting.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	for _, file := range goList(t, `{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}`,
		"../internal/plan", "../internal/operator", "../controller", "../podtemplate", "../operators/...", "../api/common/v1") {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			for _, reason := range reasonsOf(n) {
				reasons[reason] = file
			}
			return true
		})
	}
	const fewest = 35
	if len(reasons) < fewest {
		t.Errorf("only %d reasons were found in the code: %v", len(reasons), reasons)
	}
	for reason, file := range reasons {
		// A reason of a condition begins with the kind.
		if !regexp.MustCompile("`(<Kind>|MPIJob)?" + reason + "`").Match(text) {
			t.Errorf("%s does not have the reason %s of %s: say what happened, and what to do", page, reason, file)
		}
	}
}

// reasonsOf are the reasons that a piece of code has: constants by their name or type, and texts
// where a reason belongs.
func reasonsOf(n ast.Node) []string {
	switch n := n.(type) {
	case *ast.ValueSpec:
		name := n.Names[0].Name
		typ := fmt.Sprint(n.Type)
		if strings.HasPrefix(name, "reason") || typ == "Obstacle" && name != "Refused" || typ == "JobConditionType" && !strings.HasSuffix(name, "Stalled") {
			return texts(n.Values...)
		}
	case *ast.CallExpr: // d.event(warning, reason, message)
		if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "event" && len(n.Args) > 2 {
			return texts(n.Args[1])
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Reason" {
			return texts(n.Value)
		}
	case *ast.CompositeLit: // a row of a table: names, reason, verb, kind
		if n.Type == nil && len(n.Elts) > 1 {
			return texts(n.Elts[1])
		}
	}
	return nil
}

var reasonForm = regexp.MustCompile(`^[A-Z][A-Za-z]+$`)

// texts are the literal texts among expressions that have the form of a reason.
func texts(list ...ast.Expr) (out []string) {
	for _, e := range list {
		l, ok := e.(*ast.BasicLit)
		if !ok || l.Kind != token.STRING {
			continue
		}
		if s, err := strconv.Unquote(l.Value); err == nil && reasonForm.MatchString(s) {
			out = append(out, s)
		}
	}
	return out
}
