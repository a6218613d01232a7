package jobtest

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	commonv1 "github.com/jobkit/jobkit/api/common/v1"
)

// TestMergeInto compares mergeInto with the detour over the JSON of the whole value.
func TestMergeInto(t *testing.T) {
	at := metav1.NewTime(time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	job := func() *commonv1.JobStatus {
		return &commonv1.JobStatus{
			State: commonv1.JobRunning, StartTime: &at, Restarts: 2,
			Conditions: []commonv1.JobCondition{
				{Type: commonv1.JobCreated, Status: corev1.ConditionTrue, Reason: "A", LastUpdateTime: at},
				{Type: commonv1.JobRunning, Status: corev1.ConditionTrue, Message: "kept if elements were merged"},
			},
			ReplicaStatuses: map[commonv1.ReplicaType]*commonv1.ReplicaStatus{"Worker": {Active: 2, Failed: 1}, "Master": {Active: 1}},
		}
	}
	pod := func() *corev1.PodStatus {
		return &corev1.PodStatus{Phase: corev1.PodPending, StartTime: &at, ContainerStatuses: []corev1.ContainerStatus{{Name: "main", RestartCount: 1}}}
	}
	for _, test := range []struct {
		reason, patch string
		of            any
	}{
		{"nothing changes", `{}`, job()},
		{"a field of a plain type changes", `{"state":"Failed","restarts":3}`, job()},
		{"null removes", `{"restarts":null,"startTime":null,"conditions":null}`, job()},
		{"null removes all", `null`, job()},
		{"a list is replaced, its elements are not merged", `{"conditions":[{"type":"Created","status":"False"}]}`, job()},
		{"an entry of a map is merged", `{"replicaStatuses":{"Worker":{"active":5,"failed":null}}}`, job()},
		{"an entry of a map comes and one goes", `{"replicaStatuses":{"PS":{"active":1},"Master":null}}`, job()},
		{"a map comes", `{"replicaStatuses":{"PS":{"active":1}}}`, &commonv1.JobStatus{}},
		{"a time is one value", `{"startTime":"2031-02-03T04:05:06Z"}`, job()},
		{"unknown fields are dropped", `{"other":{"a":1},"restarts":1}`, job()},
		{"another type", `{"phase":"Running","containerStatuses":[{"name":"main"}],"startTime":null}`, pod()},
		{"what does not fit is an error", `{"restarts":"many"}`, job()},
		{"an object is expected", `{"replicaStatuses":{"Worker":[1]}}`, job()},
	} {
		t.Run(test.reason, func(t *testing.T) {
			before, err := json.Marshal(test.of)
			if err != nil {
				t.Fatal(err)
			}
			patched, err := mergePatch(before, []byte(test.patch))
			if err != nil {
				t.Fatal(err)
			}
			want := reflect.New(reflect.TypeOf(test.of).Elem())
			wantErr := json.Unmarshal(patched, want.Interface())
			got := reflect.New(reflect.TypeOf(test.of).Elem())
			got.Elem().Set(reflect.ValueOf(test.of).Elem())
			gotErr := mergeInto(got.Elem(), []byte(test.patch))
			if (gotErr != nil) != (wantErr != nil) {
				t.Fatalf("the error is %v, that of the detour %v", gotErr, wantErr)
			}
			if diff := cmp.Diff(want.Interface(), got.Interface()); diff != "" && wantErr == nil {
				t.Errorf("not as over the JSON of the whole (-want +got):\n%s", diff)
			}
			if after, err := json.Marshal(test.of); err != nil || string(after) != string(before) {
				t.Errorf("the value that exists has changed, to %s (%v)", after, err)
			}
		})
	}
}
