package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// chosen is the environment variable that chooses the mutant to be.
const chosen = "MUTATE_CHOSEN"

// switchFile joins the package while it is mutated. A mutant that asks for memory
// without end is ended before the machine suffers.
const switchFile = `package %s

import (
	"os"
	"runtime"
	"strconv"
	"time"
)

var mutate__, _ = strconv.Atoi(os.Getenv("` + chosen + `"))

func init() {
	go func() {
		for stats := new(runtime.MemStats); stats.HeapAlloc < 1<<30; time.Sleep(50 * time.Millisecond) {
			runtime.ReadMemStats(stats)
		}
		os.Exit(3)
	}()
}
`

// target is the package to mutate.
type target struct {
	dir, name, path string
	files           []*source
	export          map[string]string // files with the types of the packages it imports
}

// load reads the package in a folder; files that are generated are left out.
func load(ctx context.Context, dir string) (*target, error) {
	out, err := goCommand(ctx, dir, "list", "-json=Dir,Name,ImportPath,GoFiles", ".")
	if err != nil {
		return nil, err
	}

	var list struct {
		Dir, Name, ImportPath string
		GoFiles               []string
	}

	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("reading what go list says: %w", err)
	}

	t := &target{dir: list.Dir, name: list.Name, path: list.ImportPath, export: map[string]string{}}

	for _, name := range list.GoFiles {
		file := &source{path: filepath.Join(dir, name), name: name, fset: token.NewFileSet()}

		text, err := os.ReadFile(filepath.Join(t.dir, name))
		if err != nil {
			return nil, fmt.Errorf("reading the package: %w", err)
		}

		file.text = string(text)
		if file.parsed, err = parser.ParseFile(file.fset, name, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			return nil, fmt.Errorf("parsing the package: %w", err)
		}

		if !ast.IsGenerated(file.parsed) {
			t.files = append(t.files, file)
		}
	}

	out, err = goCommand(ctx, dir, "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", ".", "os", "runtime", "strconv", "time")
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		t.export[path] = file
	}

	return t, err
}

// span is where a mutant is in a file that holds many.
type span struct {
	from, to int
	mutant   *mutant
}

// combine makes a file that holds mutants of its functions, each of which comes to
// life when it is chosen. So one build serves all of them.
func combine(file *source, mutants []*mutant) (string, []span) {
	var (
		out   strings.Builder
		spans []span
		done  int
	)

	for _, decl := range file.parsed.Decls {
		function, _ := decl.(*ast.FuncDecl)
		own := slices.DeleteFunc(slices.Clone(mutants), func(m *mutant) bool { return function == nil || m.function != function })

		if len(own) == 0 {
			continue
		}

		offset := func(at token.Pos) int { return file.fset.Position(at).Offset }
		begin, end := offset(function.Body.Lbrace)+1, offset(function.Body.Rbrace)
		results, before, after := "", "", "; return"

		if r := function.Type.Results; r != nil {
			results, before, after = file.text[offset(r.Pos()):offset(r.End())], "return ", ""
		}

		out.WriteString(file.text[done:begin] + "\nswitch mutate__ {\n")

		for _, m := range own {
			from := out.Len()
			fmt.Fprintf(&out, "case %d: %sfunc() %s {%s%s%s}()%s\n",
				m.id, before, results, file.text[begin:m.from], m.with, file.text[m.to:end], after)
			spans = append(spans, span{from: from, to: out.Len(), mutant: m})
		}

		out.WriteString("}\n")

		done = begin
	}

	return out.String() + file.text[done:], spans
}

// compiling checks the types of all mutants of functions, and returns those that compile.
func (t *target) compiling(mutants []*mutant) ([]*mutant, error) {
	fset := token.NewFileSet()
	spans := map[string][]span{}

	var parsed []*ast.File

	add := func(name, text string) error {
		file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
		parsed = append(parsed, file)

		return err //nolint:wrapcheck // the caller wraps it
	}

	err := add("", fmt.Sprintf(switchFile, t.name))

	for _, file := range t.files {
		var text string

		text, spans[file.name] = combine(file, of(file, mutants))
		err = errors.Join(err, add(file.name, text))
	}

	if err != nil {
		return nil, fmt.Errorf("a mutation is no Go: %w", err)
	}

	broken, unexpected := map[*mutant]bool{}, []error{}
	config := types.Config{
		Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(t.export[path]) }),
		Error: func(err error) {
			var problem types.Error
			if errors.As(err, &problem) {
				at := fset.Position(problem.Pos)
				for _, s := range spans[at.Filename] {
					if s.from <= at.Offset && at.Offset < s.to {
						broken[s.mutant] = true
						return
					}
				}
			}

			unexpected = append(unexpected, err)
		},
	}

	_, _ = config.Check(t.path, fset, parsed, nil) // its errors have been told one by one

	return slices.DeleteFunc(mutants, func(m *mutant) bool { return broken[m] }), errors.Join(unexpected...)
}

// build builds a test binary of the package, with files of it replaced or added.
func (t *target) build(ctx context.Context, folder string, replaced map[string]string) (string, error) {
	overlay := struct{ Replace map[string]string }{map[string]string{}}

	for name, text := range replaced {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("writing the mutants: %w", err)
		}

		overlay.Replace[filepath.Join(t.dir, name)] = file
	}

	list, err := json.Marshal(overlay)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "overlay.json"), list, 0o600)
	}

	if err != nil {
		return "", fmt.Errorf("writing the list of mutated files: %w", err)
	}

	binary := filepath.Join(folder, "tests")
	_, err = goCommand(ctx, t.dir, "test", "-c", "-vet=off", "-o", binary, "-overlay", filepath.Join(folder, "overlay.json"), ".")

	return binary, err
}

// buildAll builds one test binary with these mutants of functions in it.
func (t *target) buildAll(ctx context.Context, folder string, mutants []*mutant) (string, error) {
	replaced := map[string]string{"mutate__.go": fmt.Sprintf(switchFile, t.name)}
	for _, file := range t.files {
		replaced[file.name], _ = combine(file, of(file, mutants))
	}

	return t.build(ctx, folder, replaced)
}

// buildOne builds a test binary with one mutant outside of functions.
func (t *target) buildOne(ctx context.Context, folder string, m *mutant) (string, error) {
	return t.build(ctx, folder, map[string]string{m.file.name: m.file.text[:m.from] + m.with + m.file.text[m.to:]})
}

// of picks the mutants of a file.
func of(file *source, mutants []*mutant) []*mutant {
	return slices.DeleteFunc(slices.Clone(mutants), func(m *mutant) bool { return m.file != file })
}

// goCommand runs the go command, and returns what it prints.
func goCommand(ctx context.Context, dir string, args ...string) ([]byte, error) {
	var stderr bytes.Buffer

	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = dir, &stderr

	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.String())
	}

	return out, nil
}
