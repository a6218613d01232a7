package manifest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit/internal/cli/run/manifest"
)

func TestParse(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: kubeflow.org/v1\nkind: TestJob\n"
	for _, c := range []struct {
		name, reason, text string
		want               []string
		wantErr            string
	}{
		{
			name: "one", reason: "the line is that of the first word, past comments",
			text: "# a comment\n\n" + head + "metadata: {name: a}\n",
			want: []string{"f.yaml:3: TestJob a"},
		},
		{
			name: "several", reason: "documents are distinguished by their lines; empty ones do not count",
			text: "---\n" + head + "metadata: {name: a}\n---\n# nothing\n---  \n" + head + "metadata: {generateName: b-}\n---\n",
			want: []string{"f.yaml:2: TestJob a", "f.yaml:8: TestJob b-*"},
		},
		{
			name: "windows", reason: "line ends of Windows separate documents too",
			text: strings.ReplaceAll(head+"metadata: {name: a}\n---\n"+head+"metadata: {name: b}\n", "\n", "\r\n"),
			want: []string{"f.yaml:1: TestJob a", "f.yaml:5: TestJob b"},
		},
		{
			name: "json", reason: "JSON is YAML",
			text: `{"apiVersion": "kubeflow.org/v1", "kind": "TestJob", "metadata": {"name": "a"}}`,
			want: []string{"f.yaml:1: TestJob a"},
		},
		{
			name: "list", reason: "a List is what it lists",
			text: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: kubeflow.org/v1, kind: TestJob, metadata: {name: a}}\n" +
				"- {apiVersion: kubeflow.org/v1, kind: TestJob, metadata: {name: b}}\n",
			want: []string{"f.yaml:1: TestJob a", "f.yaml:1: TestJob b"},
		},
		{
			name: "dashes", reason: "dashes within a text separate nothing",
			text: head + "metadata:\n  name: a\n  annotations:\n    x: |\n      ---\n      --- a\n",
			want: []string{"f.yaml:1: TestJob a"},
		},
		{
			name: "empty", reason: "a file with nothing in it is a mistake",
			text:    "\n# only this\n---\n",
			wantErr: "f.yaml: it holds no object: write a job manifest in it",
		},
		{
			name: "syntax", reason: "the line of a mistake is that of the file, not of the document",
			text:    head + "metadata: {name: a}\n---\n" + head + "metadata:\n  name: b\n bad: [\n",
			want:    []string{"f.yaml:1: TestJob a"},
			wantErr: "f.yaml:5: not valid YAML: line 8: did not find expected key",
		},
		{
			name: "twice", reason: "one of two values for the same key would be ignored",
			text:    head + "metadata: {name: a}\nkind: Other\n",
			wantErr: `f.yaml:1: not valid YAML: line 4: key "kind" already set in map`,
		},
		{
			name: "not an object", reason: "a text is not a job",
			text:    "hello\n",
			wantErr: "f.yaml:1: it is not an object: write apiVersion, kind, metadata and spec",
		},
		{
			name: "all that is missing", reason: "all mistakes are reported at once, each with its fix",
			text: "kind: TestJob\n---\napiVersion: kubeflow.org/v1\n---\n" + head,
			want: []string{"f.yaml:1: TestJob *", "f.yaml:3:  *", "f.yaml:5: TestJob *"},
			wantErr: "f.yaml:1: apiVersion is missing: write for example \"apiVersion: kubeflow.org/v1\"\n" +
				"f.yaml:3: kind is missing: write for example \"kind: TestJob\"\n" +
				"f.yaml:5: TestJob has no name: set metadata.name, or metadata.generateName to have one made",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			documents, err := manifest.Parse("f.yaml", []byte(c.text))
			var got []string
			for _, d := range documents {
				got = append(got, d.Place())
			}
			message := ""
			if err != nil {
				message = err.Error()
			}
			if diff := cmp.Diff([]any{c.want, c.wantErr}, []any{got, message}); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}
