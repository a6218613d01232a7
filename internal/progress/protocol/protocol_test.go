package protocol

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestAddress(t *testing.T) {
	a := Address{
		Resource:  schema.GroupVersionResource{Group: "kubeflow.org", Version: "v1", Resource: "pytorchjobs"},
		Namespace: "team", Name: "bert", UID: "u-1",
	}
	if want := "/apis/kubeflow.org/v1/namespaces/team/pytorchjobs/bert/status"; a.Path() != want {
		t.Errorf("the path is %s, want %s", a.Path(), want)
	}
	if want := "kubeflow.org/v1/namespaces/team/pytorchjobs/bert/u-1"; a.Audience() != want {
		t.Errorf("the audience is %s, want %s", a.Audience(), want)
	}
	for audience, want := range map[string]string{
		a.Audience(): "u-1",
		"kubeflow.org/v1/namespaces/team/pytorchjobs/bert2/u-1":   "",
		"kubeflow.org/v1/namespaces/team/pytorchjobs/bert/u-1/u2": "",
		"kubeflow.org/v1/namespaces/team/pytorchjobs/bert":        "",
		"https://kubernetes.default.svc":                          "",
		"":                                                        "",
	} {
		if got := a.UIDOf(audience); string(got) != want {
			t.Errorf("the UID in the audience %q is %q, want %q", audience, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	metrics := func(n int) string {
		return strings.TrimSuffix(strings.Repeat(`{"name":"a","value":"b"},`, n), ",")
	}
	tests := map[string]struct {
		reason, body, want, fails string
	}{
		"Whole": {
			reason: "Transformers sends microseconds and an offset; the status has seconds",
			body: `{"trainerStatus":{"progressPercentage":45,"estimatedRemainingSeconds":120,"metrics":[{"name":"loss","value":"0.5"}],` +
				`"lastUpdatedTime":"2026-11-28T00:02:50.801969+00:00"}}`,
			want: `{"trainerStatus":{"progressPercentage":45,"estimatedRemainingSeconds":120,"metrics":[{"name":"loss","value":"0.5"}],` +
				`"lastUpdatedTime":"2026-11-28T00:02:50Z"}}`,
		},
		"Alive":   {reason: "each field is optional", body: `{"trainerStatus":{}}`, want: `{"trainerStatus":{}}`},
		"Nothing": {reason: "Trainer takes it, too", body: `{}`, want: `{}`},
		"Unknown": {reason: "a later version may say more", body: `{"trainerStatus":{"progressPercentage":1,"epoch":3},"x":1}`, want: `{"trainerStatus":{"progressPercentage":1}}`},
		"Forged": {
			reason: "who sent it, and when it came, is not the sender's to say",
			body:   `{"trainerStatus":{"receivedTime":"2026-11-28T00:02:50.801969Z","reporter":{"pod":"x","podUID":"y","index":0,"attempt":0}}}`,
			want:   `{"trainerStatus":{}}`,
		},
		"Most":         {reason: "as many metrics as there may be", body: `{"trainerStatus":{"metrics":[` + metrics(256) + `]}}`, want: `{"trainerStatus":{"metrics":[` + metrics(256) + `]}}`},
		"TooMany":      {reason: "one more", body: `{"trainerStatus":{"metrics":[` + metrics(257) + `]}}`, fails: "trainerStatus.metrics: Too many: 257: must have at most 256 items"},
		"Characters":   {reason: "64 characters are more bytes", body: `{"trainerStatus":{"metrics":[{"name":"` + strings.Repeat("é", 64) + `","value":"1"}]}}`, want: `{"trainerStatus":{"metrics":[{"name":"` + strings.Repeat("é", 64) + `","value":"1"}]}}`},
		"LongName":     {reason: "one more", body: `{"trainerStatus":{"metrics":[{"name":"` + strings.Repeat("é", 65) + `","value":"1"}]}}`, fails: "trainerStatus.metrics[0].name"},
		"NoValue":      {reason: "a metric has a value", body: `{"trainerStatus":{"metrics":[{"name":"a"}]}}`, fails: `trainerStatus.metrics[0].value: Invalid value: "": must have from 1 to 64 characters`},
		"NumericValue": {reason: "values are texts", body: `{"trainerStatus":{"metrics":[{"name":"a","value":0.5}]}}`, fails: "trainerStatus.metrics[0].value"},
		"Above":        {reason: "above 100", body: `{"trainerStatus":{"progressPercentage":101}}`, fails: "trainerStatus.progressPercentage: Invalid value: 101: must be from 0 to 100"},
		"Below":        {reason: "below 0", body: `{"trainerStatus":{"progressPercentage":-1}}`, fails: "trainerStatus.progressPercentage"},
		"Fraction":     {reason: "the schema takes whole numbers", body: `{"trainerStatus":{"progressPercentage":45.5}}`, fails: "trainerStatus.progressPercentage"},
		"Remaining":    {reason: "time does not run backwards", body: `{"trainerStatus":{"estimatedRemainingSeconds":-5}}`, fails: "trainerStatus.estimatedRemainingSeconds"},
		"Time":         {reason: "not RFC 3339", body: `{"trainerStatus":{"lastUpdatedTime":"yesterday"}}`, fails: "trainerStatus.lastUpdatedTime"},
		"NoJSON":       {reason: "not JSON", body: `progress=45`, fails: "invalid"},
		"List":         {reason: "another type", body: `[]`, fails: "array"},
		"Empty":        {reason: "no body", body: ``, fails: "unexpected end"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(tc.body))
			if (err != nil) != (tc.fails != "") || !strings.Contains(fmt.Sprint(err), tc.fails) && err != nil {
				t.Fatalf("%s: the error is %v, want one with %q", tc.reason, err, tc.fails)
			}
			if err != nil {
				return
			}
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(text)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
