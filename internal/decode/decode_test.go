package decode_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobkit/jobkit/internal/decode"
)

// job is an object with fields that Go reads strictly.
type job struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Every    *metav1.Duration          `json:"every"`
	Since    metav1.Time               `json:"since"`
	Key      []byte                    `json:"key"`
	Count    int32                     `json:"count"`
	Pods     map[string]corev1.PodSpec `json:"pods"`
	Settings map[string]int            `json:"settings"`
}

func TestObject(t *testing.T) {
	pod := func(container string) string {
		return `{"metadata":{"name":"j","uid":"u"},"count":3,"pods":{"a":{"containers":[{"name":"c",` + container + `}]}}}`
	}
	tests := map[string]struct {
		reason string
		json   string
		want   []string
		count  int32 // what of the rest is read
	}{
		"Good": {
			reason: "what is right is read", count: 3,
			json: pod(`"resources":{"limits":{"cpu":"1e3","memory":"12Gi","a/b":1.5}},"livenessProbe":{"httpGet":{"port":"x"}}`),
		},
		"Exponent": {
			reason: "an exponent is a whole number", json: pod(`"resources":{"limits":{"cpu":"1e1.5"}}`), count: 3,
			want: []string{`pods[a].containers[0].resources.limits[cpu]: Invalid value: "1e1.5": quantities must match`},
		},
		"Hang": {
			reason: "a number of 2147483648 digits is not made", json: pod(`"resources":{"limits":{"cpu":"1e2147483648"}}`), count: 3,
			want: []string{`pods[a].containers[0].resources.limits[cpu]: Invalid value: "1e2147483648": a quantity has at most 64 characters`},
		},
		"HangNumber": {
			reason: "nor one that is written as a number", json: pod(`"resources":{"limits":{"cpu":1e-999999999}}`), count: 3,
			want: []string{`limits[cpu]: Invalid value: "1e-999999999": a quantity has at most 64 characters`},
		},
		"HangEscaped": {
			reason: "nor one that hides", json: pod(`"resources":{"limits":{"cpu":"1\u00652147483648"}}`), count: 3,
			want: []string{`limits[cpu]: Invalid value: "1e2147483648": a quantity has at most 64 characters`},
		},
		"Long": {
			reason: "reading many digits takes long, too; the message is short", json: pod(`"resources":{"limits":{"cpu":"` + strings.Repeat("1", 1_000_000) + `"}}`), count: 3,
			want: []string{`limits[cpu]: Invalid value: "` + strings.Repeat("1", 80) + `...": a quantity has at most 64 characters`},
		},
		"NoQuantity": {
			reason: "similar text is left alone", count: 3,
			json: pod(`"env":[{"name":"A","value":"1e2147483648"},{"name":"B","value":"` + strings.Repeat("1", 1000) + `"}]`),
		},
		"Port": {
			reason: "ports have 32 bits", json: pod(`"livenessProbe":{"httpGet":{"port":99999999999}}`), count: 3,
			want: []string{`pods[a].containers[0].livenessProbe.httpGet.port: Invalid value: "99999999999": a number 99999999999 cannot be read as int32`},
		},
		"Duration": {
			reason: "the field is named even where the decoder does not say it", json: `{"every":"abc","count":3}`, count: 3,
			want: []string{`every: Invalid value: "abc": time: invalid duration "abc"`},
		},
		"Time":   {reason: "times have a format", json: `{"since":"yesterday","count":3}`, count: 3, want: []string{`since: Invalid value: "yesterday"`}},
		"Base64": {reason: "bytes have one", json: `{"key":"%%%","count":3}`, count: 3, want: []string{`key: Invalid value: "%%%"`}},
		"Int":    {reason: "numbers have a size", json: `{"count":99999999999}`, want: []string{`count: Invalid value: "99999999999"`}},
		"Type":   {reason: "a list is not a map", json: `{"pods":[],"count":3}`, count: 3, want: []string{`pods: Invalid value: a array cannot be read as`}},
		"Several": {
			reason: "all are reported", json: `{"every":"abc","settings":{"a":"x","b":2},"count":3}`, count: 3,
			want: []string{`every: Invalid value: "abc"`, `settings[a]: Invalid value: "x"`},
		},
		"NoJSON":   {reason: "what is not JSON at all is refused", json: `{"count":`, want: []string{"unexpected"}},
		"NoObject": {reason: "so is what is not an object", json: `[1]`, want: []string{"cannot be read"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got job
			began := time.Now()
			err := decode.Object([]byte(tc.json), &got)
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s: it took %s", tc.reason, took)
			}
			if (err != nil) != (len(tc.want) > 0) {
				t.Fatalf("%s: the error is %v", tc.reason, err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: the error is %v, want %s", tc.reason, err, want)
				}
			}
			if err != nil && len(err.Error()) > 1000 {
				t.Errorf("%s: the message has %d characters", tc.reason, len(err.Error()))
			}
			if got.Count != tc.count {
				t.Errorf("%s: of the rest, count is %d, want %d", tc.reason, got.Count, tc.count)
			}
		})
	}
}

// TestObjectAsDecoder checks that what can be read is read in full.
func TestObjectAsDecoder(t *testing.T) {
	raw := `{"kind":"Job","metadata":{"name":"j","labels":{"a":"1e5555"},"creationTimestamp":"2026-01-02T03:04:05Z"},
		"every":"1m","since":"2026-01-02T03:04:05Z","key":"` + base64.StdEncoding.EncodeToString([]byte("key")) + `","settings":{"a":1},"unknown":{"x":1}}`
	var got job
	if err := decode.Object([]byte(raw), &got); err != nil {
		t.Fatal(err)
	}
	day := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Local()) //nolint:gosmopolitan // a time as it was read
	want := job{
		TypeMeta:   metav1.TypeMeta{Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{Name: "j", Labels: map[string]string{"a": "1e5555"}, CreationTimestamp: day},
		Every:      &metav1.Duration{Duration: time.Minute}, Since: day, Key: []byte("key"), Settings: map[string]int{"a": 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
