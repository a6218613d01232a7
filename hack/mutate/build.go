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
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// chosen is the environment variable that selects the mutant, and patience the one that says for
// how many milliseconds of processor time it may run.
const (
	chosen   = "MUTATE_CHOSEN"
	patience = "MUTATE_PATIENCE"
)

// switchFile is added to the package while it is mutated. It ends a mutant that runs or
// allocates memory without end. Other programs on the machine do not count: it goes by processor
// time.
const switchFile = `package %s

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

var mutate__, _ = strconv.Atoi(os.Getenv("` + chosen + `"))

func init() {
	patience, _ := time.ParseDuration(os.Getenv("` + patience + `") + "ms")
	if patience == 0 {
		return
	}
	go func() {
		var memory runtime.MemStats
		for took := time.Duration(0); took < patience && memory.HeapAlloc < 1<<30; time.Sleep(50 * time.Millisecond) {
			runtime.ReadMemStats(&memory)
			var used syscall.Rusage
			if syscall.Getrusage(syscall.RUSAGE_SELF, &used) == nil {
				took = time.Duration(used.Utime.Nano())
			}
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
	list, err := goCommand(ctx, dir, "list", "-f", "{{.Dir}}\n{{.Name}}\n{{.ImportPath}}\n{{join .GoFiles \"\\n\"}}", ".")
	if err != nil {
		return nil, err
	}
	t := &target{dir: list[0], name: list[1], path: list[2], export: map[string]string{}}
	for _, name := range list[3:] {
		file := &source{path: filepath.Join(dir, name), name: name, fset: token.NewFileSet()}
		text, err := os.ReadFile(filepath.Join(t.dir, name))
		if err != nil {
			return nil, fmt.Errorf("cannot read the package: %w", err)
		}
		file.text = string(text)
		if file.parsed, err = parser.ParseFile(file.fset, name, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			return nil, fmt.Errorf("cannot parse the package: %w", err)
		}
		if !ast.IsGenerated(file.parsed) {
			t.files = append(t.files, file)
		}
	}
	list, err = goCommand(ctx, dir, "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}",
		".", "os", "runtime", "strconv", "syscall", "time")
	for _, line := range list {
		path, file, _ := strings.Cut(line, "\t")
		t.export[path] = file
	}
	return t, err
}

// span is where a mutant is in a file that holds many.
type span struct {
	from, to int
	mutant   *mutant
}

// combine makes a file that holds mutants of its functions, each of which is active when it
// is chosen. So one build serves all of them.
func combine(file *source, mutants []*mutant) (string, []span) {
	var (
		out   strings.Builder
		spans []span
		done  int
	)
	for _, decl := range file.parsed.Decls {
		function, _ := decl.(*ast.FuncDecl)
		own := slices.DeleteFunc(slices.Clone(mutants), func(m *mutant) bool { return m.function == nil || m.function != function })
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

// compiling returns the mutants that compile.
func (t *target) compiling(mutants []*mutant) ([]*mutant, error) {
	broken := map[*mutant]bool{}
	for _, m := range mutants {
		if m.function == nil {
			problems, err := t.check(m.alone())
			if err != nil {
				return nil, err
			}
			broken[m] = len(problems) > 0
		}
	}
	texts, spans := t.together(mutants)
	problems, err := t.check(texts)
	if err != nil {
		return nil, err
	}
	for _, p := range problems {
		at := p.Fset.Position(p.Pos)
		i := slices.IndexFunc(spans[at.Filename], func(s span) bool { return s.from <= at.Offset && at.Offset < s.to })
		if i < 0 {
			return nil, fmt.Errorf("the package does not compile: %w", p)
		}
		broken[spans[at.Filename][i].mutant] = true
	}
	return slices.DeleteFunc(mutants, func(m *mutant) bool { return broken[m] }), nil
}

// check checks the types of the package, with files of it replaced or added.
func (t *target) check(replaced map[string]string) ([]types.Error, error) {
	var (
		fset     = token.NewFileSet()
		parsed   []*ast.File
		problems []types.Error
	)
	texts := maps.Clone(replaced)
	for _, file := range t.files {
		if texts[file.name] == "" {
			texts[file.name] = file.text
		}
	}
	for name, text := range texts {
		file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("a mutation is not valid Go: %w", err)
		}
		parsed = append(parsed, file)
	}
	config := types.Config{
		Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(t.export[path]) }),
		Error: func(err error) {
			if problem, ok := errors.AsType[types.Error](err); ok {
				problems = append(problems, problem)
			}
		},
	}
	_, err := config.Check(t.path, fset, parsed, nil)
	if err != nil && len(problems) == 0 {
		return nil, fmt.Errorf("cannot check the types of the package: %w", err)
	}
	return problems, nil
}

// alone is the file with one mutant in it.
func (m *mutant) alone() map[string]string {
	return map[string]string{m.file.name: m.file.text[:m.from] + m.with + m.file.text[m.to:]}
}

// together is the package with all of these mutants in it, as far as they are in
// functions, and where they are.
func (t *target) together(mutants []*mutant) (map[string]string, map[string][]span) {
	texts, spans := map[string]string{"mutate__.go": fmt.Sprintf(switchFile, t.name)}, map[string][]span{}
	for _, file := range t.files {
		texts[file.name], spans[file.name] = combine(file, mutants)
	}
	return texts, spans
}

// build builds a test binary of the package, with files of it replaced or added.
func (t *target) build(ctx context.Context, folder string, replaced map[string]string) (string, error) {
	overlay := map[string]string{}
	for name, text := range replaced {
		overlay[filepath.Join(t.dir, name)] = filepath.Join(folder, name)
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("cannot write the mutants: %w", err)
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "overlay.json"), list, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("cannot write the list of mutated files: %w", err)
	}
	binary := filepath.Join(folder, "tests")
	_, err = goCommand(ctx, t.dir, "test", "-c", "-vet=off", "-o", binary, "-overlay", filepath.Join(folder, "overlay.json"), ".")
	return binary, err
}

// goCommand runs the go command, and returns the lines that it prints.
func goCommand(ctx context.Context, dir string, args ...string) ([]string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Stderr = dir, &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, stderr.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n"), nil
}
