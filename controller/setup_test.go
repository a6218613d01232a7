package controller_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/jobkit/jobkit/controller"
	"github.com/jobkit/jobkit/examples/testjob"
	testv1 "github.com/jobkit/jobkit/examples/testjob/v1"
	"github.com/jobkit/jobkit/plan"
)

// setUp sets a controller of TestJobs up, and returns the error in words.
func setUp(t *testing.T, author controller.ControllerInterface[*testv1.TestJob]) string {
	t.Helper()
	b := newBench(t, testjob.Controller{})
	c := &controller.JobController[*testv1.TestJob]{
		Controller: author, Client: b.client, Recorder: b.recorder, Metrics: prometheus.NewRegistry(),
	}
	if err := c.Init(b.client.Scheme()); err != nil {
		return fmt.Sprint(err)
	}
	return ""
}

// mistaken is a TestJob operator whose author made a mistake in Kind.
type mistaken struct {
	testjob.Controller

	change func(*plan.Kind)
}

func (m mistaken) Kind() plan.Kind {
	kind := m.Controller.Kind()
	m.change(&kind)
	return kind
}

// TestMistakenKinds: a mistake in Kind is refused at set-up, before any job pays for it.
func TestMistakenKinds(t *testing.T) {
	cases := map[string]struct {
		reason string
		change func(*plan.Kind)
		want   string
	}{
		"None": {reason: "what is left out has a default", change: func(*plan.Kind) {}},
		"NameOfTheScheme": {
			reason: "to repeat what the scheme says is no mistake",
			change: func(k *plan.Kind) { k.Name, k.APIVersion = "TestJob", "kubeflow.org/v1" },
		},
		"AnotherName": {
			reason: "the name is that of the owner of every pod",
			change: func(k *plan.Kind) { k.Name = "Test" },
			want:   `Kind() of TestJob is not valid: Name: "Test" is not what the scheme says of *v1.TestJob, which is "TestJob": leave the field out`,
		},
		"Several": {
			reason: "all mistakes are named at once",
			change: func(k *plan.Kind) { k.OperatorName, k.PortNumber = "my operator", 0 },
			want: `Kind() of TestJob is not valid: [OperatorName: Invalid value: "my operator": is the value of a label, and names the controller: use 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, ` +
				`PortNumber: Invalid value: 0: must be from 1 to 65535, because PortName is set: give the port's number, or remove PortName]`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, setUp(t, mistaken{change: tc.change})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}
