// Package hack_test holds this repository to promises that no linter knows.
package hack_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestSmallestOperator: "a whole custom operator, main included and API types aside,
// fits in 100 lines", and the smallest in 95. Each line of a file that declares something
// counts. (One that holds only markers is data, from which the RBAC role is generated.)
func TestSmallestOperator(t *testing.T) {
	const limit = 95
	lines := 0
	for _, file := range goList(t, `{{$d := .Dir}}{{range .GoFiles}}{{$d}}/{{.}}{{"\n"}}{{end}}`,
		"../examples/testjob", "../examples/testjob/operator") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if len(parsed.Decls) > 0 {
			lines += bytes.Count(text, []byte("\n"))
		}
	}
	if lines == 0 || lines > limit {
		t.Errorf("the TestJob operator has %d lines, want 1 to %d", lines, limit)
	}
}

// TestPlanIsPure: package plan has no client. Nor does it, or another package of ours
// in it, import a network, file, context, logger, lock, clock or source of chance.
// (Kubernetes' metav1, of which we need the types, links net/http and klog all the same.)
func TestPlanIsPure(t *testing.T) {
	bannedBelow := []string{"k8s.io/client-go", "k8s.io/apiserver", "sigs.k8s.io/controller-runtime", "google.golang.org/grpc"}
	bannedInOurs := append([]string{
		"bufio", "context", "crypto", "database", "embed", "io", "log", "math/rand", "net", "os", "runtime", "sync", "syscall", "testing",
		"unsafe", "github.com/go-logr/logr", "k8s.io/apimachinery/pkg/util/rand", "k8s.io/apimachinery/pkg/util/uuid",
		"k8s.io/apimachinery/pkg/util/wait", "k8s.io/klog", "k8s.io/utils/clock",
	}, bannedBelow...)
	lines := goList(t, `{{.ImportPath}} {{join .Imports " "}}`, "-deps", "../internal/plan")
	if len(lines) == 0 {
		t.Fatal("go list found nothing")
	}
	for _, line := range lines {
		paths := strings.Fields(line)
		if within(paths[0], bannedBelow) {
			t.Errorf("plan depends on %s", paths[0])
		}
		if !within(paths[0], []string{"github.com/jobkit/jobkit"}) {
			continue
		}
		for _, path := range paths[1:] {
			// What replicas share is guarded by a lock; plan makes no replicas.
			if paths[0] == "github.com/jobkit/jobkit" && path == "sync" {
				continue
			}
			// A digest is a function of its input alone.
			if path == "crypto/sha256" {
				continue
			}
			if within(path, bannedInOurs) {
				t.Errorf("%s, which is part of plan, imports %s", paths[0], path)
			}
		}
	}
}

// goList is the go command's list of packages, a line each.
func goList(t *testing.T, format string, args ...string) []string {
	t.Helper()
	var stderr strings.Builder
	list := exec.CommandContext(t.Context(), "go", append([]string{"list", "-f", format}, args...)...)
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	return slices.DeleteFunc(strings.Split(string(out), "\n"), func(line string) bool { return line == "" })
}

// within reports whether a package is one of these or below one of them.
func within(path string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return path == root || strings.HasPrefix(path, root+"/") })
}
