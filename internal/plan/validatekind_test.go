package plan_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jobkit/jobkit"
	commonv1 "github.com/jobkit/jobkit/api/common/v1"
	"github.com/jobkit/jobkit/internal/plan"
)

// TestMistakesInAKind: what an author says of a kind is checked as a whole, so that no
// user's job pays for it.
func TestMistakesInAKind(t *testing.T) {
	roles := func(rs ...jobkit.Role) func(*jobkit.Kind) { return func(k *jobkit.Kind) { k.Roles = rs } }
	tooLong := strings.Repeat("W", 56)
	tests := map[string]struct {
		reason string
		change func(*jobkit.Kind)
		want   []string
	}{
		"Valid": {reason: "a kind with a role of each sort is valid", change: func(*jobkit.Kind) {}},
		"Full": {
			reason: "a kind that says all there is to say is valid",
			change: func(k *jobkit.Kind) {
				k.OperatorName, k.Framework, k.ReplicaSpecsField = "My_operator.v1", "my framework", "my-replica_specs.v1"
				k.LabelDomain = "sim.example.com"
				k.PortName, k.PortNumber, k.RestartPolicy = "port", 65535, commonv1.RestartPolicyExitCode
				k.CleanPodPolicy, k.ServiceMode = commonv1.CleanPodPolicyAll, commonv1.ServiceModeNone
				k.Roles = []jobkit.Role{{Type: "A", Min: 2, Max: 2, Default: new(int32(2))}, {Type: "A-1"}, {Type: "b", Max: jobkit.MaxReplicas}}
			},
		},
		"OperatorName": {
			reason: "it is the value of a label of every pod",
			change: func(k *jobkit.Kind) { k.OperatorName = "My operator" },
			want:   []string{`OperatorName: Invalid value: "My operator": is the value of a label, and names the controller: use 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends`},
		},
		"NoOperatorName": {
			reason: "an empty value is one, but selects the pods of others",
			change: func(k *jobkit.Kind) { k.OperatorName = "" },
			want:   []string{`OperatorName: Invalid value: "": is the value of a label, and names the controller: use 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends`},
		},
		"LabelDomain": {
			reason: "it is part of the names of labels",
			change: func(k *jobkit.Kind) { k.LabelDomain = "Sim/example" },
			want:   []string{`LabelDomain: Invalid value: "Sim/example": is a domain of the kind's own, for more labels: use a DNS name such as sim.example.com, other than training.kubeflow.org, which is always there`},
		},
		"LabelDomainOfTheLibrary": {
			reason: "objects have those labels anyway",
			change: func(k *jobkit.Kind) { k.LabelDomain = "training.kubeflow.org" },
			want:   []string{`LabelDomain: Invalid value: "training.kubeflow.org": is a domain of the kind's own, for more labels: use a DNS name such as sim.example.com, other than training.kubeflow.org, which is always there`},
		},
		"Framework": {
			reason: "a metric with such a label panics",
			change: func(k *jobkit.Kind) { k.Framework = "\xff" },
			want:   []string{`Framework: Invalid value: "\xff": is the value of a metric's label: use a short word in UTF-8`},
		},
		"ReplicaSpecsField": {
			reason: "users search for it in their job",
			change: func(k *jobkit.Kind) { k.ReplicaSpecsField = "replica specs" },
			want:   []string{`ReplicaSpecsField: Invalid value: "replica specs": is a path of JSON names: use letters, digits, '-' and '_', with a '.' between two names, as in "cluster.replicaSpecs"`},
		},
		"DottedTwice": {
			reason: "a name between two dots is missing",
			change: func(k *jobkit.Kind) { k.ReplicaSpecsField = "cluster..replicaSpecs" },
			want:   []string{`ReplicaSpecsField: Invalid value: "cluster..replicaSpecs": is a path of JSON names: use letters, digits, '-' and '_', with a '.' between two names, as in "cluster.replicaSpecs"`},
		},
		"Fields": {
			reason: "each form of a role's field is valid",
			change: func(k *jobkit.Kind) {
				k.Roles = []jobkit.Role{
					{Type: "A", Field: "driver"}, {Type: "B", Field: "a-cluster.workers"}, {Type: "C", Field: "groups[11].spec"}, {Type: "D", Field: "tasks[name=a-b_c]"}, {Type: "E"},
				}
			},
		},
		"BadFields": {
			reason: "messages would name what no job can have",
			change: func(k *jobkit.Kind) {
				k.Roles = []jobkit.Role{{Type: "A", Field: ".driver"}, {Type: "B", Field: "tasks[b]"}, {Type: "C", Field: "groups[0"}, {Type: "D", Field: "spec driver"}}
			},
			want: []string{
				`Roles[0].Field: Invalid value: ".driver": is a path of JSON names below spec: write it as in "driver", "cluster.driver", "workerGroups[0]" or "tasks[name=Driver]"`,
				`Roles[1].Field: Invalid value: "tasks[b]": is a path of JSON names below spec: write it as in "driver", "cluster.driver", "workerGroups[0]" or "tasks[name=Driver]"`,
				`Roles[2].Field: Invalid value: "groups[0": is a path of JSON names below spec: write it as in "driver", "cluster.driver", "workerGroups[0]" or "tasks[name=Driver]"`,
				`Roles[3].Field: Invalid value: "spec driver": is a path of JSON names below spec: write it as in "driver", "cluster.driver", "workerGroups[0]" or "tasks[name=Driver]"`,
			},
		},
		"FieldTwice": {
			reason: "two roles cannot have the same replica spec",
			change: func(k *jobkit.Kind) {
				k.Roles = []jobkit.Role{{Type: "A", Field: "driver"}, {Type: "B", Field: "driver"}}
			},
			want: []string{`Roles[1].Field: Invalid value: "driver": is that of Roles[0], too, and each role has a replica spec of its own: correct one of the two`},
		},
		"NoContainerName": {
			reason: "no job could have such a container",
			change: func(k *jobkit.Kind) { k.ContainerName = "" },
			want:   []string{`ContainerName: Required value: name the main container of every replica`},
		},
		"ContainerName": {
			reason: "no job could have such a container",
			change: func(k *jobkit.Kind) { k.ContainerName = "Main" },
			want:   []string{`ContainerName: Invalid value: "Main": is not a valid container name: use 1 to 63 lower-case letters, digits and '-', with a letter or digit at both ends`},
		},
		"PortNumber": {
			reason: "every pod of the kind would be invalid",
			change: func(k *jobkit.Kind) { k.PortName = "port" },
			want:   []string{`PortNumber: Invalid value: 0: must be from 1 to 65535, because PortName is set: give the port's number, or remove PortName`},
		},
		"PortName": {
			reason: "a number alone is never used",
			change: func(k *jobkit.Kind) { k.PortNumber = 1 },
			want:   []string{`PortName: Required value: PortNumber is 1: name the port, or remove PortNumber`},
		},
		"PortBoth": {
			reason: "both mistakes are named",
			change: func(k *jobkit.Kind) { k.PortName, k.PortNumber = "a-port-of-the-job", 65536 },
			want: []string{
				`PortName: Invalid value: "a-port-of-the-job": is not a valid port name: use 1 to 15 lower-case letters, digits and single '-', with a letter among them and no '-' at either end`,
				`PortNumber: Invalid value: 65536: must be from 1 to 65535, because PortName is set: give the port's number, or remove PortName`,
			},
		},
		"Policies": {
			reason: "misspelled policies would be every job's mistake",
			change: func(k *jobkit.Kind) { k.RestartPolicy, k.CleanPodPolicy, k.ServiceMode = "onFailure", "all", "Each" },
			want: []string{
				`RestartPolicy: Unsupported value: "onFailure": supported values: "Always", "OnFailure", "Never", "ExitCode"`,
				`CleanPodPolicy: Unsupported value: "all": supported values: "All", "Running", "None"`,
				`ServiceMode: Unsupported value: "Each": supported values: "PerReplica", "PerJob", "None"`,
			},
		},
		"NoRoles": {
			reason: "a job without replicas is none", change: roles(),
			want: []string{`Roles: Required value: name at least one replica type`},
		},
		"NoType": {
			reason: "pods are named after it", change: roles(jobkit.Role{}),
			want: []string{`Roles[0].Type: Invalid value: "": pods are named after it: use 1 to 55 letters, digits and '-', with a letter or digit at both ends, as in "Worker"`},
		},
		"StrangeType": {
			reason: "pods are named after it", change: roles(jobkit.Role{Type: "Work_er"}),
			want: []string{`Roles[0].Type: Invalid value: "Work_er": pods are named after it: use 1 to 55 letters, digits and '-', with a letter or digit at both ends, as in "Worker"`},
		},
		"LongType": {
			reason: "no name of a job would be short enough", change: roles(jobkit.Role{Type: commonv1.ReplicaType(tooLong)}),
			want: []string{`Roles[0].Type: Invalid value: "` + tooLong + `": pods are named after it: use 1 to 55 letters, digits and '-', with a letter or digit at both ends, as in "Worker"`},
		},
		"LongestType": {reason: "55 letters fit", change: roles(jobkit.Role{Type: commonv1.ReplicaType(strings.Repeat("W", 55))})},
		"Twice": {
			reason: "a job has a type once", change: roles(jobkit.Role{Type: "Worker"}, jobkit.Role{Type: "Worker"}),
			want: []string{`Roles[1].Type: Invalid value: "Worker": is Roles[0] already, because pod names are in lower case: remove or rename one of the two`},
		},
		"TwiceInAnotherCase": {
			reason: "their pods would have the same names", change: roles(jobkit.Role{Type: "Worker"}, jobkit.Role{Type: "worker"}),
			want: []string{`Roles[1].Type: Invalid value: "worker": is Roles[0] already, because pod names are in lower case: remove or rename one of the two`},
		},
		"UnnumberedLikeNumbered": {
			reason: "<job>-a-1 would be two replicas", change: roles(jobkit.Role{Type: "A"}, jobkit.Role{Type: "A-1", Max: 1, Unnumbered: true}),
			want: []string{`Roles[1].Type: Invalid value: "A-1": its pods can get the names of those of A (Roles[0]), of which one is Unnumbered and ends in a number: rename one of the two`},
		},
		"NumberedLikeUnnumbered": {
			reason: "nor in the other order", change: roles(jobkit.Role{Type: "A-1", Max: 1, Unnumbered: true}, jobkit.Role{Type: "A"}),
			want: []string{`Roles[1].Type: Invalid value: "A": its pods can get the names of those of A-1 (Roles[0]), of which one is Unnumbered and ends in a number: rename one of the two`},
		},
		"MinAboveMax": {
			reason: "no number of replicas would be right", change: roles(jobkit.Role{Type: "A", Min: 3, Max: 1}),
			want: []string{`Roles[0].Min: Invalid value: 3: is more than Max, which is 1: lower Min, or raise Max`},
		},
		"OutOfRange": {
			reason: "bounds are numbers of replicas", change: roles(jobkit.Role{Type: "A", Min: -1, Max: jobkit.MaxReplicas + 1}),
			want: []string{`Roles[0].Min: Invalid value: -1: must be from 0 to 100000`, `Roles[0].Max: Invalid value: 100001: must be from 0 to 100000`},
		},
		"DefaultAboveMax": {
			reason: "a job that says nothing would be invalid", change: roles(jobkit.Role{Type: "A", Max: 1, Default: new(int32(2))}),
			want: []string{`Roles[0].Default: Invalid value: 2: must be from 0 to 1, the range of Min and Max`},
		},
		"DefaultBelowMin": {
			reason: "a job that says nothing would be invalid", change: roles(jobkit.Role{Type: "A", Min: 2, Default: new(int32(1))}),
			want: []string{`Roles[0].Default: Invalid value: 1: must be from 2 to 100000, the range of Min and Max`},
		},
		"NoDefault": {
			reason: "1 replica is the default, which Min forbids", change: roles(jobkit.Role{Type: "A", Min: 2}),
			want: []string{`Roles[0].Default: Required value: it is 1 by default, which is less than Min: set it to 2 or more`},
		},
		"Limit": {
			reason: "no limit is negative", change: roles(jobkit.Role{Type: "A", BackoffLimit: new(int32(-1))}),
			want: []string{`Roles[0].BackoffLimit: Invalid value: -1: must be 0 or more`},
		},
		"NoLimit":          {reason: "0 is a limit", change: roles(jobkit.Role{Type: "A", BackoffLimit: new(int32(0))})},
		"BothUnnumbered":   {reason: "<job>-a and <job>-a-1 differ", change: roles(jobkit.Role{Type: "A", Max: 1, Unnumbered: true}, jobkit.Role{Type: "A-1", Max: 1, Unnumbered: true})},
		"BothInOtherOrder": {reason: "in any order", change: roles(jobkit.Role{Type: "A-1", Max: 1, Unnumbered: true}, jobkit.Role{Type: "A", Max: 1, Unnumbered: true})},
		"OneUnnumbered":    {reason: "<job>-a and <job>-a-1-0 do too", change: roles(jobkit.Role{Type: "A", Max: 1, Unnumbered: true}, jobkit.Role{Type: "A-1"})},
		"NotANumber":       {reason: "and <job>-a-0 and <job>-a-b", change: roles(jobkit.Role{Type: "A"}, jobkit.Role{Type: "A-b", Max: 1, Unnumbered: true})},
		"FirstPort":        {reason: "1 is a port", change: func(k *jobkit.Kind) { k.PortName, k.PortNumber = "port", 1 }},
		"MinIsMax":         {reason: "one number of replicas is right", change: roles(jobkit.Role{Type: "A", Min: 3, Max: 3, Default: new(int32(3))})},
		"Unnumbered": {
			reason: "several pods would have one name", change: roles(jobkit.Role{Type: "A", Unnumbered: true}),
			want: []string{`Roles[0].Max: Invalid value: 0: A is Unnumbered, so all its pods would have one name: set Max to 1, or Unnumbered to false`},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			kind := launcherKind()
			kind.SetDefaults()
			tc.change(&kind)
			var got []string
			for _, err := range plan.ValidateKind(&kind) {
				got = append(got, err.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestCharactersOfAFieldName: the first and the last of each range, and their neighbours.
func TestCharactersOfAFieldName(t *testing.T) {
	kind := launcherKind()
	kind.SetDefaults()
	for _, tc := range []struct {
		characters string
		valid      bool
	}{{"azAZ09-_.", true}, {"`{@[/:", false}} {
		for _, c := range tc.characters {
			kind.ReplicaSpecsField = "a" + string(c) + "a"
			if errs := plan.ValidateKind(&kind); (len(errs) == 0) != tc.valid {
				t.Errorf("%q is valid: %t, want %t: %v", kind.ReplicaSpecsField, len(errs) == 0, tc.valid, errs)
			}
		}
	}
}
