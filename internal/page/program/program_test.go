package program_test

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jobkit/jobkit/internal/page/program"
)

func run(args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = program.Main(context.Background(), args, func(string) string { return "" }, &o, &e)
	return code, o.String(), e.String()
}

func TestFlags(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason string
		args   []string
		code   int
		says   string
	}{
		{"help", []string{"--help"}, 0, "--loopback-port"},
		{"a version", []string{"--version"}, 0, "operator page"},
		{"no arguments", []string{"x"}, 2, `unexpected argument "x"`},
		{"nothing to serve", []string{"--bind-address=0", "--loopback-port=0"}, 2, "nothing would be served"},
		{"a port", []string{"--loopback-port=70000"}, 2, "from 0 to 65535"},
		{"a certificate for nothing", []string{"--bind-address=0", "--cert-dir=/x"}, 2, "--cert-dir has no effect"},
		{"outside of a cluster", nil, 1, "no cluster: run it in a pod"},
		{"a kind without its group", []string{"--kinds=SimJob", "--kubeconfig=testdata/kubeconfig"}, 1, "Kind.version.group"},
	} {
		code, out, errOut := run(c.args...)
		if code != c.code || !strings.Contains(out+errOut, strings.ReplaceAll(c.says, `"`, quoted(out+errOut))) {
			t.Errorf("%s: code %d: %s%s, want %d: %s", c.reason, code, out, errOut, c.code, c.says)
		}
	}
}

// quoted is a quote as a text has it: the log is JSON.
func quoted(text string) string {
	if strings.HasPrefix(text, "{") {
		return `\"`
	}
	return `"`
}

// TestDocumented: the manual has all flags.
func TestDocumented(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../../docs/operators/page.md")
	if err != nil {
		t.Fatal(err)
	}
	_, help, _ := run("--help")
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(help, -1) {
		if !bytes.Contains(manual, []byte("`--"+m[1]+"`")) {
			t.Errorf("docs/operators/page.md does not have --%s", m[1])
		}
	}
}
